"""TableEncoder: encode tables of numbers and categories, with gaps, as arrays for a network."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nanoae.data.cell import category, is_nothing, twins
from nanoae.data.columns import check_learned
from nanoae.data.far_rows import ColumnRanges
from nanoae.data.field import promised
from nanoae.data.fill_value import warn_about_fill_values
from nanoae.data.frame import FrameOutput, framed
from nanoae.data.identity import FEW, MOSTLY_OTHERS, examples, warn_about_ids
from nanoae.data.missing import NUMBER_GAPS
from nanoae.data.number import check_unit
from nanoae.data.scaling import RobustScaler, Transformer, fit_known
from nanoae.data.table import Table
from nanoae.guard import guard
from nanoae.warning import warn

RARE = 0.05  # share of the rows with values that occur once, from which these become "other"

USUAL = np.array([[-3.0], [3.0]])  # nearly all scaled numbers lie between these

FACTS = ("names", "categories", "others", "na", "units", "named")  # stored in a model file


class TableEncoder(FrameOutput, Transformer):
    """Encode tables as arrays (N, D): numbers on one scale, categories one-hot, NaN where missing.

    A number becomes z = (x - median) / s, s = IQR / 1.349 (RobustScaler). A category of K values takes K + 1 columns:
    one for each value, and a last one for "other". A missing value is NaN in all its columns. To train on it:

    >>> encoder = TableEncoder().fit(table)
    >>> ae = Autoencoder(loss=Mixed(encoder.blocks_), missing="mask").fit(encoder.transform(table))

    Categories are text columns, columns of digits with leading zeros (such as ZIP codes) or of more digits than float64
    holds, with a warning, and columns whose type says so, such as a pandas Categorical of integers. Booleans, also as
    "TRUE" or "true", are the numbers 1 and 0. A category is the same in all its spellings: 1, 1.0, "1" and "1.0"; True,
    "True" and "TRUE". But "1.10" is not "1.1", which may be another version.

    "other" stands for values not seen in fit and for those beyond the `max_categories` most frequent. The share of new
    rows with an unseen value is about that of the rows whose value occurs once (Good 1953). So if two or more values
    occur once, in 5 % of the rows or more, they become "other" as well; the same rule then applies to values that occur
    twice, and so on. A column of mostly distinct texts, such as ids, names or time stamps, becomes "other" alone and
    carries no information. Warnings report columns whose texts are mostly "other", columns with mostly unseen values in
    `transform`, and values that differ only in case or blanks, such as "Yes" and "yes".

    Empty cells and the markers NA, null, ? and None, in any case, are missing, so no category may have these names.
    Large whole numbers used as categories stay exact.

    Any number of threads may use a fitted encoder at once; `fit` needs exclusive use, as for estimators (`guard.py`).

    max_categories   most categories of a column, >= 1

    After fit: names_ of the columns; categories_ of each (a list of texts; None for numbers); blocks_, their widths in
    the encoded array; others_, the share of rows that are "other" (0 for numbers); units_, the unit next to the
    numbers: "%", "€", "" (no unit) or None (unknown). A column with another unit is refused.
    """

    def __init__(self, max_categories: int = 50):
        if max_categories < 1:
            raise ValueError(f"TableEncoder: expected max_categories >= 1, got {max_categories}.")
        self.max_categories = max_categories

    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Fit the encoder to a Table, a data frame or an array (N, D). `y` is ignored."""
        table = self._table(X)
        self.names_ = table.names
        self.named_ = table.named
        self.na_ = list(table.format.na) if table.format else []
        self.categories_: list[list[str] | None] = []
        self.units_: list[str | None] = []
        self.others_: list[float] = []
        columns = []
        for i in range(len(table.names)):
            column = table.column(i)
            words = column.dtype == object
            known, others = self._categories(column) if words else (None, 0.0)
            columns.append(column)
            self.categories_.append(known)
            self.units_.append(None if words else table.unit(i))
            self.others_.append(others)
        self.blocks_ = _widths(self.categories_)
        numbers = _numbers(len(table), columns)
        self.scaler_ = fit_known(RobustScaler(), numbers)
        warn_about_fill_values(type(self).__name__, numbers, self._named_numbers)
        warn_about_ids(type(self).__name__, columns, self.names_, self.others_)
        for i, known in enumerate(self.categories_):
            if known is not None:
                self._warn_about_texts(i, table, columns[i])
        return self

    def _warn_about_texts(self, i: int, table: Table, column: np.ndarray) -> None:
        """Warn if it is doubtful whether a column holds categories, or which ones."""
        if self.others_[i] < MOSTLY_OTHERS:
            self._warn_about_twins(i, column.tolist())
        text = table.text_column(i)
        if text.codes:
            self._warn(
                i,
                f"is read as categories, since leading zeros or plus signs, or many digits, as in {text.codes[0]!r}, "
                f"suggest codes. If they are codes, {text.hint_text}; otherwise write the numbers without them.",
            )
        kinds = {isinstance(cell, str) for cell in table.cells[i].tolist() if not is_nothing(cell)}
        if len(kinds) > 1 and not text.declared:
            self._warn(
                i,
                f"holds numbers and texts, all read as categories. If they are, {text.hint_text}.",
            )

    def _warn(self, i: int, finding: str) -> None:
        warn(f"TableEncoder: column {self.names_[i]!r} {finding}")

    def _categories(self, column: np.ndarray) -> tuple[list[str], float]:
        """Return the values of a column that become categories, and the share of all others."""
        counts = Counter(cell for cell in column.tolist() if cell is not None)
        common = sorted(counts, key=lambda cell: (-counts[cell], cell))
        least = _least(counts)
        known = sorted(cell for cell in common[: self.max_categories] if counts[cell] >= least)
        n = counts.total()
        return known, (n - sum(counts[cell] for cell in known)) / max(n, 1)

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """Encode a Table, data frame or array with the columns of fit, in any order, as (N, D) float32."""
        table = self._table(X)
        table = table.with_na(self.na_)  # markers of missing values given for the training file
        if {table.named, self.named_} == {True, False}:
            kinds = "columns without names", "columns with names"
            raise ValueError(
                f"{table.source}: expected {kinds[bool(self.named_)]}, as fit saw, got {kinds[bool(table.named)]}. Set "
                "header=True or False (--header yes or no) for the first row, or give both files the same header."
            )
        left_out = "Leave out columns that are not features: ignore=, --ignore."
        check_learned(table.source, self.names_, table.names, "fit saw", left_out)
        places = {name: i for i, name in enumerate(table.names)}
        result = np.zeros((len(table), sum(self.blocks_)), np.float32)
        columns = []
        for i, (name, known, start) in enumerate(self._each()):
            at = places[name]
            column = table.column(at, known is None, known or ())
            columns.append(column)
            if self.units_[i] is not None:
                check_unit(table.source, name, self.units_[i], table.unit(at))
            if known is not None:
                found = _places(column, known)
                result[np.arange(len(table)), start + np.maximum(found, 0)] = 1
                result[found < 0, start : start + self.blocks_[i]] = np.nan
                self._warn_about_unseen(i, column, found)
        numbers = _numbers(len(table), columns)
        ends = self.scaler_.inverse_transform(USUAL * np.ones((1, len(self.numbers))))
        ColumnRanges(ends, exact=False).check(type(self).__name__, numbers, self._named_numbers)
        result[:, self.numbers] = self.scaler_.transform(numbers)
        return result

    def encoded(self, X: Any, who: str, missing: bool) -> np.ndarray:
        """Return `transform` as an array, whatever `set_output` says. Raise ValueError in the name of `who` for a
        missing value unless `missing` is True."""
        Z = np.asarray(self.transform(X))
        gaps = np.isnan(Z)
        if gaps.any() and not missing:
            row, column = np.argwhere(gaps)[0]
            name = self.names_[np.searchsorted(self.starts, column, side="right") - 1]
            raise ValueError(
                f"{who}: expected no missing values, got one in row {row}, column {name!r}. "
                'Fill it in, or use missing="mask".'
            )
        return Z

    @property
    def fitted(self) -> bool:
        return hasattr(self, "names_")

    def _table(self, X: Any) -> Table:
        table = Table.of(X, type(self).__name__)
        if not (len(table) and table.names):
            raise ValueError(
                f"{table.source}: expected rows and columns, got {len(table)} sample(s) of {len(table.names)}."
            )
        return table

    def _warn_about_unseen(self, i: int, column: np.ndarray, places: np.ndarray) -> None:
        """Warn if most of a column's values (of two or more) were not seen in fit, unless most were "other" there as
        well, or if one may be a variant of a known value."""
        known = self.categories_[i] or []
        unseen = np.flatnonzero(places == len(known))
        n = int((places >= 0).sum())
        if self.others_[i] >= MOSTLY_OTHERS:
            return
        self._warn_about_twins(i, [*known, *column[unseen]] if len(unseen) else [])
        marks = [cell for cell in column[unseen] if cell.casefold() in NUMBER_GAPS]
        if marks:
            self._warn(
                i,
                f"holds {marks[0]!r}, which fit did not see. If it marks missing values, pass na=[{marks[0]!r}], "
                f"--na={marks[0]!r}, or make it None.",
            )
        if n >= 2 and len(unseen) > n / 2:
            self._warn(
                i,
                f"holds {len(unseen)} of {n} values that were never seen in fit: {examples(column[unseen])}, where fit "
                f"saw {examples(known)}. Is it the same column, with the same spelling? Such rows are unlike all "
                "training rows.",
            )

    def _warn_about_twins(self, i: int, cells: Sequence[str | None]) -> None:
        """Warn if two texts of a column differ only in case, blanks and the like."""
        pair = twins(filter(None, dict.fromkeys(cells)))
        if pair:
            self._warn(
                i,
                f"holds {pair}, which are two categories. If they mean the same, use one spelling.",
            )

    @property
    def starts(self) -> list[int]:
        """The first encoded column of each column of the table."""
        return list(itertools.accumulate(self.blocks_, initial=0))[:-1]

    def _each(self) -> Iterator[tuple[str, list[str] | None, int]]:
        """Iterate over the table's columns: name, categories, and first encoded column."""
        return zip(self.names_, self.categories_, self.starts, strict=True)

    @property
    def numbers(self) -> list[int]:
        """The encoded columns that hold numbers."""
        return [start for _, known, start in self._each() if known is None]

    @property
    def _named_numbers(self) -> list[str]:
        return [name for name, known, _ in self._each() if known is None]

    def per_column(self, shares: np.ndarray) -> np.ndarray:
        """Sum shares (N, D) of the encoded columns to shares (N, columns) of the table's columns."""
        shares = shares.copy()
        categories = np.setdiff1d(np.arange(shares.shape[1]), self.numbers)
        shares[:, categories] = np.abs(shares[:, categories])
        return np.add.reduceat(shares, self.starts, axis=1)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Return the table's columns (N, columns) as objects: numbers in their units, and the most likely category; NaN
        or None where Z (N, D) is NaN. Z may be the output of `transform` or a network's reconstruction of it."""
        Z = self.in_units(Z)
        found = np.empty((len(Z), len(self.names_)), dtype=object)
        for j, (_, known, start) in enumerate(self._each()):
            if known is None:
                found[:, j] = Z[:, start]
                continue
            block = Z[:, start : start + self.blocks_[j]]
            cells = np.array([*known, "other"], dtype=object)
            missing = np.isnan(block).any(axis=1)
            best = np.where(np.isnan(block), -1, block).argmax(axis=1)
            found[:, j] = np.where(missing, None, cells[best])
        return found

    def in_units(self, Z: np.ndarray) -> np.ndarray:
        """Return Z (N, D) as float64 with numbers in their units, rounded to the precision of float32, so that 0 comes
        back as 0 and not as -0. The columns of categories are unchanged."""
        found = np.array(Z, np.float64)
        scaler: Any = self.scaler_
        numbers = scaler.inverse_transform(found[:, self.numbers])
        deviation = np.nan_to_num(numbers - scaler.center_)
        step = np.ldexp(1.0, np.frexp(deviation)[1] - 22)
        found[:, self.numbers] = np.where(
            deviation == 0, numbers, np.round(numbers / step) * step + 0.0
        )
        return found

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (facts, arrays) for a model file."""
        facts = {name: getattr(self, f"{name}_") for name in FACTS}
        facts["max_categories"] = self.max_categories
        return facts, self.scaler_.learned()

    @classmethod
    def from_file(cls, facts: dict[str, Any], arrays: Any) -> TableEncoder:
        """Rebuild the encoder that `to_file` described."""
        encoder = cls(promised(facts, "max_categories", int))
        encoder.names_ = promised(facts, "names", [str])
        encoder.categories_ = promised(facts, "categories", [([str], None)])
        encoder.blocks_ = _widths(encoder.categories_)
        encoder.na_ = promised(facts, "na", [str], [])
        n = len(encoder.names_)
        encoder.others_ = promised(facts, "others", [float], [0.0] * n)
        encoder.named_ = promised(facts, "named", (bool, None), None)
        encoder.units_ = promised(facts, "units", [(str, None)], [None] * n)
        lists = (encoder.categories_, encoder.others_, encoder.units_)
        lengths = [len(each) for each in lists]
        if any(length != n for length in lengths):
            raise ValueError(f"expected {n} columns in all lists, got {lengths}.")
        encoder.scaler_ = RobustScaler()
        arrays.restore(encoder.scaler_)
        return encoder

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the encoded columns: "age", "colour=red", ..., "colour=other".

        input_features   checked against the columns seen by fit, in any order
        """
        if input_features is not None and set(map(str, input_features)) != set(self.names_):
            raise ValueError(
                f"TableEncoder: expected input_features, the columns that fit saw, got {input_features}."
            )
        names: list[str] = []
        for name, known, _ in self._each():
            names += [name] if known is None else [f"{name}={cell}" for cell in [*known, "other"]]
        return np.array(names, dtype=object)


guard(TableEncoder)


def _widths(categories: list[list[str] | None]) -> tuple[int, ...]:
    """Return the number of encoded columns of each column of the table."""
    return tuple(1 if known is None else len(known) + 1 for known in categories)


def _numbers(n: int, columns: list[np.ndarray]) -> np.ndarray:
    """Return the columns of numbers as (N, ...) float64."""
    numbers = [column for column in columns if column.dtype != object]
    return np.column_stack(numbers) if numbers else np.empty((n, 0))


def _places(column: np.ndarray, known: list[str]) -> np.ndarray:
    """Return the category of each cell, (N,): its index in `known`, len(known) for others, -1 for missing values."""
    place: dict[str | None, int] = {None: -1}
    for k, cell in enumerate(known):
        place.setdefault(category(cell), k)  # old model files may use another spelling
    other = len(known)
    return np.array([place.get(cell, other) for cell in column.tolist()])


def _least(counts: Counter) -> int:
    """Return the least number of rows in which a value must occur to be a category."""
    n = counts.total()
    values = Counter(counts.values())  # values[k] of them occur k times
    k = 1
    while n >= FEW and values[k] > 1 and k * values[k] >= RARE * n:
        k += 1
    return k
