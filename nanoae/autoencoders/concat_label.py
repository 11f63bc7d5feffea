"""ConcatLabel: append a label to the input and the code, so that the code need not encode it (Sohn 2015, the CVAE)."""

from __future__ import annotations

import math
from collections.abc import Callable

from nanoae.backend import Array, Shape, ThreadLocal
from nanoae.configurable import configurable
from nanoae.engine.layers import Layer


class ConcatLabel(Layer):
    """First layer of a conditional network: map flat rows x = [example, c] to the encoder's input.

    shape    shape of an example: (D,), or (C, H, W), where each number of c becomes a constant channel
    n        length of the one-hot label c

    Shapes   x (N, D + n)    y (N, D + n), or (N, C + n, H, W)

    Backward  dx = [dy of the example, Σ over pixels of dy of c]; `ConcatSharedLabel`, which also uses c, adds its term
              through `extra_grads`
    """

    c = ThreadLocal()

    def __init__(self, shape: Shape, n: int) -> None:
        self.shape = tuple(shape)
        self.n = n

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.extra_grads: list[Callable[[], Array]] = []
        self.size = math.prod(self.shape)
        right = in_shape == (self.size + self.n,)
        self.check_shape(right, f"rows of {self.size} + {self.n} numbers")
        return (self.shape[0] + self.n, *self.shape[1:])

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = True if train else None
        self.c = x[:, self.size :]
        if len(self.shape) == 1:
            return x
        y = self.buffer("y", (len(x), *self.out_shape))
        channels, *image = self.shape
        examples = x[:, : self.size].reshape(len(x), *self.shape)
        labels = self.c.reshape(len(x), self.n, *[1] * len(image))
        self.ops.copy(examples, out=y[:, :channels])
        self.ops.copy(labels, out=y[:, channels:])
        return y

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        if not self.need_dx:
            return None
        dx = self.buffer("dx", (len(dy), *self.in_shape))
        channels = self.shape[0]
        of_examples = dx[:, : self.size].reshape(len(dy), *self.shape)
        self.ops.copy(dy[:, :channels], out=of_examples)

        def over_pixels(dy: Array) -> Array:
            of_labels = dy[:, channels:].reshape(len(dy), self.n, -1)
            return of_labels.sum(axis=2)

        dc = self.ops.call(over_pixels, dy)
        for more in self.extra_grads:
            self.ops.add_inplace(dc, more())
        self.ops.copy(dc, out=dx[:, self.size :])
        return dx


@configurable
class ConcatSharedLabel(Layer):
    """y = [x, c] with the condition c that `source` read in the same forward.

    Shapes    x (N, K)    c (N, n)    y (N, K + n)

    Backward  dx = dy[:, :K];  dc = dy[:, K:] goes to `source`
    """

    source: ConcatLabel

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(len(in_shape) == 1, "codes (N, K)")
        self.source.extra_grads.append(lambda: self.dc)
        return (in_shape[0] + self.source.n,)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = True if train else None
        y = self.buffer("y", (len(x), *self.out_shape))
        k = x.shape[1]
        self.ops.copy(x, out=y[:, :k])
        self.ops.copy(self.source.c, out=y[:, k:])
        return y

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        k = self.in_shape[0]
        self.dc = dy[:, k:]
        dx = self.buffer("dx", (len(dy), k))
        return self.ops.copy(dy[:, :k], out=dx)

    def __repr__(self) -> str:
        return f"ConcatSharedLabel({self.source.n})"
