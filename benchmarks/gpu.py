"""`python -m benchmarks.gpu`: check and time the GPU path in one command, in under eight minutes.

First it checks: captured and uncaptured steps give the same losses to the bit, CuPy gives NumPy's, every contender the
others'. Then it times steps, and writes benchmarks/results/gpu.md and .json. Failures are reported, and the other parts
continue.
`--device cpu` tries the command itself on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from benchmarks.cases import CONV, A, B, C, Case, H
from benchmarks.contenders import CONTENDERS, ON_GPU
from benchmarks.machine import machine
from benchmarks.steps import Column, LossMismatch, Result, check_losses
from benchmarks.table import markdown, ratio, save, where, write_json
from benchmarks.worker import Worker, WorkerError

WIDE = Case("wide", (4096, 4096, 4096), "mse", 4096, rows=8192)
BATCHES = (32, 128, 512, 2048, 8192)
ALL = ("captured", "uncaptured", "nanoae", "eager", "torch-graph", "torch-compile", "xla")
# at every batch; compilers would take too long
SWEPT = ("captured", "nanoae", "eager", "torch-graph")
TITLES = {name: entry.title for name, entry in ON_GPU.items()} | {"nanoae": "nanoae, CPU"}
TINY = (
    Case("tiny", (12, 6, 3, 6, 12), "bce", 4, rows=64),
    replace(CONV, name="tiny conv", rows=200, batch=20),
)


def flops(case: Case) -> int:
    """Of a step's matrix products: three a layer, two in the first one; 2 I O operations a row each. Dense ones."""
    products = [2 * case.batch * i * o for i, o in pairwise(case.widths)]
    return 3 * sum(products) - products[0]


def nbytes(case: Case) -> int:
    """The least that a step of a dense network moves, in float32: of a parameter W twice, dW once, and Adam's grad, m,
    v, theta in and m, v, theta out; of an activation y and dy, each written once and read twice."""
    parameters = sum(i * o + o for i, o in pairwise(case.widths))
    return 4 * (10 * parameters + case.batch * (2 * case.widths[0] + 6 * sum(case.widths[1:])))


class Floor:
    """What this GPU can do at best, measured: FLOP/s of a large matrix product, bytes/s of a large copy."""

    def __init__(self, ops: nanoae.Ops, n: int = 4096, repeats: int = 20):
        a = ops.to_device(np.random.default_rng(0).random((n, n), np.float32))
        out, big = ops.empty((n, n), a.dtype), ops.zeros((16 * n, n), a.dtype)
        other = ops.zeros(big.shape, big.dtype)
        self.flops = 2 * n**3 / seconds(ops, lambda: ops.matmul(a, a, out=out), repeats)
        self.bytes = 2 * big.nbytes / seconds(ops, lambda: ops.copy(big, out=other), repeats)

    def us(self, case: Case) -> float | None:
        """The least microseconds of a step; None where the case's work is not counted."""
        if case.network != "dense":
            return None
        return 1e6 * max(flops(case) / self.flops, nbytes(case) / self.bytes)


def seconds(ops: nanoae.Ops, work, repeats: int) -> float:
    for _ in range(3):
        work()
    ops.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    ops.synchronize()
    return (time.perf_counter() - started) / repeats


def agreement(backend: str, steps: int = 100) -> float:
    """The largest relative difference between the losses of `backend` and NumPy's, by epochs, in 100 steps of B."""
    x = B.data()[0][: 10 * B.batch]
    losses = []
    for name in ("numpy", backend):
        ae = nanoae.Autoencoder(
            32, (128,), loss="bce", epochs=steps // 10, backend=name, random_state=0
        ).fit(x)
        losses.append(np.array(ae.history_["loss"]))
    return float(np.max(np.abs(losses[1] / losses[0] - 1)))


def epoch_of_mnist(backend: str, rows: int = 60_000) -> float:
    """Milliseconds of an epoch of B over `rows` images of bytes, the fastest of five after two that are not timed."""
    ops = nanoae.get_ops(backend)
    layers = [
        nanoae.Linear(128),
        nanoae.ReLU(),
        nanoae.Linear(32),
        nanoae.ReLU(),
        nanoae.Linear(128),
        nanoae.ReLU(),
    ]
    network = nanoae.Sequential([*layers, nanoae.Linear(784)]).build(784, ops, random_state=0)
    trainer = nanoae.Trainer(
        network, nanoae.BCE(), nanoae.Adam(), batch_size=B.batch, epochs=7, rows=rows
    )
    x = ops.to_device(np.random.default_rng(0).integers(0, 256, (rows, 784), np.uint8))
    times = []
    for _ in range(7):
        started = time.perf_counter()
        trainer.epoch(x, scale=1 / 255)  # reads the loss, so it ends when the device has ended
        times.append((time.perf_counter() - started) * 1e3)
    return min(times[2:])


def environment(device: str) -> dict[str, str]:
    """What the processes of the GPU's contenders see. JAX takes memory as it needs it, and leaves the others theirs."""
    cuda = {
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
        "JAX_PLATFORMS": "cuda,cpu",
    }
    return {
        **(cuda if device == "cuda" else {}),
        "NANOAE_BENCHMARK_DEVICE": device,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "NVIDIA_TF32_OVERRIDE": "0",
    }


def plan(quick: bool) -> list[tuple[Case, tuple[str, ...]]]:
    """(case, who runs it), the most wanted first."""
    if quick:
        return [(case, ALL) for case in TINY]
    cases = (A, B, C, H, CONV)
    swept = [
        (replace(case, name=f"{case.name}/{batch}", batch=batch), SWEPT)
        for batch in BATCHES
        for case in cases
        if batch != case.batch
    ]
    return [*((case, ALL) for case in (*cases, WIDE)), *swept]


def measure(
    case: Case, workers: dict[str, Worker], rounds: int, block: float
) -> tuple[Result, dict[str, Any]]:
    """Time `case`; its losses are compared first. Also what the contenders tell of it."""
    columns, facts, steps = [Column(name) for name in workers], {}, {}
    for column in columns:
        worker = workers[column.contender]
        try:
            opened = worker.ask("open", case=asdict(case))
            column.losses, facts[column.contender] = opened["losses"], opened["facts"]
            steps[column.contender] = worker.ask("warm", seconds=block)
        except WorkerError as error:
            column.leave("-" if error.unfit else "failed", f"{TITLES[column.contender]}: {error}")
            column.losses = None
    running = [column for column in columns if not column.absent]
    check_losses(case, running)
    losses = {column.contender: column.losses for column in running}
    if "captured" in losses and losses.get("uncaptured", losses["captured"]) != losses["captured"]:
        raise LossMismatch(
            f"case {case.name}: expected the same bits from captured and uncaptured steps, got {losses['captured']} "
            f"and {losses['uncaptured']}."
        )
    for _ in range(rounds):
        for column in running:
            timed = workers[column.contender].ask("time", steps=steps[column.contender])
            column.rounds.append({**timed, "others": None})
    return Result(case, columns), facts


def tables(results: list[Result], facts: list[dict[str, Any]], floor: Floor | None) -> list[str]:
    """Paragraphs: microseconds per step, with ratios; then the batch from which the GPU is faster."""
    rows, overtakes = [], {}
    for result, told in zip(results, facts, strict=True):
        timed = {column.contender: column for column in result.columns if column.rounds}
        cells = {
            column.contender: f"{column.us:,.1f}" if column.us else column.absent
            for column in result.columns
        }
        mine = timed.get("captured")
        over = {name: column.over(mine) for name, column in timed.items()} if mine else {}
        compiled = min(
            (over[name] for name in ("torch-graph", "torch-compile", "xla") if name in over),
            default=None,
        )
        least = floor.us(result.case) if floor else None
        kernels = told.get("captured", {}).get("kernels")
        times = [cells.get(name, "-") for name in ALL]
        ratios = [ratio(over.get("eager")), ratio(compiled)]
        floors = [f"{least:,.1f}" if least else "-", ratio(mine and mine.us, least)]
        rows.append([str(result.case), *times, *ratios, str(kernels or "-"), *floors])
        if "nanoae" in over:
            faster = overtakes.setdefault(result.case.name.split("/")[0], {})
            faster[result.case.batch] = over["nanoae"]
    head = [
        "microseconds per step",
        *(TITLES[name] for name in ALL),
        "PyTorch / nanoae",
        "compiled / nanoae",
    ]
    said = [markdown([*head, "kernels", "floor", "nanoae / floor"], rows)]
    for name, faster in overtakes.items():
        first = next((batch for batch in sorted(faster) if faster[batch] > 1), None)
        gain = ", ".join(f"{faster[batch]:.1f}x at {batch}" for batch in sorted(faster))
        start = f"from batch {first} on" if first else "at no batch that was tried"
        said.append(f"{name}: the GPU is faster than this machine's CPU {start} ({gain}).")
    notes = dict.fromkeys(
        column.note for result in results for column in result.columns if column.note
    )
    return [*said, *notes]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.gpu", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try this command itself"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny cases, to see that everything runs"
    )
    parser.add_argument(
        "--seconds", type=float, default=420, help="begin no further case after so long (420)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed blocks of each contender (5)")
    parser.add_argument("--contenders", default=",".join(ALL), help=f"some of {','.join(ALL)}")
    parser.add_argument(
        "--save",
        metavar="NAME",
        default="",
        help="write benchmarks/results/NAME.md and .json ('gpu')",
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE")
    options = parser.parse_args(arguments)
    wanted = [name for name in options.contenders.split(",") if name in ALL]
    started, device, rounds = (
        time.perf_counter(),
        "No GPU: this is a trial of the command.",
        options.rounds,
    )
    facts: dict[str, Any] = {}
    problems: list[str] = []
    floor = None

    def attempt(name: str, work):
        try:
            facts[name] = work()
        except (
            Exception
        ) as error:  # the first contact with a GPU: whatever it is, the rest is worth having
            problems.append(f"FAILED {name}: {type(error).__name__}: {error}")
        return facts.get(name)

    if options.device == "cuda":
        try:
            ops = nanoae.get_ops("cupy")
        except nanoae.BackendError as error:
            print(f"benchmarks.gpu: {error}", file=sys.stderr)
            return 2
        device = ops.describe()
        floor = attempt("floor", lambda: Floor(ops))
        facts["floor"] = floor and vars(floor)
        attempt("numpy_difference", lambda: agreement("cupy"))
        attempt("mnist_epoch_ms", lambda: epoch_of_mnist("cupy"))
    results, told, left = [], [], []
    with ExitStack() as stack:
        workers = {}
        for name in wanted:
            entry = {**CONTENDERS, **ON_GPU}[name]
            if entry.installed:
                seen = environment(options.device) if name in ON_GPU else {}
                workers[name] = stack.enter_context(Worker(name, min(4, os.cpu_count() or 1), seen))
        for case, who in plan(options.quick):
            if time.perf_counter() - started > options.seconds:
                left.append(case.name)
                continue
            print(f"{time.perf_counter() - started:4.0f} s  {case}", file=sys.stderr, flush=True)
            mine = {name: worker for name, worker in workers.items() if name in who}
            try:
                result, its = measure(case, mine, rounds, 0.02 if options.quick else 0.1)
            except (LossMismatch, WorkerError) as error:
                problems.append(f"FAILED {case.name}: {error}")
                continue
            results.append(result)
            told.append(its)
    paragraphs = [device, *problems, *tables(results, told, floor)]
    if floor:
        wide = next(
            (result.columns[0].us for result in results if result.case.name == "wide"), None
        )
        least = floor.us(WIDE)
        paragraphs.append(
            f"Bare matrix product: {floor.flops / 1e12:.1f} TFLOP/s in float32; copy: {floor.bytes / 1e9:,.0f} GB/s."
        )
        if wide and least:
            paragraphs.append(f"The 4096-wide model runs at {least / wide:.0%} of the floor.")
    if "mnist_epoch_ms" in facts:
        paragraphs.append(
            f"One epoch of B over 60,000 images of bytes: {facts['mnist_epoch_ms']:.1f} ms."
        )
    if "numpy_difference" in facts:
        paragraphs.append(
            f"CuPy's losses differ from NumPy's by {facts['numpy_difference']:.1e} at most in 100 steps."
        )
    if left:
        paragraphs.append(f"Not begun after {options.seconds:.0f} s: {', '.join(left)}.")
    paragraphs.append(
        f"Medians of {rounds} blocks of about 0.1 s. A step includes the gather of its batch; data are in the GPU's "
        "memory; float32, TF32 off everywhere. The losses of the first steps agree, those of captured and uncaptured "
        "ones to the bit. compiled: the fastest of PyTorch's two and JAX. floor: the larger of the step's FLOPs at the "
        "rate of a bare 4096-wide product and its least bytes at the rate of a copy."
    )
    facts |= {
        "device": device,
        "machine": machine(),
        "seconds": time.perf_counter() - started,
        "problems": problems,
    }
    facts["cases"] = [{**r.as_json(), "facts": t} for r, t in zip(results, told, strict=True)]
    text = "\n\n".join([*paragraphs, where(facts["machine"])])
    if options.json:
        write_json(Path(options.json), facts)
    if options.save or (options.device == "cuda" and not options.quick):
        save(options.save or "gpu", text, facts)
    print(text)
    return (
        1
        if problems
        or any(column.absent == "failed" for result in results for column in result.columns)
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
