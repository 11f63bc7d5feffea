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
LEAST, LEAST_NEGATIVE = 99, 9  # the smallest of those, and of those below 0
APART = 3  # times as far from the other values as these lie apart; as 99 of ages up to 60 is not
# Of any other one: times as far from the other values as these lie apart, and share of the rows
FAR, SHARE = 10, 0.01
DIFFERENT = 5  # so many other values there are at least: fewer are categories


def tell_of_fill_values(
    who: str, X: Any, names: Sequence[Any] | None = None, seen: np.ndarray | None = None
) -> None:
    """A warning for each column of X (N, D) that holds a value which lies far from all others: from the ends that fit
    saw of it, `seen` (2, D), or, if it stands there again and again, from those beside it."""
    rows = np.asarray(X[:: len(X) // MOST_ROWS + 1])
    if not rows.size:
        return
    least = np.fmin.reduce(rows)
    most = np.fmax.reduce(rows)
    for ends, once in ((least, True), (most, most != least)):
        whole = (ends == np.floor(ends)) & ((ends <= -LEAST_NEGATIVE) | (ends >= LEAST)) & once
        for i in np.flatnonzero(whole).tolist():
            column = rows[:, i]
            value = float(ends[i])
            filled = column == value
            others = column[~filled & ~np.isnan(column)]
            if seen is not None and lies_beyond(value, *seen[:, i]):
                others = seen[:, i]
            elif not is_fill_value(value, filled, others):
                continue
            name = i if names is None else names[i]
            warnings.warn(
                f"{who}: column {name!r} holds {value:.6g} in {100 * filled.mean():.3g} % of its rows, far from "
                f"all other values ({others.min():.6g} to {others.max():.6g}). If nothing was measured there, say "
                f'na=["{value:.6g}"], --na={value:.6g}, or make it NaN: missing="mask" leaves it out.',
                stacklevel=5,
            )


def is_fill_value(value: float, filled: np.ndarray, others: np.ndarray) -> bool:
    """Whether a value is none of the others in its column, where it stands in the rows `filled`."""
    if filled.sum() < 2 or not len(others):
        return False
    low = float(others.min())
    high = float(others.max())
    if USUAL.fullmatch(f"{abs(value):.6g}"):
        prices = np.mean(others % 10 == 9) > 0.5  # which end in 9 themselves
        alone = lies_beyond(value, low, high) and (value < 0 or not prices)
    else:
        away = max(low - value, value - high)
        alone = away > FAR * (high - low) and filled.mean() >= SHARE
    return alone and len(np.unique(others)) >= DIFFERENT


def lies_beyond(value: float, low: float, high: float) -> bool:
    """Whether it is a fill value that is in use, and none of the numbers between low and high."""
    wide = high - low or abs(low)
    away = max(low - value, value - high)
    usual = USUAL.fullmatch(f"{abs(value):.6g}")
    return usual is not None and (value < 0 <= low or away > APART * wide)
