"""The kernels on the CPU: kernels.cu, compiled by the system's C++ compiler when it is first used, and kept.

The library lies in the user's cache folder, one for each CPU, compiler and source. It is loaded if the file and its
folder are the user's own, nobody else may write to them, and it ends with the checksum of what is before. Nothing here
is needed: without a compiler, or with NANOAE_KERNELS=0, everything is computed by NumPy.
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
# The last three are what SIMD needs, and numbers do not notice.
FLAGS = (
    "-std=c++17 -O3 -march=native -fPIC -pthread -fopenmp-simd -fno-math-errno -fno-trapping-math"
)
# else calls stay in loops: no SIMD
CLANG_FLAGS = "-mllvm -inline-threshold=100000 -Wno-pass-failed"
GCC_FLAGS = "-fno-gcse"  # 15 % less time to compile, the same to run
BLOCK = 1 << 14  # elements of a block, which one thread computes from its beginning to its end
begin: Any = ctypes.c_char.from_buffer  # with addressof a fifth of the time of `x.ctypes.data`


class Kernels:
    """The library in `path`, made by `compiler`.

    products   the library that multiplies matrices in its blocks: "OpenBLAS", NumPy's own, or "MKL"; "": NumPy does it
    threads        how many blocks a large one is divided into
    """

    def __init__(self, path: Path, compiler: str):
        self.path = path
        self.compiler = compiler
        self.library = ctypes.CDLL(str(path))
        self.holding = ctypes.PyDLL(str(path))
        # Of recorded calls; replay_few for little of it, which keeps the interpreter's lock, as launch_one does.
        self.replay = self.library.replay
        self.replay_few = self.holding.replay
        for replay in (self.replay, self.replay_few):
            replay.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
            replay.restype = ctypes.c_size_t
        # With another BLAS under NumPy the loops take one thread, beside whatever threads that one has.
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
    """`launch(packed(arguments), x, y)` runs it in a grid of x · y blocks. Arguments are arrays, numbers, None.

    launch_one   the same for one block, which is done sooner than another thread has got the interpreter's lock and
                 given it back: it keeps the lock
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
        """As C has them: of an array, where it begins."""
        try:
            values = [
                ctypes.addressof(begin(x)) if isinstance(x, np.ndarray) else x or 0
                for x in arguments
            ]
        except (TypeError, ValueError, BufferError):  # read-only, empty, or with gaps
            values = [x.ctypes.data if isinstance(x, np.ndarray) else x or 0 for x in arguments]
        return self.pack(*values)


@functools.cache
def kernel(name: str, char: str) -> Kernel:
    """The kernel of that name for floats ("f") or doubles ("d")."""
    return Kernel(library().library, library().holding, name, kernels.FLOATS[char])


# ---------------------------------------------------------------------------------------------------- building


def library() -> Kernels:
    """The kernels of this machine. NoKernels says why there are none."""
    found = find()
    if isinstance(found, str):
        raise NoKernels(found)
    return found


@functools.cache
def find() -> Kernels | str:
    """The kernels, compiled if need be, or why there are none: found out once in a process."""
    if os.environ.get(SWITCH, "1") == "0":
        return f"switched off by {SWITCH}=0"
    if sys.platform != "linux":
        return f"they are for Linux, this is {platform.system()}"
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return f"no C++ compiler found ({', '.join(COMPILERS)})"
    try:
        version = output([compiler, "--version"]).splitlines()[0]
        folder = own_folder()
        path = folder / f"kernels-{key(version)}.so"
        if not trusted(path):
            log(f"compiling kernels for this CPU with {version} (once, some seconds) ...")
            try:
                build(compiler, path)
            except BaseException:
                log(f"that failed; NumPy computes. {SWITCH}=0 says not to try.")
                raise
        return Kernels(path, version)
    except (OSError, subprocess.SubprocessError, NoKernels) as error:
        reason = getattr(error, "stderr", None) or str(error)
        message = reason.strip().splitlines()[0]
        return f"{compiler} or its library fails: {message}"


def log(text: str) -> None:
    print(f"nanoae: {text}", file=sys.stderr)


def source(real: str) -> str:
    """The program for one type."""
    definitions = f"#define CPU\n#define real {real}\n#define THREADS {BLOCK}u\n"
    return f"{definitions}{kernels.source('cpu.h')}}}\n"


def key(version: str) -> str:
    """What a library is good for: this source, CPU and compiler."""
    pool = Path(__file__).with_name("pool.cpp").read_text(encoding="utf-8")
    cpu = [cpu_facts().get(name, "") for name in ("model name", "cpu family", "model", "flags")]
    sources = map(source, kernels.FLOATS.values())
    facts = [*sources, pool, FLAGS, GCC_FLAGS, version, *cpu, platform.platform()]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def build(compiler: str, path: Path) -> None:
    """Compile the library; at `path` it is there as a whole or not at all."""
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


# ---------------------------------------------------------------------------------------------------- keeping


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nanoae" / "kernels"


def own_folder() -> Path:
    """Where the libraries lie: a folder of the user's, to which nobody else may write."""
    folder = cache()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not own(folder):
        raise NoKernels(f"{folder} is not the user's own, or others may write to it")
    return folder


def own(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def trusted(path: Path) -> bool:
    """Whether there is a library, the user's own, that ends with the checksum of the rest."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        checksum = hashlib.sha256(content[:-32]).digest()
        return own(path) and checksum == content[-32:]
    return False
