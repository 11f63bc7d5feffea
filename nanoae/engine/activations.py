"""Activations: y = f(x), element by element. Read `ReLU` first.

A new one is a class here, a primitive and its backward in `backend/activations.py`, a line in `backend/kernels.cu`, and
a name in ACTIVATIONS.
"""

from __future__ import annotations

import copy

from nanoae.backend import Array
from nanoae.engine.layers import Layer
from nanoae.spelling import one_of


class Elementwise(Layer):
    """The base of y = f(x), element by element. A subclass says `f`, and `df`: dx from dy and what forward kept.

    kept   "y": f' is a function of y;  "x": it takes x itself
    """

    kept = "y"

    def f(self, x: Array, out: Array) -> Array:
        raise NotImplementedError

    def df(self, dy: Array, kept: Array, out: Array) -> Array:
        raise NotImplementedError

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        y = self.f(x, out=self.buffer("y", x.shape))
        self.cache = (y if self.kept == "y" else x) if train else None
        return y

    def backward(self, dy: Array) -> Array | None:
        kept = self.take_cache()
        return self.df(dy, kept, out=self.buffer("dx", kept.shape)) if self.need_dx else None


class Identity(Layer):
    """y = x,  dx = dy."""

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = True if train else None
        return x

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        return dy


class ReLU(Elementwise):
    """y = max(x, 0),  dx = dy · [y > 0]."""

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.relu(x, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.relu_backward(dy, y, out=out)


class LeakyReLU(Elementwise):
    """y = x where x > 0, else slope · x,  dx = dy · (1 or slope). Maas 2013."""

    def __init__(self, slope: float = 0.01):
        if not 0 <= slope <= 1:
            raise ValueError(f"LeakyReLU: expected a slope in [0, 1], got {slope}.")
        self.slope = slope

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.leaky_relu(x, self.slope, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.leaky_relu_backward(dy, y, self.slope, out=out)


class ELU(Elementwise):
    """y = x where x > 0, else alpha (eˣ - 1),  dx = dy · (1 or y + alpha). Clevert 2016."""

    def __init__(self, alpha: float = 1.0):
        if alpha <= 0:
            raise ValueError(f"ELU: expected alpha > 0, got {alpha}.")
        self.alpha = alpha

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.elu(x, self.alpha, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.elu_backward(dy, y, self.alpha, out=out)


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ),  dx = dy · y (1 - y)."""

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.sigmoid(x, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.sigmoid_backward(dy, y, out=out)


class Tanh(Elementwise):
    """y = tanh x,  dx = dy · (1 - y²)."""

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.tanh(x, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.tanh_backward(dy, y, out=out)


class Softplus(Elementwise):
    """y = log(1 + eˣ),  dx = dy · sigmoid(x) = dy · (1 - e⁻ʸ)."""

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.softplus(x, out=out)

    def df(self, dy: Array, y: Array, out: Array) -> Array:
        return self.ops.softplus_backward(dy, y, out=out)


class GELU(Elementwise):
    """y = x / 2 · (1 + h),  h = tanh(√(2/π) (x + 0.044715 x³)): Hendrycks & Gimpel 2016, their tanh form (PyTorch's
    approximate="tanh"), within 5e-4 of the exact x Φ(x).

    Backward  dx = dy · (1 + h + x (1 - h²) √(2/π) (1 + 3 · 0.044715 x²)) / 2
    """

    kept = "x"

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.gelu(x, out=out)

    def df(self, dy: Array, x: Array, out: Array) -> Array:
        return self.ops.gelu_backward(dy, x, out=out)


class SiLU(Elementwise):
    """y = x s,  dx = dy · s (1 + x (1 - s)),  s = sigmoid(x). Elfwing 2018; Swish of Ramachandran 2017."""

    kept = "x"

    def f(self, x: Array, out: Array) -> Array:
        return self.ops.silu(x, out=out)

    def df(self, dy: Array, x: Array, out: Array) -> Array:
        return self.ops.silu_backward(dy, x, out=out)


ACTIVATIONS: dict[str, type[Layer]] = {
    "identity": Identity,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
    "gelu": GELU,
    "silu": SiLU,
}


def activation(name: str | Layer, what: str = "activation") -> Layer:
    """The activation layer called `name`, or a copy of the layer; ValueError otherwise, with the known names and `what`
    it is for."""
    if isinstance(name, Layer):
        return copy.deepcopy(name)
    return ACTIVATIONS[one_of(what, name, ACTIVATIONS, ", or a layer")]()
