"""Fill values: -9999, 999 or 1e20, which stand in a column of numbers where nothing was measured, and blind a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_ROWS = 10_000  # that are looked at
# As %.6g writes those in use: nines, powers of ten, what netCDF fills with, and the ends of types
USUAL = re.compile(r"9+|1e\+\d\d|9\.96921e\+36|3\.40282e\+38|2\.14748e\+09|3276[78]")
LEAST = 99  # a fill value is as large at least, unless it is -9 among what is not negative
FAR, VERY_FAR = (
    1,
    10,
)  # times as far from the other values as these lie apart: a usual one, any other
SHARE = 0.01  # of the rows: of one that is not usual
DIFFERENT = 5  # so many other values there are at least: fewer are categories


def tell_of_fill_values(who: str, X: Any, names: Sequence[Any] | None = None) -> None:
    """A warning for each column of X (N, D) that holds a value again and again which lies far from all others."""
    rows = np.asarray(X[:: len(X) // MOST_ROWS + 1])
    ends = np.array([np.fmin.reduce(rows), np.fmax.reduce(rows)], np.float64)
    whole = (ends == np.floor(ends)) & ((ends < 0) | (ends >= LEAST))
    for i in np.flatnonzero(whole.any(axis=0)).tolist():
        column = rows[:, i]
        for end in np.unique(ends[whole[:, i], i]):
            others = column[(column != end) & ~np.isnan(column)]
            count = int((column == end).sum())
            if is_fill_value(float(end), count, others):
                name = i if names is None else names[i]
                share = 100 * count / len(column)
                warnings.warn(
                    f"{who}: column {name!r} holds {end:.6g} in {share:.3g} % of its rows, far from all other values "
                    f"({others.min():.6g} to {others.max():.6g}). If nothing was measured there, say "
                    f'na=["{end:.6g}"], --na={end:.6g}, or make it NaN: missing="mask" leaves it out.',
                    stacklevel=5,
                )


def is_fill_value(value: float, count: int, others: np.ndarray) -> bool:
    """Whether a value that stands `count` times beside the others is none of them."""
    if count < 2 or not len(others):
        return False
    low = float(others.min())
    high = float(others.max())
    away = max(low - value, value - high)
    usual = USUAL.fullmatch(f"{abs(value):.6g}") is not None
    minus = usual and value < 0 <= low
    if abs(value) < LEAST and not minus:
        return False
    often = usual or count >= SHARE * (count + len(others))
    far = away > (FAR if usual else VERY_FAR) * (high - low)
    return (minus or (often and far)) and len(np.unique(others)) >= DIFFERENT
