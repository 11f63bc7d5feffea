"""Gradient checks: is backward the derivative of forward?

For a unit direction d,  (L(p + eps d) - L(p - eps d)) / (2 eps)  is the derivative of L along d up to O(eps²); backward
gives it as  grad · d. In float64 with eps = 1e-5 a correct backward agrees to about nine digits.

A gradient check cannot detect a forward that computes the wrong formula: that needs a separate test.
`trace/gradcheck.py` checks a whole network this way and sets the tolerances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nanoae.backend import Array
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential


class MisplacedGradient(Exception):
    """Raised if backward rebinds a gradient array, or returns a dx of the wrong shape."""


@dataclass
class GradientCheck:
    """A scalar L of a float64 network, with its gradient by backward and its central differences.

    L is the loss of x (N, ...) and targets t, plus the layers' penalties. Without a loss it is Σ R · y with a random R
    (R = 1 would hide errors: the rows of a softmax sum to 1 whatever its input). Noise is drawn once and kept.

    eps      step of the differences
    inputs   the input of each layer, then the network's output
    """

    net: Sequential
    x: Array
    t: Array | None
    loss: Loss | None
    rng: np.random.Generator
    eps: float = 1e-5

    def __post_init__(self) -> None:
        ops = self.net.ops
        self.inputs = [ops.to_device(self.x, self.net.dtype).copy()]
        for layer in self.net.layers:
            layer.need_dx = True
            y = layer.forward(self.inputs[-1], train=True)
            self.inputs.append(y.copy())
        self.net.freeze_noise(True)
        upstream = self.rng.standard_normal(self.inputs[-1].shape)
        self.upstream = ops.to_device(upstream, self.net.dtype)
        if self.loss is not None:
            self.t = ops.to_device(self.t)
            self.loss.build(ops, self.net.dtype)

    def value(self, x: Array | None = None, start: int = 0) -> float:
        """Return L with x as the input of layer `start`; by default its recorded input."""
        x = self.inputs[start] if x is None else x
        y = self.net.forward(x, train=True, start=start)
        if self.loss is None:
            loss = self.net.ops.sum_products(self.upstream, y)
        else:
            loss = self.loss.forward(y, self.t)
        return float(loss) + float(self.net.penalty())

    def gradient(self, x: Array, start: int = 0) -> Array:
        """Return dL/dx for the input x of layer `start`, by backward; net.grad gets the gradients from `start` on."""
        self.value(x, start)
        dx = self.upstream if self.loss is None else self.loss.backward()
        for i in reversed(range(start, len(self.net.layers))):
            layer = self.net.layers[i]
            views = dict(layer.grads)
            dx = layer.backward(dx)
            where = f"layer {i}, {type(layer).__name__}"
            for name, view in views.items():
                if layer.grads[name] is not view:
                    grad = f'self.grads["{name}"]'
                    hint = f"Write into it: {grad}[...] = ..."
                    raise MisplacedGradient(f"{where}: {grad} was rebound to another array. {hint}")
            wanted = self.inputs[i].shape
            if dx is None or dx.shape != wanted:
                got = "None" if dx is None else f"one of shape {dx.shape}"
                raise MisplacedGradient(f"{where}: expected dx of shape {wanted}, got {got}")
        return dx.copy()

    def both_sides(
        self, array: Array, directions: np.ndarray, start: int | None = None
    ) -> Iterator[tuple[float, float]]:
        """Yield (L(array - eps d), L(array + eps d)) for each direction d. `array` is restored bit for bit.

        array   the input of layer `start`, or if that is None a slice of theta, or x
        """
        ops = self.net.ops
        before = array.copy()
        for d in directions:
            step = ops.to_device(self.eps * d.reshape(array.shape), array.dtype)
            values = []
            for there in (before - step, before + step):
                ops.copy(there, out=array)
                values.append(self.value() if start is None else self.value(array, start))
            ops.copy(before, out=array)
            yield values[0], values[1]
