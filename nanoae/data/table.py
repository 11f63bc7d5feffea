"""Tables of numbers and categories, with gaps: from CSV files, data frames and arrays to what a network can learn."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.cell import exact, plain, texts
from nanoae.data.columns import check_names, dense, frame_columns, labels
from nanoae.data.dataset import UNPACK_LIMIT, BadFile
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import TextTable, open_table
from nanoae.spelling import did_you_mean

UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")  # as pandas calls a column that has no name


@dataclass
class Table:
    """Named columns of cells (N,) of any kind.

    rows       the numbers of the rows as the user counts them, for messages: the lines of a file
    source     where they come from, for messages
    format     how the file writes them, whose cells are then stripped texts; None where they are no file's
    declared   names of the columns whose type says that they are categories, whatever is in them
    named      whether a file names its columns, or they are counted: "1", "2", ...; None where they are no file's
    """

    names: list[str]
    cells: list[np.ndarray]
    rows: Sequence[int]
    source: str = "table"
    format: TextFormat | None = None
    declared: frozenset[str] = frozenset()
    named: bool | None = None

    def __post_init__(self) -> None:
        check_names(self.names, self.source)

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, X: Any, who: str = "table") -> Table:
        """A Table as it is; that of a data frame (of pandas, polars or Arrow), or of an array or lists (N, D), whose
        columns are named 0, 1, ...; ValueError or TypeError where `who` can make nothing of it."""
        if isinstance(X, Table):
            return X
        names = labels(X, who)
        if names is not None:
            cells, declared = frame_columns(X, who)
            return cls([*map(str, names)], cells, range(len(X)), who, None, declared)
        X = dense(X, who)
        if X.ndim != 2:
            raise ValueError(
                f"{who}: expected a data frame or a 2D array (N, D), got {X.ndim}D array {X.shape}."
            )
        numbered = [str(i) for i in range(X.shape[1])]
        return cls(numbered, list(X.T), range(len(X)), who)

    def taken(self, rows: slice | np.ndarray) -> Table:
        """These rows of it."""
        return replace(
            self,
            cells=[cells[rows] for cells in self.cells],
            rows=np.asarray(self.rows)[rows].tolist(),
        )

    def column(
        self, i: int, numeric: bool | None = None, known: Collection[str] = ()
    ) -> np.ndarray:
        """Column i (N,): float64, NaN where a number is missing; or text as objects, None where it is.

        numeric   None: text if some cells are no numbers, but not if nearly all are numbers: then ValueError says which
                  one is not
        known     texts that are values, though they look like a mark of what is missing
        """
        name = self.names[i]
        cells = self.plain_cells(i)
        if numeric is None and name in self.declared:
            numeric = False
        if cells.dtype == object:
            values = self.text_column(i).values(numeric, known)
        else:
            values = texts(cells) if numeric is False else cells.astype(np.float64)
        if values.dtype == object:
            return values
        if np.isinf(values).any():
            at = int(np.isinf(values).argmax())
            raise ValueError(
                f"{self.source}: expected finite numbers, got {values[at]} in row {self.rows[at]}, column {name!r}. "
                "Correct it, or leave the cell empty."
            )
        check_index(self.source, name, values, self.format is not None)
        return values

    @property
    def has_words(self) -> bool:
        """Whether some column is of categories."""
        return any(self.column(i).dtype == object for i in range(len(self.names)))

    def unit(self, i: int) -> str | None:
        """What is written beside the numbers of column i: "%", "€", or ""; None where none but 0 tells."""
        cells = self.plain_cells(i)
        if cells.dtype == object:
            return self.text_column(i).unit()
        return "" if np.nan_to_num(cells).any() else None

    def numbers(self) -> np.ndarray:
        """All columns as (N, D) float64, NaN where a number is missing; ValueError names one of text."""
        columns = [self.column(i) for i in range(len(self.names))]
        for name, column in zip(self.names, columns, strict=True):
            if column.dtype == object:
                example = next((cell for cell in column if cell is not None), None)
                kind = "categories" if name in self.declared else "text"
                raise ValueError(
                    f"{self.source}: expected numbers, got {kind} in column {name!r}, as {example!r:.60}. Encode the "
                    "categories first (TableEncoder), make them numbers, or leave the column out."
                )
        return np.column_stack(columns) if columns else np.empty((len(self), 0))

    def plain_cells(self, i: int) -> np.ndarray:
        """The cells of column i, numbers with NaN, or objects: stripped texts, and None where there is nothing."""
        if self.format is not None:
            return self.cells[i]
        cells = self.cells[i]
        if self.names[i] in self.declared:
            cells = exact(cells)
        return plain(cells, self.source, self.names[i], self.rows)

    def text_column(self, i: int, decimal: str | None = None) -> TextColumn:
        """Column i as text, whose decimal mark may be known from the rows before."""
        name = self.names[i]
        cells = self.plain_cells(i).tolist()
        written = self.format and replace(self.format, decimal=decimal or self.format.decimal)
        declared = name in self.declared
        elsewhere = lambda: self.decimal  # noqa: E731 - told only where it is asked for
        return TextColumn(name, cells, self.rows, self.source, written, elsewhere, declared)

    def split(self, names: Sequence[str]) -> tuple[Table, list[tuple[str, np.ndarray]]]:
        """The table without some columns, and these; ValueError for one that is not there, or if no other is left."""
        cells = dict(zip(self.names, self.cells, strict=True))
        for name in names:
            if name not in cells:
                got = ", ".join(self.names)
                hint = did_you_mean(name, self.names)
                raise ValueError(
                    f"{self.source}: expected the column {name!r} to ignore, got {got}.{hint}"
                )
        left_out = set(names)
        kept = [name for name in self.names if name not in left_out]
        if not kept:
            raise ValueError(
                f"{self.source}: expected columns to learn from, got none but those to ignore."
            )
        return self.selected(kept), [(name, cells[name]) for name in names]

    def selected(self, names: list[str]) -> Table:
        """Only these columns of it, in this order."""
        cells = dict(zip(self.names, self.cells, strict=True))
        return replace(self, names=names, cells=[cells[name] for name in names])

    def with_na(self, na: Sequence[str]) -> Table:
        """The table of a file, where these texts mean that a value is missing, too."""
        if self.format is None or not na:
            return self
        marks = (*self.format.na, *na)
        return replace(self, format=replace(self.format, na=marks))

    @cached_property
    def decimal(self) -> str | None:
        """The decimal mark that its text columns show, if they agree."""
        found: set[str] = set()
        for i in range(len(self.cells)):
            if self.plain_cells(i).dtype == object:
                found |= replace(self.text_column(i), elsewhere=lambda: None).shown()
        return found.pop() if len(found) == 1 else None


def has_text(X: Any, who: str = "table") -> bool:
    """Whether X is a Table, or a data frame of which some columns are categories."""
    if isinstance(X, Table) or labels(X, who) is None:
        return isinstance(X, Table)
    return Table.of(X, who).has_words


def check_index(source: str, name: str, values: np.ndarray, in_file: bool = True) -> None:
    """BadFile for a column without a name that numbers the rows: the index of a data frame, which is no feature."""
    if not UNNAMED.fullmatch(name) or len(values) < 2:
        return
    whole = (values == np.floor(values)).all()
    counts = np.mean(np.diff(values) == 1) > 0.5  # again and again, in tables one below the other
    if whole and (counts or len(np.unique(values)) == len(values)):
        way = f"X.drop(columns=[{name!r}])"
        if in_file:
            way = f"ignore=[{name!r}], --ignore={name!r}"
        got = f"the column {name!r}, which has no name and numbers the rows, as the index of a data frame does"
        raise BadFile(source, "features", got, f"Leave it out, {way}, or give it a name.")


def read_table(path: str | Path, limit: int = UNPACK_LIMIT, **written: Any) -> Table:
    """A text table of numbers and texts, whatever the suffix; a .gz is unpacked. Cells may be empty.

    Columns are separated by tabs, semicolons, bars, commas or blanks, whichever split the first lines into equally
    many; a cell in quotes may hold anything. The first row names the columns, if it reads like names. Numbers may be
    written with points or commas, thousands, percent and currency signs. Where any of this leaves a doubt, ValueError
    says which column or row it is in, and what to say:

    separator, decimal, na, text, ignore, header, encoding    how the table is written (`TextFormat`)

    limit    the most bytes that a .gz may unpack to

    A name that stands twice, and a row that is too short or too long, are refused by their line in the file.
    """
    path = Path(os.path.expanduser(path))
    with open_table(path, TextFormat.of(written, "read_table"), limit) as text:
        table, _ = next(tables_of(text)).split(text.format.ignore)
        return table


def tables_of(text: TextTable, cells: float = math.inf) -> Iterator[Table]:
    """All columns of an open text table, all rows or as many at a time as have about so many cells."""
    none = True
    for columns, rows in text.parts(cells):
        listed = [np.array(column, dtype=object) for column in columns]
        yield Table(text.names, listed, rows, str(text.path), text.format, named=text.named)
        none = False
    if none:
        raise BadFile(text.path, "rows of cells", "none")
