"""Thresholds: from the scores of normal rows to the score above which a row is called abnormal."""

from __future__ import annotations

import math
import warnings
from typing import ClassVar

import numpy as np

from nanoae.anomaly.calibration import ROUNDING, Conformal
from nanoae.configurable import Configurable, configurable


class Threshold(Configurable):
    """A rule: fit(scores (N,)) -> the threshold; higher scores are more abnormal."""

    def fit(self, scores: np.ndarray) -> float:
        raise NotImplementedError


@configurable
class Quantile(Threshold):
    """The q-quantile for new rows, q in (0, 1): of normal rows that no score is from a share of 1 - q exceeds it at
    most, as of n scores floor((1 - q)(n + 1)) do (`Conformal`). Too few for that: a warning, and `PeaksOverThreshold`.
    """

    bounds: ClassVar = {"q": "(0, 1)"}

    q: float = 0.99

    def fit(self, scores):
        return exceeded_by(1 - self.q, scores)


@configurable
class MAD(Threshold):
    """median + k · 1.4826 · median |score - median|: k standard deviations of normal scores, blind to the wild ones
    (Leys et al. 2013)."""

    bounds: ClassVar = {"k": "(0, inf)"}

    k: float = 3.0

    def fit(self, scores):
        median = np.median(scores)
        deviation = np.median(np.abs(scores - median))
        return float(median + self.k * 1.4826022 * deviation)


@configurable
class PeaksOverThreshold(Threshold):
    """The score that a share of `false_alarms` of the normal rows exceeds, however rare: by extreme value theory.

    Above a high t the excesses of almost any distribution follow a generalised Pareto distribution (Pickands 1975).
    With n_t of n scores above t, P(score > s) = (n_t / n) · (1 + γ (s - t) / σ)^(-1/γ) is solved for s (Siffer et al.
    2017). That is for what is rarer than 1 in n + 1; a more frequent score was seen, and is counted as in `Quantile`.

    false_alarms   the wished rate among normal rows, in (0, 1); it may be below 1 / n
    tail           the share of the scores that make the tail, in (0, 0.5]; ten of them at least
    """

    bounds: ClassVar = {"false_alarms": "(0, 1)", "tail": "(0, 0.5]"}

    false_alarms: float = 1e-3
    tail: float = 0.1

    def fit(self, scores):
        return exceeded_by(self.false_alarms, scores, self.tail, few=100)


def exceeded_by(rate: float, scores: np.ndarray, tail: float = 0.1, few: float = np.inf) -> float:
    """What a new normal score exceeds with probability `rate` at most, as `Conformal` says; where that is rarer than
    scores (n,) can tell, by the `Tail` of them, and where n is below `few`, with a warning."""
    found = Conformal(scores).quantile(rate)
    if found is not None:
        return found
    if len(scores) < few:
        warnings.warn(
            f"threshold: expected {math.ceil(1 / rate - 1e-6) - 1:,} rows or more for a share of {rate:.3g} of false "
            f"alarms, got {len(scores):,}: it lies beyond all of them, where extreme value theory puts it.",
            stacklevel=4,
        )
    return Tail(scores, tail).beyond(rate)


def above_ties(threshold: float, scores: np.ndarray) -> float:
    """The threshold; where some of scores (N,) that it calls normal, or all, are equal to it but for rounding,
    a little above them: what rounds otherwise in another batch is as normal as they are."""
    rounding = ROUNDING * max(abs(threshold), ROUNDING)
    ties = scores[np.abs(scores - threshold) <= rounding]
    if len(ties) == len(scores) or (ties <= threshold).any():
        return max(threshold, float(ties.max()) + rounding)
    return threshold


class Tail(Conformal):
    """The upper tail of scores (N,): what they were up to t, a generalised Pareto distribution above it."""

    def __init__(self, scores: np.ndarray, share: float = 0.1):
        super().__init__(scores)
        n = len(self.scores)
        peaks = min(max(round(share * n), 10), n - 1)
        self.t = float(self.scores[n - peaks - 1])
        self.share = peaks / n  # P(score > t)
        excesses = self.scores[n - peaks :] - self.t
        self.gamma, self.sigma = fit_generalised_pareto(excesses)

    def beyond(self, p: float) -> float:
        """A score above all that were seen, with P(a new normal score > it) = p < 1 / (n + 1), or less.

        Where P(score > s) is p, but with what few scores hide: of k excesses the likeliest γ is about 3 / k too small
        (Giles, Feng & Godwin 2016), and a new score exceeds t with probability (k + 1) / (n + 1). γ is 0 at least.
        """
        n = len(self.scores)
        k = round(self.share * n)
        gamma = max(self.gamma, 0.0) + 3 / k
        ratio = np.log((k + 1) / (n + 1) / p)
        found = self.t + self.sigma * np.expm1(gamma * ratio) / gamma
        highest = self.scores[-1]
        return max(float(found), float(highest))

    def exceeded(self, scores: np.ndarray) -> np.ndarray:
        """P(a normal score >= each of scores (N,)), in (0, 1]: (1 + the number that are) / (n + 1) up to t, above it
        what the Pareto tail says."""
        p = super().exceeded(scores)
        over = np.maximum(scores - self.t, 0) / self.sigma
        inside = np.maximum(1 + self.gamma * over, 0)
        with np.errstate(divide="ignore", over="ignore"):
            tail = np.exp(-over) if self.gamma == 0 else inside ** (-1 / self.gamma)
        tail = np.maximum(self.share * tail, np.finfo(float).tiny)
        return np.where(scores > self.t, tail, p)


def fit_generalised_pareto(y: np.ndarray) -> tuple[float, float]:
    """(γ, σ) of the likeliest generalised Pareto distribution of excesses y (n,) >= 0, with γ > -1/2.

    Grimshaw 1993: with θ = γ / σ the likeliest γ is mean log(1 + θ y), so that one number is to be searched for:
    log L(θ) = -n (log(γ / θ) + γ + 1). θ -> 0 is the exponential distribution, γ = 0, σ = mean y.
    """
    mean = float(y.mean())
    top = float(y.max())
    if top <= 0:
        return 0.0, 1e-100  # all of them ties

    def profile(theta):  # the log-likelihood divided by -n, and γ; one row for each θ
        gamma = np.log1p(np.multiply.outer(theta, y)).mean(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cost = np.log(gamma / theta) + gamma + 1
        allowed = np.isfinite(cost) & (gamma > -0.5)
        return np.where(allowed, cost, np.inf), gamma

    low = -np.geomspace(1e-6, 1 - 1e-9, 60)[::-1] / top
    high = np.geomspace(1e-6, 1e4, 80) / mean
    theta = np.concatenate([low, high])
    for _ in range(9):  # each round looks more closely about the best one
        cost, gamma = profile(theta)
        best = int(np.argmin(cost))
        found = float(gamma[best]), float(gamma[best] / theta[best])
        before = max(best - 1, 0)
        after = min(best + 1, len(theta) - 1)
        theta = np.linspace(theta[before], theta[after], 21)
        theta = theta[theta != 0]
    return found if cost[best] < np.log(mean) + 1 else (0.0, mean)
