"""Gradient checks: is backward the derivative of forward?

For a unit direction d,  (L(p + eps d) - L(p - eps d)) / (2 eps)  is the derivative of L along d up to O(eps²); backward
says it is  grad · d. In float64 with eps = 1e-5 a right backward agrees to about nine digits.

A check like this cannot see a forward that is the wrong mathematics: that takes a second test. `trace/gradcheck.py`
goes through a whole network like this, and says how far apart is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nanoae.backend import Array
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential


class MisplacedGradient(Exception):
    """A backward has left a gradient in another array, or of another shape, than it has to."""


@dataclass
class GradientCheck:
    """The number L that a float64 network is asked for, its gradient by backward, and its differences.

    L is the loss of x (N, ...) and its targets t, or without a loss Σ R · y with a random R (an R of ones would be
    nearly blind: a softmax's rows sum to 1 whatever happens); and what layers add to it. Noise is drawn once, and kept.

    eps      of the differences
    inputs   what each layer is given, and behind the last one what the loss is
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
        """L, where layer `start` is given x; by default what it is given anyway."""
        x = self.inputs[start] if x is None else x
        y = self.net.forward(x, train=True, start=start)
        if self.loss is None:
            loss = self.net.ops.sum_products(self.upstream, y)
        else:
            loss = self.loss.forward(y, self.t)
        return float(loss) + float(self.net.penalty())

    def gradient(self, x: Array, start: int = 0) -> Array:
        """dL/dx by backward, where layer `start` is given x; net.grad has that of the layers from there on."""
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
                    raise MisplacedGradient(f"{where}: {grad} is another array than before. {hint}")
            wanted = self.inputs[i].shape
            if dx is None or dx.shape != wanted:
                got = "None" if dx is None else f"of shape {dx.shape}"
                raise MisplacedGradient(f"{where}: dx, expected of shape {wanted}, got {got}")
        return dx.copy()

    def both_sides(
        self, array: Array, directions: np.ndarray, start: int | None = None
    ) -> Iterator[tuple[float, float]]:
        """L at array - eps d and at array + eps d, of each direction d; array is then what it was, to the bit.

        array   what layer `start` is given, or where that is None a part of theta, or x
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
