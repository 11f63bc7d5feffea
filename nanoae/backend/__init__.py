"""The devices. `get_ops("numpy" | "cupy" | "auto")` returns the primitives; only this package imports CuPy."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from nanoae.backend.ops import Array, Ops, Shape
from nanoae.backend.thread_state import Buffered, Reused, ThreadLocal, ThreadState
from nanoae.spelling import one_of

__all__ = [
    "Array",
    "BackendError",
    "Buffered",
    "Ops",
    "Reused",
    "Shape",
    "ThreadLocal",
    "ThreadState",
    "available",
    "get_ops",
]


CUPY_OPTIONS: dict[str, dict[str, Any]] = {  # after "cupy:"
    "tf32": {"precision": "tf32"},
    "nograph": {"graph": False},
    "noepilogues": {},  # accepted for compatibility: matrix products no longer have epilogues
}


class BackendError(RuntimeError):
    """The requested device is unavailable; the message says what is missing and how to get it."""


class NoKernels(RuntimeError):
    """The kernels are unavailable on this CPU; the message says why. NumPy is used instead."""


def get_ops(backend: str | Ops = "auto") -> Ops:
    """Return the primitives of a device.

    backend   "numpy" (CPU), "cupy" (NVIDIA GPU), or "auto": the environment variable NANOAE_BACKEND if set, else CuPy
              if it is installed and finds a GPU, else NumPy. An `Ops` is returned unchanged.
              If there is a C++ compiler, "numpy" runs fused kernels on NumPy arrays (native_ops.py), unless the
              environment variable NANOAE_KERNELS is 0; "numpy:plain" is the reference in plain NumPy
              "cupy:tf32" multiplies float32 matrices on tensor cores, with 10 bits of mantissa; "cupy:nograph" does
              not use CUDA graphs for training steps; "cupy:tf32,nograph" does both

    Raises    ValueError for an unknown name; BackendError if "cupy" cannot run, with the remedy.
    """
    if isinstance(backend, Ops):
        return backend
    source = "backend"
    requested = backend
    if backend == "auto":
        source = "NANOAE_BACKEND"
        requested = os.environ.get("NANOAE_BACKEND") or "auto"
    if isinstance(requested, str) and requested.startswith("cupy:"):
        names = filter(None, requested.removeprefix("cupy:").split(","))
        options: dict[str, Any] = {}
        for option in names:
            options |= CUPY_OPTIONS[one_of(source, option, CUPY_OPTIONS, ' after "cupy:"')]
        return _cupy_ops(**options)
    if requested == "numpy:plain":
        return Ops()
    name = one_of(source, requested, ("numpy", "cupy", "auto"))
    if name == "cupy":
        return _cupy_ops()
    if name == "auto":
        with suppress(BackendError):
            return _cupy_ops()
    return _numpy_ops()


def available(backend: str) -> str:
    """Return `backend`, or "auto" if it is unavailable on this machine."""
    try:
        get_ops(backend)
    except BackendError:
        return "auto"
    return backend


def _numpy_ops() -> Ops:
    # keeps `import nanoae` fast
    from nanoae.backend.native_ops import NativeOps

    try:
        return NativeOps()
    except NoKernels:
        return Ops()


def local_rank() -> int | None:
    """Return this process's rank among those of an MPI launch on this machine, None without MPI. Each uses one GPU."""
    names = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
    for name in names:
        rank = os.environ.get(name, "")
        if rank.isdigit():
            return int(rank)
    return None


def _cupy_ops(**options) -> Ops:
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "backend 'cupy': CuPy is not installed. For an NVIDIA GPU with CUDA 13: pip install \"nanoae[gpu]\" "
            '(CUDA 12: "nanoae[gpu12]"). Without a GPU use backend="numpy".'
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy has no class for "driver missing", "too old" and "no device"
        raise BackendError(
            f"backend 'cupy': CuPy finds no usable GPU ({error}). Use backend=\"numpy\"."
        ) from error
    if count == 0:
        raise BackendError(
            "backend 'cupy': this machine has no CUDA device. Use backend=\"numpy\"."
        )
    rank = local_rank()
    if rank is not None:
        cupy.cuda.Device(rank % count).use()
    try:
        _ = cupy.cuda.cublas
        cupy.cuda.nvrtc.getVersion()  # the driver alone includes neither of them
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise BackendError(
            f"backend 'cupy': CuPy finds no cuBLAS or NVRTC ({reason}). They come with the CUDA toolkit, and with "
            'pip install "nanoae[gpu]" (CUDA 12: "nanoae[gpu12]"). Or use backend="numpy".'
        ) from error
    from nanoae.backend.cupy_ops import CupyOps

    return CupyOps(**options)
