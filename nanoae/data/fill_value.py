"""Fill values: numbers such as -9999, 999 or 1e20 that mark missing measurements and spoil a model's training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.data.cell import warn_about_codes
from nanoae.warning import warn

MOST_ROWS = 10_000  # rows that are checked
# Common fill values, written with %.6g: nines, powers of ten, netCDF's defaults, and the limits of number types
USUAL = re.compile(r"9+|1e\+\d\d|9\.96921e\+36|3\.40282e\+38|2\.14748e\+09|3276[78]")
LEAST = 99  # the smallest positive one
LEAST_NEGATIVE = 9  # the smallest magnitude of a negative one
APART = 3  # ranges of the other values, the least distance from them: 99 among ages up to 60 is no fill value
FAR, SHARE = 10, 0.01  # the same for an uncommon fill value, and the least share of the rows
DIFFERENT = 5  # least number of distinct other values: fewer are categories


def warn_about_fill_values(
    who: str, X: Any, names: Sequence[Any] | None, seen: np.ndarray | None = None
) -> None:
    """Warn about each column of X (N, D) that holds a fill value, or whole numbers that float64 cannot hold.

    A fill value is repeated far from all others, or is a single one if `seen` (2, D) has the column ranges in fit.
    """
    rows = np.asarray(X[:: len(X) // MOST_ROWS + 1])
    if not rows.size:
        return
    names = range(rows.shape[1]) if names is None else names
    if rows.dtype.kind in "iu":
        for name, column in zip(names, rows.T, strict=True):
            warn_about_codes(who, name, column)
    least = np.fmin.reduce(rows)
    most = np.fmax.reduce(rows)
    for ends, once in ((least, True), (most, most != least)):
        whole = (ends == np.floor(ends)) & ((ends <= -LEAST_NEGATIVE) | (ends >= LEAST)) & once
        for i in np.flatnonzero(whole).tolist():
            column = rows[:, i]
            value = float(ends[i])
            filled = column == value
            others = column[~filled & ~np.isnan(column)]
            if seen is not None:
                others = np.append(seen[:, i], others)
            if not is_fill_value(value, filled, others, single=seen is not None):
                continue
            warn(
                f"{who}: column {names[i]!r} holds {value:.6g} in {100 * filled.mean():.3g} % of its rows, far from "
                f"all other values ({others.min():.6g} to {others.max():.6g}). If it marks missing values, pass "
                f'na=["{value:.6g}"] or --na={value:.6g}, or replace it with NaN and use missing="mask".'
            )


def is_fill_value(value: float, filled: np.ndarray, others: np.ndarray, single: bool) -> bool:
    """Return True if a value, found in the rows `filled`, is a fill value among the others of its column."""
    if not len(others):
        return False
    low = float(others.min())
    high = float(others.max())
    wide = high - low
    distance = max(low - value, value - high)
    usual = USUAL.fullmatch(f"{abs(value):.6g}")
    beyond = usual and (value < 0 <= low or distance > APART * (wide or abs(low)))
    if single and beyond and (abs(value) >= LEAST or distance > wide):  # -9 may be a frost
        return True
    if usual:
        prices = np.mean(others % 10 == 9) > 0.5  # such as 499: most end in 9
        beyond = beyond and (value < 0 or not prices)
    else:
        beyond = distance > FAR * wide and filled.mean() >= SHARE
    return bool(beyond) and filled.sum() > 1 and len(np.unique(others)) >= DIFFERENT
