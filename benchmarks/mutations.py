"""Mutations: real files with bytes flipped, cut, doubled and filled in, and what nanoae's readers make of them.

Each is to end in one clear error that names the file, or in data; a crash, another exception, more than a second, and
more than 300 MB are faults. A model that loads is the one that was saved: an archive keeps checksums.
"""

from __future__ import annotations

import io
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nanoae

ERRORS = (ValueError, OSError, ImportError)  # what a reader may say, naming the file
SECONDS, MEGABYTES, BATCH = 1.0, 300, 1000
IDX, COLOURS = b"\0\0\x08\x03" + struct.pack(">3L", 20, 8, 8), ("'red'", '"blue, or green"', "grey")
BYTES = [0, 1, 0x20, 0x22, 0x2C, 0x7F, 0x80, 0xFF]  # that formats give a meaning to


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = nanoae.load_data("digits")
    return data.x_train[:20], data.y_train[:20]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def model(made: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder, "m.npz"))
        return Path(folder, "m.npz").read_bytes()


def network() -> bytes:
    settings = {"epochs": 1, "random_state": 0, "backend": "numpy"}
    return model(nanoae.Autoencoder(2, (4,), **settings).fit(digits()[0].reshape(20, -1) / 16))


def detector() -> bytes:
    inner = nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy")
    return model(
        nanoae.AnomalyDetector(inner, random_state=0).fit(digits()[0].reshape(20, -1)[:, :6] / 16)
    )


def table() -> bytes:
    rows = [f"{n},{n / 7:.3f},{COLOURS[n % 3]},-{n}" for n in range(40)]
    return "\n".join(["id,size,colour,depth", *rows]).encode()


def numbers() -> bytes:
    return "\n".join(["a,b,c", *(f"{n},{n / 7:.3f},{-n}e-2" for n in range(40))]).encode()


def header(of: bytes) -> tuple[bytes, dict[str, np.ndarray]]:
    """The JSON header of a model file, and its arrays."""
    with np.load(io.BytesIO(of)) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays.pop("header").tobytes(), arrays


def image() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(digits()[0][0].astype(np.uint8) * 15).save(file, "PNG")
    return file.getvalue()


FORMATS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a model": ("m.npz", network),
    "a detector": ("m.npz", detector),
    "a model's header": ("h.npz", network),
    "a detector's header": ("h.npz", detector),
    ".npz": ("d.npz", lambda: npz(X=digits()[0], y=digits()[1])),
    ".npy": ("d.npy", lambda: npy(digits()[0])),
    "IDX": (
        "d-idx3-ubyte",
        lambda: b"\0\0\x08\x03" + struct.pack(">3L", 20, 8, 8) + digits()[0].astype("u1").tobytes(),
    ),
    ".csv": ("d.csv", numbers),
    ".csv of detect": ("t.csv", table),
    "a PNG": ("d/a.png", image),
}


def read(name: str, path: Path) -> Any:
    if name[0] in "mh":
        return nanoae.load(path, backend="numpy")
    if name.startswith("t"):
        return nanoae.read_table(path)
    return nanoae.load_data(path.parent if path.suffix == ".png" else path, random_state=None)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` with one to three changes, and one time in eight cut."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, n = int(rng.integers(len(found) + 1)), int(rng.integers(1, 17))
        kind = rng.integers(5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            found[at : at + n] = bytes(rng.choice(BYTES, n).tolist())
        elif kind == 2:
            del found[at : at + n]
        elif kind == 3:
            found[at:at] = found[at : at + n]
        else:
            found[at : at + 4] = struct.pack(
                "<L", int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
            )
    return bytes(found[: rng.integers(len(found) + 1)] if rng.integers(8) == 0 else found)


class Hang(BaseException):
    """The alarm of a file that takes a second of the processor, however busy that is."""


def stop(*_: Any) -> None:
    raise Hang


def batch(kind: str, seed: int, n: int) -> dict[str, int]:
    """What became of n mutated files: outcome -> count; for a process of its own."""
    name, make = FORMATS[kind]
    content, rng = make(), np.random.default_rng(seed)
    text, arrays = header(content) if name[0] == "h" else (b"", {})
    found: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, stop)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        read(name, path)
        sound = arrays_of(content) if name.startswith("m") else None
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(n):
            if text:
                damaged = npz(header=np.frombuffer(mutated(text, rng), np.uint8), **arrays)
            else:
                damaged = mutated(content, rng)
            path.write_bytes(damaged)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                read(name, path)
                outcome = "read"
                if sound is not None and arrays_of(damaged) != sound:
                    outcome = "FAULT: another model"
            except ERRORS as error:
                outcome = (
                    "refused"
                    if path.name in str(error) or folder in str(error)
                    else f"FAULT: no name: {error}"
                )
            except Hang:
                outcome = "FAULT: more than a second"
            except BaseException as error:
                outcome = f"FAULT: {type(error).__name__}: {error}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            found[outcome] += 1
            if outcome.startswith("FAULT"):
                Path(
                    tempfile.gettempdir(), f"fault-{kind.strip('.').replace(' ', '-')}-{seed}"
                ).write_bytes(damaged)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        if grown > MEGABYTES:
            found["FAULT: more than 300 MB"] += 1
    return {**found, "peak MB": grown}


def arrays_of(content: bytes) -> dict[str, bytes]:
    with np.load(io.BytesIO(content)) as file:
        return {name: file[name].tobytes() for name in file.files}


def measure(n: int, kinds: list[str] | None = None) -> dict[str, dict[str, int]]:
    """Format -> outcome -> count, of n mutated files each, in processes of BATCH files."""
    results: dict[str, dict[str, int]] = {}
    for kind in kinds or FORMATS:
        found: Counter[str] = Counter()
        peak = 0
        for seed in range(-(-n // BATCH)):
            command = [
                sys.executable,
                "-m",
                "benchmarks.mutations",
                kind,
                str(seed),
                str(min(BATCH, n - seed * BATCH)),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                found[f"FAULT: the process ended with {done.returncode}: {done.stderr[-200:]}"] += 1
                continue
            counts = json.loads(done.stdout)
            peak = max(peak, counts.pop("peak MB"))
            found.update(counts)
        results[kind] = {**found, "peak MB": peak}
        print(kind, results[kind], flush=True)
    return results


if __name__ == "__main__":
    print(json.dumps(batch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
