"""KernelOps: the primitives of layers, losses and optimisers as launches of the kernels in kernels.cu."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.array_ops import Array
from nanoae.backend.codes import LOGVAR_MAX, STD_MAX
from nanoae.backend.images import Window
from nanoae.backend.kernels import (
    ACTIVATIONS,
    Kernels,
    alike,
    flat,
    now_or_there,
    or_numpy,
    table,
    vectors,
)
from nanoae.backend.ops import Ops


class KernelOps(Kernels):
    """Same names, same signatures as `Ops`, which computes what a kernel does not take (`or_numpy`)."""

    # ---------------------------------------------------------------- activations
    @or_numpy
    def affine_activation(
        self, x: Array, W: Array, b: Array, f: str, a: tuple[float, ...], out: Array, z: Array | None = None
    ) -> Array:  # fmt: skip
        z = out if z is None else z
        if not (alike(out, z) and flat(out, z, b)):
            return NotImplemented
        z = self.matmul(x, W, out=z)
        return self._bias_activation(z, b, f, *a, out=out)

    @or_numpy
    def activation_backward_bias(
        self, dy: Array, y: Array, f: str, a: tuple[float, ...], db: Array, out: Array
    ) -> Array:
        if not (table(y, db) and alike(y, dy, out)):
            return NotImplemented
        number = ACTIVATIONS.index(f)
        self._sum("activation_backward_bias", y.T, dy, y, out, number, float(*a), out=db)
        return out

    @or_numpy
    def softmax(self, x: Array, out: Array | None = None) -> Array:
        out = self.empty(x.shape, x.dtype) if out is None else out
        if not (alike(x, out) and flat(x, out) and x.size):
            return NotImplemented
        d = x.shape[-1]
        n = x.size // d
        self._launch("softmax", x.dtype, self._blocks(n, d), x, out, n, d)
        return out

    @or_numpy
    def clip(self, x: Array, low: float, high: float, out: Array | None = None) -> Array:
        out = self.xp.empty_like(x) if out is None else out
        if not alike(x, out):
            return NotImplemented
        self._each("clip", x, x, out, float(low), float(high))
        return out

    @or_numpy
    def clip_backward(
        self, dy: Array, y: Array, low: float, high: float, out: Array | None = None
    ) -> Array:
        out = self.xp.empty_like(y) if out is None else out
        if not alike(y, dy, out):
            return NotImplemented
        self._each("clip_backward", y, dy, y, out, float(low), float(high))
        return out

    @or_numpy
    def top_k_mask(self, x: Array, k: int, out: Array) -> Array:
        if not (alike(x, out) and flat(x, out)):
            return NotImplemented
        if x.size:
            self._launch("top_k_mask", x.dtype, self._blocks(*x.shape), x, out, k, *x.shape)
        return out

    # ---------------------------------------------------------------- losses

    @or_numpy
    def bernoulli_kl(self, q: Array, p: float, scale: float, out: Array) -> Array:
        if not alike(q, out):
            return NotImplemented
        return self._sum("bernoulli_kl", q, q, float(p), out, scale=scale)

    @or_numpy
    def l1_norm(self, x: Array, scale: float, out: Array) -> Array:
        if not alike(x, out):
            return NotImplemented
        return self._sum("l1_norm", x, x, out, scale=scale)

    @or_numpy
    def softmax_cross_entropy(
        self, z: Array, t: Array, scale: float, out: Array, weights: Array | None = None
    ) -> Array:
        known = alike(z, out) and vectors(t) and t.dtype == np.int64 and z.size
        if not (known and flat(z, out, *([] if weights is None else [weights]))):
            return NotImplemented
        losses = self.scratch(out[:, 0], "losses")
        grid = self._blocks(*z.shape)
        arguments = (z, t, weights, float(scale), out, losses, *z.shape)
        self._launch("softmax_cross_entropy", z.dtype, grid, *arguments)
        return self._sum("sum", losses, losses, scale=scale)

    # ---------------------------------------------------------------- optimisers

    def _rate(self, rate) -> tuple[Any, float]:
        """A learning rate for a kernel, in device memory or as a number. RuntimeError for a number in work that is
        recorded, where it would stay what it is."""
        there, now = now_or_there(rate)
        if there is None and self.recording is not None:
            raise RuntimeError("an optimiser within a layer counts its steps on the host")
        return there, float(now)

    @or_numpy
    def decay_inplace(self, theta: Array, rate, decay: float) -> Array:
        if not alike(theta):
            return NotImplemented
        self._each("decay", theta, theta, *self._rate(rate), float(decay))
        return theta

    @or_numpy
    def sgd_inplace(
        self,
        theta: Array,
        grad: Array,
        velocity: Array | None,
        lr: float,
        momentum: float,
        nesterov: bool,
    ) -> Array:
        if not alike(theta, grad, *([] if velocity is None else [velocity])):
            return NotImplemented
        settings = (*self._rate(lr), float(momentum), int(nesterov))
        self._each("sgd", theta, theta, grad, velocity, *settings)
        return theta

    @or_numpy
    def adam_inplace(
        self,
        theta: Array,
        grad: Array,
        m: Array,
        v: Array,
        t: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
    ) -> Array:
        if not alike(theta, grad, m, v):
            return NotImplemented
        settings = (*now_or_there(t), *self._rate(lr), float(beta1), float(beta2), float(eps))
        self._each("adam", theta, theta, grad, m, v, *settings)
        return theta

    # ---------------------------------------------------------------- windows of images

    def _windows(
        self, name: str, image: Array, steps: Array, window: Window, arrays: tuple[Array, ...],
        *numbers: float,
    ) -> Array:  # fmt: skip
        """A block for each row of the last of `arrays`; image (C, H, W, N), steps (..., OH, OW, N)."""
        out = arrays[-1]
        if not flat(*arrays):
            return NotImplemented
        if out.size:
            rows = math.prod(out.shape[:-2])
            pairs = (*window.kernel, *window.stride, *window.padding)
            sizes = (*image.shape, *steps.shape[-3:-1], *pairs)
            grid = self._blocks(rows, out.size // rows)
            self._launch(name, out.dtype, grid, *arrays, *numbers, *sizes)
        return out

    @or_numpy
    def im2col(self, x: Array, window: Window, out: Array) -> Array:
        return self._windows("im2col", x, out, window, (x, out))

    @or_numpy
    def col2im(self, cols: Array, window: Window, out: Array) -> Array:
        return self._windows("col2im", out, cols, window, (cols, out))

    @or_numpy
    def max_pool(self, x: Array, window: Window, out: Array) -> Array:
        return self._windows("max_pool", x, out, window, (x, out))

    @or_numpy
    def max_pool_backward(self, dy: Array, x: Array, y: Array, window: Window, out: Array) -> Array:
        return self._windows("max_pool_backward", x, y, window, (dy, x, y, out))

    @or_numpy
    def sum_windows(self, x: Array, window: Window, scale: float, out: Array) -> Array:
        return self._windows("sum_windows", x, out, window, (x, out), float(scale))

    @or_numpy
    def spread_windows(self, y: Array, window: Window, scale: float, out: Array) -> Array:
        return self._windows("spread_windows", out, y, window, (y, out), float(scale))

    # ---------------------------------------------------------------- normalisation, of rows x (R, M)

    @or_numpy
    def sum_products_rows(self, x: Array, y: Array, out: Array) -> Array:
        if not (table(x, out) and alike(x, y)):
            return NotImplemented
        return self._sum("sum_products", x, x, y, None, out=out)

    @or_numpy
    def center(self, x: Array, mean: Array, var: Array, out: Array) -> Array:
        if not (table(x, mean, var) and alike(x, out)):
            return NotImplemented
        scale = 1 / x.shape[1]
        self._sum("sum", x, x, out=mean, scale=scale)
        self._sum("center", x, x, mean, out, out=var, scale=scale)
        return out

    @or_numpy
    def rsqrt(self, x: Array, eps: float, out: Array) -> Array:
        if not alike(x, out):
            return NotImplemented
        self._each("inverse_root", x, x, float(eps), out)
        return out

    @or_numpy
    def affine_rows(self, x: Array, a: Array, b: Array, out: Array) -> Array:
        if not (table(x, a, b) and alike(x, out)):
            return NotImplemented
        self._each("affine_rows", x, x, a, b, out, *self._lines(x))
        return out

    @or_numpy
    def center_backward(
        self,
        dy: Array,
        xc: Array,
        inv: Array,
        scale: Array,
        sum_dy: Array,
        sum_dy_x: Array,
        out: Array,
    ) -> Array:
        sums = (inv, scale, sum_dy, sum_dy_x)
        if not (table(dy, *sums) and alike(dy, xc, out)):
            return NotImplemented
        self._sum("sum", dy, dy, out=sum_dy)
        self._sum("sum_products", dy, dy, xc, inv, out=sum_dy_x)
        self._each("center_backward", dy, dy, xc, *sums, out, *self._lines(dy))
        return out

    # ---------------------------------------------------------------- sequences

    @or_numpy
    def gru_step(self, a: Array, u: Array, h: Array, gates: Array, out: Array) -> Array:
        if not (alike(a, u, gates) and alike(h, out) and flat(a, u, gates, h, out)):
            return NotImplemented
        self._each("gru_step", h, a, u, h, gates, out, h.shape[1])
        return out

    @or_numpy
    def gru_step_backward(
        self, dy: Array, gates: Array, u: Array, h: Array, da: Array, du: Array, out: Array
    ) -> Array:
        wide = (gates, u, da, du)
        narrow = (h, dy, out)
        if not (alike(*wide) and alike(*narrow) and flat(*wide, *narrow)):
            return NotImplemented
        self._each("gru_step_backward", h, dy, gates, u, h, da, du, out, h.shape[1])
        return out

    # ---------------------------------------------------------------- random codes

    @or_numpy
    def reparametrise(self, x: Array, noise: Array, std: Array, out: Array) -> Array:
        if not (alike(noise, std, out) and flat(x, noise, std, out)):
            return NotImplemented
        self._each("reparametrise", out, x, noise, std, out, LOGVAR_MAX, noise.shape[1])
        return out

    @or_numpy
    def reparametrise_backward(self, dz: Array, noise: Array, std: Array, out: Array) -> Array:
        if not (alike(dz, noise, std) and flat(dz, noise, std, out)):
            return NotImplemented
        self._each("reparametrise_backward", dz, dz, noise, std, out, STD_MAX, dz.shape[1])
        return out

    @or_numpy
    def gaussian_kl(self, x: Array, std: Array, beta: Array, free: float, out: Array) -> Array:
        if free or not (alike(x, out) and flat(x, std, beta, out)):
            return NotImplemented
        arguments = (x, std, beta, out, LOGVAR_MAX, *std.shape)
        return self._sum("gaussian_kl", std, *arguments, scale=0.5 / len(std))


def by_kernel(f: str, kernel: str, primitive: str) -> Callable[..., Array]:
    """The activation f, or its backward, as a launch: of `primitive`, out = p(x, ..., *a)."""
    number = ACTIVATIONS.index(f)
    arrays = primitive.count("_backward") + 1

    @or_numpy
    @functools.wraps(getattr(Ops, primitive))
    def launch(self, *arguments, out: Array | None = None) -> Array:
        read = arguments[:arrays]
        a = arguments[arrays:]
        out = self.xp.empty_like(read[-1]) if out is None else out
        if not alike(*read, out):
            return NotImplemented
        self._each(kernel, out, *read, out, number, float(*a))
        return out

    return launch


def by_loss(name: str) -> Callable[..., Array]:
    """The loss of that name, whose kernel leaves its gradient in `out`, as a launch."""

    @or_numpy
    @functools.wraps(getattr(Ops, name))
    def launch(self, y: Array, t: Array, *arguments, **named) -> Array:
        *own, scale, out = *arguments, *named.values()  # in the order of the signature
        if not (flat(out) and y.dtype == t.dtype == out.dtype):
            return NotImplemented
        y = y if y.flags.c_contiguous else self.copy(y, out=self.scratch(out, "y"))
        t = t if t.flags.c_contiguous else self.copy(t, out=self.scratch(out, "t"))
        return self._sum(name, y, y, t, *map(float, own), out, scale=scale)

    return launch


for name in ("mse", "bce", "l1", "huber"):
    setattr(KernelOps, name, by_loss(name))
for f in ACTIVATIONS[1:]:
    setattr(KernelOps, f, by_kernel(f, "activation", f))
    setattr(KernelOps, f"{f}_backward", by_kernel(f, "activation_backward", f"{f}_backward"))
