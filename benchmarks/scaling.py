"""Scaling: what a training step takes on P ranks: a model, checked against measured ones, and drawn for more.

    python -m benchmarks.scaling                 measures 1, 2 and 4 ranks here, writes results/scaling.md and .json
    python -m benchmarks.scaling --rounds 2      a quick look, which writes nothing

A step of N rows on P ranks, of a network with W parameters of 4 bytes:

    t(P) = fixed + N / P · row + max(sum(P) - hidden, 0) + agree(P)

    fixed    what does not get less: Adam on all W, the interpreter, the noise of the whole batch
    row      products of one row, forward and backward; backward is two thirds, hidden = 3/4 of it: the first chunks
    sum      a ring all-reduce: 2 (P - 1) / P · 4 W / bandwidth + 2 log2 P · latency, for each of 4 chunks
    agree    one sum of two numbers before backward: 2 log2 P · latency
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import nanoae
from benchmarks.cases import B, Case, H
from nanoae.autoencoders.underfit import part_of_another
from nanoae.training.process_group import process_group

RESULTS = Path(__file__).parent / "results"
CHUNKS = 4
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
        hops = 2 * math.log2(ranks) * latency
        total = 2 * (ranks - 1) / ranks * 4 * self.parameters / bandwidth + CHUNKS * hops
        waiting = max(total - compute * (2 / 3) * (1 - 1 / CHUNKS), hops) + hops
        return self.fixed + compute + waiting, waiting


def measure(case: Case, rows: int, rounds: int) -> dict[str, float]:
    """Seconds of a step of so many rows, and those spent waiting for sums, on the ranks that there are."""
    features, *hidden, code = case.widths[: len(case.widths) // 2 + 1]
    X = np.random.default_rng(0).random((20 * rows, features), np.float32)
    model = nanoae.Autoencoder(
        code,
        tuple(hidden),
        epochs=rounds,
        batch_size=rows,
        backend="numpy",
        random_state=0,
        optimizer="adam",
    )
    group = process_group()
    with part_of_another():  # without a comparison with PCA
        model.fit(X)
    steps = 20 * rounds
    waited = group.seconds / steps if group else 0.0
    if group:
        group.seconds = 0.0
    return {
        "step": min(model.history_["seconds"][1:]) / 20,
        "waited": waited,
        "size": model.network_.theta.size,
    }


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
    found: dict = {"B": measure(B, B.batch, rounds), "H": measure(H, H.batch, rounds)}
    if group is None:
        found |= {
            "B half": measure(B, B.batch // 2, rounds),
            "H half": measure(H, H.batch // 2, rounds),
        }
    else:
        found["sums"] = measure_sums()
    if group is None or group.rank == 0:
        path.write_text(json.dumps(found))


def run(ranks: int, rounds: int) -> dict:
    launcher = (
        [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks)] if ranks > 1 else []
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [
            *launcher,
            sys.executable,
            "-m",
            "benchmarks.scaling",
            "--rounds",
            str(rounds),
            "--work",
            str(path),
        ]
        subprocess.run(
            command,
            check=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        return json.loads(path.read_text())


def costs_of(name: str, case: Case, alone: dict) -> Costs:
    whole, half = alone[name], alone[f"{name} half"]
    row = max((whole["step"] - half["step"]) / (case.batch - case.batch // 2), 1e-9)
    return Costs(whole["size"], case.batch, max(whole["step"] - case.batch * row, 0.0), row)


def report(measured: dict[int, dict]) -> tuple[str, dict]:
    costs = {name: costs_of(name, case, measured[1]) for name, case in (("B", B), ("H", H))}
    per_parameter, per_product = (
        costs["H"].fixed / costs["H"].parameters,
        costs["H"].row / costs["H"].parameters,
    )
    size, rows = LARGE
    costs["100 million"] = Costs(size, rows, per_parameter * size, per_product * size)
    lines = [
        "# Scaling: a training step on P ranks",
        "",
        f"Measured on {os.cpu_count()} cores, one thread a rank; see `benchmarks/scaling.py` for the model.",
        "",
        "| case | ranks | measured, ms | model, ms | waiting for sums, measured | speed-up |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("B", "H"):
        one = measured[1][name]["step"]
        for ranks, found in measured.items():
            latency, bandwidth = found.get("sums", (0.0, 1.0))
            step, waited = found[name]["step"], found[name]["waited"]
            model, _ = costs[name].step(ranks, bandwidth, latency)
            share = f"{100 * waited / step:.0f} %"
            lines.append(
                f"| {name} | {ranks} | {1e3 * step:.3g} | {1e3 * model:.3g} | {share} | {one / step:.2f} |"
            )
    lines += [
        "",
        "More ranks than cores share these: their rows show what that costs, not what a cluster does.",
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
        "batches (rows a rank stay), gradients in 16 bits (half the bytes), Adam on a shard of theta each",
        "(reduce-scatter and all-gather: the fixed part falls with P), and a sum every few steps.",
    ]
    return "\n".join(lines) + "\n", {
        "measured": measured,
        "costs": {name: asdict(cost) for name, cost in costs.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="epochs of 20 steps")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        return work(args.work, args.rounds)
    text, facts = report({ranks: run(ranks, args.rounds) for ranks in (1, 2, 4)})
    print(text)
    if args.rounds >= 5:
        (RESULTS / "scaling.md").write_text(text)
        (RESULTS / "scaling.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
