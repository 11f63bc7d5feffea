"""The BLAS under NumPy: its library and kernel, settings that would be faster, and functions that NumPy lacks.

NumPy's wheels include OpenBLAS but expose only matrix products. Through ctypes the same loaded library also reports its
kernel and its threads, and computes y = a x + b y in one pass where NumPy needs two.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# OpenBLAS selects a kernel by the CPU model. On models newer than itself it falls back to an AVX2 kernel even if they
# have AVX-512, where SkylakeX's kernel is up to twice as fast.
AVX2_KERNELS = ("Haswell", "Zen", "Excavator")
AVX512_FLAGS = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}


class OpenBLAS:
    """The OpenBLAS in `path`; attributes are None or 0 if this build does not report them.

    kernel    name of the kernel in use: "Haswell", "SkylakeX", "Zen", ...
    threads   number of threads for a large product
    """

    def __init__(self, path: Path):
        self.path = path
        self.library = ctypes.CDLL(str(path))
        corename = self.function("openblas_get_corename", ctypes.c_char_p)
        threads = self.function("openblas_get_num_threads", ctypes.c_int)
        self.kernel = corename().decode() if corename else None
        self.threads = threads() if threads else 0

    def function(self, name: str, result=None, arguments: tuple = ()):
        """Return the C function `name`, with any prefix and suffix of this build; None if it has none."""
        for symbol in (f"scipy_{name}64_", f"{name}64_", f"scipy_{name}", name):
            if hasattr(self.library, symbol):
                self.integer = ctypes.c_int64 if symbol.endswith("64_") else ctypes.c_int32
                found = getattr(self.library, symbol)
                found.restype = result
                return found
        return None

    def use_threads(self, number: int) -> int:
        """Set the number of threads for large products in the whole process; return the previous one."""
        before = self.function("openblas_get_num_threads", ctypes.c_int)
        change = self.function("openblas_set_num_threads")
        count = before() if before else 0
        if change and number:
            change(ctypes.c_int(number))
        return count

    @functools.cached_property
    def axpby(self) -> dict[np.dtype, Any]:
        """dtype -> the C function axpby(n, a, x, 1, b, y, 1): y = a x + b y."""
        functions = {}
        for letter, dtype, real in (
            ("s", np.float32, ctypes.c_float),
            ("d", np.float64, ctypes.c_double),
        ):
            function = self.function(f"cblas_{letter}axpby")
            if function:
                n = self.integer
                pointer = ctypes.c_void_p
                function.argtypes = [n, real, pointer, n, real, pointer, n]
                functions[np.dtype(dtype)] = function
        return functions


_one_thread = threading.Lock()
_inside = 0
_before = 0


@contextlib.contextmanager
def one_thread():
    """Within the block, products use one thread; afterwards as many as before."""
    global _inside, _before
    blas = openblas()
    if blas is None:
        yield
        return
    with _one_thread:
        if _inside == 0:
            _before = blas.use_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _one_thread:
            _inside -= 1
            if _inside == 0:
                blas.use_threads(_before)


def address(x: Any) -> int:
    """Return the address of a writeable array; five times faster than `x.ctypes.data`."""
    return ctypes.addressof(ctypes.c_char.from_buffer(x))


@functools.cache
def openblas() -> OpenBLAS | None:
    """Return the OpenBLAS included with NumPy; None if NumPy uses another BLAS."""
    root = Path(np.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            try:
                return OpenBLAS(path)
            except OSError:
                continue
    return None


def cpu_facts() -> dict[str, str]:
    """Return the system's description of the first core (Linux): "model name", "flags", ...; {} elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return {}
    first_core = text.partition("\n\n")[0]
    facts = {}
    for line in first_core.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts[name.strip()] = value.strip()
    return facts


def cpu_flags() -> set[str]:
    """Return the CPU's instruction sets, if the system lists them."""
    return set(cpu_facts().get("flags", "").split())


def best_environment() -> dict[str, str]:
    """Return environment variables that would make OpenBLAS faster here if set before NumPy loads, or {}."""
    blas = openblas()
    if "OPENBLAS_CORETYPE" in os.environ:  # the user's choice
        return {}
    if blas and blas.kernel in AVX2_KERNELS and cpu_flags() >= AVX512_FLAGS:
        return {"OPENBLAS_CORETYPE": "SkylakeX"}
    return {}


def gflops() -> float:
    """Measure an n x n float32 product, n = 1024, in 10⁹ floating-point operations per second (2 n³ per product)."""
    a = np.ones((1024, 1024), np.float32)
    out = np.empty_like(a)
    return 2 * 1024**3 / fastest(lambda: np.matmul(a, a, out=out), 0.2) / 1e9


def fastest(work: Callable[[], object], seconds: float) -> float:
    """Repeat `work` for `seconds`; return the time of the fastest run."""
    best = math.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
