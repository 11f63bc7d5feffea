"""Fusion: rewrites a built network into fewer passes over memory, with the same parameters and results.

The plain layers stay unchanged; the training loop runs `fuse(network)` unless fuse=False.
"""

from __future__ import annotations

import functools
from typing import Any, TypeGuard

from nanoae.backend import Array
from nanoae.engine.activations import ACTIVATIONS, Elementwise, Identity
from nanoae.engine.conv import Convolution
from nanoae.engine.layers import Layer, Linear, TiedLinear
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm


class InPlace(Layer):
    """A layer and the following activation in one buffer:  y = f(layer(x)).

    f overwrites the layer's output, which its backward does not need (a Linear's backward needs its input), and
    backward overwrites dy, a buffer of the next layer.
    """

    def __init__(self, layer: Layer, activation: Elementwise):
        self.layer = layer
        self.activation = activation

    def forward(self, x: Array, train: bool = False) -> Array:
        z = self.layer.forward(x, train)
        y = self.activation.f(z, out=z)
        self.cache = y if train else None
        return y

    def backward(self, dy: Array) -> Array | None:
        y = self.take_cache()
        dz = self.activation.df(dy, y, out=dy)
        return self.layer.backward(dz)

    def __repr__(self) -> str:
        return f"{self.layer} + {self.activation}"


class LinearActivation(InPlace):
    """y = f(x W + b) of a Linear. A device may add the bias and apply f in one pass over memory, and likewise compute
    dz = dy · f'(z) and db = Σ_n dz[n]."""

    layer: Linear

    def __init__(self, layer: Linear, activation: Any):
        super().__init__(layer, activation)
        self.f = activation.primitive
        self.keeps_x = getattr(activation, "kept", "y") == "x"  # f' is a function of z = x W + b

    @property
    def a(self) -> tuple[float, ...]:
        """The present parameters of f, which a callback may change."""
        return getattr(self.activation, "settings", ())

    def forward(self, x: Array, train: bool = False) -> Array:
        linear = self.layer
        shape = (len(x), *linear.out_shape)
        y = linear.buffer("y", shape)
        z = linear.buffer("z", shape) if self.keeps_x else y  # else f works in place
        self.apply(x, y, z)
        self.cache = (x, z) if train else None
        return y

    def apply(self, x: Array, y: Array, z: Array | None = None) -> Array:
        """y = f(x W + b); z as in `affine_activation`."""
        linear = self.layer
        linear.check_input(x)
        W, b = linear.params.values()
        return linear.ops.affine_activation(x, W, b, self.f, self.a, out=y, z=z)

    def backward(self, dy: Array) -> Array | None:
        linear = self.layer
        ops = linear.ops
        x, kept = self.take_cache()
        dW, db = linear.grads.values()
        if self.f == "identity":
            ops.sum_rows(dy, out=db)
            dz = dy
        else:
            dz = ops.activation_backward_bias(dy, kept, self.f, self.a, db=db, out=dy)
        ops.matmul(x.T, dz, out=dW)
        for term in linear.extra_grads:
            ops.add_inplace(dW, term)
        if not linear.need_dx:
            return None
        W = linear.params["W"]
        dx = linear.buffer("dx", x.shape)
        return ops.matmul(dz, W.T, out=dx)

    def __repr__(self) -> str:
        return repr(self.layer) if self.f == "identity" else super().__repr__()


# Layers whose backward does not use their output
NEED_NO_OUTPUT = (Linear, TiedLinear, Convolution, BatchNorm)


def has_methods(part: object) -> bool:
    """Return True if an instance overrides a method of its class; such parts are not fused or recorded."""
    own = methods(type(part))  # type: ignore[arg-type]
    return not own.isdisjoint(vars(part))


@functools.cache
def methods(kind: type) -> frozenset[str]:
    return frozenset(name for name in dir(kind) if callable(getattr(kind, name, None)))


def is_plain_linear(layer: Layer | None) -> TypeGuard[Linear]:
    return type(layer) is Linear and not has_methods(layer)


def fuse(network: Sequential, layers: list[Layer] | None = None) -> Sequential:
    """Return `network`, or a network of these layers of it, with every activation after one of NEED_NO_OUTPUT in place
    and every Linear as a LinearActivation; theta, grad and all views are shared."""
    fused: list[Layer] = []
    for layer in network.layers if layers is None else layers:
        before = fused[-1] if fused else None
        if not isinstance(layer, Elementwise) or has_methods(layer):
            fused.append(layer)
        elif is_plain_linear(before) and type(layer) in ACTIVATIONS.values():
            fused[-1] = LinearActivation(before, layer)
        elif layer.kept == "y" and isinstance(before, NEED_NO_OUTPUT):
            fused[-1] = InPlace(before, layer)
        else:
            fused.append(layer)
    for i, layer in enumerate(fused):
        if is_plain_linear(layer):
            fused[i] = LinearActivation(layer, Identity())
    return network.with_layers(fused)
