"""Ops: every primitive of the engine, in plain NumPy.

This file is the readable reference *and* what the CPU runs. A GPU backend subclasses it and overrides only what
pays, under the same names and signatures. Every primitive either takes `out=` (a buffer it fills and returns;
None allocates one) or is called `..._inplace` (it writes its first argument and returns it). Nothing else is
ever written, except optimiser state, which is theirs.

Shapes: N rows (the batch), D features, I/O inputs/outputs. Backward functions take `dy` = dLoss/dy and, where the
derivative is a function of the output, `y` itself.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.allowance import ALLOWANCE
from nanoae.backend.blas import address, one_thread, openblas
from nanoae.backend.layer_ops import LayerOps
from nanoae.backend.repeated import Repeated
from nanoae.backend.thread_state import Buffered, ThreadLocal, ThreadState

Array = Any  # numpy.ndarray here, cupy.ndarray on the GPU

PAYS = 1 << 23  # multiplications of a product, for a second thread
BLOCK = 1 << 17  # elements of a flat array worked on at a time: smaller blocks lose to the calls


class Ops(Buffered, LayerOps):
    """NumPy primitives. One instance per network: it owns the scratch memory that some primitives need."""

    name = "numpy"
    xp: Any = np
    recording = ThreadLocal()  # not None while work is recorded, to be repeated with the very same numbers of the host
    repeats = ""  # what `repeated` can repeat by itself: nothing, "primitives", or "everything" that is done to arrays

    def __init__(self) -> None:
        self.thread = ThreadState()
        blas = openblas()
        self._axpby = blas.axpby if blas else {}

    def __reduce__(self):
        return type(self), ()

    def describe(self) -> str:
        """What this runs on, in words."""
        blas = openblas()
        return "numpy on the CPU" + (f", {blas.threads} threads of OpenBLAS ({blas.kernel} kernels)" if blas else "")

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype) -> Array:
        ALLOWANCE.spend(shape, dtype)
        return self.xp.empty(shape, dtype)

    def zeros(self, shape, dtype) -> Array:
        ALLOWANCE.spend(shape, dtype)
        return self.xp.zeros(shape, dtype)

    def to_device(self, x, dtype=None) -> Array:
        """Copy-if-needed of a host array to this backend's memory, C-contiguous."""
        return np.ascontiguousarray(x, dtype)

    def to_numpy(self, x) -> np.ndarray:
        """The same numbers as a NumPy array on the host."""
        return np.asarray(x)

    def check_device(self, x) -> Array:
        """Return x if it lives on this backend's device, else raise the TypeError that says what to do."""
        if not isinstance(x, np.ndarray):
            raise TypeError(
                f"backend 'numpy': expected a numpy.ndarray, got {type(x).__module__}.{type(x).__name__}. "
                "Bring it to the host first: x.get() for CuPy, numpy.asarray(x) for lists."
            )
        return x

    def synchronize(self) -> None:
        """Wait until the device has done all it was asked (the CPU always has)."""

    @property
    def backend(self) -> str:
        """What `get_ops` is told for such primitives."""
        return self.name

    def peek(self, scalar) -> float | None:
        """The value of a 0-d array where reading it is free, None where it would stall the device. In work that is
        repeated, each time is one by itself where it is finite."""
        return float(scalar)

    def dataset(self, x) -> Array:
        """A host array where the training steps can take rows of it: on the device, or where that is too small, not."""
        return self.to_device(x)

    def repeated(self) -> Repeated:
        """What does a training step again and again, on the same arrays."""
        return Repeated(self)

    def training_stream(self) -> contextlib.AbstractContextManager:
        """Where the device does its training steps."""
        return contextlib.nullcontext()

    def threads_for(self, multiplications: int) -> contextlib.AbstractContextManager:
        """As many threads as pay for matrix products of up to so many multiplications: OpenBLAS's wait for each other,
        and on a busy machine far longer than a small product takes."""
        return one_thread() if multiplications < PAYS else contextlib.nullcontext()

    def identity(self, x: Any) -> Any:
        """What tells one argument of a step from another."""
        return (x.__array_interface__["data"], x.shape, x.strides, x.dtype) if isinstance(x, np.ndarray) else x

    def over_blocks(self, work: Callable[[slice], None], n: int) -> None:
        """work(part) for parts of 0 .. n-1 that fit in a core's cache."""
        for start in range(0, n, BLOCK):
            work(slice(start, min(start + BLOCK, n)))

    def scratch(self, like: Array, name: str = "", dtype=None) -> Array:
        """Reused memory of the shape, dtype and memory order of `like`, until the primitive returns."""
        dtype = dtype or like.dtype
        key = (name, dtype.char)
        buffers = self.thread.buffers
        flat = buffers.get(key)
        if flat is None or flat.size < like.size:
            flat = buffers[key] = self.empty(like.size, dtype)
        if like.flags.c_contiguous:
            return flat[: like.size].reshape(like.shape)
        order = sorted(range(like.ndim), key=like.strides.__getitem__, reverse=True)  # its axes, as they lie in memory
        axes = [order.index(axis) for axis in range(like.ndim)]
        return flat[: like.size].reshape([like.shape[axis] for axis in order]).transpose(axes)

    def ones(self, n: int, dtype) -> Array:
        """A vector of n ones (kept, never written: row and column sums are products with it)."""
        buffers = self.thread.buffers
        ones = buffers.get(("ones", dtype))
        if ones is None or len(ones) < n:
            ones = buffers["ones", dtype] = self.xp.ones(n, dtype)
        return ones[:n]

    def zeros_row(self, n: int, dtype) -> Array:
        """A vector of n zeros (kept, never written)."""
        buffers = self.thread.buffers
        zeros = buffers.get(("zeros", dtype))
        if zeros is None or len(zeros) < n:
            zeros = buffers["zeros", dtype] = self.xp.zeros(n, dtype)
        return zeros[:n]

    # ---------------------------------------------------------------- randomness

    def generator(self, seed) -> Any:
        """A random generator of this device; `seed` is an int or a numpy.random.SeedSequence."""
        return np.random.Generator(np.random.SFC64(seed))

    def generator_state(self, generator) -> Any:
        """Where a generator stands, as JSON-ready data."""
        return json.loads(json.dumps(generator.bit_generator.state, default=np.ndarray.tolist))

    def set_generator_state(self, generator, state) -> None:
        """Bring a generator of the same kind there; KeyError, TypeError or ValueError for what is no such state."""
        generator.bit_generator.state = state

    def uniform(self, generator, out: Array) -> Array:
        """out[...] ~ U[0, 1)."""
        generator.random(out=out, dtype=out.dtype)
        return out

    def normal(self, generator, out: Array) -> Array:
        """out[...] ~ N(0, 1). In float32 in pairs, r cos a and r sin a with r = sqrt(-2 log u), a = 2π v and u, v from
        U(0, 1] (Box & Muller 1958): three times as fast as NumPy, which draws one by one. |z| < 5.8, as u >= 2⁻²⁴.
        """
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            return generator.standard_normal(out=out, dtype=out.dtype)
        z, half = out.reshape(-1), (out.size + 1) // 2
        first, second = z[:half], z[half:]
        r, a = (self.uniform(generator, self.scratch(first, name)) for name in ("r", "a"))
        np.log(np.subtract(1, r, out=r), out=r)
        np.sqrt(np.multiply(r, -2, out=r), out=r)
        np.multiply(a, 2 * math.pi, out=a)
        np.multiply(np.cos(a, out=first), r, out=first)
        np.multiply(np.sin(a[: len(second)], out=second), r[: len(second)], out=second)
        return out

    def permutation(self, generator, n: int) -> Array:
        """The integers 0 .. n-1 in random order."""
        return generator.permutation(n)

    def keep_mask(self, generator, keep: float, scale: float, out: Array) -> Array:
        """out = scale with probability `keep`, else 0, element by element."""
        self.uniform(generator, out)
        self.xp.less(out, keep, out=out)
        return self.scale_inplace(out, scale)

    # ---------------------------------------------------------------- copies and linear algebra

    def call(self, function: Callable[..., Any], *arguments: Any) -> Array:
        """function(*arguments), which may do anything to arrays; it is one primitive, so that work that is repeated
        does it again."""
        return function(*arguments)

    def check_numbers(self, x: Array, n: int, who: str) -> None:
        """ValueError, which begins with `who`, for whole numbers other than 0 .. n-1, where looking is free."""
        if not 0 <= x.min() <= x.max() < n:
            raise ValueError(f"{who} 0 .. {n - 1}, got {x.min()} .. {x.max()}.")

    def copy(self, x: Array, out: Array) -> Array:
        out[...] = x
        return out

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        """out[n] = scale · x[rows[n]]: the gather of a batch; x may be stored as small integers (uint8 images)."""
        if x.dtype == out.dtype:
            self.xp.take(x, rows, axis=0, out=out, mode="clip")  # "clip": NumPy copies `out` when it has to check
            return out if scale == 1.0 else self.scale_inplace(out, scale)
        stored = self.xp.take(x, rows, axis=0, out=self.scratch(out, "rows", x.dtype), mode="clip")
        return self.xp.multiply(stored, out.dtype.type(scale), out=out)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """out = a b (a GEMM: BLAS reads transposed views as they are)."""
        return self.xp.matmul(a, b, out=out)

    def add_bias_inplace(self, y: Array, b: Array) -> Array:
        """y[n, o] += b[o]."""
        return self.xp.add(y, b, out=y)

    def sum_rows(self, x: Array, out: Array | None = None) -> Array:
        """out[d] = Σ_n x[n, d], as the product 1ᵀ x: BLAS beats sum(axis=0)."""
        return self.xp.matmul(self.ones(len(x), x.dtype), x, out=out)

    def add_inplace(self, x: Array, y: Array) -> Array:
        return self.xp.add(x, y, out=x)

    def scale_inplace(self, x: Array, factor) -> Array:
        return self.xp.multiply(x, factor, out=x)

    def multiply(self, x: Array, y, out: Array | None = None) -> Array:
        return self.xp.multiply(x, y, out=out)

    def minimum(self, x: Array, y, out: Array | None = None) -> Array:
        return self.xp.minimum(x, y, out=out)

    def axpby_inplace(self, y: Array, a: float, x: Array, b: float) -> Array:
        """y = a x + b y: one pass of BLAS where it has such a call and they are contiguous, else three."""
        blas_axpby = self._axpby.get(y.dtype)
        if blas_axpby and x.dtype == y.dtype and x.shape == y.shape and x.flags.carray and y.flags.carray and y.size:
            blas_axpby(y.size, a, address(x), 1, b, address(y), 1)
            return y
        self.scale_inplace(y, b)
        return self.add_inplace(y, self.xp.multiply(x, a, out=self.scratch(x, "axpby")))

    def sum(self, x: Array) -> Array:
        """Σ x as a 0-d array: a product with ones, which beats x.sum()."""
        return self.xp.dot(x.reshape(-1), self.ones(x.size, x.dtype))

    def sum_squares(self, x: Array) -> Array:
        """Σ x², as a 0-d array."""
        flat = x.reshape(-1)
        return self.xp.dot(flat, flat)

    def sum_products(self, x: Array, y: Array) -> Array:
        """Σ x y over all elements, as a 0-d array."""
        return self.xp.dot(x.reshape(-1), y.reshape(-1))

    def clip_norm_inplace(self, x: Array, max_norm: float) -> Array:
        """x *= min(1, max_norm / ‖x‖₂), without a host read."""
        norm = self.xp.sqrt(self.sum_squares(x))
        return self.scale_inplace(x, self.xp.minimum(1.0, max_norm / (norm + 1e-12)).astype(x.dtype))

    # ---------------------------------------------------------------- activations: y = f(x), dx = dy · f'(x)
    # `out` may be x or dy itself: then the primitive works in place. Masks are floats: copies with where= are slow.

    def relu(self, x: Array, out: Array | None = None) -> Array:
        """y = max(x, 0), the 0 as a row of zeros: against a number NumPy's maximum takes four times as long."""
        zeros = self.zeros_row(x.shape[-1], x.dtype)
        return self.xp.maximum(x, zeros, out=out)

    def relu_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else 0 (0 at the kink): a product with the float mask [y > 0]."""
        mask = self.xp.greater(y, 0, out=self.scratch(y))
        return self.xp.multiply(dy, mask, out=out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        """y = x where x > 0, else slope · x, as max(x, slope · x): 0 <= slope <= 1."""
        return self.xp.maximum(x, self.xp.multiply(x, slope, out=self.scratch(x)), out=out)

    def leaky_relu_backward(self, dy: Array, y: Array, slope: float, out: Array | None = None) -> Array:
        """dx = dy · (slope + (1 - slope) [y > 0]), so slope · dy at the kink."""
        df = self.xp.greater(y, 0, out=self.scratch(y))
        self.xp.multiply(df, 1 - slope, out=df)
        self.xp.add(df, slope, out=df)
        return self.xp.multiply(dy, df, out=out)

    def elu(self, x: Array, alpha: float, out: Array | None = None) -> Array:
        """y = x where x > 0, else alpha (eˣ - 1), as max(x, 0) + alpha (e^min(x, 0) - 1)."""
        negative = self.xp.minimum(x, 0, out=self.scratch(x))
        self.xp.expm1(negative, out=negative)
        self.xp.multiply(negative, alpha, out=negative)
        out = self.xp.maximum(x, 0, out=out)
        return self.xp.add(out, negative, out=out)

    def elu_backward(self, dy: Array, y: Array, alpha: float, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else dy · (y + alpha), for alpha eˣ = y + alpha."""
        df = self.xp.greater(y, 0, out=self.scratch(y))
        self.xp.multiply(df, 1 - alpha, out=df)
        self.xp.add(df, self.xp.minimum(y, 0, out=self.scratch(y, "negative")), out=df)
        self.xp.add(df, alpha, out=df)
        return self.xp.multiply(dy, df, out=out)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """y = 1 / (1 + e⁻ˣ) = (1 + tanh(x / 2)) / 2: the tanh form is faster and cannot overflow."""
        out = self.xp.multiply(x, 0.5, out=out)
        self.xp.tanh(out, out=out)
        self.xp.multiply(out, 0.5, out=out)
        return self.xp.add(out, 0.5, out=out)

    def sigmoid_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · y (1 - y)."""
        df = self.xp.subtract(1, y, out=self.scratch(y))
        self.xp.multiply(df, y, out=df)
        return self.xp.multiply(dy, df, out=out)

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        """y = tanh x."""
        return self.xp.tanh(x, out=out)

    def tanh_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · (1 - y²)."""
        df = self.xp.multiply(y, y, out=self.scratch(y))
        self.xp.subtract(1, df, out=df)
        return self.xp.multiply(dy, df, out=out)

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        """y = log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|): no overflow."""
        positive = self.xp.maximum(x, 0, out=self.scratch(x))
        out = self.xp.abs(x, out=out)
        self.xp.negative(out, out=out)
        self.xp.exp(out, out=out)
        self.xp.log1p(out, out=out)
        return self.xp.add(out, positive, out=out)

    def softplus_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · sigmoid(x), and sigmoid(x) = 1 - e⁻ʸ."""
        df = self.xp.negative(y, out=self.scratch(y))
        self.xp.expm1(df, out=df)
        self.xp.negative(df, out=df)
        return self.xp.multiply(dy, df, out=out)

    def affine_activation(
        self, x: Array, W: Array, b: Array, f: str, a: tuple[float, ...], out: Array, kept: dict[str, Any] | None = None
    ) -> Array:
        """out = f(x W + b), f "identity" or one of the activations above by its name, a its parameters.

        kept   where a device may leave what it wants in `affine_relu_backward`, of a ReLU
        """
        self.add_bias_inplace(self.matmul(x, W, out=out), b)
        return out if f == "identity" else getattr(self, f)(out, *a, out=out)

    def affine_gradients(self, x: Array, dy: Array, db: Array, out: Array) -> Array:
        """out = dW = xᵀ dy (I, O),  db[o] = Σ_n dy[n, o]: of y = x W + b."""
        self.matmul(x.T, dy, out=out)
        self.sum_rows(dy, out=db)
        return out

    def affine_relu_backward(
        self, dy: Array, W: Array, x: Array, kept: dict[str, Any] | None, db: Array, out: Array
    ) -> Array:
        """out = dz = (dy Wᵀ) · [x > 0],  db[i] = Σ_n dz[n, i]: through x W and the x = relu(z) before it (N, I).

        kept   what `affine_activation` left when it made x, if it was asked to
        """
        self.matmul(dy, W.T, out=out)
        return self.activation_backward_bias(out, x, "relu", (), db=db, out=out)

    def activation_backward_bias(
        self, dy: Array, y: Array, f: str, a: tuple[float, ...], db: Array, out: Array
    ) -> Array:
        """out = dz = dy · f'(z) as a function of y = f(z) (N, O),  db[o] = Σ_n dz[n, o]."""
        getattr(self, f"{f}_backward")(dy, y, *a, out=out)
        self.sum_rows(out, out=db)
        return out

    def softmax(self, x: Array, out: Array | None = None) -> Array:
        """y[n] = e^(x[n] - max x[n]) / Σ e^(...), along the last axis."""
        out = self.xp.subtract(x, x.max(axis=-1, keepdims=True), out=out)
        self.xp.exp(out, out=out)
        return self.xp.divide(out, out.sum(axis=-1, keepdims=True), out=out)

    def log_sum_exp(self, x: Array, out: Array | None = None) -> Array:
        """y[n] = log Σ_k e^x[n, k], along the last axis, as  m + log Σ e^(x - m)  with m = max x[n]: no overflow."""
        largest = x.max(axis=-1, keepdims=True)
        e = self.xp.exp(self.xp.subtract(x, largest, out=self.scratch(x)), out=self.scratch(x))
        out = self.xp.log(e.sum(axis=-1), out=out)
        return self.xp.add(out, largest[..., 0], out=out)

    def clip(self, x: Array, low: float, high: float, out: Array | None = None) -> Array:
        """y = min(max(x, low), high)."""
        return self.xp.clip(x, low, high, out=out)

    def clip_backward(self, dy: Array, y: Array, low: float, high: float, out: Array | None = None) -> Array:
        """dx = dy where low < y < high, else 0 (0 at the kinks)."""
        mask = self.xp.greater(y, low, out=self.scratch(y))
        out = self.xp.multiply(dy, mask, out=out)
        self.xp.less(y, high, out=mask)
        return self.scale_inplace(out, mask)

    def top_k_mask(self, x: Array, k: int, out: Array) -> Array:
        """out[n, d] = 1 for the k largest x[n, d] of each row, else 0: exactly k, also where some are equal."""
        n, d = x.shape
        largest = self.xp.argpartition(x, d - k, axis=1)[:, d - k :]
        out[...] = 0
        out[self.xp.arange(n)[:, None], largest] = 1
        return out

    # ---------------------------------------------------------------- losses: return the value, write dLoss/dy to out

    def mse(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ (y - t)²,  dy = 2 scale (y - t)."""
        self.xp.subtract(y, t, out=out)
        loss = scale * self.sum_squares(out)
        self.scale_inplace(out, 2 * scale)
        return loss

    def bce(self, z: Array, t: Array, scale: float, out: Array) -> Array:
        """From logits: loss = scale · Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t).

        With h = tanh(z / 2):  sigmoid(z) = (1 + h) / 2  and  softplus(z) = z / 2 + |z| / 2 - log((1 + |h|) / 2),  so

            loss = scale · Σ (1/2 - t) z + |z| / 2 - log((1 + |h|) / 2)        dz = scale (1/2 - t + h / 2)

        One tanh instead of exp, log1p and tanh; and the logarithms of up to 64 rows are one logarithm of their product,
        at least 2⁻⁶⁴. The first two terms cancel for a right, large logit, so they are added before the sum is taken.
        Rows go in blocks of 64, so that the passes meet in the cache.
        """
        xp, total = self.xp, 0.0
        for start in range(0, len(z), 64):
            block = slice(start, start + 64)
            z_block, dz = z[block], out[block]
            h, term = self.scratch(dz), self.scratch(dz, "term")
            xp.subtract(0.5, t[block], out=dz)
            xp.multiply(dz, z_block, out=term)
            self.axpby_inplace(term, 0.5, xp.abs(z_block, out=h), 1.0)
            total = total + self.sum(term)
            xp.multiply(z_block, 0.5, out=h)
            xp.tanh(h, out=h)
            xp.abs(h, out=term)
            xp.multiply(term, 0.5, out=term)
            xp.add(term, 0.5, out=term)
            total = total - xp.log(xp.multiply.reduce(term, axis=0)).sum()
            self.axpby_inplace(dz, 0.5 * scale, h, scale)
        return scale * total

    def l1(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ |y - t|,  dy = scale · sign(y - t) (0 at 0)."""
        self.xp.subtract(y, t, out=out)
        loss = scale * self.sum(self.xp.abs(out, out=self.scratch(out)))
        self.xp.sign(out, out=out)
        self.scale_inplace(out, scale)
        return loss

    def huber(self, y: Array, t: Array, delta: float, scale: float, out: Array) -> Array:
        """With r = y - t and c = clip(r, -delta, delta): loss = scale · Σ c (r - c / 2),  dy = scale · c.

        c (r - c/2) is r²/2 inside and delta (|r| - delta/2) outside (Huber 1964).
        """
        r = self.xp.subtract(y, t, out=self.scratch(out))
        self.xp.clip(r, -delta, delta, out=out)
        loss = scale * (self.sum_products(out, r) - 0.5 * self.sum_squares(out))
        self.scale_inplace(out, scale)
        return loss

    def l1_norm(self, x: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ |x|,  dx = scale · sign(x) (0 at 0)."""
        loss = scale * self.sum(self.xp.abs(x, out=out))
        self.xp.sign(x, out=out)
        self.scale_inplace(out, scale)
        return loss

    def bernoulli_kl(self, q: Array, p: float, scale: float, out: Array) -> Array:
        """Of probabilities q, kept 1e-6 off 0 and 1:  loss = scale · Σ p log(p / q) + (1 - p) log((1 - p) / (1 - q)),
        dq = scale ((1 - p) / (1 - q) - p / q)."""
        rest = self.xp.clip(q, 1e-6, 1 - 1e-6, out=self.scratch(out))
        self.xp.divide(p, rest, out=out)  # p / q
        self.xp.subtract(1, rest, out=rest)
        self.xp.divide(1 - p, rest, out=rest)  # (1 - p) / (1 - q)
        loss = scale * (p * self.xp.log(out).sum() + (1 - p) * self.xp.log(rest).sum())
        self.xp.subtract(rest, out, out=out)
        self.scale_inplace(out, scale)
        return loss

    def softmax_cross_entropy(
        self, z: Array, t: Array, scale: float, out: Array, weights: Array | None = None
    ) -> Array:
        """From logits z (N, K), classes t (N,) and weights w (N,), by default 1:
        loss = -scale · Σ_n w[n] log p[n, t[n]],  dz = scale w (p - onehot(t)).

        log p[n, t] = z[n, t] - max z[n] - log Σ_k e^(z[n, k] - max z[n]).
        """
        rows = self.xp.arange(len(z))
        self.xp.subtract(z, z.max(axis=1, keepdims=True), out=out)
        picked = out[rows, t]
        self.xp.exp(out, out=out)
        sums = out.sum(axis=1, keepdims=True)
        surprise = self.xp.log(sums[:, 0]) - picked  # -log p[n, t]
        loss = scale * (surprise.sum() if weights is None else self.sum_products(surprise, weights))
        self.xp.divide(out, sums, out=out)
        out[rows, t] -= 1
        self.scale_inplace(out, scale if weights is None else self.xp.multiply(weights, scale)[:, None])
        return loss

    # ---------------------------------------------------------------- optimisers, over the flat theta

    def flush_inplace(self, x: Array, tiny: float) -> Array:
        """x = 0 where |x| <= tiny."""
        size = self.xp.abs(x, out=self.scratch(x))
        return self.xp.multiply(x, self.xp.greater(size, tiny, out=size), out=x)

    def decay_inplace(self, theta: Array, rate, decay: float) -> Array:
        """theta *= 1 - rate · decay; rate a number, or a 0-d array."""
        return self.scale_inplace(theta, 1 - rate * decay)

    def next_batch(self, clock: Array, rate: Array, rates: Array, order: Array, rows: Array) -> None:
        """The start of step i of an epoch, clock = (i, t), int64: rows = order[i · len(rows) : ...], rate () =
        rates[i], float64; afterwards clock = (i + 1, t + 1). Where `order` ends, its last number is repeated."""
        i, n = int(clock[0]), len(rows)
        self.xp.take(order, self.xp.arange(i * n, (i + 1) * n), mode="clip", out=rows)
        rate[...] = rates[i]
        clock += 1

    def sgd_inplace(
        self, theta: Array, grad: Array, velocity: Array | None, lr: float, momentum: float, nesterov: bool
    ) -> Array:
        """u = momentum · u + g;  theta -= lr · u, or with Nesterov theta -= lr · (g + momentum · u)."""
        step = grad
        if velocity is not None:
            self.scale_inplace(velocity, momentum)
            self.add_inplace(velocity, grad)
            step = velocity
            if nesterov:
                step = self.xp.multiply(velocity, momentum, out=self.scratch(theta, "step"))
                self.add_inplace(step, grad)
        update = self.xp.multiply(step, lr, out=self.scratch(theta))
        return self.xp.subtract(theta, update, out=theta)

    def adam_inplace(
        self, theta: Array, grad: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float
    ) -> Array:
        """Adam (Kingma & Ba 2015), step number t = 1, 2, ..., on moments without their factor (1 - beta):

        m = beta1 · m + g        m̂ = m (1 - beta1) / (1 - beta1ᵗ)
        v = beta2 · v + g²       v̂ = v (1 - beta2) / (1 - beta2ᵗ)
        theta -= lr · m̂ / (sqrt(v̂) + eps)
               = rate · m / (sqrt(v) + s eps)    with s = sqrt((1 - beta2ᵗ) / (1 - beta2)),
                                                 rate = lr s (1 - beta1) / (1 - beta1ᵗ)
        """
        s = ((1 - beta2**t) / (1 - beta2)) ** 0.5
        rate = lr * s * (1 - beta1) / (1 - beta1**t)
        xp = self.xp

        def block(part: slice) -> None:
            g, update = grad[part], self.scratch(grad[part])
            self.axpby_inplace(m[part], 1.0, g, beta1)
            xp.multiply(g, g, out=update)
            self.axpby_inplace(v[part], 1.0, update, beta2)
            xp.sqrt(v[part], out=update)
            xp.add(update, s * eps, out=update)
            xp.divide(m[part], update, out=update)
            self.axpby_inplace(theta[part], -rate, update, 1.0)

        self.over_blocks(block, theta.size)
        return theta
