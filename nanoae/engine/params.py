"""Parameters: one flat `theta` and one flat `grad` for a whole network; layers hold named views of them.
The optimiser, save, load, gradient norm, device moves and the gradient check each act on a single array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops, Shape
from nanoae.engine import init
from nanoae.engine.layers import Layer


class Parameters:
    """The parameters of a list of built layers: copied from `values` (P,), or by default drawn by the initialisers.

    theta, grad   (P,) flat arrays on the device
    slices        (layer index, name) -> the slice of theta with that parameter
    views         all views of theta and grad that the layers hold

    Raises ValueError if `values` has another size, before anything is allocated.
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
                end = size + math.prod(shape)
                self.slices[i, name] = slice(size, end)
                size = end
        if values is not None and values.shape != (size,):
            got = f"an array of shape {values.shape}"
            raise ValueError(f"parameters: expected {size:,} numbers, got {got}.")
        self.layers = layers
        self.rebind(ops.empty(size, dtype), ops.zeros(size, dtype))
        for i, name in self.slices:
            shape, initializer = parameters[i][name]
            draw = init.get(initializer)
            if values is None:
                drawn = draw(rng, shape, *fans(shape))
                ops.copy(ops.to_device(drawn, dtype), out=layers[i].params[name])
        if values is not None:
            ops.copy(ops.to_device(values, dtype), out=self.theta)

    def rebind(self, theta: Array, grad: Array) -> None:
        """Make the layers' parameters and gradients views of these arrays (P,), without copying any values."""
        self.theta = theta
        self.grad = grad
        self.views: list[Array] = []
        for (i, name), where in self.slices.items():
            layer = self.layers[i]
            shape, _ = layer.parameters()[name]
            layer.params[name] = theta[where].reshape(shape)
            layer.grads[name] = grad[where].reshape(shape)
            self.views += layer.params[name], layer.grads[name]


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out): of (I, O), or of (K, C, KH, KW), where each output depends on C · KH · KW inputs."""
    if len(shape) == 4:
        field = shape[2] * shape[3]
        return shape[1] * field, shape[0] * field
    return shape[0], shape[-1]
