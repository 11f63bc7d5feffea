"""CupyOps: the primitives on an NVIDIA GPU: kernels.cu where they are faster, CuPy's functions elsewhere."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import Any, ClassVar

import cupy
import numpy as np

from nanoae.backend import CUPY_OPTIONS, cublas, nccl
from nanoae.backend.allowance import ALLOWANCE
from nanoae.backend.array_ops import Array
from nanoae.backend.graph import captured
from nanoae.backend.host_dataset import HostDataset
from nanoae.backend.kernel_ops import KernelOps
from nanoae.rows import Rows
from nanoae.spelling import one_of

RESERVE = 0.2  # fraction of the free memory that a data set leaves to the network
_threads = threading.local()


class PerThread:
    """State of a thread on a device.

    blas             a cuBLAS handle with its workspace; None if the library is missing
    stream           stream of training steps
    capture_stream   stream for capturing them
    """

    def __init__(self):
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        library = cublas.load(major)
        self.blas = library and cublas.Cublas(library, cupy.empty(cublas.WORKSPACE, np.uint8))
        self.stream = cupy.cuda.Stream()
        self.capture_stream = cupy.cuda.Stream(non_blocking=True)


class CupyOps(KernelOps):
    """CuPy primitives: same names, same signatures, arrays in GPU memory.

    precision     of float32 matrix products: "float32", or "tf32": inputs rounded to 10 bits of mantissa, on tensor
                  cores
    graph         replay training steps as CUDA graphs
    allocations   number of buffers allocated so far: a graph is valid until it increases
    """

    name = "cupy"
    xp = cupy
    remedy = "Move it to the GPU first: ops.to_device(x)."
    ranks: ClassVar[
        dict[int, nccl.Nccl | None]
    ] = {}  # by the Fortran handle of an mpi4py communicator
    repeats = "everything"

    def __init__(self, precision: str = "float32", graph: bool = True):
        one_of("backend 'cupy': precision", precision, cublas.COMPUTE_TYPES)
        super().__init__()
        self._axpby = {}
        self.allocations = 0
        self.precision = precision
        self.graph = graph

    def __reduce__(self):
        return type(self), (self.precision, self.graph)

    @property
    def backend(self) -> str:
        options = [
            name
            for name, set_ in CUPY_OPTIONS.items()
            if set_ and set_.items() <= vars(self).items()
        ]
        return ":".join(filter(None, (self.name, ",".join(options))))

    def describe(self) -> str:
        device = cupy.cuda.Device().id
        name = cupy.cuda.runtime.getDeviceProperties(device)["name"].decode()
        return f"cupy {cupy.__version__} on the GPU, {name}"

    def _compile(self, source: str, options: tuple[str, ...]):
        return cupy.RawModule(code=source, options=options)

    # ---------------------------------------------------------------- memory

    @contextlib.contextmanager
    def _memory(self, what: str, nbytes: int):
        try:
            yield
        except cupy.cuda.memory.OutOfMemoryError as error:
            free, total = cupy.cuda.runtime.memGetInfo()
            free += cupy.get_default_memory_pool().free_bytes()
            raise MemoryError(
                f"backend 'cupy': expected {nbytes / 2**20:,.1f} MiB of GPU memory for {what}, got {free / 2**20:,.1f} "
                f"MiB free of {total / 2**20:,.0f}. Lower batch_size or the widths of the layers, or use "
                'dtype="float32" or backend="numpy".'
            ) from error

    def empty(self, shape, dtype) -> Array:
        ALLOWANCE.spend(shape, dtype)
        size = int(np.prod(shape, dtype=np.int64))
        self.allocations += size > 1
        dtype = np.dtype(dtype)
        with self._memory(f"an array {shape} of {dtype}", size * dtype.itemsize):
            return cupy.empty(shape, dtype)

    def zeros(self, shape, dtype) -> Array:
        zeros = self.empty(shape, dtype)
        zeros.fill(0)
        return zeros

    def to_device(self, x, dtype=None) -> Array:
        if isinstance(x, cupy.ndarray):
            return cupy.ascontiguousarray(x, dtype)
        x = np.ascontiguousarray(x, dtype)
        with self._memory(f"data {x.shape} of {x.dtype}", x.nbytes):
            return cupy.asarray(x)

    def dataset(self, x) -> Array:
        """Return x on the device if it fits; else stream it from the host, or Rows from their file."""
        if isinstance(x, Rows):
            return HostDataset(self, x)
        if not isinstance(x, np.ndarray):
            return self.to_device(x)
        free, _ = cupy.cuda.runtime.memGetInfo()
        free += cupy.get_default_memory_pool().free_bytes()
        if x.nbytes <= (1 - RESERVE) * free:
            with contextlib.suppress(MemoryError):  # free memory may be fragmented
                return self.to_device(x)
        return HostDataset(self, np.ascontiguousarray(x))

    def to_numpy(self, x) -> np.ndarray:
        return x.host if isinstance(x, HostDataset) else cupy.asnumpy(x)

    def check_numbers(self, x: Array, n: int, who: str) -> None:
        """Not checked, since reading x would stall the device."""

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def peek(self, scalar) -> float | None:
        return None

    # ---------------------------------------------------------------- several ranks

    def start_sum(self, sums, x, scale):
        self.scale_inplace(x, scale)
        comm = sums.comm
        number = comm.py2f()
        if number not in self.ranks:
            self.ranks[number] = nccl.connect(cupy, comm)
        between = self.ranks[number]
        if between is None:
            nccl.sum_through_host(cupy, comm, x)
        else:
            between.sum_inplace(x)

    def shared_memory(self, sums, shape, dtype):
        """Return None: each rank has its own GPU."""

    # ---------------------------------------------------------------- training steps

    @property
    def _own(self) -> PerThread:
        device = cupy.cuda.runtime.getDevice()
        if device not in vars(_threads):
            vars(_threads)[device] = PerThread()
        return vars(_threads)[device]

    @property
    def warm_up(self) -> float:
        """The first runs compile and allocate. Without our own cuBLAS handle nothing can be captured."""
        return 2 if self.graph and self._own.blas is not None else math.inf

    def record(self, work):
        graph = captured(self, work)
        if graph is not None:
            graph.repeat(1)
        return graph

    @contextlib.contextmanager
    def training_stream(self):
        """Use this thread's own stream, ordered after the caller's earlier work and before its later work."""
        stream = self._own.stream
        callers = cupy.cuda.get_current_stream()
        stream.wait_event(callers.record())
        try:
            with stream:
                self._bind()
                yield
        finally:
            callers.wait_event(stream.record())

    def identity(self, x: Any) -> Any:
        if isinstance(x, cupy.ndarray):
            return x.data.ptr, x.shape, x.strides, x.dtype
        return super().identity(x)

    # ---------------------------------------------------------------- matrix products

    def _bind(self) -> None:
        """Bind cuBLAS to the current stream, which must happen before it is captured."""
        blas = self._own.blas
        if blas is not None:
            blas.use(cupy.cuda.get_current_stream().ptr)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        blas = self._own.blas
        real = a.dtype == b.dtype and a.dtype.char in cublas.REAL_TYPES
        known = real and 1 <= a.ndim <= 2 and 1 <= b.ndim <= 2 and a.shape[-1] == b.shape[0]
        shape = a.shape[:-1] + b.shape[1:]
        fits = out is None or (out.dtype == a.dtype and out.shape == shape)
        if blas is None or not known or not fits:
            return cupy.matmul(a, b, out=out)  # raises suitable errors
        out = self.empty(shape, a.dtype) if out is None else out
        left, right, product = a, b, out  # vectors as matrices of one row or column
        if a.ndim == 1:
            left, product = a[None], product[None]
        if b.ndim == 1:
            right, product = b[:, None], product[..., None]
        if not out.size or not len(b):
            out.fill(0)
            return out
        left, right = (x if cublas.layout(x) else cupy.ascontiguousarray(x) for x in (left, right))
        blas.use(cupy.cuda.get_current_stream().ptr)
        if cublas.layout(product):
            blas.gemm(left, right, product, self.precision)
        else:
            dense = self.empty(product.shape, a.dtype)
            blas.gemm(left, right, dense, self.precision)
            product[...] = dense
        return out
