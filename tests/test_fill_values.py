"""Is a value that stands where nothing was measured told of, and no ordinary one?"""

import re

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

RNG = np.random.default_rng(0)
DEGREES = RNG.normal(20, 5, 400)
SHARES = RNG.uniform(0, 100, 400)
NOTHING = np.arange(400) % 20 == 0
TOLD = "column {} holds {} in 5 % of its rows, far from all other values"


def with_values(column, value, where=NOTHING):
    return np.c_[np.where(where, value, column), RNG.random(400)]


@pytest.mark.parametrize(
    ("column", "value"),
    [(DEGREES, -9999), (DEGREES, 999), (DEGREES, 1e20), (DEGREES, -1000), (DEGREES, -32768), (SHARES, -99),
     (SHARES, -9), (SHARES, 9999)],
)  # fmt: skip
def test_a_fill_value_is_told_with_what_to_do(column, value):
    shown = re.escape(f"{value:.6g}")
    told = TOLD.format("'?0'?", shown) + f".*--na={shown}.*mask"
    X = with_values(column, value)
    fits = [
        nanoae.PCA(1).fit,
        nanoae.Autoencoder(1, epochs=1, random_state=0).fit,
        nanoae.TableEncoder().fit,
    ]
    for fit in fits[: 3 if value == -9999 else 1]:
        with pytest.warns(UserWarning, match=told):
            fit(X)


def test_a_fill_value_among_numbers_to_be_predicted_is_told():
    model = nanoae.StackedRegressor((3,), epochs=1, pretrain_epochs=1, random_state=0)
    with pytest.warns(UserWarning, match=TOLD.format("'y'", "-9999")):
        model.fit(RNG.random((400, 3)), np.where(NOTHING, -9999, DEGREES))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "column",
    [
        np.where(NOTHING, RNG.uniform(1000, 2000, 400), 0),  # mostly 0
        np.where(NOTHING, 0, RNG.uniform(1000, 2000, 400)),
        np.clip(RNG.normal(200, 80, 400), 0, 255),
        np.clip(RNG.normal(80, 30, 400), 0, 100).round(),
        RNG.lognormal(3, 2, 400).round(),
        RNG.choice([0, 999], 400),
        RNG.choice([1, 2, 3, 99], 400),
        np.where(np.arange(400) == 7, -9999, DEGREES),  # once: an outlier
        np.where(NOTHING, -1, DEGREES),
        RNG.integers(1950, 2020, 400),
        RNG.choice([99, 199, 299, 399, 499, 999, 1999, 9999], 400),  # prices
        np.where(NOTHING, 99, RNG.integers(18, 61, 400)),
    ],
)
def test_an_ordinary_column_is_not_told(column):
    nanoae.PCA(1).fit(np.c_[column, DEGREES])


@pytest.mark.filterwarnings("error")
def test_rows_of_weight_0_are_not_there():
    nanoae.PCA(1).fit(with_values(DEGREES, -9999), sample_weight=(~NOTHING).astype(int))


SEEN = np.c_[RNG.random(300), RNG.uniform(0, 5000, 300), np.full(300, 3), RNG.normal(size=300)]


@pytest.mark.parametrize("n", [1, 5, 50, 300])
@pytest.mark.parametrize(
    ("column", "value"),
    [(0, -9999), (0, -9), (0, 99), (1, -9999), (1, -99), (1, 1e20), (2, -9), (2, 999), (3, 99)],
)
def test_one_fill_value_in_few_or_many_new_rows_is_told(column, value, n):
    """However small it is beside another column's numbers."""
    model = nanoae.PCA(2).fit(SEEN)
    rows = SEEN[:n].copy()
    rows[0, column] = value
    with pytest.warns(UserWarning, match=f"column {column} holds {re.escape(f'{value:.6g}')} in"):
        model.transform(rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 5, 50, 300])
def test_new_rows_without_one_are_not_told(n):
    model = nanoae.PCA(2).fit(SEEN)
    away = [0.3, 1000, 1, 1] * RNG.normal(size=SEEN.shape)
    for rows in (SEEN, SEEN + away, SEEN + away * [0, 0, 40, 1]):
        model.transform(rows[:n])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "new",
    [[-9], [-9, 3, 12], [-9, -7, -8, -9, -3], RNG.integers(-9, 8, 400), [-99, -80, -60, -3, 12]],
)
def test_a_frost_after_an_autumn_without_is_not_told(new):
    """Nor are other values that new rows come close to, however fit has seen none like them."""
    model = nanoae.PCA(1).fit(np.c_[RNG.integers(0, 20, 400), DEGREES])
    model.transform(np.c_[new, DEGREES[: len(new)]])


def test_a_fill_value_in_new_rows_that_fit_has_not_seen_is_told(tmp_path, capsys):
    model = nanoae.PCA(1).fit(with_values(DEGREES, 20))
    with pytest.warns(UserWarning, match=TOLD.format("0", "-9999")):
        model.transform(with_values(DEGREES, -9999))
    model.save(tmp_path / "model.npz")
    np.save(tmp_path / "new.npy", with_values(DEGREES, -9999))
    main(["evaluate", str(tmp_path / "model.npz"), "--data", str(tmp_path / "new.npy")])
    assert "column 0 holds -9999 in" in capsys.readouterr().err
    table = tmp_path / "t.csv"
    for value in (20, -9999):
        lines = [f"{a:.6g},{b:.6g}" for a, b in with_values(DEGREES, value)]
        table.write_text("\n".join(["degrees,b", *lines]))
        if value == 20:
            argv = ["--epochs", "1", "--quiet", "--no-figures", "--out", str(tmp_path / "run")]
            main(["train", "--data", str(table), *argv])
    out = ["--out", str(tmp_path / "codes.npy")]
    assert main(["encode", str(tmp_path / "run/model.npz"), "--data", str(table), *out]) == 0
    assert "holds -9999 in" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "detect"])
def test_the_commands_name_the_column(command, tmp_path, capsys):
    lines = [f"{a:.6g},{b:.6g}" for a, b in with_values(DEGREES, -9999)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["degrees,b", *lines]))
    if command == "train":
        argv = ["--data", str(path), "--epochs", "1", "--quiet", "--no-figures", "--out"]
    else:
        argv = ["--train", str(path), "--save"]
    assert main([command, *argv, str(tmp_path / "model.npz")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "column 'degrees' holds -9999 in" in told[0]


def test_a_last_row_of_totals_is_told(tmp_path, capsys):
    """It is farther out than any outlier, and blinds what learns from it."""
    rows = np.c_[DEGREES, SHARES].round(2)[:60]
    table = np.r_[rows, rows.sum(axis=0, keepdims=True)]
    for fit in (nanoae.TableEncoder().fit, nanoae.AnomalyDetector(members=1, random_state=0).fit):
        with pytest.warns(
            UserWarning, match="the last row holds the sum of all others, like a row of"
        ):
            fit(table)
    lines = [f"r{i % 2},{a},{b}" for i, (a, b) in enumerate(rows)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["n,a,b", *lines, f"Total,{table[-1, 0]:.2f},"]))
    with pytest.warns(UserWarning, match="TableEncoder: the last row holds the sum"):
        nanoae.TableEncoder().fit(nanoae.read_table(path))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "column",
    [
        [*range(10), 7],
        [1, -1] * 5 + [0],
        [0.0] * 12,
        [np.nan] * 6 + [1, 2, 3, 6],
        [5.0] * 20,
        [0] * 20 + [1, 1, 2],  # a rare word, twice in the last text
    ],
)
def test_other_last_rows_are_not_told(column):
    told = np.c_[column, RNG.random(len(column))]
    nanoae.TableEncoder().fit(told)
