"""ConvAutoencoder: an Autoencoder with convolutional layers, for images."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, replace
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.kinds import Auto, Maybe, Number, Widths
from nanoae.autoencoders.mirrored import ACTIVATION
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.autoencoders.plan import AUTO, Plan, like_noise, low_contrast
from nanoae.autoencoders.saved import Fact
from nanoae.backend import Shape
from nanoae.engine.activations import activation
from nanoae.engine.conv import Conv2d, ConvTranspose2d
from nanoae.engine.layers import Layer
from nanoae.engine.norm import BatchNorm
from nanoae.engine.pool import MaxPool2d
from nanoae.engine.shape import Flatten, Reshape
from nanoae.rows import Rows
from nanoae.training.schedules import Cosine, WarmUp

IMAGE = (1, 28, 28)  # the image shape that the presets' layers are designed for
SIDES = (8, 128)  # range of height and width supported by the default layers
SMALL = 4  # images are halved until both sides are at most this
# In long trainings, images larger than this stop at 2 SMALL pixels, and those larger than twice this are quartered.
LARGE = 16
CHANNELS = (1, 3, 4)
# With more halvings the code's Linear has so many inputs that first steps at the full rate saturate its tanh: in long
# trainings the rate is warmed up over CLIMB steps.
SHALLOW = 2
CLIMB = 300
PLAN = Plan(
    steps=(500, 8000),
    numbers=math.inf,
    many=math.inf,
    usual_batch=100,
    activations=("leaky_relu", "leaky_relu"),
)
PLAN_OF_LARGE = replace(PLAN, steps=(500, 2000))
# Weight decay: in the presets, with epochs="auto", and with the elu that follows from the images
PUBLISHED, LONG, OF_NOISE = 1e-5, 3e-4, 3e-3


def shrunk(size: Shape, stride: int) -> Shape:
    return tuple(-(-n // stride) for n in size)


def channels_last(shape: Shape) -> bool:
    """Return True if an image shape is (H, W, C): grey, RGB or RGBA."""
    return shape[2] in CHANNELS and shape[0] not in CHANNELS


@estimator
class ConvAutoencoder(Autoencoder):
    """A convolutional autoencoder: images -> code (N, K) -> images of the same shape.

    Images are (N, C, H, W); (N, H, W, C) if C is 1, 3 or 4 and H is not; (N, H, W) for grey images; or rows (N, D) of
    square grey images, or of any images with image_shape. H and W are 8 to 128, and values lie in [-1, 1], the range of
    the default layers' tanh. For 28 x 28 grey pixels these layers are

        encoder   1 x 28 x 28   Conv2d(16, kernel 3, stride 3, padding 1)  f  BatchNorm  MaxPool2d(2, stride 2)
                  16 x 5 x 5    Conv2d(32, kernel 3, stride 2, padding 1)  f  BatchNorm  MaxPool2d(2, stride 1)
                  32 x 2 x 2    Conv2d(64, kernel 2)  f  BatchNorm
                  64 x 1 x 1    Linear(code_size)  code_activation
        decoder   code_size     Linear(64)  f
                  64 x 1 x 1    ConvTranspose2d(32, kernel 2)  f  BatchNorm
                  32 x 2 x 2    ConvTranspose2d(16, kernel 3, stride 2)  f  BatchNorm
                  16 x 5 x 5    ConvTranspose2d(8, kernel 5, stride 3, padding 1)  f  BatchNorm
                  8 x 15 x 15   ConvTranspose2d(1, kernel 2, stride 2, padding 1)  output_activation

    f is `activation`; `hidden` holds the channels of the three convolutions; the decoder uses the second, the first and
    half the first. For other image sizes, convolutions (kernel 3, stride 2, padding 1) halve height and width until
    both are at most 4, with the channels of `hidden`, the last repeated from the fourth layer on; the decoder mirrors
    them. With layers of your own (encoder=, decoder=) images may have any size: the encoder ends in the code
    (Flatten(), Linear(32)), the decoder in the input's shape. The defaults are those of the presets conv-2d and
    conv-3d. With epochs="auto", images larger than 16 pixels, 28 x 28 grey ones included, are reduced only to 8 pixels
    or less, are quartered first (kernel 5, stride 4, padding 2) if larger than 32, and train for at most 2,000 steps:
    more layers learn more slowly, and 64 numbers reconstruct worse than PCA. For images halved more than twice, the
    learning rate is warmed up over 300 steps, else the code's tanh saturates immediately.
    """

    _: KW_ONLY
    hidden: Any = (16, 32, 64)
    activation: str = parameter(
        AUTO,
        Auto(ACTIVATION),
        "of the hidden layers; auto: leaky_relu, but elu for images of low contrast whose pixels are distributed "
        "normally, as random fields",
    )
    code_activation: Any = parameter(
        AUTO,
        Auto(ACTIVATION),
        'activation of the code; auto: tanh, but none with epochs="auto" for images larger than 32 pixels',
    )
    output_activation: str = parameter(
        AUTO,
        Auto(ACTIVATION),
        'of the reconstruction; auto: tanh, but identity where epochs="auto" and scaling="auto" and the contrast is '
        "low, a standard deviation below 0.4, as in [0, 1]: such images are standardised, all channels by one mean and "
        "one deviation",
    )
    image_shape: Any = parameter(
        None, Maybe(Widths(2)), "image shape of flat rows: (C, H, W), (H, W, C) or (H, W)"
    )
    learning_rate: Any = 1e-2
    weight_decay: Any = parameter(
        AUTO,
        Auto(Number()),
        'L2 penalty on the weights; auto: 1e-5, or with epochs="auto" 3e-4, since small sets overfit without it, and '
        "3e-3 where elu is chosen for the images",
    )
    # True if the layers are those for long trainings on images of more than LARGE pixels
    _large = False
    _facts = (*Autoencoder._facts, Fact("_large", "large", bool, False))
    initializer: str = "he_uniform"
    table_encoder: ClassVar[None] = None  # type: ignore[misc]
    reads_words: ClassVar[bool] = False

    @property
    def _plan(self) -> Plan:  # type: ignore[override]
        return PLAN_OF_LARGE if self._large else PLAN

    def takes_images(self) -> bool:
        return True

    def channels(self, shape: Shape) -> int:
        left_open = self._left_open.get("output_activation") == AUTO
        one_scale = left_open and self.as_built.output_activation == "identity"
        return 1 if one_scale else self.layout(shape)[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Among tables, only those with 784 columns are images.
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def check_parameters(self) -> None:
        super().check_parameters()
        if len(self.hidden) != 3:
            raise ValueError(
                f"ConvAutoencoder: expected hidden, the channels of three convolutions, got {self.hidden!r}. "
                "For other depths pass encoder= and decoder=."
            )
        if self.tied_weights:
            raise ValueError(
                "ConvAutoencoder: expected tied_weights=False, got True: this decoder does not mirror the encoder."
            )

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        image = self.layout(input_shape)
        encoder, decoder = super()._layers(image)
        if input_shape != image and not self.encoder:
            encoder = [Reshape(image), *encoder]
        if input_shape != image and not self.decoder:
            decoder = [*decoder, Reshape(input_shape)]
        return encoder, decoder

    # ---------------------------------------------------------------- shapes

    def layout(self, shape: Shape) -> Shape:
        """Return the (C, H, W) of examples of this shape; with layers of your own, the shape itself if it is not an
        image's. Raises ValueError for shapes that the default layers do not support."""
        image = self._image(shape)
        if self.encoder and self.decoder:
            return image or shape
        low, high = SIDES
        if image is not None and min(image[1:]) >= low and max(image[1:]) <= high:
            return image
        raise ValueError(
            f"ConvAutoencoder: expected images (C, H, W) of {low} to {high} pixels for the default layers, "
            f"got {shape}{f' with image_shape={self.image_shape}' if self.image_shape else ''}. For flat rows set "
            "image_shape=(C, H, W); for other sizes pass layers of your own: encoder=[Conv2d(16, 3, 2, 1), ReLU(), "
            "Flatten(), Linear(32)] and decoder=[...] that ends in the images' shape."
        )

    def _image(self, shape: Shape) -> Shape | None:
        """Return the (C, H, W) of examples of this shape, of any size; None if they are not images."""
        stored = self._stored(shape)
        side = math.isqrt(math.prod(stored))
        if stored == (side * side,):
            stored = (side, side)
        if len(stored) == 2:
            stored = (1, *stored)
        if len(stored) != 3 or math.prod(stored) != math.prod(shape):
            return None
        return (stored[2], *stored[:2]) if channels_last(stored) else stored

    def _stored(self, shape: Shape) -> Shape:
        """Return the shape of an image in the user's layout: `image_shape` for flat examples, if given."""
        flat = len(shape) == 1 and self.as_built.image_shape
        return tuple(self.as_built.image_shape if flat else shape)

    @property
    def channels_last_(self) -> Shape | None:
        """(H, W, C) if the user's images are channels-last, else None; the network is channels-first."""
        return self._channels_last(self.input_shape_)

    def _channels_last(self, shape: Shape) -> Shape | None:
        stored = self._stored(shape)
        return stored if len(stored) == 3 and channels_last(stored) else None

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        shape = tuple(input_shape)
        if self._channels_last(shape):
            shape = self.layout(input_shape)
        side = max((self._image(shape) or shape)[1:], default=0)
        if state is None and not self.goes_on:
            self._large = self.as_built.epochs == AUTO and side > LARGE
        built = self.as_built
        planned = built.epochs == AUTO and not (self.encoder or self.decoder)
        decay = PUBLISHED
        if planned and not self._compact(shape):
            elu = self._left_open.get("activation") == AUTO and built.activation == "elu"
            decay = OF_NOISE if elu else LONG
        # A tanh at the code of such images saturates at once.
        vast = self._large and side > 2 * LARGE
        self._settle_auto(
            weight_decay=decay,
            code_activation="identity" if vast else "tanh",
            output_activation="tanh",
        )
        super()._build(shape, state)

    def _channels_first(self, X: np.ndarray) -> np.ndarray:
        """Return images X as (N, C, H, W) if they are channels-last, else X."""
        stored = self._channels_last(X.shape[1:])
        if stored is None:
            return X
        if isinstance(X, Rows):
            return X.then(self._channels_first, self.layout(X.shape[1:]), X.dtype)  # type: ignore[return-value]
        images = X.reshape(-1, *stored)
        return np.ascontiguousarray(np.moveaxis(images, -1, 1))

    def _learn_scale(self, X: Any, weights: np.ndarray | None = None) -> np.ndarray:
        return super()._learn_scale(self._channels_first(X), weights)

    def scaled(self, X: Any) -> np.ndarray:
        return super().scaled(self._channels_first(X))

    def unscaled(self, Z: Any) -> np.ndarray:
        X = super().unscaled(Z)
        if self.channels_last_ is None:
            return X
        images = np.moveaxis(X, 1, -1)
        return images.reshape(-1, *self.input_shape_)

    def _suited(self, X: np.ndarray) -> dict[str, str]:
        built = self.as_built
        left_open = built.epochs == built.scaling == built.output_activation == AUTO
        if not left_open or self.encoder or self.decoder or not low_contrast(X):
            return {}
        found = {"scaling": "standard", "output_activation": "identity"}
        if built.activation == AUTO and like_noise(X):
            found["activation"] = "elu"
        return found

    def _train(self, examples: Examples, watched: Examples | None) -> None:
        rate = self.as_built.learning_rate
        own_layers = self.encoder or self.decoder
        if self._rate_falls and not callable(rate) and not own_layers:
            image = self.layout(self.input_shape_)
            if not self._compact(image) and len(self._shrinkings(image)) > SHALLOW:
                self._settle(learning_rate=WarmUp(Cosine(rate), CLIMB))
        super()._train(examples, watched)
        self._settle(learning_rate=rate)

    # ---------------------------------------------------------------- layers

    def _new_encoder(self, image: Shape) -> list[Layer]:
        layers: list[Layer] = []
        if self._compact(image):
            first, second, third = self.hidden
            layers += [*self._block(Conv2d, first, 3, 3, 1), MaxPool2d(2, 2)]
            layers += [*self._block(Conv2d, second, 3, 2, 1), MaxPool2d(2, 1)]
            layers += self._block(Conv2d, third, 2)
        else:
            for channels, _, stride in self._shrinkings(image):
                layers += self._block(Conv2d, channels, stride + 1, stride, stride // 2)
        return [*layers, Flatten(), *self._code_layers()]

    def _new_decoder(self, encoder: list[Layer], image: Shape) -> list[Layer]:
        """Return a transposed convolution for each of the encoder's, starting from the last one's output shape."""
        transposed: list[tuple[Any, ...]]
        if self._compact(image):
            first, second, third = self.hidden
            shape: Shape = (third, 1, 1)
            transposed = [(second, 2), (first, 3, 2), (max(1, first // 2), 5, 3, 1), (1, 2, 2, 1)]
        else:
            shrinkings = self._shrinkings(image)
            channels, last, stride = shrinkings[-1]
            shape = (channels, *shrunk(last, stride))
            widths = [image[0], *(channels for channels, _, _ in shrinkings[:-1])]
            transposed = [
                # output padding: stride (n - 1) + 1 + this is the size before the convolution
                (width, stride + 1, stride, stride // 2, tuple((n - 1) % stride for n in size))
                for width, (_, size, stride) in zip(widths, shrinkings, strict=True)
            ][::-1]
        layers = [
            self._linear(math.prod(shape)),
            activation(self.hidden_activation),
            Reshape(shape),
        ]
        for geometry in transposed:
            layers += self._block(ConvTranspose2d, *geometry)
        return [*layers[:-2], *self._output_layers()]

    def _compact(self, shape: Shape) -> bool:
        """Return True if examples of this shape use the layers designed for IMAGE."""
        return self.layout(shape) == IMAGE and not self._large

    def _shrinkings(self, image: Shape) -> list[tuple[int, Shape, int]]:
        """Return (output channels, input height and width, stride) of each convolution."""
        size = image[1:]
        least = 2 * SMALL if self._large else SMALL
        found: list[tuple[int, Shape, int]] = []
        while max(size) > least:
            stride = 4 if self._large and max(size) > 2 * LARGE else 2
            found.append((self.hidden[min(len(found), 2)], size, stride))
            size = shrunk(size, stride)
        return found

    def _block(self, layer: type, *geometry: Any) -> list[Layer]:
        """[convolution, f, BatchNorm]"""
        convolution = layer(*geometry, init=self.initializer, bias_init=self._biases)
        return [convolution, activation(self.hidden_activation), BatchNorm()]
