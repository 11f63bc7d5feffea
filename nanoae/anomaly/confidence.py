"""Confidence: how likely a detector fitted to other rows of the same kind would agree."""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.calibration import ROUNDING


def probability_abnormal(scores: np.ndarray, learned: np.ndarray, abnormal: int) -> np.ndarray:
    """Return the probability that each of scores (N,) is called abnormal by a detector fitted to n rows drawn anew.

    p = (1 + number of learned (n,) scores at or below the score) / (2 + n) is the probability that a row scores lower.
    A row is called abnormal if it is one of the `abnormal` highest of n, so if more than k = n - abnormal rows are
    lower:

        Σ_{i > k} C(n, i) pⁱ (1 - p)ⁿ⁻ⁱ

    (Perini, Vercruyssen & Davis 2020, "Quantifying the confidence of anomaly detectors in their example-wise
    predictions"). NaN counts as the highest score.
    """
    n = len(learned)
    highest = scores + ROUNDING * np.abs(scores)  # ties up to rounding count as below
    counts = np.searchsorted(np.sort(learned), highest, side="right")
    below, place = np.unique(counts, return_inverse=True)
    log_factorial = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))
    i = np.arange(n - abnormal + 1, n + 1)
    log_choose = log_factorial[n] - log_factorial[i] - log_factorial[n - i]
    found = []
    for p in (1 + below) / (2 + n):
        log_terms = log_choose + i * np.log(p) + (n - i) * np.log1p(-p)
        found.append(np.exp(log_terms).sum())
    return np.minimum(found, 1.0)[place]
