"""A stand-in for CuPy on machines without a GPU: a module that executes on the CPU what CuPy would do on the device,
and refuses what CuPy, or CUDA while a stream is captured, would refuse.

`CupyOps` made by `standin_ops()` is the real one, from the same file. Kernels run in `cuda_shim`; cuBLAS is
`FakeCublas`, which gets what the real library gets through ctypes: addresses, leading dimensions, enums. Modelled are:

- an array is no NumPy array: it mixes with Python numbers and arrays of its own kind only, and does not convert itself;
- fresh memory is full of NaN, and a freed block stays freed: a graph that would write into one is refused at replay;
- work on a stream is done later, when somebody reads;
- a captured stream executes nothing; it takes no read-back, no synchronisation, no copy from pageable memory, no
  CuPy BLAS, no kernel that was not compiled before, no memory out of the common pool. The rest is replayed.
"""

import contextlib
import ctypes
import importlib.util
import itertools
import sys
import types
import weakref
from pathlib import Path
from unittest import mock

import cuda_shim
import numpy as np

import nanoae.backend
from nanoae.backend import BackendError

DEVICE_BYTES = 8 << 30
UFUNCS = (
    "abs add ceil clip cos divide equal exp expm1 floor greater greater_equal isfinite isnan less less_equal log log1p "
    "logical_and logical_not maximum minimum multiply negative not_equal power rint sign sin sqrt square subtract tanh"
)
FUNCTIONS = (
    "arange argpartition argsort concatenate cumsum empty_like max mean min ones_like repeat searchsorted stack sum "
    "take_along_axis where zeros_like"
)


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError(size, total, limit)."""


# ---------------------------------------------------------------- memory


class Memory:
    """A block of device memory, aligned as CuPy's: it counts as used for as long as an array refers to it."""

    size = 0

    def __init__(self, size: int, pool: "MemoryPool"):
        if DEVICE.used + size > DEVICE.total:
            raise OutOfMemoryError(
                f"Out of memory allocating {size:,} bytes (allocated so far: {DEVICE.used:,} bytes)."
            )
        self.size, self.pool = size, pool
        self.bytes = np.full(size + 512, 0xFF, np.uint8)
        self.start = -self.bytes.ctypes.data % 512
        self.pointer = self.bytes.ctypes.data + self.start
        DEVICE.used += size
        DEVICE.blocks.add(self)

    def __del__(self):
        DEVICE.used -= self.size
        if self.size and DEVICE.stream.pending:
            DEVICE.freed.append(self.bytes)  # what was put on the stream before may still use it


class MemoryPool:
    def __init__(self):
        self.private = True

    def malloc(self, size: int) -> Memory:
        return Memory(size, self)

    def free_all_blocks(self, stream=None) -> None:
        refuse_in_capture("freeing memory")

    def free_bytes(self) -> int:
        return 0


class Device:
    """The state of the one device."""

    def __init__(self):
        self.used, self.total = 0, DEVICE_BYTES
        self.blocks: weakref.WeakSet = weakref.WeakSet()
        self.pool = MemoryPool()
        self.pool.private = False
        self.allocator = self.pool.malloc
        self.addresses = itertools.count(0x100)  # of streams
        self.freed: list[np.ndarray] = []
        self.compiled: set = set()  # (function, types) of what CuPy has compiled a kernel for


DEVICE = Device()


# ---------------------------------------------------------------- streams and graphs


class Stream:
    """Work is put off until somebody waits for it; while it is captured, until the graph is launched."""

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.ptr = 0 if null else next(DEVICE.addresses)
        self.non_blocking, self.pending, self.captured, self.outer = non_blocking, [], None, []

    def __enter__(self):
        self.outer.append(DEVICE.stream)
        self.switch(self)
        return self

    def __exit__(self, *exception):
        self.switch(self.outer.pop())

    def switch(self, to: "Stream") -> None:
        """The null stream and an ordinary one wait for each other; two others, or a non-blocking one, for nobody."""
        pair = DEVICE.stream, to
        if DEVICE.null in pair and not any(stream.non_blocking for stream in pair):
            DEVICE.stream.flush()
        DEVICE.stream = to

    def begin_capture(self, mode=None):
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        assert self.non_blocking, (
            "while a blocking stream is captured, other threads cannot use the null stream"
        )
        if self.captured is not None:
            raise CUDARuntimeError("cudaErrorIllegalState")
        self.captured = []

    def end_capture(self) -> "Graph":
        if self.captured is None:
            raise CUDARuntimeError("cudaErrorIllegalState")
        work, self.captured = self.captured, None
        return Graph(work)

    def is_capturing(self) -> bool:
        return self.captured is not None

    def synchronize(self):
        refuse_in_capture("a synchronisation")
        self.flush()

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        event.synchronize()

    def flush(self):
        pending, self.pending = self.pending, []
        with np.errstate(all="ignore"):
            for work in pending:
                work()
        DEVICE.freed.clear()


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.stream = None

    def record(self, stream=None):
        self.stream = stream or DEVICE.stream

    def synchronize(self):
        refuse_in_capture("waiting for an event")
        if self.stream is not None:
            self.stream.flush()

    @property
    def done(self):
        return True


class Graph:
    """What a stream was told while it was captured, with the memory blocks that it works on."""

    def __init__(self, work):
        self.work = work

    def upload(self, stream=None):
        pass

    def debug_dot_str(self, flags=0):
        return " -> ".join(str(i) for i in range(len(self.work)))

    def launch(self, stream=None):
        for _, blocks in self.work:
            if not all(block() is not None for block in blocks):
                raise CUDARuntimeError(
                    "cudaErrorIllegalAddress: the graph works on memory that was freed"
                )
        for do, _ in self.work:
            enqueue(do, ())


class PrivateBlock:
    """Instead of a weak reference: memory of a private pool is there as long as the pool."""

    def __init__(self, memory: Memory):
        self.memory = memory

    def __call__(self):
        return self.memory


def capturing() -> bool:
    return DEVICE.stream.captured is not None


def refuse_in_capture(what: str) -> None:
    if capturing():
        raise CUDARuntimeError(
            f"cudaErrorStreamCaptureUnsupported: {what} while the stream is captured"
        )


def compiled_before(*kernel) -> None:
    """CuPy compiles and loads a kernel when it meets it first; a captured stream must not be the first."""
    if kernel not in DEVICE.compiled:
        refuse_in_capture(f"loading the kernel {kernel}")
        DEVICE.compiled.add(kernel)


def enqueue(do, arrays) -> None:
    """do() in the order of the current stream; `arrays` are those whose memory it uses."""
    if capturing():
        blocks = [
            PrivateBlock(a.memory) if a.memory.pool.private else weakref.ref(a.memory)
            for a in arrays
        ]
        DEVICE.stream.captured.append((do, blocks))
    else:
        DEVICE.stream.pending.append(do)


# ---------------------------------------------------------------- arrays


def allocate(shape, dtype, order="C") -> "ndarray":
    dtype = np.dtype(dtype)
    shape = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    memory = DEVICE.allocator(size)
    if capturing() and not memory.pool.private:
        raise AssertionError(
            "memory out of the common pool while a stream is captured: others would reuse it"
        )
    host = memory.bytes[memory.start : memory.start + size].view(dtype).reshape(shape, order=order)
    return ndarray(host, memory)


def raw(value):
    """The NumPy array under a device array; everything else that CuPy takes as it is."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(map(raw, value))
    return value


def arrays_in(*values) -> list["ndarray"]:
    found = []
    for value in values:
        if isinstance(value, ndarray):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += arrays_in(*value)
    return found


def apply(name, function, *args, **kwargs):
    """function(*args) of NumPy on device arrays, into out= or new memory."""
    arrays = arrays_in(*args, *kwargs.values())
    compiled_before(name, *(a.dtype.char for a in arrays))
    plain, out = [raw(value) for value in args], kwargs.pop("out", None)
    options = {key: raw(value) for key, value in kwargs.items()}
    if out is not None:
        if not isinstance(out, ndarray):
            raise TypeError(f"out: expected a cupy.ndarray, got {type(out)}")
        # work on a stream holds no array: it would keep its memory from being freed
        target = out.host
        enqueue(lambda: function(*plain, out=target, **options), arrays)
        return out
    DEVICE.stream.flush()
    with np.errstate(all="ignore"):
        result = np.asarray(function(*plain, **options))
    out = allocate(result.shape, result.dtype)
    target = out.host
    if capturing():  # nothing is computed now
        enqueue(lambda: np.copyto(target, function(*plain, **options)), [*arrays, out])
    else:
        target[...] = result
    return out


class Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = (
            flags.c_contiguous,
            flags.f_contiguous,
            flags.owndata,
        )
        self.fnc = flags.fnc


class ndarray:
    """An array in device memory: `host`, its numbers, in the block `memory`."""

    __slots__ = ("base", "host", "memory")
    __hash__ = None

    def __init__(self, host: np.ndarray, memory: Memory, base: "ndarray | None" = None):
        self.host, self.memory, self.base = host, memory, base

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    strides = property(lambda self: self.host.strides)
    flags = property(lambda self: Flags(self.host.flags))
    T = property(lambda self: self.view_of(self.host.T))
    data = property(
        lambda self: types.SimpleNamespace(ptr=self.host.__array_interface__["data"][0])
    )

    def view_of(self, host: np.ndarray) -> "ndarray":
        """`host`, a view of my numbers."""
        return ndarray(host, self.memory, self if self.base is None else self.base)

    # ------------------------------------------------ the host: everything here waits for the device

    def get(self, stream=None, order="C", out=None, blocking=True):
        refuse_in_capture("a read-back")
        DEVICE.stream.flush()
        if out is not None:
            out[...] = self.host
            return out
        return self.host.copy(order="C" if order == "A" else order)

    def set(self, arr, stream=None):
        """A copy from the host's ordinary memory: right now."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.shape != self.shape or arr.dtype != self.dtype or not self.flags.c_contiguous:
            raise ValueError("Shape or dtype mismatch")
        refuse_in_capture("a copy from pageable memory")
        DEVICE.stream.flush()
        self.host[...] = arr

    def item(self, *args):
        return self.get().item(*args)

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __index__(self):
        return self.get().__index__()

    def __bool__(self):
        return bool(self.get())

    def __repr__(self):
        return "captured" if capturing() else repr(self.get())

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, *args, **kwargs):
        raise TypeError(
            "a function of NumPy got an array of the device: call the primitive of its ops"
        )

    __array_function__ = __array_ufunc__

    def __reduce__(self):
        return asarray, (self.get(),)

    # ------------------------------------------------ views

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self.host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        arrays = arrays_in(*key) if isinstance(key, tuple) else arrays_in(key)
        key = raw(key)
        if any(isinstance(k, list) for k in (key if isinstance(key, tuple) else (key,))):
            raise IndexError(
                "arrays used as indices must be of integer or boolean type: lists are refused here"
            )
        if not arrays:
            whole = key if isinstance(key, tuple) else (key,)
            return self.view_of(
                self.host[(*whole, ...)] if Ellipsis not in whole else self.host[whole]
            )
        if any(a.dtype == bool for a in arrays):
            refuse_in_capture("a boolean index")
        return apply("take", lambda x, *_: x[key], self, *arrays)

    def __setitem__(self, key, value):
        arrays = [
            self,
            *(arrays_in(*key) if isinstance(key, tuple) else arrays_in(key)),
            *arrays_in(value),
        ]
        key, value = raw(key), raw(value)
        compiled_before("copy", *(a.dtype.char for a in arrays))
        host = self.host
        enqueue(lambda: host.__setitem__(key, value), arrays)

    def reshape(self, *shape, order="C"):
        host = self.host.reshape(*shape, order=order)
        if np.may_share_memory(host, self.host) or not host.size:
            return self.view_of(host)
        return apply("copy", lambda x: x.reshape(*shape, order=order), self)

    def ravel(self, order="C"):
        return self.reshape(-1, order=order)

    def transpose(self, *axes):
        return self.view_of(self.host.transpose(*axes))

    def swapaxes(self, one, other):
        return self.view_of(self.host.swapaxes(one, other))

    def squeeze(self, axis=None):
        return self.view_of(self.host.squeeze(axis))

    def view(self, dtype=None):
        return self.view_of(self.host.view(dtype) if dtype else self.host)

    # ------------------------------------------------ new arrays

    def copy(self, order="C"):
        return apply("copy", np.array, self)

    def astype(self, dtype, copy=True):
        return (
            self
            if not copy and self.dtype == dtype
            else apply("astype", lambda x: x.astype(dtype), self)
        )

    def fill(self, value):
        self[...] = value


def method(name):
    return lambda self, *args, **kwargs: apply(name, getattr(np, name), self, *args, **kwargs)


def operator(name, inplace=False):
    function = getattr(np.ndarray, name)

    def operate(self, *others):
        if inplace:
            arrays = [self, *arrays_in(*others)]
            compiled_before(name, *(a.dtype.char for a in arrays))
            plain = [raw(value) for value in (self, *others)]
            enqueue(lambda: function(*plain), arrays)
            return self
        return apply(name, function, self, *others)

    return operate


for _name in (
    "sum",
    "max",
    "min",
    "mean",
    "argmax",
    "argmin",
    "all",
    "any",
    "argsort",
    "clip",
    "prod",
    "repeat",
    "cumsum",
):
    setattr(ndarray, _name, method(_name))
for _name in ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod"]:
    for _prefix in ("", "r", "i"):
        _method = f"__{_prefix}{_name}__"
        setattr(ndarray, _method, operator(_method, inplace=_prefix == "i"))
for _name in ["neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge", "and", "or"]:
    setattr(ndarray, f"__{_name}__", operator(f"__{_name}__"))


# ---------------------------------------------------------------- the module


class Ufunc:
    """cupy.ufunc: fewer arguments than NumPy's."""

    def __init__(self, name):
        self.name, self.function = name, getattr(np, name)

    def __call__(self, *args, out=None, casting="same_kind", dtype=None):
        if not arrays_in(*args):
            raise TypeError(f"cupy.{self.name}: expected an array of the device, got {args}")
        options = {} if dtype is None else {"dtype": dtype}
        if self.name != "clip":
            options["casting"] = casting
        return apply(self.name, self.function, *args, out=out, **options)

    def reduce(self, a, axis=0, dtype=None, out=None, keepdims=False):
        function = self.function.reduce
        return apply(
            self.name, lambda x, **k: function(x, axis=axis, keepdims=keepdims, **k), a, out=out
        )

    def at(self, a, indices, b):
        compiled_before(f"{self.name}.at", a.dtype.char)
        target, key, plain = raw(a), raw(indices), raw(b)
        enqueue(lambda: self.function.at(target, key, plain), [a, *arrays_in(indices, b)])


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    refuse_in_capture("a copy from the host")
    host = np.asarray(a, dtype)
    if host.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    out = allocate(host.shape, host.dtype, "F" if host.flags.fnc else "C")
    DEVICE.stream.flush()
    out.host[...] = host
    return out


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy()


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(out=out) if isinstance(a, ndarray) else np.asarray(a)


def filled(value):
    def make(shape, dtype=float, order="C"):
        out = allocate(shape, dtype, order)
        if value is not None:
            out.fill(value)
        return out

    return make


def take(a, indices, axis=None, out=None):
    return apply(
        "take", lambda x, i, **k: np.take(x, i, axis=axis, mode="clip", **k), a, indices, out=out
    )


def blas(name):
    def multiply(a, b, out=None):
        if capturing():
            raise NotImplementedError(
                "cuBLAS: calling this API during stream capture is currently unsupported"
            )
        return apply(name, getattr(np, name), a, b, out=out)

    return multiply


class RawModule:
    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc", name_expressions=None):
        if cuda_shim.COMPILER is None:
            raise BackendError(cuda_shim.NEEDS_COMPILER)
        self.module = cuda_shim.RawModule(
            code=code, options=tuple(o for o in options if o != "--use_fast_math")
        )

    def get_function(self, name):
        return RawKernel(self.module, name)


class RawKernel:
    def __init__(self, module, name):
        refuse_in_capture(f"loading the kernel {name}")
        self.kernel = module.get_function(name)

    def __call__(self, grid, block, args, *, shared_mem=0):
        plain = tuple(map(raw, args))
        for value in plain:
            if not isinstance(value, np.ndarray | np.generic):
                raise TypeError(f"Unsupported type {type(value)}")
        enqueue(lambda: self.kernel(grid, block, plain), arrays_in(*args))


@contextlib.contextmanager
def using_allocator(allocator=None):
    outer, DEVICE.allocator = DEVICE.allocator, allocator
    try:
        yield
    finally:
        DEVICE.allocator = outer


def make_modules() -> dict[str, types.ModuleType]:
    """What `import cupy` finds."""
    cupy, cuda = (types.ModuleType(name) for name in ("cupy", "cupy.cuda"))
    for name in UFUNCS.split():
        setattr(cupy, name, Ufunc(name))
    for name in FUNCTIONS.split():
        function = getattr(np, name)
        setattr(cupy, name, lambda *a, _n=name, _f=function, **k: apply(_n, _f, *a, **k))
    cupy.clip = lambda a, a_min, a_max, out=None: apply("clip", np.clip, a, a_min, a_max, out=out)
    cupy.empty, cupy.zeros, cupy.ones = filled(None), filled(0), filled(1)
    cupy.matmul, cupy.dot, cupy.take = blas("matmul"), blas("dot"), take
    ndarray.__matmul__ = lambda self, other: cupy.matmul(self, other)
    cupy.asarray = cupy.array = asarray
    cupy.ascontiguousarray, cupy.asnumpy = ascontiguousarray, asnumpy
    cupy.expand_dims = lambda a, axis: a.view_of(np.expand_dims(a.host, axis))
    cupy.copyto = lambda dst, src, where=None: dst.__setitem__(
        ..., src if where is None else cupy.where(where, src, dst)
    )
    cupy.ndarray, cupy.RawModule, cupy.__version__ = ndarray, RawModule, "0.0 (stand-in)"
    cupy.dtype = np.dtype
    cupy.float32, cupy.float64, cupy.int64, cupy.uint64 = (
        np.float32,
        np.float64,
        np.int64,
        np.uint64,
    )
    cupy.get_default_memory_pool = lambda: DEVICE.pool
    cuda.Stream, cuda.Event, cuda.Graph, cuda.MemoryPool = Stream, Event, Graph, MemoryPool
    cuda.get_current_stream, cuda.using_allocator = lambda: DEVICE.stream, using_allocator
    cuda.Device = lambda number=0: types.SimpleNamespace(id=0, compute_capability="90")
    cuda.memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cuda.runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda number: {"name": b"a stand-in on the CPU"},
        memGetInfo=lambda: (DEVICE.total - DEVICE.used, DEVICE.total),
        runtimeGetVersion=lambda: 13000,
        getDevice=lambda: 0,
        driverGetVersion=lambda: 13000,
        CUDARuntimeError=CUDARuntimeError,
    )
    cupy.cuda = cuda
    return {"cupy": cupy, "cupy.cuda": cuda}


# ---------------------------------------------------------------- cuBLAS


R_32F, R_64F, COMPUTE = 0, 1, {68: np.float32, 77: np.float32, 70: np.float64}
INVALID_VALUE = 7  # cublasStatus_t


def columns(pointer, dtype, rows, columns, ld) -> np.ndarray:
    """The column-major matrix (rows, columns) at an address."""
    dtype, size = np.dtype(dtype), (ld * (columns - 1) + rows) if rows * columns else 0
    flat = np.frombuffer(
        (ctypes.c_byte * (size * dtype.itemsize)).from_address(value_of(pointer)), dtype
    )
    return np.lib.stride_tricks.as_strided(
        flat, (rows, columns), (dtype.itemsize, dtype.itemsize * ld)
    )


class FakeLibrary:
    """A library as ctypes shows it: functions that get addresses and enums, and give a status."""

    def __init__(self):
        self.functions = {}  # argtypes and restype that were set
        self.calls: list[tuple] = []

    def __getattr__(self, name):
        return CFunction(self, getattr(type(self), f"do_{name}"), self.functions, name)


class FakeCublas(FakeLibrary):
    """libcublas. Matrices are column-major, as in the library."""

    def __init__(self):
        super().__init__()
        self.stream = self.workspace = None

    def do_cublasCreate_v2(self, handle):
        refuse_in_capture("cublasCreate")
        handle._obj.value = 0xB1A5
        return 0

    def do_cublasDestroy_v2(self, handle):
        self.calls.append(("destroyed",))
        return 0

    def do_cublasSetStream_v2(self, handle, stream):
        # the library falls back to a workspace of its own
        self.stream, self.workspace = (value_of(stream), None)
        return 0

    def do_cublasSetWorkspace_v2(self, handle, pointer, size):
        refuse_in_capture("cublasSetWorkspace")
        self.workspace = value_of(pointer), value_of(size)
        return 0

    def do_cublasGemmEx(self, handle, transa, transb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type,
                        ldc, compute, algo):  # fmt: skip
        assert value_of(handle) == 0xB1A5 and algo == -1
        if DEVICE.stream.ptr != (self.stream or 0):
            raise AssertionError(
                f"cuBLAS is set to stream {self.stream}, the current one is {DEVICE.stream.ptr}"
            )
        if capturing() and not self.workspace:
            raise AssertionError("cuBLAS would allocate its workspace while the stream is captured")
        dtype = np.dtype(COMPUTE[compute])
        assert {a_type, b_type, c_type} == {R_32F if dtype == np.float32 else R_64F}
        kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double
        alpha, beta = (ctypes.cast(p, ctypes.POINTER(kind)).contents.value for p in (alpha, beta))
        if lda < max(1, k if transa else m) or ldb < max(1, n if transb else k) or ldc < max(1, m):
            return INVALID_VALUE
        A = columns(a, dtype, *((k, m) if transa else (m, k)), lda)
        B = columns(b, dtype, *((n, k) if transb else (k, n)), ldb)
        C = columns(c, dtype, m, n, ldc)

        def multiply():
            product = alpha * ((A.T if transa else A) @ (B.T if transb else B))
            C[...] = product if beta == 0 else product + beta * C

        enqueue(multiply, blocks_at(a, b, c) if capturing() else ())
        self.calls.append((m, n, k, compute))
        return 0


class CFunction:
    """A function of a ctypes library: argtypes convert, restype is remembered."""

    def __init__(self, owner, function, kept, name):
        self.__dict__.update(owner=owner, function=function, kept=kept, name=name)

    def __setattr__(self, key, value):
        self.kept[self.name, key] = value

    def __call__(self, *args):
        types_ = self.kept.get((self.name, "argtypes"))
        if types_ is None or len(types_) != len(args):
            raise TypeError(
                f"{self.name}: expected argtypes for {len(args)} arguments, got {types_}"
            )
        for kind, value in zip(types_, args, strict=True):
            if kind in (ctypes.c_int, ctypes.c_size_t, ctypes.c_int64) and not isinstance(
                value, int
            ):
                raise TypeError(f"{self.name}: expected an int, got {value!r}")
        return self.function(self.owner, *args)


def value_of(pointer) -> int:
    return int(getattr(pointer, "value", pointer) or 0)


def blocks_at(*pointers) -> list:
    """Something with the memory that each address lies in."""
    found = []
    for pointer in map(value_of, pointers):
        inside = [m for m in DEVICE.blocks if m.pointer <= pointer < m.pointer + max(m.size, 1)]
        if not inside:
            raise AssertionError("cuBLAS got an address that is not the device's")
        found.append(types.SimpleNamespace(memory=inside[0]))
    return found


# ---------------------------------------------------------------- CupyOps on the stand-in


DEVICE.stream = DEVICE.null = Stream(null=True)
MODULES = make_modules()


def _load():
    """nanoae/backend/cupy_ops.py with the stand-in for CuPy: as a module of another name, so that the real one, and a
    machine without CuPy, stay what they are."""
    path = Path(nanoae.backend.__file__).with_name("cupy_ops.py")
    spec = importlib.util.spec_from_file_location("standin_cupy_ops", path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, MODULES):
        spec.loader.exec_module(module)
    sys.modules["standin_cupy_ops"] = module  # pickle asks for it
    return module


def standin_ops(**options):
    """A CupyOps that runs here; BackendError without a C++ compiler."""
    if cuda_shim.COMPILER is None:
        raise BackendError(cuda_shim.NEEDS_COMPILER)
    global CUPY_OPS
    if CUPY_OPS is None:
        CUPY_OPS = _load()
        CUPY_OPS.CupyOps.threads = 64  # a barrier costs the shim a coroutine for each
        load = {"load": lambda major: FakeCublas()}
        CUPY_OPS.cublas = types.SimpleNamespace(**{**vars(CUPY_OPS.cublas), **load})
    return CUPY_OPS.CupyOps(**options)


CUPY_OPS = None
