"""Fuzz: the readers under a coverage-guided fuzzer.

python -m benchmarks.fuzz --minutes 2      2 minutes for each format; needs atheris; writes benchmarks/results/fuzz.md

The faults are those of `benchmarks.mutations`. Archives keep checksums, so of models and checkpoints it is the header
that is damaged, within a sound archive.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.mutations import damageable, outcome, put, watch, watching
from benchmarks.specimens import SPECIMENS
from benchmarks.table import markdown, save

CHILD = """
import sys, atheris
with atheris.instrument_imports(include=["nanoae", "zipfile", "numpy.lib"]):
    from benchmarks.fuzz import fuzz
    from pathlib import Path
    fuzz(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
"""
TITLE = """# Fuzzed files

The readers under atheris 3 (libFuzzer), which starts from a valid file of each format, records which branches of
nanoae, zipfile and numpy.lib a file reaches, and mutates those that reach new ones. Faults are those of `faults.md`.
Archives have checksums, which a fuzzer cannot guess, so only their JSON header is damaged."""
HEAD = ["format", "branches at first", "in the end", "files", "refused, by name", "read", "faults"]
TOLD = 100  # files between two writings of the counts: the fuzzer ends without a word


def fuzz(kind: str, folder: Path, minutes: float) -> None:
    """For a process of its own, which ends with this call."""
    import atheris

    specimen = SPECIMENS[kind]
    text, whole = damageable(specimen)
    (folder / "corpus").mkdir()
    (folder / "corpus" / "sound").write_bytes(text)
    found: Counter[str] = Counter()

    def once(damaged: bytes) -> None:
        content = whole(damaged)
        became = outcome(specimen.read, put(folder / "in", specimen, content))
        found[became] += 1
        if became.startswith("FAULT"):
            (folder / f"fault-{found.total()}").write_bytes(content)
        if found.total() % TOLD == 0:
            (folder / "counts.json").write_text(json.dumps(found))

    sys.addaudithook(watch)
    with watching(specimen, folder / "in"):
        options = [
            f"-max_total_time={60 * minutes:.0f}",
            f"-max_len={2 * len(text)}",
            "-timeout=60",
        ]
        atheris.Setup(["fuzz", *options, str(folder / "corpus")], once)
        atheris.Fuzz()


def row(kind: str, folder: Path, said: str) -> list[str]:
    """What became of a format, out of the counts and the fuzzer's own words."""
    found = json.loads((folder / "counts.json").read_text())
    faults = {outcome: n for outcome, n in found.items() if outcome.startswith("FAULT")}
    print(kind, found, file=sys.stderr, flush=True)
    branches = [int(cov) for cov in re.findall(r" cov: (\d+)", said)]
    counts = [
        sum(found.values()),
        found.get("refused", 0),
        found.get("read", 0),
        sum(faults.values()),
    ]
    return [kind, *map("{:,}".format, [branches[0], branches[-1], *counts])]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for each format")
    parser.add_argument(
        "--formats", default=",".join(SPECIMENS), help="some of them (default: all)"
    )
    args = parser.parse_args()
    rows = []
    for kind in args.formats.split(","):
        with tempfile.TemporaryDirectory(prefix="nanoae-fuzz-") as folder:
            command = [sys.executable, "-c", CHILD, kind, folder, str(args.minutes)]
            said = subprocess.run(command, capture_output=True, text=True).stderr
            assert (Path(folder) / "counts.json").exists(), said[-2000:]
            rows.append(row(kind, Path(folder), said))
        about = f"{TITLE} {args.minutes:g} minutes for each format on an {machine()['cpu']}."
        save("fuzz", f"{about}\n\n{markdown(HEAD, rows)}")
    return int(any(cells[-1] != "0" for cells in rows))


if __name__ == "__main__":
    raise SystemExit(main())
