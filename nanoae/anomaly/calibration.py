"""Calibration: what the scores of rows outside the training set tell about new rows.

Cross-fitting: the rows are split into folds, and each fold is scored by networks trained on the other folds. So every
row has a score from networks that never saw it, like a new row. A new normal row is exchangeable with these: its rank
among the n scores is uniform, whatever the distribution. Hence p = (1 + #{scores >= its own}) / (n + 1) and P(p <= a)
<= a for every a (Vovk, Gammerman & Shafer 2005; Bates, Candès, Lei, Romano & Sesia 2023, "Testing for outliers with
conformal p-values"). With several folds a new row's score is the mean over them, which varies no more than that of one
fold; then about P(p <= a) <= 2 a is proven (Barber, Candès, Ramdas & Tibshirani 2021, "Predictive inference with the
jackknife+"), and a or less is observed (benchmarks/results/alarms.md).

These are averages over training sets. For one detector fitted to n rows the true rate at a is approximately Beta
distributed with standard deviation sqrt(a (1 - a) / n): 2.1 points at a = 10 % and n = 200.
"""

from __future__ import annotations

import math

import numpy as np

from nanoae.interval import Interval
from nanoae.rows import by_blocks
from nanoae.warning import warn

ROUNDING = 1e-6  # relative difference between a row's scores in two different batches
# Up to FEW rows there are more folds; above MANY a single held-out part is enough.
FEW, MANY = 100, 5000
# The share held out in the latter case, and the most rows
HELD, MOST_HELD = 0.2, 20_000
SEARCHED = 1 << 20  # most rows of a table that is searched for copies
LOOK = 10_000  # most distinct rows whose columns are searched for copies
MOSTLY = 0.9  # share of distinct rows with a value of their own in a column that tells copies


def deal(rows: int, holdout: float, random: np.random.Generator) -> np.ndarray:
    """Return (rows,): the fold that each row is held out of, 0 ... F - 1, or -1 if every network trains on it.

    holdout   share of the rows held out of a single training; 0: the default for this number of rows
    """
    order = random.permutation(rows)
    folds = np.full(rows, -1)
    if holdout or rows > MANY:
        held = round(holdout * rows) if holdout else min(round(HELD * rows), MOST_HELD)
        if not 2 <= held <= rows - 2:
            raise ValueError(
                f"AnomalyDetector: expected holdout to leave at least 2 rows for the thresholds and 2 for training, "
                f"got {held} of {rows}. With holdout=0 all rows are used for both."
            )
        folds[order[:held]] = 0
        return folds
    count = min(10 if rows <= FEW else 5, rows)
    folds[order] = np.arange(rows) % count
    return folds


def groups_of_copies(X: np.ndarray) -> np.ndarray:
    """Return (N,): the number of each row's group, 0 ... G - 1, which one fold holds out as a whole. Copies of a row of
    X (N, ...) are a group, so that no network learns the rows that it is calibrated on.

    Equal rows are copies if hardly any distinct rows share a value of some column, whose values then say that rows were
    repeated, and other columns vary, too. Rows of few different values, as of categories, are equal by chance: new ones
    are as often equal to them, and each is a group of its own, as are those of tables of more than 2^20 rows.
    """
    single = np.arange(len(X))
    if len(X) > SEARCHED:
        return single
    _, first, group = np.unique(row_keys(X), return_index=True, return_inverse=True)
    if len(first) == len(X):
        return single
    distinct = np.asarray(X[np.sort(first[:LOOK])])  # a random sample, since keys are hashes
    counts = [len(np.unique(column)) for column in distinct.reshape(len(distinct), -1).T]
    second, most = sorted([1, *counts])[-2:]
    if second == 1 or most < MOSTLY * len(distinct):
        return single
    if len(first) < len(X) / 2:
        warn(
            f"AnomalyDetector: {1 - len(first) / len(X):.0%} of the {len(X):,} training rows are copies of others: "
            f"thresholds and p-values are as uncertain as of {len(first):,} rows."
        )
    return group


def lowest(scores: np.ndarray) -> np.ndarray:
    """Return the lowest values that scores (N,) may have in another batch."""
    return scores - ROUNDING * np.abs(scores)


class Conformal:
    """The sorted scores (n,) of normal rows outside the training set."""

    def __init__(self, scores: np.ndarray):
        self.scores = np.sort(np.asarray(scores, np.float64))

    def exceeded(self, scores: np.ndarray) -> np.ndarray:
        """Return p = (1 + #{calibration scores >= s}) / (n + 1) for each s of scores (N,). Ties by rounding count."""
        n = len(self.scores)
        below = np.searchsorted(self.scores, lowest(scores))
        return (1 + n - below) / (n + 1)

    def quantile(self, rate: float) -> float | None:
        """Return the score that a new normal row exceeds with probability floor(rate (n + 1)) / (n + 1), at most
        `rate`; None if that is 0, since no observed score is so rare."""
        n = len(self.scores)
        above = min(int(rate * (n + 1) + 1e-9), n)
        if above == 0:
            return None
        first = self.scores[n - above]
        lower = self.scores[n - above - 1] if above < n else 2 * first - self.scores[-1]
        # just below `first`; if both are tied, none of them exceeds it
        return float(first - 1e-3 * (first - lower))


def benjamini_hochberg(p: np.ndarray, rate: float, tested: float = np.inf) -> np.ndarray:
    """Return (N,) bool: the rows to call abnormal, given p-values p (N,), so that on average at most a share `rate` of
    them is normal: the k smallest p, k the largest with p_(k) <= rate k / N (Benjamini & Hochberg 1995).

    tested   M, if p is at least 1 / (M + 1): warn if no row is called abnormal because M is too small
    """
    if rate not in Interval("(0, 1)"):
        raise ValueError(f"false_discovery_rate: expected a number in (0, 1), got {rate!r}.")
    n = len(p)
    ordered = np.sort(p)
    allowed = rate * np.arange(1, n + 1) / n
    passed = ordered[ordered <= allowed * (1 + 1e-12)]
    highest = (ordered < 1.5 / (tested + 1)).sum()
    if highest and not len(passed):
        warn(
            f"false_discovery_rate: {highest:,} of {n:,} rows score above all {tested:,} calibration rows, which are "
            f"too few to call them abnormal: expected {math.ceil(n / (rate * highest) - 1e-6) - 1:,} or more."
        )
    return p <= passed.max(initial=-1)  # no row if none passed


class SeenRows:
    """Which folds score a row: for a training row, those it was held out of."""

    def __init__(self, keys: np.ndarray, weights: np.ndarray):
        self.keys = keys
        self.weights = weights

    @classmethod
    def of(cls, X: np.ndarray, folds: np.ndarray) -> SeenRows:
        """Record the rows X (N, ...), held out of `folds` (N,); equal rows share their folds."""
        keys, place = np.unique(row_keys(X), return_inverse=True)
        weights = np.zeros((len(keys), folds.max() + 1))
        np.add.at(weights, (place, folds), 1)
        return cls(keys, weights / weights.sum(axis=1, keepdims=True))

    def of_folds(self, X: np.ndarray) -> np.ndarray:
        """Return (F, N): the weight of each fold in the score of each row of X; the weights of a row sum to 1."""
        keys = row_keys(X)
        place = np.searchsorted(self.keys[:-1], keys)  # at most that of the last
        seen = self.keys[place] == keys
        return np.where(seen, self.weights[place].T, 1 / self.weights.shape[1])


def row_keys(X: np.ndarray) -> np.ndarray:
    """Return (N,) uint64: a hash of each row of X (N, ...), equal for equal rows; others collide with chance 2⁻⁶⁴."""
    keys = []
    for block in by_blocks(X):
        rows = block.reshape(len(block), -1) + 0.0  # -0 becomes 0
        rows = np.where(np.isnan(rows), np.nan, rows)  # of one kind
        bits = rows.astype(np.float64).view(np.uint64)
        mixed = bits ^ (bits >> 29)
        mixed *= key_factors(bits.shape[1])
        mixed ^= mixed >> 32
        keys.append(mixed.sum(axis=1))
    return np.concatenate(keys)


def key_factors(n: int) -> np.ndarray:
    """Return (n,) uint64: odd multipliers for the columns of `row_keys`."""
    random = np.random.default_rng(0)
    return random.integers(1 << 63, size=n, dtype=np.uint64) | 1
