"""MKL: Intel's BLAS, from the extra nanoae[mkl]; used if it is faster than NumPy's own.

The faster one is determined once per CPU, on one thread, and stored beside the kernels: later runs use the same one and
give bit-identical results. MKL starts no threads here: products are split into blocks for the threads of pool.cpp.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import site
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.backend.blas import cpu_facts, fastest, one_thread, openblas

SEQUENTIAL, LP64 = 1, 0  # MKL's constants
SIZE, SECONDS = 384, 0.05  # size of the timed product, and duration
GAIN = 1.03  # minimum speed-up


class MKL:
    """The library in `path`; `integer` is the integer type of its functions."""

    integer = ctypes.c_int32

    def __init__(self, path: Path):
        self.library = ctypes.CDLL(str(path))
        self.library.MKL_Set_Threading_Layer(SEQUENTIAL)
        self.library.MKL_Set_Interface_Layer(LP64)

    def function(self, name: str) -> Any:
        return getattr(self.library, name)


@functools.cache
def installed() -> Path | None:
    """Return the path of MKL's library as installed by pip, or None."""
    for root in (sys.prefix, site.getuserbase()):
        for path in sorted(Path(root, "lib").glob("libmkl_rt.so*")):
            return path
    return None


def gflops(blas: Any) -> float:
    """Measure a float32 matrix product on one thread, in 10⁹ floating-point operations per second."""
    gemm = blas.function("cblas_sgemm")
    n = blas.integer(SIZE)
    a = np.ones((SIZE, SIZE), np.float32)
    out = np.empty((SIZE, SIZE), np.float32)
    matrix = (ctypes.c_void_p(a.ctypes.data), n)
    result = (ctypes.c_void_p(out.ctypes.data), n)
    rows = ctypes.c_int(101)
    as_it_is = ctypes.c_int(111)
    factors = (ctypes.c_float(1), *matrix, *matrix)
    zero = ctypes.c_float(0)
    arguments = (rows, as_it_is, as_it_is, n, n, n, *factors, zero, *result)
    with one_thread():
        return 2 * SIZE**3 / fastest(lambda: gemm(*arguments), SECONDS) / 1e9


def measured(folder: Path) -> dict[str, float]:
    """Return {library: speed on one thread}, as first measured on this CPU; {} if there is no choice."""
    path = installed()
    own = openblas()
    if path is None or own is None:
        return {}
    cpu = [cpu_facts().get(name, "") for name in ("model name", "model")]
    facts = [*cpu, str(path), str(own.path), str(own.kernel)]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    kept = folder / f"products-{key[:16]}.json"
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(kept.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.keys() == {"OpenBLAS", "MKL"}:
            return found
    found = {"OpenBLAS": gflops(own), "MKL": gflops(MKL(path))}
    temporary = kept.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(found), encoding="utf-8")
    temporary.replace(kept)
    return found


def faster_mkl(folder: Path) -> MKL | None:
    """Return MKL if it is installed and faster, else None; `folder` belongs to the user."""
    try:
        speed = measured(folder)
        path = installed()
        if path is not None and speed and speed["MKL"] > GAIN * speed["OpenBLAS"]:
            return MKL(path)
    except (OSError, AttributeError):  # the library cannot be loaded, or the folder is not writable
        pass
    return None
