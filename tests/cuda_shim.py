"""CUDA kernels on the CPU: `RawModule` as CuPy has it, for NumPy arrays and a C++ compiler.

The same source is compiled behind `cuda_shim.h`, and every thread of every block runs. What CUDA would take in silence
is refused here: an argument of another type than the kernel's, an array of another dtype.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

COMPILER = shutil.which("g++") if sys.platform == "linux" else None
NEEDS_COMPILER = "running CUDA kernels on the CPU needs Linux and the C++ compiler g++"
# that one forbids longjmp to another stack
FLAGS = ("-O1", "-fPIC", "-ffp-contract=off", "-w", "-U_FORTIFY_SOURCE")


KEPT = Path.home() / ".cache" / "nanoae" / "cuda-shim"  # for other processes, too


@functools.cache
def build(code: str, options: tuple[str, ...]) -> ctypes.PyDLL:
    """The library of a source; every kernel k in it has signature_k and launch_k beside it."""
    header = Path(__file__).with_suffix(".h").read_text(encoding="utf-8")
    said = repr((header, code, options, FLAGS, COMPILER))
    library = KEPT / f"{hashlib.blake2b(said.encode(), digest_size=16).hexdigest()}.so"
    if not library.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            os.replace(compiled(f"{header}\n{code}", options, Path(folder)), library)
    return ctypes.PyDLL(str(library))


def compiled(code: str, options: tuple[str, ...], folder: Path) -> Path:
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text(code, encoding="utf-8")
    command = [COMPILER, "-x", "c++", *FLAGS, *options, str(source)]
    expanded = subprocess.run(
        [*command, "-E", "-P"], check=True, capture_output=True, text=True
    ).stdout
    exports = [f"EXPORT({name})" for name in re.findall(r'extern "C" +void (\w+)\(', expanded)]
    source.write_text("\n".join([code, *exports]), encoding="utf-8")
    done = subprocess.run([*command, "-shared", "-o", str(library)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{COMPILER} refused the kernels:\n{done.stderr}")
    return library


class RawModule:
    """cupy.RawModule(code=source, options=("-Dreal=float",))."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()):
        self.library = build(code, tuple(options))

    def get_function(self, name: str) -> "Function":
        return Function(self.library, name)


class Function:
    """kernel(grid, block, args): args are arrays, np.int64, np.uint64 and np.float64."""

    def __init__(self, library: ctypes.PyDLL, name: str):
        self.name, self.launch = name, getattr(library, f"launch_{name}")
        self.launch.restype = ctypes.c_char_p
        signature = getattr(library, f"signature_{name}")
        signature.restype = ctypes.c_char_p
        self.signature = signature().decode().split()

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple) -> None:
        if len(args) != len(self.signature):
            raise TypeError(
                f"{self.name}: expected {len(self.signature)} arguments, got {len(args)}."
            )
        values = [
            self.pack(i, *pair) for i, pair in enumerate(zip(args, self.signature, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        error = self.launch(pointers, (ctypes.c_uint * 3)(*(*grid, 1)[:2], *block))
        if error:
            raise RuntimeError(f"{self.name}: {error.decode()}.")

    def pack(self, number: int, value, code: str):
        """The argument as C has it."""
        if isinstance(value, np.ndarray) and code == f"*{value.dtype.str[1:]}":
            return ctypes.c_void_p(value.ctypes.data)
        if isinstance(value, np.uint64) and (code == "u8" or (code[0] == "*" and value == 0)):
            return ctypes.c_uint64(int(value))
        if isinstance(value, np.int64) and (code == "i8" or (code == "u8" and value >= 0)):
            return ctypes.c_int64(int(value))
        if isinstance(value, np.float64) and code == "f8":
            return ctypes.c_double(float(value))
        kind = (
            f"an array of {value.dtype}"
            if isinstance(value, np.ndarray)
            else f"{type(value).__name__} {value!r}"
        )
        raise TypeError(f"{self.name}: argument {number}: expected {code}, got {kind}.")
