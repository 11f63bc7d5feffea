"""Convolutions: Conv2d and its adjoint, ConvTranspose2d. Read `Conv2d` first; the other runs it backwards.

Both relate an image (C, H, W), the larger side, to a feature map (K, OH, OW) through weights W (K, C, KH, KW). As
matrices, W is (K, C·KH·KW), a map is (K, OH·OW·N), and each column of im2col(image) (C·KH·KW, OH·OW·N) holds the patch
under one kernel position. Then

    map = W im2col(image)              Conv2d forward,           ConvTranspose2d backward
    image = im2colᵀ(Wᵀ map)            ConvTranspose2d forward,  Conv2d backward;   im2colᵀ = col2im
    dW = map im2col(image)ᵀ            both; the output side is replaced by its gradient

(Dumoulin & Visin 2016. As usual in deep learning, "convolution" is cross-correlation: the kernel is not flipped.)
"""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.image import ImageLayer, Pair, batch_first
from nanoae.engine.init import Parameter


class Convolution(ImageLayer):
    """Base of both directions: the three formulas above, on (C, H, W, N) arrays."""

    image_shape: Shape = ()  # (C, H, W), set by build
    map_shape: Shape = ()  # (K, OH, OW)

    @property
    def W(self) -> Array:
        """The weights as a (K, C·KH·KW) matrix."""
        return self.params["W"].reshape(self.map_shape[0], -1)

    @property
    def dW(self) -> Array:
        return self.grads["W"].reshape(self.map_shape[0], -1)

    def columns(self, n: int) -> Array:
        """Return the buffer (C, KH, KW, OH, OW, N) for im2col of n images."""
        shape = (self.image_shape[0], *self.window.kernel, *self.map_shape[1:], n)
        return self.memory("cols", shape)

    def im2col(self, image: Array) -> Array:
        """Return the columns (C·KH·KW, OH·OW·N), valid until the next im2col or to_image."""
        cols = self.columns(image.shape[-1])
        self.ops.im2col(image, self.window, out=cols)
        return cols.reshape(self.W.shape[1], -1)

    def to_map(self, cols: Array, name: str, n: int) -> Array:
        """map = W cols, for n images."""
        y = self.memory(name, (*self.map_shape, n))
        self.ops.matmul(self.W, cols, out=flat(y))
        return y

    def to_image(self, x: Array, name: str) -> Array:
        """image = col2im(Wᵀ map)."""
        n = x.shape[-1]
        W = self.W
        cols = self.columns(n)
        self.ops.matmul(W.T, flat(x), out=cols.reshape(W.shape[1], -1))
        image = self.memory(name, (*self.image_shape, n))
        return self.ops.col2im(cols, self.window, out=image)

    def weight_gradient(self, side: Array, cols: Array) -> None:
        """dW = map colsᵀ, computed as (cols mapᵀ)ᵀ: BLAS is up to 1.6 times faster with the longer side first."""
        dW = self.buffer("dW", (len(cols), len(side)))
        self.ops.matmul(cols, flat(side).T, out=dW)
        self.ops.copy(dW.T, out=self.dW)

    def add_bias(self, y: Array) -> Array:
        """y[k] += b[k]; return y as (N, K, OH, OW) or (N, C, H, W)."""
        self.ops.add_bias_inplace(flat(y).T, self.params["b"])
        return batch_first(y)

    def bias_gradient(self, dy: Array) -> None:
        """db[k] = Σ dy[k] over batch and pixels."""
        self.ops.sum_rows(flat(dy).T, out=self.grads["b"])


def flat(side: Array) -> Array:
    """View a map (K, OH, OW, N) as a matrix (K, OH·OW·N), or an image (C, H, W, N) as (C, H·W·N)."""
    return side.reshape(len(side), -1)


@configurable
class Conv2d(Convolution):
    """Convolution  y[n, k, oh, ow] = b[k] + Σ_cij W[k, c, i, j] x[n, c, s·oh + i - p, s·ow + j - p],  x = 0 outside.

    n_out          K, output channels
    kernel         (KH, KW), or one int for both; the same for stride and padding
    stride         s, distance between neighbouring kernel positions
    padding        p, width of the border of zeros around x

    Shapes    x, dx (N, C, H, W)    y, dy (N, K, OH, OW)    W, dW (K, C, KH, KW), as in PyTorch    b, db (K,)
              OH = floor((H + 2 p - KH) / s) + 1

    Backward  y = W im2col(x) + b is affine in the columns, so
              dW = dy im2col(x)ᵀ
              db = Σ_n,oh,ow dy
              dx = col2im(Wᵀ dy)    a pixel's gradient sums over all columns that contain it
    """

    n_out: int
    kernel: Pair
    stride: Pair = 1
    padding: Pair = 0
    init: str = "he_uniform"
    bias_init: str = "zeros"

    def __post_init__(self) -> None:
        self.window = self.window_of(self.kernel, self.stride, self.padding)

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.extra_grads: list[Array] = []  # further terms of dW, from layers that share W
        self.check_image(in_shape)
        self.image_shape = in_shape
        self.map_shape = (self.n_out, *self.steps(*in_shape[1:]))
        return self.map_shape

    def parameters(self) -> dict[str, Parameter]:
        channels = self.image_shape[0]
        return {
            "W": ((self.n_out, channels, *self.window.kernel), self.init),
            "b": ((self.n_out,), self.bias_init),
        }

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        cols = self.im2col(self.batch_last(x, "x"))
        self.cache = cols if train else None
        y = self.to_map(cols, "y", len(x))
        return self.add_bias(y)

    def backward(self, dy: Array) -> Array | None:
        cols = self.take_cache()
        dy = self.batch_last(dy, "dy")
        self.weight_gradient(dy, cols)  # dW = dy im2col(x)ᵀ
        self.bias_gradient(dy)
        for dW in self.extra_grads:
            self.ops.add_inplace(self.grads["W"], dW)
        if not self.need_dx:
            return None
        dx = self.to_image(dy, "dx")
        return batch_first(dx)


@configurable
class ConvTranspose2d(Convolution):
    """Adjoint of a convolution: the map from dy to dx of Conv2d's backward, plus a bias. It enlarges images.

    Every input pixel x[n, k, h, w] adds a multiple of the kernel W[k] to the output, starting at (s·h - p, s·w - p):
    y[n, c, s·h + i - p, s·w + j - p] += W[k, c, i, j] x[n, k, h, w].  Terms outside y are dropped.

    n_out            output channels, C
    kernel, stride, padding   those of the convolution that this layer is the adjoint of
    output_padding   extra rows and columns at the end. A convolution with stride s > 1 maps s input sizes to one output
                     size; this selects which of them the adjoint restores

    Shapes    x, dx (N, K, H, W)    y, dy (N, C, OH, OW)    W, dW (K, C, KH, KW), as in PyTorch    b, db (C,)
              OH = (H - 1) s - 2 p + KH + output_padding

    Backward  y = col2im(Wᵀ x) + b, and the adjoint of col2im is im2col, so
              dx = W im2col(dy)     a convolution
              dW = x im2col(dy)ᵀ
              db = Σ_n,oh,ow dy
    """

    n_out: int
    kernel: Pair
    stride: Pair = 1
    padding: Pair = 0
    output_padding: Pair = 0
    init: str = "he_uniform"
    bias_init: str = "zeros"

    def __post_init__(self) -> None:
        self.window = self.window_of(self.kernel, self.stride, self.padding)
        self.extra = self.pair("output_padding", self.output_padding, 0)
        rows, columns = self.window.stride
        if self.extra[0] >= rows or self.extra[1] >= columns:
            wanted = f"output_padding < stride {self.stride}"
            raise ValueError(f"ConvTranspose2d: expected {wanted}, got {self.output_padding}.")

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_image(in_shape)
        size = []
        for n, k, s, p, e in zip(in_shape[1:], *self.window, self.extra, strict=True):
            size.append((n - 1) * s - 2 * p + k + e)
        if min(size) < 1:
            got = f"{size[0]} x {size[1]} from {in_shape[1]} x {in_shape[2]}"
            raise self.mistake("an output of at least 1 x 1", got, "Less padding makes it larger.")
        self.map_shape = in_shape
        self.image_shape = (self.n_out, *size)
        return self.image_shape

    def parameters(self) -> dict[str, Parameter]:
        draw = init.get(self.init)
        kernel, stride, _ = self.window
        # Average number of kernel elements that contribute to one output
        share = 1.0
        for k, s in zip(kernel, stride, strict=True):
            share *= max(1, k / s)

        def adjoint(rng: init.Generator, shape: Shape, fan_in: float, fan_out: float) -> Array:
            return draw(rng, shape, shape[0] * share, fan_in)  # the convolution's fan_in

        return {
            "W": ((self.map_shape[0], self.n_out, *kernel), adjoint),
            "b": ((self.n_out,), self.bias_init),
        }

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        x = self.batch_last(x, "x")
        self.cache = x if train else None
        y = self.to_image(x, "y")
        return self.add_bias(y)

    def backward(self, dy: Array) -> Array | None:
        x = self.take_cache()
        dy = self.batch_last(dy, "dy")
        cols = self.im2col(dy)
        self.weight_gradient(x, cols)  # dW = x im2col(dy)ᵀ
        self.bias_gradient(dy)
        if not self.need_dx:
            return None
        dx = self.to_map(cols, "dx", dy.shape[-1])
        return batch_first(dx)


class TiedConvTranspose2d(ConvTranspose2d):
    """Adjoint of `source`, a Conv2d, with tied weights and its own bias:  y = col2im(Wᵀ x) + b.

    Shapes    x, dx (N, K, OH, OW), source's output    y, dy (N, C, H, W), its input    b, db (C,)

    Backward  as in `TiedLinear`: dW = x im2col(dy)ᵀ, which `source` adds to its own dW.
    """

    def __init__(self, source: Conv2d, bias_init: str = "zeros"):
        self.source = source
        self.bias_init = bias_init
        self.window = source.window

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_source(self.source)
        self.map_shape = in_shape
        self.image_shape = self.source.in_shape
        shape, _ = self.source.parameters()["W"]
        self.term = self.ops.empty(shape, self.dtype)
        self.source.extra_grads.append(self.term)
        return self.image_shape

    def parameters(self) -> dict[str, Parameter]:
        return {"b": (self.image_shape[:1], self.bias_init)}

    @property
    def W(self) -> Array:
        return self.source.W

    @property
    def dW(self) -> Array:
        return self.term.reshape(self.map_shape[0], -1)
