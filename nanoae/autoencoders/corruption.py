"""Corruption: noise on the input in training, with clean targets, as in a denoising autoencoder.

To reconstruct x from a corrupted x, the network must learn which inputs are likely: the code learns the structure of
the data instead of the identity (Vincent 2010, "Stacked denoising autoencoders"). `transform` does not corrupt.

Each corruption is a layer: for fixed noise, y is a function of x, and backward is its derivative.
"""

from __future__ import annotations

from typing import ClassVar

from nanoae.backend import Array
from nanoae.configurable import configurable
from nanoae.engine.layers import Dropout, Noisy


@configurable
class GaussianNoise(Noisy):
    """In training y = x + std · noise,  noise ~ N(0, 1), clipped to [low, high] if `clip` is given. Otherwise y = x.

    std     >= 0, in units of the data
    clip    None, or (low, high): y = min(max(x + std · noise, low), high)

    Backward  dx = dy, and 0 where y was clipped
    """

    bounds: ClassVar = {"std": "[0, inf)"}

    std: float
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.clip is not None and not (len(self.clip) == 2 and self.clip[0] < self.clip[1]):
            raise ValueError(
                f"GaussianNoise: expected clip=(low, high) with low < high, or None, got {self.clip}."
            )

    def draw(self, noise: Array) -> Array:
        return self.ops.normal(self.generator, out=noise)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = None
        if not train:
            return x
        y = self.ops.copy(x, out=self.buffer("y", x.shape))
        self.ops.axpby_inplace(y, self.std, self.noise(x.shape), 1.0)  # y = std · noise + x
        if self.clip is not None:
            self.ops.clip(y, *self.clip, out=y)
        self.cache = y
        return y

    def backward(self, dy: Array) -> Array | None:
        y = self.take_cache()
        if not self.need_dx:
            return None
        if self.clip is None:
            return dy
        dx = self.buffer("dx", dy.shape)
        return self.ops.clip_backward(dy, y, *self.clip, out=dx)


@configurable
class MaskingNoise(Dropout):
    """In training y = x · mask, mask = 0 with probability p, else 1;  dx = dy · mask. Otherwise y = x.

    Dropout without the factor 1 / (1 - p): the remaining elements keep their values.

    p       probability of setting an element to 0, in [0, 1)
    """

    p: float = 0.3

    def draw(self, noise: Array) -> Array:
        return self.ops.keep_mask(self.generator, 1 - self.p, 1.0, out=noise)


@configurable
class SaltAndPepper(Dropout):
    """In training y = x · mask + s · (1 - mask), mask = 0 with probability p, else 1, and s = low or high with equal
    probability;  dx = dy · mask. Otherwise y = x.

    p           probability of replacing an element, in [0, 1)
    low, high   pepper and salt: minimum and maximum of the data
    """

    p: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"SaltAndPepper: expected low < high, got {self.low} and {self.high}.")

    def draw(self, noise: Array) -> Array:
        self.ops.keep_mask(self.generator, 1 - self.p, 1.0, out=noise)
        s = self.buffer("s", noise.shape)
        kept = self.buffer("y", noise.shape)
        self.ops.keep_mask(self.generator, 0.5, self.high - self.low, out=s)
        self.ops.add_inplace(s, self.low)
        self.ops.multiply(s, noise, out=kept)
        self.ops.axpby_inplace(s, -1.0, kept, 1.0)  # s · (1 - mask)
        return noise

    def forward(self, x: Array, train: bool = False) -> Array:
        y = super().forward(x, train)
        return self.ops.add_inplace(y, self.buffer("s", x.shape)) if train else y


CORRUPTIONS: dict[str, type] = {
    "gaussian": GaussianNoise,
    "masking": MaskingNoise,
    "salt_and_pepper": SaltAndPepper,
    "dropout": Dropout,
}
