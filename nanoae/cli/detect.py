"""`nanoae detect`: learn from a table of normal rows, and say of other rows how abnormal they are, and why."""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from nanoae.anomaly.calibration import benjamini_hochberg
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.anomaly.thresholds import MAD, PeaksOverThreshold, Threshold
from nanoae.autoencoders.kinds import seed
from nanoae.autoencoders.model_file import read_notes, save_model
from nanoae.cli import data as data_options
from nanoae.cli.detect_rows import are_rows, read_rows
from nanoae.cli.output import STDOUT, add_json, check_output_file, tell, write_csv, write_json
from nanoae.data.encoder import TableEncoder
from nanoae.data.table import Table, read_table
from nanoae.rows import Rows

REASONS = 3  # columns named in a row's `reason`
DESCRIPTION = """\
Learns what is normal from one table, and says of each row of another how abnormal it is.

The file written has a row for each row judged: its line in that file, the ignored columns, the anomaly score, the
p-value (the share of normal rows expected to score as high, by rows that the networks did not learn from), and 1 in
`abnormal` where it scores above the threshold.
With --explain it also has a `reason`, and each column's share of the score, negative where the value is lower than
expected.

Columns are numbers, or categories where they are text; empty cells, NA, null and ? are missing values, which are
masked: they have no share in the loss or the score. The rows to judge have the columns that were learned, in any
order. Separators, decimal commas, thousands, %, currency signs and headers are found in .csv, .tsv and .txt files,
also packed as .gz; what may be read in two ways is refused by what to say. Parquet and Arrow files, folders of them,
and .npy files hold numbers alone, and need not fit in memory.

--save keeps what was learned, the threshold and the ignored columns included; another time --model takes the place
of --train:
  nanoae detect --train normal.csv --save detector.npz --ignore id
  nanoae detect --model detector.npz --score new.csv --out scores.csv
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
    learned = files.add_mutually_exclusive_group(required=True)
    learned.add_argument(
        "--train", metavar="CSV", type=Path, help="rows that are normal, nearly all"
    )
    learned.add_argument("--model", metavar="NPZ", type=Path, help="a file that --save wrote")
    files.add_argument("--score", metavar="CSV", type=Path, help="rows to judge")
    files.add_argument("--out", metavar="CSV", type=Path, help='the file to write; "-": stdout')
    files.add_argument("--save", metavar="NPZ", type=Path, help="the model file to write")
    files.add_argument(
        "--ignore",
        default="",
        metavar="A,B",
        help="columns to copy, but not to learn from, such as ids",
    )
    files.add_argument(
        "--explain",
        action="store_true",
        help="add the reason, and each column's share of the score",
    )
    add_json(files)
    data_options.add_limit(files)
    data_options.add_format(parser).add_argument(
        "--text",
        default="",
        metavar="A,B",
        help="columns to read as categories, even if they look like numbers",
    )
    rules = parser.add_argument_group("threshold").add_mutually_exclusive_group()
    rules.add_argument(
        "--false-alarms", type=float, metavar="P",
        help="the share of normal rows to call abnormal, however small: peaks over threshold (default: 0.01)"
    )  # fmt: skip
    rules.add_argument(
        "--contamination",
        type=float,
        metavar="P",
        help="the share of --train that is abnormal itself",
    )
    rules.add_argument(
        "--false-discovery-rate", type=float, metavar="P",
        help="the share of false alarms among the rows called abnormal, all of --score at once (Benjamini-Hochberg)"
    )  # fmt: skip
    rules.add_argument(
        "--mad", type=float, metavar="K", help="K standard deviations above the median, both robust"
    )
    settings = parser.add_argument_group("settings")
    settings.add_argument(
        "--members",
        type=int,
        metavar="N",
        help="autoencoders, whose scores are averaged (default: 1)",
    )
    settings.add_argument("--seed", type=seed, metavar="N", help="random seed (default: 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check(args)
    ignored = data_options.listed(args.ignore)
    kept = [] if args.model is None else read_notes(args.model).get("ignore", [])
    written = data_options.text_format(args) | {
        "limit": args.limit,
        "text": data_options.listed(args.text),
    }
    for path in filter(None, (args.save, args.out)):
        check_output_file(path)
    if are_rows(args.train, args.score):
        return run_on_rows(args, ignored, kept)
    score = read_table(args.score, **written) if args.score else None
    given = read_table(args.train, **written) if args.train else None
    if score is not None:
        ignored += tuple(name for name in kept if name in score.names and name not in ignored)
    new, copied = without(score, ignored, given) if score is not None else (None, [])
    if given is None:
        detector, told = load_detector(args.model), [f"model   {args.model}"]
    else:
        train, _ = without(given, ignored, score)
        if new is not None:
            check_rows(train, new)
        detector = train_detector(args, train)
        told = [f"train   {args.train}: {len(train):,} rows"]
    encoder: Any = detector.encoder_
    numbers = encoder.categories_.count(None)
    told[0] += f", {numbers} columns of numbers and {len(encoder.names_) - numbers} of categories"
    facts: dict[str, Any] = {
        "model": str(args.model or args.save or "") or None,
        "threshold": detector.threshold_,
    }
    if args.save:
        save_model(detector, args.save, {"ignore": ignored})
        told.append(f"model   {args.save}")
    if new is not None:
        write_judged(args, detector, new, new.rows, copied, told, facts)
    return conclude(args, told, facts)


def run_on_rows(args: argparse.Namespace, ignored: Sequence[str], kept: Sequence[str]) -> int:
    """`run` on files of numbers alone, which need not fit in memory."""
    if args.explain:
        raise ValueError(
            "--explain: expected text tables, got files of numbers that are read by blocks."
        )
    ignored = (*ignored, *kept)
    if args.train:
        train = read_rows(args.train, None, ignored, args.limit)
        detector = train_detector(args, train)
        told = [f"train   {args.train}: {len(train):,} rows, {train.shape[1]} columns of numbers"]
    else:
        detector, told = load_detector(args.model, tables=False), [f"model   {args.model}"]
    facts: dict[str, Any] = {
        "model": str(args.model or args.save or "") or None,
        "threshold": detector.threshold_,
    }
    if args.save:
        save_model(detector, args.save, {"ignore": ignored})
        told.append(f"model   {args.save}")
    if args.score:
        columns = data_options.column_names(detector)
        new = read_rows(args.score, columns, () if columns else ignored, args.limit)
        write_judged(args, detector, new, range(1, len(new) + 1), [], told, facts)
    return conclude(args, told, facts)


def write_judged(
    args: argparse.Namespace,
    detector: AnomalyDetector,
    new: Any,
    numbers: Sequence[int],
    copied: list[tuple[str, np.ndarray]],
    told: list[str],
    facts: dict[str, Any],
) -> None:
    """Judge the rows, a Table or Rows, and write a line for each."""
    judged = judge(detector, new, args)
    odd = int(sum(judged["abnormal"]))
    rows = zip(numbers, *(values for _, values in copied), *judged.values(), strict=True)
    write_csv(args.out, itertools.chain([["row", *(name for name, _ in copied), *judged]], rows))
    facts |= {"rows": len(new), "abnormal": odd, "written": str(args.out)}
    rate = args.false_discovery_rate
    rule = (
        f"above {detector.threshold_:.4g}"
        if rate is None
        else f"abnormal, at most a share of {rate:g} of these falsely"
    )
    told.append(f"score   {args.score}: {len(new):,} rows, {odd:,} of them {rule}")
    told.append(f"written to {args.out}")


def conclude(args: argparse.Namespace, told: list[str], facts: dict[str, Any]) -> int:
    if args.json:
        write_json(STDOUT, facts)
    else:
        tell("\n".join(told), args.out)
    return 0


def without(
    table: Table, ignored: Sequence[str], other: Table | None
) -> tuple[Table, list[tuple[str, np.ndarray]]]:
    """`Table.split` of the columns to ignore, which may stand in the other file alone, as an index does."""
    here, elsewhere = set(table.names), set(other.names if other is not None else ())
    return table.split([name for name in ignored if name in here or name not in elsewhere])


def check(args: argparse.Namespace) -> None:
    """ValueError for options that do not go together, or would write over what is read."""
    for option, other in (
        ("score", "out"),
        ("out", "score"),
        ("model", "score"),
        ("explain", "score"),
    ):
        if getattr(args, option) and not getattr(args, other):
            raise ValueError(f"--{option}: expected --{other} with it, got none.")
    if args.json and args.out == STDOUT:
        raise ValueError(
            "--json: expected --out with a file, got -: both would be written to stdout."
        )
    rate = args.false_discovery_rate
    if rate is not None and not (args.score and 0 < rate < 1):
        got = rate if args.score else "no --score, whose rows it judges"
        raise ValueError(f"--false-discovery-rate: expected a number in (0, 1), got {got}.")
    if not (args.out or args.save):
        raise ValueError(
            "--train: expected --score and --out, or --save, got none: nothing would be written."
        )
    for option in ("save", "false_alarms", "contamination", "mad", "members", "seed"):
        if args.model and getattr(args, option) is not None:
            raise ValueError(
                f"--{option.replace('_', '-')}: expected with --train, got --model, which is fitted already."
            )
    files = [path for path in (args.train, args.model, args.score, args.out, args.save) if path]
    for option, path in (("--out", args.out), ("--save", args.save)):
        if path not in (None, STDOUT) and sum(same_file(path, other) for other in files) > 1:
            raise ValueError(
                f"{option}: expected a file of its own, got {path}, which another option names."
            )


def check_rows(train: Table, new: Table) -> None:
    """What is wrong with the rows is told before the training. What is odd about them is told by it, and after it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TableEncoder().fit(train).transform(new)


def same_file(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def load_detector(path: Path, tables: bool = True) -> AnomalyDetector:
    """The detector of text tables, or of numbers alone, in that file."""
    detector = nanoae.load(path)
    if isinstance(detector, AnomalyDetector) and not tables and detector.encoder_ is not None:
        raise ValueError(
            f"{path}: expected a detector of numbers alone, got one of text tables. Give it one."
        )
    if not isinstance(detector, AnomalyDetector) or (tables and detector.encoder_ is None):
        raise ValueError(
            f"{path}: expected a detector of tables, got {type(detector).__name__}. "
            "Make one with nanoae detect --train --save."
        )
    return detector


def train_detector(args: argparse.Namespace, train: Table | Rows) -> AnomalyDetector:
    return AnomalyDetector(
        missing="mask",
        contamination=0.1 if args.contamination is None else args.contamination,
        threshold=threshold(args),
        members=1 if args.members is None else args.members,
        random_state=args.seed or 0,
    ).fit(train)


def judge(
    detector: AnomalyDetector, new: Table | Rows, args: argparse.Namespace
) -> dict[str, Iterable]:
    """Column -> its values, for the rows of `new`."""
    scores = -detector.score_samples(new)
    p = detector.calibration_.exceeded(scores)
    abnormal = ~(scores <= detector.threshold_)  # NaN, too
    if args.false_discovery_rate is not None:
        abnormal = benjamini_hochberg(p, args.false_discovery_rate)
    columns: dict[str, Iterable] = {
        "score": texts(scores, ".6g"),
        "p_value": texts(p, ".3g"),
        "abnormal": abnormal.astype(np.uint8),
    }
    if args.explain:
        found = detector.explanation(new)
        columns["reason"] = [", ".join(found.reasons(row, REASONS)) for row in range(len(new))]
        columns |= {
            f"{name}_share": texts(share, ".4g")
            for name, share in zip(found.names, found.shares.T, strict=True)
        }
    return columns


def threshold(args: argparse.Namespace) -> Threshold | None:
    """The rule that the options ask for; None: by contamination."""
    if args.mad is not None:
        return MAD(args.mad)
    if args.contamination is not None:
        return None
    return PeaksOverThreshold(0.01 if args.false_alarms is None else args.false_alarms)


def texts(values: np.ndarray, form: str) -> Iterator[str]:
    return (format(value, form) for value in values)
