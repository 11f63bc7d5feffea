"""NativeOps: the primitives on the CPU, by the kernels of kernels.cu where that pays, by NumPy elsewhere."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import get_ops, native
from nanoae.backend.allowance import ALLOWANCE
from nanoae.backend.blas import address
from nanoae.backend.cublas import layout
from nanoae.backend.kernels import FLOATS, MOST_PARTS, KernelOps, alike, vectors
from nanoae.backend.layer_ops import LayerOps
from nanoae.backend.ops import Array, Ops
from nanoae.backend.recorded import RecordedSteps, Recording
from nanoae.backend.thread_state import ThreadLocal

LINE = 64  # bytes of a line of the cache
SMALL = 1 << 13  # elements that NumPy has done with before Python has launched a kernel
SMALL_PRODUCT = 1 << 18  # multiplications of which the same is true: so few OpenBLAS does on one thread
LEAST_PRODUCT = 1 << 19  # multiplications that are worth a second thread


def order(x: Array) -> tuple[int, int] | None:
    """(0, numbers from row to row), or (1, those from column to column), for x (R, C) whose rows, or columns, are
    contiguous; None for others."""
    if x.flags.c_contiguous:
        return 0, x.shape[1]
    if x.flags.f_contiguous:
        return 1, x.shape[0]
    return layout(x)


class NativeOps(KernelOps):
    """Same names, same signatures, the same results but for rounding; the same random numbers."""

    threads = native.BLOCK  # elements of a block, which one thread computes
    lanes = 64

    recording: Recording | None = None  # of the step that is being recorded
    allocations = ThreadLocal()  # how many buffers this thread has made so far

    def __init__(self) -> None:
        super().__init__()
        native.library()  # NoKernels, where there is none

    def __reduce__(self):
        return get_ops, (self.name,)  # where it is read, there may be no compiler

    def describe(self) -> str:
        return f"{super().describe()}, kernels compiled by {native.library().compiler}"

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype) -> Array:
        return self.zeros(shape, dtype)

    def zeros(self, shape, dtype) -> Array:
        """Zeros that begin with a line of the cache: that saves a quarter of Adam's time, and of other loops less."""
        ALLOWANCE.spend(shape, dtype)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.allocations = (self.allocations or 0) + (size > 8)
        memory = bytearray(size + LINE)
        return np.ndarray(shape, dtype, memory, offset=-address(memory) % LINE)

    # ---------------------------------------------------------------- launches

    def _launch(self, name: str, dtype, grid: tuple[int, ...], *arguments) -> None:
        kernel, blocks, recording = native.kernel(name, dtype.char), (*grid, 1)[:2], self.recorder
        packed = kernel.packed(arguments)
        kernel.launch(packed, *blocks)
        if recording is not None:
            recording.add(kernel.launch, packed, blocks, arguments)

    @property
    def recorder(self) -> Recording | None:
        """The recording of the step that this thread is in."""
        recording = self.recording
        return recording if recording is not None and recording.thread == threading.get_ident() else None

    def steps(self, step, optimizer, batch_size, settings, repeatable=lambda: False):
        return RecordedSteps(self, step, optimizer, batch_size, settings, repeatable)

    @property
    def xp(self):  # type: ignore[override]
        """NumPy. Its work is not recorded."""
        recording = self.recorder
        if recording is not None:
            recording.whole = False
        return np

    @property
    def capturing(self) -> bool:  # type: ignore[override]
        return self.recorder is not None

    def peek(self, scalar):
        """The value; while a step is recorded, that is the place where it is looked at when it is repeated."""
        recording = self.recorder
        if recording is not None:
            recording.check = len(recording.calls)
        return float(scalar)

    def _shares(self, rows: int, length: int, columns: bool) -> tuple[int, int]:
        least = self.lanes if columns else 1
        width = least * max(1, self.threads // (least * max(1, length)))
        parts = min(-(-length * width // self.threads), MOST_PARTS // max(1, -(-rows // width)))
        return width, max(1, parts)

    def _blocks(self, rows: int, length: int) -> tuple[int]:
        return (-(-rows * length // self.threads),)

    # ---------------------------------------------------------------- matrix products

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """In blocks of rows or columns of `out`, each by the BLAS on one thread."""
        if self.recording is None and a.size * b.shape[-1] < SMALL_PRODUCT:
            return np.matmul(a, b, out=out)
        flat = a.ndim == b.ndim == 2 and a.dtype == b.dtype and a.dtype.char in FLOATS and native.library().has_products
        if not flat:
            return super().matmul(a, b, out)
        (m, k), n = a.shape, b.shape[1]
        out = self.empty((m, n), a.dtype) if out is None else out
        known = len(b) == k and out.shape == (m, n) and out.dtype == a.dtype and m * n * k
        layouts = [order(x) for x in (a, b, out)] if known else [None]
        if None in layouts:
            return super().matmul(a, b, out)
        (turn_a, lda), (turn_b, ldb), (turned, ldc) = layouts  # type: ignore[misc]
        if turned:
            self.matmul(b.T, a.T, out.T)
            return out
        blocks = max(1, min(native.library().threads, m * n * k // LEAST_PRODUCT))
        left, right = a.T if turn_a else a, b.T if turn_b else b  # the same memory, in its order
        self._launch("matmul", a.dtype, (blocks,), left, right, out, m, n, k, turn_a, turn_b, lda, ldb, ldc)
        return out

    # ---------------------------------------------------------------- where NumPy is as good, and its random numbers

    generator, uniform, permutation, keep_mask = Ops.generator, Ops.uniform, Ops.permutation, Ops.keep_mask
    generator_state, set_generator_state = Ops.generator_state, Ops.set_generator_state
    top_k_mask, add_rows = Ops.top_k_mask, Ops.add_rows
    im2col, col2im, max_pool, max_pool_backward = Ops.im2col, Ops.col2im, Ops.max_pool, Ops.max_pool_backward
    sum_windows, spread_windows = Ops.sum_windows, Ops.spread_windows

    def normal(self, generator, out: Array) -> Array:
        if not (alike(out) and out.dtype == np.float32 and vectors(out) and out.size % 2 == 0):
            return Ops.normal(self, generator, out)
        z, half = out.reshape(-1), out.size // 2
        u, v = (self.uniform(generator, self.scratch(z[:half], name)) for name in ("r", "a"))
        self._each("box_muller", u, u, v, z[:half], z[half:])
        return out

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        if x.dtype == out.dtype and self.recording is None:
            return Ops.take_rows(self, x, rows, out, scale)  # a copy, which NumPy makes as fast
        return super().take_rows(x, rows, out, scale)


def small_by_numpy(name: str) -> Callable[..., Any]:
    """The primitive as NumPy has it for a small first array, unless it is recorded: then nobody has to launch it."""
    by_kernel, by_numpy = getattr(KernelOps, name), getattr(Ops, name)

    @functools.wraps(by_kernel)
    def primitive(self, x, *arguments, **named):
        function = by_numpy if x.size < SMALL and self.recording is None else by_kernel
        return function(self, x, *arguments, **named)

    return primitive


for name in vars(KernelOps).keys() - vars(NativeOps).keys():
    if not name.startswith("_") and name in vars(Ops) | vars(LayerOps) and callable(getattr(KernelOps, name)):
        setattr(NativeOps, name, small_by_numpy(name))
