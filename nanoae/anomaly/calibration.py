"""Calibration: what scores of rows that no network has learned from promise of new rows.

Cross-fitting. The rows are dealt into folds; the networks of a fold learn from all rows but its own, and score these.
So each row has a score by networks that never saw it, as a new row has. A new normal row is exchangeable with them: of
n scores and its own each order is as likely, whatever the distribution. Hence p = (1 + #{scores >= its own}) / (n + 1)
and P(p <= a) <= a for every a (Vovk, Gammerman & Shafer 2005; Bates, Candès, Lei, Romano & Sesia 2023, "Testing for
outliers with conformal p-values"). With several folds a new row's score is the mean over them, which is no wilder than
that of one; what is proven then is P(p <= a) <= 2 a or so (Barber, Candès, Ramdas & Tibshirani 2021, "Predictive
inference with the jackknife+"), what is seen is a or less (benchmarks/results/alarms.md).

That is a mean over training sets: of one detector from n rows, the true rate at a is about Beta distributed, with a
standard deviation of sqrt(a (1 - a) / n): 2.1 points at a = 10 % and n = 200.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from nanoae.interval import Interval
from nanoae.rows import by_blocks

ROUNDING = 1e-6  # the share of a score by which it may be off: of a row among others, and of the same row alone
# Rows: below the first more folds are made, above the second one part held out is enough.
FEW, MANY = 100, 5000
# The share of many rows that is held out of the training, and the most of them
HELD, MOST_HELD = 0.2, 20_000


def deal(rows: int, holdout: float, random: np.random.Generator) -> np.ndarray:
    """(rows,): the number of the fold that each row is kept out of, 0 ... F - 1; -1: none, all learn from it.

    holdout   the share of the rows that is kept out of a single training; 0: as many folds as the rows call for
    """
    order = random.permutation(rows)
    folds = np.full(rows, -1)
    if holdout or rows > MANY:
        usual = min(round(HELD * rows), MOST_HELD)
        held = round(holdout * rows) if holdout else usual
        if not 2 <= held <= rows - 2:
            raise ValueError(
                f"AnomalyDetector: expected holdout to keep 2 rows or more for the thresholds, and 2 to learn from, "
                f"got {held} of {rows}. With holdout=0 all rows serve for both."
            )
        folds[order[:held]] = 0
        return folds
    count = min(10 if rows <= FEW else 5, rows)
    folds[order] = np.arange(rows) % count
    return folds


def lowest(scores: np.ndarray) -> np.ndarray:
    """What scores (N,) may be where their rows stand among others."""
    return scores - ROUNDING * np.abs(scores)


class Conformal:
    """The sorted scores (n,) of normal rows that no network has learned from."""

    def __init__(self, scores: np.ndarray):
        self.scores = np.sort(np.asarray(scores, np.float64))

    def exceeded(self, scores: np.ndarray) -> np.ndarray:
        """p = (1 + #{scores of normal rows >= s}) / (n + 1) of each s of scores (N,): ties, but for rounding, count
        against it."""
        n = len(self.scores)
        below = np.searchsorted(self.scores, lowest(scores))
        return (1 + n - below) / (n + 1)

    def quantile(self, rate: float) -> float | None:
        """The score that a new normal row exceeds with probability `rate` at most, floor(rate (n + 1)) / (n + 1); None
        where that is 0: no score that was seen is so rare."""
        n = len(self.scores)
        above = min(int(rate * (n + 1) + 1e-9), n)
        if above == 0:
            return None
        first = self.scores[n - above]
        lower = self.scores[n - above - 1] if above < n else 2 * first - self.scores[-1]
        # just below it; where both are tied, none of them is above
        return float(first - 1e-3 * (first - lower))


def benjamini_hochberg(p: np.ndarray, rate: float, tested: float = np.inf) -> np.ndarray:
    """(N,) bool: the rows of p-values p (N,) to be called abnormal, so that of these a share `rate` is normal at most,
    in the mean: the k smallest p, k the largest with p_(k) <= rate k / N (Benjamini & Hochberg 1995).

    tested   M, where p is 1 / (M + 1) at least: a warning tells if no row is called abnormal since M is too small
    """
    if rate not in Interval("(0, 1)"):
        raise ValueError(f"false_discovery_rate: expected a number in (0, 1), got {rate!r}.")
    n = len(p)
    ordered = np.sort(p)
    allowed = rate * np.arange(1, n + 1) / n
    passed = ordered[ordered <= allowed * (1 + 1e-12)]
    highest = (ordered < 1.5 / (tested + 1)).sum()
    if highest and not len(passed):
        warnings.warn(
            f"false_discovery_rate: {highest:,} of {n:,} rows score above all {tested:,} that p-values come from, too "
            f"few of these to tell: expected {math.ceil(n / (rate * highest) - 1e-6) - 1:,} or more, so that rows as "
            "rare may be called abnormal.",
            stacklevel=5,
        )
    return p <= passed.max(initial=-1)  # none: no row


class SeenRows:
    """Which networks may judge a row: one that was learned from, those of the folds that it was kept out of."""

    def __init__(self, keys: np.ndarray, weights: np.ndarray):
        self.keys = keys
        self.weights = weights

    @classmethod
    def of(cls, X: np.ndarray, folds: np.ndarray) -> SeenRows:
        """Of the rows X (N, ...), kept out of `folds` (N,); equal rows share theirs."""
        keys, place = np.unique(row_keys(X), return_inverse=True)
        weights = np.zeros((len(keys), folds.max() + 1))
        np.add.at(weights, (place, folds), 1)
        total = weights.sum(axis=1, keepdims=True)
        return cls(keys, weights / total)

    def of_folds(self, X: np.ndarray) -> np.ndarray:
        """(F, N): the weight of each fold's networks in the score of each row of X; those of a row add up to 1."""
        keys = row_keys(X)
        place = np.searchsorted(self.keys, keys)
        place = np.minimum(place, len(self.keys) - 1)
        seen = self.keys[place] == keys
        even = 1 / self.weights.shape[1]
        weights = np.where(seen[:, None], self.weights[place], even)
        return weights.T


def row_keys(X: np.ndarray) -> np.ndarray:
    """(N,) uint64: a number for each row of X (N, ...), equal for equal rows, for others by a chance of 2⁻⁶⁴."""
    keys = []
    for block in by_blocks(X):
        rows = block.reshape(len(block), -1) + 0.0  # -0 is 0
        one_nan = np.where(np.isnan(rows), np.nan, rows)
        bits = one_nan.astype(np.float64).view(np.uint64)
        mixed = bits ^ (bits >> np.uint64(29))
        mixed = mixed * key_factors(bits.shape[1])
        mixed = mixed ^ (mixed >> np.uint64(32))
        keys.append(mixed.sum(axis=1, dtype=np.uint64))
    return np.concatenate(keys)


def key_factors(n: int) -> np.ndarray:
    """(n,) uint64: the odd number by which each column of `row_keys` is multiplied."""
    random = np.random.default_rng(0)
    drawn = random.integers(1 << 63, size=n, dtype=np.uint64)
    return drawn | np.uint64(1)
