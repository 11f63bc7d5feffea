"""Can what nanoae writes be read by others, and does it do nothing there but be read?"""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import nanoae
from nanoae.cli import main
from nanoae.cli.output import plain, safe, write_json

ESCAPES = "a\x1b[2Jb\x9b1mc\rd\u202ee"


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "-", "＝1"]
)
def test_a_formula_is_text(cell):
    assert safe(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-1e-5", "1-2", "a=b", "", "-inf", 3.5, None])
def test_what_is_none_stays(cell):
    assert safe(cell) == cell


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).random((40, 2))
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["=id", "a, or b", f"x{ESCAPES}"])
        writer.writerows([f'=HYPERLINK("{n}")', *row] for n, row in enumerate(rows))


def test_detect_writes_no_formulas_and_quotes_what_needs_it(tables, capsys):
    assert (
        main(
            [
                "detect",
                "--train",
                "t.csv",
                "--score",
                "t.csv",
                "--out",
                "s.csv",
                "--ignore",
                "=id",
                "--explain",
            ]
        )
        == 0
    )
    with open("s.csv", newline="", encoding="utf-8") as file:
        header, first, *rest = csv.reader(file)
    assert header[1] == "'=id" and first[1] == '\'=HYPERLINK("0")' and len(rest) == 39
    assert "a, or b_share" in header and all(len(row) == len(header) for row in rest)


def test_no_escape_sequence_reaches_the_terminal(tables, capsys):
    quick = ["--epochs", "1", "--no-figures", "--out"]
    assert main(["train", "--data", "t.csv", *quick, "named"]) == 0  # the column of ids
    assert (
        main(
            [
                "train",
                "--data",
                "t.csv",
                "--ignore",
                "=id",
                "--epochs",
                "1",
                "--out",
                "r",
                "--no-figures",
            ]
        )
        == 0
    )
    model = nanoae.load("r/model.npz")
    model.record_schema((2,), ["a", ESCAPES])
    model.save("m.npz")
    assert main(["evaluate", "m.npz", "--data", "t.csv"]) == 2
    told = "".join(capsys.readouterr())
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(told)
    assert plain("é \t\n") == "é \t\n" and plain("\x1b[0m") == "\\x1b[0m"


def test_json_is_strict(tmp_path):
    write_json(tmp_path / "a.json", {"loss": [1.0, float("nan")], "end": (float("inf"),)})

    def refuse(token):
        raise AssertionError(token)

    text = (tmp_path / "a.json").read_text()
    assert json.load(io.StringIO(text), parse_constant=refuse) == {
        "loss": [1.0, None],
        "end": [None],
    }


@pytest.mark.parametrize("backend", ["nonsense", ""])
def test_a_backend_of_matplotlib_that_is_none_costs_no_figure(tmp_path, monkeypatch, backend):
    code = "import sys, numpy as np; from nanoae import report; report.loss_curves(sys.argv[1], {'loss': [2, 1]})"
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], env=environment, check=True
    )
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_home_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in ("XDG_CACHE_HOME", "NANOAE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="download=False"):
        nanoae.load_data("mnist", data_dir=tmp_path, download=False)
    assert not os.listdir(tmp_path)


def test_a_given_autoencoder_follows_the_detectors_seed():
    X = nanoae.load_data("digits").flat()[0][:200]
    inner = nanoae.Autoencoder(4, (16,), epochs=1)
    one, two = (
        nanoae.ClusterLabelDetector(inner, n_clusters=10, random_state=3).fit(X) for _ in range(2)
    )
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    assert inner.random_state is None
