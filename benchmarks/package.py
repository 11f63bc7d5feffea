"""The package: import time beyond NumPy's, and installed size."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PARTS = ("pyproject.toml", "README.md", "LICENSE", "nanoae")
IMPORT = """
import time
started = time.perf_counter()
import numpy
between = time.perf_counter()
{second}
print(between - started, time.perf_counter() - between)
"""


def import_times(repeats: int = 15) -> dict[str, Any]:
    """Milliseconds of `import numpy`, and of `import nanoae` after it, each in fresh processes; one unrecorded run
    first, which compiles the bytecode."""
    numpy, nanoae = [], []
    command = [sys.executable, "-c", IMPORT.format(second="import nanoae")]
    with tempfile.TemporaryDirectory() as folder:
        # As after an installation, which compiles the bytecode, also where the surroundings forbid to write it.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        for number in range(repeats + 1):
            said = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            ).stdout
            first, second = map(float, said.split())
            if number:
                numpy.append(first * 1e3)
                nanoae.append(second * 1e3)
    return {"numpy_ms": numpy, "nanoae_ms": nanoae}


def install_size() -> tuple[str, dict[str, int]]:
    """A sentence, and the bytes of the wheel and of what it unpacks to (nothing where it could not be built).

    Built from a copy: the checkout stays as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "wheel")
        source.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            if (ROOT / part).exists():  # pip says what is missing
                copy(ROOT / part, source / part)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(target),
        ]
        done = subprocess.run([*pip, str(source)], capture_output=True, text=True)
        if done.returncode:
            return f"The wheel could not be built: {done.stderr.strip()}", {}
        (wheel,) = target.iterdir()
        with zipfile.ZipFile(wheel) as archive:
            sizes = {
                "wheel": wheel.stat().st_size,
                "unpacked": sum(item.file_size for item in archive.infolist()),
            }
        return "Bytes of the wheel: {wheel:,}; unpacked: {unpacked:,}.".format(**sizes), sizes


def package_table(facts: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, label in (("numpy_ms", "import numpy"), ("nanoae_ms", "import nanoae, beyond NumPy")):
        rows.append(
            [f"{label}, ms", f"{min(facts[name]):.1f}", f"{statistics.median(facts[name]):.1f}"]
        )
    return ["import", "least", "median"], rows
