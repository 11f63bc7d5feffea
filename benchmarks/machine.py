"""The machine: facts that a result records about where it was measured, and about other load."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FLAGS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "sve",
)


LIBRARIES = ("numpy", "torch", "jax", "optax", "scikit-learn", "pyod")


def machine() -> dict[str, Any]:
    """CPU, cores, instruction sets, memory, system, versions; no name of the machine or of anybody on it."""
    import nanoae  # here: workers need the rest of this file before NumPy may load

    info = _keys("/proc/cpuinfo")
    flags = info.get("flags", info.get("Features", "")).split()
    memory = _keys("/proc/meminfo").get("MemTotal", "0").split()[0]
    installed = {
        name: metadata.version(name)
        for name in LIBRARIES
        if find_spec(name.replace("scikit-learn", "sklearn"))
    }
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "family": "/".join(info.get(key, "?") for key in ("cpu family", "model", "stepping")),
        "logical_cpus": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(int(memory) / 2**20, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "Python": platform.python_version(),
            "nanoae": nanoae.__version__,
            **installed,
        },
    }


def blas() -> str:
    """NumPy's BLAS in this process and the kernel it has chosen: "openblas 0.3.31 SkylakeX"."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    # SciPy ships an OpenBLAS of its own beside NumPy's.
    mine = [library for library in libraries if "numpy" in library["filepath"]] or libraries
    return " ".join(str(mine[0][key]) for key in ("internal_api", "version", "architecture") if key in mine[0]) \
        if mine else "none found"  # fmt: skip


def pin(threads: int) -> None:
    """Keep this process and its children on `threads` CPUs, of different cores as far as there are (Linux only).

    So no library can take more of the machine than another, whatever pools it starts.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    firsts: list[int] = []
    seconds: list[int] = []
    seen: set[str] = set()
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        (seconds if core in seen else firsts).append(cpu)
        seen.add(core)
    os.sched_setaffinity(0, [*firsts, *seconds][:threads])


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes.

    On Linux VmHWM: ru_maxrss would begin with what the parent held when it started this process.
    """
    if peak := _keys("/proc/self/status").get("VmHWM"):
        return int(peak.split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def busy_seconds() -> float | None:
    """CPU seconds that all processes together have used since the machine started, stolen ones included (Linux)."""
    if not os.path.exists("/proc/stat"):
        return None
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, file.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _keys(path: str) -> dict[str, str]:
    """`key : value` lines of a file, the first of each key; nothing where there is no such file."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        pairs = [line.split(":", 1) for line in file if ":" in line]
    return {key.strip(): value.strip() for key, value in reversed(pairs)}
