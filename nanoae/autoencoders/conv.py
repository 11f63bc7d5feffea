"""ConvAutoencoder: an Autoencoder whose layers look at images through small windows, the same weights everywhere."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.kinds import Widths
from nanoae.autoencoders.parameters import documented, parameter
from nanoae.autoencoders.plan import Plan
from nanoae.engine.activations import activation
from nanoae.engine.conv import Conv2d, ConvTranspose2d
from nanoae.engine.layers import Layer
from nanoae.engine.norm import BatchNorm
from nanoae.engine.pool import MaxPool2d
from nanoae.engine.shape import Flatten, Reshape

IMAGE = (1, 28, 28)  # what the default layers are made for


@documented
@dataclass(eq=False, repr=False)
class ConvAutoencoder(Autoencoder):
    """A convolutional autoencoder: images -> code (N, K) -> images of the same shape.

    Images are (N, C, H, W). The default layers are for one grey channel of 28 x 28, also given as (N, 28, 28) or as
    rows (N, 784), with values in [-1, 1], where their tanh ends:

        encoder   1 x 28 x 28   Conv2d(16, kernel 3, stride 3, padding 1)  f  BatchNorm  MaxPool2d(2, stride 2)
                  16 x 5 x 5    Conv2d(32, kernel 3, stride 2, padding 1)  f  BatchNorm  MaxPool2d(2, stride 1)
                  32 x 2 x 2    Conv2d(64, kernel 2)  f  BatchNorm
                  64 x 1 x 1    Linear(code_size)  code_activation
        decoder   code_size     Linear(64)  f
                  64 x 1 x 1    ConvTranspose2d(32, kernel 2)  f  BatchNorm
                  32 x 2 x 2    ConvTranspose2d(16, kernel 3, stride 2)  f  BatchNorm
                  16 x 5 x 5    ConvTranspose2d(8, kernel 5, stride 3, padding 1)  f  BatchNorm
                  8 x 15 x 15   ConvTranspose2d(1, kernel 2, stride 2, padding 1)  output_activation

    f is `activation`; `hidden` are the channels of the three convolutions: the decoder's are the second, the first and
    half the first. encoder and decoder, layers of your own, are for images of any size: the first ends in the code
    (Flatten(), Linear(32)), the second in the shape of the input. The defaults are those of the presets conv-2d and
    conv-3d.
    """

    _: KW_ONLY
    hidden: Any = parameter((16, 32, 64), Widths(), "channels of the three convolutions")
    activation: str = "leaky_relu"
    code_activation: str = "tanh"
    output_activation: str = "tanh"
    learning_rate: Any = 1e-2
    weight_decay: float = 1e-5
    _plan: ClassVar[Plan] = Plan(steps=(500, 2000), usual_batch=100)
    initializer: str = "he_uniform"

    def takes_images(self):
        return True

    def channels(self, shape):
        return shape[0] if len(shape) == 3 else 1  # a row of pixels is one grey channel

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True  # of tables only those of 784 columns
        return tags

    def check_parameters(self):
        super().check_parameters()
        if len(self.hidden) != 3:
            raise ValueError(
                f"ConvAutoencoder: expected hidden, the channels of three convolutions, got {self.hidden!r}. "
                "For another depth give encoder= and decoder=."
            )
        if self.tied_weights:
            raise ValueError(
                "ConvAutoencoder: expected tied_weights=False, got True: this decoder does not mirror the encoder."
            )

    def _layers(self, input_shape):
        encoder, decoder = super()._layers(input_shape)
        if self.encoder and self.decoder:
            return encoder, decoder
        if math.prod(input_shape) != math.prod(IMAGE):
            raise ValueError(
                f"ConvAutoencoder: expected images of shape {IMAGE} for the default layers, got {input_shape}. For "
                "other sizes give images (N, C, H, W) and layers of your own: encoder=[Conv2d(16, 3, 2, 1), ReLU(), "
                "Flatten(), Linear(32)] and decoder=[...] that ends in the images' shape."
            )
        if input_shape != IMAGE and not self.encoder:
            encoder = [Reshape(IMAGE), *encoder]
        if input_shape != IMAGE and not self.decoder:
            decoder = [*decoder, Reshape(input_shape)]
        return encoder, decoder

    def _new_encoder(self):
        first, second, third = self.hidden
        return [
            *self._block(Conv2d, first, 3, 3, 1),
            MaxPool2d(2, 2),
            *self._block(Conv2d, second, 3, 2, 1),
            MaxPool2d(2, 1),
            *self._block(Conv2d, third, 2),
            Flatten(),
            self._linear(self.code_size * getattr(self.part("bottleneck"), "inputs_per_unit", 1)),
            activation(self.code_activation, "code_activation"),
        ]

    def _new_decoder(self, encoder, n_features):
        first, second, third = self.hidden
        layers = [
            self._linear(third),
            activation(self.activation),
            Reshape((third, 1, 1)),
            *self._block(ConvTranspose2d, second, 2),
            *self._block(ConvTranspose2d, first, 3, 2),
            *self._block(ConvTranspose2d, max(1, first // 2), 5, 3, 1),
            *self._block(ConvTranspose2d, 1, 2, 2, 1)[:1],
        ]
        return layers if self._logits else [*layers, activation(self.output_activation, "output_activation")]

    def _block(self, layer: type, *geometry: int) -> list[Layer]:
        """[convolution, f, BatchNorm]"""
        convolution = layer(*geometry, init=self.initializer, bias_init=self.bias_initializer)
        return [convolution, activation(self.activation), BatchNorm()]
