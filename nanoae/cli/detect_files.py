"""The files of `nanoae detect`: the training rows, and the rows to score, part by part."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.cli import data as data_options
from nanoae.cli import resume
from nanoae.cli.output import log_error
from nanoae.cli.training_set import TrainingSet
from nanoae.data.columnar import is_columnar
from nanoae.data.dataset import BadFile, Dataset
from nanoae.data.encoder import TableEncoder
from nanoae.data.image_folder import image_paths
from nanoae.data.rows_file import read_rows
from nanoae.data.table import Table
from nanoae.data.table_parts import TableParts
from nanoae.rows import Rows, numbered_blocks
from nanoae.spelling import counted

Notes = dict[str, Any]
# rows, their row numbers, the copied columns
Chunk = tuple[Any, Sequence[int], list[tuple[str, np.ndarray]]]
Prepared = tuple[AnomalyDetector, str, Notes, Callable[[], Iterator[Chunk]]]


def are_numbers(*paths: Path | None) -> bool:
    """Return True if the files are Parquet, Arrow or .npy, which contain only numbers, or folders of images; BadFile if
    only some are."""
    given = [path for path in paths if path is not None]
    images = [path for path in given if of_images(path)]
    found = [path for path in given if path.suffix.lower() == ".npy" or is_columnar(path)]
    if images and len(images) < len(given):
        hint = "A folder of images needs another one beside it."
        expected = "a table in a file, or a folder of Parquet files"
        raise BadFile(images[0], expected, "a folder", hint)
    found += images
    if found and len(found) < len(given):
        other = next(path for path in given if path not in found)
        expected = f"a Parquet, Arrow or .npy file like {found[0].name}"
        raise BadFile(other, expected, "another format", "Store both in the same format.")
    return bool(found)


def of_images(path: Path | None) -> bool:
    return path is not None and path.is_dir() and not is_columnar(path)


def read_images(path: Path, args: Namespace) -> Dataset:
    """A folder of images, in the order of their files."""
    resize = args.resize or None
    limit = data_options.limit(args)
    return nanoae.load_data(path, random_state=None, limit=limit, resize=resize)


def numbers_of(args: Namespace, notes: Notes, detector: AnomalyDetector) -> Prepared:
    """For files of numbers: the fitted detector (`detector`, or the one in --model), a description of its training
    rows, notes on how they were read, and the rows to score."""
    ignored = [*data_options.listed(args.ignore), *notes["ignore"]]
    limit = data_options.limit(args)
    train: Any = None
    score: Any = None
    files: list[str] = []
    columns: Sequence[str] | None = None
    learned = TrainingSet.of_notes(notes) if "fingerprint" in notes else None
    images = of_images(args.train or args.score)
    if images and args.train:
        data = read_images(args.train, args)
        learned = TrainingSet.of(data, None)
        train = np.concatenate(data.flat())
    elif args.train:
        train = read_rows(args.train, None, ignored, limit)
        columns = train.names
    else:
        detector = load_detector(args, tables=False)
        columns = data_options.column_names(detector)
    if args.score and images:
        data = read_images(args.score, args)
        if learned is not None:
            data = learned.on_scale(data)
        score = np.concatenate(data.flat())
        files = [str(path.relative_to(args.score)) for path in image_paths(args.score)]
    elif args.score:
        left_out = () if columns else ignored
        score = read_rows(args.score, columns, left_out, limit)

    def parts() -> Iterator[Chunk]:
        for rows, block in numbered_blocks(score):
            copied = [("file", np.array(files[rows]))] if files else []
            yield block, range(rows.start + 1, rows.stop + 1), copied

    notes = {"ignore": ignored, "resize": args.resize.split()}
    if learned is not None:
        notes |= learned.notes()
    if train is None:
        return detector, f"columns: {detector.n_features_in_} of numbers", notes, parts
    learn(args, detector, train)
    about = f"{counted(len(train), 'row')}, columns: {train.shape[1]} of numbers"
    if images:
        about = f"{counted(len(train), 'image')} of {' x '.join(map(str, data.shape))}"
    return detector, about, notes, parts


def tables_of(args: Namespace, notes: Notes, detector: AnomalyDetector) -> Prepared:
    """The same for text tables."""
    ignored = data_options.listed(args.ignore)
    kept = notes["ignore"]
    score: Any = opened(args.score, args)
    train = opened(args.train, args)
    if score is not None:
        ignored += tuple(name for name in kept if name in score.names and name not in ignored)
    left_out = set_aside(score, ignored, train)

    def parts() -> Iterator[Chunk]:
        for table, copied in score.split(left_out):
            yield table, table.rows, copied

    first = next(parts())[0] if score is not None else None
    if train is None:
        detector = load_detector(args)
        rows = ""
    else:
        of_train = set_aside(train, ignored, score)
        if train.large:
            learned: Any = train.encoded(of_train)
        else:
            learned, _ = next(train.split(of_train))
        if first is not None:
            check_rows(learned, first)
        learn(args, detector, learned)
        rows = f"{len(learned):,} rows, "
    encoder: Any = detector.encoder_
    known = encoder.categories_
    numbers = known.count(None)
    about = f"{rows}columns: {numbers} of numbers, {len(known) - numbers} of categories"
    return detector, about, {"ignore": list(ignored)}, parts


def opened(path: Path | None, args: Namespace) -> TableParts | None:
    if path is None:
        return None
    return TableParts(path, data_options.limit(args), **data_options.text_format(args))


def set_aside(table: Any, ignored: Sequence[str], other: Any) -> list[str]:
    """The columns to ignore in a table; a column that only the `other` table has, such as an index, is skipped."""
    if table is None:
        return []
    elsewhere = set(other.names if other is not None else ())
    return [name for name in ignored if name in table.names or name not in elsewhere]


def check_rows(train: Any, new: Table) -> None:
    """Raise the errors of the new rows before the training. Their warnings are issued when they are scored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = train.encoder if isinstance(train, Rows) else TableEncoder().fit(train)
        encoder.transform(new)


def learn(args: Namespace, detector: AnomalyDetector, rows: Any) -> None:
    """Call fit(rows); with --checkpoint-dir, resume where this command was stopped."""
    if args.checkpoint_dir is None:
        detector.fit(rows)
        return
    try:
        detector.fit(rows, checkpoint_dir=args.checkpoint_dir / resume.FOLDER, resume=True)
    except (KeyboardInterrupt, SystemExit):
        log_error("the same command resumes from here")
        raise


def load_detector(args: Namespace, tables: bool = True) -> AnomalyDetector:
    """Load --model, a detector of text tables, or of numbers only."""
    path: Path = args.model
    detector = nanoae.load(path, limit=args.limit)
    if isinstance(detector, AnomalyDetector) and not tables and detector.encoder_ is not None:
        raise ValueError(
            f"{path}: expected a detector of numbers, got one of text tables. Pass a text table to --score."
        )
    if not isinstance(detector, AnomalyDetector) or (tables and detector.encoder_ is None):
        raise ValueError(
            f"{path}: expected a detector of tables, got {type(detector).__name__}. "
            "nanoae detect --train --save writes one."
        )
    return detector
