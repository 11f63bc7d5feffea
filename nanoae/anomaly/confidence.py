"""Confidence: how sure a detector is to say of a row what it says, had it learned from other rows of the same kind."""

from __future__ import annotations

import math

import numpy as np

from nanoae.anomaly.calibration import ROUNDING

MOST_TERMS = 10_000  # of the continued fraction: it takes about sqrt(n) for n rows


def probability_abnormal(scores: np.ndarray, learned: np.ndarray, abnormal: int) -> np.ndarray:
    """How likely each of scores (N,) is called abnormal by a detector whose n rows to learn from are drawn anew.

    p = (1 + the number of learned (n,) at or below the score) / (2 + n) is the chance that a row scores lower. The row
    is called abnormal where it is one of the `abnormal` highest of n: where more than k = n - abnormal rows are lower,

        Σ_{i > k} C(n, i) pⁱ (1 - p)ⁿ⁻ⁱ = I_p(k + 1, n - k)

    (Perini, Vercruyssen & Davis 2020, "Quantifying the confidence of anomaly detectors in their example-wise
    predictions"). A score that is NaN counts as the highest.
    """
    n = len(learned)
    if abnormal == 0:
        return np.zeros(len(scores))
    highest = scores + ROUNDING * np.abs(scores)  # ties, but for rounding, are below
    counts = np.searchsorted(np.sort(learned), highest, side="right")
    below, place = np.unique(counts, return_inverse=True)
    p = (1 + below) / (2 + n)
    found = incomplete_beta(p, n - abnormal + 1, abnormal)
    return found[place]


def incomplete_beta(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """I_x(a, b) = ∫₀ˣ tᵃ⁻¹ (1 - t)ᵇ⁻¹ dt / B(a, b) for x (N,) in (0, 1) and a, b > 0, to about ten digits.

    A continued fraction (Abramowitz & Stegun 26.5.8) by Lentz's algorithm, for x below the mean; above it
    1 - I_{1-x}(b, a), which has few terms there.
    """
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    above = x > (a + 1) / (a + b + 2)
    x = np.where(above, 1 - x, x)
    p = np.where(above, b, a)
    q = np.where(above, a, b)
    c = np.ones(len(x))
    fraction = d = 1 / (1 - (p + q) / (p + 1) * x)
    for m in range(1, MOST_TERMS):
        before = fraction
        k = p + 2 * m
        even = m * (q - m) * x / ((k - 1) * k)
        odd = -(p + m) * (p + q + m) * x / (k * (k + 1))
        for term in (even, odd):
            c = 1 + term / c
            d = 1 / (1 + term * d)
            fraction = fraction * c * d
        if np.allclose(fraction, before, rtol=1e-14, atol=0):
            break
    log_power = p * np.log(x) + q * np.log1p(-x)
    found = np.exp(log_power - log_beta) / p * fraction
    return np.where(above, 1 - found, found)
