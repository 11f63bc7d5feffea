"""`nanoae detect`: learn from a table of normal rows, and say of other rows how abnormal they are, and why."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from nanoae.anomaly.detector import AnomalyDetector
from nanoae.anomaly.thresholds import MAD, PeaksOverThreshold, Threshold
from nanoae.cli.output import whole_file
from nanoae.cli.settings import seed
from nanoae.data.table import Table, TableEncoder, read_table

REASONS = 3  # columns named in a row's `reason`
HELD = 0.2  # the share of the training rows that thresholds and p-values come from, where there are 50 or more
DESCRIPTION = """\
Learns what is normal from one table, and says of each row of another how abnormal it is.

The file written has a row for each row judged: its line in that file, the ignored columns, the anomaly score, the
p-value (the share of normal rows expected to score as high), and 1 in `abnormal` where it scores above the threshold.
With --explain it also has a `reason`, and each column's share of the score, negative where the value is lower than
expected.

Columns are numbers, or categories where they are text; empty cells, NA, null and ? are missing values, which count for
nothing. Both files have the same columns, in any order.
"""


def add_to(commands) -> None:
    parser = commands.add_parser(
        "detect",
        help="learn normal rows of a .csv file, score the rows of another",
        description=DESCRIPTION,
        epilog="example: nanoae detect --train normal.csv --score new.csv --out scores.csv --explain --ignore id",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = parser.add_argument_group("files")
    files.add_argument("--train", required=True, metavar="CSV", type=Path, help="rows that are normal, nearly all")
    files.add_argument("--score", required=True, metavar="CSV", type=Path, help="rows to judge")
    files.add_argument("--out", required=True, metavar="CSV", type=Path, help="the file to write")
    files.add_argument("--ignore", default="", metavar="A,B", help="columns to copy, but not to learn from, as an id")
    files.add_argument("--explain", action="store_true", help="add the reason, and each column's share of the score")
    rules = parser.add_argument_group("threshold").add_mutually_exclusive_group()
    rules.add_argument(
        "--false-alarms", type=float, metavar="P",
        help="the share of normal rows to be called abnormal, however small: peaks over threshold (default: 0.01)"
    )  # fmt: skip
    rules.add_argument("--contamination", type=float, metavar="P", help="the share of --train that is abnormal itself")
    rules.add_argument("--mad", type=float, metavar="K", help="K standard deviations above the median, both robust")
    settings = parser.add_argument_group("settings")
    settings.add_argument("--members", type=int, default=1, metavar="N", help="autoencoders, whose scores are averaged")
    settings.add_argument("--seed", type=seed, default=0, metavar="N", help="decides everything random (default: 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    for path in (args.train, args.score):
        if args.out.exists() and path.exists() and args.out.samefile(path):
            raise ValueError(f"--out: expected another file than those that are read, got {args.out}.")
    ignored = [name.strip() for name in args.ignore.split(",") if name.strip()]
    with whole_file(args.out) as part:
        train, _ = split(read_table(args.train), ignored)
        new, copied = split(read_table(args.score), ignored)
        encoder = TableEncoder().fit(train)
        encoder.transform(new)  # what is wrong with the rows is told before the training
        detector = AnomalyDetector(
            missing="mask",
            contamination=0.1 if args.contamination is None else args.contamination,
            threshold=threshold(args),
            holdout=HELD if len(train) >= 50 and args.contamination is None else 0.0,
            members=args.members,
            random_state=args.seed,
        ).fit(train)
        scores = -detector.score_samples(new)
        abnormal = (scores > detector.threshold_).astype(int)
        columns = [("row", new.rows), *copied, ("score", texts(scores, ".6g"))]
        columns += [("p_value", texts(detector.p_values(new), ".3g")), ("abnormal", abnormal)]
        if args.explain:
            shares, names = detector.explain(new), encoder.names_
            columns.append(("reason", [reason(row, encoder) for row in shares]))
            columns += [(f"{name}_share", texts(share, ".4g")) for name, share in zip(names, shares.T, strict=True)]
        with open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([name for name, _ in columns])
            writer.writerows(zip(*(values for _, values in columns), strict=True))
    numbers = encoder.categories_.count(None)
    kinds = f"{numbers} columns of numbers and {len(train.names) - numbers} of categories"
    print(f"train   {args.train}: {len(train):,} rows, {kinds}")
    print(f"score   {args.score}: {len(new):,} rows, {abnormal.sum():,} of them above {detector.threshold_:.4g}")
    print(f"written to {args.out}")
    return 0


def split(table: Table, ignored: list[str]) -> tuple[Table, list[tuple[str, np.ndarray]]]:
    """The table without some columns, and these; ValueError for one that is not there, or where no other is left."""
    cells = dict(zip(table.names, table.cells, strict=True))
    for name in ignored:
        if name not in cells:
            raise ValueError(f"{table.source}: expected the column {name!r} to ignore, got {', '.join(table.names)}.")
    kept = [name for name in table.names if name not in ignored]
    if not kept:
        raise ValueError(f"{table.source}: expected columns to learn from, got none but those to ignore.")
    rest = Table(kept, [cells[name] for name in kept], table.rows, table.source)
    return rest, [(name, cells[name]) for name in ignored]


def threshold(args: argparse.Namespace) -> Threshold | None:
    """The rule that the options ask for; None: by contamination."""
    if args.mad is not None:
        return MAD(args.mad)
    if args.contamination is not None:
        return None
    return PeaksOverThreshold(0.01 if args.false_alarms is None else args.false_alarms)


def reason(shares: np.ndarray, encoder: TableEncoder) -> str:
    """The columns with the largest shares of a row's score: "bill high (76%), minutes low (24%)"."""
    parts = np.abs(shares) / max(np.abs(shares).sum(), 1e-30)
    told = []
    for j in np.argsort(-parts, kind="stable")[:REASONS]:
        number = encoder.categories_[j] is None
        if parts[j] >= 0.05:
            side = (" low" if shares[j] < 0 else " high") if number else ""
            told.append(f"{encoder.names_[j]}{side} ({parts[j]:.0%})")
    return ", ".join(told)


def texts(values: np.ndarray, form: str) -> list[str]:
    return [format(value, form) for value in values]
