"""Does the command print what programs read, complete what is typed, and say what a misspelt option was meant for?"""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import nanoae
from nanoae.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    run = folder / "run"
    arguments = [
        "--epochs",
        "1",
        "--no-figures",
        "--quiet",
        "--backend",
        "numpy",
        "--out",
        str(run),
    ]
    assert main(["train", "--code-size", "3", *arguments]) == 0
    rows = np.random.default_rng(0).normal(size=(120, 2))
    for name, part in (("normal", rows[:100]), ("new", rows[100:])):
        lines = [f"{i},{a:.4f},{b:.4f}" for i, (a, b) in enumerate(part, 1)]
        (folder / f"{name}.csv").write_text("\n".join(["id,a,b", *lines]) + "\n")
    learned = [
        "detect",
        "--train",
        str(folder / "normal.csv"),
        "--ignore",
        "id",
        "--save",
        str(folder / "detector.npz"),
    ]
    assert main(learned) == 0
    return folder


def test_evaluate_as_json(folder, capsys):
    assert main(["evaluate", str(folder / "run"), "--data", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = nanoae.load(folder / "run/model.npz")
    x_test = nanoae.load_data("digits").flat()[1]
    assert found["result"]["mse"] == pytest.approx(model.evaluate(x_test)["mse"], rel=1e-6)
    assert found["split"] == "test" and found["rows"] == 360 and 0 < found["pca"]["mse"] < 1


def test_info_and_bench_as_json(capsys):
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nanoae"] == nanoae.__version__
    assert main(["bench", "--backend", "numpy", "--seconds", "0.05", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 1437 and found["devices"]["numpy"]["microseconds"] > 0


def test_detect_as_json_knows_which_columns_were_ignored(folder, tmp_path, capsys):
    files = ["--model", str(folder / "detector.npz"), "--score", str(folder / "new.csv")]
    assert main(["detect", *files, "--out", str(tmp_path / "scores.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert found["rows"] == len(rows) == 20 and found["abnormal"] == sum(
        int(row["abnormal"]) for row in rows
    )
    assert [row["id"] for row in rows] == [str(i) for i in range(1, 21)]  # copied, and not judged


def test_output_to_stdout_is_the_file_alone(folder, tmp_path, capsys):
    files = ["--model", str(folder / "detector.npz"), "--score", str(folder / "new.csv")]
    assert main(["detect", *files, "--out", str(tmp_path / "scores.csv")]) == 0
    capsys.readouterr()
    assert main(["detect", *files, "--out", "-"]) == 0
    out, err = capsys.readouterr()
    assert (
        out.splitlines() == (tmp_path / "scores.csv").read_text().splitlines()
        and "written to stdout" in err
    )
    assert (
        main(["encode", str(folder / "run"), "--data", "digits", "--split", "test", "--out", "-"])
        == 0
    )
    table = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == 361 and len(table[0]) == 3
    assert main(["detect", *files, "--out", "-", "--json"]) == 2
    assert "both would be written to stdout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train --epohcs 2", "nanoae train: error: unrecognized arguments: --epohcs 2. Did you mean '--epochs'"),
        ("detect --trian a.csv", "--train --model is required. Unrecognized: --trian. Did you mean '--train'"),
        ("text generate --keywrd x", "generate: error: unrecognized arguments: --keywrd. Did you mean '--keyword'"),
        ("trian", "Did you mean 'train'"),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_told_by_the_command_it_belongs_to(typed, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("text generate --key", "--keyword"),
        ("completion f", "fish"),
    ],
)
def test_bash_completes(typed, meant, capsys, tmp_path):
    pytest.importorskip("argcomplete")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    command = tmp_path / "nanoae"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m nanoae "$@"\n')
    command.chmod(0o755)
    ask = (
        f"COMP_LINE='nanoae {typed}'; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; "
        "_python_argcomplete nanoae; echo ${COMPREPLY[*]}"
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == meant.split(), done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell, capsys):
    pytest.importorskip("argcomplete")
    assert main(["completion", shell]) == 0
    assert "nanoae" in capsys.readouterr().out


def test_without_argcomplete_the_error_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["completion", "bash"]) == 2
    assert 'needs argcomplete: pip install "nanoae[cli]"' in capsys.readouterr().err


def test_verbose_without_tqdm_prints_a_line_per_epoch(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    x = nanoae.load_data("digits").flat()[0][:100]
    nanoae.Autoencoder(2, (8,), epochs=3, verbose=True, backend="numpy", random_state=0).fit(x)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training")]
    assert [line.partition(", loss 0.")[0] for line in lines] == [
        f"training {i} of 3" for i in (1, 2, 3)
    ]


def test_a_data_set_is_printed_in_a_line():
    assert str(nanoae.load_data("digits")) == (
        "Dataset(digits: 1,437 training and 360 test rows of 8 x 8, uint8, labels)"
    )


def test_a_report_on_a_detector_ignores_what_it_ignored(folder, tmp_path, capsys):
    data = ["--data", str(folder / "new.csv"), "--out", str(tmp_path / "page.html")]
    assert main(["report", str(folder / "detector.npz"), *data]) == 0
    assert "the 20 rows of" in capsys.readouterr().out
