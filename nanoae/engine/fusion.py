"""Fusion: a built network rewritten into fewer passes over memory, with the same parameters and the same results.

The plain layers stay as they are; `fuse(network)` is what the training loop runs, unless told fuse=False.
"""

from __future__ import annotations

from nanoae.engine.conv import Convolution
from nanoae.engine.layers import Elementwise, Layer, Linear, TiedLinear
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm

NEED_NO_OUTPUT = (Linear, TiedLinear, Convolution, BatchNorm)  # whose backward does not look at their y


class InPlace(Layer):
    """A layer and the activation behind it, in one buffer:  y = f(layer(x)).

    f overwrites the layer's own output, which that layer does not need again (a Linear's backward needs its input), and
    backward overwrites dy, which is a buffer of the layer above.
    """

    def __init__(self, layer: Layer, activation: Elementwise):
        self.layer, self.activation = layer, activation

    def forward(self, x, train=False):
        z = self.layer.forward(x, train)
        y = self.activation.f(z, out=z)
        self.cache = y if train else None
        return y

    def backward(self, dy):
        return self.layer.backward(self.activation.df(dy, self.take_cache(), out=dy))

    def __repr__(self):
        return f"{self.layer} + {self.activation}"


def fuse(network: Sequential) -> Sequential:
    """`network` with every activation behind one of NEED_NO_OUTPUT in place; theta, grad and all views are shared."""
    layers: list[Layer] = []
    for layer in network.layers:
        if layers and isinstance(layer, Elementwise) and isinstance(layers[-1], NEED_NO_OUTPUT):
            layers[-1] = InPlace(layers[-1], layer)
        else:
            layers.append(layer)
    fused = Sequential(layers)
    vars(fused).update({name: value for name, value in vars(network).items() if name != "layers"})
    return fused
