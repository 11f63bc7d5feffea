"""A small version of `python -m benchmarks.faults --files 0`: fits that are killed, signalled, cut off from power."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import power_cuts  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
SMALL = "import json; from benchmarks.stops import measure; print(json.dumps(measure(4, 6, ['dense', 'stacked'], 0)))"


def test_fits_that_are_stopped_end_with_equal_bytes():
    run = subprocess.run([sys.executable, "-c", SMALL], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows, cuts = json.loads(run.stdout)
    assert [row[1:3] for row in rows] == [["4", "4"], *[["1", "1"]] * 6]
    assert [row[3] for row in rows[1:4]] == ["0"] * 3  # steps lost to one signal
    assert cuts["calls"] > 30 and not cuts["damaged"] and not cuts["none left"]


WRITE, FLUSH, RENAME, FOLDER = (
    ("write", "a"),
    ("fsync", "a"),
    ("rename", "a", "A"),
    ("fsync", "folder"),
)


@pytest.mark.parametrize(
    ("calls", "states"),
    [
        ([WRITE, FLUSH, RENAME], [{}, {"A": True}]),
        ([WRITE, RENAME], [{}, {"A": False}]),
        ([WRITE, FLUSH, RENAME, FOLDER], [{"A": True}]),
        ([WRITE, FLUSH, WRITE, RENAME, FOLDER], [{"A": False}]),
        ([WRITE, FLUSH, RENAME, FOLDER, ("unlink", "A")], [{"A": True}, {}]),
    ],
)
def test_what_a_disk_may_hold_after_a_power_cut(calls, states):
    assert power_cuts.after_a_cut(calls) == states
