"""CupyOps: the primitives on an NVIDIA GPU: own kernels, and for the rest CuPy, which mirrors NumPy, on `Ops`."""

from __future__ import annotations

import cupy
import numpy as np

from nanoae.backend.kernels import KernelOps
from nanoae.backend.ops import Array


class CupyOps(KernelOps):
    """CuPy primitives: same names, same signatures, arrays in GPU memory."""

    name = "cupy"
    xp = cupy

    def _compile(self, source, options):
        return cupy.RawModule(code=source, options=options)

    def describe(self) -> str:
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        return f"cupy {cupy.__version__} on the GPU, {name}"

    def to_device(self, x, dtype=None) -> Array:
        return cupy.ascontiguousarray(cupy.asarray(x), dtype)

    def to_numpy(self, x) -> np.ndarray:
        return cupy.asnumpy(x)

    def check_device(self, x) -> Array:
        if not isinstance(x, cupy.ndarray):
            raise TypeError(
                f"backend 'cupy': expected a cupy.ndarray, got {type(x).__module__}.{type(x).__name__}. "
                "Move it to the GPU first: ops.to_device(x)."
            )
        return x

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def peek(self, scalar) -> float | None:
        return None

    def over_blocks(self, work, n: int) -> None:
        work(slice(0, n))
