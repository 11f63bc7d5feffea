"""The data options, which all commands share, and the rows that they select."""

from __future__ import annotations

import argparse
import copy
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import TableEncoder
from nanoae.cli.options import declare
from nanoae.data import Dataset, load_data
from nanoae.data.catalogue import NAMES
from nanoae.data.dataset import UNPACK_LIMIT
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import SUFFIXES, open_table, suffix_of
from nanoae.rows import concatenated, numbered_blocks
from nanoae.spelling import counted
from nanoae.survey import extremes

SPLITS = ("train", "test", "all")
HEADERS = {"auto": None, "yes": True, "no": False}
# rows on the model's scale, (N, D), and further arguments of its methods
Table = tuple[np.ndarray, dict[str, Any]]


def add_options(parser: ArgumentParser, required: bool = False) -> None:
    group = parser.add_argument_group("data")
    declare(
        group,
        f"""
        --data NAME,PATH   {", ".join(NAMES)}, or a .csv, .tsv, .txt (or .gz), .npy, .npz, .parquet, .arrow or IDX file,
                           or a folder of images, of one subfolder per class, or of Parquet files
    """,
        required=required,
        metavar="NAME|PATH",
    )
    declare(
        group,
        """
        --data-dir FOLDER  folder to search first for mnist and fashion-mnist
        --label COLUMN     the column of a table that contains the labels
        --maximum X        the value that becomes 1, if the file's type does not determine it: 255 for pixels in a .csv
    """,
    )
    declare(
        group,
        """
        --ignore A,B  columns of a table to leave out, such as ids
        --resize HxW  scale the images of a folder to this height and width, e.g. 64x48
    """,
        default="",
    )
    add_limit(group)
    add_format(parser)


def add_limit(group: argparse._ActionsContainer) -> None:
    declare(
        group,
        """
        --limit SIZE    maximum size that a file may unpack to, e.g. 8GB (default: 4GiB; for a model 32MiB, or 4 times
                        the size of its file)
        --memory SIZE=1GB   approximate memory for the rows of a large table, e.g. 500MB
    """,
    )


def limit(args: Namespace) -> int:
    """The limit of a data file, in bytes."""
    return UNPACK_LIMIT if args.limit is None else args.limit


def add_format(parser: ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that describe the format of a text table, for cases that the reader cannot decide."""
    group = parser.add_argument_group(
        "text tables", "detected from the file; use these options if it is ambiguous"
    )
    declare(
        group,
        """
        --separator C     column separator: a character, "tab" or "blank"
        --decimal C       decimal mark of all numbers, "." or ","
        --encoding NAME   character encoding, e.g. cp1252
        --header auto|yes|no=auto   whether the first row names the columns
    """,
    )
    declare(
        group, "--na TEXT  a mark of missing values; can be repeated", action="append", default=[]
    )
    declare(
        group,
        "--text A,B  columns to read as categories, even if they look like numbers",
        default="",
    )
    return group


def text_format(args: Namespace) -> dict[str, Any]:
    """The text table options that were given, as arguments of `load_data` and `read_table`."""
    given = {
        "separator": args.separator,
        "decimal": args.decimal,
        "na": tuple(args.na),
        "encoding": args.encoding,
        "text": listed(args.text),
        "header": HEADERS[args.header],
    }
    return {name: value for name, value in given.items() if value not in (None, ())}


def listed(text: str) -> tuple[str, ...]:
    """The names in "A,B"."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def no_inputs(args: Namespace) -> list[str]:
    """The columns named by options that are not inputs: --ignore, then --label."""
    ignored = list(listed(args.ignore))
    return [*ignored, args.label] if args.label else ignored


def reading_notes(args: Namespace) -> dict[str, list[str]]:
    """How the data were read, which a model file notes for later data: the columns of a table that were left out, the
    marks of missing values, and the size that images were scaled to."""
    return {"ignore": no_inputs(args), "na": args.na, "resize": args.resize.split()}


def as_learned(args: Namespace, notes: dict[str, list[str]]) -> Namespace:
    """`args` that read a text table, or a folder of images, like the model's training data (`reading_notes`); columns
    that it did not learn may be absent."""
    path = Path(args.data)
    found = copy.copy(args)
    if path.is_dir():
        found.resize = args.resize or "".join(notes["resize"])
    if suffix_of(path) not in SUFFIXES or not path.is_file():
        return found
    left_out = [name for name in notes["ignore"] if name not in no_inputs(args)]
    if left_out:
        with open_table(path, TextFormat.of(text_format(args), "load_data"), limit(args)) as text:
            left_out = [name for name in left_out if name in text.names]
    found.na = [*args.na, *notes["na"]]
    found.left_out = left_out
    return found


def read(
    args: Namespace, in_order: bool = False, model: Any = None, words: bool = False
) -> Dataset:
    """The data set, split into training and test rows; with `in_order`, a user's file is not shuffled. A text table is
    reduced to the columns that `model` learned, by name, and may contain text and missing values if `words` is set or
    the model learned them.
    """
    encoder = getattr(model, "table_encoder_", None)
    if words or getattr(model, "missing", None) == "mask":
        encoder = encoder or TableEncoder()
    seed = None if in_order and args.data not in NAMES else 0
    given = text_format(args)
    ignored = (*listed(args.ignore), *getattr(args, "left_out", ()))
    if ignored:
        given["ignore"] = ignored
    return load_data(
        args.data,
        args.data_dir,
        random_state=seed,
        label=args.label,
        maximum=args.maximum,
        columns=column_names(model),
        limit=limit(args),
        encoder=encoder,
        resize=args.resize or None,
        **given,
    )


def column_names(model: Any) -> list[str] | None:
    """The column names of the model's training table, if it had any."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def black(model: Any) -> float:
    """The value of black pixels for this model; see `NetworkEstimator.black_`."""
    return getattr(model, "black_", 0.0)


def predicts(model: Any) -> bool:
    """Return True if the model predicts labels instead of reconstructing rows."""
    return hasattr(model, "predict")


def conditional(model: Any) -> bool:
    """Return True if the model is conditioned on labels."""
    return getattr(model, "classes_", None) is not None and not predicts(model)


def parts(data: Dataset, split: str, model: Any, learned: bool = False) -> list[Table]:
    """The tables of a split; for "all", the training and the test rows. A conditional model also gets the labels, as
    condition=, and a predictor as y= if they are to be `learned`."""
    name = None
    if conditional(model):
        name = "condition"
    elif learned and predicts(model):
        name = "y"
    found: list[Table] = []
    for part, x in zip(("train", "test"), data.flat(black(model), wide=True), strict=True):
        if part == split or (split == "all" and len(x)):
            extra = {name: labels(data, part)} if name else {}
            found.append((x, extra))
    return found


def by_rows(method: Callable[..., np.ndarray], tables: list[Table]) -> Iterator[np.ndarray]:
    """Yield method(rows, ...) for all rows, one table after another, block by block."""
    for table, extra in tables:
        for rows, block in numbered_blocks(table):
            own = {name: labels[rows] for name, labels in extra.items()}
            yield method(block, **own)


def joined(tables: list[Table]) -> Table:
    """All rows, one table after another."""
    rows, extras = zip(*tables, strict=True)
    together = {}
    for name in extras[0]:
        together[name] = np.ma.concatenate([extra[name] for extra in extras])
    return concatenated(rows), together


def first(table: Table, n: int) -> Table:
    """Its first n rows."""
    rows, extra = table
    some = {name: labels[:n] for name, labels in extra.items()}
    return np.asarray(rows[:n]), some


def labels(data: Dataset, split: str) -> np.ndarray:
    """The labels (N,) of the training or the test rows; ValueError if there are none."""
    which = "training" if split == "train" else split
    y = label_column(data.y_train if split == "train" else data.y_test)
    if y is None:
        raise ValueError(
            f"--data: expected a label for each {which} row, got none in {data.name}. For a .csv: --label COLUMN; "
            "for images: a folder for each class."
        )
    return y


def label_column(y: np.ndarray | None) -> np.ndarray | None:
    """The labels (N,) of rows; None if there are none, or several per row."""
    return None if y is None or y.ndim != 1 else y


def describe(data: Dataset, model: Any) -> str:
    """The number of rows, their shape and range, on the model's scale."""
    rows = f"{len(data.x_train):,} training and {len(data.x_test):,} test rows"
    return f"{data.name}: {rows} of {describe_rows(data, model)}"


def describe_rows(data: Dataset, model: Any) -> str:
    """The shape and range of a row, on the model's scale."""
    x = data.x_train
    if data.encoder is not None:
        columns = len(data.encoder.names_)
        words = columns - data.encoder.categories_.count(None)
        return f"{counted(columns, 'column')}, {words} of them text, as {x.shape[1]} numbers"
    shape = " x ".join(map(str, data.shape))
    if len(data.shape) == 1:
        shape = counted(data.shape[0], "column")
    least, most = extremes(x)
    lowest = float(np.fmin.reduce(least, axis=None))
    highest = float(np.fmax.reduce(most, axis=None))
    scaled = ""
    if data.maximum:
        low = black(model)
        read = [f"{low + (1 - low) * end / data.maximum:g}" for end in (lowest, highest)]
        scaled = f", scaled to {' to '.join(read)}"
    return f"{shape}, {x.dtype} from {lowest:g} to {highest:g}{scaled}"
