"""Faults: how nanoae handles damaged files and interrupted fits.

python -m benchmarks.faults --files 20000 --kills 0      writes benchmarks/results/faults.md
python -m benchmarks.faults --files 0                    writes benchmarks/results/stops.md: some minutes
"""

from __future__ import annotations

import argparse

from benchmarks import stops
from benchmarks.fits import FITS
from benchmarks.machine import machine
from benchmarks.mutations import BY_COMMAND, MEGABYTES, SECONDS, measure
from benchmarks.specimens import SPECIMENS
from benchmarks.table import markdown, save

MANY = 20_000  # files of each format, for the results to be kept
COLUMNS = {
    "refused, by name": "refused",
    "read": "read",
    "refused by the command, in a line": "refused by the command",
    "done by the command": "done",
}
HEAD = f"""# Damaged files

Valid files of each format with one to three changes, some truncated, and the result of reading them: an error that
names the file, or data. One in {BY_COMMAND} was also passed to the command. A fault would be any other exception,
a crash, more than {SECONDS:g} s, more than {MEGABYTES} MB, executed code, a model or a checkpoint with other
arrays, or a command that prints more than its one-line error (`python -m benchmarks.faults --kills 0`)."""


def files_table(results: dict[str, dict[str, int]]) -> str:
    rows = []
    for kind, found in results.items():
        faults = sum(count for outcome, count in found.items() if outcome.startswith("FAULT"))
        counts = [found.get(outcome, 0) for outcome in COLUMNS.values()]
        rows.append([kind, *map("{:,}".format, (*counts, faults, found["peak MB"]))])
    return markdown(["format", *COLUMNS, "faults", "memory grew by, MB"], rows)


def stopped(kills: int, signals: int) -> bool:
    """Whether all is well with fits that are stopped."""
    text, good = stops.report(kills, signals, list(FITS))
    print(text)
    if kills >= 200:
        save("stops", f"# Stopped fits\n\n{text}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument(
        "--files", type=int, default=MANY, metavar="N", help="mutated files of each format"
    )
    parser.add_argument(
        "--formats", default=",".join(SPECIMENS), help="some of them (default: all)"
    )
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
    if args.files >= MANY and len(results) == len(SPECIMENS):
        facts = {"machine": machine(), "files": results}
        save("faults", f"{HEAD}\n\n{text}", facts)
    return int(
        not good
        or any(outcome.startswith("FAULT") for found in results.values() for outcome in found)
    )


if __name__ == "__main__":
    raise SystemExit(main())
