"""Scalers: columns on one scale before a network sees them, whatever a few wild rows say."""

from __future__ import annotations

import copy

import numpy as np

from nanoae.engine.part import Part
from nanoae.spelling import one_of

NORMAL_IQR = 1.3489795  # the distance of the quartiles of N(0, 1)
KNOTS = 1000  # of a column's distribution function, at most


class Scaler(Part):
    """fit(X (N, ...) float64), then transform(X): float32, of X's shape, each feature on its scale. This one leaves it
    as it is.

    For one of your own write `fit` and `transform`. What fit learns are arrays in attributes that end in "_", so that a
    detector's file keeps them; what the constructor is told it stores under the arguments' names.
    """

    def fit(self, X: np.ndarray) -> Scaler:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X.astype(np.float32)

    def learned(self) -> dict[str, np.ndarray]:
        """What fit left, by name: the attributes that end in "_"."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}


class AffineScaler(Scaler):
    """z = (x - center_) / scale_."""

    center_: np.ndarray
    scale_: np.ndarray

    def transform(self, X):
        return ((X - self.center_) / self.scale_).astype(np.float32)


class StandardScaler(AffineScaler):
    """z = (x - mean) / standard deviation, which is taken as 1 where a column is constant."""

    def fit(self, X):
        self.center_, self.scale_ = X.mean(axis=0), spread(X)
        return self


class RobustScaler(AffineScaler):
    """z = (x - median) / s, s = IQR / 1.349: for normal data a standard score, and half the rows may be wild.

    Where a column's quartiles coincide, as they do in counts that are mostly 0, s is its standard deviation; where it
    is constant, s = 1.
    """

    def fit(self, X):
        low, self.center_, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
        self.scale_ = np.where(high > low, (high - low) / NORMAL_IQR, spread(X))
        return self


class GaussianScaler(Scaler):
    """z = Φ⁻¹(F(x)): each column made normal by its own distribution function F; beyond the rows that were learned from
    it goes on in a straight line, one for each standard deviation of x.

    F is the share of rows below x and half of those at it, a straight line between at most 1,000 values.
    """

    def fit(self, X):
        from statistics import NormalDist  # not above: a tenth of the time of `import nanoae`

        normal, columns = NormalDist(), X.reshape(len(X), -1)
        self.x_, self.z_ = np.empty((2, KNOTS, columns.shape[1]))
        self.std_ = spread(columns)
        for j, column in enumerate(columns.T):
            value, count = np.unique(column, return_counts=True)
            middle = (np.cumsum(count) - count / 2) / len(column)
            knots = np.linspace(0, len(value) - 1, KNOTS).round().astype(int)  # with repetitions, where there are fewer
            at, where = np.unique(knots, return_inverse=True)
            z = np.array([normal.inv_cdf(p) for p in middle[at]])
            self.x_[:, j], self.z_[:, j] = value[at][where], z[where]
            seen = np.interp(column, self.x_[:, j], self.z_[:, j])
            self.z_[:, j] = (self.z_[:, j] - seen.mean()) / spread(seen)
        return self

    def transform(self, X):
        columns = X.reshape(len(X), -1)
        z = np.empty(columns.shape, np.float32)
        for j, column in enumerate(columns.T):
            low, high = self.x_[0, j], self.x_[-1, j]
            beyond = (column - np.clip(column, low, high)) / self.std_[j]
            z[:, j] = np.interp(column, self.x_[:, j], self.z_[:, j]) + beyond
        return z.reshape(X.shape)


def fit_known(scaler: Scaler, X: np.ndarray) -> Scaler:
    """scaler.fit(X (N, D)), each column by its own values where some are NaN; one of nothing else as if it were 0."""
    missing = np.isnan(X) if X.dtype.kind == "f" else np.zeros(1, bool)
    if not missing.any():
        return scaler.fit(X)
    columns = [column[~gap] if not gap.all() else np.zeros(1) for column, gap in zip(X.T, missing.T, strict=True)]
    parts = [copy.copy(scaler).fit(column[:, None]).learned() for column in columns]
    for name in parts[0]:
        setattr(scaler, name, np.concatenate([part[name] for part in parts], axis=-1))
    return scaler


def spread(X: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, 1 where it is constant but for rounding."""
    std = X.std(axis=0)
    return np.where(std > 1e-12 * np.maximum(1, np.abs(X).max(axis=0)), std, 1.0)


SCALERS: dict[str, type[Scaler]] = {
    "robust": RobustScaler,
    "gaussian": GaussianScaler,
    "standard": StandardScaler,
    "none": Scaler,
}


def get(scaling) -> Scaler:
    """The Scaler of that name, or the Scaler itself."""
    if isinstance(scaling, Scaler):
        return scaling
    return SCALERS[one_of("scaling", scaling, SCALERS, ", a Scaler, or a list of them")]()
