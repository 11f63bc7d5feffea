"""Scaled: column scaling, learned by `fit`, applied to inputs and undone on outputs.

    scaler_.transform           X in the data's units -> Z, the network's inputs and targets
    scaler_.inverse_transform   Z -> X

"auto" means "standard" for tables whose columns differ widely or lie far from 1, and "none" for

    images, and other examples with more than one axis
    data in [-1, 1] whose maximum is not much smaller than 1
    columns with standard deviations from 0.1 to 10, which differ by at most a factor of 10, and means within ±10
    a loss or an output activation with a bounded range
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.estimator import Estimator, squared_error
from nanoae.autoencoders.kinds import Auto, Name
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.autoencoders.plan import AUTO, fills_unit, sample_moments
from nanoae.autoencoders.saved import Packed
from nanoae.autoencoders.weights import content_order, drawn
from nanoae.backend import Shape
from nanoae.blocks import blocks
from nanoae.configurable import to_config
from nanoae.data import scaling as scalers
from nanoae.data.matrix import warn_of_lost_digits
from nanoae.data.scaling import SCALERS, Scaler
from nanoae.rows import Rows
from nanoae.training.evaluation import EVALUATION_ROWS

WIDE = 10.0  # largest ratio to 1, or to the narrowest column's spread, without scaling
NO_LIMIT = 1e30


@estimator
class Scaled(Estimator):
    """An estimator that scales its columns with scaler_, a fitted Scaler."""

    _: KW_ONLY
    scaling: Any = parameter(
        AUTO,
        Auto(Name(SCALERS, Scaler, "a Scaler")),
        "scaling of the network's input columns; losses are computed on scaled columns, all outputs are in the "
        "data's units. Images (C, H, W) are scaled per channel. auto: standard for tables whose columns differ "
        "widely or lie far from 1, else none",
    )

    scaler_: ClassVar[Scaler | None] = None  # until `fit`

    @property
    def scaling_(self) -> str:
        """The name of the learned scaling: "none" if the network reads the data unscaled."""
        return scaling_name(self.scaler_)

    @property
    def _scales(self) -> bool:
        return self.scaler_ is not None and type(self.scaler_) is not Scaler

    def _float(self) -> np.dtype:
        """Return the dtype of the computation."""
        raise NotImplementedError

    def _reach(self) -> tuple[Any, ...]:
        """Return the range in which scaled X must lie: (low, high), numbers or arrays."""
        return -np.inf, np.inf

    def channels(self, shape: Shape) -> int:
        """Return the number of scales of an example of this shape: one per column, or per channel of an image."""
        return shape[0] if len(shape) in (1, 3) else 1

    def settle(self) -> None:
        """Settle the parameters and forget the learned scale."""
        super().settle()
        vars(self).pop("scaler_", None)

    # ---------------------------------------------------------------- learning

    def _check_X(self, X: Any, reset: bool = False, sample_weight: Any = None) -> np.ndarray:
        """Return X, checked, in the data's units: float64 if it may need scaling, to avoid losing digits."""
        learned = self.scaler_ is not None and not reset
        wide = self._scales if learned else self.as_built.scaling != "none"
        return self.check_table(
            X, reset=reset, dtype=self._float(), wide=wide, sample_weight=sample_weight
        )

    def _learn_scale(self, X: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Learn scaler_ from training rows X (N, ...); return X scaled."""
        scaling = self.as_built.scaling
        if isinstance(scaling, str) and scaling == AUTO:
            scaling = "none" if self._on_scale(X) else "standard"
        self.scaler_ = copy.deepcopy(scalers.get(scaling))  # type: ignore[misc]
        if self._scales:
            rows = content_order(X) if weights is None else drawn(weights)
            scalers.fit_rows(self.scaler_, X[rows], self._columns)
            # Do not compress tails: the inverse would blow up network outputs beyond the limit
            if hasattr(self.scaler_, "limit_"):
                self.scaler_.limit_ = np.full(np.shape(self.scaler_.limit_), NO_LIMIT)
            return self.scaled(X)
        found = self.scaled(X)
        if found.dtype != X.dtype:
            warn_of_lost_digits(X, found.dtype, type(self).__name__)
        return found

    def _on_scale(self, X: np.ndarray) -> bool:
        """Return True if "auto" does not scale rows X (N, ...)."""
        if (
            X.ndim > 2
            or self.channels(X.shape[1:]) != X.shape[1]
            or not np.isinf(self._reach()).all()
            or fills_unit(X)
        ):
            return True
        _, center, spread = sample_moments(X)
        varies = spread > 0
        center = center[varies]
        spread = spread[varies]  # constant columns have no scale
        if not len(spread):
            return True
        least = spread.min()
        most = spread.max()
        one_scale = most <= WIDE * min(least, 1) and most >= 1 / WIDE
        return bool(one_scale and np.abs(center).max() <= WIDE)

    # ---------------------------------------------------------------- scaling

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """Return X (N, ...), given in the data's units, on the network's scale and in its dtype."""
        if isinstance(X, Rows):
            return X.then(self.scaled, X.shape[1:], self._float())  # type: ignore[return-value]
        if not self._scales:
            with np.errstate(over="ignore"):
                return X.astype(self._float(), copy=False)
        return self._through("transform", X).astype(self._float(), copy=False)

    def unscaled(self, Z: np.ndarray) -> np.ndarray:
        """Return network outputs Z (N, ...) in the data's units; float64 if they are scaled."""
        return self._through("inverse_transform", Z) if self._scales else Z

    def _through(self, way: str, X: np.ndarray) -> np.ndarray:
        if not len(X):
            return X
        columns = self._columns(X)
        found: np.ndarray = getattr(self.scaler_, way)(columns)
        if np.shape(found) != columns.shape:
            raise ValueError(
                f"{type(self.scaler_).__name__}.{way}: expected shape {columns.shape}, that of X, got "
                f"{np.shape(found)}."
            )
        if columns is X:
            return found
        n = self.channels(X.shape[1:])
        found = np.moveaxis(found.reshape(len(X), -1, n), 2, 1)
        return np.ascontiguousarray(found.reshape(X.shape))

    def _columns(self, X: np.ndarray) -> np.ndarray:
        """Return X (N, ...) as (M, channels): a table unchanged, images with one row per pixel."""
        n = self.channels(X.shape[1:])
        if X.ndim == 2 and n == X.shape[1]:
            return X
        pixels = X.reshape(len(X), n, -1)
        return np.moveaxis(pixels, 1, 2).reshape(-1, n)

    def _mean_errors(
        self, X: np.ndarray, reconstruct: Callable[[slice], np.ndarray], weights: np.ndarray | None
    ) -> dict[str, float]:
        """Return the "mse" of rows X in the data's units and, if they are scaled, also the "scaled_mse".

        reconstruct   maps a slice of the rows to the network's outputs
        """
        errors = np.empty((1 + self._scales, len(X)))
        for at in blocks(len(X), EVALUATION_ROWS):
            x = np.asarray(X[at])
            z = reconstruct(at)
            errors[0, at] = squared_error(x, self.unscaled(z), "row")
            if self._scales:
                errors[1, at] = squared_error(self.scaled(x), z, "row")
        means = [float(np.average(error, weights=weights)) for error in errors]
        return dict(zip(("mse", "scaled_mse"), means, strict=False))

    # ---------------------------------------------------------------- keeping

    def to_file(self) -> Packed:
        """Return (facts, arrays) for the model file."""
        facts, arrays = super().to_file()
        if self.scaler_ is None or not self._scales:
            return facts, arrays
        learned = {
            f"scale.{name}": np.asarray(value) for name, value in self.scaler_.learned().items()
        }
        return {**facts, "scale": to_config(self.scaler_)}, arrays | learned

    def _settings_from_file(self, header: dict[str, Any], arrays: Any) -> None:
        """Restore scaler_ from `to_file`; older files without one hold networks that read X unscaled."""
        found = arrays.from_config(header.get("scale"), (Scaler, type(None))) or Scaler()
        arrays.under("scale").restore(found)
        self.scaler_ = found  # type: ignore[misc]


def reconstruction_errors(model: Any, X: np.ndarray, per: str, **condition: Any) -> np.ndarray:
    """Return the `squared_error` of the model's reconstructions of checked rows X; in blocks for per="row"."""
    parts = [slice(None)]
    if per == "row" and not condition:
        parts = blocks(len(X), EVALUATION_ROWS)
    errors = []
    for rows in parts:
        x = np.asarray(X[rows])
        errors.append(squared_error(x, model.reconstruct(x, **condition), per))
    return np.concatenate(errors)


def scaling_name(scaler: Scaler | None) -> str:
    """Return the name of a fitted scaler: its key in SCALERS, or its class name."""
    kind = Scaler if scaler is None else type(scaler)
    return next((name for name, known in SCALERS.items() if known is kind), kind.__name__)
