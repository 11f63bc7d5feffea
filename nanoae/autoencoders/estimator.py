"""Estimator: scikit-learn's estimator contract, without importing scikit-learn.

`__init__` only stores its arguments; `get_params`, `set_params` and scikit-learn's `clone` work; learned attributes end
in `_`; input is validated before training. Source: scikit-learn's "Developing scikit-learn estimators".
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.parameters import Parametrised
from nanoae.autoencoders.part import PART
from nanoae.autoencoders.saved import Fact, Packed
from nanoae.autoencoders.weights import weighted_rows
from nanoae.backend import Shape
from nanoae.data.cell import objects
from nanoae.data.far_rows import ColumnRanges
from nanoae.data.fill_value import warn_about_fill_values
from nanoae.data.frame import FrameOutput
from nanoae.data.matrix import (
    MASK,
    as_numbers,
    check_finite,
    column_labels,
    column_units,
    warn_of_lost_digits,
)
from nanoae.data.maximum import check_scale, scale_of
from nanoae.data.number import check_unit
from nanoae.data.table import Table
from nanoae.engine.layers import batch_of
from nanoae.guard import guard, guarded
from nanoae.rows import Rows
from nanoae.spelling import one_of
from nanoae.survey import look
from nanoae.training.checkpoint import Checkpoints
from nanoae.training.process_group import process_group


class _NotFitted(ValueError, AttributeError):
    """Raised if a method that needs `fit` is called before it."""


class Estimator(FrameOutput, Parametrised):
    """Base of everything with a `fit`.

    Any number of threads may use one fitted estimator at once, with bit-identical results. `fit` and other methods that
    change the fitted state raise RuntimeError while another thread uses the estimator, and all methods raise it while
    another thread changes it (`guard.py`).

    Rows must have the columns seen by `fit`, by name, in the same units and on the same scale (`check_scale`,
    `ColumnRanges`). Fill values such as -9999 cause a warning.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        guard(cls)

    n_features_in_: int  # the number of values in an example
    input_shape_: Shape  # the shape of an example: (D,), or (C, H, W) for images
    open_checkpoints: Checkpoints | None = None  # the checkpoints of the running `fit`
    # Each column's unit ("%", "€", ""), the columns' `scale_of`, and their `ColumnRanges`
    _units_in: Sequence[str | None] = ()
    _scale_in: Sequence[Any] | None = None
    _ranges_in: ColumnRanges = ColumnRanges()

    _kind: ClassVar[str | None] = "transformer"  # or "classifier", "regressor", "outlier_detector"
    _learned: tuple[str, ...] = ("input_shape_",)  # attributes that a fitted estimator has
    _facts: ClassVar[tuple[Fact, ...]] = ()  # fitted state in a model file's header

    # ---------------------------------------------------------------- scikit-learn's contract

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags, TransformerTags

        supervised = self._kind in ("classifier", "regressor")
        tags = Tags(estimator_type=self._kind, target_tags=TargetTags(required=supervised))
        tags.input_tags.allow_nan = getattr(self, "missing", "error") == "mask"  # in the next fit
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        tags.classifier_tags = ClassifierTags() if self._kind == "classifier" else None
        tags.regressor_tags = RegressorTags() if self._kind == "regressor" else None
        return tags

    def to_file(self) -> Packed:
        """Return the fitted state for a model file: (facts as JSON-ready data, arrays by name)."""
        facts = {fact.name: fact.pack(getattr(self, fact.attribute)) for fact in self._facts}
        return facts, {}

    def from_file(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Restore the state from `to_file` in an estimator with the saved parameters."""
        raise NotImplementedError

    def check_weights(self) -> None:
        """Raise ValueError if learned weights are NaN or infinite."""

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._learned)

    def check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            sklearn = sys.modules.get("sklearn.exceptions")  # raise its own class if it is loaded
            kind = sklearn.NotFittedError if sklearn else _NotFitted
            raise kind(f"This {type(self).__name__} is not fitted yet. Call fit(X) first.")

    @property
    def _n_features_out(self) -> int:
        """The number of columns of `transform`."""
        raise NotImplementedError

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return ["autoencoder0", "autoencoder1", ...]: a name for each column of `transform`. input_features is only
        compared with the columns seen by fit; ValueError if they differ."""
        self.check_fitted()
        name = type(self).__name__
        if input_features is not None:
            seen = getattr(self, "feature_names_in_", input_features)
            if len(input_features) != self.n_features_in_:
                raise ValueError(
                    f"{name}: input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {len(input_features)}."
                )
            if not np.array_equal(np.asarray(input_features, object), seen):
                raise ValueError(
                    f"{name}: input_features is not equal to feature_names_in_, the columns fit saw."
                )
        return np.array([f"{name.lower()}{i}" for i in range(self._n_features_out)], dtype=object)

    @guarded
    def export(self, path: Any, what: Any = None, dtype: Any = None) -> str:
        """Export the fitted model to other formats; return a description of the file. See `nanoae.export`."""
        from nanoae.interchange.export import export

        return export(self, path, what, dtype=dtype)

    @guarded
    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and deepcopy; guarded, since they read the estimator."""
        return {name: value for name, value in vars(self).items() if name != "open_checkpoints"}

    def entropy(self) -> Any:
        """Return the seed of all randomness in a fit: from random_state, or that of the first run if it is resumed."""
        given: Any = getattr(self, "random_state", None)
        seed = seed_of(given)
        if isinstance(given, (int, np.integer)):
            return seed
        if self.open_checkpoints is not None:
            seed = self.open_checkpoints.entropy(np.random.SeedSequence(seed).entropy)
        group = process_group()
        if group is not None and group.fitting:
            return group.broadcast(np.random.SeedSequence(seed).entropy)
        return seed

    @guarded
    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """fit(X), then transform(X)."""
        return self.fit(X, y, **fit_params).transform(X)  # type: ignore[attr-defined]

    # ---------------------------------------------------------------- tables

    def _takes_missing(self) -> bool:
        """Return True if NaN is accepted as a missing value."""
        return False

    def takes_images(self) -> bool:
        """Return True if examples may have any shape, False if they are rows of numbers."""
        return False

    def check_table(
        self,
        X: Any,
        *,
        reset: bool = False,
        dtype: Any = np.float32,
        wide: bool = False,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Return X as a finite array (N, D) of `dtype`, or (N, ...) for images; raise ValueError if it is invalid. A
        large memory-mapped file, or anything else read in blocks, is returned as Rows. wide: use float64 if `dtype`
        cannot represent every value of X's type.

        With `reset` (in fit) the shape of an example and the column names are stored, else they must match those of
        fit. A rejected table changes nothing, nor do rows whose sample_weight is 0.
        """
        if not reset and not hasattr(self, "input_shape_"):
            self.check_fitted()
        name = type(self).__name__
        names = column_labels(X, name)
        rows = X.rows if isinstance(X, Table) else None
        given = as_numbers(X, name)
        if not reset:
            self._check_names(names)
        self._check_shape(given.shape, reset)
        if reset and not wide:
            warn_of_lost_digits(given, dtype, name)
        with np.errstate(over="ignore"):
            found = as_type(given, dtype)
        changed = getattr(self, "missing", None) == "mask" and not self._takes_missing()
        remedy = 'This one was built with missing="error": call fit again.' if changed else MASK
        total, least, most = look(found)
        if not math.isfinite(total):
            check_finite(found, name, self._takes_missing(), given, names, rows, remedy)
        if wide and given.dtype.kind in "iuf" and np.result_type(given.dtype, dtype) != found.dtype:
            found = as_type(given, np.float64)
        units = column_units(X, name)
        if reset:
            self.record_schema(given.shape[1:], names, units)
            counted = given[weighted_rows(sample_weight, len(given), name, least=2)[0]]
            self._scale_in = scale_of(counted, names is not None)
            self._ranges_in = ColumnRanges() if PART.get() else ColumnRanges.of(counted)
            if self._ranges_in.ends.size and given.dtype != np.uint8:
                warn_about_fill_values(name, counted, names)
            return found
        if self._scale_in is not None:
            check_scale(name, self._scale_in, given, names is not None, most)
        for column, learned, got in zip(names or (), self._units_in, units, strict=False):
            check_unit(name, str(column), learned, got)
        known = getattr(self, "feature_names_in_", names)
        self._ranges_in.check(name, given, known, least, most)
        return found

    def _check_shape(self, shape: Shape, reset: bool) -> None:
        """Raise ValueError for a shape (N, ...) that cannot be used for training, or differs from that in fit."""
        name = type(self).__name__
        images = self.takes_images()
        if len(shape) < 2 or (len(shape) > 2 and not images):
            expected = "images (N, C, H, W) or a 2D array (N, D)" if images else "2D array (N, D)"
            hint = "Flatten the images first."
            if len(shape) < 2:
                hint = "Reshape your data: X.reshape(1, -1) for a single row."
            raise ValueError(
                f"{name}: expected {expected}, got {len(shape)}D array of shape {shape}. {hint}"
            )
        features = math.prod(shape[1:])
        for count, axis in ((shape[0], "sample"), (features, "feature")):
            if count == 0:
                raise ValueError(
                    f"{name}: found array with 0 {axis}(s) (shape={shape}) while a minimum of 1 is required."
                )
        if reset and shape[0] < 2:
            raise ValueError(
                f"{name}: expected at least 2 rows to learn from, got n_samples = 1 (1 sample)."
            )
        if reset or shape[1:] == self.input_shape_:
            return
        expected = f"expected X of shape {batch_of(self.input_shape_)}"
        if features == self.n_features_in_:
            raise ValueError(f"{name}: {expected}, as in fit, got {shape}. Reshape it.")
        raise ValueError(
            f"X has {features} features, but {name} is expecting {self.n_features_in_} features as input: "
            f"{expected}, got {shape}. Pass the same columns as in fit."
        )

    def record_schema(
        self, shape: Shape, names: Any = None, units: Sequence[str | None] = ()
    ) -> None:
        """Store the shape of an example and, if given, the columns' units and names: as `feature_names_in_` if they are
        strings, as in scikit-learn."""
        self._units_in = list(units)
        if self._ranges_in.ends.shape[1:] != shape:
            self._ranges_in = ColumnRanges()
        self.input_shape_ = shape
        self.n_features_in_ = math.prod(shape)
        for attribute in ("feature_names_in_", "_labels_in"):
            vars(self).pop(attribute, None)
        if names is not None:
            strings = all(isinstance(name, str) for name in names)
            setattr(self, "feature_names_in_" if strings else "_labels_in", objects(names))

    def _check_names(self, names: Any) -> None:
        expected = getattr(self, "feature_names_in_", getattr(self, "_labels_in", None))
        if names is None or expected is None or list(names) == list(expected):
            return
        if isinstance(names[0], str) != isinstance(expected[0], str):
            return
        lines = ["The feature names should match those that were passed during fit."]
        for title, found in (
            ("Feature names unseen at fit time:", set(names) - set(expected)),
            ("Feature names seen at fit time, yet now missing:", set(expected) - set(names)),
        ):
            if found:
                lines += [title, *(f"- {name}" for name in sorted(found, key=str)[:5])]
        if len(lines) == 1:
            lines += ["Feature names must be in the same order as they were in fit."]
        raise ValueError("\n".join(lines) + "\n")


def as_type(X: Any, dtype: Any) -> np.ndarray:
    """Return a table as `dtype`; C-contiguous if it is in memory."""
    if isinstance(X, Rows):
        return X.astype(dtype)  # type: ignore[return-value]
    return np.ascontiguousarray(X, dtype)


def as_codes(X: Any, model: Estimator, shape: Shape, dtype: Any) -> np.ndarray:
    """Return X as finite codes (N, *shape) of `dtype`; ValueError if it is not, or if it is a frame with the columns of
    `transform` in another order."""
    name = type(model).__name__
    names = column_labels(X, name)
    own = model.get_feature_names_out().tolist()
    if names is not None and names != own and sorted(map(str, names)) == sorted(own):
        raise ValueError(
            f"{name}: expected the codes' columns in the order of transform, {own}, got {names}."
        )
    codes = np.ascontiguousarray(as_numbers(X, name), dtype)
    if codes.ndim < 2 or codes.shape[1:] != tuple(shape):
        raise ValueError(f"{name}: expected codes of shape {batch_of(shape)}, got {codes.shape}.")
    total, _, _ = look(codes)
    if not math.isfinite(total):
        if not np.isfinite(codes).all():
            model.check_weights()  # NaN weights would be the cause of NaN codes
        check_finite(codes, name)
    return codes


def squared_error(x: np.ndarray, reconstruction: np.ndarray, per: str) -> np.ndarray:
    """Return (x - reconstruction)² of (N, ...): the mean per "row" (N,) or "feature" (...), or of each "element".

    The means skip NaN in x and are 0 if all are NaN. NaN in a reconstruction gives an error of NaN.
    """
    one_of("reconstruction_error: per", per, ("row", "feature", "element"))
    error: np.ndarray = (x - reconstruction) ** 2
    if per == "element":
        return error
    axis = 0 if per == "feature" else tuple(range(1, error.ndim))
    known = ~np.isnan(x)
    total = np.where(known, error, 0).sum(axis)
    count = known.sum(axis)
    return error.mean(axis) if known.all() else total / np.maximum(count, 1)  # type: ignore[no-any-return]


def seed_of(random_state: Any) -> int | None:
    """Return an int seed, or None, from None, an int, or a numpy Generator or RandomState (which this advances)."""
    if random_state is None:
        return None
    if isinstance(random_state, (int, np.integer)):
        if random_state < 0:
            raise ValueError(f"random_state: expected an int >= 0, got {random_state}.")
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise ValueError(
        f"random_state: expected None, an int, a Generator or a RandomState, got {random_state!r}."
    )
