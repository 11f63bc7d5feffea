"""AnomalyDetector: scikit-learn's outlier contract around any autoencoder, with PyOD's names beside it."""

from __future__ import annotations

import copy
import math

import numpy as np

from nanoae.anomaly import scores as kinds
from nanoae.anomaly.scaling import RobustScaler
from nanoae.anomaly.thresholds import Quantile, Threshold
from nanoae.autoencoders.contract import Estimator, all_or_nothing, seed_of
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.autoencoders.estimator import Autoencoder


class AnomalyDetector(Estimator):
    """Learns what is normal, and scores what does not come back.

    autoencoder     any nanoae autoencoder; None: a wide denoising one
    scores          "standardised", "reconstruction", "mahalanobis", or a Score
    contamination   share of the training rows that are to be called abnormal, in (0, 0.5]
    threshold       None: by contamination; or a Threshold (Quantile, MAD, PeaksOverThreshold), which then decides
    random_state    int: everything random follows from it

    After fit: model_ (the fitted autoencoder), offset_ (decision_function = score_samples - offset_), and in PyOD's
    words decision_scores_ (N,) of the training rows, threshold_ (= -offset_), labels_ (1: abnormal).
    """

    _kind = "outlier_detector"
    _learned = ("model_", "offset_")

    def __init__(
        self, autoencoder=None, scores="standardised", *, contamination=0.1, threshold=None, random_state=None
    ):
        self.autoencoder = autoencoder
        self.scores = scores
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    # ---------------------------------------------------------------- learning

    @all_or_nothing
    def fit(self, X, y=None):
        """Learn what is normal from X (N, D). `y` is ignored."""
        rule = self._rule()
        X = self.check_table(X, reset=True, dtype=np.float64)
        self.scaler_ = RobustScaler().fit(X)
        Z = self.scaler_.transform(X)
        self.score_ = copy.deepcopy(kinds.get(self.scores))
        self.model_ = self._member(len(Z), np.random.SeedSequence(seed_of(self.random_state)))
        self.model_.fit(Z)
        self.score_.fit(self.model_, Z)
        self.decision_scores_ = self.score_.score(self.model_, Z)
        self.threshold_ = rule.fit(self.decision_scores_)
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)
        return self

    def _rule(self) -> Threshold:
        share = self.contamination
        if isinstance(share, bool) or not isinstance(share, (float, int, np.number)) or not 0 < share <= 0.5:
            raise ValueError(f"AnomalyDetector: expected contamination in (0, 0.5], got {share!r}.")
        if self.threshold is None:
            return Quantile(1 - share)
        if not isinstance(self.threshold, Threshold):
            raise ValueError(
                f"AnomalyDetector: expected threshold=None or one like Quantile(0.99), got {self.threshold!r}."
            )
        return self.threshold

    def _member(self, rows: int, seed: np.random.SeedSequence):
        """A new autoencoder with a seed of its own; by default one trained for about 4,000 steps."""
        if self.autoencoder is not None:
            model = copy.deepcopy(self.autoencoder)
        else:
            epochs = max(1, round(4000 / math.ceil(rows / 128)))
            model = Autoencoder(256, (256,), corruption=GaussianNoise(0.1), batch_size=128, epochs=epochs)
        return model.set_params(random_state=int(seed.generate_state(1)[0]))

    # ---------------------------------------------------------------- using

    def transform(self, X) -> np.ndarray:
        """The codes (N, K) of X (N, D)."""
        self.check_fitted()
        return self.model_.transform(self.scaler_.transform(self.check_table(X, dtype=np.float64)))

    def score_samples(self, X) -> np.ndarray:
        """(N,), higher is more normal: minus the anomaly score."""
        self.check_fitted()
        X = self.check_table(X, dtype=np.float64)
        return -self.score_.score(self.model_, self.scaler_.transform(X))

    def decision_function(self, X) -> np.ndarray:
        """score_samples(X) - offset_: below 0 is abnormal."""
        self.check_fitted()
        return self.score_samples(X) - self.offset_

    def predict(self, X) -> np.ndarray:
        """(N,): -1 for abnormal rows, +1 for normal ones."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X, y=None) -> np.ndarray:
        """fit(X), then predict(X)."""
        return self.fit(X).predict(X)

    def explain(self, X) -> np.ndarray:
        """(N, D): each feature's share of the anomaly score -score_samples(X), with the sign of its deviation.

        The absolute values of a row add up to its score; positive where the feature is larger than the model expects.
        """
        self.check_fitted()
        Z = self.scaler_.transform(self.check_table(X, dtype=np.float64))
        return np.copysign(self.score_.shares(self.model_, Z), Z - self.model_.reconstruct(Z))
