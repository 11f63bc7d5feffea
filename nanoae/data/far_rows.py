"""Far rows: such as lie far beyond all that fit saw: in other units, not scaled as fit's were, or filled with -9999."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.data.fill_value import LEAST, LEAST_NEGATIVE, tell_of_fill_values
from nanoae.survey import extremes, host_ops

LOOK = 1 << 17  # cells, of a table that has more
BEYOND = 5  # times the distance of a column's ends in fit
FILLED = 3  # times it, beyond which a fill value is told
APART = 0.25  # times it, by which all rows lie beyond one of them
ROUNDING = 1e-6  # of a column's numbers
FEW = 10  # rows from which each column is judged by itself: before, all columns together


class Ends:
    """What fit saw of a table: (2, D), the least and the largest number of each column, 0 where there is none; (2, 0)
    of images, of which nothing is told.

    exact   False: they are where these would lie in usual columns
    """

    def __init__(self, ends: Any = ((), ()), exact: bool = True):
        self.ends = np.array(ends, np.float64)
        self.exact = exact
        self._limits: dict[tuple[bool, str], np.ndarray] = {}

    @classmethod
    def of(cls, x: Any) -> Ends:
        """Those of x (N, ...)."""
        return cls(np.nan_to_num(extremes(x))) if x.ndim == 2 and x.size else cls()

    def tell(
        self,
        who: str,
        x: Any,
        names: Sequence[Any] | None = None,
        least: float = math.nan,
        most: float = math.nan,
    ) -> None:
        """A warning where most rows of x (N, D) lie far beyond the ends of a column, or all lie beyond one of them; and
        one for each fill value among them. Columns that were constant hold nothing but the latter.

        least, most   in x, where they are known
        """
        if not self.ends.size:
            return
        few = len(x) < FEW
        low, high = self.ends
        if few and self._inner[0] <= least and most <= self._inner[1]:
            return
        rows = np.asarray(x[:: x.size // LOOK + 1])
        if not self._strays(rows):
            return
        called = range(len(low)) if names is None else names
        wide = high - low
        varies = wide > 0
        # What hardly varied, as the pixels at an image's edge, is not held to that.
        usual = np.median(wide[varies]) if varies.any() else 0
        wide = np.maximum(wide, np.maximum(APART * usual, ROUNDING * np.abs(self.ends).max(axis=0)))
        wide = np.where(varies, wide, np.inf)
        # How far it lies beyond one of them, in units of their distance
        beyond = (np.maximum(rows - high, 0) + np.minimum(rows - low, 0)) / wide
        away = np.abs(beyond) > BEYOND
        if few:
            far = away.any(axis=0) & (away.mean() > 0.5)
        else:
            apart = (beyond > APART).all(axis=0) | (beyond < -APART).all(axis=0)
            far = (away.mean(axis=0) > 0.5) | apart
        some = np.flatnonzero(~far).tolist()
        seen = self.ends[:, some] if self.exact else None
        tell_of_fill_values(who, rows[:, some], [called[i] for i in some], seen)
        if not far.any():
            return
        i = int(far.argmax())
        expected = f"from {low[i]:.4g} to {high[i]:.4g}"
        got = f"{np.nanmin(rows[:, i]):.4g} to {np.nanmax(rows[:, i]):.4g}"
        warnings.warn(
            f"{who}: expected rows on the scale that fit saw, column {called[i]!r} {expected}, got {got}; {far.sum()} "
            f"of {len(far)} columns lie so. Bring them to one scale: by what scaled fit's rows.",
            stacklevel=5,
        )

    @functools.cached_property
    def _floor_and_ceiling(self) -> np.ndarray:
        """(2, D): beyond these a number of a column is looked at."""
        low, high = self.ends
        constant = low == high
        wide = np.where(constant, np.abs(low), high - low)
        floor = low - FILLED * wide
        ceiling = high + FILLED * wide
        # Of what may be a fill value, itself included
        negative = 0.5 - LEAST_NEGATIVE
        floor = np.where(low >= 0, np.maximum(floor, negative), floor)
        floor = np.where(constant, np.minimum(floor, negative), floor)
        ceiling = np.where(constant, np.maximum(ceiling, LEAST - 0.5), ceiling)
        return np.array([floor, ceiling])

    @functools.cached_property
    def _inner(self) -> tuple[float, float]:
        """Numbers between these are beyond no column's floor or ceiling."""
        floor, ceiling = self._floor_and_ceiling
        return float(floor.max()), float(ceiling.min())

    def _strays(self, rows: np.ndarray) -> bool:
        """Whether a column of rows (n, D) is to be looked at."""
        rows = np.ascontiguousarray(rows, None if rows.dtype.char in "fd" else np.float64)
        known = len(rows) < FEW, rows.dtype.char
        if known not in self._limits:
            low, high = self.ends
            floor, ceiling = self._floor_and_ceiling
            limits = [floor, high, low, ceiling]
            if len(rows) < FEW:
                limits[1:3] = np.full((2, len(low)), [[np.inf], [-np.inf]])
            with np.errstate(over="ignore"):
                self._limits[known] = np.array(limits, rows.dtype)
        strays = host_ops().strays(rows, self._limits[known], out=np.empty(1, rows.dtype))
        return bool(strays[0])
