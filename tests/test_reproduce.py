"""Do the scripts that measure the published numbers again run, and say honestly what came out?"""

import argparse
import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import table
from benchmarks.reproduce.claims import Claims, options


def measured(*, held):
    claims = Claims("made-up", {"model": "", "test MSE": ".3f", "seconds": ".1f"})
    claims.add("a", 0.12345, None, holds=held)
    return claims


@pytest.mark.parametrize(
    ("held", "code", "said"), [(True, 0, "yes"), (None, 0, "-"), (False, 1, "NO")]
)
def test_a_claim_that_does_not_hold_is_told_and_fails(held, code, said, capsys):
    assert measured(held=held).finish(argparse.Namespace(quick=False, save=False), "a note") == code
    printed = capsys.readouterr().out
    assert (
        f"| a     |    0.123 |       - | {said:>5} |" in printed
        and "a note" in printed
        and "numpy" in printed
    )


def test_results_are_saved_with_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    assert (
        measured(held=True).finish(argparse.Namespace(quick=False, save=True), losses=[1, 2]) == 0
    )
    facts = json.loads((tmp_path / "made-up.json").read_text())
    assert facts["rows"] == [{"model": "a", "test MSE": 0.12345, "seconds": None, "holds": True}]
    assert (
        facts["losses"] == [1, 2]
        and facts["threads"] >= 1
        and "numpy" in facts["machine"]["versions"]
    )
    assert "| model |" in (tmp_path / "made-up.md").read_text()


def test_a_smoke_test_is_no_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    assert measured(held=False).finish(argparse.Namespace(quick=True, save=True)) == 0
    assert not list(tmp_path.iterdir()) and "not saved" in capsys.readouterr().out


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="expected 3 cells"):
        measured(held=True).add("b", 1.0)


def test_options_are_the_same_for_every_claim():
    args = options("What is claimed.\n\nMore.").parse_args(
        ["--quick", "--data-dir", "x", "--seeds", "2"]
    )
    assert vars(args) == {"quick": True, "data_dir": "x", "seeds": 2, "save": False}


@pytest.mark.parametrize(
    "name",
    [
        "denoising",
        "sparse",
        "contractive",
        "stacked_classifier",
        "few_labels",
        "deep_sigmoid",
        "hinton",
        "large_table",
    ],
)
def test_a_script_runs_quickly_on_what_is_in_the_package(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--seeds", "1"])
    assert importlib.import_module(f"benchmarks.reproduce.{name}").main() == 0
    printed = capsys.readouterr().out
    assert "| holds |" in printed and "A smoke test" in printed


@pytest.mark.parametrize("module", ["benchmarks.reproduce", "benchmarks.house"])
def test_a_reader_that_goes_away(module):
    """`| head -1`"""
    python = [sys.executable, "-m", module]
    with subprocess.Popen(python, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE
