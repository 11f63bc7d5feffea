"""CupyOps: the primitives on an NVIDIA GPU, through CuPy. CuPy mirrors NumPy, so most of `Ops` runs as it stands."""

from __future__ import annotations

import cupy
import numpy as np

from nanoae.backend.ops import Array, Ops


class CupyOps(Ops):
    """CuPy primitives: same names, same signatures, arrays in GPU memory."""

    name = "cupy"
    xp = cupy

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

    def axpby_inplace(self, y: Array, a: float, x: Array, b: float) -> Array:
        self.scale_inplace(y, b)
        return self.add_inplace(y, cupy.multiply(x, a, out=self.scratch(x, "axpby")))

    def generator(self, seed):
        if isinstance(seed, np.random.SeedSequence):
            seed = int(seed.generate_state(1, np.uint64)[0])
        return cupy.random.Generator(cupy.random.Philox4x3210(seed))

    def uniform(self, generator, out: Array) -> Array:
        generator.random(out=out, dtype=out.dtype)
        return out

    def permutation(self, generator, n: int) -> Array:
        return cupy.argsort(generator.random(n, dtype=np.float64))  # Generator.permutation does not exist in CuPy

    def take_rows(self, x: Array, rows: Array, out: Array, scale: float = 1.0) -> Array:
        return cupy.multiply(x[rows], out.dtype.type(scale), out=out)
