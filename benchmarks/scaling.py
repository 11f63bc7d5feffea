"""Scaling: what a training step takes on P ranks: a model, checked against measured ones, and drawn for more.

    python -m benchmarks.scaling                 measures here, writes results/scaling.md and .json
    python -m benchmarks.scaling --rounds 2      a quick look, which writes nothing

Measured are one process with one thread and with two, and 2 and 4 ranks with one thread each; of a step on 2 ranks
what it does when; and how much of a file each rank reads.

A step of N rows on P ranks, of a network with W parameters of 4 bytes:

    t(P) = fixed + N / P · row + max(sum(P) - hidden, last(P))

    fixed    what does not get less: Adam on all W, but on one machine, the interpreter, the noise of the whole batch
    row      products of one row, forward and backward; backward is two thirds, hidden = 3/4 of it: the first chunks
    sum      a ring all-reduce: 2 (P - 1) / P · 4 W / bandwidth + 2 log2 P · latency, for each of 4 chunks
    last     that of the last chunk, which nothing hides: a quarter of the bytes, and one latency
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import nanoae
from benchmarks.cases import B, Case, H
from benchmarks.machine import machine
from benchmarks.reading import MEMORY, SHAPE, measure_reading
from benchmarks.table import save, where
from nanoae.autoencoders.underfit import part_of_another
from nanoae.training.process_group import process_group

CHUNKS = 4
STEPS = 60  # of an epoch
WIDTH = 72  # of a timeline, letters
CASES = {"B": B, "H": H}
ALONE, TWO_THREADS, TWO_RANKS = "1, of one thread", "1, of two threads", "2 ranks"
# processes, threads of each
RUNS = {ALONE: (1, 1), TWO_THREADS: (1, 2), TWO_RANKS: (2, 1), "4 ranks": (4, 1)}
NETWORKS = {"10 Gbit/s": (1.25e9, 20e-6), "25 Gbit/s": (3.1e9, 10e-6), "100 Gbit/s": (12.5e9, 3e-6)}
RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
LARGE = (100_000_000, 4096)  # parameters, rows of a batch


@dataclass
class Costs:
    """Of a case: parameters, rows of a batch, seconds of a step that stay, and of a row."""

    parameters: int
    rows: int
    fixed: float
    row: float

    def step(self, ranks: int, bandwidth: float, latency: float) -> tuple[float, float]:
        """(seconds of a step, those of them that wait for other ranks)."""
        compute = self.rows / ranks * self.row
        if ranks == 1:
            return self.fixed + compute, 0.0
        bytes_sent = 2 * (ranks - 1) / ranks * 4 * self.parameters
        total = bytes_sent / bandwidth + CHUNKS * 2 * math.log2(ranks) * latency
        hidden = compute * (2 / 3) * (1 - 1 / CHUNKS)
        waiting = max(total - hidden, total / CHUNKS)
        return self.fixed + compute + waiting, waiting


class Timeline:
    """What a rank does when, in the steps of one epoch: the one after the first.

    events   (what, begin, end) in seconds, as they ended
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, float, float]] = []
        self.group = process_group()

    def __call__(self, trainer: Any, row: dict[str, float]) -> bool:
        """In the place of `DistributedTrainer.call_back`, which each rank calls after an epoch."""
        if row["epoch"] != 1:
            return False
        for layer in trainer.fast.layers:
            layer.forward = self.timed("forward", layer.forward)
            layer.backward = self.timed("backward", layer.backward)
        trainer.updates.step = self.timed("Adam", trainer.updates.step)
        sums = self.group.sums
        sums.wait = self.timed("waiting", sums.wait)
        sums.start = self.awaited(sums.start)
        sums.start_shared = self.awaited(sums.start_shared)
        return False

    def timed(self, what: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = method(*arguments, **named)
            self.events.append((what, began, time.perf_counter()))
            return result

        return run

    def awaited(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> None:
            start(*arguments)
            parts = next((a for a in arguments if isinstance(a, list)), arguments[:1])
            size = sum(part.nbytes for part in parts)
            text = f"sum of {size / 1e3:,.0f} kB" if size > 1000 else f"sum of {size} B"
            pending = self.group.sums.pending
            pending[-1] = Awaited(pending[-1], text if size else "sum elsewhere", self.events)

        return run

    def one_step(self) -> list[tuple[str, float, float]]:
        """The events of the step that is the middle one by its length."""
        ends = [end for what, _, end in self.events if what == "Adam"]
        spans = sorted((end - begin, begin, end) for begin, end in itertools.pairwise(ends))
        _, begin, end = spans[len(spans) // 2]
        return [event for event in self.events if begin <= event[1] and event[2] <= end]


class Awaited:
    """A request of MPI, which notes when it is first found to be done."""

    def __init__(self, request: Any, what: str, events: list[tuple[str, float, float]]):
        self.request, self.what, self.events = request, what, events
        self.began, self.done = time.perf_counter(), False

    def Test(self) -> bool:
        if not self.done and self.request.Test():
            self.done = True
            self.events.append((self.what, self.began, time.perf_counter()))
        return self.done


def drawn(events: list[tuple[str, float, float]]) -> list[str]:
    """A line for each thing that is done, and one for each sum, with a letter for each of so many parts of the step."""
    begin, end = min(b for _, b, _ in events), max(e for _, _, e in events)
    scale = WIDTH / (end - begin)
    lines: list[tuple[str, list[str]]] = []
    for what, b, e in sorted(events, key=lambda event: event[1]):
        old = [bar for name, bar in lines if name == what and not what.startswith("sum")]
        bar = old[0] if old else [" "] * WIDTH
        if not old:
            lines.append((what, bar))
        first = int((b - begin) * scale)
        last = max(int((e - begin) * scale), first + 1)
        bar[first:last] = ["=" if what.startswith("sum") else "#"] * (min(last, WIDTH) - first)
    ms = 1e3 * (end - begin)
    return [
        f"{'':16}0 {ms / 2:>{WIDTH // 2}.1f} {ms:>{WIDTH // 2 - 4}.1f} ms",
        *(f"{what:16}{''.join(bar).rstrip()}" for what, bar in lines),
    ]


def fitted(case: Case, rows: int, epochs: int, **settings: Any) -> nanoae.Autoencoder:
    """A network of the case, after so many epochs."""
    features, *hidden, code = case.widths[: len(case.widths) // 2 + 1]
    X = np.random.default_rng(0).random((STEPS * rows, features), np.float32)
    fixed = {"backend": "numpy", "random_state": 0, "optimizer": "adam", "batch_size": rows}
    model = nanoae.Autoencoder(code, tuple(hidden), epochs=epochs, **fixed, **settings)
    with part_of_another():  # and not compared with PCA
        return model.fit(X)


def measure(case: Case, rows: int, rounds: int) -> dict[str, float]:
    """Seconds of a step of so many rows, and the share of all that waits for sums, on the ranks that there are."""
    group = process_group()
    before = group.sums.seconds if group else 0.0
    model = fitted(case, rows, rounds)
    seconds = model.history_["seconds"]
    waited = (group.sums.seconds - before) / sum(seconds) if group else 0.0
    return {"step": min(seconds[1:]) / STEPS, "waited": waited, "size": model.network_.theta.size}


def measure_sums() -> tuple[float, float]:
    """(latency of a hop, bytes a second) of all-reduces between the ranks that there are."""
    from mpi4py import MPI

    comm, times = MPI.COMM_WORLD, {}
    for size in (2, 1 << 20):
        x, best = np.ones(size, np.float32), math.inf
        for _ in range(30):
            comm.Barrier()
            started = time.perf_counter()
            comm.Allreduce(MPI.IN_PLACE, x)
            best = min(best, time.perf_counter() - started)
        times[size] = best
    p = comm.size
    return times[2] / (2 * math.log2(p)), 2 * (p - 1) / p * (4 << 20) / max(
        times[1 << 20] - times[2], 1e-9
    )


def work(path: Path, rounds: int) -> None:
    """What each rank does."""
    group = process_group()
    found: dict = {name: measure(case, case.batch, rounds) for name, case in CASES.items()}
    found["read"] = measure_reading()
    if group is None:
        for name, case in CASES.items():
            found[f"{name} half"] = measure(case, case.batch // 2, rounds)
    else:
        found["sums"] = measure_sums()
        timeline = Timeline()
        from nanoae.training.distributed import DistributedTrainer  # only where there are ranks

        with mock.patch.object(DistributedTrainer, "call_back", lambda *a: timeline(*a)):
            fitted(H, H.batch, 2)
        found["timelines"] = group.gather(drawn(timeline.one_step()))
    if group is None or group.rank == 0:
        path.write_text(json.dumps(found))


def run(ranks: int, threads: int, rounds: int) -> dict:
    """What so many ranks find, each a process with so many threads."""
    mpiexec = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks)]
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [
            sys.executable,
            "-m",
            "benchmarks.scaling",
            f"--rounds={rounds}",
            f"--work={path}",
        ]
        if ranks > 1:
            command = [*mpiexec, *command]
        subprocess.run(command, check=True, env=os.environ | limits)
        return json.loads(path.read_text())


def costs_of(name: str, case: Case, alone: dict) -> Costs:
    whole, half = alone[name], alone[f"{name} half"]
    row = max((whole["step"] - half["step"]) / (case.batch - case.batch // 2), 1e-9)
    return Costs(whole["size"], case.batch, max(whole["step"] - case.batch * row, 0.0), row)


def report(measured: dict[str, dict]) -> tuple[str, dict]:
    alone = measured[ALONE]
    costs = {name: costs_of(name, case, alone) for name, case in CASES.items()}
    of_h = costs["H"]
    per_parameter, per_product = of_h.fixed / of_h.parameters, of_h.row / of_h.parameters
    size, rows = LARGE
    costs["100 million"] = Costs(size, rows, per_parameter * size, per_product * size)
    lines = [
        "# Scaling: a training step on P ranks",
        "",
        f"{where(machine())} See `benchmarks/scaling.py` for the model.",
        "",
        "| case | processes | measured, ms | model, ms | waiting for sums, measured | speed-up |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name in CASES:
        for how, found in measured.items():
            step, waited = found[name]["step"], found[name]["waited"]
            latency, bandwidth = found.get("sums", (0.0, 1.0))
            ranks, threads = RUNS[how]
            model = costs[name].step(ranks, bandwidth, latency)[0]
            cells = [
                name,
                how,
                f"{1e3 * step:.3g}",
                f"{1e3 * model:.3g}" if threads == 1 else "",
                f"{100 * waited:.0f} %",
                f"{alone[name]['step'] / step:.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    ratio = measured[TWO_THREADS]["H"]["step"] / measured[TWO_RANKS]["H"]["step"]
    lines += [
        "",
        f"Two ranks of one thread each do {ratio:.2f} times the steps of one process with two threads, in case H.",
        "",
        "More ranks than cores share these: their rows show what that costs, not what a cluster does.",
        "",
    ]
    for rank, timeline in enumerate(measured[TWO_RANKS]["timelines"]):
        lines += [f"One step of case H, on rank {rank} of 2:", "", "```", *timeline, "```", ""]
    lines += [
        "A sum is shown from where it begins to where the rank first finds it done: it looks after each layer. The",
        "ranks of a machine have one theta. Each adds up one half of the gradient, which is given in bytes that it",
        "reads, and updates that half.",
        "",
    ]
    rows, columns = SHAPE
    shares = [
        f"{found['read']:.2f} ({how})" for how, found in measured.items() if how != TWO_THREADS
    ]
    lines += [
        "## Reading",
        "",
        f"For an epoch over a .npy of {rows:,} x {columns} float32 in `--memory {MEMORY}`, none of it in the cache,",
        f"a rank reads from the disk, as a share of the file: {', '.join(shares)}.",
        "Each rank read all of it up to commit 66910db.",
        "",
    ]
    for network, (bandwidth, latency) in NETWORKS.items():
        lines += [f"## Drawn: {network}, {1e6 * latency:.0f} µs a hop", ""]
        lines += [
            "| case | " + " | ".join(map(str, RANKS)) + " | fastest |",
            "|---|" + "---:|" * (len(RANKS) + 1),
        ]
        for name, cost in costs.items():
            steps = {p: cost.step(p, bandwidth, latency)[0] for p in (1, 2, 4, *RANKS)}
            best = min(steps, key=lambda p: steps[p])
            cells = " | ".join(f"{steps[1] / steps[p]:.2f}" for p in RANKS)
            lines.append(
                f"| {name}, {cost.parameters:,} parameters, {cost.rows} rows | {cells} | {best} |"
            )
        lines.append("")
    lines += [
        "Speed-ups over one rank with the same batch. It stops paying where the sum takes longer than the rows that a",
        "rank is left with: the bytes do not get fewer with P, the rows do. What would help, in this order: larger",
        "batches (rows a rank stay), gradients in 16 bits (half the bytes), Adam on a shard of theta each, as ranks of",
        "one machine have it (reduce-scatter and all-gather: the fixed part falls with P), and a sum every few steps.",
    ]
    return "\n".join(lines), {
        "measured": measured,
        "costs": {name: asdict(cost) for name, cost in costs.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="epochs of 60 steps")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        return work(args.work, args.rounds)
    text, facts = report({how: run(*RUNS[how], args.rounds) for how in RUNS})
    print(text)
    if args.rounds >= 5:
        save("scaling", text, facts)


if __name__ == "__main__":
    main()
