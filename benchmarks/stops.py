"""Stops: fits that are killed, signalled, or whose files fail, for `benchmarks.faults`.

Each fit runs in its own process, writes a checkpoint after every step, and is resumed until it ends. Its final weights
and losses are compared bitwise with those of an undisturbed fit.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fits import FITS, digest
from benchmarks.machine import machine
from benchmarks.power_cuts import power_cuts
from benchmarks.table import markdown
from nanoae import Checkpoints, Trainer
from nanoae.training import checkpoint

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
PATIENCE = 60.0  # seconds that a fit may take


class Run:
    """A fit in a process of its own, with its checkpoints in `folder`; what it ends with goes to folder/digest.

    steps   done so far by the process at work
    """

    def __init__(self, kind: str, folder: Path):
        self.kind, self.folder, self.counter = kind, folder, mmap.mmap(-1, 8)

    def start(self) -> None:
        self.began, self.process = time.perf_counter(), os.fork()
        if self.process == 0:
            code = 1
            try:
                code = self.fit()
            except KeyboardInterrupt:
                code = 130
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                os._exit(code)

    def fit(self) -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has ignored
        warnings.simplefilter("ignore")
        between = Trainer.between_steps

        def counted(trainer: Trainer, *arguments: Any) -> None:
            self.steps = self.steps + 1
            between(trainer, *arguments)

        Trainer.between_steps = counted  # type: ignore[method-assign]
        model = FITS[self.kind].run(
            checkpoint_dir=Checkpoints(self.folder / "checkpoints", steps=1), resume=True
        )
        if getattr(model, "interrupted_", False):
            return 130
        (self.folder / "digest").write_text(digest(model))
        return 0

    @property
    def steps(self) -> int:
        return struct.unpack("q", self.counter[:8])[0]

    @steps.setter
    def steps(self, steps: int) -> None:
        self.counter[:8] = struct.pack("q", steps)

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """The exit code, minus the signal where one killed it; None where it is still at work after so many seconds."""
        end = time.perf_counter() + seconds
        while True:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                return os.waitstatus_to_exitcode(status)
            if time.perf_counter() >= end:
                return None
            time.sleep(0.0005)

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def check_files(self) -> int:
        """Steps that the last checkpoint knows of; AssertionError where a file that can be seen is damaged."""
        folder = self.folder / "checkpoints"
        found = (
            [checkpoint.read(path)[0] for _, path in checkpoint.files(folder)]
            if folder.exists()
            else []
        )
        return sum(training["t"] for training in found[0]["trainings"]) if found else 0

    def finish(self) -> str:
        """Go on to the end; what it ends with."""
        self.start()
        code = self.wait()
        assert code == 0, f"{self.kind}: resumed, it ended with {code}"
        return (self.folder / "digest").read_text()


@contextlib.contextmanager
def fresh(kind: str) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="nanoae-stops-") as folder:
        yield Run(kind, Path(folder))


def undisturbed(kind: str) -> tuple[str, float]:
    """What it ends with, and after how many seconds."""
    with fresh(kind) as run:
        found = run.finish()
        return found, time.perf_counter() - run.began


# ---------------------------------------------------------------- killed


def killed(
    kind: str, expected: str, seconds: float, random: np.random.Generator, times: int
) -> Counter:
    """A fit that is killed so many times, at random moments."""
    told: Counter = Counter(runs=1)
    with fresh(kind) as run:
        while told["kills"] < times:
            run.start()
            if run.wait(random.uniform(0, seconds)) is None:
                run.kill()
                told["kills"] += 1
                told["within a write"] += any((run.folder / "checkpoints").glob(".nanoae-*"))
                run.check_files()
            elif told["kills"]:
                break  # it was faster
        told["equal bytes"] += run.finish() == expected
    return told


# ---------------------------------------------------------------- signalled


def signalled(
    kind: str, expected: str, seconds: float, random: np.random.Generator, name: str, twice: bool
) -> Counter:
    """A fit that gets a signal at a random moment, once, or twice within some milliseconds."""
    while True:
        with fresh(kind) as run:
            run.start()
            code = run.wait(random.uniform(0, seconds))
            while code is None and run.steps == 0:  # before the first step it is no training yet
                code = run.wait(0.001)
            if code is not None:
                continue
            os.kill(run.process, getattr(signal, name))
            if twice:
                code = run.wait(random.uniform(0, 0.003))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(run.process, getattr(signal, name))
            code = run.wait() if code is None else code
            if code == 0:
                continue  # it had ended
            if code == -getattr(signal, name):  # so it had, if nothing is left to do
                done = run.steps
                run.finish()
                assert run.steps == done, f"{kind}, {name}: killed after {done} steps"
                continue
            assert code == SIGNALS[name], (
                f"{kind}, {name}: expected exit code {SIGNALS[name]}, got {code}"
            )
            lost = run.steps - run.check_files()
            assert twice or lost == 0, f"{kind}, {name}: {lost} steps lost"
            told = Counter({"runs": 1, "steps lost": lost})
            told["equal bytes"] += run.finish() == expected
            return told


# ---------------------------------------------------------------- calls that fail

CODES = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EINTR": errno.EINTR, "a short write": 0}
FAILING = Path(__file__).parent.parent / "tests" / "failing_calls.c"


def failing_calls() -> Counter:
    """A fit of two epochs, again and again; each time another one of the calls that write its checkpoints fails. In a
    process of its own, whose C library is told to."""
    with tempfile.TemporaryDirectory(prefix="nanoae-stops-") as folder:
        library = Path(folder, "failing_calls.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, FAILING, "-ldl"], check=True)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [
            sys.executable,
            "-c",
            "from benchmarks.stops import fail_each; fail_each()",
            folder,
        ]
        said = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout
    return Counter(json.loads(said.splitlines()[-1]))


def fail_each() -> None:
    """What that process does; the counts, as JSON, to stdout."""
    warnings.simplefilter("ignore")
    faults = ctypes.CDLL(os.environ["LD_PRELOAD"])
    fit = FITS["dense"]
    fit.params["epochs"] = 2
    expected, told = digest(fit.run()), Counter()
    for name, code in CODES.items():
        for n in itertools.count(1):
            folder = Path(sys.argv[1], f"{name} {n}")
            faults.arm(n, code)
            try:
                found = digest(fit.run(checkpoint_dir=folder))
            except OSError:
                found = "told before the training"
            calls = faults.calls()
            faults.arm(0, 0)
            if n > calls:
                break
            told["calls that failed"] += 1
            told["told before the training"] += found not in (expected, "")
            for path in folder.glob("*.npz"):
                checkpoint.read(path)  # ValueError where it is damaged
            told["equal bytes"] += digest(fit.run(checkpoint_dir=folder, resume=True)) == expected
    print(json.dumps(told))


# ---------------------------------------------------------------- the command


def measure(
    kills: int, signals: int, kinds: list[str], seed: int
) -> tuple[list[list[str]], Counter]:
    """(rows of the table, what power cuts leave)."""
    random, rows = np.random.default_rng(seed), []
    by_kind = {kind: undisturbed(kind) for kind in kinds}
    names = [kinds[i % len(kinds)] for i in range(max(kills, signals))]
    told: Counter = Counter()
    for i, kind in enumerate(names[:kills]):
        told += killed(kind, *by_kind[kind], random, 1 + i % 3)
    rows.append(
        [
            f"SIGKILL, {told['kills']} in all, {told['within a write']} of them within a write",
            *counted(told),
            "-",
        ]
    )
    wishes = [(name, twice) for twice in (False, True) for name in SIGNALS]
    by_wish = {wish: Counter() for wish in wishes}
    for i, kind in enumerate(names[:signals]):
        wish = wishes[i % len(wishes)]
        by_wish[wish].update(signalled(kind, *by_kind[kind], random, *wish))
    for (name, twice), found in by_wish.items():
        rows.append(
            [f"{name}, {'twice' if twice else 'once'}", *counted(found), str(found["steps lost"])]
        )
    return rows, power_cuts()


def counted(told: Counter) -> list[str]:
    return [str(told["runs"]), str(told["equal bytes"])]


def failed_in_words(told: Counter) -> str:
    return (
        f"System calls: in {told['calls that failed']} fits one call that writes a checkpoint failed once "
        f"({', '.join(CODES)}): {told['told before the training']} of them at the first call, which is reported before "
        f"training; no damaged file, and {told['equal bytes']} fits with equal bytes after resuming."
    )


def report(kills: int, signals: int, kinds: list[str], seed: int = 0) -> tuple[str, bool]:
    """The tables, and whether all is well."""
    started = time.perf_counter()
    rows, cuts = measure(kills, signals, kinds, seed)
    failed = (
        failed_in_words(failing_calls())
        if shutil.which("cc")
        else "No call was made to fail: no C compiler."
    )
    facts, seconds = machine(), time.perf_counter() - started
    text = "\n\n".join(
        [
            f"Fits of {len(kinds)} kinds ({', '.join(kinds)}), each with a checkpoint after every step, stopped at "
            "random moments and resumed until they ended; the table shows how many ended with the same bytes as an "
            "undisturbed fit.",
            markdown(["stopped by", "fits", "equal bytes", "steps lost"], rows),
            f"Power cuts: after each of the {cuts['calls']} calls that write a fit's checkpoints, in all "
            f"{cuts['states']} states that a disk may then have: {cuts['damaged']} damaged files under their names, "
            f"{cuts['none left']} states without a checkpoint once one was finished.",
            failed,
            f"{facts['cpu']}, {facts['logical_cpus']} CPUs, Python {facts['versions']['Python']}, NumPy "
            f"{facts['versions']['numpy']}; {seconds:.0f} s.",
        ]
    )
    return text, all(row[1] == row[2] for row in rows) and not cuts["damaged"] and not cuts[
        "none left"
    ]
