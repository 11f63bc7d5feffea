"""Normalisation: standardise rows of numbers to mean 0 and variance 1, then apply a learned scale and shift.

The backward of  x̂ = (x - mean) / sqrt(var + eps)  is the same for any row of M numbers: a feature's or an example's.
mean and var depend on each x of the row, with ∂mean/∂x = 1 / M and ∂var/∂x = 2 (x - mean) / M, so

    dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) / sqrt(var + eps)

that is dx̂ without its components along 1 and x̂: shifting or scaling a row does not change x̂.
"""

from __future__ import annotations

import math
from typing import ClassVar

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.image import ImageLayer, batch_first
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer


@configurable
class BatchNorm(ImageLayer):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, per feature or channel. Ioffe & Szegedy 2015.

    In training, mean and var are the batch's (var = Σ (x - mean)² / M, M values per feature) and update the running
    ones: running = (1 - momentum) running + momentum · batch, with M - 1 in place of M in the variance, as in PyTorch.
    Otherwise they are the running ones.

    Shapes    x, y, dx, dy (N, D), M = N, or (N, C, H, W), M = N·H·W    gamma, beta, running mean and var (D,) or (C,)

    Backward  dgamma = Σ dy x̂      dbeta = Σ dy         over all axes but the feature axis
              dx = gamma / sqrt(var + eps) · (dy - dbeta / M - x̂ dgamma / M)      since dx̂ = gamma dy
    """

    bounds: ClassVar = {"momentum": "[0, 1]", "eps": "[0, inf)"}
    momentum: float = 0.1
    eps: float = 1e-5

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(len(in_shape) in (1, 3), "inputs of shape (N, D) or (N, C, H, W)")
        self.state["mean"] = self.ops.zeros(in_shape[0], self.dtype)
        self.state["var"] = self.ops.zeros(in_shape[0], self.dtype)
        self.state["var"][...] = 1
        return in_shape

    def parameters(self) -> dict[str, Parameter]:
        shape = self.in_shape[:1]
        return {"gamma": (shape, init.ones), "beta": (shape, init.zeros)}

    def rows(self, x: Array, name: str) -> Array:
        """Return x with one row per feature: (D, N) or (C, H·W·N)."""
        if x.ndim == 2:
            return x.T
        x = self.batch_last(x, name)
        return x.reshape(len(x), -1)

    def rows_of(self, name: str, n: int) -> Array:
        """Return the buffer `name` as rows of n examples."""
        if len(self.in_shape) == 1:
            return self.buffer(name, (n, *self.in_shape)).T
        x = self.memory(name, (*self.in_shape, n))
        return x.reshape(len(x), -1)

    def whole(self, rows: Array) -> Array:
        """Return `rows` in the shape of x."""
        if len(self.in_shape) == 1:
            return rows.T
        return batch_first(rows.reshape(*self.in_shape, -1))

    def center(self, rows: Array, mean: Array, var: Array, out: Array) -> int:
        """out = rows - mean; write the batch's mean and var. Return M."""
        self.ops.center(rows, mean, var, out=out)
        return int(rows.shape[1])

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        ops = self.ops
        rows = self.rows(x, "x")
        y = self.rows_of("y", len(x))
        gamma, beta = self.params.values()
        running_mean, running_var = self.state.values()
        mean, var, inv, scale, shift = self.buffer("statistics", (5, len(rows)))
        if train:
            centered = self.rows_of("centered", len(x))
            m = self.center(rows, mean, var, out=centered)
            if m < 2:
                wanted = "at least 2 values per feature in training"
                raise self.mistake(wanted, m, "Use larger batches.")
            share = self.momentum
            ops.axpby_inplace(running_mean, share, mean, 1 - share)
            ops.axpby_inplace(running_var, share * m / (m - 1), var, 1 - share)
            ops.rsqrt(var, self.eps, out=inv)
            ops.multiply(inv, gamma, out=scale)
            ops.affine_rows(centered, scale, beta, out=y)  # scale (x - mean) + beta
            self.cache = centered, inv, scale
        else:
            ops.rsqrt(running_var, self.eps, out=inv)
            ops.multiply(inv, gamma, out=scale)
            ops.multiply(running_mean, scale, out=shift)
            ops.axpby_inplace(shift, 1.0, beta, -1.0)  # beta - scale · mean
            ops.affine_rows(rows, scale, shift, out=y)
            self.cache = None
        return self.whole(y)

    def backward(self, dy: Array) -> Array | None:
        centered, inv, scale = self.take_cache()
        rows = self.rows(dy, "dy")
        dgamma, dbeta = self.grads.values()
        dx = self.ops.center_backward(rows, centered, inv, scale, dbeta, dgamma, out=centered)
        return self.whole(dx) if self.need_dx else None


@configurable
class LayerNorm(Layer):
    """y = gamma x̂ + beta, x̂ = (x - mean) / sqrt(var + eps) with the mean and var of each example. Ba et al. 2016.

    axes      number of trailing axes that are normalised together: 1 is the last axis; for images, 3 is (C, H, W)

    Shapes    x, y, dx, dy (N, ..., *S), S the last `axes` sizes    gamma, beta S    M = ∏ S values per row

    Backward  dgamma = Σ dy x̂      dbeta = Σ dy         over all rows        dx as above, with dx̂ = dy gamma
    """

    bounds: ClassVar = {"axes": "[1, inf)", "eps": "[0, inf)"}
    axes: int = 1
    eps: float = 1e-5

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(self.axes <= len(in_shape), f"inputs of at least {self.axes} axes after N")
        self.size = math.prod(in_shape[-self.axes :])
        return in_shape

    def parameters(self) -> dict[str, Parameter]:
        shape = self.in_shape[-self.axes :]
        return {"gamma": (shape, init.ones), "beta": (shape, init.zeros)}

    def flat(self, arrays: dict[str, Array]) -> list[Array]:
        return [array.reshape(-1) for array in arrays.values()]

    def rows(self, x: Array, name: str) -> Array:
        """Return x as a contiguous (R, M)."""
        return self.contiguous(x, name).reshape(-1, self.size)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        ops = self.ops
        gamma, beta = self.flat(self.params)
        rows = self.rows(x, "x")
        x_hat = self.buffer("x_hat", rows.shape)
        y = self.buffer("y", rows.shape)
        mean, var, inv = self.memory("statistics", (3, len(rows)))
        ops.center(rows, mean, var, out=x_hat)
        ops.rsqrt(var, self.eps, out=inv)
        ops.scale_inplace(x_hat, inv[:, None])
        ops.multiply(x_hat, gamma, out=y)
        ops.add_bias_inplace(y, beta)
        self.cache = (x_hat, inv) if train else None
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array | None:
        x_hat, inv = self.take_cache()
        ops = self.ops
        gamma, _ = self.flat(self.params)
        dgamma, dbeta = self.flat(self.grads)
        rows = self.rows(dy, "dy")
        dx = self.buffer("dx", x_hat.shape)
        product = ops.multiply(rows, x_hat, out=dx)
        ops.sum_rows(product, out=dgamma)
        ops.sum_rows(rows, out=dbeta)
        if not self.need_dx:
            return None
        dx_hat = ops.multiply(rows, gamma, out=dx)
        ones = ops.ones(len(dx), self.dtype)
        sums, dots = self.memory("sums", (2, len(dx)))
        ops.center_backward(dx_hat, x_hat, ones, inv, sums, dots, out=x_hat)
        return x_hat.reshape(dy.shape)
