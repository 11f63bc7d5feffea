"""Faults: what nanoae makes of files that are damaged. `python -m benchmarks.faults --files 20000` writes the table."""

from __future__ import annotations

import argparse
import json

from benchmarks.machine import machine
from benchmarks.mutations import FORMATS, measure
from benchmarks.table import RESULTS, markdown


def files_table(results: dict[str, dict[str, int]]) -> str:
    head = ["format", "files", "refused, by name", "read", "faults", "memory grew by, MB"]
    rows = []
    for kind, found in results.items():
        faults = sum(count for outcome, count in found.items() if outcome.startswith("FAULT"))
        refused, read = found.get("refused", 0), found.get("read", 0)
        rows.append([kind, *(f"{n:,}" for n in (refused + read + faults, refused, read, faults, found["peak MB"]))])
    return markdown(head, rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, metavar="N", help="mutated files of each format")
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of them (default: all)")
    args = parser.parse_args()
    results = measure(args.files, args.formats.split(","))
    text = files_table(results)
    print(text)
    if args.files >= 20_000 and len(results) == len(FORMATS):
        facts = {"machine": machine(), "files": results}
        (RESULTS / "faults.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "faults.md").write_text(f"# Damaged files\n\n{text}\n", encoding="utf-8")
    return int(any(outcome.startswith("FAULT") for found in results.values() for outcome in found))


if __name__ == "__main__":
    raise SystemExit(main())
