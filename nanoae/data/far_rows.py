"""Far rows: warn if new rows lie far outside the range seen by fit: other units, not scaled, or filled with -9999."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.data.fill_value import LEAST, LEAST_NEGATIVE, warn_about_fill_values
from nanoae.survey import extremes, host_ops
from nanoae.warning import warn

LOOK = 1 << 17  # cells checked of a larger table
# Distances outside a column's range, in units of that range:
BEYOND = 5  # from which a value is far
FILLED = 3  # from which it may be a fill value
APART = 0.25  # from which rows are far, if all lie on the same side
ROUNDING = 1e-6  # relative to a column's largest value
FEW = 10  # rows from which each column is judged separately; below, all columns together


class ColumnRanges:
    """Column ranges seen by `fit`: an array (2, D) with the minimum and maximum of each column, 0 for an empty column.
    Shape (2, 0) for images, which are not checked.

    exact   False: the ranges are estimates for typical columns, not observed values
    """

    def __init__(self, ends: Any = ((), ()), exact: bool = True):
        self.ends = np.array(ends, np.float64)
        self.exact = exact
        self._limits: dict[tuple[bool, str], np.ndarray] = {}

    @classmethod
    def of(cls, x: Any) -> ColumnRanges:
        """Return the ranges of x (N, ...)."""
        return cls(np.nan_to_num(extremes(x))) if x.ndim == 2 and x.size else cls()

    def check(
        self,
        who: str,
        x: Any,
        names: Sequence[Any] | None = None,
        least: float = math.nan,
        most: float = math.nan,
    ) -> None:
        """Warn if most rows of x (N, D) lie far outside the range of a column, or all of them on one side of it. Also
        warn about each fill value. Columns that were constant in fit are checked for fill values only.

        least, most   minimum and maximum of x, if already known
        """
        if not self.ends.size:
            return
        few = len(x) < FEW
        low, high = self.ends
        if few and self._inner[0] <= least and most <= self._inner[1]:
            return
        rows = np.asarray(x[:: x.size // LOOK + 1])
        if not self._any_outside(rows):
            return
        called = range(len(low)) if names is None else names
        # Signed distance outside the range, in column ranges
        beyond = (np.maximum(rows - high, 0) + np.minimum(rows - low, 0)) / self._wide
        away = np.abs(beyond) > BEYOND
        if few:
            far = away.any(axis=0) & (away.mean() > 0.5)
        else:
            apart = (beyond > APART).all(axis=0) | (beyond < -APART).all(axis=0)
            far = (away.mean(axis=0) > 0.5) | apart
        some = np.flatnonzero(~far).tolist()
        seen = self.ends[:, some] if self.exact else None
        warn_about_fill_values(who, rows[:, some], [called[i] for i in some], seen)
        if not far.any():
            return
        i = int(far.argmax())
        expected = f"from {low[i]:.4g} to {high[i]:.4g}"
        got = f"{np.nanmin(rows[:, i]):.4g} to {np.nanmax(rows[:, i]):.4g}"
        warn(
            f"{who}: expected rows on the scale of the training data, column {called[i]!r} {expected}, got {got}; "
            f"{far.sum()} of {len(far)} columns are out of range. Use the units and the scaler of the training rows."
        )

    @functools.cached_property
    def _wide(self) -> np.ndarray:
        """(D,): the range of each column, infinite if it was constant. One that hardly varied, such as a pixel at an
        image's edge, is measured by the usual range."""
        low, high = self.ends
        wide = high - low
        varies = wide > 0
        usual = np.median(wide[varies]) if varies.any() else 0
        least = np.maximum(APART * usual, ROUNDING * np.abs(self.ends).max(axis=0))
        return np.where(varies, np.maximum(wide, least), np.inf)

    @functools.cached_property
    def _floor_and_ceiling(self) -> np.ndarray:
        """(2, D): values outside these limits need a closer look."""
        low, high = self.ends
        constant = low == high
        wide = np.where(constant, np.abs(low), self._wide)
        floor = low - FILLED * wide
        ceiling = high + FILLED * wide
        # Negative fill values lie outside the limits of a column >= 0, and nothing else outside those of a constant one
        negative = 0.5 - LEAST_NEGATIVE
        floor = np.where(low >= 0, np.maximum(floor, negative), floor)
        floor = np.where(constant, np.minimum(floor, negative), floor)
        ceiling = np.where(constant, np.maximum(ceiling, LEAST - 0.5), ceiling)
        return np.array([floor, ceiling])

    @functools.cached_property
    def _inner(self) -> tuple[float, float]:
        """A range that lies within the limits of every column."""
        floor, ceiling = self._floor_and_ceiling
        return float(floor.max()), float(ceiling.min())

    def _any_outside(self, rows: np.ndarray) -> bool:
        """Return True if the minimum or maximum of any column of rows (n, D) lies outside its limits."""
        rows = np.ascontiguousarray(rows, None if rows.dtype.char in "fd" else np.float64)
        known = len(rows) < FEW, rows.dtype.char
        if known not in self._limits:
            floor, ceiling = self._floor_and_ceiling
            by_column = np.isfinite(self._wide) & (len(rows) >= FEW)
            low, high = np.where(by_column, self.ends, [[-np.inf], [np.inf]])
            with np.errstate(over="ignore"):
                self._limits[known] = np.array([floor, high, low, ceiling], rows.dtype)
        count = np.empty(1, rows.dtype)
        return bool(host_ops().columns_outside(rows, self._limits[known], out=count)[0])
