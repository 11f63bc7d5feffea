"""Put scores of any kind on one scale, by how rare they are among normal rows."""

from __future__ import annotations

import numpy as np


class Standing:
    """The number of standard deviations of a score s above the usual: z = (log s - m) / d, with m the median of log s
    over normal rows and m + d their 84.1 % quantile, as for a normal distribution; then (z + sqrt(z² + 4)) / 2, which
    is close to z if z is large, and positive.

    The upper quantile is used because alarms are on that side: a score that varies widely there is less informative.
    Quantiles hardly depend on single rows, nor on a few abnormal ones among the normal rows.
    """

    name = "standing"  # its name in a model file, with the number of values stored there:
    length: int | None = 4
    power = 2  # of their mean: sqrt(mean standing²) emphasises the most surprised score

    def fit(self, scores: np.ndarray) -> Standing:
        """Fit to scores (N,) of normal rows."""
        # negative scores, such as -log p, are measured from the lowest
        low = min(scores.min(), 0.0)
        height = scores - low
        typical = np.median(height) or height.mean() or 1.0
        floor = 1e-3 * typical
        logs = np.log(np.maximum(height, 0) + floor)  # a score of 0 has no logarithm
        center = np.median(logs)
        deviation = np.quantile(logs, 0.8413) - center
        spreads = (deviation, logs.std(), 1.0)
        spread = next(each for each in spreads if each > 1e-9)
        self.learned = np.array([low, floor, center, spread])
        return self

    @classmethod
    def of(cls, learned: np.ndarray) -> Standing:
        """Restore from the values (4,) in a model file."""
        standing = cls()
        standing.learned = learned
        return standing

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        low, floor, center, spread = self.learned
        height = np.maximum(scores - low, 0)
        z = (np.log(height + floor) - center) / spread
        root = np.sqrt(z * z + 4)
        # For z < 0 the equivalent form 4 / (root - z) avoids cancellation.
        return np.where(z > 0, z + root, 4 / (root - z)) / 2


class Surprise:
    """sqrt(-2 log p(s)), with p the share of normal rows that score above s: scores of any kind on one scale.

    Up to t, the 10th of 100 from above, p is the empirical distribution, interpolated linearly. Above it p = p(t) · (s
    / t)^(-1/ξ), ξ = mean log(s_i / t) over the rows there (Hill 1975), which also ranks scores beyond all observed
    ones. Used by detectors saved before `Standing` replaced it.
    """

    name = "usual"
    length = None
    power = 1

    def fit(self, scores: np.ndarray) -> Surprise:
        """Fit to scores (N,) of normal rows."""
        self.learned = usual = np.sort(scores)
        n = len(usual)
        # negative scores, such as -log p, are measured from the lowest
        low = min(usual[0], 0.0)
        typical = max(np.median(usual) - low, 1e-6)
        self.floor = 1e-6 * typical - low  # a score of 0 has no logarithm
        self.values, count = np.unique(usual + self.floor, return_counts=True)
        self.below = (np.cumsum(count) - count / 2) / n
        peaks = min(max(n // 10, 10), n)
        top = usual[n - peaks :] + self.floor
        self.t = top[0]
        self.xi = max(np.log(top / self.t).mean(), 1e-6)
        return self

    @classmethod
    def of(cls, learned: np.ndarray) -> Surprise:
        """Restore from the scores (N,) in a model file."""
        return cls().fit(learned)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        s = scores + self.floor
        below = np.interp(np.minimum(s, self.t), self.values, self.below)
        counted = -np.log(1 - below)
        above = np.log(np.maximum(s, self.t) / self.t) / self.xi
        return np.sqrt(2 * (counted + above))
