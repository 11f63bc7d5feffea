"""The primitives of arrays: memory, random numbers, copies and linear algebra, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

import contextlib
import json
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.allowance import ALLOWANCE
from nanoae.backend.blas import address, one_thread, openblas
from nanoae.backend.host_dataset import HostDataset
from nanoae.backend.repeated import Recording, Repeated
from nanoae.backend.thread_state import Buffered, ThreadLocal, ThreadState
from nanoae.rows import Rows
from nanoae.spelling import one_of

Array = Any  # numpy.ndarray here, cupy.ndarray on the GPU
Shape = tuple[int, ...]

PAYS = 1 << 23  # multiplications from which a product is worth a second thread

FLOAT_TYPES = {name: np.dtype(name) for name in ("float32", "float64")}


def float_type(dtype) -> np.dtype:
    """Return np.float32 or np.float64 for any of their names; ValueError for anything else."""
    if isinstance(dtype, str) and dtype in FLOAT_TYPES:  # fast path for inference
        return FLOAT_TYPES[dtype]
    name = dtype
    if isinstance(dtype, (str, type, np.dtype)):
        with contextlib.suppress(TypeError):  # not a dtype: `one_of` raises below
            name = np.dtype(dtype).name
    return FLOAT_TYPES[one_of("dtype", name, FLOAT_TYPES)]


class ArrayOps(Buffered):
    """The base of all primitives. It owns the scratch memory that some of them need."""

    name = "numpy"
    xp: Any = np
    remedy = "Bring it to the host first: x.get() for CuPy, numpy.asarray(x) for lists."
    # Not None while work is recorded, which will be repeated with the same host numbers
    recording = ThreadLocal()
    repeats = ""  # what `record` can record: nothing, "primitives", or "everything" done to arrays
    most_recorded = 0  # largest number of inputs of an inference that is worth recording

    def __init__(self) -> None:
        self.thread = ThreadState()
        blas = openblas()
        self._axpby = blas.axpby if blas else {}

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype) -> Array:
        ALLOWANCE.spend(shape, dtype)
        return self.xp.empty(shape, dtype)

    def zeros(self, shape, dtype) -> Array:
        ALLOWANCE.spend(shape, dtype)
        return self.xp.zeros(shape, dtype)

    def to_device(self, x, dtype=None) -> Array:
        """Copy a host array to this backend's memory, if necessary, as C-contiguous."""
        return np.ascontiguousarray(x, dtype)

    def to_numpy(self, x) -> np.ndarray:
        """Return x as a NumPy array on the host."""
        return x.host if isinstance(x, HostDataset) else np.asarray(x)

    def check_device(self, x) -> Array:
        """Return x if it is on this backend's device, else raise a TypeError that says what to do."""
        if not isinstance(x, (self.xp.ndarray, HostDataset)):
            raise TypeError(
                f"backend '{self.name}': expected a {self.xp.__name__}.ndarray, got "
                f"{type(x).__module__}.{type(x).__name__}. {self.remedy}"
            )
        return x

    def synchronize(self) -> None:
        """Wait until the device has finished all work (on the CPU it always has)."""

    @property
    def backend(self) -> str:
        """The name to pass to `get_ops` for such primitives."""
        return self.name

    def peek(self, scalar) -> float | None:
        """Return the value of a 0-d array, or None if reading it would stall the device. In recorded work the value is
        checked again at each repetition, which ends if it is not finite."""
        return float(scalar)

    def start_sum(self, sums: Any, x: Array, scale: float) -> None:
        """Start to replace x, contiguous, by the sum of scale · x over the ranks of `sums` (`HostSums`); it is complete
        after `sums.wait`."""
        sums.start(x, scale)

    def shared_memory(self, sums: Any, shape: Shape, dtype: np.dtype) -> Array | None:
        """Return zeros in memory shared by all ranks of `sums`, or None; all ranks must call it together."""
        return sums.shared_memory(shape, dtype)

    def dataset(self, x) -> Array:
        """Prepare a host array for gathering rows in training steps: on the device, or streamed if it does not fit."""
        return HostDataset(self, x) if isinstance(x, Rows) else self.to_device(x)

    def repeated(self) -> Repeated:
        """Return an object that repeats training steps on the same arrays."""
        return Repeated(self)

    def record(self, work: Callable[[], object]) -> Recording | None:
        """Do `work` once and record it, to repeat it on the same arrays. Return None, without doing it, if it cannot be
        recorded."""
        raise NotImplementedError

    @property
    def warm_up(self) -> float:
        """How often work runs unrecorded before it is recorded."""
        return math.inf

    def training_stream(self) -> contextlib.AbstractContextManager:
        """Return the context in which the device runs training steps."""
        return contextlib.nullcontext()

    def threads_for(self, multiplications: int) -> contextlib.AbstractContextManager:
        """Limit matrix products to one thread if a product has fewer than PAYS multiplications: OpenBLAS's threads wait
        for each other, on a busy machine far longer than a small product takes."""
        return one_thread() if multiplications < PAYS else contextlib.nullcontext()

    def identity(self, x: Any) -> Any:
        """Return a key that identifies an argument of a step."""
        if isinstance(x, HostDataset):
            return weakref.ref(x)
        if not isinstance(x, np.ndarray):
            return x
        return x.__array_interface__["data"], x.shape, x.strides, x.dtype

    def scratch(self, like: Array, name: str = "", dtype=None) -> Array:
        """Return reused memory with the shape, dtype and memory order of `like`, valid until the primitive returns."""
        dtype = dtype or like.dtype
        if like.flags.c_contiguous:
            return self.memory(like.shape, dtype, name)
        # The axes of `like` in memory order
        order = sorted(range(like.ndim), key=like.strides.__getitem__, reverse=True)
        axes = [order.index(axis) for axis in range(like.ndim)]
        lengths = tuple(like.shape[axis] for axis in order)
        return self.memory(lengths, dtype, name).transpose(axes)

    def memory(self, shape: Shape, dtype: np.dtype, name: str) -> Array:
        """Return the reused memory called `name`, C-contiguous."""
        key = (name, dtype.char)
        size = math.prod(shape)
        buffers = self.thread.buffers
        flat = buffers.get(key)
        if flat is None or flat.size < size:
            flat = buffers[key] = self.empty(size, dtype)
        return flat[:size].reshape(shape)

    def ones(self, n: int, dtype) -> Array:
        """Return a vector of n ones (cached, read-only by convention: row and column sums are products with it)."""
        return self._filled("ones", 1, n, dtype)

    def zeros_row(self, n: int, dtype) -> Array:
        """Return a vector of n zeros (cached, read-only by convention)."""
        return self._filled("zeros", 0, n, dtype)

    def _filled(self, name: str, number: int, n: int, dtype) -> Array:
        buffers = self.thread.buffers
        row = buffers.get((name, dtype))
        if row is None or len(row) < n:
            row = buffers[name, dtype] = self.empty(n, dtype)
            row.fill(number)
        return row[:n]

    # ---------------------------------------------------------------- randomness

    def generator(self, seed) -> Any:
        """Return a random generator for this device; `seed` is an int or a numpy.random.SeedSequence."""
        return np.random.Generator(np.random.SFC64(seed))

    def generator_state(self, generator) -> Any:
        """Return the state of a generator as JSON-ready data."""
        return json.loads(json.dumps(generator.bit_generator.state, default=np.ndarray.tolist))

    def set_generator_state(self, generator, state) -> None:
        """Restore the state of a generator of the same kind; KeyError, TypeError or ValueError if it is invalid."""
        generator.bit_generator.state = state

    def uniform(self, generator, out: Array) -> Array:
        """out[...] ~ U[0, 1)."""
        generator.random(out=out, dtype=out.dtype)
        return out

    def normal(self, generator, out: Array) -> Array:
        """out[...] ~ N(0, 1). In float32 in pairs, r cos a and r sin a with r = sqrt(-2 log u), a = 2π v and u, v from
        U(0, 1] (Box & Muller 1958): three times as fast as NumPy's one by one. |z| < 5.8, since u >= 2⁻²⁴.
        """
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            return generator.standard_normal(out=out, dtype=out.dtype)
        z = out.reshape(-1)
        half = (out.size + 1) // 2
        first = z[:half]
        second = z[half:]
        r = self.uniform(generator, self.scratch(first, "r"))
        a = self.uniform(generator, self.scratch(first, "a"))
        np.subtract(1, r, out=r)
        np.log(r, out=r)
        np.multiply(r, -2, out=r)
        np.sqrt(r, out=r)
        np.multiply(a, 2 * math.pi, out=a)
        np.cos(a, out=first)
        np.multiply(first, r, out=first)
        np.sin(a[: len(second)], out=second)
        np.multiply(second, r[: len(second)], out=second)
        return out

    def permutation(self, generator, n: int) -> Array:
        """Return the integers 0 .. n-1 in random order."""
        return generator.permutation(n)

    def keep_mask(self, generator, keep: float, scale: float, out: Array) -> Array:
        """out = scale with probability `keep`, else 0, element by element."""
        self.uniform(generator, out)
        self.xp.less(out, keep, out=out)
        return self.scale_inplace(out, scale)

    # ---------------------------------------------------------------- copies and linear algebra

    def call(self, function: Callable[..., Any], *arguments: Any) -> Array:
        """Call function(*arguments), which may do anything to arrays, as one primitive, so that recorded work repeats
        it."""
        return function(*arguments)

    def check_numbers(self, x: Array, n: int, who: str) -> None:
        """Raise a ValueError that begins with `who` for integers outside 0 .. n-1, unless reading would stall."""
        if not 0 <= x.min() <= x.max() < n:
            raise ValueError(f"{who} 0 .. {n - 1}, got {x.min()} .. {x.max()}.")

    def copy(self, x: Array, out: Array) -> Array:
        out[...] = x
        return out

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        """out[n] = scale · x[rows[n]]: the gather of a batch; x may be stored as small integers (uint8 images)."""
        xp = self.xp
        if isinstance(x, HostDataset):
            return xp.multiply(x[rows], out.dtype.type(scale), out=out)
        if x.dtype == out.dtype:
            # "clip", since NumPy copies `out` when it has to check
            xp.take(x, rows, axis=0, out=out, mode="clip")
            return out if scale == 1.0 else self.scale_inplace(out, scale)
        stored = self.scratch(out, "rows", x.dtype)
        xp.take(x, rows, axis=0, out=stored, mode="clip")
        return xp.multiply(stored, out.dtype.type(scale), out=out)

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
        """y = a x + b y: one pass if BLAS has such a function and both are contiguous, else three."""
        blas_axpby = self._axpby.get(y.dtype)
        if (
            blas_axpby
            and x.dtype == y.dtype
            and x.shape == y.shape
            and x.flags.carray
            and y.flags.carray
            and y.size
        ):
            blas_axpby(y.size, a, address(x), 1, b, address(y), 1)
            return y
        self.scale_inplace(y, b)
        scaled = self.xp.multiply(x, a, out=self.scratch(x, "axpby"))
        return self.add_inplace(y, scaled)

    def share_of(self, part: float, whole: Array) -> Array:
        """part / whole; finite if whole is 0."""
        return part / (whole + 1e-30)

    def sum(self, x: Array) -> Array:
        """Σ x as a 0-d array: a product with ones, which is faster than x.sum()."""
        ones = self.ones(x.size, x.dtype)
        return self.xp.dot(x.reshape(-1), ones)

    def survey(self, x: Array, out: Array) -> Array:
        """out = (Σ x, min x, max x); the last two are valid only if the sum is not NaN."""
        out[0] = x.sum()
        out[1] = x.min()
        out[2] = x.max()
        return out

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
        factor = self.xp.minimum(1.0, max_norm / (norm + 1e-12))
        return self.scale_inplace(x, factor.astype(x.dtype))
