"""Matrix: a table of numbers that a user gives, an array, a data frame, a Table or lists, as an array, checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nanoae.backend import get_ops
from nanoae.data.columns import dense, labels, library
from nanoae.data.table import Table
from nanoae.rows import Rows, rows_of, stored
from nanoae.survey import bad_values, extremes

MANY = 1 << 18  # numbers that all cores add up
MASK = 'Autoencoder and AnomalyDetector take NaN with missing="mask".'


def as_numbers(X, name: str) -> np.ndarray:
    """X, a data frame, a Table, an array or lists, as a real numeric array of any shape, NaN where a value is masked or
    missing; what is large and in a file as Rows of it, and so an iterator of blocks (n, ...), which is read once.
    ValueError or TypeError naming the estimator otherwise."""
    if isinstance(X, Table) or library(X):
        if _is_one_array(X):
            return np.asarray(X)
        return Table.of(X, name).numbers()
    X = stored(read_blocks(X, name)) if isinstance(X, Iterator) else rows_of(X)
    if isinstance(X, Rows):
        if X.dtype.kind not in "buif":
            raise ValueError(f"{name}: expected numbers, got dtype {X.dtype}.")
        return X  # type: ignore[return-value]
    X = dense(X, name)
    if X.dtype.kind in "UST":
        raise ValueError(
            f"{name}: expected numbers, got text ({X.dtype}). Convert it or encode the categories first."
        )
    if X.dtype.kind == "O" and X.size:
        n = len(X) if X.ndim else 1
        table = Table.of(X.reshape(n, -1), name)
        return table.numbers().reshape(X.shape)
    return X


def read_blocks(blocks: Iterable[Any], name: str) -> Iterator[np.ndarray]:
    """Blocks of rows (n, ...), each `as_numbers`; ValueError for what is none, or has other columns than the first."""
    first = None
    for block in blocks:
        names = column_labels(block, name)
        first = names if first is None else first
        rows = as_numbers(block, name)
        if rows.ndim == 0 or names not in (None, first):
            wanted = "" if first is None else f" of the columns {first}"
            got = names or type(block).__name__
            raise ValueError(f"{name}: expected blocks of rows (n, ...){wanted}, got {got}.")
        yield rows


def check_finite(
    X: np.ndarray,
    name: str,
    missing: bool = False,
    given=None,
    names=None,
    rows=None,
    remedy: str = MASK,
) -> None:
    """ValueError with the place of the first NaN or infinity in X (N, ...), if there is one; NaN is fine if `missing`
    values are.

    given   X before it became float32, if it did; names, rows   what the user calls its columns and its rows, if at all
    """

    ops = get_ops("numpy") if X.size > MANY else None

    def bad(block: np.ndarray) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):
            # Else look closer: a sum can be too large though no number is.
            total = ops.sum(block) if ops and block.dtype.char in "fd" else block.sum()
            if np.isfinite(total):
                return False
        return np.isinf(block) if missing else ~np.isfinite(block)

    if isinstance(X, np.ndarray) and bad(X) is False:  # one look, of most tables
        return
    row, place, got, count = bad_values(X, bad)
    if count:
        value = "NaN" if np.isnan(got) else "infinity"
        if given is not None:
            was = np.asarray(given[row : row + 1])[0][place]
            if was is not None and np.isfinite(was):
                value = f"{was:g}, too large for {X.dtype},"
        where = f"column {place[0]}" if len(place) == 1 else f"place {place}"
        if names is not None:
            where += f" ({names[place[0]]!r})"
        raise ValueError(
            f"{name}: expected finite numbers, got {value} in row {row if rows is None else rows[row]}, {where} "
            f"({count} such values in all; NaN, what is masked, inf and what is too large for {X.dtype} "
            f"count). "
            f"Remove those rows or fill the values in. {remedy}"
        )


def warn_of_lost_digits(X: np.ndarray, dtype, name: str) -> None:
    """A warning where float32 does not hold what a column's values differ by, as in 1e9 + 0.1."""
    if np.dtype(dtype) != np.float32 or X.dtype.itemsize < 4 or X.dtype == np.float32:
        return
    low, high = (np.asarray(end, np.float64) for end in extremes(X))
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(abs(low), abs(high))
        lost = (high > low) & (high - low < 1e-6 * size)
    if lost.any():
        place = np.argwhere(lost)[0].tolist()
        column = place[0] if len(place) == 1 else tuple(place)
        at = tuple(place)
        warnings.warn(
            f"{name}: the values of column {column}, {low[at]:.12g} to {high[at]:.12g}, are (nearly) one in float32. "
            'Subtract their mean first, or use dtype="float64".',
            stacklevel=4,
        )


def _is_one_array(X) -> bool:
    """Whether it is a data frame of NumPy's own numbers, which has an array of them."""
    dtypes = list(X.dtypes) if library(X) == "pandas" else []
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "O" for dtype in dtypes}
    return bool(kinds) and kinds <= set("iuf")


def column_labels(X, who: str) -> list | None:
    """The names of a table's columns, all strings or none; None where it has none."""
    names = X.names if isinstance(X, (Table, Rows)) else labels(X, who)
    if not names:
        return None
    names = list(names)
    kinds = {type(name).__name__ for name in names}
    if len(kinds) > 1 and any(isinstance(name, str) for name in names):
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{sorted(kinds)} as feature name / column name types. Convert them: X.columns = X.columns.astype(str)."
        )
    return names


def column_units(X, who: str) -> list[str | None]:
    """What a table writes beside the numbers of each column, "" for nothing; an array does not tell: []."""
    if not isinstance(X, Table) and not library(X):
        return []
    if _is_one_array(X):
        return [""] * X.shape[1]
    table = Table.of(X, who)
    return [table.unit(i) for i in range(len(table.names))]
