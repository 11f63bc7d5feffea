"""StackedClassifier: a softmax on top of pretrained layers."""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from typing import Any

import numpy as np

from nanoae.autoencoders.kinds import Kind, Number
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.autoencoders.predictor import StackedPredictor
from nanoae.autoencoders.saved import CLASSES
from nanoae.data.field import LABELS
from nanoae.data.labels import class_labels
from nanoae.engine.losses import Loss, SoftmaxCrossEntropy
from nanoae.spelling import did_you_mean
from nanoae.warning import warn

FEW = 20  # labelled rows from which many classes cause a warning


@estimator
class StackedClassifier(StackedPredictor):
    """A deep network with a softmax output, pretrained as a stack of autoencoders on labelled and unlabelled rows.

    Callbacks are also called during pretraining, with row["layer"] = 1, 2, ...

    Labels are integers, booleans or strings, all of one type. A row is unlabelled if y is -1, NaN, None, NA, masked
    (numpy.ma) or an empty string; `score` and `evaluate` ignore such rows. scikit-learn's metrics do not:
    scoring="accuracy" counts them as wrong, so use scoring=None, which calls `score`, in searches over such rows. If
    all labels are -1 or 1, both are classes, and a warning says so; otherwise rename a class that is called -1.

    Attributes after fit: classes_ (K,), network_, history_ (the cross-entropy), pretrain_history_ (a list, one history
    per layer), n_features_in_, interrupted_. `transform` returns the last hidden layer.
    """

    _kind = "classifier"
    _facts = (*StackedPredictor._facts, CLASSES._replace(kind=LABELS))
    classes_: np.ndarray = field(init=False)
    _: KW_ONLY
    class_weight: Any = parameter(
        None,
        Kind(),
        "class weights after pretraining: {class: weight}, 1 for classes not listed; "
        '"balanced": N / (K · the rows of its class), so that all classes count equally; None: 1',
    )

    def _n_outputs(self) -> int:
        return len(self.classes_)

    def new_loss(self) -> Loss:
        return SoftmaxCrossEntropy()

    def _read_labels(self, y: Any, known: bool) -> np.ma.MaskedArray[Any, Any]:
        return class_labels(y, type(self).__name__, self.classes_ if known else None)

    def _learn_targets(self, y: Any, weights: np.ndarray | None, known: bool = False) -> None:
        classes = self.classes_ if known else np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected labels of two classes or more, got {len(classes)} class(es): "
                f"{classes.tolist()}. y = -1 marks a row without a label."
            )
        if not known and len(y) >= FEW and len(classes) > len(y) / 2:
            warn(
                f"{type(self).__name__}: {len(classes)} classes in {len(y)} labelled rows. If y is an id, use another "
                "column; if it is a quantity, use StackedRegressor."
            )
        self.classes_ = classes
        self._class_weights = self._weights_of_classes(self._targets(y), weights)

    def _weights_of_classes(self, t: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """Return the weight of a row of each class (K,), given class indices t (N,); None if all are equal."""
        name = type(self).__name__
        classes = self.classes_.tolist()
        given = self.class_weight
        if given is None:
            return None
        if isinstance(given, str) and given == "balanced":
            count = np.bincount(t, weights, minlength=len(classes))
            count[count == 0] = 1  # classes without rows in a warm start
            return count.sum() / (len(classes) * count)  # type: ignore[no-any-return]
        if not isinstance(given, dict):
            raise ValueError(
                f'{name}: expected class_weight=None, "balanced" or {{class: weight}}, got {given!r}.'
                f"{did_you_mean(given, ['balanced'])}"
            )
        for label, weight in given.items():
            if label not in classes:
                raise ValueError(
                    f"{name}: expected class_weight for classes from {classes}, got one for {label!r}."
                )
            Number().check(name, f"class_weight[{label!r}]", weight)
        found = np.array([given.get(label, 1.0) for label in classes], np.float64)
        if not found.any():
            raise ValueError(
                f"{name}: expected class_weight > 0 for at least one class, got {given!r}."
            )
        return found

    def _label_weights(self, y: Any, weights: np.ndarray | None) -> np.ndarray | None:
        if self._class_weights is None:
            return weights
        of_class = self._class_weights[self._targets(y)]
        return of_class if weights is None else of_class * weights  # type: ignore[no-any-return]

    def _targets(self, y: Any) -> np.ndarray:
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            got = np.unique(y[unknown]).tolist()
            raise ValueError(
                f"{type(self).__name__}: expected labels from {self.classes_.tolist()}, got {got}. "
                "Fit with warm_start=False to learn new labels."
            )
        return np.searchsorted(self.classes_, y)  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the class probabilities (N, K), in the order of classes_."""
        return self._predicted(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row (N,)."""
        best = self._predicted(X).argmax(axis=1)
        return self.classes_[best]  # type: ignore[no-any-return]

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """Return {"loss": the cross-entropy, "error": the error rate} on the labelled rows of X (N, D), weighted by
        sample_weight (N,)."""
        X, y, weights = self._with_labels(X, y, sample_weight)
        p = self._predicted(X).astype(np.float64)
        t = self._targets(y)
        least = np.finfo(self.network_.dtype).tiny
        likelihood = p[np.arange(len(t)), t].clip(least)
        wrong = p.argmax(axis=1) != t
        return {
            "loss": float(np.average(-np.log(likelihood), weights=weights)),
            "error": float(np.average(wrong, weights=weights)),
        }

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy on the labelled rows."""
        X, y, weights = self._with_labels(X, y, sample_weight)
        return float(np.average(self.predict(X) == y, weights=weights))
