"""Whole runs: time from process start to a given test error on MNIST, including imports, reading and evaluation.

The model is the preset dense-64: 784-64-784, ReLU and sigmoid, MSE, Adam 1e-3, batch 32. Both libraries start from
Glorot-uniform weights and zero biases, and measure the test error after each epoch until it is small enough.
`python -m benchmarks.whole LIBRARY TARGET SEED DATA_DIR` is one such run; it prints its epochs and its error.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

EPOCHS = 30  # at most


def run_nanoae(target: float, seed: int, data_dir: str | None) -> tuple[int, float]:
    import nanoae
    from nanoae.autoencoders.presets import preset

    x_train, x_test = nanoae.load_data("mnist", data_dir, download=False).flat()
    model = preset("dense-64").set_params(epochs=EPOCHS, backend="numpy", random_state=seed)
    model.set_params(callbacks=[lambda trainer, row: row["val_loss"] <= target])
    errors = model.fit(x_train, validation_data=x_test).history_["val_loss"]
    return len(errors), errors[-1]


def run_torch(target: float, seed: int, data_dir: str | None) -> tuple[int, float]:
    """A plain script at its best: the images in memory, batches by index_select, the fused Adam."""
    import torch

    import nanoae.data  # reading the files is not what is compared here

    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x_train, x_test = map(
        torch.from_numpy, nanoae.data.load_data("mnist", data_dir, download=False).flat()
    )
    layers = torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 784), torch.nn.Sigmoid()
    model = torch.nn.Sequential(*layers)
    for linear in layers[::2]:
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    mse = torch.nn.functional.mse_loss
    epochs, error = 0, float("inf")
    while error > target and epochs < EPOCHS:
        epochs += 1
        for rows in torch.randperm(len(x_train)).split(32):
            batch = x_train.index_select(0, rows)
            optimizer.zero_grad(set_to_none=True)
            mse(model(batch), batch).backward()
            optimizer.step()
        with torch.inference_mode():
            error = mse(model(x_test), x_test).item()
    return epochs, error


RUNS = {"nanoae": run_nanoae, "torch": run_torch}


class RunFailed(RuntimeError):
    """A whole run ended without a result; the message is what it wrote last."""


def time_run(
    library: str,
    target: float,
    seed: int,
    data_dir: str | None,
    threads: int,
    environment: dict[str, str],
) -> dict[str, Any]:
    """Seconds from the start of a process to its end; its epochs and test error."""
    limits = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)
    )
    command = [
        sys.executable,
        "-m",
        "benchmarks.whole",
        library,
        str(target),
        str(seed),
        data_dir or "",
    ]
    started = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **limits, **environment}, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RunFailed(f"{library}: {done.stderr.strip()}")
    epochs, error = json.loads(done.stdout)
    if error > target:
        raise RunFailed(
            f"{library}: expected a test MSE of {target} within {EPOCHS} epochs, got {error:.5f}"
        )
    return {"library": library, "seconds": seconds, "epochs": epochs, "error": error, "seed": seed}


def measure_runs(
    libraries, repeats, target, data_dir, threads, environment, say
) -> list[dict[str, Any]]:
    """`repeats` runs of each library, in turn; each with its own seed. `environment` is nanoae's choice of BLAS."""
    runs = []
    for seed in range(repeats):
        for library in libraries:
            say(f"whole run {seed + 1} of {repeats}: {library}")
            chosen = environment if library == "nanoae" else {}
            runs.append(time_run(library, target, seed, data_dir, threads, chosen))
    say("")
    return runs


def runs_table(runs: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for library in dict.fromkeys(run["library"] for run in runs):
        mine = [run for run in runs if run["library"] == library]
        seconds = statistics.median(run["seconds"] for run in mine)
        epochs = statistics.median(run["epochs"] for run in mine)
        worst = max(run["error"] for run in mine)
        rows.append(
            [library, f"{seconds:.2f}", f"{epochs:g}", f"{seconds / epochs:.2f}", f"{worst:.5f}"]
        )
    return [
        "whole run, medians",
        "seconds",
        "epochs",
        "seconds per epoch",
        "largest test MSE",
    ], rows


if __name__ == "__main__":
    library, target, seed, data_dir = sys.argv[1:]
    try:
        print(json.dumps(RUNS[library](float(target), int(seed), data_dir or None)))
    except (
        OSError,
        ValueError,
    ) as error:  # the data are missing or damaged, and the message says what to do
        sys.exit(str(error))
