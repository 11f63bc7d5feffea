"""StackedRegressor: a linear output unit on top of pretrained layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.autoencoders.parameters import estimator
from nanoae.autoencoders.predictor import StackedPredictor
from nanoae.autoencoders.saved import Fact
from nanoae.data.fill_value import warn_about_fill_values
from nanoae.data.labels import numeric_labels
from nanoae.engine.losses import MSE, Loss


@estimator
class StackedRegressor(StackedPredictor):
    """A deep network with a linear output, pretrained as a stack of autoencoders on labelled and unlabelled rows.

    A row is unlabelled if y is NaN, None, NA or masked (numpy.ma); `score`
    and `evaluate` ignore such rows.

    The network learns (y - mean) / std of the labelled rows, and `predict` maps its outputs back to the scale of y in
    float64: so y may have any magnitude, such as 1e9 + 0.1, which float32 cannot distinguish from 1e9.

    Attributes after fit: network_, history_ (mean squared errors of the scaled y), pretrain_history_ (a list, one
    history per layer), n_features_in_, interrupted_. `transform` returns the last hidden layer.
    """

    _kind = "regressor"
    # (zero, unit) with y = zero + unit · output; in older files the head includes both, and these defaults apply
    _target = (0.0, 1.0)
    _facts = (*StackedPredictor._facts, Fact("_target", "target", [float], [0.0, 1.0], list, tuple))

    def _n_outputs(self) -> int:
        return 1

    def new_loss(self) -> Loss:
        return MSE()

    def _read_labels(self, y: Any, known: bool) -> np.ma.MaskedArray[Any, Any]:
        return numeric_labels(y, type(self).__name__)

    def _learn_targets(self, y: Any, weights: np.ndarray | None, known: bool = False) -> None:
        if not len(y):
            raise ValueError(f"{type(self).__name__}: expected labelled rows, got y with NaN only.")
        if known:
            return
        with np.errstate(over="ignore", under="ignore"):
            zero = float(np.average(y, weights=weights))
            variance = float(np.average((y - zero) ** 2, weights=weights))
        if not np.isfinite(variance) or (variance == 0 and np.ptp(y) > 0):
            raise ValueError(
                f"{type(self).__name__}: expected y with finite squares, got {y.min():g} to {y.max():g}. "
                "Give y in another unit."
            )
        warn_about_fill_values(type(self).__name__, y[:, None], ["y"])
        self._target = zero, np.sqrt(variance).item() or 1.0

    def _targets(self, y: Any) -> np.ndarray:
        zero, unit = self._target
        outputs = (y - zero) / unit
        return outputs.astype(self.as_built.dtype)[:, None]  # type: ignore[no-any-return]

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted y of each row (N,), float64."""
        zero, unit = self._target
        outputs = self._predicted(X)[:, 0].astype(np.float64)
        return zero + unit * outputs  # type: ignore[no-any-return]

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """Return {"loss": the mean squared error, "r2": as `score`} on the labelled rows of X (N, D), weighted by
        sample_weight (N,)."""
        X, y, weights = self._with_labels(X, y, sample_weight)
        loss = np.average((y - self.predict(X)) ** 2, weights=weights)
        return {"loss": float(loss), "r2": self.score(X, y, weights)}

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R² = 1 - Σ (y - predicted)² / Σ (y - mean of y)² on the labelled rows: 1 is best, 0 that of always
        predicting the mean. If all y are equal, 1 if they are predicted exactly, else 0."""
        X, y, weights = self._with_labels(X, y, sample_weight)
        unexplained = np.average((y - self.predict(X)) ** 2, weights=weights)
        middle = np.average(y, weights=weights)
        spread = np.average((y - middle) ** 2, weights=weights)
        if not spread:
            return float(unexplained == 0)
        return 1 - float(unexplained / spread)
