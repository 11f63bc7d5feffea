"""Scalers: bring columns to one scale before a network sees them, even if a few rows hold outliers.

All scalers follow three rules, so that no column hides the others from the network.

rounding   Values that differ by at most 1e-13 of the largest |x| of their column are equal; by at most 1e-6 if float32
           holds every value of the column. Whole numbers that the type represents exactly (float32 to 2^24, float64
           to 2^53) are not rounded.
constant   A column that is constant up to rounding, with value c, gets the scale 1, clipped to 1e-6 |c| .. |c|: a step
           of 1 matters in a column of 42, a change of 100 % in one of 1e-20, and rounding in neither.
tails      A scaled value z beyond ±L becomes ±(L + log(1 + |z| - L)): it stands out without dominating. L is 100, or
           20 if more than 5 % of the column lie beyond 20.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from nanoae.configurable import Configurable
from nanoae.rows import Rows
from nanoae.spelling import instance, one_of
from nanoae.survey import host_ops, sample

NORMAL_IQR = 1.3489795  # interquartile range of N(0, 1)
KNOTS = 1000  # most knots of a column's distribution function
LIMIT, LIMIT_OF_MANY = 100.0, 20.0  # |z| beyond which scaled values are compressed
MANY = 0.05  # share of a column beyond LIMIT_OF_MANY from which that is its limit
JITTER = 1e-6  # a middle half whose spread is below JITTER times that of the middle 98 % is jitter
WILD = 0.01  # if the middle 98 % spread less than WILD times as far as all values, a few outliers dominate


class Transformer(Configurable):
    """The interface that scikit-learn's pipelines and `clone` require, in addition to `fit` and `transform`."""

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Return fit(X).transform(X)."""
        return self.fit(X).transform(X)  # type: ignore[attr-defined]

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags("transformer", TargetTags(required=False), TransformerTags())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return self.config()

    def set_params(self, **params: Any) -> Any:
        for name, value in params.items():
            setattr(self, one_of(f"{type(self).__name__}: parameter", name, self.config()), value)
        return self


class Scaler(Transformer):
    """fit(X (N, ...) float64), then transform(X): float32 of X's shape, each feature scaled. This base does not scale.

    A custom scaler defines `fit` and `transform`. Learned arrays are attributes that end in "_", so that a detector's
    file stores them; constructor arguments are stored under their own names.
    """

    def fit(self, X: np.ndarray, y: Any = None) -> Scaler:
        """`y` is ignored."""
        return self

    def refine(self, whole: ColumnStatistics) -> None:
        """Improve what `fit` learned from a sample by statistics of all rows."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X).astype(np.float32)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Return X (N, ...) float64 for scaled values Z; without an inverse, Z itself."""
        return np.asarray(Z).astype(np.float64)


class ColumnScaler(Scaler):
    """Scales each column separately, z = _scaled(x), float32, with values beyond limit_ compressed."""

    limit_: np.ndarray | float = np.inf  # the default for old model files
    _learn: Callable
    _scaled: Callable
    _unscaled: Callable

    def fit(self, X, y=None):
        X = np.asarray(X, np.float64)
        self.limit_ = np.full(X.shape[1:], LIMIT)
        with np.errstate(over="ignore"):
            self._learn(X)
        return self

    def transform(self, X):
        X = np.asarray(X)
        with np.errstate(over="ignore"):
            z = self._scaled(X.reshape(len(X), -1))
        return z.reshape(X.shape)

    def inverse_transform(self, Z):
        Z = np.asarray(Z)
        z = expand(Z.reshape(len(Z), -1), np.ravel(self.limit_))
        return self._unscaled(z).reshape(Z.shape)


class AffineScaler(ColumnScaler):
    """z = (x - center_) / scale_"""

    center_: np.ndarray
    scale_: np.ndarray

    def _scaled(self, x):
        return standardized(x, self.center_, self.scale_, self.limit_)

    def _unscaled(self, z):
        return z * np.ravel(self.scale_) + np.ravel(self.center_)


class StandardScaler(AffineScaler):
    """z = (x - mean) / standard deviation, or those of the column's middle 98 % if its full standard deviation is more
    than a hundred times as large: a few outliers then dominate it."""

    def _learn(self, X):
        self.center_, self.scale_ = robust_moments(X)

    def refine(self, whole):
        ratio = whole.std / self.scale_
        same = (ratio > WILD) & (ratio < 1 / WILD)  # else outliers or rounding dominate it
        self.center_ = np.where(same, whole.mean, self.center_)
        self.scale_ = np.where(same, whole.std, self.scale_)


class RobustScaler(AffineScaler):
    """z = (x - median) / s, s = IQR / 1.349: a standard score for normal data, robust to outliers in half the rows.

    If that is less than a millionth of the standard deviation of the column's middle 98 %, as for counts that are
    mostly 0 or 0 with jitter, s is this standard deviation; if that is 0, the standard deviation of all values.
    """

    def _learn(self, X):
        self.center_ = np.median(X, axis=0)
        self.scale_ = robust_spread(X)
        many = (np.abs(X - self.center_) > LIMIT_OF_MANY * self.scale_).mean(axis=0) > MANY
        self.limit_ = np.where(many, LIMIT_OF_MANY, LIMIT)


class MinMaxScaler(AffineScaler):
    """z = (x - min) / (max - min): training rows lie in [0, 1]; new rows may lie outside."""

    def _learn(self, X):
        low = self.center_ = X.min(axis=0)
        high = X.max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        wide = high - low
        self.scale_ = np.where(wide > precision(X) * size, wide, spread(X))

    def refine(self, whole):
        fit_known(self, np.stack([whole.low, whole.high]))


class GaussianScaler(ColumnScaler):
    """z = Φ⁻¹(F(x)): makes each column normal by its empirical distribution function F. Beyond the training rows it
    continues linearly, with the slope of 1 per standard deviation of StandardScaler.

    F is the share of rows below x plus half of those equal to x, linear between at most 1,000 knots. Values that differ
    from the median by rounding only count as equal to it.
    """

    x_: np.ndarray  # (KNOTS, D)
    z_: np.ndarray
    std_: np.ndarray  # (D,)

    def _learn(self, X):
        from statistics import NormalDist  # imported here: it would take a tenth of `import nanoae`

        columns = X.reshape(len(X), -1)
        self.x_, self.z_ = np.empty((2, KNOTS, columns.shape[1]))
        _, self.std_ = robust_moments(columns)
        center = np.median(columns, axis=0)
        rounded = np.abs(columns - center) <= precision(columns) * np.abs(center)
        for j, column in enumerate(np.where(rounded, center, columns).T):
            value, count = np.unique(column, return_counts=True)
            middle = (np.cumsum(count) - count / 2) / len(column)
            knots = np.linspace(0, len(value) - 1, KNOTS).round().astype(int)  # with repetitions
            at, where = np.unique(knots, return_inverse=True)
            z = np.array([*map(NormalDist().inv_cdf, middle[at])])[where]
            seen = np.interp(column, value[knots], z)
            self.x_[:, j] = value[knots]
            self.z_[:, j] = (z - seen.mean()) / spread(seen)

    def _scaled(self, x):
        z = interpolate(x, self.x_, self.z_, 1 / self.std_)
        return standardized(z, 0.0, 1.0, self.limit_)

    def _unscaled(self, z):
        return interpolate(z, self.z_, self.x_, self.std_)


def interpolate(x: np.ndarray, knots: np.ndarray, values: np.ndarray, slope: np.ndarray):
    """Interpolate the values (K, D) at the knots (K, D) linearly at x (n, D), with slope (D,) outside the knots."""
    found = np.empty(x.shape)
    for j, column in enumerate(x.T):
        beyond = column - np.clip(column, knots[0, j], knots[-1, j])
        found[:, j] = np.interp(column, knots[:, j], values[:, j]) + slope[j] * beyond
    return found


def standardized(x: np.ndarray, center: Any, scale: Any, limit: Any) -> np.ndarray:
    """Return (x - center) / scale of x (n, D) as float32, compressed beyond ±limit; each a number or one per column."""
    columns = x.shape[1]
    numbers = [np.ascontiguousarray(each, np.float64).ravel() for each in (center, scale, limit)]
    b, s, most = (np.resize(each, columns) if len(each) < columns else each for each in numbers)
    return host_ops().standardize(x, b, s, most, out=np.empty(x.shape, np.float32))


def expand(z: np.ndarray, limit: np.ndarray | float) -> np.ndarray:
    """Undo the compression of `standardized`: return float64."""
    size = np.abs(z.astype(np.float64))
    beyond = np.expm1(np.minimum(np.maximum(size - limit, 0), 700))
    return np.copysign(np.minimum(size, limit) + beyond, z)


class ColumnStatistics(NamedTuple):
    """Statistics of all rows: minimum, maximum, mean and standard deviation of each column; NaN is ignored."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> ColumnStatistics:
        """Compute the statistics from blocks (n, D) (Chan, Golub & LeVeque 1983)."""
        n = mean = squares = np.float64(0)  # then of each column
        low = np.float64(np.inf)
        high = -low
        for x in blocks:
            known = ~np.isnan(x)
            count = known.sum(axis=0)
            own = np.where(known, x, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
            away = own - mean
            both = np.maximum(n + count, 1)
            squares += (np.where(known, x - own, 0) ** 2).sum(axis=0) + away**2 * n * count / both
            mean = mean + away * count / both
            n = n + count
            low = np.fmin(low, np.fmin.reduce(x))
            high = np.fmax(high, np.fmax.reduce(x))
        return cls(low, high, mean, np.sqrt(squares / np.maximum(n, 1)))


def fit_rows(scaler: Scaler, X: Any, columns: Callable = lambda x: x) -> Scaler:
    """Fit a scaler to columns(X), X (N, ...), by `fit_known`; for Rows to a `sample`, then `refine` it by all rows."""
    fit_known(scaler, columns(sample(X)).astype(np.float64))
    if isinstance(X, Rows):
        scaler.refine(ColumnStatistics.of(map(columns, X)))  # a block at a time
    return scaler


def fit_known(scaler: Scaler, X: np.ndarray) -> Scaler:
    """Fit a scaler to X (N, ...), each feature by its known values. A feature without any becomes NaN in all rows."""
    X = X.reshape(len(X), -1)
    if not np.isnan(X).any():
        return scaler.fit(X)
    parts = [copy.copy(scaler).fit(column[:, None]).learned() for column in known_values(X)]
    unknown = np.isnan(X).all(axis=0)
    for name in parts[0]:
        learned = np.concatenate([part[name] for part in parts], axis=-1)
        setattr(scaler, name, np.where(unknown, np.nan, learned))
    return scaler


def known_values(X: np.ndarray) -> list[np.ndarray]:
    """Return each column of X (N, D) without NaN; [0] for a column of only NaN."""
    columns = [column[~np.isnan(column)] for column in X.T]
    return [column if len(column) else np.zeros(1) for column in columns]


def precision(X: np.ndarray) -> np.ndarray:
    """Return the relative difference up to which values of each column are equal except for rounding."""
    with np.errstate(over="ignore"):
        single = (X.astype(np.float32) == X).all(axis=0)
    exact = np.where(single, 2.0**24, 2.0**53)
    counted = (np.floor(X) == X).all(axis=0) & (np.abs(X).max(axis=0) <= exact)
    return np.where(counted, 1e-16, np.where(single, 1e-6, 1e-13))


def moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean, standard deviation) of each column, for numbers of any magnitude."""
    exponent = np.frexp(np.abs(X).max(axis=0))[1]
    X = np.ldexp(X, -exponent)  # exact; squares neither overflow nor underflow
    return np.ldexp(X.mean(axis=0), exponent), np.ldexp(X.std(axis=0), exponent)


def known_means(X: np.ndarray) -> np.ndarray:
    """Return the mean of each column of X (N, D), ignoring NaN; 0 for a column of only NaN."""
    known = ~np.isnan(X)
    return np.where(known, X, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def spread(X: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each column, or the scale of a constant column."""
    size = np.abs(X).max(axis=0)
    _, std = moments(X)
    constant = np.where(size > 0, np.clip(1.0, 1e-6 * size, size), 1.0)
    return np.where(std > precision(X) * size, std, constant)


def middle(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean, standard deviation) of each column clipped to its middle 98 %; 0 for one that is only rounding."""
    lowest, highest = np.quantile(X, (0.01, 0.99), axis=0)
    mean, std = moments(np.clip(X, lowest, highest))
    size = np.maximum(abs(lowest), abs(highest))
    return mean, np.where(std > precision(X) * size, std, 0.0)


def robust_moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean, spread) of each column, or of its middle 98 % if outliers make the spread 100 times as large."""
    mean, std = moments(X)[0], spread(X)
    middle_mean, middle_std = middle(X)
    wild = (middle_std > 0) & (middle_std < WILD * std)
    return np.where(wild, middle_mean, mean), np.where(wild, middle_std, std)


def spread_known(X: np.ndarray) -> np.ndarray:
    """Return the `spread` of X (N, ...), ignoring NaN."""
    columns = known_values(X.reshape(len(X), -1).astype(np.float64))
    return np.array([spread(column) for column in columns]).reshape(X.shape[1:])


def robust_spread(X: np.ndarray) -> np.ndarray:
    """Return RobustScaler's s for each column."""
    low, high = np.quantile(X, (0.25, 0.75), axis=0)
    _, wider = middle(X)
    size = np.maximum(abs(low), abs(high))
    least = np.maximum(precision(X) * size, JITTER * wider)
    s = np.where(high - low > NORMAL_IQR * least, (high - low) / NORMAL_IQR, wider)
    return np.where(s > 0, s, spread(X))


SCALERS: dict[str, type[Scaler]] = {
    "robust": RobustScaler,
    "gaussian": GaussianScaler,
    "standard": StandardScaler,
    "minmax": MinMaxScaler,
    "none": Scaler,
}


def get(scaling) -> Scaler:
    """Return the Scaler with the given name, or the given Scaler itself."""
    return instance("scaling", scaling, Scaler, SCALERS, ", a Scaler, or a list of them")
