"""Mirrored: builds the layers of an autoencoder: an encoder, a mirrored decoder, and the parts between them."""

from __future__ import annotations

import copy
import math
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.bottleneck import BOTTLENECKS
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.kinds import Auto, Configured, Flag, Integer, Maybe, Name, Widths
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.own_layers import LAYERS, copies
from nanoae.autoencoders.parameters import estimator, parameter
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
from nanoae.autoencoders.saved import Packed
from nanoae.autoencoders.table_losses import Masked
from nanoae.autoencoders.tabular import Tabular
from nanoae.backend import Shape
from nanoae.configurable import to_config
from nanoae.engine import losses
from nanoae.engine.activations import ACTIVATIONS, Identity, Sigmoid, activation
from nanoae.engine.layers import Layer, Linear, Noisy, TiedLinear
from nanoae.engine.losses import BCE, Loss

RECONSTRUCTION_LOSSES = {
    name: kind for name, kind in losses.LOSSES.items() if kind is not losses.SoftmaxCrossEntropy
}
ACTIVATION = Name(ACTIVATIONS, Layer, "a layer: nanoae.ReLU()")


@estimator
class Mirrored(Tabular):
    """An encoder, a decoder and a loss, built from widths or from the user's own layers."""

    code_size: int = parameter(
        32, Integer(), "K, the length of a code; may exceed the input's width"
    )
    hidden: Any = parameter(
        (128,),
        Widths(),
        "widths of the encoder's hidden layers, or channels of its convolutions; mirrored in the decoder",
    )
    _: KW_ONLY
    activation: str = parameter(
        AUTO,
        Auto(ACTIVATION),
        'activation of the hidden layers; auto: relu, or with epochs="auto" elu, with biases from U(-1, 2) unless '
        "X is images, and tanh if columns have heavy tails",
    )
    code_activation: str = parameter("identity", ACTIVATION, "activation of the code")
    output_activation: str = parameter(
        "identity",
        ACTIVATION,
        'activation of the reconstruction; with loss="bce" the sigmoid is part of the loss. Data outside its range '
        "raise an error",
    )
    loss: Any = parameter(
        "mse",
        Name(RECONSTRUCTION_LOSSES, Loss, "a Loss"),
        "training loss; bce needs data in [0, 1], a Loss has its own reduction",
    )
    tied_weights: bool = parameter(False, Flag(), "decode with the encoder's transposed weights")
    encoder: Any = parameter(
        None,
        Maybe(LAYERS),
        "layers of your own, the last of which outputs the code; they replace `code_size` and `hidden`. "
        "Examples may have any shape, such as images (N, C, H, W)",
    )
    decoder: Any = parameter(None, Maybe(LAYERS), "layers of your own, from the code to the output")
    corruption: Any = parameter(
        None,
        Configured(Noisy, CORRUPTIONS, "GaussianNoise(0.5)"),
        "noise on the input in training: denoising",
    )
    bottleneck: Any = parameter(
        None, Configured(Layer, BOTTLENECKS, "TopK(10)"), "a layer that constrains the code"
    )
    penalty: Any = parameter(
        None, Configured(Penalty, PENALTIES, "L1Sparsity(1e-3)"), "penalty on the code, in training"
    )
    missing: str = parameter(
        "error",
        Name(("error", "mask")),
        "mask: NaN in X marks a missing value. It is replaced by the column's mean in the input, ignored in the "
        "loss and errors, and filled in by `reconstruct`",
    )

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        encoder, decoder = copies(self.encoder, self.decoder)
        if encoder is None:
            encoder = self._new_encoder(input_shape)
        if decoder is None:
            decoder = self._new_decoder(encoder, input_shape)
        return self._with_parts(encoder), decoder

    def settle(self) -> None:
        """Settle the parameters; a warm start also keeps the network's activations."""
        before = self._activations() if self.goes_on else {}
        super().settle()
        self._settle_auto(**before)

    def _settle_auto(self, **found: Any) -> None:
        """Set those of these parameters that are "auto"."""
        built = self.as_built
        self._settle(**{name: found[name] for name in found if getattr(built, name) == AUTO})

    def _activations(self) -> dict[str, Any]:
        """Return the activations of the network that may be "auto" as parameters."""
        output = self.as_built.output_activation
        return {"activation": self.hidden_activation, "output_activation": output}

    @property
    def hidden_activation(self) -> Any:
        """The activation of the hidden layers as built: its name, or a layer."""
        return self._plan.activation(self.as_built)

    def _new_encoder(self, input_shape: Shape) -> list[Layer]:
        """[Linear, activation, ..., Linear, code activation]: x -> code."""
        layers: list[Layer] = []
        for width in self.hidden:
            linear = self._linear(width, self.as_built._biases)
            layers += [linear, activation(self.hidden_activation)]
        return [*layers, *self._code_layers()]

    def _code_layers(self) -> list[Layer]:
        """[Linear, code activation], with the width that the bottleneck needs."""
        width = self.code_size * getattr(self.part("bottleneck"), "inputs_per_unit", 1)
        return [self._linear(width), activation(self.as_built.code_activation, "code_activation")]

    def _output_layers(self) -> list[Layer]:
        """[output activation], or [] if the loss takes logits."""
        if self._logits:
            return []
        return [activation(self.as_built.output_activation, "output_activation")]

    def _new_decoder(self, encoder: list[Layer], input_shape: Shape) -> list[Layer]:
        """The mirror image: code -> x."""
        sources = [layer for layer in encoder if isinstance(layer, Linear)]
        linears: list[Layer] = []
        hidden = self.as_built._biases
        biases = [hidden] * (len(sources) - 1) + [self._biases]
        if self.tied_weights:
            linears += map(TiedLinear, reversed(sources), biases)
        else:
            widths = [source.n_out for source in reversed(sources[:-1])]
            linears += map(self._linear, [*widths, math.prod(input_shape)], biases)
        layers: list[Layer] = []
        for linear in linears[:-1]:
            layers += [linear, activation(self.hidden_activation)]
        return [*layers, linears[-1], *self._output_layers()]

    def _with_parts(self, encoder: list[Layer]) -> list[Layer]:
        """[FillMissing], [corruption], encoder, [bottleneck], [penalty]: those in use."""
        parts = [self.part(name) for name in ("corruption", "bottleneck", "penalty")]
        corruption, bottleneck, penalty = copy.deepcopy(parts)
        layers = [layer for layer in (corruption, *encoder, bottleneck) if layer is not None]
        if penalty is not None:
            penalty.attach(layers)
            layers.append(penalty)
        return [FillMissing(), *layers] if self._takes_missing() else layers

    def new_loss(self) -> Loss:
        return Masked(self.loss) if self._takes_missing() else losses.get(self.loss)

    def _takes_missing(self) -> bool:
        return bool(self.as_built.missing == "mask")

    @property
    def _logits(self) -> bool:
        """True if the network ends in logits and the sigmoid is part of the loss."""
        return isinstance(losses.get(self.loss), BCE)

    def check_parameters(self) -> None:
        name = type(self).__name__
        # Estimators with a likelihood have no parameter `loss`
        loss = self.part("loss") if "loss" in vars(self) else None
        of_classes = isinstance(loss, str) and loss == "softmax_cross_entropy"
        if of_classes or isinstance(loss, losses.SoftmaxCrossEntropy):
            raise ValueError(
                f"{name}: expected a loss of reconstructions (mse, bce, l1, huber), got {self.loss!r}."
            )
        super().check_parameters()
        output = self.as_built.output_activation
        known = output == AUTO or isinstance(activation(output), (Identity, Sigmoid))
        if self._logits and not known:
            raise ValueError(
                f'{name}: expected output_activation "sigmoid" (or "identity", which means the same here) with '
                f"loss='bce', got {output!r}. The sigmoid is part of that loss."
            )
        if self.tied_weights and self.decoder is not None:
            raise ValueError(f"{name}: expected tied_weights or decoder=[...], got both.")

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        super()._build(input_shape, state)
        if self.network_.output_shape != tuple(input_shape):
            raise ValueError(
                f"{type(self).__name__}: expected a decoder that ends in the input's shape {tuple(input_shape)}, "
                f"got {self.network_.output_shape}."
            )
        if state is None:  # saved models are accepted as they were built
            check_one_sigmoid(
                type(self).__name__, self.network_, self._loss, *self.as_built._loss_words()
            )
        prior = getattr(self.part("bottleneck"), "code_prior", None)
        self.prior_ = None if prior is None else prior(self.code_size_)

    # ---------------------------------------------------------------- what can be reconstructed

    def _check_reach(self, X: np.ndarray) -> None:
        """Raise OutOfReach if X has values that the network and its loss cannot reconstruct."""
        net = self.network_
        built = self.as_built
        words, remedy = built._loss_words()
        cause = f"with {words}"
        ends = output_range(net)
        if ends != UNBOUNDED:
            before = f", before the sigmoid of {words}" if built._logits else ""
            cause = f"where the output's {bounding_layer(net)} ends{before}"
            remedy = (
                "end the decoder in a Linear"
                if built.decoder
                else 'use output_activation="identity"'
            )
        check_reach(type(self).__name__, X, self._reach(), cause, remedy, self.scaling_)

    def _reach(self) -> tuple[Any, Any]:
        return predicted_range(self._loss, *output_range(self.network_))

    def _loss_words(self) -> tuple[str, str]:
        """Return the loss as the user specified it, and the remedy if it does not fit the data."""
        if self._logits:
            return 'loss="bce"', 'use loss="mse"'
        return f"loss={self.loss!r}", "encode categories one-hot, as TableEncoder does"

    # ---------------------------------------------------------------- keeping

    def to_file(self) -> Packed:
        facts, arrays = super().to_file()
        activations = {name: to_config(kind) for name, kind in self._activations().items()}
        return {**facts, **activations}, arrays

    def _settings_from_file(self, header: dict[str, Any], arrays: Any) -> None:
        super()._settings_from_file(header, arrays)
        for name in self._activations():
            if getattr(self.as_built, name) == AUTO and name in header:
                self._settle(**{name: arrays.from_config(header[name], str)})
