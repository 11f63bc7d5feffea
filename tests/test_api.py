"""Does the library keep its manners? Inputs untouched, buffers owned, errors that help, files that can be trusted."""

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import example, given, settings
from hypothesis import strategies as st

import nanoae
from nanoae import (
    BCE,
    ELU,
    MSE,
    PCA,
    SGD,
    Adam,
    AdamW,
    Autoencoder,
    Constant,
    Cosine,
    Dropout,
    Huber,
    Identity,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    StepDecay,
    Tanh,
    TiedLinear,
    Trainer,
    WarmUp,
)
from nanoae.engine import activations, init, losses, optim
from nanoae.training.fusion import fuse

rng = np.random.default_rng(0)
X = rng.random((20, 6)).astype(np.float32)


def frozen(x):
    """x, and writing to it is an error where the device knows such a thing."""
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    return x


# ---------------------------------------------------------------- arguments and buffers


@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: layer.__name__)
def test_arguments_are_not_written(ops, dtype, device, layer):
    net = Sequential(EXAMPLES[layer]()).build(5, ops, dtype, random_state=0)
    x, dy = rng.standard_normal((4, 5)), rng.standard_normal((4, *net.output_shape))
    mine = frozen(device(x).copy()), frozen(device(dy).copy())
    for part in net.layers:
        part.need_dx = True
    net.forward(mine[0], train=True)
    net.backward(mine[1])
    for array, before in zip(mine, (x, dy), strict=True):
        assert (ops.to_numpy(array) == before.astype(dtype)).all()


@pytest.mark.parametrize("loss", ["mse", "bce", "l1", "huber"])
def test_losses_do_not_write_their_arguments(ops, dtype, device, loss):
    y, t = rng.random((2, 4, 5))
    mine = frozen(device(y).copy()), frozen(device(t).copy())
    criterion = losses.get(loss).build(ops, dtype)
    criterion.forward(*mine)
    assert (ops.to_numpy(mine[0]) == y.astype(dtype)).all() and (
        ops.to_numpy(mine[1]) == t.astype(dtype)
    ).all()
    assert criterion.backward() is not mine[0]


def small_net(ops, dtype="float32"):
    return Sequential([Linear(7), Tanh(), Linear(3)]).build(5, ops, dtype, random_state=0)


def test_forward_reuses_its_buffer(ops, dtype, device):
    net, x = small_net(ops, dtype), rng.standard_normal((8, 5))
    first = net.forward(device(x))
    assert net.forward(device(-x)) is first  # valid until the next call, no longer
    short = net.forward(device(x[:3]))
    assert short.base is first and short.shape == (3, 3)  # its leading rows


def test_a_short_batch_gives_what_it_would_give_alone(ops, dtype, device, close):
    used, fresh, x, dy = (
        small_net(ops, dtype),
        small_net(ops, dtype),
        rng.standard_normal((8, 5)),
        np.ones((8, 3)),
    )
    used.forward(device(x), train=True)
    used.backward(device(dy))
    y, alone = (net.forward(device(x[:3]), train=True) for net in (used, fresh))
    close(y, ops.to_numpy(alone))
    for net in (used, fresh):
        net.backward(device(dy[:3]))
    close(used.grad, ops.to_numpy(fresh.grad), scale=5)


@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: layer.__name__)
def test_backward_overwrites_its_gradients(ops, dtype, device, layer):
    net = Sequential(EXAMPLES[layer]()).build(5, ops, dtype, random_state=0)
    x, dy = device(rng.standard_normal((4, 5))), device(rng.standard_normal((4, *net.output_shape)))
    gradients = []
    for _ in range(2):
        net.forward(x, train=True)
        net.freeze_noise(True)
        net.backward(dy)
        gradients.append(ops.to_numpy(net.grad).copy())
    assert (gradients[0] == gradients[1]).all()


def test_params_and_grads_are_views_of_theta_and_grad(ops):
    net = Sequential([Linear(7), Tanh(), Linear(5)]).build(5, ops, random_state=0)
    net.theta[...], net.grad[...] = 2, 3
    for layer in net.layers:
        assert layer.params.keys() == layer.grads.keys()
        assert all((ops.to_numpy(layer.params[k]) == 2).all() and (ops.to_numpy(layer.grads[k]) == 3).all()
                   for k in layer.params)  # fmt: skip


def test_results_are_copies(ops):
    """What a user holds does not change under him."""
    ae = Autoencoder(2, (4,), epochs=1, backend=ops, random_state=0).fit(X)
    for method in (ae.transform, ae.reconstruct, lambda x: ae.inverse_transform(ae.transform(x))):
        first = method(X)
        kept = first.copy()
        second = method(1 - X)
        assert (first == kept).all() and not np.shares_memory(first, second)
        first[...] = 7
        assert (method(X) == kept).all()


ESTIMATORS = {
    "default": Autoencoder(2, (4,), loss="bce", epochs=1),
    "PCA": PCA(2),
    "nothing learned": Autoencoder(
        encoder=[Identity()], decoder=[Dropout(0.1)], loss="bce", epochs=1
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_do_not_write_their_arguments(name):
    x, estimator = frozen(X.copy()), ESTIMATORS[name]
    estimator.fit(x)
    codes = frozen(estimator.transform(x))
    for method in (estimator.reconstruct, estimator.score, estimator.evaluate):
        method(x)
    estimator.inverse_transform(codes)
    assert (x == X).all()


LAYOUTS = {
    "list": lambda x: x.tolist(),
    "float64": lambda x: x.astype(np.float64),
    "Fortran order": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "other byte order": lambda x: x.astype(">f4"),
    "read-only": lambda x: frozen(x.copy()),
    "object": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "bytes": lambda x: x.astype("S8"),
    "int": lambda x: x.astype(np.int64),
    "uint8": lambda x: x.astype(np.uint8),
    "data frame": lambda x: pytest.importorskip("pandas").DataFrame(x, columns=list("abcdef")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_a_table_does_not_matter(ops, layout):
    x = np.round(8 * X)  # whole numbers, which every type can hold
    for estimator in (Autoencoder(2, (4,), epochs=2, backend=ops, random_state=0), PCA(2)):
        expected, got = (
            estimator.fit(x).transform(x),
            estimator.fit(LAYOUTS[layout](x)).transform(LAYOUTS[layout](x)),
        )
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(
            estimator.reconstruct(LAYOUTS[layout](x)), estimator.reconstruct(x)
        )


# ---------------------------------------------------------------- memory


def growth(middle, loss="mse", optimizer=None, head=None):
    """Bytes by which memory peaks above its level during 20 training steps on 256 rows, after a warm-up.

    The network goes 2 -> 400 -> `middle` -> `head` -> 400: wide arrays between small matrices.
    """
    net = Sequential([Linear(400), *middle, *(head or [Linear(2), Linear(400)])]).build(
        2, random_state=0
    )
    trainer = Trainer(
        net, losses.get(loss), optimizer or Adam(), batch_size=256, epochs=1, rows=256
    )
    x, t = (np.random.default_rng(0).random((512, width)).astype(np.float32) for width in (2, 400))
    order = np.random.default_rng(0).permutation(512)

    def steps(count):
        for i in range(count):
            rows = order[: 200 if i % 3 else 256]  # a short batch now and then
            trainer.step(
                net.ops.take_rows(x, rows, out=trainer.buffer("x", (len(rows), 2))), t[: len(rows)]
            )

    tracemalloc.start()
    try:
        steps(4)
        assert (
            sum(array.nbytes for layer in net.layers for array in layer.buffers.values()) > 1 << 20
        )
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        steps(20)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# NumPy adds a bias through a buffer of 32 kB; a wide batch is 409,600 bytes, its mask 102,400
SMALL = 48 * 1024

STEPS = {
    **{f"with {cls.__name__}": ([cls()],) for cls in
       (ReLU, LeakyReLU, ELU, Sigmoid, Tanh, Softplus, Dropout, Identity)},
    **{f"with {loss}": ([ReLU()], loss) for loss in ("bce", "l1", "huber")},
    "with tied weights": ([], "mse", None, (source := Linear(2)) and [source, Tanh(), TiedLinear(source)]),
    **{f"with {optimizer}": ([Tanh()], "mse", optimizer, [Linear(50), Linear(400)])  # a theta of 170,000 bytes
       for optimizer in (SGD(0.1, 0.9, True, 0.1, 1.0), SGD(0.1), AdamW(clip_norm=1.0), Adam(weight_decay=0.1))},
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_allocates_nothing(name):
    assert growth(*STEPS[name]) < SMALL


@pytest.mark.parametrize("targets", [False, True])
@pytest.mark.parametrize("stored", [np.float32, np.uint8])
def test_an_epoch_allocates_no_batch(stored, targets):
    """The gather, too: an epoch of 16 batches of 64 x 1,024 bytes may allocate the order of its rows, and no batch."""
    net = Sequential([Linear(8), Linear(1024)]).build(1024, random_state=0)
    trainer = Trainer(net, MSE(), SGD(), batch_size=64, epochs=1, rows=1000)
    x = np.random.default_rng(0).integers(0, 256, (1000, 1024), np.uint8).astype(stored)
    t = np.zeros((1000, 1024), np.float32) if targets else None
    tracemalloc.start()
    try:
        trainer.epoch(x, t, scale=1 / 255)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        trainer.epoch(x, t, scale=1 / 255)
        assert tracemalloc.get_traced_memory()[1] - before < 64 * 1024  # a batch of bytes
    finally:
        tracemalloc.stop()


def test_an_allocation_would_be_seen():
    class Wasteful(Tanh):
        def df(self, dy, y, out):
            return dy * (1 - y * y)  # right, but in new memory

    assert growth([Wasteful()]) > 256 * 400 * 4


# ---------------------------------------------------------------- importing


def test_importing_needs_numpy_alone_and_nothing_slow():
    extras = ("cupy", "matplotlib", "tqdm", "sklearn", "scipy", "pandas", "torch")
    slow = (
        "concurrent",
        "difflib",
        "gzip",
        "hashlib",
        "http",
        "numpy.random",
        "tempfile",
        "urllib.request",
        "zipfile",
    )
    code = (
        "import sys, numpy; before = set(sys.modules); import nanoae;"
        f"print(sorted((set(sys.modules) - before) & set({extras + slow})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(nanoae.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_public_names_exist():
    assert set(nanoae.__all__) <= set(dir(nanoae))  # also those that are imported when asked for
    assert all(hasattr(nanoae, name) for name in nanoae.__all__)


# ---------------------------------------------------------------- errors: class, expected, got, hint


@pytest.mark.parametrize(
    "layer",
    [layer for layer in EXAMPLES if layer is not Identity],
    ids=lambda layer: layer.__name__,
)
def test_backward_needs_a_forward_in_training(ops, layer):
    net = Sequential(EXAMPLES[layer]()).build(5, ops, random_state=0)
    x, dy = ops.zeros((4, 5), net.dtype), ops.zeros((4, *net.output_shape), net.dtype)
    net.forward(x)
    with pytest.raises(
        RuntimeError, match=r"expected forward\(x, train=True\) before backward, got nothing cached"
    ):
        net.backward(dy)
    net.forward(x, train=True)
    net.backward(dy)
    with pytest.raises(RuntimeError, match="Each backward uses up one forward"):
        net.backward(dy)


@pytest.mark.parametrize("rewritten", [lambda net: net, fuse], ids=["plain", "fused"])
@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: layer.__name__)
def test_a_forward_outside_training_leaves_nothing_for_backward(ops, layer, rewritten):
    net = rewritten(Sequential(EXAMPLES[layer]()).build(5, ops, random_state=0))
    x = ops.zeros((4, 5), net.dtype)
    net.forward(x, train=True)
    net.forward(x)
    for part in net.layers:
        with pytest.raises(RuntimeError, match="got nothing cached"):
            part.backward(ops.zeros((4, *getattr(part, "layer", part).out_shape), net.dtype))


def built(*parts, shape=5):
    return Sequential(list(parts)).build(shape, random_state=0)


ERRORS = {
    r"Linear\(5, 3\): expected x of shape \(N, 5\), got \(4, 6\). Is this the table":
        lambda: built(Linear(3)).forward(np.ones((4, 6), np.float32)),
    r"Linear\(5, 3\): expected x of shape \(N, 5\), got \(4, 5, 1\). Flatten the images first.":
        lambda: built(Linear(3)).forward(np.ones((4, 5, 1), np.float32)),
    r"Tanh\(\): expected x of shape \(N, 5\), got \(4, 6\)": lambda: built(Tanh()).forward(np.ones((4, 6))),
    r"Linear\(3\): expected inputs of shape \(N, I\), got \(N, 28, 28\). Flatten":
        lambda: built(Linear(3), shape=(28, 28)),
    r"TiedLinear\(Linear\(5, 3\)\): expected inputs of shape \(N, 3\), .* got \(N, 4\)":
        lambda: (a := Linear(3)) and built(a, Linear(4), TiedLinear(a)),
    r"dtype: expected one of float32, float64, got 'float16'":
        lambda: Sequential([Linear(3)]).build(5, dtype="float16"),
    r"Dropout: expected p in \[0, 1\), got 1": lambda: Dropout(1),
    r"LeakyReLU: expected slope in \[0, 1\], got 2": lambda: LeakyReLU(2),
    r"ELU: expected alpha > 0, got 0": lambda: ELU(0),
    r"Huber: expected delta > 0, got -1": lambda: Huber(-1),
    r"MSE: reduction: expected one of mean, batch, sum, got 'average'": lambda: MSE("average"),
    r"Adam: expected lr >= 0, got -1": lambda: Adam(-1),
    r"Adam: expected lr >= 0, got nan": lambda: Adam(float("nan")),
    r"AdamW: expected weight_decay >= 0, got -1": lambda: AdamW(weight_decay=-1),
    r"SGD: expected clip_norm > 0 or None, got 0": lambda: SGD(clip_norm=0),
    r"SGD: expected momentum > 0 with nesterov=True, got 0": lambda: SGD(nesterov=True),
    r"activation: expected one of identity, relu, .*, got 'swish'": lambda: activations.activation("swish"),
    r"initializer: expected one of lecun_uniform, .*, got 'orthogonal'": lambda: init.get("orthogonal"),
    r"loss: expected one of mse, .*, got 'hinge'": lambda: losses.get("hinge"),
    r"optimizer: expected one of sgd, .*, got 'lion'": lambda: optim.get("lion", 1e-3, 0),
}  # fmt: skip


@pytest.mark.parametrize("message", ERRORS)
def test_errors_say_what_was_expected_and_what_came(message):
    with pytest.raises(ValueError, match=message):
        ERRORS[message]()


# ---------------------------------------------------------------- keeping: save, load, pickle

MODELS = {
    "default": Autoencoder(),
    "tied": Autoencoder(3, (5, 4), tied_weights=True, activation="tanh"),
    "own layers": Autoencoder(
        encoder=[Linear(7, init="lecun_normal"), LeakyReLU(0.3), Dropout(0.2), Linear(2)],
        decoder=[ELU(0.4), Linear(6, bias_init="ones"), Softplus(), Linear(6)],
    ),
    "own parts": Autoencoder(
        3, loss=Huber(0.3, "batch", 0.5), optimizer=SGD(WarmUp(Cosine(0.1), 3), 0.9, True)
    ),
    "schedule": Autoencoder(
        np.int64(3), [4], loss=BCE("sum"), learning_rate=StepDecay(1e-3, 10), dtype="float64"
    ),
    "constant": Autoencoder(
        3, optimizer=AdamW(Constant(1e-3), clip_norm=1.0), output_activation="sigmoid"
    ),
    "PCA": PCA(3),
}


def fitted(name, ops="numpy"):
    model = MODELS[name]
    model = type(model)(**model.get_params(deep=False))
    if name != "PCA":
        model.set_params(epochs=2, random_state=0, backend=getattr(ops, "name", ops))
    return model.fit(X)


def same(a, b):
    """Two models that give the same bits, and say the same (JSON has no tuples)."""
    assert type(a) is type(b)
    mine, theirs = (
        repr(model.get_params()).translate(str.maketrans("()", "[]")).replace(",]", "]")
        for model in (a, b)
    )
    assert mine == theirs
    assert np.array_equal(a.get_feature_names_out(), b.get_feature_names_out())
    for method in ("transform", "reconstruct", "evaluate", "score"):
        mine, theirs = (getattr(model, method)(X) for model in (a, b))
        assert (mine == theirs) if isinstance(mine, dict) else np.array_equal(mine, theirs), method
    assert getattr(a, "history_", None) == getattr(b, "history_", None)
    return True


@pytest.mark.parametrize("name", MODELS)
def test_save_and_load_keep_every_bit(ops, name, tmp_path):
    model = fitted(name, ops)
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    loaded.save(str(tmp_path / "again.npz"))
    if name == "schedule":
        model.set_params(code_size=3)  # a NumPy integer comes back as a plain one
    assert same(model, loaded) and same(model, nanoae.load(str(tmp_path / "again.npz")))
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["again.npz", "model.npz"]


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_can_learn_on(name, tmp_path):
    fitted(name).save(tmp_path / "model.npz")
    model = nanoae.load(tmp_path / "model.npz")
    if name != "PCA":
        before = model.score(X)
        for _ in range(100):
            model.partial_fit(X)
        assert model.score(X) > before
    model.fit(X)


@pytest.mark.parametrize("name", MODELS)
def test_pickle_keeps_every_bit(name):
    model = fitted(name)
    assert same(model, pickle.loads(pickle.dumps(model)))


def test_an_unbuilt_network_can_be_pickled():
    net = pickle.loads(pickle.dumps(Sequential([Linear(3), Tanh()])))
    assert net.build(5, random_state=0).forward(np.ones((2, 5), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("name", ["default", "PCA"])
def test_column_names_are_kept(name, tmp_path):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcdef"))
    ESTIMATORS[name].fit(frame).save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="feature names should match"):
        nanoae.load(tmp_path / "model.npz").transform(frame[list("fedcba")])


def test_callbacks_are_code_and_not_saved(tmp_path):
    model = Autoencoder(
        2, (4,), epochs=1, backend="numpy", callbacks=(lambda trainer, row: None,)
    ).fit(X)
    with pytest.warns(UserWarning, match="callbacks are code and are not saved"):
        model.save(tmp_path / "model.npz")
    assert nanoae.load(tmp_path / "model.npz").callbacks == ()


def test_saving_is_atomic(tmp_path, monkeypatch):
    """A disk that fills up half-way leaves the old model whole, and nothing beside it."""
    fitted("PCA").save(tmp_path / "model.npz")
    before = (tmp_path / "model.npz").read_bytes()

    def full_disk(file, **arrays):
        file.write(b"half a model")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        fitted("default").save(tmp_path / "model.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
    assert (tmp_path / "model.npz").read_bytes() == before


# ---------------------------------------------------------------- files that cannot be trusted


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a valid model, and a path to write bad ones to."""
    path = tmp_path_factory.mktemp("models") / "model.npz"
    fitted("tied").save(path)
    return path.read_bytes(), path.with_name("bad.npz")


def load_bytes(path, data):
    path.write_bytes(data)
    return nanoae.load(path)


@given(data=st.data())
@settings(max_examples=150, deadline=2000)
def test_random_damage_is_one_clear_error(good, data):
    sound, path = good
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4), label="flips")):
        damaged[data.draw(st.integers(0, len(sound) - 1), label="at")] ^= data.draw(
            st.integers(1, 255), label="bits"
        )
    cut = data.draw(st.one_of(st.just(len(sound)), st.integers(0, len(sound))), label="cut")
    try:
        load_bytes(path, bytes(damaged[:cut])).transform(X)
    except (ValueError, OSError) as error:
        assert str(path) in str(error)


@given(st.binary(max_size=300))
@example(b"")
@example(pickle.dumps({"format": 1}))
@example(b"PK\x05\x06" + bytes(18))  # an empty zip
@settings(max_examples=50, deadline=2000)
def test_any_bytes_are_one_clear_error(good, junk):
    with pytest.raises(ValueError, match=r"bad.npz: expected"):
        load_bytes(good[1], junk)


def with_header(good, change):
    """Load the sound model with another header: change(header) alters it, or returns new text."""
    sound, path = good
    path.write_bytes(sound)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(bytes(arrays.pop("header")))
    text = change(header)
    text = text if isinstance(text, str) else json.dumps(header)
    np.savez(path, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    return nanoae.load(path)


def put(*keys):
    """put("params", "loss", 3): a change that sets header["params"]["loss"] = 3."""

    def change(header):
        *path, last, value = keys
        for key in path:
            header = header[key]
        header[last] = value

    return change


HOSTILE = {
    "a future format": put("format", 2),
    "no format": lambda header: "{}",
    "a list": lambda header: "[1]",
    "not JSON": lambda header: "{",
    "an unknown class": put("class", "Virus"),
    "a class that is no model": put("class", "Linear"),
    "an unknown parameter": put("params", "virus", 1),
    "parameters that are a list": put("params", []),
    "an unknown part": put("params", "loss", {"type": "Virus"}),
    "a part with a wrong setting": put("params", "loss", {"type": "MSE", "virus": 1}),
    "a reference to nothing": put("params", "loss", {"part": 7}),
    "another width": put("input_shape", [7]),
    "another depth": put("params", "hidden", [5]),
    "a negative width": put("params", "hidden", [-5, 4]),
    "text for a width": put("params", "code_size", "three"),
    "an unknown backend": put("params", "backend", "tpu"),
    "an unknown dtype": put("params", "dtype", "virus"),
    "no history": lambda header: json.dumps({k: v for k, v in header.items() if k != "history"}),
    "the base class": lambda header: json.dumps({**header, "class": "Estimator", "params": {}}),
    "deep nesting": lambda header: "[" * 100_000,
    "an infinite width": put("input_shape", [float("inf")]),
    "a width that fills memory": put("params", "hidden", [10**15, 4]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_one_clear_error(good, name):
    with pytest.raises(ValueError, match=r"bad.npz: expected"):
        with_header(good, HOSTILE[name])


def test_a_future_format_says_what_to_do(good):
    with pytest.raises(
        ValueError, match=r"expected model format 1, got 2. Update nanoae: pip install -U nanoae"
    ):
        with_header(good, put("format", 2))


def test_a_pickle_inside_is_refused_unopened(good, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.savez(good[1], header=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match=r"bad.npz: expected .*[Pp]ickle"):
        nanoae.load(good[1])
    assert not (tmp_path / "exploded").exists()


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        nanoae.load(tmp_path / "none.npz")


def test_a_model_made_on_a_gpu_opens_without_one(good, monkeypatch):
    monkeypatch.delenv("NANOAE_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    model = with_header(good, put("params", "backend", "cupy"))
    assert model.network_.ops.name == "numpy" and model.transform(X).shape == (20, 3)


# ---------------------------------------------------------------- what is saved is what was trained


@pytest.mark.parametrize(
    "settings",
    [
        {"dtype": np.float32},
        {"random_state": np.random.default_rng(0)},
        {"backend": nanoae.get_ops("numpy")},
    ],
)
def test_settings_that_are_objects_can_be_saved(settings, tmp_path):
    ae = Autoencoder(2, (4,), epochs=1, **{"backend": "numpy", **settings}).fit(X)
    ae.save(tmp_path / "model.npz")
    assert (nanoae.load(tmp_path / "model.npz").transform(X) == ae.transform(X)).all()


def test_a_model_is_saved_as_it_was_trained(tmp_path):
    ae = Autoencoder(2, (4,), epochs=1, backend="numpy").fit(X).set_params(code_size=3)
    ae.save(tmp_path / "model.npz")
    assert nanoae.load(tmp_path / "model.npz").transform(X).shape == (len(X), 2)


def test_a_loss_needs_targets_of_its_outputs_shape():
    ops = nanoae.get_ops("numpy")
    with pytest.raises(
        ValueError, match=r"expected targets with the outputs' shape \(4, 5\), got \(4, 1\)"
    ):
        nanoae.MSE().build(ops, np.float32).forward(
            np.ones((4, 5), np.float32), np.ones((4, 1), np.float32)
        )
    with pytest.raises(RuntimeError, match="before backward"):
        nanoae.MSE().build(ops, np.float32).backward()
