"""Bottlenecks: what an autoencoder's code has to pass, in training and in use."""

from __future__ import annotations

from nanoae.engine.layers import Layer


class TopK(Layer):
    """y = x · mask, mask = 1 for the k largest of each row, else 0: a code of k units out of K, the best for each row.

    Sparse by construction instead of by a penalty (Makhzani & Frey 2013, "k-sparse autoencoders", where x is linear).

    k         units that stay, 1 .. K
    alpha     >= 1: outside training round(alpha k) stay; the paper found a few more than in training to be better

    Backward  dx = dy · mask: where no two are equal, a small change of x leaves the mask as it is
    """

    def __init__(self, k: int, alpha: float = 1.0):
        if k < 1 or k != int(k):
            raise ValueError(f"TopK: expected k, a whole number >= 1, got {k}.")
        if not alpha >= 1:
            raise ValueError(f"TopK: expected alpha >= 1, got {alpha}.")
        self.k, self.alpha = k, alpha

    def resolve(self, in_shape):
        if len(in_shape) != 1 or in_shape[0] < self.k:
            got = ", ".join(map(str, in_shape))
            raise ValueError(f"{self}: expected a code (N, K) with K >= {self.k}, got (N, {got}).")
        return in_shape

    def forward(self, x, train=False):
        k = self.k if train else min(round(self.alpha * self.k), self.in_shape[0])
        mask = self.ops.top_k_mask(x, k, out=self.buffer("mask", x.shape))
        self.cache = mask if train else None
        return self.ops.multiply(x, mask, out=self.buffer("y", x.shape))

    def backward(self, dy):
        return self.ops.multiply(dy, self.take_cache(), out=self.buffer("dx", dy.shape))
