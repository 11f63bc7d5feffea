"""Mutations: valid files with bytes flipped, removed, duplicated and inserted, and how nanoae handles them.

Each is to end in one clear error that names the file, or in data. Faults are another exception, a crash, more than a
second, more than 300 MB, anything that is run, and a command that ends in more than its one line. A model or checkpoint
that is read is the one that was saved: an archive keeps checksums.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import pkgutil
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from benchmarks.specimens import SPECIMENS, Specimen, members, npz
from nanoae.cli import main

ERRORS = (ValueError, OSError, ImportError)  # what a reader may say, naming the file
SECONDS, MEGABYTES, BATCH = 1.0, 300, 4000
BY_COMMAND = 20  # one file of so many is read by the command, too
BYTES = [0, 1, 0x20, 0x22, 0x2C, 0x7F, 0x80, 0xFF]  # that formats give a meaning to
LENGTHS = [0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
RUNS = ("exec", "os.system", "os.exec", "os.posix_spawn", "subprocess", "pickle", "socket")
INSTALLED = (sys.prefix, sys.base_prefix, str(Path(nanoae.__file__).parents[1]), "<frozen")


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
            found[at : at + 4] = struct.pack("<L", int(rng.choice(LENGTHS)))
    return bytes(found[: rng.integers(len(found) + 1)] if rng.integers(8) == 0 else found)


# ---------------------------------------------------------------- what becomes of one


class Hang(BaseException):
    """The alarm of a file that takes a second of the processor, however busy that is."""


class Executed(BaseException):
    """Something was run that is no part of an installed package."""


armed: list[bool] = []  # True in it once a batch is warm


def stop(*_: Any) -> None:
    if armed:
        raise Hang


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: what is run while a damaged file is read."""
    if not armed or not event.startswith(RUNS):
        return
    code = getattr(arguments[0], "co_filename", "")
    if event != "exec" or not code.startswith(INSTALLED):
        raise Executed(f"{event} {arguments!r:.80}")


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def outcome(read: Callable[[Path], Any], path: Path) -> str:
    """ "read", "refused", or what is wrong."""
    try:
        with alarm():
            read(path)
    except ERRORS as error:
        named = path.name in str(error) or str(path.parent) in str(error)
        return "refused" if named else f"FAULT: no name: {error}"
    except Hang:
        return "FAULT: more than a second"
    except BaseException as error:
        return f"FAULT: {type(error).__name__}: {error}"
    return "read"


def told(words: str, path: Path) -> str:
    """ "done", "refused by the command", or what is wrong with how the command ended."""
    out = path.parent / "out"
    places = {"FILE": str(path), "FOLDER": str(path.parent), "OUT": str(out)}
    said, code = io.StringIO(), 0
    try:
        with alarm(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main(
                [re.sub("FILE|FOLDER|OUT", lambda m: places[m[0]], word) for word in words.split()]
            )
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:
        return f"FAULT: the command: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(out, ignore_errors=True)
    lines = said.getvalue().splitlines()
    errors = [line for line in lines if re.match(r"nanoae[ a-z]*: error: ", line)]
    if code == 0 and not errors:
        return "done"
    if code in (1, 2) and len(errors) == 1 and all(line.startswith("nanoae") for line in lines):
        return "refused by the command"
    return f"FAULT: the command ended with {code}: {said.getvalue()[-300:]}"


# ---------------------------------------------------------------- many


def batch(kind: str, seed: int, n: int) -> dict[str, int]:
    """What became of n mutated files: outcome -> count; for a process of its own."""
    specimen, rng = SPECIMENS[kind], np.random.default_rng(seed)
    text, whole = damageable(specimen)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, watching(specimen, Path(folder, "in")):
        sound = members(text) if specimen.name.endswith(".npz") and not specimen.header else None
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(n):
            damaged = whole(mutated(text, rng))
            path = put(Path(folder, "in"), specimen, damaged)
            became = [outcome(specimen.read, path)]
            if became == ["read"] and sound is not None and not holds(damaged, sound):
                became = ["FAULT: other arrays"]
            if specimen.command and i % BY_COMMAND == 0:
                path = put(Path(folder, "in"), specimen, damaged)
                became.append(told(specimen.command, path))
            found.update(became)
            if any(each.startswith("FAULT") for each in became):
                name = re.sub("[^a-z]+", "-", kind.lower())
                Path(tempfile.gettempdir(), f"fault-{name}-{seed}-{i}").write_bytes(damaged)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        if grown > MEGABYTES:
            found[f"FAULT: more than {MEGABYTES} MB"] += 1
    return {**found, "peak MB": grown}


def damageable(specimen: Specimen) -> tuple[bytes, Callable[[bytes], bytes]]:
    """(what is to be damaged of a sound file, what makes a file of it again)."""
    content = specimen.make()
    if not specimen.header:
        return content, lambda damaged: damaged
    arrays = members(content)
    text = arrays.pop(specimen.header).tobytes()
    return text, lambda damaged: npz(
        **{specimen.header: np.frombuffer(damaged, np.uint8)}, **arrays
    )


@contextlib.contextmanager
def watching(specimen: Specimen, folder: Path) -> Iterator[None]:
    """In the block, which comes once the readers are warm, a hang or code that is run is an exception of its own."""
    text, whole = damageable(specimen)
    signal.signal(signal.SIGPROF, stop)  # before the first alarm, which may go off while it imports
    assert outcome(specimen.read, put(folder, specimen, whole(text))) == "read"
    warnings.simplefilter("ignore")
    warm_up(specimen, folder, whole(text))
    armed.append(True)
    try:
        yield
    finally:
        armed.clear()


def warm_up(specimen: Specimen, folder: Path, content: bytes) -> None:
    """Whatever is imported, or compiled, when something is read for the first time."""
    importlib.import_module("difflib")  # for hints
    for module in pkgutil.walk_packages(nanoae.__path__, "nanoae."):
        if module.name != "nanoae.__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for tried in (content, content[: len(content) // 2], content[1:]):
        path = put(folder, specimen, tried)
        with contextlib.suppress(*ERRORS):
            specimen.read(path)
        told(specimen.command, put(folder, specimen, tried))


def put(folder: Path, specimen: Specimen, content: bytes) -> Path:
    """The file, alone in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / specimen.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def holds(content: bytes, sound: dict[str, np.ndarray]) -> bool:
    """Whether an archive has those arrays and no others."""
    with contextlib.suppress(ValueError):  # objects
        found = members(content)
        return found.keys() == sound.keys() and all(
            found[name].tobytes() == array.tobytes() for name, array in sound.items()
        )
    return False


def measure(n: int, kinds: list[str] | None = None) -> dict[str, dict[str, int]]:
    """Format -> outcome -> count, of n mutated files each, in processes of BATCH files."""
    results: dict[str, dict[str, int]] = {}
    for kind in kinds or SPECIMENS:
        found: Counter[str] = Counter()
        peak = 0
        for seed in range(-(-n // BATCH)):
            count = str(min(BATCH, n - seed * BATCH))
            command = [sys.executable, "-m", "benchmarks.mutations", kind, str(seed), count]
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
    sys.addaudithook(watch)
    print(json.dumps(batch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
