"""Kernels: launches the kernels of kernels.cu, on the GPU or the CPU, and defines the array primitives as launches.

A kernel takes arrays of one float type that are dense in memory, all with the same order of axes; anything else falls
back to `Ops`. No launch waits for the device, so a sequence of launches can be captured as a CUDA graph.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanoae.backend.host_dataset import HostDataset
from nanoae.backend.ops import Array, Ops

# Maximum blocks of a launch over elements; beyond that a thread processes several
MOST_BLOCKS = 2048
MOST_ROW_BLOCKS = 65536  # maximum blocks of a launch with a block per row
MOST_PARTS = 1024  # maximum number of partial sums
SUMMANDS = 8  # summands per thread from which more blocks are used
FLOATS = {"f": "float", "d": "double"}
KERNELS = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
# The names of the activations, in the order of the enum in kernels.cu
ACTIVATIONS = [name.lower() for name in re.findall(r"^ +A\((\w+), ", KERNELS, re.MULTILINE)]


class Philox(NamedTuple):
    """A random generator: `state` (2,), in device memory, counts the draws and is incremented by each."""

    key: np.uint64
    state: Array


def source(machine: str) -> str:
    """Return the kernels after the header of their machine: "cuda.h" or "cpu.h"."""
    return Path(__file__).with_name(machine).read_text(encoding="utf-8") + "\n" + KERNELS


def argument(value) -> Any:
    """Convert a kernel argument: integers to 64 bits, floats to double, arrays are passed as pointers, None as null."""
    if isinstance(value, np.uint64):
        return value
    if isinstance(value, (int, np.integer)):
        return np.int64(value)
    if isinstance(value, (float, np.floating)):
        return np.float64(value)
    return np.uint64(0) if value is None else value


def dense(x: Array) -> bool:
    """Return True if x fills its memory without gaps, in any order of axes."""
    if x.flags.c_contiguous:
        return True
    step = x.itemsize
    for stride, n in sorted(zip(x.strides, x.shape, strict=True)):
        if n > 1 and stride != step:
            return False
        step *= n
    return True


def alike(x: Array, *others: Array) -> bool:
    """Return True if all are dense float arrays of one type, shape and memory order."""
    if x.dtype.char not in FLOATS:
        return False
    if any(y.dtype != x.dtype or y.shape != x.shape for y in others):
        return False
    arrays = (x, *others)
    return all(y.flags.c_contiguous for y in arrays) or (
        dense(x) and all(y.strides == x.strides for y in others)
    )


def flat(*arrays: Array) -> bool:
    """Return True if all are C-contiguous float arrays of one type, of any shapes."""
    char = arrays[0].dtype.char
    return char in FLOATS and all(x.dtype.char == char and x.flags.c_contiguous for x in arrays)


def table(x: Array, *others: Array) -> bool:
    """Return True if x is a matrix in C or Fortran order and the others are contiguous and of its type."""
    if x.ndim != 2 or not (x.flags.c_contiguous or x.flags.f_contiguous):
        return False
    return all(y.dtype == x.dtype and y.flags.c_contiguous for y in others)


def vectors(*arrays: Array) -> bool:
    return all(x.flags.c_contiguous for x in arrays)


def takes_rows(x: Array, rows: Array) -> bool:
    """Return True if a kernel can gather these rows of x."""
    known = x.dtype.name in ("uint8", "float32", "float64") and rows.dtype == np.int64
    return not isinstance(x, HostDataset) and known and len(x) > 0 and vectors(x, rows)


def by_kernel(launch: Callable[..., Any]) -> Callable[..., Any]:
    """Make a primitive of a launch, with its signature in `Ops`. If `launch` returns NotImplemented, the primitive of
    the parent class is used."""
    name = launch.__name__

    @functools.wraps(getattr(Ops, name))
    def primitive(self, *arguments, **named):
        result = launch(self, *arguments, **named)
        if result is NotImplemented:
            return getattr(super(Kernels, self), name)(*arguments, **named)
        return result

    return primitive


class Kernels(Ops):
    """Same names and signatures as `Ops`. A subclass defines `_compile`; kernels run in blocks of `threads`."""

    threads = 256  # a power of 2, at least 32
    lanes = 32  # columns of a table that a block sums side by side

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Any] = {}

    def _compile(self, source: str, options: tuple[str, ...]) -> Any:
        """Compile a source; its get_function(name) returns a kernel, to be called as kernel(grid, block, arguments)."""
        raise NotImplementedError

    def _options(self, dtype) -> tuple[str, ...]:
        return "-std=c++17", f"-Dreal={FLOATS[dtype.char]}", f"-DTHREADS={self.threads}u"

    def threads_for(self, multiplications):
        return contextlib.nullcontext()  # decided for each product

    # ---------------------------------------------------------------- launches

    def _launch(self, name: str, dtype, grid: tuple[int, ...], *arguments) -> None:
        key = name, dtype.char
        kernel = self._kernels.get(key)
        if kernel is None:
            module = self._modules.get(dtype.char)
            if module is None:
                # ASCII, since CuPy writes the file in the system's encoding
                text = source("cuda.h").encode("ascii", "replace").decode()
                module = self._compile(text, self._options(dtype))
                self._modules[dtype.char] = module
            kernel = self._kernels[key] = module.get_function(name)
        kernel(grid, (self.threads,), tuple(map(argument, arguments)))

    def _each(self, name: str, *arguments, like: Array | None = None) -> None:
        """Launch a thread per element of `like`, by default the first argument; append the number of elements."""
        x = arguments[0] if like is None else like
        if x.size:
            blocks = min(-(-x.size // self.threads), MOST_BLOCKS)
            self._launch(name, x.dtype, (blocks,), *arguments, x.size)

    def _out(self, out: Array | None, x: Array) -> Array:
        return self.empty(x.shape, x.dtype) if out is None else out

    def _sum(
        self,
        name: str,
        x: Array,
        *arguments,
        out: Array | None = None,
        scale: float = 1.0,
    ) -> Array:
        """Launch a kernel that sums over each row of x or, if `out` is 0-d or None, over all of x."""
        out = self.empty((), x.dtype) if out is None else out
        rows, length = x.shape if out.ndim else (1, x.size)
        columns = out.ndim and not x.flags.c_contiguous
        row_step, step = (1, rows) if columns else (length, 1)
        width, parts = self._shares(rows, length, columns)
        key = ("parts", x.dtype.char)
        buffers = self.thread.buffers
        if key not in buffers:
            buffers[key] = (
                self.empty(self.lanes * MOST_PARTS, x.dtype),
                self.zeros(MOST_PARTS, np.uint32),
            )
        if rows:
            grid = (-(-rows // width), parts)
            shape = (rows, length, row_step, step, width)
            self._launch(name, x.dtype, grid, *arguments, out, float(scale), *buffers[key], *shape)
        return out

    def _shares(self, rows: int, length: int, columns: bool) -> tuple[int, int]:
        """Return (number of rows that a block sums, number of blocks that share their length)."""
        width = self.lanes if columns else 1
        wanted = -(-length * width // (self.threads * SUMMANDS))
        most = MOST_PARTS // max(1, -(-rows // width))
        return width, max(1, min(wanted, most))

    def _blocks(self, rows: int, length: int) -> tuple[int]:
        """Return the grid of a launch with a block per row."""
        return (min(rows, MOST_ROW_BLOCKS),)

    def _lines(self, x: Array) -> tuple[int, int]:
        """Return (length, rows) for each_of_table: the number of adjacent elements in a row, and of rows."""
        rows, columns = x.shape
        return (columns if x.flags.c_contiguous else 1), rows

    # ---------------------------------------------------------------- randomness

    def generator(self, seed):
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        key = seed.generate_state(1, np.uint64)[0]
        return Philox(key, self.zeros(2, np.uint64))

    @by_kernel
    def generator_state(self, generator):
        if not isinstance(generator, Philox):
            return NotImplemented
        return self.to_numpy(generator.state).tolist()

    @by_kernel
    def set_generator_state(self, generator, state):
        if not isinstance(generator, Philox):
            return NotImplemented
        numbers = np.array(state, np.uint64).reshape(2)
        self.copy(self.to_device(numbers), out=generator.state)

    def _draw(self, name: str, generator: Philox, out: Array, *arguments) -> Array:
        target = out if alike(out) else self.empty(out.shape, out.dtype)
        numbers = -(-target.size * target.itemsize // 32)  # a thread makes 32 bytes
        if numbers:
            blocks = min(-(-numbers // self.threads), MOST_BLOCKS)
            state = generator.state, generator.key
            self._launch(name, out.dtype, (blocks,), target, *arguments, *state, target.size)
        return out if target is out else self.copy(target, out=out)

    def uniform(self, generator, out):
        return self._draw("uniform", generator, out)

    def normal(self, generator, out):
        return self._draw("normal", generator, out)

    def keep_mask(self, generator, keep, scale, out):
        return self._draw("keep_mask", generator, out, float(keep), float(scale))

    def permutation(self, generator, n):
        numbers = self.empty(n, np.dtype("float64"))
        self.uniform(generator, numbers)
        return self.xp.argsort(numbers)

    # ---------------------------------------------------------------- rows, sums, linear algebra

    def take_rows(self, x, rows, out, scale=1.0):
        if not (takes_rows(x, rows) and flat(out)):
            return self.xp.multiply(x[rows], out.dtype.type(scale), out=out)
        numbers = (float(scale), len(x), x.size // len(x))
        self._each(f"take_rows_{x.dtype.name}", x, rows, out, *numbers, like=out)
        return out

    def next_batch(self, clock, rate, rates, order, rows):
        numbers = clock, rate, rates, order, rows
        self._launch("next_batch", rate.dtype, (1,), *numbers, len(rows), len(order))

    @by_kernel
    def add_rows(self, x, rows, out):
        if not (alike(x) and alike(out) and rows.dtype == np.int64 and vectors(x, rows, out)):
            return NotImplemented
        self.copy(0, out=out)
        if x.size:
            grid = self._blocks(*x.shape)
            self._launch("add_rows", x.dtype, grid, x, rows, out, len(out), *x.shape)
        return out

    @by_kernel
    def add_bias_inplace(self, y, b):
        if not (table(y, b) and alike(y)):
            return NotImplemented
        return self._bias_activation(y, b, "identity", out=y)

    def _bias_activation(self, z: Array, b: Array, f: str, *a: float, out: Array) -> Array:
        number = ACTIVATIONS.index(f)
        self._each("bias_activation", z, out, b, number, float(*a), *self._lines(z.T))
        return out

    @by_kernel
    def sum_rows(self, x, out=None):
        out = self.empty(x.shape[1:], x.dtype) if out is None else out
        if not (table(x, out) and alike(x)):
            return NotImplemented
        return self._sum("sum", x.T, x, out=out)

    @by_kernel
    def multiply(self, x, y, out=None):
        out = self._out(out, x)
        number = isinstance(y, (int, float))
        if not (alike(x, out) if number else alike(x, y, out)):
            return NotImplemented
        factors = (None, float(y)) if number else (y, 1.0)
        self._each("multiply", x, *factors, out)
        return out

    def scale_inplace(self, x, factor):
        return self.multiply(x, factor, out=x)

    @by_kernel
    def add_inplace(self, x, y):
        if isinstance(y, (int, float)) or not alike(x, y):
            return NotImplemented
        return self.axpby_inplace(x, 1.0, y, 1.0)

    @by_kernel
    def axpby_inplace(self, y, a, x, b):
        if not alike(y, x):
            return NotImplemented
        self._each("axpby", y, float(a), x, float(b))
        return y

    @by_kernel
    def sum(self, x):
        if x.dtype.char not in FLOATS:
            return NotImplemented
        if not dense(x):
            x = self.copy(x, out=self.empty(x.shape, x.dtype))
        return self._sum("sum", x, x)

    def sum_squares(self, x):
        return self.sum_products(x, x)

    @by_kernel
    def sum_products(self, x, y):
        if x.dtype.char not in FLOATS or x.dtype != y.dtype:
            return NotImplemented
        if not alike(x, y):
            x = self.copy(x, out=self.empty(x.shape, x.dtype))
            y = self.copy(y, out=self.empty(y.shape, y.dtype))
            x = x.reshape(-1)
            y = y.reshape(-1)
        return self._sum("sum_products", x, x, y, None)

    @by_kernel
    def clip_norm_inplace(self, x, max_norm):
        if not alike(x):
            return NotImplemented
        self._each("clip_norm", x, self.sum_squares(x), float(max_norm))
        return x
