"""Parameters: one flat `theta` and one flat `grad` for a whole network; layers hold named views of them.
Optimiser, save, load, gradient norm, device move and gradient check then each act on one array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops, Shape
from nanoae.engine.layers import Layer


class Parameters:
    """The parameters of a list of built layers: `values` (P,), or by default drawn by each one's initialiser.

    theta, grad   (P,) flat arrays on the device
    slices        (layer number, name) -> the slice of theta that holds that parameter
    views         what the layers have of both

    Raises ValueError where `values` has another size; then nothing was allocated, however large the layers.
    """

    def __init__(
        self,
        ops: Ops,
        layers: list[Layer],
        dtype: Any,
        rng: np.random.Generator,
        values: Array | None = None,
    ):
        self.slices: dict[tuple[int, str], slice] = {}
        parameters = [layer.parameters() for layer in layers]
        size = 0
        for i, own in enumerate(parameters):
            for name, (shape, _) in own.items():
                self.slices[i, name] = slice(size, size + math.prod(shape))
                size += math.prod(shape)
        if values is not None and values.shape != (size,):
            got = f"an array of shape {values.shape}"
            raise ValueError(f"parameters: expected {size:,} numbers, got {got}.")
        self.views: list[Array] = []
        self.theta = ops.empty(size, dtype)
        self.grad = ops.zeros(size, dtype)
        for (i, name), where in self.slices.items():
            layer = layers[i]
            (shape, initializer) = parameters[i][name]
            layer.params[name] = self.theta[where].reshape(shape)
            layer.grads[name] = self.grad[where].reshape(shape)
            self.views += layer.params[name], layer.grads[name]
            if values is None:
                drawn = initializer(rng, shape, *fans(shape))
                ops.copy(ops.to_device(drawn, dtype), out=layer.params[name])
        if values is not None:
            ops.copy(ops.to_device(values, dtype), out=self.theta)


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: (I, O) for a Linear; (K, C, KH, KW) for a convolution, where each output sees
    C · KH · KW inputs."""
    if len(shape) == 4:
        field = shape[2] * shape[3]
        return shape[1] * field, shape[0] * field
    return shape[0], shape[-1]
