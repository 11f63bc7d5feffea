"""`nanoae detect`: learn from a table of normal rows, score how abnormal other rows are, and explain why."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.anomaly.calibration import benjamini_hochberg
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.anomaly.thresholds import MAD, PeaksOverThreshold, Threshold
from nanoae.autoencoders.model_file import save_model
from nanoae.cli import data as data_options
from nanoae.cli import model as models
from nanoae.cli import resume
from nanoae.cli.detect_files import Chunk, are_numbers, numbers_of, of_images, tables_of
from nanoae.cli.options import JSON, command, declare
from nanoae.cli.output import STDOUT, check_output_file, print_summary, write_csv, write_json
from nanoae.spelling import counted

REASONS = 3  # columns named in a row's `reason`
DESCRIPTION = """\
Learns what is normal from one table, and scores how abnormal each row of another table is.

The output has one row for each scored row: its row number, the ignored columns, the anomaly score, the p-value (the
share of normal rows expected to score as high, estimated from rows that the networks did not learn from), and
`abnormal`, which is 1 if the score is above the threshold.
With --explain there are also a `reason` and each column's share of the score, negative if the value is lower than
expected.

Text columns are treated as categories, all others as numbers. Empty cells, NA, null, None and ? are missing values,
which are masked: they do not contribute to the loss or the score. The rows to score need the columns that were learned,
in any order. Separators, decimal commas, thousands separators, %, currency signs and headers of .csv, .tsv and .txt
files (also compressed as .gz) are detected; for an ambiguous file, the error names the option that decides. Parquet and
Arrow files, folders of them, and .npy files contain only numbers, and need not fit in memory. In a folder of images,
each image is one row.

--save writes the fitted detector, including the threshold and the ignored columns, which --model loads later in place
of --train:
  nanoae detect --train normal.csv --save detector.npz --ignore id
  nanoae detect --model detector.npz --score new.csv --out scores.csv
"""


def add_to(commands) -> None:
    parser = command(
        commands,
        "detect",
        run,
        "detect anomalies: learn from the normal rows of a .csv file, score another",
        description=DESCRIPTION,
        epilog="example: nanoae detect --train normal.csv --score new.csv --out scores.csv --explain --ignore id",
    )
    files = parser.add_argument_group("files")
    declare(
        files.add_mutually_exclusive_group(required=True),
        """
        --train CSV   training rows, nearly all of them normal
        --model NPZ   a detector written by --save
    """,
    )
    declare(
        files,
        f"""
        --score CSV   rows to score
        --out CSV     output file; "-" for stdout
        --save NPZ    file to write the fitted detector to
        --explain     add a reason, and each column's share of the score
        {JSON}
    """,
    )
    declare(
        files,
        """
        --ignore A,B  columns to copy, but not to learn from, such as ids
        --resize HxW  the height and width to scale the images of a folder to, as 64x48
    """,
        default="",
    )
    data_options.add_limit(files)
    data_options.add_format(parser)
    declare(
        parser.add_argument_group("threshold").add_mutually_exclusive_group(),
        """
        --false-alarms P    share of normal rows to flag as abnormal, however small: peaks over threshold
                            (default: 0.01)
        --contamination P   share of the --train rows that are abnormal
        --false-discovery-rate P   share of false alarms among the flagged rows, over all of --score
                            (Benjamini-Hochberg)
        --mad K             K robust standard deviations (MAD) above the median
    """,
    )
    declare(
        parser.add_argument_group("settings"),
        """
        --members N      number of autoencoders, whose scores are averaged (default: 1)
        --checkpoint-dir DIR   folder for checkpoints, so that the same command resumes after it was stopped or killed;
                         without it, training starts from the beginning
        --seed SEED      random seed (default: 0)
    """,
    )


def run(args: Namespace) -> int:
    check(args)
    notes: dict[str, Any] = {"ignore": []}
    if args.model:
        notes = models.notes(args) | models.reading_notes(args)
        args.resize = args.resize or "".join(notes["resize"])
    for path in filter(None, (args.save, args.out)):
        check_output_file(path)
    prepare = numbers_of if are_numbers(args.train, args.score) else tables_of
    detector, about, notes, parts = prepare(args, notes, new_detector(args))
    summary = [f"train   {args.train}: {about}" if args.train else f"model   {args.model}, {about}"]
    facts: dict[str, Any] = {
        "model": str(args.model or args.save or "") or None,
        "threshold": detector.threshold_,
    }
    if args.save:
        save_model(detector, args.save, notes)
        summary.append(f"model   {args.save}")
    if args.score:
        write_judged(args, detector, parts, summary, facts)
    if args.checkpoint_dir:
        resume.remove(args.checkpoint_dir)
    if args.json:
        write_json(STDOUT, facts)
    else:
        print_summary("\n".join(summary), args.out)
    return 0


# ---------------------------------------------------------------- judging


def write_judged(
    args: Namespace,
    detector: AnomalyDetector,
    parts: Callable[[], Iterator[Chunk]],
    summary: list[str],
    facts: dict[str, Any],
) -> None:
    """Score the rows, and write a line for each, part by part."""
    facts |= {"rows": 0, "abnormal": 0, "written": str(args.out)}
    rate = args.false_discovery_rate
    p_values = None
    if rate is not None:  # needs the p-values of all rows
        p_values = np.concatenate([detector.p_values(rows) for rows, *_ in parts()])
        falsely = benjamini_hochberg(p_values, rate, len(detector.tested_scores_))

    def lines() -> Iterator[Iterable]:
        for rows, numbers, copied in parts():
            judged = judge(detector, rows, args.explain)
            done = facts["rows"]
            if rate is not None:
                judged["abnormal"] = falsely[done : done + len(rows)].astype(np.uint8)
            if not done:
                yield ["row", *(name for name, _ in copied), *judged]
            facts["rows"] += len(rows)
            facts["abnormal"] += int(judged["abnormal"].sum())
            yield from zip(numbers, *(cells for _, cells in copied), *judged.values(), strict=True)

    write_csv(args.out, lines())
    rule = f"above {detector.threshold_:.4g}"
    if rate is not None:
        rule = f"abnormal at a false discovery rate of {rate:g}"
    summary.append(
        f"score   {args.score}: {counted(facts['rows'], 'row')}, {facts['abnormal']:,} of them {rule}"
    )
    summary.append(f"written to {args.out}")


def check(args: Namespace) -> None:
    """Raise ValueError for options that cannot be combined, or that would overwrite an input."""
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
    if args.resize and not of_images(args.train or args.score):
        raise ValueError(f"--resize: expected a folder of images, got {args.train or args.score}.")
    rate = args.false_discovery_rate
    if rate is not None and not (args.score and 0 < rate < 1):
        got = rate if args.score else "no --score"
        raise ValueError(f"--false-discovery-rate: expected a number in (0, 1), got {got}.")
    if not (args.out or args.save):
        raise ValueError(
            "--train: expected --score and --out, or --save, got none: nothing would be written."
        )
    for option in (
        "save",
        "false_alarms",
        "contamination",
        "mad",
        "members",
        "seed",
        "checkpoint_dir",
    ):
        if args.model and getattr(args, option) is not None:
            raise ValueError(
                f"--{option.replace('_', '-')}: expected --train with it, got --model, which is fitted already."
            )
    named = (args.train, args.model, args.score, args.out, args.save)
    files = [path for path in named if path]
    for option, path in (("--out", args.out), ("--save", args.save)):
        if path in (None, STDOUT):
            continue
        if sum(same_file(path, other) for other in files) > 1:
            raise ValueError(f"{option}: expected a file that no other option names, got {path}.")


def same_file(a: Path, b: Path) -> bool:
    if os.path.realpath(a) == os.path.realpath(b):
        return True
    return a.exists() and b.exists() and a.samefile(b)


def new_detector(args: Namespace) -> AnomalyDetector:
    return AnomalyDetector(
        missing="mask",
        contamination=0.1 if args.contamination is None else args.contamination,
        threshold=threshold(args),
        members=1 if args.members is None else args.members,
        random_state=args.seed or 0,
    )


def judge(detector: AnomalyDetector, rows: Any, explain: bool) -> dict[str, Any]:
    """The output columns of these rows, by name."""
    scores = -detector.score_samples(rows)
    abnormal = ~(scores <= detector.threshold_)  # NaN, too
    columns: dict[str, Any] = {
        "score": texts(scores, ".6g"),
        "p_value": texts(detector.calibration_.exceeded(scores), ".3g"),
        "abnormal": abnormal.astype(np.uint8),
    }
    if explain:
        found = detector.explanation(rows)
        reasons = [found.reasons(row, REASONS) for row in range(len(rows))]
        columns["reason"] = list(map(", ".join, reasons))
        for name, share in zip(found.names, found.shares.T, strict=True):
            columns[f"{name}_share"] = texts(share, ".4g")
    return columns


def threshold(args: Namespace) -> Threshold | None:
    """The threshold rule that the options choose; None for the contamination."""
    if args.mad is not None:
        return MAD(args.mad)
    if args.contamination is not None:
        return None
    return PeaksOverThreshold(0.01 if args.false_alarms is None else args.false_alarms)


def texts(values: np.ndarray, form: str) -> Iterator[str]:
    return (format(value, form) for value in values)
