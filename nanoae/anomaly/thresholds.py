"""Thresholds: derive the score above which a row is abnormal from the scores of normal rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nanoae.anomaly.calibration import ROUNDING, Conformal
from nanoae.configurable import Configurable, configurable
from nanoae.warning import warn


class Threshold(Configurable):
    """A threshold rule: fit(scores (N,)) returns the threshold; higher scores are more abnormal."""

    def fit(self, scores: np.ndarray) -> float:
        raise NotImplementedError


@configurable
class Quantile(Threshold):
    """The q-quantile for new rows, q in (0, 1): at most a share 1 - q of new normal rows exceeds it.

    It is exceeded by floor((1 - q)(n + 1)) of the n scores (`Conformal`). If that is 0, warn and use
    `PeaksOverThreshold`.
    """

    bounds: ClassVar = {"q": "(0, 1)"}

    q: float = 0.99

    def fit(self, scores):
        return threshold_for(1 - self.q, scores)


@configurable
class MAD(Threshold):
    """median + k · 1.4826 · median |score - median|: k robust standard deviations of the scores (Leys et al. 2013)."""

    bounds: ClassVar = {"k": "(0, inf)"}

    k: float = 3.0

    def fit(self, scores):
        median = np.median(scores)
        deviation = np.median(np.abs(scores - median))
        return float(median + self.k * 1.4826022 * deviation)


@configurable
class PeaksOverThreshold(Threshold):
    """The score exceeded by a share `false_alarms` of normal rows, however small, by extreme value theory.

    Above a high t the excesses of almost any distribution follow a generalised Pareto distribution (Pickands 1975).
    With n_t of n scores above t, P(score > s) = (n_t / n) · (1 + γ (s - t) / σ)^(-1/γ) is solved for s (Siffer et al.
    2017). This applies to shares below 1 / (n + 1); larger ones are counted as in `Quantile`.

    false_alarms   target rate among normal rows, in (0, 1); it may be below 1 / n
    tail           share of the scores in the tail, in (0, 0.5]; at least ten
    """

    bounds: ClassVar = {"false_alarms": "(0, 1)", "tail": "(0, 0.5]"}

    false_alarms: float = 1e-3
    tail: float = 0.1

    def fit(self, scores):
        return threshold_for(self.false_alarms, scores, self.tail, few=100)


def threshold_for(rate: float, scores: np.ndarray, tail: float = 0.1, few: float = np.inf) -> float:
    """Return the score that a new normal score exceeds with probability at most `rate`, by `Conformal`.

    If `rate` is too small for the number of scores (n,), extrapolate with their `Tail`, with a warning if n < `few`.
    """
    found = Conformal(scores).quantile(rate)
    if found is not None:
        return found
    if len(scores) < few:
        warn(
            f"threshold: expected at least {np.ceil(1 / rate - 1e-6) - 1:,.0f} rows for a share of {rate:.3g} of false "
            f"alarms, got {len(scores):,}: the threshold is extrapolated beyond all scores by extreme value theory."
        )
    return Tail(scores, tail).beyond(rate)


def above_ties(threshold: float, scores: np.ndarray) -> float:
    """Return the threshold, moved slightly above scores (N,) that it calls normal and that equal it except for
    rounding, or above all of them if all do: they must stay normal when another batch rounds them differently."""
    rounding = ROUNDING * max(abs(threshold), ROUNDING)
    ties = scores[np.abs(scores - threshold) <= rounding]
    if len(ties) == len(scores) or (ties <= threshold).any():
        return max(threshold, float(ties.max()) + rounding)
    return threshold


class Tail(Conformal):
    """The upper tail of scores (N,): the empirical distribution up to t, a generalised Pareto distribution above it."""

    def __init__(self, scores: np.ndarray, share: float = 0.1):
        super().__init__(scores)
        n = len(self.scores)
        peaks = min(max(round(share * n), 10), n - 1)
        self.t = float(self.scores[n - peaks - 1])
        self.share = peaks / n  # P(score > t)
        self.gamma, self.sigma = fit_generalised_pareto(self.scores[n - peaks :] - self.t)

    def beyond(self, p: float) -> float:
        """Return a score above all observed ones with P(a new normal score > it) <= p, p < 1 / (n + 1).

        It solves P(score > s) = p with corrections for small samples: with k excesses the maximum-likelihood γ is about
        3 / k too small (Giles, Feng & Godwin 2016), and a new score exceeds t with probability (k + 1) / (n + 1). γ is
        at least 0.
        """
        n = len(self.scores)
        k = round(self.share * n)
        gamma = max(self.gamma, 0.0) + 3 / k
        ratio = np.log((k + 1) / (n + 1) / p)
        found = self.t + self.sigma * np.expm1(gamma * ratio) / gamma
        return float(max(found, self.scores[-1]))

    def exceeded(self, scores: np.ndarray) -> np.ndarray:
        """Return P(a normal score >= s) in (0, 1] for each s of scores (N,): (1 + number of scores >= s) / (n + 1) up
        to t, and by the Pareto tail above it."""
        p = super().exceeded(scores)
        over = np.maximum(scores - self.t, 0) / self.sigma
        inside = np.maximum(1 + self.gamma * over, 0)
        with np.errstate(divide="ignore", over="ignore"):
            tail = np.exp(-over) if self.gamma == 0 else inside ** (-1 / self.gamma)
        tail = np.maximum(self.share * tail, np.finfo(float).tiny)
        return np.where(scores > self.t, tail, p)


def fit_generalised_pareto(y: np.ndarray) -> tuple[float, float]:
    """Fit a generalised Pareto distribution to excesses y (n,) >= 0 by maximum likelihood. Return (γ, σ), γ > -1/2.

    Grimshaw 1993: for θ = γ / σ the best γ is mean log(1 + θ y), which leaves a search over one number: log L(θ) = -n
    (log(γ / θ) + γ + 1). The limit θ -> 0 is the exponential distribution, γ = 0, σ = mean y.
    """
    mean = float(y.mean())
    top = float(y.max())
    if top <= 0:
        return 0.0, 1e-100  # all excesses are ties

    def profile(theta):  # log-likelihood divided by -n, and γ; one row per θ
        gamma = np.log1p(np.multiply.outer(theta, y)).mean(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cost = np.log(gamma / theta) + gamma + 1
        allowed = np.isfinite(cost) & (gamma > -0.5)
        return np.where(allowed, cost, np.inf), gamma

    low = -np.geomspace(1e-6, 1 - 1e-9, 60)[::-1] / top
    high = np.geomspace(1e-6, 1e4, 80) / mean
    theta = np.concatenate([low, high])
    for _ in range(9):  # each round refines the grid around the best θ
        cost, gamma = profile(theta)
        best = int(np.argmin(cost))
        found = float(gamma[best]), float(gamma[best] / theta[best])
        around = theta[max(best - 1, 0) : best + 2]
        theta = np.linspace(around[0], around[-1], 21)
        theta = theta[theta != 0]
    return found if cost[best] < np.log(mean) + 1 else (0.0, mean)
