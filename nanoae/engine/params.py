"""Parameters: one flat `theta` and one flat `grad` for a whole network; layers hold named views of them.

Optimiser, save, load, gradient norm, device move and gradient check then each act on one array.
"""

from __future__ import annotations

import math

import numpy as np

from nanoae.backend import Array, Ops
from nanoae.engine.layers import Layer


class Parameters:
    """The parameters of a list of built layers, initialised from `generator`.

    theta, grad   (P,) flat arrays on the device
    slices        (layer number, name) -> the slice of theta that holds that parameter
    """

    def __init__(self, ops: Ops, layers: list[Layer], dtype, generator: np.random.Generator):
        self.ops = ops
        self.slices: dict[tuple[int, str], slice] = {}
        start, values = 0, []
        for i, layer in enumerate(layers):
            for name, (shape, initializer) in layer.parameters().items():
                fan_in, fan_out = fans(shape)
                values.append(initializer(generator, shape, fan_in, fan_out).ravel())
                self.slices[i, name] = slice(start, start + math.prod(shape))
                start += math.prod(shape)
        self.theta = ops.zeros(start, dtype)
        self.grad = ops.zeros(start, dtype)
        if values:
            ops.copy(ops.to_device(np.concatenate(values), dtype), out=self.theta)
        for (i, name), where in self.slices.items():
            shape = layers[i].parameters()[name][0]
            layers[i].params[name] = self.view(self.theta, where, shape)
            layers[i].grads[name] = self.view(self.grad, where, shape)

    @staticmethod
    def view(flat: Array, where: slice, shape: tuple[int, ...]) -> Array:
        return flat[where].reshape(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: (I, O) for a Linear; (K, C, KH, KW) for a convolution, where each output sees
    C · KH · KW inputs."""
    if len(shape) == 4:
        field = shape[2] * shape[3]
        return shape[1] * field, shape[0] * field
    return shape[0], shape[-1]
