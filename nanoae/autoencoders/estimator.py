"""Autoencoder = encoder + decoder + loss (+ corruption, bottleneck, penalty): give the input back through a code."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nanoae.autoencoders.contract import Estimator, seed_of
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.penalty import Penalty
from nanoae.backend import get_ops
from nanoae.engine import losses, optim
from nanoae.engine.layers import Layer, Linear, Noisy, TiedLinear, activation
from nanoae.engine.losses import BCE, Loss
from nanoae.engine.network import Sequential
from nanoae.training.loop import EVALUATION_ROWS, Trainer, evaluate


class NetworkEstimator(Estimator):
    """An estimator around one network_: the layers that make the code, then the rest, a decoder or a head.

    A subclass says which layers (`_layers`) and which loss (`_criterion`), and takes these parameters and its own.

    network_   a Sequential; its first `_n_encoder` layers are the ones that make the code
    """

    optimizer: Any
    learning_rate: Any
    weight_decay: Any
    batch_size: Any
    epochs: Any
    initializer: Any
    bias_initializer: Any
    validation_fraction: Any
    patience: Any
    callbacks: Any
    backend: Any
    dtype: Any
    random_state: Any
    verbose: Any
    history_: dict[str, list[float]]
    _least_epochs = 1

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape: tuple[int, ...]) -> tuple[list[Layer], list[Layer]]:
        """(the layers that make the code, the rest), new ones."""
        raise NotImplementedError

    def _criterion(self) -> Loss:
        """The loss that the network is trained on."""
        raise NotImplementedError

    def _widths(self) -> dict[str, int]:
        """Of the encoder's layers, by the name they are given under; the code's is the last."""
        raise NotImplementedError

    def _trainable(self) -> list[slice] | None:
        """The slices of theta that learn; None: all of it."""
        return None

    def _linear(self, width: int) -> Linear:
        return Linear(width, self.initializer, self.bias_initializer)

    def _check_parameters(self) -> None:
        name = type(self).__name__
        whole = {**self._widths(), "batch_size": self.batch_size, "epochs": self.epochs}
        if self.patience is not None:
            whole["patience"] = self.patience
        for key, value in whole.items():
            least = self._least_epochs if key == "epochs" else 1
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name}: expected {key} to be a whole number >= {least}, got {value!r}.")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"{name}: expected validation_fraction in [0, 1), got {self.validation_fraction!r}.")

    def _build(self, input_shape: tuple[int, ...]) -> None:
        """network_, untrained."""
        self._check_parameters()
        code, rest = self._layers(input_shape)
        seed = np.random.SeedSequence(seed_of(self.random_state))
        network_seed, self._order_seed = seed.spawn(2)
        self._n_encoder = len(code)
        self.network_ = Sequential(code + rest).build(input_shape, get_ops(self.backend), self.dtype, network_seed)
        self._loss = self._criterion().build(self.network_.ops, self.network_.dtype)
        self.code_size_ = int(np.prod(code[-1].out_shape))
        self.history_ = {"loss": [], "seconds": []}

    # ---------------------------------------------------------------- training

    def _pretrain(self, X: np.ndarray) -> None:
        """What is learned from X (N, D) before the network is trained as a whole: here, nothing."""

    def _hold_out(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the rows to learn from, and of those to watch the loss on, out of n in random order."""
        held = max(1, round(self.validation_fraction * n)) if self.validation_fraction else 0
        if held >= n:
            raise ValueError(f"{type(self).__name__}: validation_fraction leaves no rows to learn from ({n} in all).")
        order = np.random.default_rng(self._order_seed).permutation(n)
        return order[held:], order[:held]

    def _train(self, X: np.ndarray, t: np.ndarray | None, validation: tuple | None) -> None:
        """Train network_ on inputs X and targets t (None: X itself); validation: rows and targets to measure."""

        def device(array):
            return None if array is None else self.network_.ops.to_device(array)

        self._trainer = self._make_trainer(len(X), self.epochs)
        watched = None if validation is None else (device(validation[0]), device(validation[1]))
        self.history_ = self._trainer.fit(device(X), device(t), validation=watched)
        self.interrupted_ = self._trainer.interrupted

    def _make_trainer(self, rows: int, epochs: int) -> Trainer:
        return Trainer(
            self.network_,
            self._loss,
            optim.get(self.optimizer, self.learning_rate, self.weight_decay),
            batch_size=self.batch_size,
            epochs=epochs,
            rows=rows,
            seed=self._order_seed,
            patience=self.patience,
            callbacks=tuple(self.callbacks),
            verbose=self.verbose,
            trainable=self._trainable(),
        )

    def _check_X(self, X, reset=False) -> np.ndarray:
        return self.check_table(X, reset=reset, dtype=np.dtype(self.dtype))

    # ---------------------------------------------------------------- using

    def transform(self, X) -> np.ndarray:
        """The codes (N, K) of X (N, D)."""
        self.check_fitted()
        return self._run(self._check_X(X), 0, self._n_encoder)

    def _run(self, X: np.ndarray, start: int, stop: int | None) -> np.ndarray:
        """Layers start .. stop-1 on X, a block of rows at a time, into a new host array."""
        net, ops = self.network_, self.network_.ops
        shape = net.output_shape if stop is None else net.layers[stop - 1].out_shape
        result = np.empty((len(X), *shape), self.dtype)
        for row in range(0, len(X), EVALUATION_ROWS):
            y = net.forward(ops.to_device(X[row : row + EVALUATION_ROWS]), start=start, stop=stop)
            if stop is None:
                y = self._loss.output(y, out=y)
            result[row : row + len(y)] = ops.to_numpy(y)
        return result

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """["autoencoder0", "autoencoder1", ...]: a name per code unit."""
        self.check_fitted()
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self.code_size_)], dtype=object)

    # ---------------------------------------------------------------- looking and keeping

    def __getstate__(self):
        """For pickle: without the trainer and the loss's buffers. partial_fit then starts its optimiser afresh."""
        return {name: value for name, value in vars(self).items() if name not in ("_trainer", "_loss")}

    def __setstate__(self, state):
        vars(self).update(state)
        if "network_" in state:
            self._loss = self._criterion().build(self.network_.ops, self.network_.dtype)

    def summary(self) -> str:
        """A table: layer, output shape, parameters; the total below."""
        self.check_fitted()
        lines = [("layer", "output", "parameters")]
        for i, layer in enumerate(self.network_.layers):
            count = sum(array.size for array in layer.params.values())
            mark = "  <- code" if i == self._n_encoder - 1 else ""
            shape = "(N, " + ", ".join(map(str, layer.out_shape)) + ")"
            lines.append((repr(layer), shape, f"{count:,}{mark}"))
        lines.append(("total", "", f"{self.network_.theta.size:,}"))
        widths = [max(len(line[k]) for line in lines) for k in (0, 1)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in lines)

    def save(self, path) -> None:
        """Write the model to `path` (.npz with JSON inside, no pickle); `nanoae.load` opens it on any backend."""
        self.check_fitted()
        save_model(self, path)

    def to_file(self):
        """(facts, arrays) for the model file."""
        state = {f"state{i}": self.network_.ops.to_numpy(array) for i, array in enumerate(self.network_.state())}
        names = getattr(self, "feature_names_in_", None)
        facts = {
            "input_shape": list(self.network_.input_shape),
            "feature_names": None if names is None else list(names),
            "history": self.history_,
        }
        return facts, state

    def from_file(self, header, arrays):
        """The opposite of `to_file`."""
        self._build(tuple(header["input_shape"]))
        self.network_.set_state([arrays[f"state{i}"] for i in range(len(arrays))])
        self.n_features_in_ = int(np.prod(self.network_.input_shape))
        self.history_ = header["history"]
        if header["feature_names"] is not None:
            self.feature_names_in_ = np.array(header["feature_names"], dtype=object)


class Autoencoder(NetworkEstimator):
    """A dense autoencoder: x (N, D) -> code (N, K) -> reconstruction (N, D).

    code_size            K, >= 1; wider than the input is allowed
    hidden               widths of the encoder's hidden layers; the decoder mirrors them
    activation           of the hidden layers: identity, relu, leaky_relu, elu, sigmoid, tanh, softplus
    code_activation      of the code
    output_activation    of the reconstruction; with loss="bce" the sigmoid is part of the loss
    loss                 "mse", "bce" (data in [0, 1]), "l1", "huber", or a Loss with its own reduction and weight
    optimizer            "adam", "adamw", "sgd", or an Optimizer, which then has its own rate and decay
    learning_rate        a float or a schedule (Cosine(1e-3), WarmUp(...))
    weight_decay         >= 0
    batch_size           rows per step; a larger one than the set means the whole set
    epochs               passes over the data
    initializer          lecun_, glorot_ or he_ with uniform or normal; truncated_normal; zeros
    bias_initializer     the same names
    tied_weights         the decoder uses the encoder's matrices, transposed
    encoder, decoder     layers of your own instead ([Linear(128), ReLU(), Linear(32)]); they end in the code and in
                         the output; `code_size` and `hidden` are then read off them
    corruption           noise on the input in training (GaussianNoise, MaskingNoise, SaltAndPepper): denoising
    bottleneck           what the code has to pass (TopK): k-sparse
    penalty              on the code, added to the loss in training (L1Sparsity, KLSparsity, Contractive)
    validation_fraction  share of the rows held out for validation, when fit gets no validation_data
    patience             stop after so many epochs without a better validation loss and restore the best weights
    callbacks            called as callback(trainer, row) after each epoch; one that returns True stops
    backend              "numpy", "cupy" or "auto"
    dtype                "float32" or "float64"
    random_state         int: everything random (weights, order of the examples, noise) follows from it
    verbose              a progress bar while training

    After fit: network_ (a Sequential), history_ ({"loss": [...], "val_loss": [...], "seconds": [...]}), code_size_,
    n_features_in_, interrupted_ (whether Ctrl-C ended it early).
    """

    def __init__(
        self,
        code_size=32,
        hidden=(128,),
        *,
        activation="relu",
        code_activation="identity",
        output_activation="identity",
        loss="mse",
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        batch_size=256,
        epochs=10,
        initializer="glorot_uniform",
        bias_initializer="zeros",
        tied_weights=False,
        encoder=None,
        decoder=None,
        corruption=None,
        bottleneck=None,
        penalty=None,
        validation_fraction=0.0,
        patience=None,
        callbacks=(),
        backend="auto",
        dtype="float32",
        random_state=None,
        verbose=False,
    ):
        self.code_size = code_size
        self.hidden = hidden
        self.activation = activation
        self.code_activation = code_activation
        self.output_activation = output_activation
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.initializer = initializer
        self.bias_initializer = bias_initializer
        self.tied_weights = tied_weights
        self.encoder = encoder
        self.decoder = decoder
        self.corruption = corruption
        self.bottleneck = bottleneck
        self.penalty = penalty
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.backend = backend
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape):
        encoder = self._encoder_layers()
        return self._code_layers(encoder), self._decoder_layers(encoder, int(np.prod(input_shape)))

    def _encoder_layers(self) -> list[Layer]:
        """[Linear, activation, ..., Linear, code activation]: x -> code."""
        if self.encoder is not None:
            return copy.deepcopy(list(self.encoder))
        *hidden, code = self._widths().values()
        layers: list[Layer] = []
        for width in hidden:
            layers += [self._linear(width), activation(self.activation)]
        return [*layers, self._linear(code), activation(self.code_activation)]

    def _code_layers(self, encoder: list[Layer]) -> list[Layer]:
        """[corruption], encoder, [bottleneck], [penalty]: one part each, or none."""
        layers = [*self._part("corruption", Noisy), *encoder, *self._part("bottleneck", Layer)]
        penalties = self._part("penalty", Penalty)
        for penalty in penalties:
            penalty.attach(layers)
        return layers + penalties

    def _part(self, name: str, kind: type) -> list:
        """[a copy of the part called `name`], or [] where there is none."""
        part = getattr(self, name)
        if part is None:
            return []
        if not isinstance(part, kind):
            example = {"corruption": "GaussianNoise(0.5)", "bottleneck": "TopK(10)", "penalty": "L1Sparsity(1e-3)"}
            raise ValueError(f"{type(self).__name__}: expected {name}=None or one like {example[name]}, got {part!r}.")
        return [copy.deepcopy(part)]

    def _decoder_layers(self, encoder: list[Layer], n_features: int) -> list[Layer]:
        """The mirror image: code -> x. The output activation is left out where the loss works on logits."""
        if self.decoder is not None:
            return copy.deepcopy(list(self.decoder))
        if self.tied_weights:
            sources = [layer for layer in encoder if isinstance(layer, Linear)]
            linears: list[Layer] = [TiedLinear(source, self.bias_initializer) for source in reversed(sources)]
        else:
            linears = [self._linear(width) for width in (*reversed(self._hidden_widths(encoder)), n_features)]
        layers: list[Layer] = []
        for linear in linears:
            layers += [linear, activation(self.activation)]
        return layers[:-1] if self._logits else [*layers[:-1], activation(self.output_activation)]

    def _hidden_widths(self, encoder: list[Layer]) -> tuple[int, ...]:
        if self.encoder is None:
            return tuple(self._widths().values())[:-1]
        return tuple(layer.n_out for layer in encoder if isinstance(layer, Linear))[:-1]

    def _widths(self):
        return {**{f"hidden[{i}]": width for i, width in enumerate(self.hidden)}, "code_size": self.code_size}

    def _criterion(self):
        return losses.get(self.loss)

    @property
    def _logits(self) -> bool:
        """Whether the network ends in logits, the sigmoid being part of the loss."""
        return isinstance(self._criterion(), BCE)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        name = type(self).__name__
        if self._logits and self.output_activation not in ("identity", "sigmoid"):
            raise ValueError(
                f'{name}: expected output_activation "sigmoid" (or "identity", which means the same here) with '
                f"loss='bce', got {self.output_activation!r}. The sigmoid is part of that loss."
            )
        if isinstance(self._criterion(), losses.SoftmaxCrossEntropy):
            raise ValueError(f"{name}: expected a loss of reconstructions (mse, bce, l1, huber), got {self.loss!r}.")
        if self.tied_weights and self.decoder is not None:
            raise ValueError(f"{name}: expected tied_weights or decoder=[...], got both.")

    def _build(self, input_shape):
        super()._build(input_shape)
        if self.network_.output_shape != tuple(input_shape):
            raise ValueError(
                f"{type(self).__name__}: expected a decoder that ends in shape {tuple(input_shape)}, the input's, "
                f"got {self.network_.output_shape}."
            )

    def build(self, n_features: int):
        """Make the untrained network for rows of n_features: for `summary`, a gradient check, or `partial_fit`."""
        self._build((n_features,))
        self.n_features_in_ = n_features
        return self

    # ---------------------------------------------------------------- training

    def fit(self, X, y=None, validation_data=None):
        """Learn from X (N, D), afresh. `y` is ignored. validation_data: rows (M, D) to measure after each epoch.

        Raises ValueError for a table that cannot be learned from; NotFiniteError where training diverges.
        """
        X = self._check_range(self._check_X(X, reset=True))
        validation = None if validation_data is None else self._check_range(self._check_X(validation_data))
        self._build(X.shape[1:])
        if validation is None and self.validation_fraction:
            kept, held = self._hold_out(len(X))
            X, validation = X[kept], X[held]
        self._pretrain(X)
        self._train(X, None, None if validation is None else (validation, None))
        return self

    def partial_fit(self, X, y=None):
        """Go on for one epoch over X (N, D); start where there is nothing yet."""
        first = not hasattr(self, "network_")
        X = self._check_range(self._check_X(X, reset=first))
        if first:
            self._build(X.shape[1:])
        if not hasattr(self, "_trainer"):
            self._trainer = self._make_trainer(len(X), self.epochs)
        loss = self._trainer.epoch(self.network_.ops.to_device(X))
        self.history_["loss"].append(loss)
        return self

    def _check_range(self, X: np.ndarray) -> np.ndarray:
        if self._logits and (X.min() < 0 or X.max() > 1):
            raise ValueError(
                f'{type(self).__name__}: expected values in [0, 1] with loss="bce", got [{X.min():g}, {X.max():g}]. '
                'Scale the data (images: X / 255), or use loss="mse".'
            )
        return X

    # ---------------------------------------------------------------- using

    def inverse_transform(self, X) -> np.ndarray:
        """The reconstructions (N, D) of codes X (N, K)."""
        self.check_fitted()
        codes = np.ascontiguousarray(X, self.dtype)
        if codes.ndim != 2 or codes.shape[1] != self.code_size_:
            raise ValueError(
                f"{type(self).__name__}: expected codes of shape (N, {self.code_size_}), got {codes.shape}."
            )
        return self._run(codes, self._n_encoder, None)

    def reconstruct(self, X) -> np.ndarray:
        """inverse_transform(transform(X)), (N, D)."""
        self.check_fitted()
        return self._run(self._check_X(X), 0, None)

    def reconstruction_error(self, X, per="row") -> np.ndarray:
        """Squared error between X and its reconstruction: the mean per row (N,), per feature (D,), or each element
        (N, D), for per="row", "feature" or "element"."""
        if per not in ("row", "feature", "element"):
            raise ValueError(f'reconstruction_error: expected per="row", "feature" or "element", got {per!r}.')
        self.check_fitted()
        X = self._check_X(X)
        error = (X - self.reconstruct(X)) ** 2
        if per == "element":
            return error
        return error.reshape(len(error), -1).mean(axis=1 if per == "row" else 0)

    def evaluate(self, X) -> dict[str, float]:
        """{"loss": the training loss, "mse": the mean squared error} over X (N, D)."""
        self.check_fitted()
        X = self._check_range(self._check_X(X))
        loss = evaluate(self.network_, self._loss, self.network_.ops.to_device(X), batch_size=self.batch_size)
        return {"loss": loss, "mse": float(self.reconstruction_error(X).mean())}

    def score(self, X, y=None) -> float:
        """Minus the loss over X: higher is better, as scikit-learn's model selection expects."""
        return -self.evaluate(X)["loss"]
