"""Missing values: a layer that replaces them in the network's input."""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.weights import weighed_blocks
from nanoae.backend import Array, Shape
from nanoae.engine.layers import Layer


class FillMissing(Layer):
    """y = x, or `center` where x is NaN;  dx = dy, or 0 where x is NaN.

    center (D,) is state without a gradient: 0 until `learn_means` sets the columns' means. With the loss Masked, a
    network can train on rows with missing values.
    """

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.state["center"] = self.ops.zeros(in_shape, self.dtype)
        return in_shape

    def learn_means(self, X: np.ndarray, weights: np.ndarray | None) -> None:
        """Set center to each feature's mean over the known values in X (N, ...), with weights (N,) of the rows."""
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
