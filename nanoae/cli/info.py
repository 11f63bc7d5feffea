"""`nanoae info`: the facts for a bug report: versions, BLAS, processor, GPU, data folders."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform

import numpy as np

import nanoae
from nanoae.backend import BackendError, NoKernels, get_ops, mkl, native
from nanoae.backend.blas import best_environment, cpu_facts, gflops, openblas
from nanoae.cli.options import JSON, command, declare
from nanoae.cli.output import STDOUT, write_json
from nanoae.data.catalogue import complete, places
from nanoae.data.download import SOURCES

OPTIONAL = ("matplotlib", "tqdm", "pillow", "cupy-cuda13x", "cupy-cuda12x", "cupy")


def add_to(commands) -> None:
    parser = command(
        commands,
        "info",
        run,
        "show versions, BLAS, threads, GPU, data folders",
        epilog="example: nanoae info --data-dir my-data",
    )
    declare(
        parser,
        f"""
        --data-dir FOLDER   folder to search for data sets
        {JSON}
    """,
    )


def run(args: argparse.Namespace) -> int:
    versions = {name: version(name) for name in OPTIONAL}
    lines = {
        "nanoae": nanoae.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        **{name: found for name, found in versions.items() if found},
        "BLAS": blas(),
        "kernels": kernels(),
        "products": products(),
        "CPU": cpu(),
        "GPU": gpu(),
    }
    for name in SOURCES:
        looked = places(name, args.data_dir)
        there = [folder for folder, suffixes in looked if complete(name, folder, suffixes)]
        tried = ", ".join(str(folder) for folder, _ in looked)
        missing = f"not found, downloaded when needed. Searched {tried}"
        lines[name] = f"in {there[0]}" if there else missing
    if args.json:
        write_json(STDOUT, lines)
        return 0
    for name, text in lines.items():
        print(f"{name:<15}{text}")
    return 0


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def blas() -> str:
    """Library and version that NumPy was built with; kernel and threads in use."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload,index]
    text = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    running = openblas()
    if running:
        text += f", {running.kernel} kernels, {running.threads} threads"
    text += f", {gflops():.0f} GFLOP/s"
    faster = " ".join(f"{name}={value}" for name, value in best_environment().items())
    return f"{text} (faster here: {faster})" if faster else text


def kernels() -> str:
    """What computes everything except matrix products on the CPU, and the number of threads."""
    try:
        library = native.library()
    except NoKernels as error:
        return f"NumPy. {error}"
    return f"compiled by {library.compiler}, {library.threads} threads, in {library.path}"


def products() -> str:
    """The library for matrix products, the speed of each one installed, and what may be faster."""
    try:
        library = native.library()
    except NoKernels:
        return "by NumPy"
    speeds = mkl.measured(library.path.parent)
    reach = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
    text = f"by {library.products or 'NumPy'}"
    if speeds:
        text += f" (GFLOP/s on one thread: {reach})"
    if not speeds and "Intel" in cpu_facts().get("model name", ""):
        text += ' (may be faster here: pip install "nanoae[mkl]")'
    return text


def cpu() -> str:
    cores = os.cpu_count()
    usable = cores
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    return f"{usable} of {cores} cores usable"


def gpu() -> str:
    try:
        return get_ops("cupy").describe()
    except BackendError as error:
        return f"none. {error}"
