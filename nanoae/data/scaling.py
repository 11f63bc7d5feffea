"""Scalers: columns on one scale before a network sees them, whatever a few wild rows say.

Three rules are theirs in common, so that no column blinds a network to the others.

rounding   Values that differ by no more than 1e-13 of the largest |x| among them are equal; by no more than 1e-6 where
           float32 holds every value of the column. Whole numbers that the type counts exactly (float32 to 2^24,
           float64 to 2^53) are not rounded.
constant   The scale of a column that is constant but for rounding is 1, or what is nearest to 1 between 1e-6 |c| and
           |c|, c its value: a step of 1 counts in a column of 42, a change of 100 % in one of 1e-20, and rounding in
           none.
tails      A scaled value z beyond ±L becomes ±(L + log(1 + |z| - L)): it still stands out, but not alone. L is 100, and
           20 where more than 5 % of the column lie beyond that.
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

NORMAL_IQR = 1.3489795  # the distance of the quartiles of N(0, 1)
KNOTS = 1000  # of a column's distribution function, at most
LIMIT, LIMIT_OF_MANY = 100.0, 20.0  # |z| up to which a scaled value is as it is
MANY = 0.05  # the share of a column beyond LIMIT_OF_MANY that makes it the limit
JITTER = 1e-6  # the share of a column's spread below which that of its middle half is jitter around one value
WILD = 0.01  # the share of a column's spread below which that of its middle 98 % tells that wild values made it


class Transformer(Configurable):
    """What scikit-learn's pipelines and `clone` want of one, beside `fit` and `transform`."""

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """fit(X), then transform(X)."""
        return self.fit(X).transform(X)  # type: ignore[attr-defined]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return self.config()

    def set_params(self, **params: Any) -> Any:
        for name, value in params.items():
            setattr(self, one_of(f"{type(self).__name__}: parameter", name, self.config()), value)
        return self


class Scaler(Transformer):
    """fit(X (N, ...) float64), then transform(X): float32, of X's shape, each feature on its scale; here as it is.

    For one of your own write `fit` and `transform`. What fit learns are arrays in attributes that end in "_", so that a
    detector's file keeps them; what the constructor is told it stores under the arguments' names.
    """

    def fit(self, X: np.ndarray, y: Any = None) -> Scaler:
        """`y` is ignored."""
        return self

    def refine(self, whole: Whole) -> None:
        """What of a `fit` of some rows is told better by all."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X).astype(np.float32)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """X (N, ...) float64 of scaled values Z. Of a scaler without one Z as it is."""
        return np.asarray(Z).astype(np.float64)


class ColumnScaler(Scaler):
    """Each column by itself, z = _scaled(x), float32, its tails drawn in beyond limit_."""

    limit_: np.ndarray | float = np.inf  # of a model file from before there was one
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
        z = draw_out(Z.reshape(len(Z), -1), np.ravel(self.limit_))
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
    """z = (x - mean) / standard deviation: those of the middle 98 % of a column whose standard deviation is more than a
    hundred times that, for then a few wild values have made it."""

    def _learn(self, X):
        self.center_, self.scale_ = tame(X)

    def refine(self, whole):
        ratio = whole.std / self.scale_
        same = (ratio > WILD) & (ratio < 1 / WILD)  # else wild values, or rounding, have made it
        self.center_ = np.where(same, whole.mean, self.center_)
        self.scale_ = np.where(same, whole.std, self.scale_)


class RobustScaler(AffineScaler):
    """z = (x - median) / s, s = IQR / 1.349: for normal data a standard score, and half the rows may be wild.

    Where that is less than a millionth of the standard deviation of the column's middle 98 %, as in counts that are
    mostly 0, or 0 but for jitter, s is this standard deviation; where that is 0, the one of all values.
    """

    def _learn(self, X):
        self.center_ = np.median(X, axis=0)
        self.scale_ = robust_spread(X)
        many = (np.abs(X - self.center_) > LIMIT_OF_MANY * self.scale_).mean(axis=0) > MANY
        self.limit_ = np.where(many, LIMIT_OF_MANY, LIMIT)


class MinMaxScaler(AffineScaler):
    """z = (x - min) / (max - min): the rows learned from lie in [0, 1], new ones may lie beyond."""

    def _learn(self, X):
        low = self.center_ = X.min(axis=0)
        high = X.max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        wide = high - low
        self.scale_ = np.where(wide > precision(X) * size, wide, spread(X))

    def refine(self, whole):
        fit_known(self, np.stack([whole.low, whole.high]))


class GaussianScaler(ColumnScaler):
    """z = Φ⁻¹(F(x)): each column made normal by its own distribution function F; beyond the rows that were learned from
    it goes on in a straight line, one for each of StandardScaler's standard deviations.

    F is the share of rows below x and half of those at it, a straight line between at most 1,000 values. What differs
    from the median by rounding only is at it.
    """

    x_: np.ndarray  # (KNOTS, D)
    z_: np.ndarray
    std_: np.ndarray  # (D,)

    def _learn(self, X):
        from statistics import NormalDist  # not above: a tenth of the time of `import nanoae`

        columns = X.reshape(len(X), -1)
        self.x_, self.z_ = np.empty((2, KNOTS, columns.shape[1]))
        _, self.std_ = tame(columns)
        center = np.median(columns, axis=0)
        rounded = np.abs(columns - center) <= precision(columns) * np.abs(center)
        for j, column in enumerate(np.where(rounded, center, columns).T):
            value, count = np.unique(column, return_counts=True)
            middle = (np.cumsum(count) - count / 2) / len(column)
            knots = np.linspace(0, len(value) - 1, KNOTS).round().astype(int)  # some again
            at, where = np.unique(knots, return_inverse=True)
            z = np.array([*map(NormalDist().inv_cdf, middle[at])])[where]
            seen = np.interp(column, value[knots], z)
            self.x_[:, j] = value[knots]
            self.z_[:, j] = (z - seen.mean()) / spread(seen)

    def _scaled(self, x):
        z = broken_line(x, self.x_, self.z_, 1 / self.std_)
        return standardized(z, 0.0, 1.0, self.limit_)

    def _unscaled(self, z):
        return broken_line(z, self.z_, self.x_, self.std_)


def broken_line(x: np.ndarray, knots: np.ndarray, values: np.ndarray, slope: np.ndarray):
    """At x (n, D) the lines through the values (K, D) at the knots (K, D), beyond these at the slope (D,)."""
    found = np.empty(x.shape)
    for j, column in enumerate(x.T):
        beyond = column - np.clip(column, knots[0, j], knots[-1, j])
        found[:, j] = np.interp(column, knots[:, j], values[:, j]) + slope[j] * beyond
    return found


def standardized(x: np.ndarray, center: Any, scale: Any, limit: Any) -> np.ndarray:
    """(x - center) / scale of x (n, D), float32, drawn in beyond ±limit; each a number or one for each column."""
    columns = x.shape[1]
    numbers = [np.ascontiguousarray(each, np.float64).ravel() for each in (center, scale, limit)]
    b, s, most = (np.resize(each, columns) if len(each) < columns else each for each in numbers)
    return host_ops().standardize(x, b, s, most, out=np.empty(x.shape, np.float32))


def draw_out(z: np.ndarray, limit: np.ndarray | float) -> np.ndarray:
    """What `standardized` drew in to z, float64."""
    size = np.abs(z.astype(np.float64))
    beyond = np.expm1(np.minimum(np.maximum(size - limit, 0), 700))
    return np.copysign(np.minimum(size, limit) + beyond, z)


class Whole(NamedTuple):
    """Of all rows: the least and largest value of each column, its mean and its standard deviation; NaN is left out."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Whole:
        """Of blocks (n, D) (Chan, Golub & LeVeque 1983)."""
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
    """`fit_known` of columns(X), X (N, ...); of Rows that of a `sample`, which all rows then refine."""
    fit_known(scaler, columns(sample(X)).astype(np.float64))
    if isinstance(X, Rows):
        scaler.refine(Whole.of(map(columns, X)))  # a block at a time
    return scaler


def fit_known(scaler: Scaler, X: np.ndarray) -> Scaler:
    """scaler.fit(X (N, ...)), each feature by its own values where some are NaN; where all are, whatever new rows hold
    there becomes NaN, for nothing is known of it."""
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
    """Each column of X (N, D) without what is NaN; [0] where nothing is left."""
    columns = [column[~np.isnan(column)] for column in X.T]
    return [column if len(column) else np.zeros(1) for column in columns]


def precision(X: np.ndarray) -> np.ndarray:
    """The share of its size by which each column's values may differ by rounding."""
    with np.errstate(over="ignore"):
        single = (X.astype(np.float32) == X).all(axis=0)
    exact = np.where(single, 2.0**24, 2.0**53)
    counted = (np.floor(X) == X).all(axis=0) & (np.abs(X).max(axis=0) <= exact)
    return np.where(counted, 1e-16, np.where(single, 1e-6, 1e-13))


def moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each column, of numbers of any size."""
    exponent = np.frexp(np.abs(X).max(axis=0))[1]
    X = np.ldexp(X, -exponent)  # exact, and no square is too large or too small
    return np.ldexp(X.mean(axis=0), exponent), np.ldexp(X.std(axis=0), exponent)


def known_means(X: np.ndarray) -> np.ndarray:
    """The mean of each column of X (N, D), whatever is NaN left out; 0 where nothing is left."""
    known = ~np.isnan(X)
    return np.where(known, X, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def spread(X: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, or its scale as a constant one."""
    size = np.abs(X).max(axis=0)
    _, std = moments(X)
    constant = np.where(size > 0, np.clip(1.0, 1e-6 * size, size), 1.0)
    return np.where(std > precision(X) * size, std, constant)


def middle(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each column's middle 98 %, the rest put to its ends; 0 where that is rounding."""
    lowest, highest = np.quantile(X, (0.01, 0.99), axis=0)
    mean, std = moments(np.clip(X, lowest, highest))
    size = np.maximum(abs(lowest), abs(highest))
    return mean, np.where(std > precision(X) * size, std, 0.0)


def tame(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, spread) of each column, or of its middle 98 % where wild values make the spread of all 100 times that."""
    mean, std = moments(X)[0], spread(X)
    middle_mean, middle_std = middle(X)
    wild = (middle_std > 0) & (middle_std < WILD * std)
    return np.where(wild, middle_mean, mean), np.where(wild, middle_std, std)


def spread_known(X: np.ndarray) -> np.ndarray:
    """spread of X (N, ...), whatever is NaN left out."""
    columns = known_values(X.reshape(len(X), -1).astype(np.float64))
    return np.array([spread(column) for column in columns]).reshape(X.shape[1:])


def robust_spread(X: np.ndarray) -> np.ndarray:
    """RobustScaler's s of each column."""
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
    """The Scaler of that name, or the Scaler itself."""
    return instance("scaling", scaling, Scaler, SCALERS, ", a Scaler, or a list of them")
