"""Autoencoder = encoder + decoder + loss (+ corruption, bottleneck, penalty): reconstruct the input from a code."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import as_codes, squared_error
from nanoae.autoencoders.examples import Examples, weigh
from nanoae.autoencoders.mirrored import Mirrored
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.optimizer_state import trainer_of
from nanoae.autoencoders.parameters import estimator, restored, transactional
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.scaled import reconstruction_errors
from nanoae.autoencoders.underfit import compare_with_pca
from nanoae.autoencoders.weights import FEW
from nanoae.backend import Shape
from nanoae.configurable import Self
from nanoae.training.evaluation import evaluate


@estimator
class Autoencoder(Mirrored):
    """A dense autoencoder: x (N, D) -> code (N, K) -> reconstruction (N, D).

    Any number of threads may use a fitted model at once; `fit` needs exclusive access (see `Estimator`).

    Attributes after fit: network_ (a Sequential), history_ ({"loss": [...], "val_loss": [...], "seconds": [...]}),
    code_size_, n_features_in_, interrupted_ (True if Ctrl-C ended training early).
    """

    @transactional
    def build(self, input_shape: int | Shape) -> Self:
        """Build the untrained network for examples of shape D or (C, H, W), for `summary`, a gradient check or
        `partial_fit`."""
        shape = tuple(np.atleast_1d(input_shape).tolist())
        self._learn_table(np.zeros((1, 1)))
        self._build(shape)
        self.record_schema(shape)
        return self

    def takes_images(self) -> bool:
        return self.as_built.encoder is not None

    @resumable
    @transactional
    def fit(
        self,
        X: Any,
        y: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        epochs: int | None = None,
    ) -> Self:
        """Train on X (N, D): from new weights, or with warm_start from the present ones. `y` is ignored. For tables
        that do not fit in memory see `open_rows`.

        validation_data   rows (M, D) on which the loss is measured after each epoch
        sample_weight     weights (N,) >= 0: the loss is Σ w l / Σ w. A row of weight 0 is left out; integer weights
                          with a sum of at most 256 repeat rows. If a row also affects other terms (a penalty, KL,
                          BatchNorm), and with KFAC, each epoch draws N rows, row n about N w[n] / Σ w times
        epochs            passes over the rows in this call; None: the parameter `epochs`

        Raises ValueError for a table that cannot be used for training, NotFiniteError if training diverges.
        """
        return self._fit(X, validation_data, sample_weight, epochs)

    def _fit(
        self,
        X: Any,
        validation_data: Any,
        sample_weight: Any,
        epochs: int | None,
        condition: Any = None,
    ) -> Self:
        """Do the work of `fit`; condition: a label per row for conditional models."""
        self._set_epochs(epochs)
        before = self._weights_before()
        # The rows with positive weight, in the data's units
        X = self._learn_schema(X, sample_weight)
        rows, weights = self._weighted_rows(X, sample_weight, FEW, least=2)
        conditions = self._learn_conditions(len(X), rows, condition)
        X = X[rows]
        # Encoder, decoder and loss
        self._build(X.shape[1:])
        if before is None:
            X = self._learn_scale(X, weights)
        else:
            self._set_weights(before)
            X = self.scaled(X)
        # Network inputs for training and validation
        self._check_reach(X)
        given = self._examples(X, weights, **conditions).in_content_order()
        examples, watched = self._divided(given, self._watched(validation_data))
        if before is None:
            self._learn_means(examples)
            self._pretrain(examples)
        self._train(examples, watched)
        parts = (self.part("penalty"), self.part("bottleneck"))
        if parts == (None, None) and not self.interrupted_:
            compare_with_pca(self, examples.inputs, (watched or examples).inputs)
        return self

    def _learn_conditions(self, n: int, rows: Any, condition: Any) -> dict[str, Any]:
        """Return the conditions of `rows` out of n as keyword arguments of `_examples`: none here."""
        return {}

    def _watched(self, validation_data: Any) -> Examples | None:
        """Return the user's validation rows."""
        if isinstance(validation_data, tuple):
            raise ValueError(
                f"{type(self).__name__}: expected validation_data=rows (M, D), got a "
                f"tuple of {len(validation_data)}. Leave the targets out: the rows are their own targets."
            )
        return None if validation_data is None else Examples(self._check_targets(validation_data))

    @restored
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, **condition: Any
    ) -> Self:
        """Train for one epoch on X (N, D), starting from new weights in the first call. sample_weight (N,): weights
        relative to the other rows of this call, as in `fit`."""
        first = not hasattr(self, "network_")
        if first:
            self.settle()
            X = self._learn_schema(X, sample_weight)
            self._build(X.shape[1:])
        else:
            X = self._check_X(X)
        rows, weights = self._weighted_rows(X, sample_weight, FEW)
        if self.scaler_ is None:
            self._learn_scale(X[rows], weights)
        X = self.scaled(X)
        self._check_reach(X)
        examples = self._examples(X, None, **condition).take(rows)
        examples = examples._replace(weights=weights).in_content_order()
        if first:
            self._learn_means(examples)
        if trainer_of(self) is None:
            n = len(examples.inputs)
            most = max(n, self.resolved_batch_size(n))
            self._trainer = self.new_trainer(most, self.planned("epochs", n))
        targets = weigh(self._trainer, self._loss, examples)
        started = time.perf_counter()
        loss = self._trainer.epoch(self._to_device(examples.inputs), self._to_device(targets))
        self.history_["loss"].append(loss)
        self.history_["seconds"].append(time.perf_counter() - started)
        return self

    def _read(self, X: Any) -> np.ndarray:
        Z = super()._read(X)
        if isinstance(X, np.ndarray) and X.dtype.kind in "iu":  # unscaled pixels, 0 to 255
            self._check_reach(Z)
        return Z

    def _check_targets(self, X: Any) -> np.ndarray:
        """Return X on the network's scale, checked as targets of a reconstruction."""
        Z = self._read(X)
        self._check_reach(Z)
        return Z

    def _with_condition(self, Z: np.ndarray) -> np.ndarray:
        """Return the network's input for scaled rows."""
        return Z

    def _examples(
        self, Z: np.ndarray, weights: np.ndarray | None = None, **condition: Any
    ) -> Examples:
        inputs = self._with_condition(Z, **condition)
        return Examples(inputs, None if inputs is Z else Z, weights)

    def training_data(self, X: np.ndarray) -> tuple[Any, ...]:
        """Return (inputs, targets) of checked rows X (N, D) as device arrays for the trainer."""
        inputs, targets, _ = self._examples(self.scaled(X))
        return self._to_device(inputs), self._to_device(targets)

    def _learn_means(self, examples: Examples) -> None:
        for layer in self.network_.layers:
            if isinstance(layer, FillMissing):
                layer.learn_means(examples.inputs, examples.weights)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the reconstructions (N, D) of codes X (N, K); for a table with text its cells, numbers and text."""
        reconstruction = self.unscaled(self._run(self._check_codes(X), self._n_encoder, None))
        return self._as_cells(reconstruction)

    def error_as_read(self, Z: np.ndarray) -> np.ndarray:
        """Return the mean squared error (N,) of rows Z on the network's scale."""
        return squared_error(Z, self._run(Z, 0, None), "row")

    def _check_codes(self, X: Any) -> np.ndarray:
        self.check_fitted()
        return as_codes(
            X, self, self.network_.layers[self._n_encoder - 1].out_shape, self.network_.dtype
        )

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return inverse_transform(transform(X)), (N, D); an array if X is the output of table_encoder_."""
        reconstruction = self.unscaled(self._run(self._read(X), 0, None))
        return reconstruction if self._is_encoded(X) else self._as_cells(reconstruction)

    def reconstruction_error(self, X: Any, per: str = "row", **condition: Any) -> np.ndarray:
        """Return the squared error of the reconstruction: the mean per row (N,) or feature (D,), or of each element
        (N, D), for per="row", "feature" or "element". For images (N, C, H, W) the features are the pixels (C, H, W)."""
        return reconstruction_errors(self, self._check_X(X), per, **condition)

    def evaluate(self, X: Any, *, sample_weight: Any = None) -> dict[str, float]:
        """Return {"loss": the training loss, "mse": the mean squared error} on X (N, D), weighted by sample_weight
        (N,). If columns are scaled there is also "scaled_mse", the error on the scale of the loss."""
        X = self._check_X(X)
        rows, weights = self._weighted_rows(X, sample_weight)
        batch_size = self.resolved_batch_size(len(X))
        X = X[rows]
        Z = self.scaled(X)
        self._check_reach(Z)
        loss = evaluate(
            self.network_, self._loss, self._to_device(Z), batch_size=batch_size, weights=weights
        )
        errors = self._mean_errors(X, lambda at: self._run(Z[at], 0, None), weights)
        return {"loss": loss, **errors}

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """Return the negative loss on X: higher is better, as scikit-learn's model selection expects."""
        return -self.evaluate(X, sample_weight=sample_weight)["loss"]
