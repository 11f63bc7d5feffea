"""Pooling and upsampling: layers without parameters that change the size of images."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.backend.images import Window
from nanoae.configurable import configurable
from nanoae.engine.image import ImageLayer, Pair, batch_first


@configurable
class Pooling(ImageLayer):
    """Base of pooling layers: a window that slides over each channel.

    kernel, stride, padding   as in Conv2d; stride=None means stride = kernel; padding is at most half the kernel

    Shapes    x, dx (N, C, H, W)    y, dy (N, C, OH, OW)    OH = floor((H + 2 padding - KH) / stride) + 1
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def __post_init__(self) -> None:
        stride = self.kernel if self.stride is None else self.stride
        self.window = self.window_of(self.kernel, stride, self.padding)
        (kh, kw), _, (ph, pw) = self.window
        if 2 * ph > kh or 2 * pw > kw:
            wanted = f"padding of at most half the kernel {self.kernel}"
            raise ValueError(f"{type(self).__name__}: expected {wanted}, got {self.padding}.")

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_image(in_shape)
        return (in_shape[0], *self.steps(*in_shape[1:]))


class MaxPool2d(Pooling):
    """y[n, c, oh, ow] = max over the window of x[n, c]; padding is -∞. Arguments and shapes: see Pooling.

    Backward  y equals one x of the window, which receives dy; in a tie, the first in row-major order. Where windows
              overlap, a pixel's gradient sums over the windows whose maximum it is.
    """

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        x = self.batch_last(x, "x")
        n = x.shape[-1]
        y = self.memory("y", (*self.out_shape, n))
        self.ops.max_pool(x, self.window, out=y)
        self.cache = (x, y) if train else None
        return batch_first(y)

    def backward(self, dy: Array) -> Array | None:
        x, y = self.take_cache()
        if not self.need_dx:
            return None
        dx = self.memory("dx", (*self.in_shape, len(dy)))
        dy = self.batch_last(dy, "dy")
        self.ops.max_pool_backward(dy, x, y, self.window, out=dx)
        return batch_first(dx)


class Summing(ImageLayer):
    """Base of layers that sum over windows, or do the adjoint: spread each pixel over a window.

    spreads   False if forward sums and backward spreads; True for the reverse
    """

    spreads = False

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = train or None
        return self.moved(x, "y", self.out_shape, self.spreads)

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        if not self.need_dx:
            return None
        return self.moved(dy, "dx", self.in_shape, not self.spreads)

    def moved(self, x: Array, name: str, shape: Shape, spread: bool) -> Array:
        """Sum x (N, C, H, W) over windows, or spread its pixels over them, into a buffer `name` of this shape."""
        primitive = self.ops.spread_windows if spread else self.ops.sum_windows
        scale = 1.0 if self.spreads else 1 / self.window.area  # sums become means
        out = self.memory(name, (*shape, len(x)))
        x = self.batch_last(x, f"{name} of")
        primitive(x, self.window, scale, out=out)
        return batch_first(out)


class AvgPool2d(Pooling, Summing):
    """y[n, c, oh, ow] = mean over the window of x[n, c], padding zeros included. Arguments and shapes: see Pooling.

    Backward  y is linear in x: each pixel of the window receives dy / (KH·KW).
    """


@configurable
class Upsample(Summing):
    """y[n, c, h, w] = x[n, c, h // factor, w // factor]: each pixel is repeated factor x factor times.

    Shapes    x, dx (N, C, H, W)    y, dy (N, C, H·factor, W·factor)    factor: an int, or a pair (rows, columns)

    Backward  dx sums over all copies of a pixel.
    """

    spreads = True

    factor: Pair

    def __post_init__(self) -> None:
        pair = self.pair("factor", self.factor, 1)
        self.window = Window(pair, pair, (0, 0))

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_image(in_shape)
        channels, height, width = in_shape
        rows, columns = self.window.kernel
        return channels, height * rows, width * columns
