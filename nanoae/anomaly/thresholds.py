"""Thresholds: from the scores of normal rows to the score above which a row is called abnormal."""

from __future__ import annotations

import numpy as np

from nanoae.engine.part import Part


class Threshold(Part):
    """A rule: fit(scores (N,)) -> the threshold; higher scores are more abnormal."""

    def fit(self, scores: np.ndarray) -> float:
        raise NotImplementedError


class Quantile(Threshold):
    """The q-quantile of the scores, q in (0, 1): a share of 1 - q of the rows that were learned from lies above it."""

    def __init__(self, q: float = 0.99):
        if not 0 < q < 1:
            raise ValueError(f"Quantile: expected q in (0, 1), got {q}.")
        self.q = q

    def fit(self, scores):
        return float(np.quantile(scores, self.q))


class MAD(Threshold):
    """median + k · 1.4826 · median |score - median|: k standard deviations of normal scores, blind to the wild ones
    (Leys et al. 2013)."""

    def __init__(self, k: float = 3.0):
        if not k > 0:
            raise ValueError(f"MAD: expected k > 0, got {k}.")
        self.k = k

    def fit(self, scores):
        median = np.median(scores)
        return float(median + self.k * 1.4826022 * np.median(np.abs(scores - median)))
