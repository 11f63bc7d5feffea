"""cuBLAS through ctypes: matrix products that can be part of a CUDA graph.

CuPy does not allow its cuBLAS while a stream is captured. This is a second handle, whose stream and workspace are set
before the capture. CuPy is not imported: arrays provide their address, shape and strides.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import weakref
from typing import Any

from nanoae.backend.array_ops import Array

# Bytes, as recommended by NVIDIA for Hopper; earlier architectures need less
WORKSPACE = 32 << 20
NO, TRANSPOSED = 0, 1  # cublasOperation_t
DEFAULT_ALGORITHM = -1  # CUBLAS_GEMM_DEFAULT
REAL_TYPES = {"f": 0, "d": 1}  # cudaDataType_t: CUDA_R_32F, CUDA_R_64F
SCALARS: dict[str, Any] = {"f": ctypes.c_float, "d": ctypes.c_double}
COMPUTE_TYPES = {  # cublasComputeType_t: CUBLAS_COMPUTE_32F, _32F_FAST_TF32 and _64F
    "float32": {"f": 68, "d": 70},
    "tf32": {"f": 77, "d": 70},
}
ONE = {char: scalar(1) for char, scalar in SCALARS.items()}  # alpha
ZERO = {char: scalar(0) for char, scalar in SCALARS.items()}  # beta


def load(major: int = 13) -> Any:
    """Return the libcublas that CuPy uses, for this major version of CUDA or else another; None if there is none.

    `cupy.cuda.cublas` loads it from wherever CuPy finds it: a toolkit, NVIDIA's wheels, conda. A loaded library is then
    found by its bare name.
    """
    with contextlib.suppress(ImportError):
        _ = importlib.import_module("cupy.cuda").cublas
    for version in (major, 13, 12):
        for file in (f"libcublas.so.{version}", f"cublas64_{version}.dll"):
            with contextlib.suppress(OSError):
                return ctypes.CDLL(file)
    return None


def layout(x: Array) -> tuple[int, int] | None:
    """Return (operation, leading dimension) with which cuBLAS, which is column-major, reads xᵀ for x (R, C): unchanged,
    or transposed for a transposed view. None if neither rows nor columns are contiguous."""
    rows, columns = x.shape
    down, right = x.strides
    size = x.itemsize
    if x.flags.c_contiguous:
        return NO, max(columns, 1)
    for operation, n, step, lines, ld in (
        (NO, columns, right, rows, down),
        (TRANSPOSED, rows, down, columns, right),
    ):
        if (n == 1 or step == size) and (lines == 1 or (ld >= n * size and ld % size == 0)):
            return operation, ld // size if lines > 1 else max(n, 1)
    return None


class Cublas:
    """A handle of `library` with its workspace, a device array of bytes. For use by one thread."""

    def __init__(self, library, workspace: Array):
        self.library = library
        self.workspace = workspace
        self.stream: int | None = None
        pointer = ctypes.c_void_p
        integer = ctypes.c_int
        operand = [pointer, integer, integer]  # address, type, leading dimension
        library.cublasCreate_v2.argtypes = [ctypes.POINTER(pointer)]
        library.cublasDestroy_v2.argtypes = [pointer]
        library.cublasSetStream_v2.argtypes = [pointer, pointer]
        library.cublasSetWorkspace_v2.argtypes = [pointer, pointer, ctypes.c_size_t]
        library.cublasGemmEx.argtypes = [
            pointer,
            integer,
            integer,
            integer,
            integer,
            integer,
            pointer,
            *operand,
            *operand,
            pointer,
            *operand,
            integer,
            integer,
        ]
        self.handle = pointer()
        check(library.cublasCreate_v2(ctypes.byref(self.handle)), "cublasCreate")
        end = weakref.finalize(self, library.cublasDestroy_v2, self.handle)
        end.atexit = False  # freed with the thread, not at exit

    def use(self, stream: int) -> None:
        """Compute on the stream with this address. Setting it resets the workspace, which is then set again."""
        if stream != self.stream:
            check(self.library.cublasSetStream_v2(self.handle, stream), "cublasSetStream")
            workspace = self.workspace
            address = workspace.data.ptr
            status = self.library.cublasSetWorkspace_v2(self.handle, address, workspace.nbytes)
            check(status, "cublasSetWorkspace")
            self.stream = stream

    def gemm(self, a: Array, b: Array, out: Array, precision: str) -> None:
        """out = a b  for a (M, K), b (K, N), out (M, N) of one float type, each with a `layout`, all sizes >= 1.

        cuBLAS is column-major and sees our arrays transposed, so it computes outᵀ = bᵀ aᵀ.
        """
        m, k = a.shape
        n = b.shape[1]
        char = a.dtype.char
        (trans_a, lda), (trans_b, ldb), (transposed, ldc) = map(layout, (a, b, out))  # type: ignore[arg-type, misc]
        if transposed:  # out is a transposed view: compute outᵀ = bᵀ aᵀ instead
            return self.gemm(b.T, a.T, out.T, precision)
        kind = REAL_TYPES[char]
        one = ONE[char]
        zero = ZERO[char]
        status = self.library.cublasGemmEx(
            self.handle,
            trans_b,
            trans_a,
            n,
            m,
            k,
            ctypes.addressof(one),
            b.data.ptr,
            kind,
            ldb,
            a.data.ptr,
            kind,
            lda,
            ctypes.addressof(zero),
            out.data.ptr,
            kind,
            ldc,
            COMPUTE_TYPES[precision][char],
            DEFAULT_ALGORITHM,
        )
        check(status, f"cublasGemmEx ({m}, {k}) x ({k}, {n})")


def check(status: int, what: str) -> None:
    if status:
        raise RuntimeError(f"cuBLAS: {what} failed with status {status} (cublasStatus_t).")
