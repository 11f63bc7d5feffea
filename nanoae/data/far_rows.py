"""Far rows: such as lie far beyond all that fit saw: in other units, not scaled as fit's were, or filled with -9999."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.data.fill_value import tell_of_fill_values
from nanoae.survey import extremes

LOOK = 1 << 13  # cells, of a table that has more
BEYOND = 5  # times the distance of a column's ends in fit
APART = 0.25  # times it, by which all rows lie beyond one of them
ROUNDING = 1e-6  # of a column's numbers
NO_ENDS = np.empty((2, 0))
FEW = 10  # rows from which each column is judged by itself: before, all columns together


def ends_of(x: Any) -> np.ndarray:
    """(2, D): the least and the largest number of each column of x (N, D), 0 where there is none; NO_ENDS of images."""
    if x.ndim != 2 or not x.size:
        return NO_ENDS
    return np.nan_to_num(np.array(extremes(x), np.float64))


def tell_of_far_rows(
    who: str,
    ends: np.ndarray,
    x: Any,
    names: Sequence[Any] | None = None,
    most: float = np.nan,
) -> None:
    """A warning where most rows of x (N, D) lie far beyond the ends of a column that fit saw, or all lie beyond one of
    them; and one for each fill value far beyond them. Columns that were constant are left out.

    most   the largest number in x, where it is known: of FEW rows one look at it is enough
    """
    if not ends.size or (len(x) < FEW and most <= ends.max()):
        return
    rows = np.asarray(x[:: x.size // LOOK + 1])
    low, high = ends
    varies = high > low
    wide = np.where(varies, high - low, np.inf)
    least = np.fmin.reduce(rows, axis=0)
    largest = np.fmax.reduce(rows, axis=0)
    within = (least >= low - BEYOND * wide) & (largest <= high + BEYOND * wide)
    if (within & (least <= high) & (largest >= low) | ~varies).all():
        return
    # What hardly varied, as the pixels at an image's edge, is not held to that.
    usual = np.median(wide[varies])
    wide = np.maximum(wide, np.maximum(APART * usual, ROUNDING * np.abs(ends).max(axis=0)))
    # How far it lies beyond one of them, in units of their distance
    beyond = (np.maximum(rows - high, 0) + np.minimum(rows - low, 0)) / wide
    away = np.abs(beyond) > BEYOND
    if len(rows) < FEW:
        far = away.any(axis=0) & (away.mean() > 0.5)
    else:
        apart = (beyond > APART).all(axis=0) | (beyond < -APART).all(axis=0)
        far = (away.mean(axis=0) > 0.5) | apart
    called = names or range(len(low))
    some = np.flatnonzero(away.any(axis=0) & ~far).tolist()
    tell_of_fill_values(who, rows[:, some], [called[i] for i in some])
    if far.any():
        i = int(far.argmax())
        seen = f"from {low[i]:.4g} to {high[i]:.4g}"
        got = f"{least[i]:.4g} to {largest[i]:.4g}"
        warnings.warn(
            f"{who}: expected rows on the scale that fit saw, column {called[i]!r} {seen}, got {got}; {far.sum()} of "
            f"{len(far)} columns lie so. Bring them to one scale: by what scaled fit's rows.",
            stacklevel=5,
        )
