"""KernelOps: the primitives of `Ops` as launches of the kernels in kernels.cu, on the GPU; native_ops.py: on the CPU.

A kernel takes arrays of one float type that lie densely in memory, all in the same order of axes; everything else is
computed as in `Ops`. No launch waits for the device, so a sequence of them can be captured as a CUDA graph.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanoae.backend.layer_ops import LOGVAR_MAX, STD_MAX, Window
from nanoae.backend.ops import Array, Ops

MOST_BLOCKS = 2048  # of a launch over elements; beyond that a thread works on several
MOST_ROW_BLOCKS = 65536  # of a launch with a block per row
MOST_PARTS = 1024  # partial results of a sum
SUMMANDS = 8  # of a thread, before the work goes to more blocks
ACTIVATIONS = ("identity", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus")  # their numbers in kernels.cu
FLOATS = {"f": "float", "d": "double"}


class Philox(NamedTuple):
    """A generator of random numbers: `state` (2,), on the device, counts the draws; every draw adds 1 to it there."""

    key: np.uint64
    state: Array


def source(machine: str) -> str:
    """The kernels behind the header of their machine: "cuda.h" or "cpu.h"."""
    return "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in (machine, "kernels.cu"))


def argument(value) -> Any:
    """What a kernel gets: integers of 64 bits, doubles, arrays as pointers; None is the null pointer."""
    if isinstance(value, np.uint64):
        return value
    if isinstance(value, (int, np.integer)):
        return np.int64(value)
    if isinstance(value, (float, np.floating)):
        return np.float64(value)
    return np.uint64(0) if value is None else value


def dense(x: Array) -> bool:
    """Whether x fills its memory without gaps, in whatever order of its axes."""
    if x.flags.c_contiguous:
        return True
    step = x.itemsize
    for stride, n in sorted(zip(x.strides, x.shape, strict=True)):
        if n > 1 and stride != step:
            return False
        step *= n
    return True


def alike(x: Array, *others: Array) -> bool:
    """Whether all are float arrays of one type and shape, and element i in memory is the same element in all."""
    if x.dtype.char not in FLOATS or any(y.dtype != x.dtype or y.shape != x.shape for y in others):
        return False
    arrays = (x, *others)
    return all(y.flags.c_contiguous for y in arrays) or (dense(x) and all(y.strides == x.strides for y in others))


def table(x: Array) -> bool:
    """Whether x is one of rows or of columns that are contiguous."""
    return x.ndim == 2 and (x.flags.c_contiguous or x.flags.f_contiguous)


def vectors(*arrays: Array) -> bool:
    return all(x.flags.c_contiguous for x in arrays)


def now_or_there(value) -> tuple[Any, Any]:
    """(pointer, value) of a number that the host knows, or that a kernel finds in device memory (a 0-d array)."""
    return (None, value) if isinstance(value, (int, float, np.generic)) else (value, 0)


class KernelOps(Ops):
    """Same names, same signatures. `_compile` says how the source becomes kernels, of blocks of `threads`."""

    threads = 256  # a power of 2, at least 32
    lanes = 32  # columns of a table that a block adds up side by side

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Any] = {}

    def _compile(self, source: str, options: tuple[str, ...]) -> Any:
        """The module of a source: its get_function(name) gives a kernel, called as kernel(grid, block, arguments)."""
        raise NotImplementedError

    def _options(self, dtype) -> tuple[str, ...]:
        return "-std=c++17", f"-Dreal={FLOATS[dtype.char]}", f"-DTHREADS={self.threads}u"

    # ---------------------------------------------------------------- launches

    def _launch(self, name: str, dtype, grid: tuple[int, ...], *arguments) -> None:
        key = name, dtype.char
        kernel = self._kernels.get(key)
        if kernel is None:
            module = self._modules.get(dtype.char)
            if module is None:
                text = source("cuda.h").encode("ascii", "replace").decode()  # CuPy writes it in the system's encoding
                module = self._compile(text, self._options(dtype))
                self._modules[dtype.char] = module
            kernel = self._kernels[key] = module.get_function(name)
        kernel(grid, (self.threads,), tuple(map(argument, arguments)))

    def _each(self, name: str, x: Array, *arguments) -> None:
        """A thread for each element of x; their number is the last argument."""
        if x.size:
            self._launch(name, x.dtype, (min(-(-x.size // self.threads), MOST_BLOCKS),), *arguments, x.size)

    def _sum(self, name: str, x: Array, *arguments, out: Array, scale: float = 1.0) -> Array:
        """A kernel that sums over x: over each row of a table, or over everything where `out` is 0-d."""
        rows, length = x.shape if out.ndim else (1, x.size)
        columns = out.ndim and not x.flags.c_contiguous
        row_step, step = (1, rows) if columns else (length, 1)
        width, parts = self._shares(rows, length, columns)
        key, buffers = ("parts", x.dtype.char), self.thread.buffers
        if key not in buffers:
            buffers[key] = self.empty(self.lanes * MOST_PARTS, x.dtype), self.zeros(MOST_PARTS, np.uint32)
        if rows:
            grid, shape = (-(-rows // width), parts), (rows, length, row_step, step, width)
            self._launch(name, x.dtype, grid, *arguments, out, float(scale), *buffers[key], *shape)
        return out

    def _shares(self, rows: int, length: int, columns: bool) -> tuple[int, int]:
        """(rows that a block of a sum adds up, parts in which their length goes to blocks)."""
        width = self.lanes if columns else 1
        parts = min(-(-length * width // (self.threads * SUMMANDS)), MOST_PARTS // max(1, -(-rows // width)))
        return width, max(1, parts)

    def _blocks(self, rows: int, length: int) -> tuple[int]:
        """The grid of a launch with a block per row of that length."""
        return (min(rows, MOST_ROW_BLOCKS),)

    def _lines(self, x: Array) -> tuple[int, int]:
        """(length, rows) of a table for each_of_table: how many neighbours share a row, and how many rows."""
        return (x.shape[1], x.shape[0]) if x.flags.c_contiguous else (1, x.shape[0])

    # ---------------------------------------------------------------- randomness

    def generator(self, seed):
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        return Philox(seed.generate_state(1, np.uint64)[0], self.zeros(2, np.uint64))

    def generator_state(self, generator):
        if not isinstance(generator, Philox):
            return super().generator_state(generator)
        return self.to_numpy(generator.state).tolist()

    def set_generator_state(self, generator, state):
        if not isinstance(generator, Philox):
            return super().set_generator_state(generator, state)
        self.copy(self.to_device(np.array(state, np.uint64).reshape(2)), out=generator.state)

    def _draw(self, name: str, generator: Philox, out: Array, *arguments) -> Array:
        target = out if alike(out) else self.empty(out.shape, out.dtype)
        numbers = -(-target.size * target.itemsize // 32)  # a thread makes 32 bytes
        if numbers:
            grid = (min(-(-numbers // self.threads), MOST_BLOCKS),)
            self._launch(name, out.dtype, grid, target, *arguments, generator.state, generator.key, target.size)
        return out if target is out else self.copy(target, out=out)

    def uniform(self, generator, out: Array) -> Array:
        return self._draw("uniform", generator, out)

    def normal(self, generator, out: Array) -> Array:
        return self._draw("normal", generator, out)

    def keep_mask(self, generator, keep: float, scale: float, out: Array) -> Array:
        return self._draw("keep_mask", generator, out, float(keep), float(scale))

    def permutation(self, generator, n: int) -> Array:
        return self.xp.argsort(self.uniform(generator, self.empty(n, np.dtype("float64"))))

    # ---------------------------------------------------------------- rows, sums, linear algebra

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        known = x.dtype.name in ("uint8", "float32", "float64") and rows.dtype == np.int64 and len(x)
        if not (known and alike(out) and vectors(x, rows, out)):
            return self.xp.multiply(x[rows], out.dtype.type(scale), out=out)
        self._each(f"take_rows_{x.dtype.name}", out, x, rows, out, float(scale), len(x), x.size // len(x))
        return out

    def next_batch(self, clock: Array, rate: Array, rates: Array, order: Array, rows: Array) -> None:
        self._launch("next_batch", rate.dtype, (1,), clock, rate, rates, order, rows, len(rows), len(order))

    def add_rows(self, x: Array, rows: Array, out: Array) -> Array:
        if not (alike(x) and alike(out) and rows.dtype == np.int64 and vectors(x, rows, out)):
            return super().add_rows(x, rows, out)
        self.copy(0, out=out)
        if x.size:
            self._launch("add_rows", x.dtype, (min(len(x), MOST_ROW_BLOCKS),), x, rows, out, len(out), *x.shape)
        return out

    def add_bias_inplace(self, y: Array, b: Array) -> Array:
        if not (table(y) and alike(y) and b.dtype == y.dtype and vectors(b)):
            return super().add_bias_inplace(y, b)
        return self._bias_activation(y, b, "identity")

    def _bias_activation(self, y: Array, b: Array, f: str, *a: float) -> Array:
        self._each("bias_activation", y, y, b, ACTIVATIONS.index(f), float(*a), *self._lines(y.T))
        return y

    def sum_rows(self, x: Array, out: Array | None = None) -> Array:
        out = self.empty(x.shape[1:], x.dtype) if out is None else out
        if not (table(x) and alike(x) and out.dtype == x.dtype and vectors(out)):
            return super().sum_rows(x, out)
        return self._sum("sum", x.T, x, out=out)

    def multiply(self, x: Array, y, out: Array | None = None) -> Array:
        number = isinstance(y, (int, float))
        out = self.empty(x.shape, x.dtype) if out is None else out
        if not alike(x, out) or not (number or alike(x, y)):
            return super().multiply(x, y, out)
        self._each("multiply", x, x, None if number else y, float(y) if number else 1.0, out)
        return out

    def scale_inplace(self, x: Array, factor) -> Array:
        return self.multiply(x, factor, out=x)

    def add_inplace(self, x: Array, y: Array) -> Array:
        if isinstance(y, (int, float)) or not alike(x, y):
            return super().add_inplace(x, y)
        self._each("axpby", x, x, 1.0, y, 1.0)
        return x

    def axpby_inplace(self, y: Array, a: float, x: Array, b: float) -> Array:
        if not alike(y, x):
            return super().axpby_inplace(y, a, x, b)
        self._each("axpby", y, y, float(a), x, float(b))
        return y

    def sum(self, x: Array) -> Array:
        if x.dtype.char not in FLOATS:
            return super().sum(x)
        x = x if dense(x) else self.copy(x, out=self.empty(x.shape, x.dtype))
        return self._sum("sum", x, x, out=self.empty((), x.dtype))

    def sum_squares(self, x: Array) -> Array:
        return self.sum_products(x, x)

    def sum_products(self, x: Array, y: Array) -> Array:
        if x.dtype.char not in FLOATS or x.dtype != y.dtype:
            return super().sum_products(x, y)
        if not alike(x, y):
            x, y = (self.copy(a, out=self.empty(a.shape, a.dtype)).reshape(-1) for a in (x, y))
        return self._sum("sum_products", x, x, y, None, out=self.empty((), x.dtype))

    def clip_norm_inplace(self, x: Array, max_norm: float) -> Array:
        if not alike(x):
            return super().clip_norm_inplace(x, max_norm)
        self._each("clip_norm", x, x, self.sum_squares(x), float(max_norm))
        return x

    # ---------------------------------------------------------------- activations

    def _activation(self, f: str, x: Array, out: Array | None, *a: float) -> Array:
        out = self.xp.empty_like(x) if out is None else out
        if not alike(x, out):
            return getattr(super(), f)(x, *a, out=out)
        self._each("activation", x, x, out, ACTIVATIONS.index(f), float(*a))
        return out

    def _activation_backward(self, f: str, dy: Array, y: Array, out: Array | None, *a: float) -> Array:
        out = self.xp.empty_like(y) if out is None else out
        if not alike(y, dy, out):
            return getattr(super(), f"{f}_backward")(dy, y, *a, out=out)
        self._each("activation_backward", y, dy, y, out, ACTIVATIONS.index(f), float(*a))
        return out

    def relu(self, x: Array, out: Array | None = None) -> Array:
        return self._activation("relu", x, out)

    def relu_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        return self._activation_backward("relu", dy, y, out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        return self._activation("leaky_relu", x, out, slope)

    def leaky_relu_backward(self, dy: Array, y: Array, slope: float, out: Array | None = None) -> Array:
        return self._activation_backward("leaky_relu", dy, y, out, slope)

    def elu(self, x: Array, alpha: float, out: Array | None = None) -> Array:
        return self._activation("elu", x, out, alpha)

    def elu_backward(self, dy: Array, y: Array, alpha: float, out: Array | None = None) -> Array:
        return self._activation_backward("elu", dy, y, out, alpha)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        return self._activation("sigmoid", x, out)

    def sigmoid_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        return self._activation_backward("sigmoid", dy, y, out)

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        return self._activation("tanh", x, out)

    def tanh_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        return self._activation_backward("tanh", dy, y, out)

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        return self._activation("softplus", x, out)

    def softplus_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        return self._activation_backward("softplus", dy, y, out)

    def affine_activation(
        self, x: Array, W: Array, b: Array, f: str, a: tuple[float, ...], out: Array, kept: dict[str, Any] | None = None
    ) -> Array:
        if not (alike(out) and b.dtype == out.dtype and vectors(out, b)):
            return super().affine_activation(x, W, b, f, a, out, kept)
        return self._bias_activation(self.matmul(x, W, out=out), b, f, *a)

    def activation_backward_bias(
        self, dy: Array, y: Array, f: str, a: tuple[float, ...], db: Array, out: Array
    ) -> Array:
        if not (table(y) and alike(y, dy, out) and db.dtype == y.dtype and vectors(db)):
            return super().activation_backward_bias(dy, y, f, a, db, out)
        self._sum("activation_backward_bias", y.T, dy, y, out, ACTIVATIONS.index(f), float(*a), out=db)
        return out

    def softmax(self, x: Array, out: Array | None = None) -> Array:
        out = self.empty(x.shape, x.dtype) if out is None else out
        if not (alike(x, out) and vectors(x, out) and x.size):
            return super().softmax(x, out)
        d = x.shape[-1]
        self._launch("softmax", x.dtype, self._blocks(x.size // d, d), x, out, x.size // d, d)
        return out

    def clip(self, x: Array, low: float, high: float, out: Array | None = None) -> Array:
        out = self.xp.empty_like(x) if out is None else out
        if not alike(x, out):
            return super().clip(x, low, high, out)
        self._each("clip", x, x, out, float(low), float(high))
        return out

    def clip_backward(self, dy: Array, y: Array, low: float, high: float, out: Array | None = None) -> Array:
        out = self.xp.empty_like(y) if out is None else out
        if not alike(y, dy, out):
            return super().clip_backward(dy, y, low, high, out)
        self._each("clip_backward", y, dy, y, out, float(low), float(high))
        return out

    def top_k_mask(self, x: Array, k: int, out: Array) -> Array:
        if not (alike(x, out) and vectors(x, out)):
            return super().top_k_mask(x, k, out)
        if x.size:
            self._launch("top_k_mask", x.dtype, (min(len(x), MOST_ROW_BLOCKS),), x, out, k, *x.shape)
        return out

    # ---------------------------------------------------------------- losses

    def _loss(self, name: str, y: Array, t: Array, scale: float, out: Array, *arguments) -> Array | None:
        """The loss, a 0-d array; None for arrays that the kernel does not take."""
        if out.dtype.char not in FLOATS or not out.flags.c_contiguous or {y.dtype, t.dtype} != {out.dtype}:
            return None
        y, t = (
            x if x.flags.c_contiguous else self.copy(x, out=self.scratch(out, name)) for x, name in ((y, "y"), (t, "t"))
        )
        return self._sum(name, y, y, t, *arguments, out, out=self.empty((), out.dtype), scale=scale)

    def mse(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        loss = self._loss("mse", y, t, scale, out)
        return super().mse(y, t, scale, out) if loss is None else loss

    def bce(self, z: Array, t: Array, scale: float, out: Array) -> Array:
        loss = self._loss("bce", z, t, scale, out)
        return super().bce(z, t, scale, out) if loss is None else loss

    def l1(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        loss = self._loss("l1", y, t, scale, out)
        return super().l1(y, t, scale, out) if loss is None else loss

    def huber(self, y: Array, t: Array, delta: float, scale: float, out: Array) -> Array:
        loss = self._loss("huber", y, t, scale, out, float(delta))
        return super().huber(y, t, delta, scale, out) if loss is None else loss

    def l1_norm(self, x: Array, scale: float, out: Array) -> Array:
        if not alike(x, out):
            return super().l1_norm(x, scale, out)
        return self._sum("l1_norm", x, x, out, out=self.empty((), x.dtype), scale=scale)

    def bernoulli_kl(self, q: Array, p: float, scale: float, out: Array) -> Array:
        if not alike(q, out):
            return super().bernoulli_kl(q, p, scale, out)
        return self._sum("bernoulli_kl", q, q, float(p), out, out=self.empty((), q.dtype), scale=scale)

    def softmax_cross_entropy(
        self, z: Array, t: Array, scale: float, out: Array, weights: Array | None = None
    ) -> Array:
        known = alike(z, out) and vectors(z, out, t) and t.dtype == np.int64 and z.size
        if not (known and (weights is None or (weights.dtype == z.dtype and vectors(weights)))):
            return super().softmax_cross_entropy(z, t, scale, out, weights)
        losses = self.scratch(out[:, 0], "losses")
        grid = self._blocks(*z.shape)
        self._launch("softmax_cross_entropy", z.dtype, grid, z, t, weights, float(scale), out, losses, *z.shape)
        return self._sum("sum", losses, losses, out=self.empty((), z.dtype), scale=scale)

    # ---------------------------------------------------------------- optimisers

    def decay_inplace(self, theta: Array, rate, decay: float) -> Array:
        if not alike(theta):
            return super().decay_inplace(theta, rate, decay)
        there, now = now_or_there(rate)
        self._each("decay", theta, theta, there, float(now), float(decay))
        return theta

    def sgd_inplace(
        self, theta: Array, grad: Array, velocity: Array | None, lr: float, momentum: float, nesterov: bool
    ) -> Array:
        if not alike(theta, grad, *([] if velocity is None else [velocity])):
            return super().sgd_inplace(theta, grad, velocity, lr, momentum, nesterov)
        there, rate = now_or_there(lr)
        self._each("sgd", theta, theta, grad, velocity, there, float(rate), float(momentum), int(nesterov))
        return theta

    def adam_inplace(
        self, theta: Array, grad: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float
    ) -> Array:
        if not alike(theta, grad, m, v):
            return super().adam_inplace(theta, grad, m, v, t, lr, beta1, beta2, eps)
        lr_there, rate = now_or_there(lr)
        settings = (*now_or_there(t), lr_there, float(rate), float(beta1), float(beta2), float(eps))
        self._each("adam", theta, theta, grad, m, v, *settings)
        return theta

    # ---------------------------------------------------------------- windows of images

    def _windows(self, name: str, rows: int, image: Array, steps: tuple[int, ...], window: Window, *arguments) -> None:
        """A block for each of `rows`; image (C, H, W, N), steps (OH, OW)."""
        if rows * image.size:
            grid = (min(rows, MOST_ROW_BLOCKS),)
            flat = (number for pair in window for number in pair)
            self._launch(name, image.dtype, grid, *arguments, *image.shape, *steps, *flat)

    def im2col(self, x: Array, window: Window, out: Array) -> Array:
        if not (alike(x) and x.dtype == out.dtype and vectors(x, out)):
            return super().im2col(x, window, out)
        self._windows("im2col", math.prod(out.shape[:4]), x, out.shape[3:5], window, x, out)
        return out

    def col2im(self, cols: Array, window: Window, out: Array) -> Array:
        if not (alike(out) and cols.dtype == out.dtype and vectors(cols, out)):
            return super().col2im(cols, window, out)
        self._windows("col2im", math.prod(out.shape[:2]), out, cols.shape[3:5], window, cols, out)
        return out

    def max_pool(self, x: Array, window: Window, out: Array) -> Array:
        if not (alike(x) and x.dtype == out.dtype and vectors(x, out)):
            return super().max_pool(x, window, out)
        self._windows("max_pool", math.prod(out.shape[:2]), x, out.shape[1:3], window, x, out)
        return out

    def max_pool_backward(self, dy: Array, x: Array, y: Array, window: Window, out: Array) -> Array:
        if not (alike(x, out) and alike(y, dy) and x.dtype == y.dtype and vectors(x, out, y, dy)):
            return super().max_pool_backward(dy, x, y, window, out)
        self._windows("max_pool_backward", math.prod(x.shape[:2]), x, y.shape[1:3], window, dy, x, y, out)
        return out

    def sum_windows(self, x: Array, window: Window, scale: float, out: Array) -> Array:
        if not (alike(x) and x.dtype == out.dtype and vectors(x, out)):
            return super().sum_windows(x, window, scale, out)
        self._windows("sum_windows", math.prod(out.shape[:2]), x, out.shape[1:3], window, x, out, float(scale))
        return out

    def spread_windows(self, y: Array, window: Window, scale: float, out: Array) -> Array:
        if not (alike(out) and y.dtype == out.dtype and vectors(y, out)):
            return super().spread_windows(y, window, scale, out)
        self._windows("spread_windows", math.prod(out.shape[:2]), out, y.shape[1:3], window, y, out, float(scale))
        return out

    # ---------------------------------------------------------------- normalisation, of rows x (R, M)

    def sum_products_rows(self, x: Array, y: Array, out: Array) -> Array:
        if not (table(x) and alike(x, y) and out.dtype == x.dtype and vectors(out)):
            return super().sum_products_rows(x, y, out)
        return self._sum("sum_products", x, x, y, None, out=out)

    def center(self, x: Array, mean: Array, var: Array, out: Array) -> Array:
        if not (table(x) and alike(x, out) and alike(mean, var) and mean.dtype == x.dtype):
            return super().center(x, mean, var, out)
        self._sum("sum", x, x, out=mean, scale=1 / x.shape[1])
        self._sum("center", x, x, mean, out, out=var, scale=1 / x.shape[1])
        return out

    def rsqrt(self, x: Array, eps: float, out: Array) -> Array:
        if not alike(x, out):
            return super().rsqrt(x, eps, out)
        self._each("inverse_root", x, x, float(eps), out)
        return out

    def affine_rows(self, x: Array, a: Array, b: Array, out: Array) -> Array:
        if not (table(x) and alike(x, out) and alike(a, b) and a.dtype == x.dtype):
            return super().affine_rows(x, a, b, out)
        self._each("affine_rows", x, x, a, b, out, *self._lines(x))
        return out

    def center_backward(
        self, dy: Array, xc: Array, inv: Array, scale: Array, sum_dy: Array, sum_dy_x: Array, out: Array
    ) -> Array:
        sums = (inv, scale, sum_dy, sum_dy_x)
        if not (table(dy) and alike(dy, xc, out) and alike(*sums) and inv.dtype == dy.dtype):
            return super().center_backward(dy, xc, inv, scale, sum_dy, sum_dy_x, out)
        self._sum("sum", dy, dy, out=sum_dy)
        self._sum("sum_products", dy, dy, xc, inv, out=sum_dy_x)
        self._each("center_backward", dy, dy, xc, *sums, out, *self._lines(dy))
        return out

    # ---------------------------------------------------------------- sequences

    def gru_step(self, a: Array, u: Array, h: Array, gates: Array, out: Array) -> Array:
        if not (alike(a, u, gates) and alike(h, out) and a.dtype == h.dtype and vectors(a, u, gates, h, out)):
            return super().gru_step(a, u, h, gates, out)
        self._each("gru_step", h, a, u, h, gates, out, h.shape[1])
        return out

    def gru_step_backward(self, dy: Array, gates: Array, u: Array, h: Array, da: Array, du: Array, out: Array) -> Array:
        wide, narrow = (gates, u, da, du), (h, dy, out)
        if not (alike(*wide) and alike(*narrow) and u.dtype == h.dtype and vectors(*wide, *narrow)):
            return super().gru_step_backward(dy, gates, u, h, da, du, out)
        self._each("gru_step_backward", h, dy, gates, u, h, da, du, out, h.shape[1])
        return out

    # ---------------------------------------------------------------- random codes

    def reparametrise(self, x: Array, noise: Array, std: Array, out: Array) -> Array:
        if not (alike(x) and alike(noise, std, out) and x.dtype == out.dtype and vectors(x, noise, std, out)):
            return super().reparametrise(x, noise, std, out)
        self._each("reparametrise", out, x, noise, std, out, LOGVAR_MAX, noise.shape[1])
        return out

    def reparametrise_backward(self, dz: Array, noise: Array, std: Array, out: Array) -> Array:
        if not (alike(out) and alike(dz, noise, std) and dz.dtype == out.dtype and vectors(dz, noise, std, out)):
            return super().reparametrise_backward(dz, noise, std, out)
        self._each("reparametrise_backward", dz, dz, noise, std, out, STD_MAX, dz.shape[1])
        return out

    def gaussian_kl(self, x: Array, std: Array, beta: Array, free: float, out: Array) -> Array:
        if free or not (alike(x, out) and std.dtype == beta.dtype == x.dtype and vectors(x, std, out)):
            return super().gaussian_kl(x, std, beta, free, out)
        arguments = (x, std, beta, out, LOGVAR_MAX, *std.shape)
        return self._sum("gaussian_kl", std, *arguments, out=self.empty((), x.dtype), scale=0.5 / len(std))
