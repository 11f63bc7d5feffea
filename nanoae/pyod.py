"""Detectors with PyOD's interface, for use in PyOD's combinations, ensembles and evaluations.

>>> from nanoae.pyod import AutoEncoder, VAE
>>> from pyod.models.combination import average
>>> scores = average(standardizer(np.column_stack([d.fit(X).decision_scores_ for d in (AutoEncoder(), VAE(), KNN())])))

They use PyOD's names: decision_scores_, threshold_ and labels_ of the training rows; higher scores are more abnormal.
PyOD itself is not imported (Zhao, Nasrullah & Li 2019, "PyOD: a Python toolbox for scalable outlier detection").
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.anomaly.confidence import probability_abnormal
from nanoae.anomaly.default_autoencoder import BATCH, epochs
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.autoencoders.parameters import estimator
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.interval import Interval
from nanoae.spelling import one_of
from nanoae.training.schedules import Cosine


@estimator
class AutoEncoder(AnomalyDetector):
    """`AnomalyDetector` with the methods of a PyOD detector. It takes the same parameters."""

    _kind = None  # not scikit-learn's "outlier_detector", which predicts -1 and +1

    def decision_function(self, X) -> np.ndarray:
        """Return the anomaly score of each row, (N,); higher is more abnormal."""
        return -self.score_samples(X)

    def predict(self, X, return_confidence=False, *, false_discovery_rate=None):
        """Return (N,) labels: 1 for abnormal rows, 0 for normal ones; with `return_confidence` also
        `predict_confidence`, (N,).

        false_discovery_rate   as in `AnomalyDetector.predict`: decide all rows together
        """
        labels = self.is_abnormal(X, false_discovery_rate).astype(int)
        return (labels, self.predict_confidence(X)) if return_confidence else labels

    def predict_proba(self, X, method="linear", return_confidence=False):
        """Return (N, 2): [1 - p, p], p for abnormal; with `return_confidence` also `predict_confidence`, (N,).

        method   "linear"  p is the score scaled so that the training scores range from 0 to 1
                 "unify"   p = max(0, erf((s - mean) / (sqrt(2) std))), mean and std of the training scores: 0 up to the
                           mean, then the probability that a normal variable lies closer to it (Kriegel, Kröger,
                           Schubert & Zimek 2011, "Interpreting and unifying outlier scores")
        """
        scores = self.decision_function(X)
        learned = self.decision_scores_[~np.isnan(self.decision_scores_)]
        if one_of("predict_proba: method", method, ("linear", "unify")) == "linear":
            p = (scores - learned.min()) / (np.ptp(learned) or 1.0)
        else:
            z = (scores - learned.mean()) / (learned.std() or 1.0)
            p = np.array([math.erf(value / math.sqrt(2)) for value in z])
        p = np.where(np.isnan(p), 1, p).clip(0, 1)  # NaN counts as abnormal
        both = np.column_stack([1 - p, p])
        return (both, self.predict_confidence(X)) if return_confidence else both

    def predict_confidence(self, X) -> np.ndarray:
        """Return (N,) in [0, 1]: the probability that `predict` would give a row the same label after a fit on other
        rows of the same kind (ExCeeD: Perini, Vercruyssen & Davis 2020)."""
        scores = self.decision_function(X)
        tested = self.tested_scores_  # the scores that set the threshold
        p = probability_abnormal(scores, tested, int((tested > self.threshold_).sum()))
        return np.where(scores <= self.threshold_, 1 - p, p)  # NaN counts as abnormal

    def predict_with_rejection(self, X, T=32) -> np.ndarray:
        """Return `predict`, but -2 for uncertain rows, where 2 |confidence - 1/2| <= 1 - 2 e⁻ᵀ (Perini & Davis 2023,
        "Unsupervised anomaly detection with rejection").

        T   >= 0; the larger, the more rows are rejected
        """
        if T not in Interval("[0, inf)"):
            raise ValueError(f"predict_with_rejection: expected T, a number >= 0, got {T!r}.")
        labels, confidence = self.predict(X, return_confidence=True)
        margin = 2 * np.abs(confidence - 0.5)
        least = 1 - 2 * math.exp(-T)
        return np.where(margin <= least, -2, labels)

    def fit_predict(self, X, y=None) -> np.ndarray:
        """Fit and return labels_ (N,)."""
        return self.fit(X).labels_


@estimator
class VAE(AutoEncoder):
    """A variational autoencoder whose score is minus its ELBO. scores=NegativeELBO(20) uses a tighter bound."""

    scores: Any = "elbo"
    _: KW_ONLY
    scaling: Any = "robust"
    missing: ClassVar[str] = "error"

    def _default_autoencoder(self, rows):
        return VariationalAutoencoder(
            8,
            (128,),
            likelihood="gaussian",
            variance=0.1,
            learning_rate=Cosine(1e-3),
            batch_size=BATCH,
            epochs=epochs(rows),
        )
