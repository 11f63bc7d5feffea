"""Worker: a contender in its own process. Main process and worker exchange JSON, one line each way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine

CHECK_STEPS = 6  # the loss before the first update, and after each of five
ROOT = Path(__file__).parent.parent


class WorkerError(RuntimeError):
    """The contender failed; the message is its own, or the end of what it wrote. `unfit`: it says it cannot do this."""

    def __init__(self, message: str, unfit: bool = False):
        super().__init__(message)
        self.unfit = unfit


class Worker:
    """The main process's end. As a context manager it leaves no process behind, Ctrl-C included."""

    def __init__(self, contender: str, threads: int, environment: dict[str, str] | None = None):
        number = str(threads)
        limits = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), number
        )
        around = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")
        }
        self.contender = contender
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by __exit__)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender, number],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the main process only, which then ends this one
            env={
                **around,
                **limits,
                "JAX_PLATFORMS": "cpu",
                "CUDA_VISIBLE_DEVICES": "",
                **(environment or {}),
            },
        )  # NPROC sizes XLA's thread pool; "as shipped" means no kernel of OpenBLAS chosen by the surroundings either

    def send(self, do: str, **arguments) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # receive() will say why
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()

    def receive(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            raise WorkerError(
                f"{self.contender}: its process ended with code {code}. {self.log.read()[-2000:]}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"], answer["unfit"])
        return answer["result"]

    def ask(self, do: str, **arguments) -> Any:
        self.send(do, **arguments)
        return self.receive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception) -> None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                # and with it what it started: compilers
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]


class Bench:
    """The worker's end: the commands, a method each."""

    def __init__(self, contender: str, threads: int):
        from benchmarks.contenders import CONTENDERS, ON_GPU

        self.contender = {**CONTENDERS, **ON_GPU}[contender].load()
        self.contender.start(threads)
        self.done = 0

    def open(self, case: dict[str, Any]) -> dict[str, Any]:
        """Build the case; the losses (noise off) of its first steps, None where they are not comparable."""
        from benchmarks.cases import Case

        self.case = Case(**{**case, "widths": tuple(case["widths"])})
        self.steps = self.contender.build(replace(self.case, noise=0.0))
        losses = [self.value(step(i)) for step in self.steps for i in range(CHECK_STEPS)]
        if self.case.noise:
            self.steps = []  # frees the first build: peak memory is of one
            self.steps = self.contender.build(self.case)
        checked = losses if self.contender.same_loss else None
        return {"losses": checked, "kernel": machine.blas(), "facts": self.contender.facts()}

    def value(self, result: Any) -> float:
        """A loss as it is; of reconstructions, the mean squared error."""
        import numpy as np

        if self.case.task != "reconstruct":
            return float(result)
        x, _ = self.case.data()
        return float(np.mean((np.asarray(result) - x) ** 2))

    def run(self, steps: int) -> float:
        """Run every stage so many steps; seconds, summed over the stages."""
        started = time.perf_counter()
        for step in self.steps:
            self.contender.wait(self.contender.run(step, self.done, steps))
        self.done += steps
        return time.perf_counter() - started

    def warm(self, seconds: float) -> int:
        """Warm up, for as long as a block and at least 5 steps; how many steps fill a block of so many seconds."""
        self.run(5)
        steps = 1
        while (took := self.run(steps)) < seconds / 2:
            steps *= 2
        return max(1, round(steps * seconds / took))

    def time(self, steps: int) -> dict[str, Any]:
        """Microseconds per step, and how many CPUs others kept busy meanwhile (None where that cannot be known)."""
        self.run(max(1, steps // 10))  # wakes the threads, fills the caches
        busy, mine = machine.busy_seconds(), self.cpu_seconds()
        took = self.run(steps)
        mine, now = self.cpu_seconds() - mine, machine.busy_seconds()
        others = None if busy is None or now is None else max(0.0, (now - busy - mine) / took)
        return {"us": took / steps * 1e6, "steps": steps, "others": others}

    def cpu_seconds(self) -> float:
        return time.process_time()

    def peak(self) -> int | None:
        return machine.peak_memory()

    def best_environment(self) -> dict[str, str]:
        """What would make NumPy's BLAS faster than it is in this process."""
        from nanoae.backend.blas import best_environment

        return best_environment()


def serve(contender: str, threads: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    bench: Any = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            bench = bench or Bench(contender, int(threads))
            answer = {"result": getattr(bench, command.pop("do"))(**command)}
        except Exception as error:
            kind = type(error).__name__
            unfit = kind == "Unfit"
            answer = {"error": str(error) if unfit else f"{kind}: {error}", "unfit": unfit}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
