"""Autoencoder = encoder + decoder + loss (+ corruption, bottleneck, penalty): give the input back through a code."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from nanoae.autoencoders.bottleneck import BOTTLENECKS
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.estimator import as_codes, squared_error
from nanoae.autoencoders.examples import Examples, weighed
from nanoae.autoencoders.kinds import Auto, Flag, Maybe, Name, Part, Whole, Widths
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.own_layers import LAYERS, copies
from nanoae.autoencoders.parameters import documented, parameter, restored, transactional
from nanoae.autoencoders.penalty import PENALTIES, Penalty
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.reach import (
    UNBOUNDED,
    bounding_layer,
    check_one_sigmoid,
    check_reach,
    output_range,
    predicted_range,
)
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.table_losses import Masked
from nanoae.autoencoders.tabular import Tabular
from nanoae.autoencoders.underfit import compare_with_pca
from nanoae.autoencoders.weights import FEW, counted
from nanoae.configurable import to_config
from nanoae.engine import losses
from nanoae.engine.activations import ACTIVATIONS, Identity, Sigmoid, activation
from nanoae.engine.layers import Layer, Linear, Noisy, TiedLinear
from nanoae.engine.losses import BCE, Loss
from nanoae.training.evaluation import EVALUATION_ROWS, evaluate

RECONSTRUCTION_LOSSES = {
    name: kind for name, kind in losses.LOSSES.items() if kind is not losses.SoftmaxCrossEntropy
}
ACTIVATION = Name(ACTIVATIONS, Layer, "a layer: nanoae.ReLU()")


@documented
@dataclass(eq=False, repr=False)
class Autoencoder(Tabular):
    """A dense autoencoder: x (N, D) -> code (N, K) -> reconstruction (N, D).

    Any number of threads may use a fitted one at once; `fit` wants it alone (`Estimator`).

    After fit: network_ (a Sequential), history_ ({"loss": [...], "val_loss": [...], "seconds": [...]}), code_size_,
    n_features_in_, interrupted_ (whether Ctrl-C ended it early).
    """

    code_size: int = parameter(
        32, Whole(), "K, the numbers in a code; wider than the input is allowed"
    )
    hidden: Any = parameter(
        (128,), Widths(), "widths of the encoder's hidden layers; the decoder mirrors them"
    )
    _: KW_ONLY
    activation: str = parameter(
        AUTO,
        Auto(ACTIVATION),
        'of the hidden layers; auto: relu, or where epochs="auto" elu, and tanh where columns have heavy tails',
    )
    code_activation: str = parameter("identity", ACTIVATION, "of the code")
    output_activation: str = parameter(
        "identity",
        ACTIVATION,
        'of the reconstruction; with loss="bce" the sigmoid is part of the loss. Data outside its range are refused',
    )
    loss: Any = parameter(
        "mse",
        Name(RECONSTRUCTION_LOSSES, Loss, "a Loss"),
        "bce takes data in [0, 1]; a Loss has its own reduction",
    )
    tied_weights: bool = parameter(False, Flag(), "decode with the encoder's matrices, transposed")
    encoder: Any = parameter(
        None,
        Maybe(LAYERS),
        "layers of your own, the last of which gives the code: `code_size` and `hidden` then follow from them. "
        "Examples may have any shape, as images (N, C, H, W)",
    )
    decoder: Any = parameter(None, Maybe(LAYERS), "layers of your own, from the code to the output")
    corruption: Any = parameter(
        None,
        Part(Noisy, CORRUPTIONS, "GaussianNoise(0.5)"),
        "noise on the input in training: denoising",
    )
    bottleneck: Any = parameter(
        None, Part(Layer, BOTTLENECKS, "TopK(10)"), "what the code has to pass"
    )
    penalty: Any = parameter(
        None, Part(Penalty, PENALTIES, "L1Sparsity(1e-3)"), "on the code, in training"
    )
    missing: str = parameter(
        "error",
        Name(("error", "mask")),
        "mask: NaN in X marks a missing value. The column's mean replaces it in the input; it counts neither in the "
        "loss nor in errors, and `reconstruct` fills it in",
    )

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape):
        encoder, decoder = copies(self.encoder, self.decoder)
        if encoder is None:
            encoder = self._new_encoder(input_shape)
        if decoder is None:
            decoder = self._new_decoder(encoder, input_shape)
        return self._with_parts(encoder), decoder

    @property
    def hidden_activation(self) -> Any:
        """What the hidden layers have, by its name if it has one, whatever was set since they were built."""
        return self._plan.activation(self.as_built)

    def _new_encoder(self, input_shape: tuple[int, ...]) -> list[Layer]:
        """[Linear, activation, ..., Linear, code activation]: x -> code."""
        layers: list[Layer] = []
        for width in self.hidden:
            layers += [self._linear(width), activation(self.hidden_activation)]
        return [*layers, *self._code_layers()]

    def _code_layers(self) -> list[Layer]:
        """[Linear, code activation], as wide as the bottleneck wants it."""
        width = self.code_size * getattr(self.part("bottleneck"), "inputs_per_unit", 1)
        return [self._linear(width), activation(self.code_activation, "code_activation")]

    def _output_layers(self) -> list[Layer]:
        """[output activation], or none where the loss works on logits."""
        return [] if self._logits else [activation(self.output_activation, "output_activation")]

    def _new_decoder(self, encoder: list[Layer], input_shape: tuple[int, ...]) -> list[Layer]:
        """The mirror image: code -> x."""
        sources = [layer for layer in encoder if isinstance(layer, Linear)]
        linears: list[Layer] = []
        if self.tied_weights:
            linears += [TiedLinear(source, self.bias_initializer) for source in reversed(sources)]
        else:
            widths = [source.n_out for source in reversed(sources[:-1])]
            linears += map(self._linear, [*widths, math.prod(input_shape)])
        layers: list[Layer] = []
        for linear in linears[:-1]:
            layers += [linear, activation(self.hidden_activation)]
        return [*layers, linears[-1], *self._output_layers()]

    def _with_parts(self, encoder: list[Layer]) -> list[Layer]:
        """[filled gaps], [corruption], encoder, [bottleneck], [penalty]: one of each, or none."""
        named = (self.part(name) for name in ("corruption", "bottleneck", "penalty"))
        corruption, bottleneck, penalty = (
            [] if part is None else [copy.deepcopy(part)] for part in named
        )
        layers = [*corruption, *encoder, *bottleneck]
        for each in penalty:
            each.attach(layers)
        filled: list[Layer] = [FillMissing()] if self._takes_missing() else []
        return [*filled, *layers, *penalty]

    def new_loss(self):
        return Masked(self.loss) if self._takes_missing() else losses.get(self.loss)

    def _takes_missing(self):
        return self.as_built.missing == "mask"

    @property
    def _logits(self) -> bool:
        """Whether the network ends in logits, the sigmoid being part of the loss."""
        return isinstance(losses.get(self.loss), BCE)

    def check_parameters(self) -> None:
        name = type(self).__name__
        loss = vars(self).get("loss")  # which is none of the parameters where a likelihood is
        if isinstance(loss, losses.SoftmaxCrossEntropy) or (
            isinstance(loss, str) and loss == "softmax_cross_entropy"
        ):
            raise ValueError(
                f"{name}: expected a loss of reconstructions (mse, bce, l1, huber), got {loss!r}."
            )
        super().check_parameters()
        if self._logits and not isinstance(activation(self.output_activation), (Identity, Sigmoid)):
            raise ValueError(
                f'{name}: expected output_activation "sigmoid" (or "identity", which means the same here) with '
                f"loss='bce', got {self.output_activation!r}. The sigmoid is part of that loss."
            )
        if self.tied_weights and self.decoder is not None:
            raise ValueError(f"{name}: expected tied_weights or decoder=[...], got both.")

    def _build(self, input_shape, state=None):
        super()._build(input_shape, state)
        if self.network_.output_shape != tuple(input_shape):
            raise ValueError(
                f"{type(self).__name__}: expected a decoder that ends in shape {tuple(input_shape)}, the input's, "
                f"got {self.network_.output_shape}."
            )
        if state is None:  # what was saved answers as it was built
            check_one_sigmoid(
                type(self).__name__, self.network_, self._loss, *self.as_built._loss_words()
            )
        prior = getattr(self.part("bottleneck"), "code_prior", None)
        self.prior_ = None if prior is None else prior(self.code_size_)

    @transactional
    def build(self, input_shape: int | tuple[int, ...]):
        """Make the untrained network for examples of a shape, D or (C, H, W): for `summary`, a gradient check, or
        `partial_fit`."""
        shape = tuple(np.atleast_1d(input_shape).tolist())
        self._learn_table(np.zeros((1, 1)))
        self._build(shape)
        self.record_schema(shape)
        return self

    def takes_images(self):
        return self.as_built.encoder is not None

    @resumable
    @transactional
    def fit(self, X, y=None, validation_data=None, sample_weight=None, epochs=None):
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

    def _fit(self, X, validation_data, sample_weight, condition=None, epochs=None):
        """`fit`, a label for each where the model is conditional."""
        self._take_epochs(epochs)
        before = self._weights_before()
        X = self._first_look(X, sample_weight)
        rows, weights = self._counted(X, sample_weight)
        conditions = self._learn_conditions(len(X), rows, condition)
        X = X[rows]
        self._build(X.shape[1:], before)
        X = self._learn_scale(X, weights) if before is None else self.scaled(X)
        self._check_reach(X)
        given = Examples(*self._inputs_and_targets(X, **conditions), weights)
        examples, watched = self._divided(given.in_own_order(), self._watched(validation_data))
        if before is None:
            self._learn_means(examples)
            self._pretrain(examples)
        self._train(examples, watched)
        bare = self.part("penalty") is self.part("bottleneck") is None
        if bare and not self.interrupted_ and self.table_encoder_ is None:
            compare_with_pca(self, examples.inputs, (watched or examples).inputs)
        return self

    def _learn_conditions(self, n: int, rows, condition) -> dict[str, Any]:
        """The conditions of these `rows` out of the n given, once it is known which there are: here, none."""
        return {}

    def _watched(self, validation_data) -> Examples | None:
        """Rows that the user gives to watch the loss on."""
        self._check_alone(validation_data)
        return None if validation_data is None else Examples(self._check_targets(validation_data))

    @restored
    def partial_fit(self, X, y=None, sample_weight=None, **condition):
        """Go on for one epoch over X (N, D); start where there is nothing yet. sample_weight (N,): how much each row
        counts beside the others of this call, as in `fit`."""
        first = not hasattr(self, "network_")
        X = self._begin(X, sample_weight) if first else self._check_X(X)
        rows, weights = counted(sample_weight, len(X), type(self).__name__, FEW)
        if self.scaler_ is None:
            self._learn_scale(X[rows], weights)
        X = self.scaled(X)
        self._check_reach(X)
        examples = Examples(*self._inputs_and_targets(X, **condition)).take(rows)
        examples = examples._replace(weights=weights).in_own_order()
        if first:
            self._learn_means(examples)
        if not hasattr(self, "_trainer"):
            n = len(examples.inputs)
            batch_size, epochs = self.resolved_batch_size(n), self.as_built.epochs
            if epochs == AUTO:
                epochs = self._plan.epochs(n, batch_size)
            self._trainer = self.new_trainer(max(n, batch_size), epochs)
        data = examples.inputs, weighed(self._trainer, self._loss, examples)
        started = time.perf_counter()
        self.history_["loss"].append(self._trainer.epoch(*map(self._to_device, data)))
        self.history_["seconds"].append(time.perf_counter() - started)
        return self

    @transactional
    def _begin(self, X, sample_weight=None) -> np.ndarray:
        """X, checked, and the untrained network for it."""
        X = self._first_look(X, sample_weight)
        self._build(X.shape[1:])
        return X

    def _check_targets(self, X) -> np.ndarray:
        """X, checked as rows that reconstructions are compared with, on the network's scale."""
        X = self._read(X)
        self._check_reach(X)
        return X

    def _inputs_and_targets(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What the network reads of X, and the targets (None: the same)."""
        return X, None

    def training_data(self, X: np.ndarray) -> tuple:
        """(inputs, targets) of checked rows X (N, D) on the device, as the trainer takes them."""
        inputs, targets = self._inputs_and_targets(self.scaled(X))
        return self._to_device(inputs), self._to_device(targets)

    def _learn_means(self, examples: Examples) -> None:
        for layer in self.network_.layers:
            if isinstance(layer, FillMissing):
                layer.learn_means(examples.inputs, examples.weights)

    def _check_reach(self, X: np.ndarray) -> None:
        """OutOfReach where X has numbers that the network and its loss cannot give back."""
        net, built = self.network_, self.as_built
        words, remedy = built._loss_words()
        cause, ends = f"with {words}", output_range(net)
        if ends != UNBOUNDED:
            before = f", before the sigmoid of {words}" if built._logits else ""
            cause = f"where the output's {bounding_layer(net)} ends{before}"
            remedy = (
                "end the decoder in a Linear"
                if built.decoder
                else 'use output_activation="identity"'
            )
        check_reach(type(self).__name__, X, self._ends(), cause, remedy, self.scaling_)

    def _ends(self):
        return predicted_range(self._loss, *output_range(self.network_))

    def _loss_words(self) -> tuple[str, str]:
        """The loss, as the user gave it, and what to do where it is not for the data."""
        if self._logits:
            return 'loss="bce"', 'use loss="mse"'
        return f"loss={self.loss!r}", "encode categories one-hot, as TableEncoder does"

    def inverse_transform(self, X) -> np.ndarray:
        """The reconstructions (N, D) of codes X (N, K); of a table with words its cells, numbers and words."""
        self.check_fitted()
        again = self.unscaled(self._run(self._check_codes(X), self._n_encoder, None))
        return self._as_cells(again)

    def error_as_read(self, Z: np.ndarray) -> np.ndarray:
        """The mean squared error (N,) of rows as the network reads them, on its scale."""
        return squared_error(Z, self._run(Z, 0, None), "row")

    def _check_codes(self, X) -> np.ndarray:
        return as_codes(
            X, self, self.network_.layers[self._n_encoder - 1].out_shape, self.network_.dtype
        )

    def reconstruct(self, X) -> np.ndarray:
        """inverse_transform(transform(X)), (N, D); an array where X is what table_encoder_ made of a table."""
        self.check_fitted()
        again = self.unscaled(self._run(self._read(X), 0, None))
        return again if self._is_encoded(X) else self._as_cells(again)

    def reconstruction_error(self, X, per="row", **condition) -> np.ndarray:
        """Squared error between X and its reconstruction: the mean per row (N,), per feature (D,), or each element
        (N, D), for per="row", "feature" or "element". Of images (N, C, H, W) a pixel is a feature: (C, H, W)."""
        self.check_fitted()
        X = self._check_X(X)
        if per != "row" or condition or len(X) <= EVALUATION_ROWS:
            return squared_error(np.asarray(X), self.reconstruct(X, **condition), per)
        parts = (
            np.asarray(X[start : start + EVALUATION_ROWS])
            for start in range(0, len(X), EVALUATION_ROWS)
        )
        return np.concatenate([squared_error(part, self.reconstruct(part), per) for part in parts])

    def evaluate(self, X, *, sample_weight=None) -> dict[str, float]:
        """{"loss": the training loss, "mse": the mean squared error} over X (N, D), of which row n counts
        sample_weight[n] times; where columns are scaled also "scaled_mse", on the scale of the loss."""
        self.check_fitted()
        X = self._check_X(X)
        rows, weights = counted(sample_weight, len(X), type(self).__name__)
        X, batch_size = X[rows], self.resolved_batch_size(len(X))
        Z = self.scaled(X)
        self._check_reach(Z)
        loss = evaluate(
            self.network_, self._loss, self._to_device(Z), batch_size=batch_size, weights=weights
        )
        return {"loss": loss, **self._mean_errors(X, lambda at: self._run(Z[at], 0, None), weights)}

    def to_file(self):
        facts, arrays = super().to_file()
        return {**facts, "activation": to_config(self.hidden_activation)}, arrays

    def _settings_from_file(self, header, arrays):
        super()._settings_from_file(header, arrays)
        built = self.as_built
        if built.activation == AUTO and "activation" in header:
            self._left_open = {**(self._left_open or {}), "activation": AUTO}
            built.activation = arrays.construct(header["activation"], str)

    def score(self, X, y=None, *, sample_weight=None) -> float:
        """Minus the loss over X: higher is better, as scikit-learn's model selection expects."""
        return -self.evaluate(X, sample_weight=sample_weight)["loss"]
