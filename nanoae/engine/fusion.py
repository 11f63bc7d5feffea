"""Fusion: a built network rewritten into fewer passes over memory, with the same parameters and the same results.

The plain layers stay as they are; `fuse(network)` is what the training loop runs, unless told fuse=False.
"""

from __future__ import annotations

from nanoae.engine.conv import Convolution
from nanoae.engine.layers import ACTIVATIONS, Elementwise, Layer, Linear, TiedLinear
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


class LinearActivation(InPlace):
    """y = f(x W + b) of a Linear, where a device may add the bias and apply f in one pass over memory, and likewise
    make dz = dy · f'(z) and db = Σ_n dz[n] in one."""

    layer: Linear

    def __init__(self, layer: Linear, activation: Elementwise):
        super().__init__(layer, activation)
        name = next(name for name, cls in ACTIVATIONS.items() if cls is type(activation))
        self.f = name, tuple(activation.config().values())

    def forward(self, x, train=False):
        linear, ops = self.layer, self.layer.ops
        linear.check_input(x)
        W, b = linear.params.values()
        y = ops.affine_activation(x, W, b, *self.f, out=linear.buffer("y", (len(x), *linear.out_shape)))
        self.cache = (x, y) if train else None
        return y

    def backward(self, dy):
        linear, ops, (x, y) = self.layer, self.layer.ops, self.take_cache()
        dW, db = linear.grads.values()
        dz = ops.activation_backward_bias(dy, y, *self.f, db=db, out=dy)
        ops.matmul(x.T, dz, out=dW)
        for term in linear.also:
            ops.add_inplace(dW, term)
        return ops.matmul(dz, linear.params["W"].T, out=linear.buffer("dx", x.shape)) if linear.need_dx else None


def fuse(network: Sequential) -> Sequential:
    """`network` with every activation behind one of NEED_NO_OUTPUT in place; theta, grad and all views are shared."""
    layers: list[Layer] = []
    for layer in network.layers:
        if layers and isinstance(layer, Elementwise) and isinstance(layers[-1], NEED_NO_OUTPUT):
            before = layers[-1]
            if type(before) is Linear and type(layer) in ACTIVATIONS.values():
                layers[-1] = LinearActivation(before, layer)
            else:
                layers[-1] = InPlace(before, layer)
        else:
            layers.append(layer)
    fused = Sequential(layers)
    vars(fused).update({name: value for name, value in vars(network).items() if name != "layers"})
    return fused
