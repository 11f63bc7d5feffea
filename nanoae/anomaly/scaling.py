"""RobustScaler: columns on one scale, whatever a few wild rows say."""

from __future__ import annotations

import numpy as np

from nanoae.engine.part import Part

NORMAL_IQR = 1.3489795  # the distance of the quartiles of N(0, 1)


class RobustScaler(Part):
    """z = (x - median) / s, s = IQR / 1.349: for normal data a standard score, and half the rows may be wild.

    Where a column's quartiles coincide, as they do in counts that are mostly 0, s is its standard deviation; where it
    is constant, s = 1.
    """

    def fit(self, X: np.ndarray) -> RobustScaler:
        """From X (N, D) float64: center_ (D,), scale_ (D,)."""
        low, self.center_, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
        std = X.std(axis=0)
        scale = np.where(high > low, (high - low) / NORMAL_IQR, std)
        constant = std <= 1e-12 * np.maximum(1, np.abs(self.center_))
        self.scale_ = np.where(constant, 1.0, scale)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """z (N, D), float32: what the network sees."""
        return ((X - self.center_) / self.scale_).astype(np.float32)
