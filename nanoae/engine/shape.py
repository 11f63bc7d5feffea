"""Layers that only change the shape: nothing is computed, and usually nothing is copied."""

from __future__ import annotations

import math

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine.layers import Layer


@configurable
class Reshape(Layer):
    """y = x as (N, *shape), in C order;  dx = dy as (N, *in_shape).

    shape   shape of one example: (64, 1, 1); one size may be -1 and is then inferred
    """

    shape: Shape

    def infer_shape(self, in_shape: Shape) -> Shape:
        wanted = [int(n) for n in self.shape]
        size = math.prod(in_shape)
        if wanted.count(-1) == 1:
            rest = -math.prod(wanted)
            left = size // rest if rest > 0 else 0
            wanted[wanted.index(-1)] = left
        if math.prod(wanted) != size or min(wanted, default=1) < 1:
            expected = f"a shape with {size} elements, like the input {in_shape}"
            raise self.mistake(expected, self.shape)
        return tuple(wanted)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = train or None
        return self.contiguous(x, "y").reshape(len(x), *self.out_shape)

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        return self.contiguous(dy, "dx").reshape(len(dy), *self.in_shape)


class Flatten(Reshape):
    """Reshape to vectors: x (N, C, H, W) -> y (N, C·H·W)."""

    def __init__(self) -> None:
        super().__init__((-1,))
