"""Is the trace of a step what the layers did, and does it say where a backward is broken?"""

import inspect
import json
import math
import re
import sys

import numpy as np
import pytest

import nanoae
from nanoae import (
    ELU,
    SGD,
    Adam,
    Identity,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    Trace,
)
from nanoae.cli import main
from nanoae.engine import losses

X = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], np.float64)
SETTINGS = [  # activation, loss, optimizer, dtype
    (Tanh, "mse", SGD(0.5), "float64"),
    (Sigmoid, "bce", Adam(0.03), "float64"),
    (ReLU, "l1", nanoae.AdamW(0.03), "float64"),
    (ELU, "huber", SGD(0.5, momentum=0.9, weight_decay=0.1), "float64"),
    (Softplus, "gaussian", SGD(0.5), "float32"),
    (Identity, "mse", Adam(0.03, clip_norm=0.1), "float32"),
]


def layers(activation):
    return [Linear(3), activation(), Linear(2), Linear(3), activation(), Linear(4)]


@pytest.fixture(
    scope="module",
    params=SETTINGS,
    ids=lambda s: f"{s[0].__name__}-{s[1]}-{type(s[2]).__name__}-{s[3]}",
)
def case(request):
    activation, loss, optimizer, dtype = request.param
    trace = Trace(
        layers(activation), X, None, loss, optimizer, dtype=dtype, random_state=3, epochs=5
    )
    return request.param, trace


@pytest.fixture(scope="module")
def trace():
    return Trace(layers(Tanh), X)


def name(step, move):
    return step.entries[move.result].name


def sums(step, move):
    """What the terms shown of each number add up to."""
    return [sum(term.value for term in products) for products in step.entries[move.result].sums]


def arrays(step):
    """(phase, layer, name) -> the array made."""
    return {
        (move.phase, move.layer, name(step, move)): step.entries[move.result].values
        for move in step.moves
    }


def test_the_numbers_are_those_of_the_layers(case):
    (activation, loss, optimizer, dtype), trace = case
    net = Sequential(layers(activation)).build((4,), "numpy", dtype, random_state=3)
    net.layers[0].need_dx = True
    loss = losses.get(loss).build(net.ops, net.dtype)
    found, x, last = arrays(trace.right), X.astype(dtype), len(net.layers)
    y = x
    for i, layer in enumerate(net.layers):
        y = layer.forward(y, train=True)
        np.testing.assert_array_equal(found["forward", i, "y"], y)
    assert found["loss", last, "loss"] == loss.forward(y, x)
    dy = loss.backward()
    np.testing.assert_array_equal(found["loss", last, "dy"], dy)
    for i, layer in reversed(list(enumerate(net.layers))):
        dy = layer.backward(dy)
        np.testing.assert_array_equal(found["backward", i, "dx"], dy)
        for key, grad in layer.grads.items():
            np.testing.assert_array_equal(found["backward", i, "d" + key], grad)
    optimizer.build(net.ops, net.theta).step(net.theta, net.grad)
    for i, layer in enumerate(net.layers):
        for key, W in layer.params.items():
            np.testing.assert_array_equal(found["update", i, key], W)
    assert len(found) == 6 + 2 + 4 * 3 + 2 + 4 * 2


def test_the_sums_shown_add_up_to_the_numbers(case):
    (_, _, _, dtype), trace = case
    for step in (trace.right, *trace.broken):
        for move in step.moves:
            values = step.entries[move.result].values
            found = sums(step, move)
            assert found, f"{move.where}: {name(step, move)} has no sum"
            np.testing.assert_allclose(
                found, values.ravel(), rtol=1e-6 if dtype == "float32" else 1e-12, atol=1e-7
            )


WORDS = {
    "tanh": math.tanh,
    "exp": math.exp,
    "expm1": math.expm1,
    "log1p": math.log1p,
    "sign": np.sign,
    "rint": round,
}


def as_python(text):
    text = text.replace("√", "math.sqrt")
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = re.sub(r"\[(.*) ([<>=]) (.*)\]", r"(\1 \2 \3)", text).replace("=", "==")
    return text.replace("²", "**2").replace("·", "*")


def written_and_meant(step):
    """(text, what it says in numbers, value) of all terms of a step, those of its parts, too."""
    everything = [products for entry in step.entries for products in entry.sums]
    for products in [*everything, *(products for _, products in step.parts)]:
        for text, cells, value in products:
            numbers = []
            for array, flat in cells:
                place = step.parts[flat][0] if array < 0 else step.entries[array].values.flat[flat]
                numbers.append(f"({float(place)!r})")
            yield text, eval(as_python(text).format(*numbers), {"math": math, **WORDS}), value


@pytest.mark.parametrize(("activation", "loss", "optimizer"), [(Tanh, "mse", "sgd"), (Sigmoid, "bce", "adam"),
                         (ReLU, "l1", "adamw"), (Softplus, "mse", "adam"), (nanoae.GELU, "mse", "sgd")])  # fmt: skip
def test_what_is_written_of_a_term_is_what_it_is(activation, loss, optimizer):
    small = [Linear(3), activation(), Linear(4)]
    step = Trace(small, X, None, loss, optimizer, epochs=1).right
    seen = set()
    for text, said, value in written_and_meant(step):
        seen.add(text)
        assert said == pytest.approx(value, rel=1e-5, abs=1e-6), text
    assert len(seen) >= 4


def test_formulas_are_the_docstrings(trace):
    found = {(move.phase, name(trace.right, move), move.formula) for move in trace.right.moves}
    assert {
        ("forward", "y", "y = x W + b"), ("forward", "y", "y = tanh x"), ("backward", "dW", "dW = xᵀ dy"),
        ("backward", "db", "db = Σ_n dy[n]"), ("backward", "dx", "dx = dy Wᵀ"),
        ("backward", "dx", "dx = dy · (1 - y²)"),
        ("update", "W", "theta -= lr · u"),
    } <= found  # fmt: skip


def test_every_breakage_is_caught_where_it_is(case):
    _, trace = case
    assert trace.right.caught is None
    assert {step.breakage.kind for step in trace.broken} >= {"transpose", "bias", "sign"}
    assert (
        len({step.breakage for step in trace.broken})
        == len(trace.broken)
        == (8 if case[0][0] is Identity else 10)
    )
    for step in trace.broken:
        caught, breakage = step.caught, step.breakage
        assert (caught.layer, name(step, caught)) == (breakage.layer, breakage.wrong), (
            breakage.title
        )
        assert caught.formula == breakage.formula
        if breakage.kind == "bias":  # nobody computes with db: it alone is wrong
            assert (
                sum(move.check is not None and not move.check.ok.all() for move in step.moves) == 1
            )


def test_a_wrong_dx_spoils_all_gradients_behind_it(trace):
    step = trace.step("transpose:3")
    wrong = {(m.layer, name(step, m)) for m in step.moves if m.check and not m.check.ok.all()}
    assert {layer for layer, _ in wrong} == {0, 1, 2, 3} and (3, "dW") not in wrong


def test_a_kink_is_no_mistake():
    """The first ReLU gives 0 in all rows, so the second stands at its kink, where the loss has no gradient."""
    dead = Trace([Linear(3, init="ones"), ReLU(), Linear(4), ReLU(), Linear(4)], -X, X, epochs=1)
    assert (dead.right.entries[dead.right.moves[2].result].values == 0).all()
    assert dead.right.caught is None
    assert any(move.check.kink.any() for move in dead.right.moves if move.check)
    assert dead.step("sign").caught is dead.step("sign").moves[6]
    assert "~" in dead.text() and "at a kink" in dead.html()


def test_what_learning_does_with_each(trace):
    losses = dict(
        zip(["right", *(s.breakage.kind for s in trace.broken)], trace.curves, strict=True)
    )
    assert len(losses["right"]) == 201 and losses["right"][-1] < losses["right"][0] / 1000
    assert losses["sign"][-1] > losses["right"][0]


def test_classes_and_images_can_be_traced():
    classes = Trace(
        [Linear(3), ReLU(), Linear(2)], X, np.array([0, 1, 0, 1]), "softmax_cross_entropy", epochs=1
    )
    assert classes.right.caught is None
    image = Trace(
        [nanoae.Conv2d(2, 2), ReLU(), nanoae.Flatten(), Linear(1)],
        X.reshape(4, 1, 2, 2),
        X[:, :1],
        epochs=1,
    )
    assert image.right.caught is None and json.dumps(image.html())


SOURCE = Linear(3)


@pytest.mark.parametrize("middle", [
    [Linear(3), nanoae.Dropout(0.5)],
    [Linear(3), nanoae.BatchNorm()],
    [Linear(3), nanoae.LayerNorm()],
    [nanoae.GaussianNoise(0.3), Linear(3), nanoae.TopK(2)],
    [Linear(3), nanoae.L1Sparsity(0.1)],
    [Linear(6), nanoae.Gaussian(0.7)],
    [SOURCE, Tanh(), nanoae.TiedLinear(SOURCE)],
    [nanoae.Reshape((1, 2, 2)), nanoae.Conv2d(2, 2, padding=1), nanoae.MaxPool2d(2, 1), nanoae.Flatten()],
    [nanoae.Reshape((1, 2, 2)), nanoae.ConvTranspose2d(1, 2), nanoae.Flatten()],
    [nanoae.Reshape((2, 2)), nanoae.GRU(2), nanoae.Flatten()],
], ids=lambda middle: type(middle[-2]).__name__ + "-" + type(middle[-1]).__name__)  # fmt: skip
def test_other_layers_can_be_traced(middle):
    """Every number of every layer has its sum, whose terms say what they are and add up."""
    trace = Trace([*middle, Linear(4)], X, epochs=1)
    step = trace.right
    assert step.caught is None
    for broken in trace.broken:
        breakage = broken.breakage
        assert (broken.caught.layer, name(broken, broken.caught)) == (
            breakage.layer,
            breakage.wrong,
        )
    for move in step.moves:
        values = step.entries[move.result].values.ravel()
        assert sums(step, move) == pytest.approx(values, rel=1e-9, abs=1e-12), move.where
    for text, said, value in written_and_meant(step):
        assert said == pytest.approx(value, rel=1e-5, abs=1e-6), text
    assert trace.text() and trace.html()


def test_a_long_sequence_is_traced_however_its_states_hang_together():
    """A state is made of the one before it, and so on: more of them than calls may stand within each other."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        gru = [nanoae.Reshape((40, 1)), nanoae.GRU(1, last=True)]
        step = Trace(gru, X[:1].repeat(10, axis=1), np.ones((1, 1)), epochs=1).right
    finally:
        sys.setrecursionlimit(before)
    assert all(step.entries[move.result].sums for move in step.moves)


class Doubled(nanoae.Layer):
    """y = 2 x, by what only floats can bear."""

    def forward(self, x, train=False):
        self.cache = True
        return np.ldexp(x, 1)

    def backward(self, dy):
        return np.ldexp(dy, 1)


def test_a_layer_that_leaves_the_primitives_shows_no_sums_and_costs_no_other_its_own():
    step = Trace([Linear(3), Doubled(), Linear(4)], X, epochs=1).right
    assert step.caught is None
    for move in step.moves:
        assert bool(step.entries[move.result].sums) == ("Doubled" not in move.where)


@pytest.mark.parametrize(("arguments", "message"), [
    ((layers(Tanh), X[0]), r"expected x \(N, ...\) of 1 to 16 rows and as many targets, got \(4,\)"),
    ((layers(Tanh), np.full((4, 4), np.nan)), "expected finite numbers"),
    (([Linear(200), Linear(4)], X), "at most 600 parameters.*got 1,804"),
    (([], X), "expected 1 to 16 layers"),
])  # fmt: skip
def test_what_cannot_be_traced_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Trace(*arguments)


def test_as_text(capsys):
    assert main(["trace", "--text", "--break", "bias:2", "--sizes", "3-2-3", "--seed", "1"]) == 2
    assert "expected one of" in capsys.readouterr().err
    assert (
        main(
            [
                "trace",
                "--text",
                "--break",
                "bias:1",
                "--sizes",
                "3-2-3",
                "--seed",
                "1",
                "--epochs",
                "3",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "db = dy[0]" in printed and "by finite differences: WRONG in 3 of 3" in printed
    sums = re.findall(r"y\[0, 0\] = x\[0, 0\] · W\[0, 0\] \+ ... = (.*) = (\S+)", printed)
    assert len(sums) == 2
    for terms, value in sums:
        assert eval(terms.replace("·", "*")) == pytest.approx(float(value), abs=5e-4)


@pytest.mark.parametrize(("options", "message"), [
    (["--sizes", "4-3"], "--sizes: expected widths like 4-3-2-3-4"),
    (["--rows", "-3"], "expected x (N, ...) of 1 to 16 rows"),
    (["--epochs", "99999999999999999999"], "1 to 100,000 epochs"),
    (["--data", "digits"], "--sizes: expected 64, the width of the data"),
    (["--activation", "tahn"], "Did you mean 'tanh'"),
    (["--activation", "tahn", "--sizes", "4-3-4"], "Did you mean 'tanh'"),
    (["--break", "transposed"], "Did you mean"),
])  # fmt: skip
def test_mistakes_on_the_command_line(options, message, capsys, tmp_path):
    assert main(["trace", *options, "--out", str(tmp_path / "t.html")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.html").exists()


# ---------------------------------------------------------------- the page, in a browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "trace.html"
    assert main(["trace", "--out", str(path)]) == 0
    return path


SHOWN = """[document.querySelector("#count").innerText, document.querySelector("#move .formula").innerText,
    [...document.querySelectorAll("#move figure:first-child .cell")].map(cell => cell.title)]"""


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
def test_the_page_is_followed_with_the_arrow_keys(file, trace, open_page, width, dark):
    page, step = open_page(file, width, dark), trace.right
    for number, move in enumerate(step.moves):
        count, formula, cells = page.evaluate(SHOWN)
        assert count == f"move {number + 1} of {len(step.moves)}" and formula == move.formula
        np.testing.assert_array_equal(
            np.array(cells, float), step.entries[move.result].values.ravel()
        )
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert page.inner_text("#count").startswith("move 1 ")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == dark


def test_a_number_pointed_at_shows_the_sum_that_made_it(file, trace, open_page):
    page = open_page(file)
    page.hover("#move figure:first-child .cell:nth-child(6)")  # y[1, 2] of layer 0
    values, move = trace.right.entries[trace.right.moves[0].result].values, trace.right.moves[0]
    rows = page.eval_on_selector_all(
        "#sum tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert page.inner_text("#sum h2") == f"y[1, 2] = {values[1, 2]:.4f}"
    assert [row[0] for row in rows[:-1]] == [*(f"x[1, {i}] · W[{i}, 2]" for i in range(4)), "b[2]"]
    assert float(rows[-1][2]) == pytest.approx(sum(float(row[2]) for row in rows[:-1]), abs=1e-3)
    assert float(rows[-1][2]) == pytest.approx(sums(trace.right, move)[5], abs=1e-4)
    assert page.locator(".cell.part").count() == 9
    page.keyboard.press("ArrowRight")
    # the x of layer 1 is the y of layer 0
    page.hover("#move figure:nth-of-type(2) .cell:nth-child(6)")
    assert page.inner_text(
        "#sum h2"
    ) == f"y[1, 2] = {values[1, 2]:.4f}" and "layer 0" in page.inner_text("#sum")


def test_the_switch_turns_the_check_red(file, trace, open_page):
    page = open_page(file)
    page.keyboard.press("End")
    assert page.locator(".chip.bad").count() == 0
    for number, step in enumerate(trace.broken, 1):
        page.select_option("#switch", str(number))
        assert page.locator(".chip.bad").count() == sum(
            m.check is not None and not m.check.ok.all() for m in step.moves
        )
        assert f"first fails at {step.caught.where}: {step.breakage.wrong}" in page.inner_text(
            "#caught"
        )
        page.click("#caught button")
        assert page.locator("#move figure:first-child .cell.wrong").count() == np.count_nonzero(
            ~step.caught.check.ok
        )
        assert page.inner_text("#verdict").startswith("✗") and page.locator("polyline").count() == 2
        page.keyboard.press("End")
    page.select_option("#switch", "0")
    assert page.locator(".chip.bad").count() == 0 and page.locator("polyline").count() == 1


def test_classes_words_and_images_are_traced_too():
    classes = Trace([Linear(3)], X, np.array([0, 1, 2, 1]), "softmax_cross_entropy", epochs=1)
    move = next(move for move in classes.right.moves if name(classes.right, move) == "dy")
    dy = classes.right.entries[move.result].values
    assert sums(classes.right, move) == pytest.approx(dy.ravel())
    words = Trace(
        [nanoae.Embedding(5, 2), nanoae.Flatten(), Linear(3)], [[1, 2], [0, 4]], X[:2, :3]
    )
    images = Trace(
        [nanoae.Conv2d(2, 2), ReLU(), nanoae.Flatten(), Linear(4)], X.reshape(4, 1, 2, 2), X
    )
    for trace in (words, images):
        assert all(move.check is None or move.check.ok.all() for move in trace.right.moves)
        assert all(step.caught is not None for step in trace.broken)
    relu = next(move for move in images.right.moves if move.where.endswith("ReLU()"))
    y = images.right.entries[relu.result].values
    assert sums(images.right, relu) == pytest.approx(y.ravel())


@pytest.mark.parametrize(
    ("layers", "x", "told"),
    [
        (Linear(4), X, "expected a list of unbuilt layers"),
        ([Linear(4)], [["a", "b"]], "expected numbers, got text"),
        ([Linear(4)], np.full((2, 4), 1e300), "expected finite numbers in the whole step"),
    ],
)
def test_what_cannot_be_traced_is_told(layers, x, told):
    with pytest.raises(ValueError, match=f"Trace: {told}"):
        Trace(layers, x)
