"""Read text tables of numbers as data sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.cell import CODE, warn_about_codes
from nanoae.data.columns import check_learned
from nanoae.data.dataset import BadFile, Examples
from nanoae.data.identity import warn_about_ids
from nanoae.data.labels import read_labels
from nanoae.data.number import POINT, check_unit, number
from nanoae.data.table import Table, check_index, tables_of
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import TextTable, open_table
from nanoae.rows import gathered
from nanoae.spelling import did_you_mean, short
from nanoae.survey import sample
from nanoae.warning import warn

LARGEST = float(np.finfo(np.float32).max)
AT_ONCE = 1 << 21  # cells parsed together, enough to detect the number format of a column
A_CODE = re.compile(rf"\n(?:{CODE.pattern}|\d{{16,}})(?=\n)")
LEFT_OUT = (
    "Name a label column with label=, --label; leave out other non-features with ignore=, --ignore."
)


def read_numbers(
    path: Path, label: str | None, columns: Sequence[str] | None, written: TextFormat, limit: int
) -> Examples:
    """Read a text table of numbers, one example per row. The arguments are those of `load_data`.

    Raise BadFile, naming row (line in the file) and column, for a cell that is not a number.
    """
    with open_table(path, written, limit) as text:
        table = NumberTable(text, label, columns)
        x = table.read()
    if columns is None:
        warn_about_ids("load_data", sample(x).T, table.columns)
    y = None if label is None else read_labels(table.labels)
    units = [*table.units, *table.label_units]
    return Examples(x, y, columns=table.names, units=tuple(units))


class NumberTable:
    """The number columns of an open text table, and optionally a label column.

    names    column names, or None if the file has none
    units    after reading, `Table.unit` of each column, and `labels`, the cells of the label for `read_labels`
    """

    def __init__(self, text: TextTable, label: str | None, columns: Sequence[str] | None):
        self.text = text
        self.source = str(text.path)
        self.columns = find_features(text, label, columns)
        places = {name: i for i, name in enumerate(text.names)}
        self.features = [places[name] for name in self.columns]
        self.label = None if label is None else text.names.index(label)
        self.learned = columns is not None
        self.names = tuple(self.columns) if text.named else None
        self.units: list[str | None] = [None] * len(self.features)
        self.marks = self.units.copy()  # decimal mark of each column, once known
        self.labels: list[str] = []
        self.label_units: list[str] = []  # unit of the label, if it is numeric

    def read(self) -> Any:
        """Return x (N, D) float64, as Rows if it is large."""
        try:
            x = gathered(self.plain())
        except ValueError:  # not in Python's notation: parse cell by cell
            x = gathered(map(self.numbers, tables_of(self.text, AT_ONCE)))
        for name, values in zip(self.columns, sample(x).T, strict=True):
            check_index(self.source, name, values)
        return x

    def plain(self) -> Iterator[np.ndarray]:
        """Yield the numbers in blocks if all are in Python's notation, else raise ValueError."""
        format = self.text.format
        decimal = format.decimal
        points = False
        counts: Any = np.zeros(len(self.features), bool)
        labels: list[str] = []
        for _, block in self.text.blocks():
            columns = [block[at] for at in self.features]
            joined = "\n".join(["", *map("\n".join, columns), ""])
            if not (self.learned or counts.any()):  # in the first block
                for name, cells in zip(self.columns, columns, strict=True):
                    warn_about_codes(self.source, name, cells)
            # "20_24" is not 2024
            if format.na or "_" in joined or A_CODE.search(joined.replace(" ", "")):
                raise ValueError
            points = points or "." in joined
            if decimal is None and points and POINT.search(joined):
                decimal = "."
            x = np.ascontiguousarray(np.array([[*map(float, column)] for column in columns]).T)
            if not np.abs(x).max() <= LARGEST:
                raise ValueError
            counts |= x.any(axis=0)
            labels += () if self.label is None else map(str.strip, block[self.label])
            yield x
        if points and decimal != ".":
            raise ValueError
        if self.label is not None:
            name = self.text.names[self.label]
            column = TextColumn(
                name, labels, range(len(labels)), self.source, format, lambda: decimal
            )
            self.keep_labels(column)
        self.units = ["" if each else None for each in counts]

    def numbers(self, table: Table) -> np.ndarray:
        """Return the numbers of some rows (n, D). Raise BadFile for a cell that is no number or notated otherwise."""
        x = np.empty((len(table), len(self.features)))
        columns: list[TextColumn] = []
        for i, at in enumerate(self.features):
            column = table.text_column(at, self.marks[i])
            columns.append(column)
            if column.codes and not self.learned:
                got = f"codes with leading zeros or plus signs, or many digits, such as {column.codes[0]!r}"
                raise column.refused("numbers", got, "Write them without, or leave the column out.")
            self.marks[i] = self.marks[i] or column.decided()
            unit = column.unit()
            check_unit(self.source, column.name, self.units[i], unit)
            self.units[i] = self.units[i] or unit
            x[:, i] = column.only_numbers()
        bad = np.argwhere(~(np.abs(x) <= LARGEST))
        if len(bad):
            row, i = bad[0].tolist()
            raise no_number(
                columns[i], row, columns[i].name if self.names else self.features[i] + 1
            )
        if self.label is not None:
            self.keep_labels(table.text_column(self.label))
        return x

    def keep_labels(self, column: TextColumn) -> None:
        """Append the labels of some rows, and remember the unit next to them."""
        self.labels += column.spelled_plainly()
        unit = column.unit()
        self.label_units = self.label_units if unit is None else [unit]


def find_features(text: Any, label: str | None, wanted: Sequence[str] | None) -> list[str]:
    """Return the feature columns of a TextTable or TableParts: the `wanted` ones, or all but label and ignored ones."""
    if label is not None and not (text.named and label in text.names):
        got = f"columns {text.names if text.named else 'without names'}"
        hint = did_you_mean(label, text.names)
        raise BadFile(text.path, f"a column named {label!r}", got, hint)
    found = [name for name in text.names if name != label and name not in text.format.ignore]
    if text.names and not found:
        raise BadFile(text.path, "columns to learn from", "only the label and columns to ignore")
    if wanted is not None and not text.named:
        warn(
            f"{text.path}: its columns have no names; taking them in the order {short(', '.join(wanted))}"
        )
    elif wanted is not None:
        check_learned(str(text.path), wanted, found, "the model learned", LEFT_OUT)
        found = list(wanted)
    return found


def no_number(column: TextColumn, row: int, name: str | int) -> BadFile:
    """Return the error for the cell in that row."""
    cell = column.cells[row]
    text = cell in column.parted[1]
    where = f"in row {column.rows[row]}, column {name!r}"
    if text and number(cell or ""):
        expected = f"a number with the decimal mark {column.format.decimal!r} {where}"
        return BadFile(column.source, expected, short(cell), column.hint_decimal)
    if text and column.mostly_numbers:
        return column.no_number(cell or "")
    size = f" up to {LARGEST:.2g}" if cell in column.parted[0] else ""
    hint = LEFT_OUT if text else "Fill it in, or remove the row."
    if text and isinstance(name, int) and column.rows[row] == 1:
        hint = "If the first row names the columns: header=True, --header yes."
    return BadFile(column.source, f"a number{size} {where}", short(cell), hint)
