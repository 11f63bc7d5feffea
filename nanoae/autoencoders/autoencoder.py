"""Autoencoder = encoder + decoder + loss (+ corruption, bottleneck, penalty): give the input back through a code."""

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

    Any number of threads may use a fitted one at once; `fit` wants it alone (`Estimator`).

    After fit: network_ (a Sequential), history_ ({"loss": [...], "val_loss": [...], "seconds": [...]}), code_size_,
    n_features_in_, interrupted_ (whether Ctrl-C ended it early).
    """

    @transactional
    def build(self, input_shape: int | Shape) -> Self:
        """Make the untrained network for examples of a shape, D or (C, H, W): for `summary`, a gradient check, or
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
        """Learn from X (N, D), afresh, or with warm_start further. `y` is ignored. A table that does not fit in memory:
        see `open_rows`.

        validation_data   rows (M, D) to measure after each epoch
        sample_weight     how much each row counts (N,), >= 0: the loss is Σ w l / Σ w. A row of weight 0 is not there;
                          whole weights are copies, if these are 256 or fewer in all. Where a row counts elsewhere than
                          in its own loss (a penalty, KL, BatchNorm), and with KFAC, each epoch draws as many rows as
                          there are, each as often as its weight says
        epochs            passes over the rows in this call; None: as the parameter says

        Raises ValueError for a table that cannot be learned from; NotFiniteError where training diverges.
        """
        return self._fit(X, validation_data, sample_weight, epochs=epochs)

    def _fit(
        self,
        X: Any,
        validation_data: Any,
        sample_weight: Any,
        condition: Any = None,
        epochs: int | None = None,
    ) -> Self:
        """`fit`, a label for each where the model is conditional."""
        self._set_epochs(epochs)
        before = self._weights_before()
        # The rows that count, in the data's units
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
        # What the network reads, to learn from and to watch
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
        """The conditions of these `rows` out of the n given, once it is known which there are: here, none."""
        return {}

    def _watched(self, validation_data: Any) -> Examples | None:
        """Rows that the user gives to watch the loss on."""
        if isinstance(validation_data, tuple):
            raise ValueError(
                f"{type(self).__name__}: expected validation_data=rows (M, D), which are their own targets, got a "
                f"tuple of {len(validation_data)}. Leave the targets out."
            )
        return None if validation_data is None else Examples(self._check_targets(validation_data))

    @restored
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        **condition: Any,
    ) -> Self:
        """Go on for one epoch over X (N, D); start where there is nothing yet. sample_weight (N,): how much each row
        counts beside the others of this call, as in `fit`."""
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
        if isinstance(X, np.ndarray) and X.dtype.kind in "iu":  # pixels of 0 to 255, not yet scaled
            self._check_reach(Z)
        return Z

    def _check_targets(self, X: Any) -> np.ndarray:
        """X, checked as rows that reconstructions are compared with, on the network's scale."""
        Z = self._read(X)
        self._check_reach(Z)
        return Z

    def _with_condition(self, Z: np.ndarray) -> np.ndarray:
        """What the network reads of rows on its scale."""
        return Z

    def _examples(
        self, Z: np.ndarray, weights: np.ndarray | None = None, **condition: Any
    ) -> Examples:
        inputs = self._with_condition(Z, **condition)
        return Examples(inputs, None if inputs is Z else Z, weights)

    def training_data(self, X: np.ndarray) -> tuple[Any, ...]:
        """(inputs, targets) of checked rows X (N, D) on the device, as the trainer takes them."""
        inputs, targets, _ = self._examples(self.scaled(X))
        return self._to_device(inputs), self._to_device(targets)

    def _learn_means(self, examples: Examples) -> None:
        for layer in self.network_.layers:
            if isinstance(layer, FillMissing):
                layer.learn_means(examples.inputs, examples.weights)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The reconstructions (N, D) of codes X (N, K); of a table with words its cells, numbers and words."""
        reconstruction = self.unscaled(self._run(self._check_codes(X), self._n_encoder, None))
        return self._as_cells(reconstruction)

    def error_as_read(self, Z: np.ndarray) -> np.ndarray:
        """The mean squared error (N,) of rows as the network reads them, on its scale."""
        return squared_error(Z, self._run(Z, 0, None), "row")

    def _check_codes(self, X: Any) -> np.ndarray:
        self.check_fitted()
        return as_codes(
            X, self, self.network_.layers[self._n_encoder - 1].out_shape, self.network_.dtype
        )

    def reconstruct(self, X: Any) -> np.ndarray:
        """inverse_transform(transform(X)), (N, D); an array where X is what table_encoder_ made of a table."""
        reconstruction = self.unscaled(self._run(self._read(X), 0, None))
        return reconstruction if self._is_encoded(X) else self._as_cells(reconstruction)

    def reconstruction_error(self, X: Any, per: str = "row", **condition: Any) -> np.ndarray:
        """Squared error between X and its reconstruction: the mean per row (N,), per feature (D,), or each element
        (N, D), for per="row", "feature" or "element". Of images (N, C, H, W) a pixel is a feature: (C, H, W)."""
        return reconstruction_errors(self, self._check_X(X), per, **condition)

    def evaluate(self, X: Any, *, sample_weight: Any = None) -> dict[str, float]:
        """{"loss": the training loss, "mse": the mean squared error} over X (N, D), of which row n counts
        sample_weight[n] times; where columns are scaled also "scaled_mse", on the scale of the loss."""
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
        """Minus the loss over X: higher is better, as scikit-learn's model selection expects."""
        return -self.evaluate(X, sample_weight=sample_weight)["loss"]
