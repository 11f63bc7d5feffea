"""Stacked autoencoders: a deep network learned one layer at a time, then as a whole.

Layer i is first the encoder of a small autoencoder of its own, trained on the codes of layer i-1. A deep network that
starts from these weights learns where one that starts from random ones hardly does, since the gradient all but vanishes
on its way through many sigmoids (Hinton & Salakhutdinov 2006; Bengio 2007; with corrupted inputs, Vincent 2010).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.engine.layers import Layer
from nanoae.training.loop import Callback, Trainer
from nanoae.training.progress import progress


class Stacked(NetworkEstimator):
    """What the stacked estimators share: pretraining, one layer at a time. The parameters: see `StackedClassifier`."""

    sizes: Any
    pretrain: Any
    pretrain_epochs: Any
    pretrain_learning_rate: Any
    corruption: Any
    penalty: Any
    tied_weights: Any
    activation: Any
    code_activation: Any = None  # of the last layer; None: as the others

    _per_layer = ("pretrain_epochs", "corruption", "penalty")

    def _reconstruction(self) -> dict[str, Any]:
        """How X itself is given back, by the first layer's autoencoder: loss and output_activation."""
        raise NotImplementedError

    def _taught(self, i: int) -> list[Layer]:
        """The layers of network_ that take over what layer i's autoencoder learned: its encoder (and its decoder)."""
        raise NotImplementedError

    def _widths(self):
        if not isinstance(self.sizes, (list, tuple)):
            raise ValueError(f"{type(self).__name__}: expected sizes to be a list of widths, got {self.sizes!r}.")
        return {f"sizes[{i}]": width for i, width in enumerate(self.sizes)}

    def _check_parameters(self):
        super()._check_parameters()
        name, n = type(self).__name__, len(self.sizes)
        self._check_flag(pretrain=self.pretrain, tied_weights=self.tied_weights)
        if n == 0:
            raise ValueError(f"{name}: expected sizes, a width for each layer, got none.")
        for parameter in self._per_layer:
            value = getattr(self, parameter)
            if isinstance(value, (list, tuple)) and len(value) != n:
                raise ValueError(f"{name}: expected one {parameter}, or {n}, one for each layer, got {len(value)}.")
        for i in range(n):
            self._check_whole(pretrain_epochs=self._of_layer("pretrain_epochs", i))
        if self.pretrain_learning_rate is not None and not callable(self.pretrain_learning_rate):
            self._check_number(pretrain_learning_rate=self.pretrain_learning_rate)

    def _of_layer(self, parameter: str, i: int) -> Any:
        """Layer i's own value of a parameter that may be a list."""
        value = getattr(self, parameter)
        return value[i] if isinstance(value, (list, tuple)) else value

    def _build(self, input_shape, state=None):
        super()._build(input_shape, state)
        self.pretrain_history_ = []

    def _pretrain(self, X, weights):
        """Layer by layer: learn the codes of the layer below, and put what was learned into network_."""
        self.interrupted_ = False
        seeds = self._order_seed.spawn(len(self.sizes))
        for i in progress(range(len(self.sizes) if self.pretrain else 0), label="layers", show=self.verbose):
            shallow = self._shallow(i, seeds[i])
            shallow.fit(X, sample_weight=weights, checkpoint_dir=self._checkpoints)
            for layer, source in zip(self._taught(i), learned(shallow), strict=False):
                for name, array in source.params.items():
                    self.network_.ops.copy(array, out=layer.params[name])
            self.pretrain_history_.append(shallow.history_)
            self.interrupted_ = shallow.interrupted_
            if self.interrupted_:
                break
            X = shallow._encode(X)

    def _shallow(self, i: int, seed: np.random.SeedSequence) -> Autoencoder:
        """The autoencoder that pretrains layer i, untrained."""
        last = i == len(self.sizes) - 1
        codes = {"loss": "bce" if self.activation == "sigmoid" else "mse", "output_activation": self.activation}
        return Autoencoder(
            self.sizes[i],
            hidden=(),
            code_activation=(self.code_activation if last else None) or self.activation,
            **(codes if i else self._reconstruction()),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate if self.pretrain_learning_rate is None else self.pretrain_learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            epochs=self._of_layer("pretrain_epochs", i),
            initializer=self.initializer,
            bias_initializer=self.bias_initializer,
            tied_weights=self.tied_weights,
            corruption=self._of_layer("corruption", i),
            penalty=self._of_layer("penalty", i),
            callbacks=[functools.partial(_tell, callback, i + 1) for callback in self.callbacks],
            backend=self.backend,
            dtype=self.dtype,
            random_state=int(seed.generate_state(1)[0]),
            verbose=self.verbose,
        )

    def _train(self, X, t, validation, weights=None):
        if not self.interrupted_:  # Ctrl-C in the pretraining ends it all
            super()._train(X, t, validation, weights)

    def to_file(self):
        facts, arrays = super().to_file()
        return {**facts, "pretrain_history": self.pretrain_history_}, arrays

    def from_file(self, header, arrays):
        super().from_file(header, arrays)
        self.pretrain_history_ = header["pretrain_history"]


def _tell(callback: Callback, layer: int, trainer: Trainer, row: dict[str, float]) -> object:
    """What the callback is told while that layer is pretrained."""
    return callback(trainer, {"layer": layer, **row})


def learned(model: NetworkEstimator) -> list[Layer]:
    """The layers of its network that have parameters."""
    return [layer for layer in model.network_.layers if layer.params]


class StackedAutoencoder(Stacked, Autoencoder):
    """A deep autoencoder, pretrained layer by layer, then unrolled and trained whole: x -> sizes -> mirrored -> x.

    sizes                  widths of the encoder's layers, the code's last; the decoder mirrors them
    pretrain               False: start from random weights instead, for comparison
    pretrain_epochs        passes over the data for each layer's own autoencoder
    pretrain_learning_rate a float or a schedule; None: `learning_rate`
    corruption             of each layer's input while that layer is pretrained (GaussianNoise, MaskingNoise, ...)
    penalty                on each layer's code while that layer is pretrained (L1Sparsity, KLSparsity, Contractive)
    activation             of the hidden layers; what a sigmoid gave is learned by "bce", what others gave by "mse"
    epochs                 passes over the data for the network as a whole, without corruption and penalty; may be 0
    and code_activation, output_activation, loss, optimizer, learning_rate, weight_decay, batch_size, initializer,
    bias_initializer, tied_weights, validation_fraction, patience, callbacks, processes, backend, dtype, random_state,
    verbose: as in `Autoencoder`.

    pretrain_epochs, corruption and penalty are one for all layers, or a list of one for each. Callbacks are called in
    the pretraining, too, with row["layer"] = 1, 2, ...

    After fit also pretrain_history_: the history_ of each layer's own autoencoder, a list.
    """

    encoder = decoder = bottleneck = None
    _least_epochs = 0

    def __init__(
        self,
        sizes=(1000, 500, 250, 30),
        *,
        pretrain=True,
        pretrain_epochs=10,
        pretrain_learning_rate=None,
        corruption=None,
        penalty=None,
        activation="sigmoid",
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
        validation_fraction=0.0,
        patience=None,
        callbacks=(),
        processes=1,
        backend="auto",
        dtype="float32",
        random_state=None,
        verbose=False,
    ):
        self.sizes = sizes
        self.pretrain = pretrain
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.corruption = corruption
        self.penalty = penalty
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
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.processes = processes
        self.backend = backend
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def _code_layers(self, encoder):
        return encoder  # corruption and penalty belong to the pretraining

    def _reconstruction(self):
        return {"loss": self.loss, "output_activation": self.output_activation}

    def _taught(self, i):
        return [learned(self)[i], learned(self)[-1 - i]]
