"""Activations: y = f(x), element by element. Read `ReLU` first."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar

from nanoae.backend import Array
from nanoae.configurable import configurable
from nanoae.engine.layers import Layer
from nanoae.spelling import instance


class Elementwise(Layer):
    """Base of elementwise activations y = f(x). A subclass names its `primitive`, or defines `f` and `df`.

    primitive   "elu" stands for ops.elu(x, alpha, out) and ops.elu_backward(dy, kept, alpha, out); alpha is in `bounds`
    kept        what backward needs: "y" if f' is a function of y, else "x"
    """

    primitive = ""
    kept = "y"

    @property
    def settings(self) -> tuple[float, ...]:
        """The values of the arguments in `bounds`, in the order in which the primitive takes them."""
        return tuple(getattr(self, name) for name in self.bounds)

    def f(self, x: Array, out: Array) -> Array:
        primitive = getattr(self.ops, self.primitive)
        return primitive(x, *self.settings, out=out)

    def df(self, dy: Array, kept: Array, out: Array) -> Array:
        primitive = getattr(self.ops, f"{self.primitive}_backward")
        return primitive(dy, kept, *self.settings, out=out)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        y = self.f(x, out=self.buffer("y", x.shape))
        kept = y if self.kept == "y" else x
        self.cache = kept if train else None
        return y

    def backward(self, dy: Array) -> Array | None:
        kept = self.take_cache()
        if not self.need_dx:
            return None
        dx = self.buffer("dx", kept.shape)
        return self.df(dy, kept, out=dx)


class Identity(Layer):
    """y = x,  dx = dy."""

    primitive = "identity"

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = True if train else None
        return x

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        return dy


class ReLU(Elementwise):
    """y = max(x, 0),  dx = dy · [y > 0]."""

    primitive = "relu"


@configurable
class LeakyReLU(Elementwise):
    """y = x where x > 0, else slope · x,  dx = dy · (1 or slope). Maas 2013."""

    primitive = "leaky_relu"
    bounds: ClassVar = {"slope": "[0, 1]"}
    slope: float = 0.01


@configurable
class ELU(Elementwise):
    """y = x where x > 0, else alpha (eˣ - 1),  dx = dy · (1 or y + alpha). Clevert 2016."""

    primitive = "elu"
    bounds: ClassVar = {"alpha": "(0, inf)"}
    alpha: float = 1.0


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ),  dx = dy · y (1 - y)."""

    primitive = "sigmoid"


class Tanh(Elementwise):
    """y = tanh x,  dx = dy · (1 - y²)."""

    primitive = "tanh"


class Softplus(Elementwise):
    """y = log(1 + eˣ),  dx = dy · sigmoid(x) = dy · (1 - e⁻ʸ)."""

    primitive = "softplus"


class GELU(Elementwise):
    """y = x / 2 · (1 + h),  h = tanh(√(2/π) (x + 0.044715 x³)): Hendrycks & Gimpel 2016, their tanh form (PyTorch's
    approximate="tanh"), within 5e-4 of the exact x Φ(x).

    Backward  dx = dy · (1 + h + x (1 - h²) √(2/π) (1 + 3 · 0.044715 x²)) / 2
    """

    primitive = "gelu"
    kept = "x"


class SiLU(Elementwise):
    """y = x s,  dx = dy · s (1 + x (1 - s)),  s = sigmoid(x). Elfwing 2018; Swish of Ramachandran 2017."""

    primitive = "silu"
    kept = "x"


KINDS = (Identity, ReLU, LeakyReLU, ELU, Sigmoid, Tanh, Softplus, GELU, SiLU)
ACTIVATIONS: dict[str, type[Layer]] = {kind.primitive: kind for kind in KINDS}


def activation(name: str | Layer | Callable[[], Layer], what: str = "activation") -> Layer:
    """Return the layer for `name`: a known name, a layer (copied), or a class or function that makes one."""
    found: Layer = instance(what, name, Layer, ACTIVATIONS, ", or a layer")
    return copy.deepcopy(found)
