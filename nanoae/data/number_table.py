"""Text tables of numbers alone, as data sets."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nanoae.data.columns import check_learned
from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Dataset
from nanoae.data.labels import read_labels
from nanoae.data.number import POINT
from nanoae.data.table import Table, check_index, table_of
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import TextTable, open_table
from nanoae.spelling import did_you_mean, short

LARGEST = float(np.finfo(np.float32).max)
Units = list[str | None]
Found = tuple[
    np.ndarray, Units, list[str] | None
]  # x (N, D) float64, `Table.unit` of each, and the label's cells


def read_numbers(
    path: Path,
    random_state: int | None = 0,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    maximum: float | None = None,
    written: TextFormat | None = None,
    limit: int = UNPACK_LIMIT,
) -> Dataset:
    """A text table of numbers, one example a row; `load_data` says what the arguments mean.

    BadFile names the row (its line in the file) and the column of a cell that is no number.
    """
    with open_table(path, written or TextFormat(), limit) as text:
        features = find_features(text, label, columns)
        position = None if label is None else text.names.index(label)
        x, units, labels = plain_numbers(text, features, position) or spelled_numbers(
            text, features, position
        )
    names = [text.names[at] for at in features]
    for name, values in zip(names, x.T, strict=True):
        check_index(str(path), name, values)
    y = None if labels is None else read_labels(labels)
    data = Dataset.split(
        path.name, x, y, random_state, tuple(names) if text.named else None, maximum
    )
    return replace(data, units=tuple(units))


def find_features(text: TextTable, label: str | None, wanted: Sequence[str] | None) -> list[int]:
    """Where the columns of features are: all but the label and what is ignored, or those `wanted`, in their order."""
    if label is not None and not (text.named and label in text.names):
        got = f"columns {text.names if text.named else 'without names'}"
        raise BadFile(
            text.path, f"a column named {label!r}", got, did_you_mean(label, text.names).strip()
        )
    found = [name for name in text.names if name != label and name not in text.format.ignore]
    if text.names and not found:
        raise BadFile(text.path, "columns to learn from", "none but the label and those to ignore")
    if wanted is not None and not text.named:
        order = short(", ".join(wanted))
        warnings.warn(
            f"{text.path}: taking its columns, which have no names, in the order {order}",
            stacklevel=4,
        )
    elif wanted is not None:
        check_learned(str(text.path), wanted, found, "the model learned", LEFT_OUT)
        found = list(wanted)
    places = {name: i for i, name in enumerate(text.names)}
    return [places[name] for name in found]


def plain_numbers(text: TextTable, features: list[int], label: int | None) -> Found | None:
    """The numbers, if all are written as Python writes them, told in one look. None: somebody has to look closer."""
    if text.format.na:
        return None
    columns = [array("d") for _ in features]
    labels: list[str] = []
    shown = text.format.decimal == "."  # whether points are decimal points for sure
    points = False
    rows = 0
    for numbers, block in text.blocks():
        rows += len(numbers)
        for values, at in zip(columns, features, strict=True):
            joined = "\n".join(block[at])
            if "_" in joined:  # float() would take "20_24" for 2024
                return None
            if not shown and "." in joined:
                points = True
                shown = POINT.search(joined) is not None
            try:
                values.extend(map(float, block[at]))
            except ValueError:
                return None
        labels += () if label is None else block[label]
    if not rows:
        raise BadFile(text.path, "rows of numbers", "none")
    x = np.stack(columns, axis=1)  # type: ignore[call-overload]
    if (points and (not shown or text.format.decimal == ",")) or not np.abs(x).max() <= LARGEST:
        return None
    units: Units = ["" if column.any() else None for column in x.T]
    if label is None:
        return x, units, None
    cells = TextColumn(
        text.names[label],
        [cell.strip() for cell in labels],
        range(rows),
        str(text.path),
        text.format,
    )
    spelled = cells.plain() is None and cells.parted(cells.counts)[0]
    return None if spelled else (x, units, cells.spelled_plainly())


def spelled_numbers(text: TextTable, features: list[int], label: int | None) -> Found:
    """The same of numbers in any spelling; BadFile for the first cell that is none."""
    table = table_of(text)
    x = np.stack([table.text_column(at).only_numbers() for at in features], axis=1)
    bad = np.argwhere(~(np.abs(x) <= LARGEST))
    if len(bad):
        raise no_number(table, text.named, bad[0][0], features[bad[0][1]])
    units = [table.unit(at) for at in features]
    return x, units, None if label is None else table.text_column(label).spelled_plainly()


LEFT_OUT = "A label is named: label=, --label; leave out what is not a feature: ignore=, --ignore."


def no_number(table: Table, named: bool, row: int, at: int) -> BadFile:
    column = table.text_column(at)
    cell = column.cells[row]
    numbers, texts = column.parted([cell])
    size = f" up to {LARGEST:.2g}" if numbers else ""
    where = f"row {table.rows[row]}, column {repr(column.name) if named else at + 1}"
    hint = LEFT_OUT if texts else "Fill it in, or remove the row."
    if texts and not named and row == 0:
        hint = "If the first row names the columns: header=True, --header yes."
    return BadFile(table.source, f"a number{size} in {where}", short(cell), hint)
