"""Pooling and its opposite: layers that change the size of images and learn nothing."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.backend.images import Window
from nanoae.configurable import configurable
from nanoae.engine.image import ImageLayer, Pair, batch_first


@configurable
class Pooling(ImageLayer):
    """The base: a window that slides over each channel.

    kernel, stride, padding   as a convolution's; stride=None is the kernel; padding at most half the kernel

    Shapes    x, dx (N, C, H, W)    y, dy (N, C, OH, OW)    OH = floor((H + 2 padding - KH) / stride) + 1
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def __post_init__(self) -> None:
        stride = self.kernel if self.stride is None else self.stride
        self.window = self.window_of(self.kernel, stride, self.padding)
        if any(2 * p > k for p, k in zip(self.window.padding, self.window.kernel, strict=True)):
            wanted = f"padding of at most half the kernel {self.kernel}"
            raise ValueError(f"{type(self).__name__}: expected {wanted}, got {self.padding}.")

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_image(in_shape)
        return (in_shape[0], *self.steps(*in_shape[1:]))


class MaxPool2d(Pooling):
    """y[n, c, oh, ow] = max over the window of x[n, c]; padding is -∞. Arguments and shapes: Pooling.

    Backward  y is one of the window's x, so dy goes to that one: to the first, row by row, where several are largest.
              Where windows overlap, a pixel's gradient sums over those that it won.
    """

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        x = self.batch_last(x, "x")
        y = self.memory("y", (*self.out_shape, x.shape[-1]))
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
    """The base of layers that sum over windows, or do the adjoint of that: spread each pixel over a window.

    spreads   whether forward does the second, and backward the first
    """

    spreads = False

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = train or None
        return self.moved(x, "y", self.out_shape, self.spreads)

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        return self.moved(dy, "dx", self.in_shape, not self.spreads) if self.need_dx else None

    def moved(self, x: Array, name: str, shape: Shape, spread: bool) -> Array:
        """Sums over windows of x (N, C, H, W), or what its pixels are spread to, of this shape, in memory `name`."""
        primitive = self.ops.spread_windows if spread else self.ops.sum_windows
        scale = 1.0 if self.spreads else 1 / self.window.area  # sums are means
        out = self.memory(name, (*shape, len(x)))
        x = self.batch_last(x, f"{name} of")
        primitive(x, self.window, scale, out=out)
        return batch_first(out)


class AvgPool2d(Pooling, Summing):
    """y[n, c, oh, ow] = mean over the window of x[n, c]; zeros of the padding count. Arguments and shapes: Pooling.

    Backward  y is linear in x: each pixel of the window receives dy / (KH·KW).
    """


@configurable
class Upsample(Summing):
    """y[n, c, h, w] = x[n, c, h // factor, w // factor]: a pixel becomes factor x factor equal ones.

    Shapes    x, dx (N, C, H, W)    y, dy (N, C, H·factor, W·factor)    factor: an int, or a pair for rows and columns

    Backward  x is used once for each of its copies, so dx sums over them.
    """

    spreads = True

    factor: Pair

    def __post_init__(self) -> None:
        pair = self.pair("factor", self.factor, 1)
        self.window = Window(pair, pair, (0, 0))

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_image(in_shape)
        rows, columns = self.window.kernel
        return (in_shape[0], in_shape[1] * rows, in_shape[2] * columns)
