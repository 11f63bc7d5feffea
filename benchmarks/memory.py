"""Memory: how much each command has resident for a file of so many MB. `python -m benchmarks.memory [MB]`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table import markdown

COLUMNS = 256
COMMANDS = {
    "train": [
        "train",
        "--data",
        "big.npy",
        "--epochs",
        "1",
        "--code-size",
        "8",
        "--hidden",
        "32",
        "--batch-size",
        "1024",
    ],
    "evaluate": ["evaluate", "run/model.npz", "--data", "big.npy"],
    "encode": ["encode", "run/model.npz", "--data", "big.npy", "--out", "codes.npy"],
    "reconstruct": ["reconstruct", "run/model.npz", "--data", "big.npy", "--out", "again.npy"],
}
DETECT = """
import numpy as np, nanoae
inner = nanoae.Autoencoder(8, (32,), epochs=1, batch_size=1024, random_state=0)
X = np.load("big.npy", mmap_mode="r")
nanoae.AnomalyDetector(inner, holdout=0.2, random_state=0).fit(X).save("detector.npz")
"""
SCORES = """
import numpy as np, nanoae
nanoae.load("detector.npz").score_samples(np.load("big.npy", mmap_mode="r"))
"""


def peak(command: list[str], folder: str) -> int:
    """The most memory that a command had resident, MB."""
    code = "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=2); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10); sys.exit(done.returncode)"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout)


def main() -> int:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    rows = (size << 20) // (4 * COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        x = np.lib.format.open_memmap(Path(folder, "big.npy"), "w+", np.float32, (rows, COLUMNS))
        for start in range(0, rows, 4096):
            block = x[start : start + 4096]
            block[...] = np.random.default_rng(start).random(block.shape, np.float32)
        del x, block
        nanoae = [sys.executable, "-m", "nanoae"]
        runs = {
            "train": [*nanoae, *COMMANDS["train"], "--out", "run", "--no-figures"],
            "train --no-baseline": [
                *nanoae,
                *COMMANDS["train"],
                "--out",
                "bare",
                "--no-figures",
                "--no-baseline",
            ],
            "evaluate": [*nanoae, *COMMANDS["evaluate"]],
            "encode": [*nanoae, *COMMANDS["encode"]],
            "reconstruct": [*nanoae, *COMMANDS["reconstruct"]],
            "a detector's fit": [sys.executable, "-c", DETECT],
            "its score_samples": [sys.executable, "-c", SCORES],
        }
        found = {}
        for name, command in runs.items():
            found[name] = peak(command, folder)
            print(f"{name}: {found[name]:,} MB", file=sys.stderr, flush=True)
    cells = [[name, f"{mb:,}", f"{mb / size:.2f}"] for name, mb in found.items()]
    print(markdown([f"a file of {size} MB", "most resident, MB", "times the file"], cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
