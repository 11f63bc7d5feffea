"""Tables of numbers and categories, with gaps, from CSV files, data frames and arrays."""

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

from nanoae.data.cell import exact, plain, texts, warn_about_codes
from nanoae.data.columns import check_names, dense, frame_columns, labels, library
from nanoae.data.dataset import UNPACK_LIMIT, BadFile
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import TextTable, open_table
from nanoae.spelling import did_you_mean

UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")  # pandas' name for a column without one


@dataclass
class Table:
    """Named columns of cells (N,) of any kind.

    rows       row numbers for messages; the line numbers for a file
    source     name of the source for messages
    format     format of the file, whose cells are stripped texts; None for data not read from a file
    declared   names of the columns whose type marks them as categories, whatever their values
    named      whether the file names its columns, or they are numbered "1", "2", ...; None if not read from a file
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
        """Return a Table as it is, or that of a pandas, polars or Arrow data frame, or of an array or lists (N, D),
        whose columns are named 0, 1, ... Raise ValueError or TypeError in the name of `who` for anything else."""
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
        """Return a table of these rows."""
        return replace(
            self,
            cells=[cells[rows] for cells in self.cells],
            rows=np.asarray(self.rows)[rows].tolist(),
        )

    def column(
        self, i: int, numeric: bool | None = None, known: Collection[str] = ()
    ) -> np.ndarray:
        """Return column i (N,): float64, NaN for missing numbers, or an object array of texts, None for missing ones.

        numeric   None: text if some cells are not numbers; but if nearly all are, ValueError names one that is not
        known     texts that are values even if they look like a marker of missing values
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
                "Correct the value, or leave the cell empty."
            )
        if numeric is None:
            warn_about_codes(self.source, name, self.cells[i])
        check_index(self.source, name, values, self.format is not None)
        return values

    @property
    def has_words(self) -> bool:
        """True if any column holds categories."""
        return any(self.column(i).dtype == object for i in range(len(self.names)))

    def unit(self, i: int) -> str | None:
        """Return the unit next to the numbers of column i: "%", "€", or "" for none; None if all numbers are 0."""
        cells = self.plain_cells(i)
        if cells.dtype == object:
            return self.text_column(i).unit()
        return "" if np.nan_to_num(cells).any() else None

    def numbers(self) -> np.ndarray:
        """Return all columns as (N, D) float64, NaN for missing numbers. Raise ValueError, naming it, for text."""
        columns = [self.column(i) for i in range(len(self.names))]
        for name, column in zip(self.names, columns, strict=True):
            if column.dtype == object:
                example = next((cell for cell in column if cell is not None), None)
                kind = "categories" if name in self.declared else "text"
                raise ValueError(
                    f"{self.source}: expected numbers, got {kind} in column {name!r}, such as {example!r:.60}. Encode "
                    "the categories first (TableEncoder), convert them to numbers, or leave the column out."
                )
        return np.column_stack(columns) if columns else np.empty((len(self), 0))

    def plain_cells(self, i: int) -> np.ndarray:
        """Return the cells of column i: numbers with NaN, or objects: stripped texts, with None for missing values."""
        if self.format is not None:
            return self.cells[i]
        cells = self.cells[i]
        if self.names[i] in self.declared:
            cells = exact(cells)
        return plain(cells, self.source, self.names[i], self.rows)

    def text_column(self, i: int, decimal: str | None = None) -> TextColumn:
        """Return column i as text. `decimal` is the decimal mark, if earlier rows already showed it."""
        name = self.names[i]
        cells = self.plain_cells(i).tolist()
        written = self.format and replace(self.format, decimal=decimal or self.format.decimal)
        declared = name in self.declared
        elsewhere = lambda: self.decimal  # noqa: E731 - computed only if needed
        return TextColumn(name, cells, self.rows, self.source, written, elsewhere, declared)

    def split(self, names: Sequence[str]) -> tuple[Table, list[tuple[str, np.ndarray]]]:
        """Return the table without the named columns, and these. Raise ValueError for a missing one, or for all."""
        cells = dict(zip(self.names, self.cells, strict=True))
        for name in names:
            if name not in cells:
                raise ValueError(
                    f"{self.source}: expected the column {name!r} to ignore, got {', '.join(self.names)}."
                    f"{did_you_mean(name, self.names)}"
                )
        kept = [name for name in self.names if name not in names]
        if not kept:
            raise ValueError(
                f"{self.source}: expected columns to learn from, got only columns to ignore."
            )
        return self.selected(kept), [(name, cells[name]) for name in names]

    def selected(self, names: list[str]) -> Table:
        """Return a table of these columns, in this order."""
        cells = dict(zip(self.names, self.cells, strict=True))
        return replace(self, names=names, cells=[cells[name] for name in names])

    def with_na(self, na: Sequence[str]) -> Table:
        """Return the table of a file with these texts as additional markers of missing values."""
        if self.format is None or not na:
            return self
        marks = (*self.format.na, *na)
        return replace(self, format=replace(self.format, na=marks))

    @cached_property
    def decimal(self) -> str | None:
        """The decimal mark shown by the text columns, if they agree."""
        found: set[str] = set()
        for i in range(len(self.cells)):
            if self.plain_cells(i).dtype == object:
                found |= replace(self.text_column(i), elsewhere=lambda: None).shown()
        return found.pop() if len(found) == 1 else None


def has_text(X: Any, who: str) -> bool:
    """Return True if X is a Table, or a data frame with categories in some column."""
    return isinstance(X, Table) or (library(X) is not None and Table.of(X, who).has_words)


def check_index(source: str, name: str, values: np.ndarray, in_file: bool = True) -> None:
    """Raise BadFile for an unnamed column that numbers the rows: the index of a data frame, which is no feature."""
    if not UNNAMED.fullmatch(name) or len(values) < 2:
        return
    whole = (values == np.floor(values)).all()
    counts = np.mean(np.diff(values) == 1) > 0.5  # also if it restarts, in concatenated tables
    if whole and (counts or len(np.unique(values)) == len(values)):
        way = f"X.drop(columns=[{name!r}])"
        if in_file:
            way = f"ignore=[{name!r}], --ignore={name!r}"
        got = f"the column {name!r}, which has no name and numbers the rows, like the index of a data frame"
        raise BadFile(source, "features", got, f"Leave it out, {way}, or give it a name.")


def read_table(path: str | Path, limit: int = UNPACK_LIMIT, **written: Any) -> Table:
    """Read a text table of numbers and texts, whatever its suffix; a .gz is unpacked. Cells may be empty.

    The separator is the tab, semicolon, bar, comma, caret, tilde or blank that splits the first lines into equally many
    cells; a quoted cell may hold anything. Columns without a name and a cell, as of bars around the rows, are left out;
    a table that is drawn (|---|) or written as LaTeX, HTML, ARFF or JSON is refused. The first row is taken as column
    names if it looks like names. Numbers may have decimal points or commas, thousands separators, percent and currency
    signs. If any of this is ambiguous, ValueError
    says which column or row it is in, and which argument decides it:

    separator, decimal, na, text, ignore, header, encoding    how the table is written (`TextFormat`)

    limit    most bytes that a .gz may unpack to

    Duplicate column names, and rows that are too short or too long, are refused with their line in the file.
    """
    path = Path(os.path.expanduser(path))
    with open_table(path, TextFormat.of(written, "read_table"), limit) as text:
        table, _ = next(tables_of(text)).split(text.format.ignore)
        return table


def tables_of(text: TextTable, cells: float = math.inf) -> Iterator[Table]:
    """Yield an open text table with all its columns: all rows at once, or parts of about `cells` cells."""
    none = True
    for columns, rows in text.parts(cells):
        listed = [np.array(column, dtype=object) for column in columns]
        yield Table(text.names, listed, rows, str(text.path), text.format, named=text.named)
        none = False
    if none:
        raise BadFile(text.path, "rows of cells", "none")
