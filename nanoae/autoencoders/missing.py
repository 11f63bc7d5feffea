"""Missing values: what a network makes of the inputs that are not there."""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.weights import weighed_blocks
from nanoae.backend import Array, Shape
from nanoae.engine.layers import Layer


class FillMissing(Layer):
    """y = x where x is a number, center where it is NaN;  dx = dy, and 0 where x is NaN.

    center (D,) is state, not learned by gradients: 0 until somebody writes the columns' means there. With the loss
    Masked a network then trains on rows with gaps, which it is neither told nor asked about.
    """

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.state["center"] = self.ops.zeros(in_shape, self.dtype)
        return in_shape

    def learn_means(self, X: np.ndarray, weights: np.ndarray | None) -> None:
        """center = each feature's mean over the rows of X (N, ...) that have it, of which row n counts weights[n]
        times."""
        total = np.zeros(X.shape[1:])
        count = np.zeros(X.shape[1:])
        for block, w in weighed_blocks(X, weights):
            known = ~np.isnan(block)
            filled = np.where(known, block, 0)
            total += (w * filled).sum(axis=0, dtype=np.float64)
            count += (w * known).sum(axis=0)
        mean = total / np.where(count, count, 1)
        center = self.ops.to_device(mean.reshape(self.in_shape), self.dtype)
        self.ops.copy(center, out=self.state["center"])

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = x if train else None
        y = self.buffer("y", x.shape)
        return self.ops.fill_missing(x, x, self.state["center"], out=y)

    def backward(self, dy: Array) -> Array | None:
        x = self.take_cache()
        if not self.need_dx:
            return None
        dx = self.buffer("dx", dy.shape)
        return self.ops.fill_missing(dy, x, 0.0, out=dx)
