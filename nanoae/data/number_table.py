"""Text tables of numbers alone, as data sets."""

from __future__ import annotations

import re
import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.columns import check_learned
from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Dataset
from nanoae.data.identity import tell_of_ids
from nanoae.data.labels import read_labels
from nanoae.data.number import POINT, check_unit, number
from nanoae.data.table import check_index, tables_of
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import TextTable, open_table
from nanoae.rows import gathered, sample
from nanoae.spelling import did_you_mean, short

LARGEST = float(np.finfo(np.float32).max)
AT_ONCE = 1 << 21  # cells: by so many it is told how the numbers of a column are written
LEFT_OUT = "A label is named: label=, --label; leave out what is not a feature: ignore=, --ignore."


CODE = re.compile(r"\n0\d+(?=\n)")  # one of several cells


class OtherwiseSpelled(Exception):
    """Numbers are not all written as Python writes them, or perhaps are not: somebody has to look closer."""


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
        table = NumberTable(text, label, columns)
        x = table.read()
    if columns is None:
        tell_of_ids("load_data", sample(x).T, table.columns)
    y = None if label is None else read_labels(table.labels)
    data = Dataset.split(path.name, x, y, random_state, table.names, maximum)
    return replace(data, units=tuple(table.units))


class NumberTable:
    """The columns of numbers of an open text table, and perhaps one of labels.

    names    of these columns, None where the file names none
    units    once it is read `Table.unit` of each, and `labels` the cells of the label as `read_labels` takes them
    """

    def __init__(self, text: TextTable, label: str | None, columns: Sequence[str] | None):
        self.text = text
        self.source = str(text.path)
        self.features = find_features(text, label, columns)
        self.label = None if label is None else text.names.index(label)
        self.learned = columns is not None
        self.columns = [text.names[at] for at in self.features]
        self.names = tuple(self.columns) if text.named else None

    def read(self) -> Any:
        """x (N, D) float64, as Rows where it is large."""
        try:
            x = gathered(self.plain())
        except OtherwiseSpelled:
            x = gathered(self.spelled())
        for name, values in zip(self.columns, sample(x).T, strict=True):
            check_index(self.source, name, values)
        return x

    def plain(self) -> Iterator[np.ndarray]:
        """The numbers, some rows at a time, if all are written as Python writes them, told in one look."""
        text = self.text
        shown = text.format.decimal == "."  # whether points are decimal points for sure
        points = False
        rows = 0
        columns = [array("d") for _ in self.features]
        counts = np.zeros(len(columns), bool)
        labels: list[str] = []
        if text.format.na:
            raise OtherwiseSpelled
        for numbers, block in text.blocks():
            rows += len(numbers)
            for values, at in zip(columns, self.features, strict=True):
                joined = "\n".join(block[at])
                if "_" in joined:  # float() would take "20_24" for 2024
                    raise OtherwiseSpelled
                if CODE.search("\n" + joined.replace(" ", "") + "\n"):
                    raise OtherwiseSpelled
                if not shown and "." in joined:
                    points = True
                    shown = POINT.search(joined) is not None
                try:
                    values.extend(map(float, block[at]))
                except ValueError:
                    raise OtherwiseSpelled from None
            labels += () if self.label is None else map(str.strip, block[self.label])
            if len(columns[0]) * len(columns) >= AT_ONCE:
                yield stacked(columns, counts)
        if not rows:
            raise BadFile(self.source, "rows of numbers", "none")
        if len(columns[0]):
            yield stacked(columns, counts)
        if points and (not shown or text.format.decimal == ","):
            raise OtherwiseSpelled
        if self.label is not None:
            name = text.names[self.label]
            cells = TextColumn(name, labels, range(rows), self.source, text.format)
            if cells.plain() is None and cells.parted(cells.counts)[0]:
                raise OtherwiseSpelled
            self.labels = cells.spelled_plainly()
        self.units = ["" if each else None for each in counts]

    def spelled(self) -> Iterator[np.ndarray]:
        """The same of numbers in any spelling, which is told by the first rows; BadFile for the first cell that is
        none, or is written otherwise."""
        marks: dict[int, str | None] = {}
        self.units = [None] * len(self.features)
        self.labels = []
        for table in tables_of(self.text, AT_ONCE):
            columns = [table.text_column(at) for at in self.features]
            for i, column in enumerate(columns):
                if column.codes and not self.learned:
                    got = f"codes with zeros in front, as {column.codes[0]!r}"
                    raise column.refused("numbers", got, "Write them without, or leave it out.")
                marks[i] = marks.get(i) or column.decided()
                column.format = replace(column.format, decimal=marks[i])
                unit = table.unit(self.features[i])
                check_unit(self.source, column.name, self.units[i], unit)
                self.units[i] = self.units[i] or unit
            x = np.stack([column.only_numbers() for column in columns], axis=1)
            bad = np.argwhere(~(np.abs(x) <= LARGEST))
            if len(bad):
                row, i = bad[0].tolist()
                where = columns[i].name if self.names else self.features[i] + 1
                raise no_number(columns[i], row, where)
            if self.label is not None:
                self.labels += table.text_column(self.label).spelled_plainly()
            yield x


def stacked(columns: list[array], counts: np.ndarray) -> np.ndarray:
    """The columns (n,) as (n, D), empty from here on; `counts` which of them had another number than 0."""
    x = np.stack([np.array(column) for column in columns], axis=1)
    if not np.abs(x).max() <= LARGEST:
        raise OtherwiseSpelled
    counts |= x.any(axis=0)
    for column in columns:
        del column[:]
    return x


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


def no_number(column: TextColumn, row: int, name: str | int) -> BadFile:
    """What is wrong with the cell in that row."""
    cell = column.cells[row]
    numbers, texts = column.parted([cell])
    where = f"in row {column.rows[row]}, column {name!r}"
    if texts and number(cell or ""):
        expected = f"a number with {column.format.decimal!r} before its decimals {where}"
        return BadFile(column.source, expected, short(cell), column.say_decimal)
    size = f" up to {LARGEST:.2g}" if numbers else ""
    hint = LEFT_OUT if texts else "Fill it in, or remove the row."
    if texts and isinstance(name, int) and row == 0:
        hint = "If the first row names the columns: header=True, --header yes."
    return BadFile(column.source, f"a number{size} {where}", short(cell), hint)
