"""Faults: what nanoae makes of files that are damaged, and of fits that are stopped.

python -m benchmarks.faults --files 20000 --kills 0      writes benchmarks/results/faults.md
python -m benchmarks.faults --files 0                    writes benchmarks/results/stops.md: some minutes
"""

from __future__ import annotations

import argparse
import json

from benchmarks import stops
from benchmarks.fits import FITS
from benchmarks.machine import machine
from benchmarks.mutations import FORMATS, measure
from benchmarks.table import RESULTS, markdown


def files_table(results: dict[str, dict[str, int]]) -> str:
    head = ["format", "files", "refused, by name", "read", "faults", "memory grew by, MB"]
    rows = []
    for kind, found in results.items():
        faults = sum(count for outcome, count in found.items() if outcome.startswith("FAULT"))
        refused, read = found.get("refused", 0), found.get("read", 0)
        rows.append(
            [
                kind,
                *(
                    f"{n:,}"
                    for n in (refused + read + faults, refused, read, faults, found["peak MB"])
                ),
            ]
        )
    return markdown(head, rows)


def stopped(kills: int, signals: int) -> bool:
    """Whether all is well with fits that are stopped."""
    text, good = stops.report(kills, signals, list(FITS))
    print(text)
    if kills >= 200:
        (RESULTS / "stops.md").write_text(f"# Stopped fits\n\n{text}\n", encoding="utf-8")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument(
        "--files", type=int, default=20_000, metavar="N", help="mutated files of each format"
    )
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of them (default: all)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="fits that are killed")
    parser.add_argument(
        "--signals",
        type=int,
        default=60,
        metavar="N",
        help="fits that get SIGINT, SIGTERM or SIGHUP",
    )
    args = parser.parse_args()
    good = stopped(args.kills, args.signals) if args.kills else True
    if not args.files:
        return int(not good)
    results = measure(args.files, args.formats.split(","))
    text = files_table(results)
    print(text)
    if args.files >= 20_000 and len(results) == len(FORMATS):
        facts = {"machine": machine(), "files": results}
        (RESULTS / "faults.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "faults.md").write_text(f"# Damaged files\n\n{text}\n", encoding="utf-8")
    return int(
        not good
        or any(outcome.startswith("FAULT") for found in results.values() for outcome in found)
    )


if __name__ == "__main__":
    raise SystemExit(main())
