"""Stacked autoencoders: a deep network that is pretrained one layer at a time, then trained as a whole.

Layer i is first trained as the encoder of its own small autoencoder, on the codes of layer i-1. Starting from these
weights, a deep network learns where one with random weights hardly does, since the gradient nearly vanishes
on its way through many sigmoids (Hinton & Salakhutdinov 2006; Bengio 2007; with corrupted inputs, Vincent 2010).
"""

from __future__ import annotations

import functools
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.kinds import (
    Auto,
    Configured,
    Flag,
    Integer,
    Maybe,
    OneOrMore,
    Rate,
    Widths,
)
from nanoae.autoencoders.mirrored import ACTIVATION
from nanoae.autoencoders.network_estimator import HISTORY, NetworkEstimator
from nanoae.autoencoders.parameters import declared, estimator, parameter
from nanoae.autoencoders.part import part_of_another
from nanoae.autoencoders.penalty import PENALTIES, Penalty
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.saved import Fact
from nanoae.autoencoders.trained import Trained
from nanoae.backend import Shape
from nanoae.engine.activations import Sigmoid, activation
from nanoae.engine.layers import Layer, Noisy
from nanoae.progress import progress
from nanoae.rows import Rows, by_blocks, stored
from nanoae.training.loop import Callback, Trainer
from nanoae.training.schedules import SCHEDULES

OF_THE_WHOLE = {
    "epochs",
    "validation_fraction",
    "patience",
    "callbacks",
    "processes",
    "random_state",
    "scaling",
}


@estimator
class Stacked(NetworkEstimator):
    """Base of the stacked estimators: pretraining, one layer at a time."""

    sizes: Any = parameter(
        (1000, 1000, 1000), Widths(least=1), "widths of the layers that are pretrained one by one"
    )
    _: KW_ONLY
    pretrain: bool = parameter(
        True, Flag(), "pretrain layer by layer; False: start from random weights"
    )
    pretrain_epochs: Any = parameter(
        AUTO, OneOrMore(Auto(Integer())), "passes over the rows for each layer's own autoencoder"
    )
    pretrain_learning_rate: Any = parameter(
        None, Maybe(Rate(SCHEDULES)), "learning_rate of pretraining; None: the same"
    )
    corruption: Any = parameter(
        None,
        OneOrMore(Configured(Noisy, CORRUPTIONS, "GaussianNoise(0.5)")),
        "noise on each layer's input during its pretraining",
    )
    penalty: Any = parameter(
        None,
        OneOrMore(Configured(Penalty, PENALTIES, "L1Sparsity(1e-3)")),
        "penalty on each layer's code during its pretraining",
    )
    tied_weights: bool = parameter(
        False, Flag(), "in pretraining, decode with the encoder's transposed weights"
    )
    activation: str = parameter(
        "sigmoid",
        ACTIVATION,
        'activation of the hidden layers; sigmoid codes are pretrained with "bce", all others with "mse"',
    )

    _facts: ClassVar[tuple[Fact, ...]] = (
        *NetworkEstimator._facts,
        Fact("pretrain_history_", "pretrain_history", [HISTORY]),
    )
    _per_layer = ("pretrain_epochs", "corruption", "penalty")

    def _last_activation(self) -> str:
        return self.activation

    def _reconstruction(self) -> dict[str, Any]:
        """Return loss and output_activation of the first layer's autoencoder, which reconstructs X."""
        raise NotImplementedError

    def _target_layers(self, i: int) -> list[Layer]:
        """Return the layers of network_ that receive the weights of layer i's autoencoder: encoder (and decoder)."""
        raise NotImplementedError

    def check_parameters(self) -> None:
        super().check_parameters()
        name = type(self).__name__
        n = len(self.sizes)
        for each in self._per_layer:
            value = self.part(each)
            if isinstance(value, (list, tuple)) and len(value) != n:
                raise ValueError(
                    f"{name}: expected one {each}, or {n}, one for each layer, got {len(value)}."
                )

    def _of_layer(self, parameter: str, i: int) -> Any:
        """Return layer i's value of a parameter that may be a list."""
        value = self.part(parameter)
        return value[i] if isinstance(value, (list, tuple)) else value

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        super()._build(input_shape, state)
        if state is None:
            self.pretrain_history_: list[dict[str, list[float]]] = []
            self.interrupted_ = False

    def _pretrain(self, examples: Examples) -> None:
        """Train each layer's autoencoder on the codes of the layer below and copy its weights into network_."""
        X, _, weights = examples
        seeds = self._order_seed.spawn(len(self.sizes))
        count = len(self.sizes) if self.pretrain else 0
        for i in progress(range(count), label="layers", show=self.verbose):
            autoencoder = self._layer_autoencoder(i, seeds[i])
            with part_of_another():
                autoencoder.fit(X, sample_weight=weights, checkpoint_dir=self.open_checkpoints)
            for layer, source in zip(
                self._target_layers(i), layers_with_weights(autoencoder), strict=False
            ):
                for name, array in source.params.items():
                    self.network_.ops.copy(array, out=layer.params[name])
            self.pretrain_history_.append(autoencoder.history_)
            self.interrupted_ = autoencoder.interrupted_
            if self.interrupted_:
                break
            if isinstance(X, Rows):  # the codes may not fit in memory either
                X = stored(map(autoencoder._encode, by_blocks(X)))
            else:
                X = autoencoder._encode(X)

    def _layer_autoencoder(self, i: int, seed: np.random.SeedSequence) -> Autoencoder:
        """Return the untrained autoencoder that pretrains layer i."""
        names = declared(Trained).keys() - OF_THE_WHOLE
        shared = {name: getattr(self, name) for name in names}
        if self.pretrain_learning_rate is not None:
            shared["learning_rate"] = self.pretrain_learning_rate
        last = i == len(self.sizes) - 1
        of_codes = {
            "loss": "bce" if isinstance(activation(self.activation), Sigmoid) else "mse",
            "output_activation": self.activation,
        }
        return Autoencoder(
            self.sizes[i],
            hidden=(),
            code_activation=self._last_activation() if last else self.activation,
            **(of_codes if i else self._reconstruction()),
            **shared,
            epochs=self._of_layer("pretrain_epochs", i),
            scaling="none",
            tied_weights=self.tied_weights,
            corruption=self._of_layer("corruption", i),
            penalty=self._of_layer("penalty", i),
            callbacks=[
                functools.partial(_call_with_layer, callback, i + 1) for callback in self.callbacks
            ],
            random_state=int(seed.generate_state(1)[0]),
        )

    def _train(self, examples: Examples, watched: Examples | None) -> None:
        if not self.interrupted_:  # Ctrl-C during pretraining ends the whole fit
            super()._train(examples, watched)


def _call_with_layer(
    callback: Callback, layer: int, trainer: Trainer, row: dict[str, float]
) -> object:
    """Call a callback during the pretraining of a layer, with the layer's number in the row."""
    return callback(trainer, {"layer": layer, **row})


def layers_with_weights(model: NetworkEstimator) -> list[Layer]:
    """Return the layers of the model's network that have parameters."""
    return [layer for layer in model.network_.layers if layer.params]


@estimator
class StackedAutoencoder(Stacked, Autoencoder):
    """A deep autoencoder, pretrained layer by layer, then unrolled and trained as a whole: x -> sizes -> mirrored -> x.

    The last of `sizes` is the code size; the decoder mirrors them. Training as a whole uses neither corruption nor
    penalty.

    Callbacks are also called during pretraining, with row["layer"] = 1, 2, ...

    Additional attribute after fit: pretrain_history_, a list with the history_ of each layer's autoencoder.
    """

    sizes: Any = (1000, 500, 250, 30)
    _: KW_ONLY
    epochs: Any = parameter(
        AUTO, Auto(Integer(0)), "passes over the rows for the network as a whole"
    )
    code_size: ClassVar[Any] = property(lambda self: self.sizes[-1])
    hidden: ClassVar[Any] = property(lambda self: self.sizes[:-1])
    encoder: ClassVar[None] = None
    decoder: ClassVar[None] = None
    bottleneck: ClassVar[None] = None
    missing: ClassVar[str] = "error"
    table_encoder: ClassVar[None] = None
    reads_words: ClassVar[bool] = False

    def _last_activation(self) -> str:
        return self.code_activation

    def _with_parts(self, encoder: list[Layer]) -> list[Layer]:
        return encoder  # corruption and penalty belong to the pretraining

    def _reconstruction(self) -> dict[str, Any]:
        return {"loss": self.loss, "output_activation": self.output_activation}

    def _target_layers(self, i: int) -> list[Layer]:
        return [layers_with_weights(self)[i], layers_with_weights(self)[-1 - i]]
