"""Is a text table that is read in parts, as one too large for memory is, the same table?"""

import csv
import warnings

import numpy as np
import pytest

import nanoae
from nanoae import rows
from nanoae.cli import main
from nanoae.data import number_table, table_parts, text_table

X = np.round(np.random.default_rng(0).normal((10, 1000, -5), (1, 300, 2), (400, 3)), 2)
SPELLINGS = {
    "plain": (",", lambda x: f"{x:.2f}"),
    "decimal commas": (";", lambda x: f"{x:.2f}".replace(".", ",")),
    "thousands": (";", lambda x: f"{x:,.2f}"),
    "percent": (",", lambda x: f"{x * 100:.0f}%"),
    "a typesetter's minus": ("\t", lambda x: f"{x:.2f} €".replace("-", "\u2212")),
}


@pytest.fixture
def in_parts(monkeypatch):
    """Parts of 50 rows or so."""
    monkeypatch.setattr(text_table, "BLOCK", 60)
    monkeypatch.setattr(number_table, "AT_ONCE", 150)
    monkeypatch.setattr(table_parts, "AT_ONCE", 200)
    monkeypatch.setattr(rows, "LARGE", 1000)


def write(path, table, names, separator=",", spell=lambda x: f"{x:.2f}"):
    lines = [names, *([spell(x) if isinstance(x, float) else x for x in row] for row in table)]
    path.write_text("\n".join(separator.join(map(str, line)) for line in lines) + "\n")
    return path


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_numbers_and_labels_in_every_spelling(spelling, tmp_path, in_parts):
    separator, spell = SPELLINGS[spelling]
    labelled = [[*row, "ab"[i % 2]] for i, row in enumerate(X.tolist())]
    path = write(tmp_path / "x.csv", labelled, "pqry", separator, spell)
    data = nanoae.load_data(path, label="y", random_state=None)
    assert isinstance(data.x_train, rows.Rows) and data.columns == ("p", "q", "r")
    np.testing.assert_allclose(np.asarray(data.x_train), X[:320], atol=1e-9)
    assert data.y_train.tolist() == ["a", "b"] * 160
    if spelling == "percent":
        assert data.units == ("%", "%", "%")
    opened = nanoae.open_rows(path, "1MB", ignore=["y"])
    assert opened.names == ("p", "q", "r") and np.allclose(np.asarray(opened), X, atol=1e-9)


@pytest.mark.parametrize(
    "cell, told",
    [
        (
            '"1.234,5"',
            "a number with the decimal mark '.' in row 302, column 'p', got '1.234,5'",
        ),
        ("x", "a number in row 302, column 'p', like .nearly. all of its cells, got 'x'"),
        ("", "a number in row 302, column 'p', got ''"),
        ("5%", "expected column 'p' in the unit that was learned, none, got %"),
        ("1e300", "a number up to .* in row 302, column 'p', got '1e300'"),
    ],
)
def test_what_a_later_part_writes_otherwise_is_told(cell, told, tmp_path, in_parts):
    table = X.tolist()
    table[300][0] = cell
    with pytest.raises(ValueError, match=told):
        nanoae.load_data(write(tmp_path / "x.csv", table, "pqr"))


def customers(n, seed):
    random = np.random.default_rng(seed)
    for i in range(n):
        minutes = float(random.normal(100, 10))
        yield [f"c{i}", "ab"[i % 2], minutes, minutes / 2 if i % 9 else ""]


def scores(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_detect_learns_and_judges_part_by_part(tmp_path, request):
    names = "id", "plan", "minutes", "bill"
    train = write(tmp_path / "train.csv", customers(300, 0), names)
    new = write(tmp_path / "new.csv", [*customers(200, 1), ["odd", "b", 100.0, 900.0]], names)
    learn = ["--train", str(train), "--ignore", "id", "--explain"]
    model = str(tmp_path / "detector.npz")

    def run(name, *options):
        out = ["--score", str(new), "--out", str(tmp_path / f"{name}.csv")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(["detect", *out, *options]) == 0
        return scores(tmp_path / f"{name}.csv")

    whole = run("whole", *learn)
    request.getfixturevalue("in_parts")
    parts = run("parts", *learn, "--save", model)
    assert [row["row"] for row in parts] == [row["row"] for row in whole] and len(parts) == 201
    assert [row["id"] for row in parts] == [row["id"] for row in whole]
    assert [row["score"] for row in parts] == [row["score"] for row in whole]
    assert parts[-1]["abnormal"] == "1" and parts[-1]["reason"].startswith("bill high")
    falsely = run("falsely", "--model", model, "--false-discovery-rate", "0.8")
    assert [row["score"] for row in falsely] == [row["score"] for row in parts]
    assert falsely[-1]["abnormal"] == "1"


def test_blank_lines_are_no_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n   \n3,5\n  \n\n")
    assert np.array_equal(nanoae.read_table(path).numbers(), [[1, 2], [3, 5]])


def test_train_and_encode_words_part_by_part(tmp_path, in_parts, monkeypatch):
    names = "id", "plan", "minutes", "bill"
    path = str(write(tmp_path / "x.csv", customers(300, 0), names))
    common = ["--data", path, "--ignore", "id"]
    run = str(tmp_path / "run")
    options = ["--epochs", "2", "--code-size", "2", "--no-figures", "--quiet", "--out", run]
    assert main(["train", *common, *options]) == 0
    codes = []
    for large in (1000, 1 << 20):
        monkeypatch.setattr(rows, "LARGE", large)
        assert main(["encode", run, *common, "--out", str(tmp_path / "codes.npy")]) == 0
        codes.append(np.load(tmp_path / "codes.npy"))
    assert codes[0].shape == (300, 2) and np.array_equal(*codes)


@pytest.mark.parametrize("header", ["a,b\n", ""])
def test_only_the_first_row_of_a_table_is_taken_for_units(header, tmp_path, monkeypatch):
    """A table is read in parts, and each of them has a first row."""
    monkeypatch.setattr(number_table, "AT_ONCE", 1)
    rows = [f"{i}.5,{i}" for i in range(3000)]
    for wrong in (0, 1, 1024, 2048):
        path = tmp_path / "t.csv"
        path.write_text(header + "\n".join([*rows[:wrong], "x,1", *rows[wrong:]]))
        with pytest.raises(
            ValueError, match=f"in row {wrong + 1 + bool(header)}, .*got 'x'"
        ) as found:
            nanoae.load_data(path, header=bool(header))
        assert ("row of units" in str(found.value)) == (wrong == 0)
