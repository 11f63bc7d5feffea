"""Are missing values and categories learned as the mathematics says, and are tables read as they stand?"""

import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import odd_tables
from hypothesis import given, settings
from hypothesis import strategies as st

import nanoae
from nanoae import (
    BCE,
    L1,
    MSE,
    Autoencoder,
    FillMissing,
    Huber,
    Linear,
    Masked,
    Mixed,
    Sequential,
    TableEncoder,
)
from nanoae.data.table import Table, read_table
from nanoae.engine import losses
from nanoae.training.costs import elements

rng = np.random.default_rng(0)
BLOCKS = (1, 3, 1, 1, 2, 2)  # numbers, and categories of 3, 2 and 2
ONE_HOT = np.array(
    [[0.5, 0, 1, 0, -2.0, 0.3, 1, 0, 0, 1], [1.5, 1, 0, 0, 0.1, -0.7, 0, 1, 0, 1]] * 3
)
Y = rng.standard_normal(ONE_HOT.shape)
GAPS = ONE_HOT.copy()
GAPS[0, 0] = GAPS[2, 1:4] = GAPS[3, 5] = GAPS[5, 6:8] = np.nan


def column_costs(y, t, blocks=BLOCKS):
    """What each column of each row costs, (N, columns), by the definition, and 0 where it is missing."""
    costs, start = np.zeros((len(y), len(blocks))), 0
    for j, width in enumerate(blocks):
        for n in range(len(y)):
            z, known = y[n, start : start + width], t[n, start : start + width]
            if np.isnan(known).any():
                continue
            if width == 1:
                costs[n, j] = (z[0] - known[0]) ** 2
            else:
                total = sum(math.exp(value) for value in z)
                costs[n, j] = -sum(
                    s * math.log(math.exp(value) / total) for s, value in zip(known, z, strict=True)
                )
        start += width
    return costs


FACTORS = {"mean": 1 / (6 * 6), "batch": 1 / 6, "sum": 1.0}


# ---------------------------------------------------------------- the primitives


def test_present_and_fill_missing(ops, device, close):
    known = ~np.isnan(GAPS)
    close(ops.present(device(GAPS), out=device(np.zeros(GAPS.shape))), known)
    close(
        ops.fill_missing(device(Y), device(GAPS), 7.0, out=device(np.zeros(GAPS.shape))),
        np.where(known, Y, 7),
    )
    center = np.arange(10.0)
    filled = ops.fill_missing(
        device(GAPS), device(GAPS), device(center), out=device(np.zeros(GAPS.shape))
    )
    close(filled, np.where(known, GAPS, center))


def test_cross_entropy_of_shares(ops, device, close):
    z, t = rng.standard_normal((5, 2, 4)), rng.random((5, 2, 4))
    t[3, 1] = 0
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    dz = device(np.full(z.shape, np.nan))
    close(
        ops.cross_entropy(device(z), device(t), 0.3, out=dz), -0.3 * (t * np.log(p)).sum(), scale=20
    )
    close(dz, 0.3 * (p * t.sum(axis=-1, keepdims=True) - t))
    far = ops.cross_entropy(device(1000 * z), device(t), 1.0, out=dz)
    assert np.isfinite(float(far)) and np.isfinite(ops.to_numpy(dz)).all()


# ---------------------------------------------------------------- the losses


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_mixed_is_squares_of_numbers_and_cross_entropies_of_categories(
    ops, dtype, device, close, reduction, weight
):
    loss = Mixed(BLOCKS, reduction, weight).build(ops, dtype)
    expected = weight * FACTORS[reduction] * column_costs(Y, ONE_HOT).sum()
    close(loss.forward(device(Y), device(ONE_HOT)), expected, scale=expected)
    costs = elements(loss, device(Y), device(ONE_HOT))
    close(costs, column_costs(Y, ONE_HOT), scale=10)


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_what_is_missing_counts_for_nothing(ops, dtype, device, close, reduction):
    loss = Masked(Mixed(BLOCKS, reduction)).build(ops, dtype)
    factor = {**FACTORS, "mean": 1 / (36 - 4)}[reduction]  # four columns of rows are missing
    expected = factor * column_costs(Y, GAPS).sum()
    close(loss.forward(device(Y), device(GAPS)), expected, scale=expected)
    dy = ops.to_numpy(loss.backward())
    assert (dy[np.isnan(GAPS)] == 0).all() and (dy[~np.isnan(GAPS)] != 0).all()


@pytest.mark.parametrize(
    "inner", [MSE("mean", 0.5), L1("batch"), Huber(0.7, "sum"), BCE()], ids=repr
)
def test_masked_is_the_loss_of_what_is_left(ops, dtype, device, close, inner):
    """On a table whose gaps are whole columns the loss is that of the table without them."""
    t = rng.random((6, 5))
    t[:, [1, 3]] = np.nan
    y, left = rng.standard_normal((6, 5)), [0, 2, 4]
    masked, plain = Masked(inner).build(ops, dtype), losses.get(inner).build(ops, dtype)
    expected = plain.forward(device(y[:, left]), device(t[:, left]))
    close(masked.forward(device(y), device(t)), ops.to_numpy(expected), scale=10)
    close(ops.to_numpy(masked.backward())[:, left], ops.to_numpy(plain.backward()))
    assert not ops.to_numpy(masked.backward())[:, [1, 3]].any()
    close(masked.forward(device(y[:2]), device(np.full((2, 5), np.nan))), 0)  # nothing is known
    assert not ops.to_numpy(masked.backward()).any()


def test_without_gaps_masked_changes_nothing(ops, dtype, device, close):
    masked, plain = Masked(Mixed(BLOCKS)).build(ops, dtype), Mixed(BLOCKS).build(ops, dtype)
    close(
        masked.forward(device(Y), device(ONE_HOT)),
        ops.to_numpy(plain.forward(device(Y), device(ONE_HOT))),
        scale=5,
    )
    close(masked.backward(), ops.to_numpy(plain.backward()))


def test_the_output_of_mixed_is_numbers_and_probabilities(ops, dtype, device, close):
    again = Mixed(BLOCKS).build(ops, dtype).predict(device(Y), None)
    again = ops.to_numpy(again)
    close(again[:, [0, 4, 5]], Y[:, [0, 4, 5]])
    close(again[:, 1:4].sum(axis=1), np.ones(6))
    close(again[:, 6:8], np.exp(Y[:, 6:8]) / np.exp(Y[:, 6:8]).sum(axis=1, keepdims=True))


def test_the_layer_fills_with_its_center_and_passes_no_gradient_there(ops, device, close):
    net = Sequential([Linear(10), FillMissing()]).build(10, ops, "float64", random_state=0)
    layer = net.layers[1]
    layer.state["center"][...] = 5.0
    x = ops.to_device(GAPS)
    known = ~np.isnan(GAPS)
    np.testing.assert_array_equal(
        ops.to_numpy(layer.forward(x, train=True)), np.where(known, GAPS, 5)
    )
    np.testing.assert_array_equal(
        ops.to_numpy(layer.backward(ops.to_device(Y))), np.where(known, Y, 0)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixed(()), "expected blocks"),
        (lambda: Mixed((1, 0)), "expected blocks"),
        (lambda: Masked(nanoae.SoftmaxCrossEntropy()), "expected mse, bce"),
        (lambda: Masked(nanoae.GaussianNLL()), "expected mse, bce"),
        (lambda: Masked("mixed"), "expected one of"),
        (
            lambda: Mixed((1, 2)).build(nanoae.get_ops("numpy"), "float64").forward(Y, Y),
            "rows of 3 numbers",
        ),
    ],
)
def test_losses_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    y = torch.tensor(Y, requires_grad=True)
    t, known = torch.tensor(np.nan_to_num(GAPS)), torch.tensor(~np.isnan(GAPS))
    total, start = 0.0, 0
    for width in BLOCKS:
        block = slice(start, start + width)
        if width == 1:
            total = total + torch.where(known[:, block], (y - t)[:, block] ** 2, 0.0).sum()
        else:
            each = torch.nn.functional.cross_entropy(y[:, block], t[:, block], reduction="none")
            total = total + each[known[:, start]].sum()
        start += width
    (total / 32).backward()
    loss = Masked(Mixed(BLOCKS)).build(nanoae.get_ops("numpy"), "float64")
    assert float(loss.forward(Y, GAPS)) == pytest.approx(float(total.detach()) / 32, rel=1e-12)
    np.testing.assert_allclose(loss.backward(), y.grad.numpy(), atol=1e-12)


# ---------------------------------------------------------------- autoencoders of tables with gaps


def low_rank(n=300, d=6, gaps=0.2, seed=0):
    """(a table of rank 2, the same with a share of its values NaN)."""
    random = np.random.default_rng(seed)
    whole = random.standard_normal((n, 2)) @ random.standard_normal((2, d)) + 3
    return whole, np.where(random.random((n, d)) < gaps, np.nan, whole)


def gaps_autoencoder(**settings):
    return Autoencoder(2, (16,), **{"missing": "mask", "epochs": 60, "batch_size": 32, "random_state": 0,
                                    "learning_rate": 3e-3, "activation": "tanh", **settings})  # fmt: skip


def test_an_autoencoder_fills_in_what_is_missing():
    whole, table = low_rank()
    gaps = np.isnan(table)
    ae = gaps_autoencoder(corruption=nanoae.MaskingNoise(0.1)).fit(table)
    again = ae.reconstruct(table)
    assert np.isfinite(again).all() and np.isfinite(ae.transform(table)).all()
    by_mean = np.nanmean(table, axis=0) - whole
    assert ((again - whole)[gaps] ** 2).mean() < 0.5 * (by_mean[gaps] ** 2).mean()


def test_what_is_missing_is_in_no_error():
    _, table = low_rank()
    ae = gaps_autoencoder(epochs=2).fit(table)
    errors, known = ae.reconstruction_error(table, per="element"), ~np.isnan(table)
    np.testing.assert_array_equal(np.isnan(errors), ~known)
    np.testing.assert_allclose(
        ae.reconstruction_error(table), np.nanmean(errors, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        ae.reconstruction_error(table, per="feature"), np.nanmean(errors, axis=0), rtol=1e-5
    )
    assert ae.evaluate(table[:256])["loss"] == pytest.approx(np.nanmean(errors[:256]), rel=1e-4)


def test_without_gaps_mask_changes_nothing(digits):
    x = digits[0][:200]
    models = (
        Autoencoder(4, (8,), epochs=2, missing=missing, random_state=0)
        for missing in ("error", "mask")
    )
    plain, mask = (model.fit(x) for model in models)
    np.testing.assert_allclose(mask.reconstruct(x), plain.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{}, {"loss": "bce"}, {"loss": Mixed((1, 2, 1, 1, 1))}, {"tied_weights": True}],
    ids=str,
)
def test_a_column_of_nothing_and_a_constant_one(settings):
    table = np.abs(low_rank()[1]) / 30
    table[:, 0], table[:, 3] = np.nan, 0.5
    table[:, 1:3] = np.where(np.isnan(table[:, 1:3]).any(axis=1, keepdims=True), np.nan, [0.0, 1.0])
    ae = gaps_autoencoder(epochs=2, **settings).fit(table)
    assert np.isfinite(ae.reconstruct(table)).all() and np.isfinite(ae.history_["loss"]).all()


def test_a_model_with_gaps_is_saved_with_its_means(tmp_path):
    _, table = low_rank()
    ae = gaps_autoencoder(epochs=2, loss=Mixed((1,) * 6)).fit(table)
    ae.save(tmp_path / "model.npz")
    twin = nanoae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(twin.reconstruct(table), ae.reconstruct(table))
    center = twin.network_.ops.to_numpy(twin.network_.layers[0].state["center"])
    np.testing.assert_allclose(center, np.nanmean(table, axis=0), rtol=1e-5)


def test_nan_is_an_error_unless_it_is_masked():
    _, table = low_rank()
    with pytest.raises(ValueError, match=r'NaN in row .* missing="mask"'):
        gaps_autoencoder(missing="error").fit(table)
    with pytest.raises(ValueError, match="missing: expected one of error, mask"):
        gaps_autoencoder(missing="mean").fit(table)
    table[3, 2] = np.inf
    with pytest.raises(ValueError, match="got infinity in row 3, column 2"):
        gaps_autoencoder().fit(table)


# ---------------------------------------------------------------- tables as arrays

CSV = """age, colour ,size,note
31,red,2.5,
44,blue,?,NA
,red,1e3,x
27,,0.5,x
"""


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8", name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def columns(table):
    return [table.column(i).tolist() for i in range(len(table.names))]


def equal(mine, other):
    return repr(mine) == repr(other)  # NaN equals nothing


def test_a_csv_file_with_gaps_and_text(file):
    table = read_table(file(CSV))
    assert (
        table.names == ["age", "colour", "size", "note"]
        and len(table) == 4
        and list(table.rows) == [2, 3, 4, 5]
    )
    expected = [[31.0, 44.0, math.nan, 27.0], ["red", "blue", "red", None],
                [2.5, math.nan, 1000.0, 0.5], [None, None, "x", "x"]]  # fmt: skip
    assert equal(columns(table), expected)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text,
    lambda text: text.replace(",", ";"),
    lambda text: text.replace(",", "\t"),
    lambda text: text.replace("red", '"red"').replace("31", '"31"'),
    lambda text: text + "\n\n",
    lambda text: text.rstrip("\n"),
], ids=["CRLF", "BOM", "semicolons", "tabs", "quotes", "empty lines", "no last newline"])  # fmt: skip
def test_the_same_table_in_other_files(file, change):
    assert equal(
        columns(read_table(file(change(CSV)))), columns(read_table(file(CSV, name="plain.csv")))
    )


def test_quoted_cells_may_hold_anything(file):
    table = read_table(file('name,"a, b"\n"two\nlines","x ""quoted"", y"\nplain,z\n'))
    assert table.names == ["name", "a, b"] and columns(table) == [
        ["two\nlines", "plain"],
        ['x "quoted", y', "z"],
    ]
    assert list(table.rows) == [3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "expected 2 cells in row 3, got 1"),
        ("a,b,a\n1,2,3\n", "expected columns with distinct names, got 'a' twice"),
        ("", "expected rows of cells, got none"),
        ("a,b\n", "expected rows of cells, got none"),
        ("\n\n", "expected rows of cells, got none"),
        (b"a,b\n\xff\xfe,2\n", "expected a valid CSV table in UTF-8"),
        ('a,b\n1,"2\n3,4\n', "expected"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told(file, text, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(read_table(file(text)))


def test_a_text_among_numbers_is_a_mistake(file):
    rows = "".join(f"{i},{i % 3}\n" for i in range(40))
    path = file(f"a,b\n{rows}oops,1\n")
    with pytest.raises(
        ValueError, match=r"table.csv: expected a number in row 42, column 'a', .* got 'oops'"
    ):
        TableEncoder().fit(read_table(path))
    with pytest.raises(ValueError, match=r"expected finite numbers, got inf in row 42, column 'b'"):
        TableEncoder().fit(read_table(file(f"a,b\n{rows}3,inf\n")))


def test_the_code_of_a_table():
    table = Table(["n", "c"], [np.array([1.0, 2, 3, 4, np.nan]), np.array(["b", "a", None, "b", "b"], dtype=object)],
                  range(5))  # fmt: skip
    encoder = TableEncoder().fit(table)
    assert encoder.blocks_ == (1, 3) and encoder.categories_ == [None, ["a", "b"]]
    assert encoder.get_feature_names_out().tolist() == ["n", "c=a", "c=b", "c=other"]
    code = encoder.transform(table)
    scale = 1.5 / 1.3489795
    nan = np.nan
    np.testing.assert_allclose(
        code[:, 0], [-1.5 / scale, -0.5 / scale, 0.5 / scale, 1.5 / scale, nan], rtol=1e-6
    )
    np.testing.assert_array_equal(
        code[:, 1:], [[0, 1, 0], [1, 0, 0], [nan] * 3, [0, 1, 0], [0, 1, 0]]
    )
    # in any order
    unseen = Table(["c", "n"], [np.array(["z", "a"], dtype=object), np.array([2.5, 2.5])], range(2))
    np.testing.assert_array_equal(encoder.transform(unseen), [[0, 0, 0, 1], [0, 1, 0, 0]])


def test_rare_categories_are_others():
    cells = np.array(["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"], dtype=object)
    with pytest.raises(ValueError, match="expected max_categories >= 1, got 0"):
        TableEncoder(max_categories=0)
    encoder = TableEncoder(max_categories=2).fit(cells[:, None])
    assert encoder.categories_ == [["a", "b"]]
    np.testing.assert_array_equal(encoder.transform(cells[:, None]).sum(axis=0), [5, 4, 4])


@odd_tables
def test_the_columns_of_fit_are_wanted(file):
    encoder = TableEncoder().fit(read_table(file(CSV)))
    with pytest.raises(
        ValueError,
        match=r"expected the 4 columns that fit saw, got 4: \['note'\] missing, \['nota'\]",
    ):
        encoder.transform(read_table(file(CSV.replace("note", "nota"))))
    with pytest.raises(ValueError, match=r"expected a number in row 2, column 'age', .* got 'old'"):
        encoder.transform(read_table(file(CSV.replace("31", "old"))))
    # text stays text
    codes = encoder.transform(read_table(file(CSV.replace("red", "7").replace("blue", "8"))))
    assert codes[0, 1:4].tolist() == [0, 0, 1]


def test_data_frames(file):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "age": pandas.array([31, 44, None, 27], dtype="Int64"),
            "colour": pandas.Categorical(["red", "blue", "red", None]),
            "size": [2.5, np.nan, 1e3, 0.5],
            "note": [None, pandas.NA, "x", "x"],
        },
        index=[9, 8, 7, 6],
    )
    mine, other = TableEncoder().fit(frame), TableEncoder().fit(read_table(file(CSV)))
    assert mine.names_ == other.names_ and mine.categories_ == other.categories_
    np.testing.assert_array_equal(mine.transform(frame), other.transform(read_table(file(CSV))))
    with pytest.raises(
        ValueError, match=r"expected numbers or text in column 'when', got datetime64"
    ):
        TableEncoder().fit(pandas.DataFrame({"when": pandas.to_datetime(["2020-01-01"])}))
    with pytest.raises(ValueError, match="got 'a' twice"):
        TableEncoder().fit(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_an_autoencoder_learns_a_mixed_table(file):
    kinds = rng.integers(0, 3, 300)
    frame = np.empty((300, 3), object)
    frame[:, 0] = np.array(["low", "mid", "high"])[kinds]
    frame[:, 1] = kinds * 10.0 + rng.standard_normal(300)
    frame[:, 2] = np.array(["x", "y"])[kinds % 2]
    frame[rng.random((300, 3)) < 0.1] = None
    encoder = TableEncoder().fit(frame)
    ae = gaps_autoencoder(loss=Mixed(encoder.blocks_), epochs=40).fit(encoder.transform(frame))
    again = ae.reconstruct(encoder.transform(frame))
    known = np.array([cell is not None for cell in frame[:, 0]])
    guessed = np.array(encoder.categories_[0])[again[:, :3].argmax(axis=1)]
    assert (guessed == frame[:, 0])[known].mean() > 0.95
    assert (guessed == np.array(["low", "mid", "high"])[kinds])[
        ~known
    ].mean() > 0.7  # by what the others say
    np.testing.assert_allclose(again[:, :4].sum(axis=1), 1, rtol=1e-5)


# ---------------------------------------------------------------- hostile files

CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "1",
            "-2.5",
            "1e400",
            "nan",
            "NA",
            "inf",
            "0x1",
            "1_0",
            "a",
            " b ",
            '"',
            '""',
            "1,5",
            "\ufeff",
        ]
    ),
    st.text(max_size=6),
)


@odd_tables
@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6), mark=st.sampled_from([",", ";", "\t"]),
       end=st.sampled_from(["\n", "\r\n", "\r"]), start=st.sampled_from([b"", b"\xef\xbb\xbf"]))  # fmt: skip
def test_any_file_is_a_table_or_one_clear_error(tmp_path_factory, rows, mark, end, start):
    path = tmp_path_factory.getbasetemp() / "hostile.csv"
    path.write_bytes(
        start + end.join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass")
    )
    try:
        table = read_table(path)
        encoder = TableEncoder().fit(table)
    except ValueError as error:
        assert str(path) in str(error) and "expected" in str(error)
        return
    code = encoder.transform(table)
    assert code.shape == (len(table), sum(encoder.blocks_)) and not np.isinf(code).any()


# ------------------------------------------------------------------------------ numbers that are written otherwise


@pytest.mark.parametrize(
    "spelled",
    [
        "{0}·25",
        "1.{0}×10^3",
        "{0}±0.1",
        "1.{0}×10⁻³",
        "{0},5 +/- 0,1",
        "2*10**{0}",
        "1.{0} x 10-3",
        "0x{0}F",
        "{0}_000",
        "{0}(1)",
        "{0}.5[2]",
        "3:0.{0}",
    ],
    ids=lambda s: s,
)
def test_a_column_of_numbers_with_their_powers_or_errors_is_no_text(spelled, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "a;b\n" + "".join(f"{i % 7};{spelled.format(i)}\n" for i in range(60)), encoding="utf-8"
    )
    with pytest.raises(
        ValueError,
        match="expected numbers alone in column 'b', got all of its cells with other signs",
    ):
        nanoae.TableEncoder().fit(nanoae.read_table(path))


@pytest.mark.parametrize(
    "spelled",
    [
        ("Yes", "yes"), ("yes", "TRUE"), ("no", "0"), ("Ａ", "a"), ("New\u00a0York", "new york"),
        ("a\u200b", "a"), ("A–1", "a-1"),
    ],
)  # fmt: skip
def test_values_that_may_be_one_category_are_told(spelled):
    one, other = spelled
    other = other.replace("TRUE", "True")
    told = f"column '0' holds {one!r} and {other!r}, which are two categories"
    cells = np.array([[*spelled, "x"]] * 20, dtype=object).reshape(-1, 1)
    with pytest.warns(UserWarning, match=re.escape(told)):
        nanoae.TableEncoder().fit(cells)
    encoder = nanoae.TableEncoder().fit(cells[cells[:, 0] != spelled[1]].reshape(-1, 1))
    with pytest.warns(UserWarning, match=re.escape(told)):
        encoder.transform(cells)


@pytest.mark.parametrize("spelled", ["T F 1 0", "Y N yes no", "ja nein true false", "on off 1 0"])
def test_truths_in_two_spellings_are_told(spelled):
    with pytest.warns(UserWarning, match="which are two categories"):
        nanoae.TableEncoder().fit(np.array([spelled.split()] * 5, dtype=object).reshape(-1, 1))


@pytest.mark.filterwarnings("error")
def test_letters_are_letters():
    encoder = nanoae.TableEncoder().fit(np.array([*"TYFN", "x"] * 5, dtype=object)[:, None])
    assert encoder.categories_ == [["F", "N", "T", "Y", "x"]]


@pytest.mark.parametrize("mark", ["-", "missing", "N.D."])
def test_a_mark_of_missing_values_that_fit_did_not_see_is_told(mark):
    seen = np.array([["a"], ["b"], [None]] * 20, dtype=object)
    encoder = TableEncoder().fit(seen)
    with pytest.warns(UserWarning, match=f"holds '{mark}', which fit did not see. .*--na='{mark}'"):
        encoder.transform(np.array([["a"], ["b"], [mark]] * 5, dtype=object))


def test_a_column_of_values_too_rare_to_be_learned_is_told():
    drawn = np.random.default_rng(0).integers(40, size=60).tolist()
    cells = np.array([[f"Jan {i + 1}, 2024", f"w{i}"] for i in drawn], dtype=object)
    with pytest.warns(UserWarning) as told:
        encoder = nanoae.TableEncoder().fit(cells)
    assert min(encoder.others_) > 0.5
    assert [str(each.message).split(" in ")[0] for each in told] == [
        "TableEncoder: column '0' holds 28 different dates or times",
        "TableEncoder: column '1' holds 28 different texts",
    ]


def test_whole_numbers_as_categories_are_exact():
    pandas = pytest.importorskip("pandas")
    cells = pandas.Categorical([2**60 + 1, 2**60 + 2, None] * 10)
    encoder = nanoae.TableEncoder().fit(pandas.DataFrame({"k": cells}))
    assert encoder.categories_ == [[str(2**60 + 1), str(2**60 + 2)]]
    Z = encoder.transform(pandas.DataFrame({"k": cells}))
    np.testing.assert_array_equal(Z[:3], [[1, 0, 0], [0, 1, 0], [np.nan] * 3])


def test_numbers_come_back_as_they_were_written():
    """float32 rounds what the network reads, and 0 and 2003 are 0 and 2003 all the same."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {"n": draw.integers(0, 5, 50), "year": draw.integers(1990, 2030, 50), "w": ["a", "b"] * 25}
    )
    table["time"] = 1e9 + draw.normal(size=50)
    encoder = TableEncoder().fit(table)
    cells = encoder.inverse_transform(encoder.transform(table))
    assert (cells[:, :2] == table[["n", "year"]].to_numpy()).all()
    assert np.abs(cells[:, 3].astype(float) - table["time"]).max() < 1e-6
