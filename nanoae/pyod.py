"""Detectors with PyOD's interface: they stand beside PyOD's own in its combinations, ensembles and evaluations.

>>> from nanoae.pyod import AutoEncoder, VAE
>>> from pyod.models.combination import average
>>> scores = average(standardizer(np.column_stack([d.fit(X).decision_scores_ for d in (AutoEncoder(), VAE(), KNN())])))

PyOD's words: decision_scores_, threshold_ and labels_ of the rows learned from, and higher is more abnormal. Nothing of
PyOD is imported (Zhao, Nasrullah & Li 2019, "PyOD: a Python toolbox for scalable outlier detection").
"""

from __future__ import annotations

import math

import numpy as np

from nanoae.anomaly.detector import BATCH, STEPS, AnomalyDetector
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.training.schedules import Cosine


class AutoEncoder(AnomalyDetector):
    """`AnomalyDetector`, same parameters, with the methods of a detector of PyOD."""

    _kind = None  # to scikit-learn an outlier detector says -1 and +1

    def decision_function(self, X) -> np.ndarray:
        """The anomaly score (N,), higher is more abnormal."""
        return -self.score_samples(X)

    def predict(self, X) -> np.ndarray:
        """(N,): 1 for abnormal rows, 0 for normal ones."""
        self.check_fitted()
        return (~(self.decision_function(X) <= self.threshold_)).astype(int)  # so that NaN is abnormal

    def predict_proba(self, X) -> np.ndarray:
        """(N, 2): [1 - p, p], p the score between the lowest, 0, and the highest, 1, of the rows learned from."""
        self.check_fitted()
        low, high = self.decision_scores_.min(), self.decision_scores_.max()
        p = np.clip((self.decision_function(X) - low) / max(high - low, np.finfo(float).tiny), 0, 1)
        return np.column_stack([1 - p, p])

    def fit_predict(self, X, y=None) -> np.ndarray:
        """fit(X), then labels_ (N,)."""
        return self.fit(X).labels_


class VAE(AutoEncoder):
    """A variational autoencoder that scores by minus its ELBO; scores=NegativeELBO(20) by the tighter bound."""

    def __init__(
        self,
        autoencoder=None,
        scores="elbo",
        *,
        scaling="robust",
        members=1,
        contamination=0.1,
        threshold=None,
        holdout=0.0,
        random_state=None,
    ):
        super().__init__(
            autoencoder,
            scores,
            scaling=scaling,
            members=members,
            contamination=contamination,
            threshold=threshold,
            holdout=holdout,
            random_state=random_state,
        )

    def _default_autoencoder(self, rows):
        epochs = max(1, round(STEPS / math.ceil(rows / BATCH)))
        return VariationalAutoencoder(
            8, (128,), likelihood="gaussian", variance=0.1, learning_rate=Cosine(1e-3), batch_size=BATCH, epochs=epochs
        )
