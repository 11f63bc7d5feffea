"""Tables of numbers and categories, with gaps: from CSV files, data frames and arrays to what a network can learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.anomaly.scaling import RobustScaler, fit_known
from nanoae.data.dataset import BadFile
from nanoae.data.files import csv_rows, is_header, opened
from nanoae.data.text_column import TextColumn
from nanoae.data.text_format import TextFormat
from nanoae.engine.part import Part


@dataclass
class Table:
    """Named columns of cells (N,) of any kind.

    rows     the numbers of the rows as the user counts them, for messages: the lines of a file
    source   where they come from, for messages
    format   how the file writes them, whose cells are then stripped texts; None where they are no file's
    """

    names: list[str]
    cells: list[np.ndarray]
    rows: Sequence[int]
    source: str = "table"
    format: TextFormat | None = None

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ValueError(
                f"{self.source}: expected columns of different names, got {twice[0]!r} twice. Rename one of them."
            )

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, X: Any) -> Table:
        """A Table as it is, or that of a data frame (pandas', without importing it) or of an array (N, D)."""
        if isinstance(X, Table):
            return X
        if hasattr(X, "columns") and hasattr(X, "iloc"):
            columns = [np.asarray(X.iloc[:, i]) for i in range(X.shape[1])]
            return cls([str(name) for name in X.columns], columns, range(len(X)))
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"table: expected a data frame or a 2D array (N, D), got {X.ndim}D array {X.shape}.")
        return cls([str(i) for i in range(X.shape[1])], list(X.T), range(len(X)))

    def column(self, i: int, numeric: bool | None = None, known: Collection[str] = ()) -> np.ndarray:
        """Column i (N,): float64, NaN where a number is missing; or text as objects, None where it is.

        numeric   None: text if some cells are no numbers, but not if nearly all are numbers: then ValueError says which
                  one is not
        known     texts that are values, though they look like a mark of what is missing
        """
        name, cells = self.names[i], self.cells[i]
        if cells.dtype.kind in "buif" and numeric is not False:
            values = cells.astype(np.float64)
        elif cells.dtype.kind in "buifOUST":
            values = self.text_column(i).values(numeric, known)
        else:
            raise ValueError(f"{self.source}: expected numbers or text in column {name!r}, got {cells.dtype}.")
        if values.dtype == object:
            return values
        if np.isinf(values).any():
            at = int(np.isinf(values).argmax())
            raise ValueError(
                f"{self.source}: expected finite numbers, got {values[at]} in row {self.rows[at]}, column {name!r}. "
                "Correct it, or leave the cell empty."
            )
        return values

    def text_column(self, i: int) -> TextColumn:
        """Column i as text."""
        cells: list[str | None] = self.cells[i].tolist()
        if self.format is None:
            cells = [text(cell) for cell in cells]
        return TextColumn(self.names[i], cells, self.rows, self.source, self.format, lambda: self.decimal)

    @cached_property
    def decimal(self) -> str | None:
        """The decimal mark that its text columns show, if they agree."""
        found: set[str] = set()
        for i, cells in enumerate(self.cells):
            if cells.dtype.kind in "OUST":
                found |= self.text_column(i).shown()
        return found.pop() if len(found) == 1 else None


def has_text(X: Any) -> bool:
    """Whether X is a Table, or a data frame of which some columns are not plain numbers."""
    if isinstance(X, Table) or not (hasattr(X, "columns") and hasattr(X, "iloc")):
        return isinstance(X, Table)
    return any(np.asarray(X.iloc[:, i]).dtype.kind not in "buif" for i in range(X.shape[1]))


def text(cell: Any) -> str | None:
    """A cell as text; None for None, NaN, and pandas' NA or NaT."""
    if isinstance(cell, str):
        return cell.strip()
    missing = cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell
    return None if missing else str(cell).strip()


def read_table(path: str | Path, **settings) -> Table:
    """A CSV file of numbers and text, in UTF-8, separated by commas, semicolons or tabs; cells may be empty.

    The first row names the columns, unless all its cells are numbers. ValueError names the row (its line in the file)
    that is too short or too long, or a name that stands twice.
    """
    path, lines, rows = Path(path), [], []
    with opened(path, "CSV table in UTF-8") as file:
        for line, row in csv_rows(file):
            lines.append(line)
            rows.append(row)
            if len(row) != len(rows[0]):
                raise BadFile(path, f"{len(rows[0])} cells in row {line}", len(row))
    named = bool(rows) and is_header(rows[0])
    if len(rows) <= named:
        raise BadFile(path, "rows of cells", "none")
    names = [cell.strip() for cell in rows[0]] if named else [str(i) for i in range(1, len(rows[0]) + 1)]
    cells = [np.array([*map(str.strip, column)], dtype=object) for column in zip(*rows[named:], strict=True)]
    return Table(names, cells, lines[named:], str(path), TextFormat())


class TableEncoder(Part):
    """Tables as arrays (N, D) that a network can learn: numbers on one scale, categories one-hot, NaN where missing.

    A number becomes z = (x - median) / s, s = IQR / 1.349 (RobustScaler). A category of K values is K + 1 columns wide:
    one for each, and a last one for values that fit has not seen, or that are not among the most frequent. What is
    missing is NaN in all its columns. To learn it:

    >>> encoder = TableEncoder().fit(table)
    >>> ae = Autoencoder(loss=Mixed(encoder.blocks_), missing="mask").fit(encoder.transform(table))

    max_categories   of a column, >= 1

    After fit: names_ of the columns, categories_ of each (a list of texts; None: a number), blocks_ their widths.
    """

    def __init__(self, max_categories: int = 50):
        if max_categories < 1:
            raise ValueError(f"TableEncoder: expected max_categories >= 1, got {max_categories}.")
        self.max_categories = max_categories

    def fit(self, X: Any) -> TableEncoder:
        """From a Table, a data frame or an array (N, D)."""
        table = Table.of(X)
        columns = [table.column(i) for i in range(len(table.names))]
        self.names_ = table.names
        self.categories_ = [self._categories(column) if column.dtype == object else None for column in columns]
        self.blocks_ = tuple(1 if known is None else len(known) + 1 for known in self.categories_)
        self.scaler_ = fit_known(RobustScaler(), _numbers(len(table), columns))
        return self

    def _categories(self, column: np.ndarray) -> list[str]:
        counts = Counter(cell for cell in column.tolist() if cell is not None)
        return sorted(sorted(counts, key=lambda cell: (-counts[cell], cell))[: self.max_categories])

    def transform(self, X: Any) -> np.ndarray:
        """The rows of a Table, data frame or array, whose columns are those of fit in any order, as (N, D) float32."""
        table = Table.of(X)
        if set(table.names) != set(self.names_):
            missing = [name for name in self.names_ if name not in table.names]
            unknown = [name for name in table.names if name not in self.names_]
            raise ValueError(
                f"{table.source}: expected the {len(self.names_)} columns that fit saw, got {len(table.names)}: "
                f"{missing[:5] or 'none'} missing, {unknown[:5] or 'none'} unknown."
            )
        columns = [
            table.column(table.names.index(name), known is None, known or ())
            for name, known in zip(self.names_, self.categories_, strict=True)
        ]
        result = np.zeros((len(table), sum(self.blocks_)), np.float32)
        starts = np.cumsum([0, *self.blocks_])
        result[:, self.numbers] = self.scaler_.transform(_numbers(len(table), columns))
        for column, start, known in zip(columns, starts, self.categories_, strict=False):
            if known is not None:
                place: dict[str | None, int] = {None: -1}
                place.update({cell: k for k, cell in enumerate(known)})
                places = np.array([place.get(cell, len(known)) for cell in column.tolist()])
                result[np.arange(len(table)), start + np.maximum(places, 0)] = 1
                result[places < 0, start : start + len(known) + 1] = np.nan
        return result

    @property
    def numbers(self) -> list[int]:
        """Where in the columns of `transform` those of numbers are."""
        starts = np.cumsum([0, *self.blocks_]).tolist()
        return [start for start, known in zip(starts, self.categories_, strict=False) if known is None]

    def per_column(self, shares: np.ndarray) -> np.ndarray:
        """Shares of `transform`'s columns (N, D) as shares of the table's, (N, columns): those of a category add up."""
        starts = np.cumsum([0, *self.blocks_])[:-1]
        shares = shares.copy()
        categories = np.setdiff1d(np.arange(shares.shape[1]), self.numbers)
        shares[:, categories] = np.abs(shares[:, categories])
        return np.add.reduceat(shares, starts, axis=1)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(facts, arrays) for a model file."""
        facts = {"max_categories": self.max_categories, "names": self.names_, "categories": self.categories_}
        return facts, self.scaler_.learned()

    @classmethod
    def from_file(cls, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> TableEncoder:
        """The opposite of `to_file`."""
        encoder = cls(facts["max_categories"])
        encoder.names_, encoder.categories_ = facts["names"], facts["categories"]
        encoder.blocks_ = tuple(1 if known is None else len(known) + 1 for known in encoder.categories_)
        encoder.scaler_ = RobustScaler()
        for name, value in arrays.items():
            setattr(encoder.scaler_, name, value)
        return encoder

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """A name for each column of `transform`: "age", "colour=red", ..., "colour=other"."""
        names: list[str] = []
        for name, known in zip(self.names_, self.categories_, strict=True):
            names += [name] if known is None else [f"{name}={cell}" for cell in [*known, "other"]]
        return np.array(names, dtype=object)


def _numbers(n: int, columns: list[np.ndarray]) -> np.ndarray:
    """Those that are numbers, as (N, ...) float64."""
    return np.array([column for column in columns if column.dtype != object]).reshape(-1, n).T
