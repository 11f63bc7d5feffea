"""StackedPredictor: supervised training on top of pretrained layers, with labels for some or all rows."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.kinds import Integer, Name, Shares
from nanoae.autoencoders.parameters import estimator, parameter, transactional
from nanoae.autoencoders.reach import UNBOUNDED, check_reach, predicted_range
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.stacked import Stacked, layers_with_weights
from nanoae.autoencoders.warm_start import WarmStart
from nanoae.autoencoders.weights import FEW, content_order
from nanoae.backend import Shape
from nanoae.configurable import Self
from nanoae.data.labels import one_column
from nanoae.engine import losses
from nanoae.engine.activations import activation
from nanoae.engine.layers import Dropout, Layer
from nanoae.rows import concatenated


@estimator
class StackedPredictor(WarmStart, Stacked):
    """Base of the classifier and the regressor: pretrain on all rows, then train with a head on labelled rows."""

    _: KW_ONLY
    pretrain_loss: Any = parameter(
        "mse",
        Name(losses.LOSSES, losses.Loss, "a Loss"),
        "loss of the first layer's reconstruction of X; bce needs X in [0, 1]",
    )
    dropout: Any = parameter(
        0.0,
        Shares(),
        "fraction of each hidden layer's units dropped in a training step; or two, the inputs' fraction first",
    )
    freeze: int = parameter(
        0, Integer(0), "number of layers, from the input on, that keep their pretrained weights"
    )
    draws_rows: ClassVar[bool] = False

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        shares = self.dropout if isinstance(self.dropout, (list, tuple)) else (0.0, self.dropout)
        visible, hidden = shares
        layers: list[Layer] = [Dropout(visible)] if visible else []
        for width in self.sizes:
            layers += [self._linear(width), activation(self.activation)]
            layers += [Dropout(hidden)] if hidden else []
        return layers, [self._linear(self._n_outputs())]

    def _reconstruction(self) -> dict[str, Any]:
        return {"loss": self.pretrain_loss}

    def _target_layers(self, i: int) -> list[Layer]:
        return [layers_with_weights(self)[i]]

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.freeze not in range(len(self.sizes) + 1):
            raise ValueError(
                f"{type(self).__name__}: expected freeze, a number of layers, from 0 to {len(self.sizes)}, "
                f"got {self.freeze!r}."
            )

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        super()._build(input_shape, state)
        first = layers_with_weights(self)[self.freeze]
        first.need_dx = False  # the layers before it are frozen, so backward stops here

    def _trainable(self) -> list[slice] | None:
        first = self.network_.layers.index(layers_with_weights(self)[self.freeze])
        return [slice(self.network_.parameters.slices[first, "W"].start, len(self.network_.theta))]

    def _reach(self) -> tuple[Any, Any]:
        loss = losses.get(self.as_built.pretrain_loss, "pretrain_loss")
        return predicted_range(loss, *UNBOUNDED) if self.as_built.pretrain else super()._reach()

    def _check_reach(self, X: np.ndarray) -> None:
        """Raise OutOfReach if X has values that the first layer's autoencoder cannot reconstruct."""
        if len(X):
            cause = f'with pretrain_loss="{self.pretrain_loss}"'
            remedy = 'use pretrain_loss="mse"'
            check_reach(type(self).__name__, X, self._reach(), cause, remedy, self.scaling_)

    # ---------------------------------------------------------------- training

    def _n_outputs(self) -> int:
        raise NotImplementedError

    def _read_labels(self, y: np.ndarray, known: bool) -> np.ma.MaskedArray:
        """Return y (N,) as labels, masked for unlabelled rows; `known`: only labels seen by fit are valid."""
        raise NotImplementedError

    def _learn_targets(
        self, y: np.ndarray, weights: np.ndarray | None, known: bool = False
    ) -> None:
        """Learn the classes or the scale of labels y (N,); `known`: keep those already learned."""
        raise NotImplementedError

    def _label_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """Return the weights in supervised training of rows with labels y (N,)."""
        return weights

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Return the network's targets for labels y (N,)."""
        raise NotImplementedError

    def _check_y(
        self, y: Any, n: int, rows: slice | np.ndarray = slice(None), known: bool = False
    ) -> np.ma.MaskedArray:
        """Return y (n,) as labels of `rows`, masked for unlabelled ones. Raises ValueError for invalid labels, and with
        `known` if no row is labelled."""
        name = type(self).__name__
        if y is None:
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        y = one_column(y)
        if y.shape != (n,):
            raise ValueError(
                f"{name}: expected y of shape ({n},), a label for each row of X, got {y.shape}."
            )
        labels = self._read_labels(y[rows], known)
        if known and labels.mask.all():
            raise ValueError(f"{name}: expected labelled rows, got none.")
        return labels

    @transactional
    def build(self, n_features: int, y: Any) -> Self:
        """Build the untrained network for rows of n_features and labels like y, for `summary`."""
        self._learn_targets(self._check_y(y, len(y)).compressed(), None)
        self._build((n_features,))
        self.record_schema((n_features,))
        return self

    @resumable
    @transactional
    def fit(
        self,
        X: Any,
        y: Any,
        X_unlabelled: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        epochs: int | None = None,
    ) -> Self:
        """Train on X (N, D) and labels y (N,): pretrain new weights on all rows, then train on the labelled ones. With
        warm_start continue the latter without pretraining, with the classes or scale of the labels unchanged.

        X_unlabelled       more rows (M, D) for pretraining
        validation_data    (X, y) on which the loss is measured after each epoch
        sample_weight      weights (N,) of the rows of X, as in `Autoencoder.fit`; rows of X_unlabelled have weight 1
        epochs             passes over the labelled rows in this call; None: the parameter `epochs`

        Raises ValueError for a table or labels that cannot be used for training, NotFiniteError if training diverges.
        """
        self.check_parameters()
        self._set_epochs(epochs)
        before = self._weights_before()
        known = before is not None
        X = self._check_X(X, not known, sample_weight)
        more = X[:0] if X_unlabelled is None else self.check_table(X_unlabelled, dtype=X.dtype)
        rows, weights = self._weighted_rows(X, sample_weight, FEW, least=2)
        y = self._check_y(y, len(X), rows, known)
        X = X[rows]
        every = together(X, more, weights)
        if not known:
            self._learn_scale(every.inputs, every.weights)
        X = self.scaled(X)
        more = self.scaled(more)
        labels = np.where(y.mask, np.zeros(1, y.dtype), y.data)
        order = content_order(X, labels, y.mask)
        X, y, weights = Examples(X, y, weights).take(order)
        # Labelled rows by index, since held-out rows are excluded from pretraining, too
        labelled = Examples(np.arange(len(X)), y.data, weights).take(~y.mask)
        self._learn_targets(labelled.targets, labelled.weights, known)
        labelled = self._with_targets(*labelled)
        self._check_reach(X)
        self._check_reach(more)
        watched = self._watched(validation_data)
        self._build(X.shape[1:])
        labelled, held = self._divided(labelled, watched)
        seen = np.ones(len(X), bool)
        if watched is None and held is not None:
            seen[held.inputs] = False
            watched = held._replace(inputs=X[held.inputs])
        if before is None:
            self._pretrain(together(X[seen], more, None if weights is None else weights[seen]))
        else:
            self._set_weights(before)
        self._train(labelled._replace(inputs=X[labelled.inputs]), watched)
        return self

    def _with_targets(
        self, X: Any, labels: np.ndarray, weights: np.ndarray | None = None
    ) -> Examples:
        """Return rows with their targets and their weights in supervised training."""
        return Examples(X, self._targets(labels), self._label_weights(labels, weights))

    def _watched(self, validation_data: Any) -> Examples | None:
        """Return the user's validation rows and labels."""
        if validation_data is None:
            return None
        rows, labels = self._rows_and_labels(validation_data, "y")
        X, y, _ = self._with_labels(rows, labels)
        return self._with_targets(self.scaled(X), y)

    def _predicted(self, X: Any) -> np.ndarray:
        """Return the network's outputs for X; ValueError if any are NaN, which argmax would turn into a class."""
        given = self._run(self._read(X), 0, None)
        bad = ~np.isfinite(given).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{type(self).__name__}: expected finite outputs of the network, got {given[bad][0].max()} for "
                f"row {int(bad.argmax())}. Its values are too large, or the weights are not finite."
            )
        return given

    def _with_labels(self, X: Any, y: Any, sample_weight: Any = None) -> Examples:
        """Return the labelled rows of X with positive weight, their labels and weights."""
        X = self._check_X(X)
        rows, weights = self._weighted_rows(X, sample_weight)
        y = self._check_y(y, len(X), rows, known=True)
        return Examples(X[rows], y.data, weights).take(~y.mask)


def together(X: np.ndarray, more: np.ndarray, weights: np.ndarray | None) -> Examples:
    """Join rows X (N, D) and `more` (M, D); if X has weights (N,), rows of `more` have weight 1."""
    rows = concatenated([table for table in (X, more) if len(table)])
    if weights is not None:
        weights = np.concatenate([weights, np.ones(len(more))])
    return Examples(rows, None, weights)
