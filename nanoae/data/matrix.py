"""Matrix: convert arrays, data frames, Tables and lists to arrays of numbers, and check them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nanoae.backend import get_ops
from nanoae.data.columns import dense, labels, library
from nanoae.data.table import Table
from nanoae.rows import Rows, rows_of, stored
from nanoae.survey import bad_values, extremes
from nanoae.warning import warn

MANY = 1 << 18  # numbers from which all cores compute a sum
MASK = 'Autoencoder and AnomalyDetector take NaN with missing="mask".'


def as_numbers(X, name: str) -> np.ndarray:
    """Return a data frame, Table, array or list as a real numeric array of any shape, with NaN for missing values.

    A large array in a file becomes Rows, and so does an iterator of blocks (n, ...), which is read once. Raise
    ValueError or TypeError, naming the estimator, for anything else.
    """
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
    if X.dtype.kind in "OUST" and X.size:
        n = len(X) if X.ndim else 1
        table = Table.of(X.reshape(n, -1), name)
        return table.numbers().reshape(X.shape)
    return X


def read_blocks(blocks: Iterable[Any], name: str) -> Iterator[np.ndarray]:
    """Yield blocks of rows (n, ...) as numbers. Raise ValueError for other objects, and columns unlike the first's."""
    first = None
    for block in blocks:
        names = column_labels(block, name)
        first = names if first is None else first
        rows = as_numbers(block, name)
        if rows.ndim == 0 or names not in (None, first):
            wanted = "" if first is None else f" of the columns {first}"
            raise ValueError(
                f"{name}: expected blocks of rows (n, ...){wanted}, got {names or type(block).__name__}."
            )
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
    """Raise ValueError, naming its place, for the first infinity in X (N, ...), or NaN unless `missing` is True.

    given         X before its conversion to float32, if any
    names, rows   the user's names of its columns and rows, if any
    """

    ops = get_ops("numpy") if X.size > MANY else None

    def bad(block: np.ndarray) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):
            # The sum may also overflow although all numbers are finite, so check them one by one.
            total = ops.sum(block) if ops and block.dtype.char in "fd" else block.sum()
            if np.isfinite(total):
                return False
        return np.isinf(block) if missing else ~np.isfinite(block)

    if isinstance(X, np.ndarray) and bad(X) is False:  # fast path
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
            f"({count} such values in all, counting NaN, masked values, inf and values too large for {X.dtype}). "
            f"Remove those rows or fill in the values. {remedy}"
        )


def warn_of_lost_digits(X: np.ndarray, dtype, name: str) -> None:
    """Warn if float32 cannot represent the differences within a column, as in 1e9 + 0.1."""
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
        warn(
            f"{name}: the values of column {column}, {low[at]:.12g} to {high[at]:.12g}, are (nearly) equal in float32. "
            'Subtract their mean first, or use dtype="float64".'
        )


def _is_one_array(X) -> bool:
    """Return True for a pandas data frame of NumPy number types only, which converts to one array."""
    dtypes = list(X.dtypes) if library(X) == "pandas" else []
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "O" for dtype in dtypes}
    return bool(kinds) and kinds <= set("iuf")


def column_labels(X, who: str) -> list | None:
    """Return the column names of a table, which must all be strings or none; None for data without names."""
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
    """Return the units next to the numbers of each column of a table, "" for none; [] for an array."""
    if not isinstance(X, Table) and not library(X):
        return []
    if _is_one_array(X):
        return [""] * X.shape[1]
    table = Table.of(X, who)
    return [table.unit(i) for i in range(len(table.names))]
