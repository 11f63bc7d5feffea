"""The kernels on the CPU: kernels.cu, compiled by the system's C++ compiler on first use, and cached.

The library is stored in the user's cache folder, one per CPU, compiler and source. It is loaded only if file and folder
belong to the user, are not writable by others, and the file ends with a checksum of its contents. All this is optional:
without a compiler, or with NANOAE_KERNELS=0, NumPy computes everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.backend import NoKernels, kernels, mkl
from nanoae.backend.blas import cpu_facts, openblas

SWITCH = "NANOAE_KERNELS"
COMPILERS = ("c++", "g++", "clang++")
# SIMD needs the last three flags; they do not change results.
FLAGS = (
    "-std=c++17 -O3 -march=native -fPIC -pthread -fopenmp-simd -fno-math-errno -fno-trapping-math"
)
# Without it, calls in loops are not inlined, which prevents SIMD
CLANG_FLAGS = "-mllvm -inline-threshold=100000 -Wno-pass-failed"
GCC_FLAGS = "-fno-gcse"  # compiles in 15 % less time, runs as fast
BLOCK = 1 << 14  # elements of a block, which is computed by one thread
begin: Any = ctypes.c_char.from_buffer  # with addressof five times faster than `x.ctypes.data`


class Kernels:
    """The library in `path`, compiled by `compiler`.

    products   the BLAS for blocks of matrix products: NumPy's "OpenBLAS", or "MKL"; "" to leave them to NumPy
    threads    number of blocks of a large product
    """

    def __init__(self, path: Path, compiler: str):
        self.path = path
        self.compiler = compiler
        self.library = ctypes.CDLL(str(path))
        self.holding = ctypes.PyDLL(str(path))
        # Replays recorded calls; replay_few is for few small ones and keeps the GIL, like launch_one.
        self.replay = self.library.replay
        self.replay_few = self.holding.replay
        for replay in (self.replay, self.replay_few):
            replay.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
            replay.restype = ctypes.c_size_t
        # If NumPy uses another BLAS, the loops run on one thread, next to that BLAS's own threads.
        self.products = ""
        self.threads = 1
        own = openblas()
        if own is None:
            return
        faster = mkl.faster_mkl(path.parent)
        threads = [own.function(f"openblas_{what}_num_threads") for what in ("get", "set")]
        names = [f"cblas_{real}{what}" for real in "sd" for what in ("gemm", "gemv")]
        products = [(faster or own).function(name) for name in names]
        if None not in (*threads, *products):
            pointers = [
                ctypes.cast(function, ctypes.c_void_p) for function in (*threads, *products)
            ]
            self.library.connect(*pointers, (faster or own).integer is ctypes.c_int64)
            self.products = "MKL" if faster else "OpenBLAS"
            self.threads = own.threads


class Kernel:
    """`launch(packed(arguments), x, y)` runs the kernel in a grid of x · y blocks. Arguments are arrays, numbers, None.

    launch_one   the same for a single block; it keeps the GIL, since releasing and reacquiring it takes longer
    """

    def __init__(self, library: ctypes.CDLL, holding: ctypes.PyDLL, name: str, real: str):
        signature = getattr(library, f"signature_{name}_{real}")
        signature.restype = ctypes.c_char_p
        self.pack = struct.Struct(signature().decode()).pack
        self.launch = getattr(library, f"launch_{name}_{real}")
        self.launch_one = getattr(holding, f"launch_{name}_{real}")
        for launch in (self.launch, self.launch_one):
            launch.argtypes = (ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)
            launch.restype = None

    def packed(self, arguments: tuple[Any, ...]) -> bytes:
        """Return the arguments in C's layout, arrays as their addresses."""
        try:
            values = [
                ctypes.addressof(begin(x)) if isinstance(x, np.ndarray) else x or 0
                for x in arguments
            ]
        except (TypeError, ValueError, BufferError):  # read-only, empty or non-contiguous arrays
            values = [x.ctypes.data if isinstance(x, np.ndarray) else x or 0 for x in arguments]
        return self.pack(*values)


@functools.cache
def kernel(name: str, char: str) -> Kernel:
    """Return the kernel called `name` for float ("f") or double ("d")."""
    return Kernel(library().library, library().holding, name, kernels.FLOATS[char])


# ---------------------------------------------------------------------------------------------------- building


def library() -> Kernels:
    """Return the kernels of this machine; raise NoKernels, with the reason, if there are none."""
    found = find()
    if isinstance(found, str):
        raise NoKernels(found)
    return found


@functools.cache
def find() -> Kernels | str:
    """Return the kernels, compiled if necessary, or the reason why there are none; cached per process."""
    if os.environ.get(SWITCH, "1") == "0":
        return f"switched off by {SWITCH}=0"
    if sys.platform != "linux":
        return f"they require Linux, this is {platform.system()}"
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return f"no C++ compiler found ({', '.join(COMPILERS)})"
    try:
        version = output([compiler, "--version"]).splitlines()[0]
        folder = own_folder()
        path = folder / f"kernels-{key(version)}.so"
        if not trusted(path):
            log(f"compiling kernels for this CPU with {version} (once, a few seconds) ...")
            try:
                build(compiler, path)
            except BaseException:
                log(f"compilation failed; using NumPy. Set {SWITCH}=0 to skip it.")
                raise
        return Kernels(path, version)
    except (OSError, subprocess.SubprocessError, NoKernels) as error:
        reason = getattr(error, "stderr", None) or str(error)
        message = reason.strip().splitlines()[0]
        return f"{compiler} or the compiled library failed: {message}"


def log(text: str) -> None:
    print(f"nanoae: {text}", file=sys.stderr)


def source(real: str) -> str:
    """Return the program for one float type."""
    definitions = f"#define CPU\n#define real {real}\n#define THREADS {BLOCK}u\n"
    return f"{definitions}{kernels.source('cpu.h')}}}\n"


def key(version: str) -> str:
    """Return a hash of source, flags, CPU and compiler, which identifies a library."""
    pool = Path(__file__).with_name("pool.cpp").read_text(encoding="utf-8")
    cpu = [cpu_facts().get(name, "") for name in ("model name", "cpu family", "model", "flags")]
    sources = map(source, kernels.FLOATS.values())
    facts = [*sources, pool, FLAGS, GCC_FLAGS, version, *cpu, platform.platform()]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def build(compiler: str, path: Path) -> None:
    """Compile the library and write it to `path` atomically."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        folder = Path(name)
        sources = {f"{real}.cpp": source(real) for real in kernels.FLOATS.values()}
        sources["pool.cpp"] = Path(__file__).with_name("pool.cpp").read_text(encoding="utf-8")
        for file, text in sources.items():
            (folder / file).write_text(text, encoding="utf-8")
        flags = FLAGS.split()
        clang = "clang" in output([compiler, "--version"])
        flags += (CLANG_FLAGS if clang else GCC_FLAGS).split()
        pipe: dict[str, Any] = {"cwd": folder, "stderr": subprocess.PIPE, "text": True}
        running = [subprocess.Popen([compiler, *flags, "-c", file], **pipe) for file in sources]
        done = [process.communicate() for process in running]
        for process, (_, errors) in zip(running, done, strict=True):
            if process.returncode:
                raise NoKernels(errors or f"exit status {process.returncode}")
        objects = [file.replace(".cpp", ".o") for file in sources]
        output([compiler, "-shared", "-pthread", *objects, "-o", "library"], folder)
        content = (folder / "library").read_bytes()
        (folder / "library").write_bytes(content + hashlib.sha256(content).digest())
        (folder / "library").chmod(0o600)
        (folder / "library").replace(path)


def output(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout


# ---------------------------------------------------------------------------------------------------- cache


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nanoae" / "kernels"


def own_folder() -> Path:
    """Return the folder of the libraries, which belongs to the user and is not writable by others."""
    folder = cache()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not own(folder):
        raise NoKernels(f"{folder} belongs to another user, or is writable by others")
    return folder


def own(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def trusted(path: Path) -> bool:
    """Return True if the library exists, belongs to the user, and ends with the checksum of its contents."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        checksum = hashlib.sha256(content[:-32]).digest()
        return own(path) and checksum == content[-32:]
    return False
