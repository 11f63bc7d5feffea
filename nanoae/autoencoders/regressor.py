"""StackedRegressor: a linear unit on top of pretrained layers."""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.predictor import StackedPredictor
from nanoae.data.labels import numeric_labels
from nanoae.engine.losses import MSE


class StackedRegressor(StackedPredictor):
    """A deep network with a linear output, pretrained as a stack of autoencoders on all rows, labelled or not.

    The parameters are `StackedClassifier`'s. A row has no label where y is NaN, None, NA or masked (numpy.ma); `score`
    and `evaluate` leave such rows out.

    The network learns (y - mean) / std of the labelled rows; afterwards its head takes over std and mean, exactly.

    After fit: network_, history_ (mean squared errors of the scaled y), pretrain_history_ (of each layer's autoencoder,
    a list), n_features_in_, interrupted_. `transform` gives the last hidden layer.
    """

    _kind = "regressor"

    def _n_outputs(self):
        return 1

    def _criterion(self):
        return MSE()

    def _read_labels(self, y, known):
        return numeric_labels(y, type(self).__name__)

    def _learn_targets(self, y, weights):
        if not len(y):
            raise ValueError(f"{type(self).__name__}: expected labelled rows, got y with NaN only.")
        self._mean = float(np.average(y, weights=weights))
        self._std = float(np.sqrt(np.average((y - self._mean) ** 2, weights=weights))) or 1.0

    def _targets(self, y):
        return ((y - self._mean) / self._std).astype(self.as_built.dtype)[:, None]

    def _train(self, X, t, validation, weights=None):
        super()._train(X, t, validation, weights)
        ops, head = self.network_.ops, self.network_.layers[-1].params
        ops.scale_inplace(head["W"], self._std)  # y = mean + std (h W + b) = h (std W) + (std b + mean)
        ops.scale_inplace(head["b"], self._std)
        ops.add_inplace(head["b"], self._mean)

    def predict(self, X) -> np.ndarray:
        """y of each row (N,)."""
        return self._predicted(X)[:, 0]

    def evaluate(self, X, y, sample_weight=None) -> dict[str, float]:
        """{"loss": the mean squared error, "r2": as `score`} over the labelled rows of X (N, D), of which row n counts
        sample_weight[n] times."""
        self.check_fitted()
        X, y, weights = self._with_labels(X, y, sample_weight)
        loss = np.average((y - self.predict(X)) ** 2, weights=weights)
        return {"loss": float(loss), "r2": self.score(X, y, weights)}

    def score(self, X, y, sample_weight=None) -> float:
        """R² = 1 - Σ (y - predicted)² / Σ (y - mean of y)² over the labelled rows: 1 at best, 0 for always giving the
        mean. Where all y are the same, 1 if they are predicted, else 0."""
        self.check_fitted()
        X, y, weights = self._with_labels(X, y, sample_weight)
        unexplained = np.average((y - self.predict(X)) ** 2, weights=weights)
        spread = np.average((y - np.average(y, weights=weights)) ** 2, weights=weights)
        return 1 - float(unexplained / spread) if spread else float(unexplained == 0)
