"""KernelOps: the primitives of layers, losses and optimisers as launches of the kernels in kernels.cu."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.array_ops import Array
from nanoae.backend.codes import LOGVAR_MAX, STD_MAX
from nanoae.backend.kernels import ACTIVATIONS, Kernels, alike, by_kernel, flat, table, vectors
from nanoae.backend.ops import Ops


class KernelOps(Kernels):
    """Same names and signatures as `Ops`, which is the fallback for arrays that a kernel does not support."""

    # ---------------------------------------------------------------- activations

    @by_kernel
    def affine_activation(self, x, W, b, f, a, out, z=None):
        z = out if z is None else z
        if not (alike(out, z) and flat(out, z, b)):
            return NotImplemented
        z = self.matmul(x, W, out=z)
        return self._bias_activation(z, b, f, *a, out=out)

    @by_kernel
    def activation_backward_bias(self, dy, y, f, a, db, out):
        if not (table(y, db) and alike(y, dy, out)):
            return NotImplemented
        number = ACTIVATIONS.index(f)
        self._sum("activation_backward_bias", y.T, dy, y, out, number, float(*a), out=db)
        return out

    @by_kernel
    def softmax(self, x, out=None):
        out = self._out(out, x)
        if not (alike(x, out) and flat(x, out) and x.size):
            return NotImplemented
        d = x.shape[-1]
        n = x.size // d
        self._launch("softmax", x.dtype, self._blocks(n, d), x, out, n, d)
        return out

    @by_kernel
    def clip(self, x, low, high, out=None):
        out = self._out(out, x)
        if not alike(x, out):
            return NotImplemented
        self._each("clip", x, out, float(low), float(high))
        return out

    @by_kernel
    def clip_backward(self, dy, y, low, high, out=None):
        out = self._out(out, y)
        if not alike(y, dy, out):
            return NotImplemented
        self._each("clip_backward", dy, y, out, float(low), float(high))
        return out

    @by_kernel
    def top_k_mask(self, x, k, out):
        if not (alike(x, out) and flat(x, out)):
            return NotImplemented
        if x.size:
            self._launch("top_k_mask", x.dtype, self._blocks(*x.shape), x, out, k, *x.shape)
        return out

    # ---------------------------------------------------------------- losses

    @by_kernel
    def bernoulli_kl(self, q, p, scale, out):
        if not alike(q, out):
            return NotImplemented
        return self._sum("bernoulli_kl", q, q, float(p), out, scale=scale)

    @by_kernel
    def l1_norm(self, x, scale, out):
        if not alike(x, out):
            return NotImplemented
        return self._sum("l1_norm", x, x, out, scale=scale)

    @by_kernel
    def softmax_cross_entropy(self, z, t, scale, out, weights=None):
        known = alike(z, out) and vectors(t) and t.dtype == np.int64 and z.size
        optional = [] if weights is None else [weights]
        if not (known and flat(z, out, *optional)):
            return NotImplemented
        losses = self.scratch(out[:, 0], "losses")
        grid = self._blocks(*z.shape)
        arguments = (z, t, weights, float(scale), out, losses, *z.shape)
        self._launch("softmax_cross_entropy", z.dtype, grid, *arguments)
        return self._sum("sum", losses, losses, scale=scale)

    # ---------------------------------------------------------------- optimisers

    def _rate(self, rate: Any) -> tuple[Any, float]:
        """Return the rate's (pointer, value); RuntimeError for a host number in recorded work, which would fix it."""
        there, now = now_or_there(rate)
        if there is None and self.recording is not None:
            raise RuntimeError("an optimiser inside a layer counts its steps on the host")
        return there, float(now)

    @by_kernel
    def decay_inplace(self, theta, rate, decay):
        if not alike(theta):
            return NotImplemented
        self._each("decay", theta, *self._rate(rate), float(decay))
        return theta

    @by_kernel
    def sgd_inplace(self, theta, grad, velocity, t, lr, momentum, nesterov):
        moments = [] if velocity is None else [velocity]
        if not alike(theta, grad, *moments):
            return NotImplemented
        settings = (*self._rate(lr), float(momentum), int(nesterov))
        self._each("sgd", theta, grad, velocity, *settings)
        return theta

    @by_kernel
    def adam_inplace(self, theta, grad, m, v, t, lr, beta1, beta2, eps):
        if not alike(theta, grad, m, v):
            return NotImplemented
        numbers = float(beta1), float(beta2), float(eps)
        steps = (*now_or_there(t), *self._rate(lr))
        self._each("adam", theta, grad, m, v, *steps, *numbers)
        return theta

    # ---------------------------------------------------------------- normalisation, on rows x (R, M)

    @by_kernel
    def sum_products_rows(self, x, y, out):
        if not (table(x, out) and alike(x, y)):
            return NotImplemented
        return self._sum("sum_products", x, x, y, None, out=out)

    @by_kernel
    def center(self, x, mean, var, out):
        if not (table(x, mean, var) and alike(x, out)):
            return NotImplemented
        scale = 1 / x.shape[1]
        self._sum("sum", x, x, out=mean, scale=scale)
        self._sum("center", x, x, mean, out, out=var, scale=scale)
        return out

    @by_kernel
    def rsqrt(self, x, eps, out):
        if not alike(x, out):
            return NotImplemented
        self._each("inverse_root", x, float(eps), out)
        return out

    @by_kernel
    def affine_rows(self, x, a, b, out):
        if not (table(x, a, b) and alike(x, out)):
            return NotImplemented
        self._each("affine_rows", x, a, b, out, *self._lines(x))
        return out

    @by_kernel
    def center_backward(self, dy, xc, inv, scale, sum_dy, sum_dy_x, out):
        sums = (inv, scale, sum_dy, sum_dy_x)
        if not (table(dy, *sums) and alike(dy, xc, out)):
            return NotImplemented
        self._sum("sum", dy, dy, out=sum_dy)
        self._sum("sum_products", dy, dy, xc, inv, out=sum_dy_x)
        self._each("center_backward", dy, xc, *sums, out, *self._lines(dy))
        return out

    # ---------------------------------------------------------------- sequences

    @by_kernel
    def gru_step(self, a, u, h, gates, out):
        wide = (a, u, gates)
        narrow = (h, out)
        if not (alike(*wide) and alike(*narrow) and flat(*wide, *narrow)):
            return NotImplemented
        self._each("gru_step", a, u, h, gates, out, h.shape[1], like=h)
        return out

    @by_kernel
    def gru_step_backward(self, dy, gates, u, h, da, du, out):
        wide = (gates, u, da, du)
        narrow = (h, dy, out)
        if not (alike(*wide) and alike(*narrow) and flat(*wide, *narrow)):
            return NotImplemented
        self._each("gru_step_backward", dy, gates, u, h, da, du, out, h.shape[1])
        return out

    # ---------------------------------------------------------------- random codes

    @by_kernel
    def reparametrise(self, x, noise, std, out):
        if not (alike(noise, std, out) and flat(x, noise, std, out)):
            return NotImplemented
        self._each("reparametrise", x, noise, std, out, LOGVAR_MAX, noise.shape[1], like=out)
        return out

    @by_kernel
    def reparametrise_backward(self, dz, noise, std, out):
        if not (alike(dz, noise, std) and flat(dz, noise, std, out)):
            return NotImplemented
        self._each("reparametrise_backward", dz, noise, std, out, STD_MAX, dz.shape[1])
        return out

    @by_kernel
    def gaussian_kl(self, x, std, beta, free, out):
        if free or not (alike(x, out) and flat(x, std, beta, out)):
            return NotImplemented
        arguments = (x, std, beta, out, LOGVAR_MAX, *std.shape)
        return self._sum("gaussian_kl", std, *arguments, scale=0.5 / len(std))


# ------------------------------------------------------------------------------------- primitives generated by name


def now_or_there(number: Any) -> tuple[Any, Any]:
    """Return (pointer, value) of a number: known to the host, or a 0-d array that a kernel reads in device memory."""
    return (None, number) if isinstance(number, (int, float, np.generic)) else (number, 0)


def activation(f: str, kernel: str, primitive: str) -> Callable[..., Array]:
    """Return the activation f, or its backward, as a launch of `kernel`, with the signature of `primitive`."""
    number = ACTIVATIONS.index(f)
    arrays = primitive.count("_backward") + 1

    @functools.wraps(getattr(Ops, primitive))
    def launch(self, *arguments, out=None):
        read = arguments[:arrays]
        a = arguments[arrays:]
        out = self._out(out, read[-1])
        if not alike(*read, out):
            return NotImplemented
        self._each(kernel, *read, out, number, float(*a))
        return out

    return launch


def loss(name: str) -> Callable[..., Array]:
    """Return the loss called `name` as a launch; its kernel writes the gradient to `out`."""

    @functools.wraps(getattr(Ops, name))
    def launch(self, y, t, *arguments, **named):
        *own, scale, out = *arguments, *named.values()  # in the order of the signature
        if not (flat(out) and y.dtype == t.dtype == out.dtype):
            return NotImplemented
        y = y if y.flags.c_contiguous else self.copy(y, out=self.scratch(out, "y"))
        t = t if t.flags.c_contiguous else self.copy(t, out=self.scratch(out, "t"))
        return self._sum(name, y, y, t, *map(float, own), out, scale=scale)

    return launch


def windows(name: str) -> Callable[..., Array]:
    """Return the image primitive called `name`, with arguments (..., window, perhaps scale, out), as a launch with a
    block for each row of `out`. The image (C, H, W, N) and its outputs (..., OH, OW, N) are the first and last array,
    in either order; the backward of pooling has dy, x, y and dx."""

    @functools.wraps(getattr(Ops, name))
    def launch(self, *arguments, **named):
        *given, out = *arguments, *named.values()  # in the order of the signature
        count = 3 if name == "max_pool_backward" else 1
        arrays = (*given[:count], out)
        window, *scale = given[count:]
        if not flat(*arrays):
            return NotImplemented
        if out.size:
            image = out if name in ONTO_IMAGES else arrays[0]
            steps = arrays[0] if name in ONTO_IMAGES else out
            rows = math.prod(out.shape[:-2])
            pairs = (*window.kernel, *window.stride, *window.padding)
            sizes = (*image.shape, *steps.shape[-3:-1], *pairs)
            grid = self._blocks(rows, out.size // rows)
            self._launch(name, out.dtype, grid, *arrays, *map(float, scale), *sizes)
        return out

    return launch


ONTO_IMAGES = {"col2im", "spread_windows", "max_pool_backward"}
for name in ("im2col", "max_pool", "sum_windows", *ONTO_IMAGES):
    setattr(KernelOps, name, by_kernel(windows(name)))
for name in ("mse", "bce", "l1", "huber"):
    setattr(KernelOps, name, by_kernel(loss(name)))
for f in ACTIVATIONS[1:]:
    setattr(KernelOps, f, by_kernel(activation(f, "activation", f)))
    backward = activation(f, "activation_backward", f"{f}_backward")
    setattr(KernelOps, f"{f}_backward", by_kernel(backward))
