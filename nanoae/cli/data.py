"""The data options, which all commands share, and the rows they name."""

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
# rows on the model's scale, (N, D), and what its methods take beside them
Table = tuple[np.ndarray, dict[str, Any]]


def add_options(parser: ArgumentParser, required: bool = False, default: str | None = None) -> None:
    group = parser.add_argument_group("data")
    declare(
        group,
        f"""
        --data NAME,PATH   {", ".join(NAMES)}, or a .csv, .tsv, .txt (or .gz), .npy, .npz, .parquet, .arrow or IDX file,
                           or a folder of images, of one for each class, or of Parquet files
    """,
        required=required,
        default=default,
        metavar="NAME|PATH",
    )
    declare(
        group,
        """
        --data-dir FOLDER  where to look for mnist and fashion-mnist first
        --label COLUMN     the column of a table that holds the label
        --maximum X        the value that becomes 1, where the file's type does not tell: 255 for pixels in a .csv
    """,
    )
    declare(
        group,
        """
        --ignore A,B  columns of a table to leave out, such as ids
        --resize HxW  the height and width to scale the images of a folder to, as 64x48
    """,
        default="",
    )
    add_limit(group)
    add_format(parser)


def add_limit(group: argparse._ActionsContainer) -> None:
    declare(
        group,
        """
        --limit SIZE    the most that a file may unpack to in all, as 8GB (default: 4GiB; a model 32MiB, or 4 times its
                        file)
        --memory SIZE=1GB   about what the rows of a large table may take in all, as 500MB
    """,
    )


def limit(args: Namespace) -> int:
    """That of a file of data."""
    return UNPACK_LIMIT if args.limit is None else args.limit


def add_format(parser: ArgumentParser) -> argparse._ArgumentGroup:
    """The options that say how a text table is written, where the reader is in doubt."""
    group = parser.add_argument_group(
        "text tables", "found in the file; these settle what it leaves open"
    )
    declare(
        group,
        """
        --separator C     between columns: a character, "tab" or "blank"
        --decimal C       the decimal mark of all numbers, "." or ","
        --encoding NAME   of the characters, as cp1252
        --header auto|yes|no=auto   whether the first row names the columns
    """,
    )
    declare(
        group,
        "--na TEXT  a mark of missing values; may be given several times",
        action="append",
        default=[],
    )
    declare(
        group,
        "--text A,B  columns to read as categories, even if they look like numbers",
        default="",
    )
    return group


def text_format(args: Namespace) -> dict[str, Any]:
    """What they say, as `load_data` and `read_table` take it; nothing where they say nothing."""
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
    """The columns that the options name and that are not to be learned: --ignore, then --label."""
    ignored = list(listed(args.ignore))
    return [*ignored, args.label] if args.label else ignored


def reading_notes(args: Namespace) -> dict[str, list[str]]:
    """What a model notes of how its data were read, for those that it is used on: the columns of a table that it did
    not learn, and what is missing there; the size that images were scaled to."""
    return {"ignore": no_inputs(args), "na": args.na, "resize": args.resize.split()}


def as_learned(args: Namespace, notes: dict[str, list[str]]) -> Namespace:
    """`args` that read a text table, or a folder of images, as the model's was read, by its `reading_notes`; columns
    that it did not learn need not be there."""
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
    args: Namespace,
    in_order: bool = False,
    model: Any = None,
    words: bool = False,
) -> Dataset:
    """The data set, split into training and test rows; a user's file `in_order` is only cut, not shuffled. Of a text
    table the columns that `model` learned, by their names; with `words` and gaps, if that did, or is to, learn those.
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
    """Those of the table that it learned from, if it had any."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def black(model: Any) -> float:
    """What black pixels are for this model; see `NetworkEstimator.black_`."""
    return getattr(model, "black_", 0.0)


def predicts(model: Any) -> bool:
    """Whether it learns labels, and not to give the rows back."""
    return hasattr(model, "predict")


def conditional(model: Any) -> bool:
    """Whether it learned rows under their labels, and has to be told them."""
    return getattr(model, "classes_", None) is not None and not predicts(model)


def parts(data: Dataset, split: str, model: Any, learned: bool = False) -> list[Table]:
    """The tables of a split, for "all" the training and the test rows. With labels where the model is told them,
    condition=; and where it predicts them and they are to be `learned`, y=."""
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
    """method(rows, ...) of all rows, one table after the other, some rows at a time."""
    for table, extra in tables:
        for rows, block in numbered_blocks(table):
            own = {name: labels[rows] for name, labels in extra.items()}
            yield method(block, **own)


def joined(tables: list[Table]) -> Table:
    """All rows, one table after the other."""
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
    """The labels (N,) of the training or the test rows; ValueError where there are none."""
    which = "training" if split == "train" else split
    y = label_column(data.y_train if split == "train" else data.y_test)
    if y is None:
        raise ValueError(
            f"--data: expected a label for each {which} row, got none in {data.name}. For a .csv: --label COLUMN; "
            "for images: a folder for each class."
        )
    return y


def label_column(y: np.ndarray | None) -> np.ndarray | None:
    """The labels (N,) of rows; None where there are none, or several for each."""
    return None if y is None or y.ndim != 1 else y


def describe(data: Dataset, model: Any) -> str:
    """How many rows, of which shape and range, on the model's scale."""
    rows = f"{len(data.x_train):,} training and {len(data.x_test):,} test rows"
    return f"{data.name}: {rows} of {describe_rows(data, model)}"


def describe_rows(data: Dataset, model: Any) -> str:
    """The shape and range of a row, on the model's scale."""
    x = data.x_train
    if data.encoder is not None:
        columns = len(data.encoder.names_)
        words = columns - data.encoder.categories_.count(None)
        return f"{counted(columns, 'column')}, {words} of them words, as {x.shape[1]} numbers"
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
        scaled = f", read as {' to '.join(read)}"
    return f"{shape}, {x.dtype} from {lowest:g} to {highest:g}{scaled}"
