"""NativeOps: the primitives on the CPU: the kernels of kernels.cu where they are faster, NumPy elsewhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import get_ops, native
from nanoae.backend.allowance import ALLOWANCE
from nanoae.backend.blas import address
from nanoae.backend.cublas import layout
from nanoae.backend.kernel_ops import KernelOps
from nanoae.backend.kernels import FLOATS, MOST_PARTS, Kernels, alike, flat, takes_rows
from nanoae.backend.ops import Array, Ops
from nanoae.backend.recorded import Calls
from nanoae.backend.thread_state import ThreadLocal

GIVE_A_NUMBER = {"share_of", "sum", "sum_squares", "sum_products"}
ANYTHING = {"call", "next_batch", "check_numbers"}


def primitive(name: str) -> bool:
    """Return True if an attribute of `Ops` is a primitive: it fills `out`, works in place, or is listed above."""
    value = getattr(Ops, name)
    if not callable(value) or name.startswith("_"):
        return False
    fills = "out" in inspect.signature(value).parameters or name.endswith("_inplace")
    return fills or name in GIVE_A_NUMBER | ANYTHING


PRIMITIVES = set(filter(primitive, dir(Ops)))
# Composed of other primitives
COMPOSED = {"affine_activation", "activation_backward_bias"}
# Primitives for which NumPy is as fast
AS_GOOD = {"keep_mask", "top_k_mask", "add_rows", "max_pool_backward"}
LINE = 64  # bytes of a cache line
SMALL = 1 << 13  # below this number of elements NumPy is faster than launching a kernel
# The same for multiplications of a product; OpenBLAS computes such small ones on one thread
SMALL_PRODUCT = 1 << 18
# Multiplications from which a second thread is worth it, in a recorded step that keeps the thread awake
LEAST_PRODUCT = 1 << 19
LEAST_ALONE = 1 << 21  # the same outside of recorded steps, where the thread has to be woken up


class RecordedOps(Ops):
    """NumPy's primitives, each recorded as one call, and the recording itself."""

    allocations = ThreadLocal()  # number of buffers allocated by this thread so far
    repeats = "primitives"
    most_recorded = 1 << 17

    @property
    def warm_up(self):
        return 0

    def record(self, work):
        self.recording = recording = Calls()
        try:
            work()
        finally:
            self.recording = None
        return recording

    def peek(self, scalar):
        recording = self.thread.recording
        if recording is not None and isinstance(scalar, np.ndarray):
            recording.check(scalar)
        return float(scalar)


def as_one_call(name: str) -> Callable[..., Any]:
    by_numpy = getattr(Ops, name)

    @functools.wraps(by_numpy)
    def primitive(self, *arguments, **named):
        recording = self.thread.recording
        if recording is None:
            return by_numpy(self, *arguments, **named)
        self.thread.recording = None
        try:
            return recording.call(by_numpy, self, arguments, named)
        finally:
            self.thread.recording = recording

    return primitive


for name in PRIMITIVES - COMPOSED:
    setattr(RecordedOps, name, as_one_call(name))


def collapsed(x: Array) -> list[tuple[int, int]]:
    """Return (length, step in elements) of the axes of x, with adjacent axes merged where possible."""
    axes: list[tuple[int, int]] = []
    for length, stride in zip(x.shape, x.strides, strict=True):
        step = stride // x.itemsize
        if axes and axes[-1][1] == step * length:
            length *= axes.pop()[0]
        axes.append((length, step))
    return axes


class NativeOps(KernelOps, RecordedOps):
    """Same names and signatures, the same results up to rounding, and the same random numbers as `Ops`."""

    threads = native.BLOCK  # elements of a block, which is computed by one thread
    lanes = 64

    def __init__(self) -> None:
        super().__init__()
        native.library()  # raises NoKernels if there is none

    def __reduce__(self):
        return get_ops, (self.name,)  # the machine that unpickles it may have no compiler

    def describe(self) -> str:
        library = native.library()
        products = ", products by MKL" if library.products == "MKL" else ""
        return f"{super().describe()}{products}, kernels compiled by {library.compiler}"

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype) -> Array:
        return self.zeros(shape, dtype)

    def zeros(self, shape, dtype) -> Array:
        """Return zeros aligned to a cache line, which makes Adam a quarter faster, and other loops by less."""
        ALLOWANCE.spend(shape, dtype)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.allocations = (self.allocations or 0) + (size > 8)
        memory = bytearray(size + LINE)
        return np.ndarray(shape, dtype, memory, offset=-address(memory) % LINE)

    # ---------------------------------------------------------------- launches

    def _launch(self, name: str, dtype, grid: tuple[int, ...], *arguments) -> None:
        kernel = native.kernel(name, dtype.char)
        recording = self.thread.recording
        packed = kernel.packed(arguments)
        blocks = (*grid, 1)[:2]
        launch = kernel.launch_one if blocks == (1, 1) else kernel.launch
        launch(packed, *blocks)
        if recording is not None:
            recording.launch(kernel.launch, packed, *blocks, arguments)

    def _shares(self, rows: int, length: int, columns: bool) -> tuple[int, int]:
        least = self.lanes if columns else 1
        width = least * max(1, self.threads // (least * max(1, length)))
        wanted = -(-length * width // self.threads)
        most = MOST_PARTS // max(1, -(-rows // width))
        parts = min(wanted, most)
        return width, max(1, parts)

    def _blocks(self, rows: int, length: int) -> tuple[int]:
        return (-(-rows * length // self.threads),)

    # ---------------------------------------------------------------- matrix products

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Compute blocks of rows or columns of `out`, each with the BLAS on one thread."""
        if a.size * b.shape[-1] < SMALL_PRODUCT and self.thread.recording is None:
            return np.matmul(a, b, out=out)
        real = a.dtype == b.dtype and a.dtype.char in FLOATS
        if not (real and a.ndim == b.ndim == 2 and native.library().products):
            return super().matmul(a, b, out)
        m, k = a.shape
        n = b.shape[1]
        out = self.empty((m, n), a.dtype) if out is None else out
        fits = len(b) == k and out.shape == (m, n) and out.dtype == a.dtype
        known = fits and m * n * k
        layouts = [layout(x) for x in (a, b, out)] if known else [None]
        if None in layouts:
            return super().matmul(a, b, out)
        (trans_a, lda), (trans_b, ldb), (transposed, ldc) = layouts  # type: ignore[misc]
        if transposed:
            self.matmul(b.T, a.T, out.T)
            return out
        least = LEAST_ALONE if self.thread.recording is None else LEAST_PRODUCT
        pays = m * n * k // least
        blocks = max(1, min(native.library().threads, pays))
        left = a.T if trans_a else a  # the same memory, in C order
        right = b.T if trans_b else b
        order_in_memory = trans_a, trans_b, lda, ldb, ldc
        self._launch("matmul", a.dtype, (blocks,), left, right, out, m, n, k, *order_in_memory)
        return out

    # ---------------------------------------------------------------- NumPy's random numbers

    generator = Ops.generator
    permutation = Ops.permutation
    generator_state = Ops.generator_state
    set_generator_state = Ops.set_generator_state

    def uniform(self, generator, out):
        """Generate NumPy's numbers with the generator inlined in the loop, in half of the time."""
        recording = self.thread.recording
        small = out.size < SMALL and recording is None
        source = generator.bit_generator
        if small or not (flat(out) and isinstance(source, np.random.SFC64)):
            return RecordedOps.uniform(self, generator, out)
        with source.lock:
            state = source.ctypes.state_address
            self._launch("sfc64", out.dtype, (1,), state, out, out.size)
        if recording is not None:
            recording.kept.append(generator)
        return out

    def normal(self, generator, out: Array) -> Array:
        if not (flat(out) and out.dtype == np.float32 and out.size % 2 == 0):
            return RecordedOps.normal(self, generator, out)
        z = out.reshape(-1)
        half = out.size // 2
        first = z[:half]
        second = z[half:]
        u = self.uniform(generator, self.scratch(first, "r"))
        v = self.uniform(generator, self.scratch(first, "a"))
        self._each("box_muller", u, v, first, second)
        return out

    def survey(self, x: Array, out: Array) -> Array:
        if not (x.size and alike(x) and x.dtype == out.dtype and flat(out)):
            return RecordedOps.survey(self, x, out)
        self._launch("survey", x.dtype, (1,), x, out, x.size)
        return out

    def columns_outside(self, x: Array, limits: Array, out: Array) -> Array:
        self._launch("columns_outside", x.dtype, (1,), x, limits, out, *x.shape)
        return out

    def standardize(self, x: Array, center: Array, scale: Array, limit: Array, out: Array) -> Array:
        doubles = flat(center, scale, limit) and center.dtype == np.float64
        if not (x.size and flat(x) and doubles and center.shape == scale.shape == limit.shape):
            return RecordedOps.standardize(self, x, center, scale, limit, out)
        rows = (x, center, scale, limit, out)
        self._launch("standardize", x.dtype, self._blocks(*x.shape), *rows, *x.shape)
        return out

    def copy(self, x: Array, out: Array) -> Array:
        small = out.size < SMALL and self.thread.recording is None
        if small or not isinstance(x, np.ndarray):
            return RecordedOps.copy(self, x, out)
        if alike(x, out):
            return self.multiply(x, 1.0, out=out)
        axes = collapsed(x) if x.dtype == out.dtype and x.shape == out.shape else []
        if not (0 < len(axes) <= 3 and flat(out)):
            return RecordedOps.copy(self, x, out)
        axes = [(1, 0)] * (3 - len(axes)) + axes
        lengths, steps = zip(*axes, strict=True)
        grid = self._blocks(out.size // lengths[2], lengths[2])
        self._launch("permute", x.dtype, grid, x, out, *lengths, *steps)
        return out

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        copied = x.dtype == out.dtype and self.thread.recording is None and SMALL > 0
        by_kernel = not copied and takes_rows(x, rows) and flat(out)
        kind = KernelOps if by_kernel else RecordedOps
        return kind.take_rows(self, x, rows, out, scale)


# Primitives for which NumPy is as fast
for name in AS_GOOD:
    setattr(NativeOps, name, getattr(RecordedOps, name))


def small_by_numpy(name: str) -> Callable[..., Any]:
    """Use NumPy's primitive for a small first array, unless it is recorded: replays have no launch overhead."""
    by_kernel = getattr(KernelOps, name)
    by_numpy = getattr(Ops, name)

    @functools.wraps(by_kernel)
    def primitive(self, x, *arguments, **named):
        small = x.size < SMALL or isinstance(x, np.generic)
        function = by_numpy if small and self.thread.recording is None else by_kernel
        return function(self, x, *arguments, **named)

    return primitive


by_kernels = vars(Kernels).keys() | vars(KernelOps).keys()
for name in PRIMITIVES & by_kernels - vars(NativeOps).keys():
    setattr(NativeOps, name, small_by_numpy(name))
