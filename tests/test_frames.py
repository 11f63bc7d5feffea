"""Are data frames, masked arrays and lists read as what they say, or refused in a word, by all estimators alike?"""

import datetime
import decimal
import fractions
import subprocess
import sys
import uuid
import warnings

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae import (
    PCA,
    AnomalyDetector,
    Autoencoder,
    ClusterLabelDetector,
    StackedClassifier,
    TableEncoder,
    read_table,
)
from nanoae.autoencoders.saved import Saved
from nanoae.cli import main
from nanoae.data.table import Table

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

N = 40
A = np.random.default_rng(0).normal(size=N)
nan = np.nan


def small(**settings):
    return Autoencoder(
        1,
        (4,),
        **{"epochs": 1, "missing": "mask", "backend": "numpy", "random_state": 0, **settings},
    )


def detector(**settings):
    return AnomalyDetector(small(), **{"missing": "mask", "random_state": 0, **settings})


def frame(column):
    return pd.DataFrame({"a": A, "c": column})


def arrow_type(cells, kind):
    return pd.Series(cells, dtype=pd.ArrowDtype(kind))


# ---------------------------------------------------------------- numbers, of any type and with gaps

GAPS = [nan if i % 4 == 0 else float(i) for i in range(N)]
NONES = [None if i % 4 == 0 else i for i in range(N)]
TRUE = [nan if i % 4 == 0 else float(i % 2) for i in range(N)]
TRUTHS = [None if i % 4 == 0 else i % 2 == 1 for i in range(N)]
WORDS = [None if i % 4 == 0 else ("TRUE" if i % 2 else "false") for i in range(N)]

NUMBERS = {
    "Int64": (lambda: pd.array(NONES, dtype="Int64"), GAPS),
    "Float64": (lambda: pd.array(NONES, dtype="Float64"), GAPS),
    "objects": (lambda: pd.Series(NONES, dtype=object), GAPS),
    "objects and NA": (lambda: pd.Series([pd.NA if x is None else x for x in NONES], dtype=object), GAPS),
    "decimals": (lambda: [x if x is None else decimal.Decimal(x) for x in NONES], GAPS),
    "decimal NaN": (lambda: [decimal.Decimal("NaN" if x is None else x) for x in NONES], GAPS),
    "fractions": (lambda: [x if x is None else fractions.Fraction(x, 3) for x in NONES], [x / 3 for x in GAPS]),
    "Arrow int64": (lambda: arrow_type(NONES, pa.int64()), GAPS),
    "Arrow float": (lambda: arrow_type(NONES, pa.float32()), GAPS),
    "Arrow decimal": (
        lambda: arrow_type([x if x is None else decimal.Decimal(x) for x in NONES], pa.decimal128(9, 2)), GAPS
    ),
    "sparse": (lambda: pd.arrays.SparseArray(GAPS), GAPS),
    "sparse of zeros": (lambda: pd.arrays.SparseArray([0, 0, 0, 5] * 10), [0, 0, 0, 5] * 10),
    "text": (lambda: ["" if x is None else f"{x}.0" for x in NONES], GAPS),
    "boolean": (lambda: pd.array(TRUTHS, dtype="boolean"), TRUE),
    "truths": (lambda: pd.Series(TRUTHS, dtype=object), TRUE),
    "truths and NaN": (lambda: pd.Series([nan if x is None else x for x in TRUTHS], dtype=object), TRUE),
    "truths of NumPy": (lambda: pd.Series([None if x is None else np.bool_(x) for x in TRUTHS], dtype=object), TRUE),
    "Arrow bool": (lambda: arrow_type(TRUTHS, pa.bool_()), TRUE),
    "truths in words": (lambda: WORDS, TRUE),
    "float16": (lambda: np.array(GAPS, np.float16), GAPS),
    "nothing": (lambda: [None] * N, [nan] * N),
}  # fmt: skip


@odd_tables
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_column_of_numbers_is_the_same_in_every_type(kind):
    make, values = NUMBERS[kind]
    mine, plain = frame(make()), np.column_stack([A, values])
    np.testing.assert_array_equal(
        small().fit(mine).transform(mine), small().fit(plain).transform(plain)
    )
    encoder = TableEncoder().fit(mine)
    assert encoder.categories_ == [None, None]
    np.testing.assert_array_equal(
        encoder.transform(mine), TableEncoder().fit(plain).transform(plain)
    )
    if kind in ("Int64", "truths", "text"):
        found = detector().fit(mine)
        assert found.encoder_ is None
        np.testing.assert_array_equal(
            found.score_samples(mine), detector().fit(plain).score_samples(plain)
        )
    if np.isnan(plain).any():
        for estimator in (PCA(1), small(missing="error"), AnomalyDetector(small(missing="error"))):
            with pytest.raises(ValueError, match=r"got NaN in row 0, column 1 .*missing=\"mask\""):
                estimator.fit(mine)


TEXTS = [None if i % 4 == 0 else "xy"[i % 2] for i in range(N)]
CATEGORIES = {
    "str": (lambda: TEXTS, ["x", "y"]),
    "string": (lambda: pd.array(TEXTS, dtype="string"), ["x", "y"]),
    "objects": (lambda: pd.Series(TEXTS, dtype=object), ["x", "y"]),
    "bytes": (lambda: [x and x.encode() for x in TEXTS], ["x", "y"]),
    "Arrow string": (lambda: arrow_type(TEXTS, pa.string()), ["x", "y"]),
    "Arrow dictionary": (
        lambda: arrow_type(TEXTS, pa.dictionary(pa.int32(), pa.string())),
        ["x", "y"],
    ),
    "categorical": (lambda: pd.Categorical(TEXTS), ["x", "y"]),
    "categorical of whole numbers": (lambda: pd.Categorical([None, 1, 2, 1] * 10), ["1", "2"]),
    "categorical of floats": (lambda: pd.Categorical([nan, 1.0, 2.5, 1.0] * 10), ["1", "2.5"]),
    "categorical of truths": (
        lambda: pd.Categorical([None, True, False, True] * 10),
        ["False", "True"],
    ),
    "categorical of digits": (lambda: pd.Categorical([None, "1", "02", "1"] * 10), ["02", "1"]),
    "categorical of countries": (
        lambda: pd.Categorical([None, "DE", "NA", "DE"] * 10),
        ["DE", "NA"],
    ),
    "cut": (lambda: pd.cut(pd.Series(GAPS), [0, 20, 40]), ["(0, 20]", "(20, 40]"]),
    "text and numbers": (lambda: [None, "x", 1, 1.5] * 10, ["1", "1.5", "x"]),
}


@odd_tables
@pytest.mark.parametrize("kind", CATEGORIES)
def test_a_column_of_categories_in_every_type(kind):
    make, categories = CATEGORIES[kind]
    mine = frame(make())
    encoder = TableEncoder().fit(mine)
    assert encoder.categories_ == [None, categories]
    code = encoder.transform(mine)
    assert np.isnan(code[::4, 1:]).all() and (code[1::4, 1:].sum(axis=1) == 1).all()
    assert not encoder.transform(mine.dropna())[:, -1].any()  # and without gaps
    if kind in ("str", "categorical of whole numbers"):
        assert np.isfinite(detector().fit(mine).score_samples(mine)).all()
    for estimator in (PCA(1), ClusterLabelDetector(), StackedClassifier((2,), epochs=1)):
        told = "expected numbers, got (text|categories) in column 'c', such as .*TableEncoder"
        with pytest.raises(ValueError, match=f"{type(estimator).__name__}: {told}"):
            estimator.fit(mine, np.arange(N) % 2)


def test_numbers_beside_texts_are_told():
    told = "column 'c' holds numbers and texts, all read as categories"
    cells = [1, 2.5, "x", None] * 10
    for table in (frame(cells), pl.DataFrame({"c": pl.Series(cells, dtype=pl.Object)})):
        with pytest.warns(UserWarning, match=told):
            assert TableEncoder().fit(table).categories_[-1] == ["1", "2.5", "x"]


def test_whole_numbers_of_128_bits():
    table = pl.DataFrame({"c": pl.Series([1, 2] * 20, dtype=pl.Int128)})
    assert PCA(1).fit(table).mean_[0] == 1.5


# ---------------------------------------------------------------- one category in every spelling


@odd_tables
@pytest.mark.parametrize("learned", range(6))
def test_a_category_is_the_same_in_every_spelling(learned, tmp_path):
    """1 and 1.0, as a column of whole numbers becomes where there are gaps, "1" and "1.0"; the same from a file."""
    extra = [None if i % 5 == 0 else ["7", "1.5", "A1"][i % 3] for i in range(N)]
    spelled = [
        extra,
        [x if x in (None, "A1") else float(x) for x in extra],
        [x if x in (None, "A1") else str(float(x)) for x in extra],
        [x if x in (None, "A1") else np.float32(x) for x in extra],
        [x if x in (None, "A1") else decimal.Decimal(x) for x in extra],
    ]
    frames = [pd.DataFrame({"c": pd.Series(each, dtype=object)}) for each in spelled]
    frames[0].to_csv(tmp_path / "t.csv", index=False)
    frames.append(read_table(tmp_path / "t.csv"))
    encoder = TableEncoder().fit(frames[learned])
    assert encoder.categories_ == [["1.5", "7", "A1"]]
    for other in frames:
        np.testing.assert_array_equal(encoder.transform(other), encoder.transform(frames[0]))
    numbers = pd.DataFrame({"c": [7.0, 1.5, nan, 7.0]})  # without the text a column of numbers
    expected = encoder.transform(pd.DataFrame({"c": ["7", "1.5", None, "7"]}))
    np.testing.assert_array_equal(encoder.transform(numbers), expected)
    np.testing.assert_array_equal(encoder.transform(numbers.astype(np.float32)), expected)
    whole = pd.DataFrame({"c": [7, 7]})
    for dtype in (np.uint8, "Int64", float, object, "category", pd.ArrowDtype(pa.int64())):
        np.testing.assert_array_equal(encoder.transform(whole.astype(dtype)), expected[[0, 3]])


@odd_tables
@pytest.mark.parametrize("more", [[], ["perhaps"]], ids=["truths only", "and a word"])
def test_true_is_true_in_every_spelling(more, tmp_path):
    """A column of truths is one of numbers; beside words they are categories. From files, too."""
    truths = [True, False, True, None] * 5
    spelled = [
        pd.Series([*truths, *more], dtype=object),
        pd.Series([*(x if x is None else str(x) for x in truths), *more], dtype=object),
        pd.Series([*(x if x is None else str(x).upper() for x in truths), *more], dtype=object),
        pd.Series([*(x if x is None else str(x).lower() for x in truths), *more], dtype=object),
    ]
    tables = [pd.DataFrame({"a": np.arange(len(each)), "c": each}) for each in spelled]
    tables[2].to_csv(tmp_path / "t.csv", index=False)
    tables.append(read_table(tmp_path / "t.csv"))
    truth = pd.DataFrame({"a": [1, 2], "c": [True, False]})
    for table in tables:
        encoder = TableEncoder().fit(table)
        assert encoder.categories_[1] == (["False", "True", "perhaps"] if more else None)
        for other in tables:
            np.testing.assert_array_equal(encoder.transform(other), encoder.transform(tables[0]))
        code = encoder.transform(truth)[:, 1:]
        assert code[0].argmax() == 1 and code[1].argmax() == 0 if more else code[0] > code[1]
        for dtype in ("boolean", object, pd.ArrowDtype(pa.bool_())):
            np.testing.assert_array_equal(
                encoder.transform(truth.astype({"c": dtype}))[:, 1:], code
            )


def test_a_model_file_from_before_keeps_its_categories():
    """Its spellings are those of the file that it learned from."""
    encoder = TableEncoder().fit(pd.DataFrame({"c": ["x", "y", "z"] * 4}))
    facts, arrays = encoder.to_file()
    facts["categories"] = [["1.0", "TRUE", "x"]]
    del facts["others"]
    old = TableEncoder.from_file(facts, Saved(arrays))
    code = old.transform(pd.DataFrame({"c": ["1", True, "TRUE", 1.0, "x", None]}))
    assert code[:5].argmax(axis=1).tolist() == [0, 1, 1, 0, 2] and np.isnan(code[5]).all()


# ---------------------------------------------------------------- dates and times

HOURS = pd.date_range("2024-01-31", periods=N, freq="h")
DATES = {  # and whether what the error says makes numbers of them
    "dates": lambda: HOURS,
    "with a zone": lambda: HOURS.tz_localize("UTC"),
    "with gaps": lambda: pd.Series(HOURS).where(pd.Series(range(N)) % 3 > 0),
    "periods": lambda: pd.period_range("2024", periods=N, freq="M"),
    "durations": lambda: pd.to_timedelta(np.arange(N), unit="h"),
    "Arrow timestamps": lambda: pd.Series(HOURS).astype(pd.ArrowDtype(pa.timestamp("us"))),
    "Arrow dates": lambda: arrow_type([hour.date() for hour in HOURS], pa.date32()),
    "date objects": lambda: [None, *(hour.date() for hour in HOURS[1:])],
    "time objects": lambda: [None, *(hour.time() for hour in HOURS[1:])],
    "timestamp objects": lambda: pd.Series([None, *HOURS[1:]], dtype=object),
    "duration objects": lambda: pd.Series(
        [datetime.timedelta(hours=i) for i in range(N)], dtype=object
    ),
    "period objects": lambda: pd.Series(
        [None, *pd.period_range("2024", periods=N - 1, freq="M")], dtype=object
    ),
}


def said(error):
    """The expressions that an error says make numbers of dates: what stands before the first ";"."""
    return str(error.value).split("such as ")[1].rstrip(".").split("; or ")[0].split(" or ")


@pytest.mark.parametrize("kind", DATES)
def test_dates_are_refused_with_what_makes_numbers_of_them(kind):
    X = frame(DATES[kind]())
    for estimator in (TableEncoder(), small(), PCA(1), detector(), ClusterLabelDetector()):
        with pytest.raises(
            ValueError, match=r"expected numbers or text in column 'c', got .*leave the column out"
        ) as error:
            estimator.fit(X)
    assert str(error.value).endswith("X.drop(columns=['c']).")
    for expression in said(error):
        X["c"] = eval(expression, {"X": X, "pandas": pd})
        small().fit(X)
        X["c"] = DATES[kind]()


def test_dates_of_polars_arrow_and_numpy():
    polars = pl.DataFrame({"a": A, "c": [hour.to_pydatetime() for hour in HOURS]})
    for X in (polars, polars.to_arrow()):
        with pytest.raises(
            ValueError, match=r"expected numbers or text in column 'c', got .*leave the column out"
        ) as error:
            TableEncoder().fit(X)
        for expression in said(error):
            import pyarrow.compute

            assert len(eval(expression, {"X": X, "pyarrow": pyarrow})) == N
    array = np.array([["2024", "NaT"], ["2025", "2026"]], dtype="datetime64[s]")
    for X in (array, array - np.datetime64("2000")):
        with pytest.raises(ValueError, match="PCA: expected numbers, got dtype") as error:
            PCA(1).fit(X)
        seconds = eval(said(error)[0], {"X": X, "numpy": np})
        assert seconds.dtype == np.float64 and np.isnan(seconds).sum() == 1


# ---------------------------------------------------------------- columns that tell nothing of new rows

UNIQUE = {
    "ids": [f"customer {i}" for i in range(N)],
    "time stamps": [hour.isoformat() for hour in HOURS],
    "names, one of them twice": ["Ann", *(f"name {i}" for i in range(N - 2)), "Ann"],
    "UUIDs": [uuid.UUID(int=i) for i in range(N)],
}


@pytest.mark.parametrize("kind", UNIQUE)
def test_a_column_of_different_texts_is_told_and_does_no_harm(kind):
    """Whoever does not leave it out has a model as good as without it."""
    learned = pd.DataFrame(
        {"a": A, "b": 2 * A, "plan": np.where(A > 0, "x", "y"), "c": UNIQUE[kind]}
    )
    with pytest.warns(
        UserWarning,
        match=r"column 'c' holds \d\d different .* in 40 rows .*drop\(columns=\['c'\]\), --ig",
    ):
        encoder = TableEncoder().fit(learned)
    assert encoder.categories_[2:] == [["x", "y"], ["Ann"] if "Ann" in UNIQUE[kind] else []]
    new = learned.assign(c=[f"new {i}" for i in range(N)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that they are new was told in fit
        code = encoder.transform(new)
    assert np.isfinite(code).all() and (code[:, -1] == 1).all()
    with pytest.warns(UserWarning, match="column 'c'"):
        found = detector(contamination=0.1, holdout=0.0).fit(learned)
    assert (found.predict(new) < 0).mean() <= 0.2
    with pytest.warns(UserWarning, match="column 'b' from .* to .*, got"):
        assert found.predict(new.assign(b=new.b + 40)).max() < 0


def test_few_different_dates_are_told():
    dates = [f"2024-0{1 + i % 5}-01" for i in range(N)]
    with pytest.warns(
        UserWarning,
        match=r"'c' holds 5 different dates or times in 40 rows .*new rows will hold others.*such as .*day_of_week",
    ):
        assert TableEncoder().fit(frame(dates)).categories_[1] == sorted(set(dates))


RISING = {
    "row numbers": np.arange(N),
    "ids, some gone": np.cumsum(np.random.default_rng(0).integers(1, 9, N)),
    "seconds": 1.7e9 + 0.25 * np.arange(N),
}


def test_days_written_as_numbers_are_told():
    days = np.random.default_rng(0).permutation(28)[:20] + 20240101 + 100 * (np.arange(20) % 12)
    with pytest.warns(
        UserWarning, match=r"'c' holds dates as numbers, such as 20240\d+, so a month"
    ):
        TableEncoder().fit(pd.DataFrame({"c": days}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableEncoder().fit(pd.DataFrame({"c": days * 3}))


def test_a_letter_with_its_accent_is_the_same_in_one_character_or_two():
    encoder = TableEncoder().fit(pd.DataFrame({"c": ["caf\u00e9", "tea"] * 9}))
    assert encoder.transform(pd.DataFrame({"c": ["cafe\u0301"]})).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("kind", RISING)
def test_a_number_that_rises_from_row_to_row_is_told(kind):
    X = frame(RISING[kind])
    message = r"column 'c' rises from row to row, from .*X\.drop\(columns=\['c'\]\), --ignore c"
    for fit in (TableEncoder().fit, detector(holdout=0.0).fit):
        with pytest.warns(UserWarning, match=message):
            fit(X)
    with pytest.warns(
        UserWarning, match=r"AnomalyDetector: column 1 rises .*numpy.delete\(X, 1, 1\)\.$"
    ):
        detector(holdout=0.0).fit(X.to_numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableEncoder().fit(frame(np.sort(A)))  # a feature that the rows are sorted by
        TableEncoder().fit(X.sample(frac=1, random_state=0))


@pytest.mark.parametrize("cells", [["x", "y"] * 20, ["3.4.5", "1.2.3"] * 20, list("abcdefgh") * 5])
def test_categories_are_not_told(cells):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = TableEncoder().fit(frame(cells))
        assert encoder.categories_[1] == sorted(set(cells))
        encoder.transform(frame(cells))
        # a quarter: each such row is abnormal, and found
        encoder.transform(frame([*cells[:30], *["new"] * 10]))


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        ([f"rare {i}" if i % 4 == 0 else "x" for i in range(N)], ["x"]),
        (
            [f"rare {i // 2}" if i % 20 < 6 else "x" for i in range(N - 2)] + ["once", "twice"],
            ["x"],
        ),
        ([f"rare {i // 2}" if i % 20 < 6 else "x" for i in range(N - 1)] + ["once"], None),
        (["once", *["x", "y"] * 19, "y"], ["once", "x", "y"]),
    ],
)
def test_what_is_rare_makes_room_for_what_comes(cells, known):
    """As large a share of new rows will hold values never seen as now holds values that stand once: from 5 % on."""
    encoder = TableEncoder().fit(frame(cells))
    assert encoder.categories_[1] == (known or sorted(set(cells)))
    others = sum(cell not in encoder.categories_[1] for cell in cells) / N
    assert encoder.others_ == [0.0, others]


UNSEEN = (
    r"column 'c' holds 40 of 40 values that were never seen in fit: 'z', where fit saw 'x', 'y'"
)


def test_a_column_of_values_never_seen_is_told(tmp_path):
    learned, new = frame(["x", "y"] * 20), frame(["z"] * N)
    encoder, found = TableEncoder().fit(learned), detector().fit(learned)
    found.save(tmp_path / "model.npz")
    for use in (
        encoder.transform,
        found.predict,
        found.explain,
        nanoae.load(tmp_path / "model.npz").predict,
    ):
        with pytest.warns(UserWarning, match=UNSEEN):
            use(new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.predict(new[:1])  # one row is not a column


def test_the_command_line_tells_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"a": A, "plan": np.where(A > 0, "x", "y"), "when": UNIQUE["time stamps"]}
    pd.DataFrame(columns).to_csv("train.csv", index=False)
    pd.DataFrame({**columns, "plan": "z"}).to_csv("new.csv", index=False)
    files = ["--train", "train.csv", "--score", "new.csv", "--out", "scores.csv"]
    assert main(["detect", *files, "--contamination", "0.1"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "TableEncoder" in line]
    assert len(lines) == 2 and all(
        line.startswith("nanoae: warning: TableEncoder: ") for line in lines
    )
    assert (
        "column 'when' holds 40 different dates or times" in lines[0]
        and "--ignore when" in lines[0]
    )
    assert "column 'plan' holds 40 of 40 values that were never seen" in lines[1]


# ---------------------------------------------------------------- other frames


def polars_frame():
    cells = {
        "i": NONES,
        "t": TRUTHS,
        "s": TEXTS,
        "d": [x if x is None else decimal.Decimal(x) for x in NONES],
    }
    return pl.DataFrame({"a": A, "f": pl.Series(A, dtype=pl.Float32), **cells})


@odd_tables
def test_polars_and_arrow_are_as_pandas():
    polars = polars_frame()
    pandas = pd.DataFrame(
        {"a": A, "f": A.astype(np.float32), "i": NONES, "t": TRUTHS, "s": TEXTS, "d": NONES}
    )
    encoder = TableEncoder().fit(pandas)
    arrow = polars.to_arrow()
    for X in (polars, arrow, arrow.to_batches()[0]):
        twin = TableEncoder().fit(X)
        assert twin.names_ == encoder.names_ and twin.categories_ == encoder.categories_
        np.testing.assert_array_equal(twin.transform(X), encoder.transform(pandas))
        numbers = X.drop("s") if X is polars else X.drop_columns("s") if X is arrow else None
        if numbers is not None:
            ae = small().fit(numbers)
            assert ae.feature_names_in_.tolist() == ["a", "f", "i", "t", "d"]
            np.testing.assert_array_equal(
                ae.transform(numbers), small().fit(pandas.drop(columns="s")).transform(numbers)
            )
    for kind in (pl.Categorical, pl.Enum(["1", "2"])):
        declared = pl.DataFrame({"c": pl.Series(["1", "2"] * 6, dtype=kind)})
        assert (
            TableEncoder().fit(declared).categories_
            == TableEncoder().fit(declared.to_arrow()).categories_
            == [["1", "2"]]
        )


REFUSED = {
    "lazy": (lambda: polars_frame().lazy(), TypeError, r"in memory, got a polars.*LazyFrame. Use X.collect\(\)"),
    "lists": (lambda: frame([[1], [2]] * 20), TypeError, "column 'c', got a list, .* in row 0: argument must"),
    "dicts": (lambda: frame([None, *[{"k": 1}] * (N - 1)]), TypeError, "in column 'c', got a dict, .* in row 1"),
    "complex": (lambda: frame(A * 1j), ValueError, "Complex data not supported: .* in column 'c', got complex128"),
    "objects without a text": (lambda: frame([object()] * 40), TypeError, "column 'c', got a object, .* in row 0"),
    "functions": (lambda: frame([len, sum] * 20), TypeError, "column 'c', got a builtin_function"),
    "byte arrays": (lambda: frame([bytearray(b"a")] * 40), TypeError, "column 'c', got a bytearray"),
    "polars objects": (
        lambda: pl.DataFrame({"c": pl.Series([object()] * 40, dtype=pl.Object)}),
        TypeError, "column 'c', got a object",
    ),
    "complex objects": (lambda: frame(pd.Series([1, 2j] * 20, dtype=object)), ValueError, "column 'c', got a complex"),
    "too large": (lambda: frame(pd.Series([10**400, 1] * 20, dtype=object)), ValueError, "inf in row 0, column 'c'"),
    "a name twice": (lambda: pd.DataFrame(np.eye(4), columns=list("abca")), ValueError, "names, got 'a' twice"),
    "a number twice": (lambda: pd.concat([frame(A)] * 2, axis=1), ValueError, "distinct names, got 'a' twice"),
    "fields": (lambda: np.zeros(9, [("x", float), ("y", float)]), ValueError, r"array with fields \('x', 'y'\)"),
    "records": (lambda: np.rec.array([(1.0, 2.0)] * 9), ValueError, "structured array with fields"),
    "ragged": (lambda: [[1, 2], [3]], ValueError, "expected rows of equal length"),
    "a series": (lambda: pd.Series(A), ValueError, "got 1D array"),
    "text": (lambda: np.array([["x", 1.0], ["y", 2.0]] * 9, dtype=object), ValueError, "in column '0', such as 'x'"),
    "a text among numbers": (lambda: frame([*range(39), "oops"]), ValueError, "column 'c', .* got 'oops'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_table_is_refused_by_all_in_a_word(kind):
    make, error, message = REFUSED[kind]
    everybody = [
        small(),
        PCA(1),
        AnomalyDetector(),
        ClusterLabelDetector(),
        StackedClassifier((2,), epochs=1),
        TableEncoder(),
    ]
    for estimator in everybody[: 5 if kind == "text" else 6]:
        with pytest.raises(error, match=message) as told:
            estimator.fit(make(), *[np.arange(N) % 2] * isinstance(estimator, StackedClassifier))
        assert type(estimator).__name__ in str(told.value)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_lists_and_objects_are_arrays():
    X = np.random.default_rng(1).normal(size=(20, 3))
    X[::4, 1] = nan
    expected = small().fit(X).transform(X)
    objects = X.astype(object)
    for gap in (None, pd.NA, pd.NaT, nan):
        objects[::4, 1] = gap
        np.testing.assert_array_equal(small().fit(objects).transform(objects), expected)
    np.testing.assert_array_equal(small().fit(np.asmatrix(X)).transform(np.asmatrix(X)), expected)
    rows = [[None if x != x else x for x in row] for row in X.tolist()]
    np.testing.assert_array_equal(small().fit(rows).transform(rows), expected)


def test_columns_may_have_any_name():
    X = pd.DataFrame(
        {"compute": A, "get_columns": A, "columns": A, "toarray": ["x", "y"] * 20, "__array__": A}
    )
    assert TableEncoder().fit(X).categories_[3] == ["x", "y"]
    small().fit(X.drop(columns="toarray"))


def test_a_table_of_a_file_is_a_table(tmp_path):
    pd.DataFrame({"a": A, "t": TRUTHS, "c": NONES}).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    ae = small().fit(table)
    assert ae.feature_names_in_.tolist() == ["a", "t", "c"]
    np.testing.assert_array_equal(
        ae.transform(table), ae.transform(np.column_stack([A, TRUE, GAPS]))
    )


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "names",
    [list("abc"), [0, 1, 2], [2020, 2021, 2022], [("a", 1), ("a", 2), ("b", 1)]],
    ids=["texts", "0..2", "years", "pairs"],
)
def test_columns_in_another_order_are_refused(names):
    columns = pd.MultiIndex.from_tuples(names) if isinstance(names[0], tuple) else names
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=columns)
    pca, encoder = PCA(1).fit(X), TableEncoder().fit(X)
    again = X.iloc[:, [2, 0, 1]]
    with pytest.raises(ValueError, match="must be in the same order"):
        pca.transform(again)
    # which looks them up
    np.testing.assert_array_equal(encoder.transform(again), encoder.transform(X))
    np.testing.assert_array_equal(pca.transform(X.to_numpy()), pca.transform(X))
    assert encoder.names_ == [*map(str, names)]
    with pytest.raises(ValueError, match="unseen at fit time"):
        pca.transform(
            X.set_axis(
                [*columns[:2], ("z", 9) if isinstance(names[0], tuple) else type(names[0])(9)],
                axis=1,
            )
        )


# ---------------------------------------------------------------- masked arrays


@pytest.fixture
def masked():
    data = np.random.default_rng(0).normal(size=(N, 3))
    data[::4, 1] = -9999
    return np.ma.masked_array(data, mask=data == -9999)


def test_masked_values_are_gaps_everywhere(masked):
    X = masked.filled(nan)
    ae, other = small().fit(masked, validation_data=masked), small().fit(X, validation_data=X)
    assert ae.history_["val_loss"] == other.history_["val_loss"]
    for name in ("transform", "reconstruct", "reconstruction_error", "score"):
        np.testing.assert_array_equal(getattr(ae, name)(masked), getattr(other, name)(X))
    np.testing.assert_array_equal(
        ae.interpolate(masked[0], masked[1]), other.interpolate(X[0], X[1])
    )
    # rows that are masked
    np.testing.assert_array_equal(ae.transform(list(masked)), ae.transform(X))
    encoder = TableEncoder()
    np.testing.assert_array_equal(
        encoder.fit(masked).transform(masked), TableEncoder().fit(X).transform(X)
    )
    found, plain = detector().fit(masked), detector().fit(X)
    for name in ("score_samples", "predict", "explain", "p_values", "transform"):
        np.testing.assert_array_equal(getattr(found, name)(masked), getattr(plain, name)(X))
    whole = np.ma.masked_array(np.round(X * 0 + np.arange(3)).astype(float), mask=masked.mask)
    np.testing.assert_array_equal(
        Table.of(np.ma.masked_array([[1, 2]], mask=[[0, 1]])).numbers(), [[1, nan]]
    )
    np.testing.assert_array_equal(
        Table.of(whole).numbers(), np.where(masked.mask, nan, [[0, 1, 2]])
    )
    texts = np.ma.masked_array([["x", "y"], ["y", "x"]], mask=[[0, 1], [0, 0]])
    assert Table.of(texts).column(1).tolist() == [None, "x"]


def test_masked_values_are_an_error_where_none_may_be(masked):
    X, y = masked.data[:, [0, 2]], np.arange(N) % 2
    message = (
        r"expected finite numbers, got NaN in row 0, column 1 .*masked values.*missing=\"mask\""
    )
    everybody = [PCA(1), small(missing="error"), nanoae.VariationalAutoencoder(1, (4,)), ClusterLabelDetector(),
                 AnomalyDetector(), StackedClassifier((2,)), nanoae.StackedAutoencoder((2,))]  # fmt: skip
    for estimator in everybody:
        with pytest.raises(ValueError, match=message):
            estimator.fit(masked, *[y] * isinstance(estimator, StackedClassifier))
    ae, classifier = small(missing="error"), StackedClassifier((2,), pretrain_epochs=1, epochs=1)
    whole = np.column_stack([X, X[:, 0]])
    for use in (
        lambda: ae.fit(whole, validation_data=masked),
        lambda: classifier.fit(whole, y, validation_data=(masked, y)),
        lambda: classifier.fit(whole, y, X_unlabelled=masked),
        lambda: PCA(1).fit(whole).score(masked),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises(ValueError, match="got NaN in row 0, column 0"):
        PCA(1).fit(X).inverse_transform(np.ma.masked_array([[1.0]], mask=True))
    # nothing is masked
    np.testing.assert_array_equal(PCA(1).fit(np.ma.masked_array(X)).mean_, PCA(1).fit(X).mean_)


def test_no_frame_library_is_imported():
    program = (
        "import sys, numpy as np, nanoae; nanoae.TableEncoder().fit(np.eye(3)); nanoae.PCA(1).fit(np.eye(3).tolist());"
        "assert not {'pandas', 'polars', 'pyarrow'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("learned, other", [("%", ""), ("", "%"), ("%", None), (None, "%")])
@pytest.mark.parametrize(
    "make", [lambda: nanoae.Autoencoder(1, (4,), epochs=1), lambda: nanoae.PCA(1)]
)
def test_a_share_in_another_unit_is_refused(make, learned, other, tmp_path):
    """5 % learned, and 5 or a number asked for, or the reverse: a hundred times as large, in silence."""
    shares = np.random.default_rng(0).uniform(1, 90, 40)

    def frame(unit):  # None: of numbers
        cells = shares / 100 if unit is None else [f"{share:.2f}{unit}" for share in shares]
        return pd.DataFrame({"share": cells, "x": shares[::-1]})

    model = make().fit(frame(learned))
    model.save(tmp_path / "model.npz")
    for each in (model, nanoae.load(tmp_path / "model.npz")):
        assert each.transform(frame(learned)).shape == (40, 1)
        # an array does not tell its unit
        scale = 100 if learned == "" else 1
        same = np.column_stack([shares / 100 * scale, shares[::-1]])
        assert each.transform(same).shape == (40, 1)
        with pytest.raises(ValueError, match="column 'share' in the unit that was learned"):
            each.transform(frame(other))
