"""Surprise: scores of any kind on one scale, by how rare they are among normal rows."""

from __future__ import annotations

import numpy as np


class Standing:
    """How many standard deviations above the usual a score s is: z = (log s - m) / d, m the median of log s over normal
    rows and m + d their 84.1 % quantile, as of a normal distribution; then (z + sqrt(z² + 4)) / 2, which is z where z
    is large, and above 0.

    The upper side is where alarms are: a score whose normal rows stray far there says less. Quantiles hardly know of
    any single row, nor of a few abnormal ones among the normal: what one row says of its own standing is next to
    nothing.
    """

    name = "standing"  # in a model file, where it keeps so many numbers:
    length: int | None = 4
    power = 2  # of their mean: sqrt(mean standing²) heeds the view that is most surprised

    def fit(self, scores: np.ndarray) -> Standing:
        """scores (N,) of normal rows."""
        low = min(float(scores.min()), 0.0)  # what is below 0, like -log p, counts from the lowest
        height = scores - low
        typical = float(np.median(height)) or float(height.mean()) or 1.0
        floor = 1e-3 * typical
        logs = np.log(np.maximum(height, 0) + floor)  # a score of 0 has no logarithm
        center = float(np.median(logs))
        deviation = float(np.quantile(logs, 0.8413)) - center
        spreads = (deviation, float(logs.std()), 1.0)
        spread = next(each for each in spreads if each > 1e-9)
        self.learned = np.array([low, floor, center, spread])
        return self

    @classmethod
    def of(cls, learned: np.ndarray) -> Standing:
        """The one that a model file keeps (4,)."""
        standing = cls()
        standing.learned = learned
        return standing

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        low, floor, center, spread = self.learned
        height = np.maximum(scores - low, 0)
        z = (np.log(height + floor) - center) / spread
        root = np.sqrt(z * z + 4)
        # For z < 0 the difference of two like numbers: 1 / (the sum with -z) is the same, exactly.
        return np.where(z > 0, z + root, 4 / (root - z)) / 2


class Surprise:
    """sqrt(-2 log p(s)), p the share of normal rows that score above s: scores of any kind on one scale.

    Up to t, the 10th of 100 from above, p is counted, with straight lines between the rows' scores. Above it
    p = p(t) · (s / t)^(-1/ξ), ξ = mean log(s_i / t) over the rows there (Hill 1975): unlike a count it tells apart what
    lies beyond all rows that were seen. Of detectors saved before `Standing` took its place.
    """

    name = "usual"
    length = None
    power = 1

    def fit(self, scores: np.ndarray) -> Surprise:
        """scores (N,) of normal rows."""
        self.learned = usual = np.sort(scores)
        n = len(usual)
        low = min(float(usual[0]), 0.0)  # what is below 0, like -log p, counts from the lowest
        typical = max(float(np.median(usual)) - low, 1e-6)
        self.floor = 1e-6 * typical - low  # a score of 0 has no logarithm
        self.values, count = np.unique(usual + self.floor, return_counts=True)
        self.below = (np.cumsum(count) - count / 2) / n
        peaks = min(max(n // 10, 10), n)
        top = usual[n - peaks :] + self.floor
        self.t = float(top[0])
        self.xi = max(float(np.log(top / self.t).mean()), 1e-6)
        return self

    @classmethod
    def of(cls, learned: np.ndarray) -> Surprise:
        """The one that a model file keeps (N,)."""
        return cls().fit(learned)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        s = scores + self.floor
        below = np.interp(np.minimum(s, self.t), self.values, self.below)
        counted = -np.log(1 - below)
        above = np.log(np.maximum(s, self.t) / self.t) / self.xi
        return np.sqrt(2 * (counted + above))
