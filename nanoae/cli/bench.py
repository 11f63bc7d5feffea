"""`nanoae bench`: time a training step of a model on the CPU and on the GPU, and recommend one."""

from __future__ import annotations

import argparse
import math
import time
import warnings
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.presets import DATA
from nanoae.backend import BackendError
from nanoae.cli import data as data_options
from nanoae.cli import settings
from nanoae.cli.options import JSON, command, declare
from nanoae.cli.output import STDOUT, write_json

STEPS = 50  # per measured epoch, for data of any size


def add_to(commands) -> None:
    parser = command(
        commands,
        "bench",
        run,
        "time a model's training step on the CPU and on the GPU, and recommend one",
        description="Times training steps of the model that `nanoae train` would train with the same options. For a "
        "comparison with other libraries, run in the repository python -m benchmarks, or on a GPU python -m "
        "benchmarks.gpu.",
        epilog="example: nanoae bench --preset deep-32 --batch-size 1024",
    )
    data_options.add_options(parser)
    settings.add_options(parser)
    declare(
        parser,
        f"""
        --seconds X=3.0   time to spend on each device
        {JSON}
    """,
    )


def run(args: argparse.Namespace) -> int:
    args.data = args.data or (DATA if args.preset else "digits")
    data = data_options.read(args)
    model = settings.build_model(args, data)
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"bench: expected an autoencoder, got {type(model).__name__}. Leave out --classify and --regress."
        )
    if not 0 < args.seconds < math.inf:
        raise ValueError(f"--seconds: expected a number > 0, got {args.seconds}.")
    x = data.flat(data_options.black(model))[0]
    batch = min(model.resolved_batch_size(len(x)), len(x))
    log = (lambda text: None) if args.json else print
    log(f"{model}\n{len(x):,} rows of {x.shape[1]}, {batch} per step\n")
    timings: dict[str, dict[str, Any]] = {}
    devices = ("numpy", "cupy") if model.backend == "auto" else (model.backend,)
    for backend in devices:
        model.set_params(backend=backend)
        try:
            us, device = step_time(model, x[: STEPS * batch], args.seconds)
        except BackendError as error:
            log(str(error))
            if backend == devices[0]:
                return 2
            timings[backend] = {"error": str(error)}
            continue
        speed = batch / us * 1e6
        epoch = -(-len(x) // batch) * us / 1e6
        timings[backend] = {"microseconds": us, "rows_per_second": speed, "device": device}
        log(
            f"{us:12,.1f} us per step, {speed:12,.0f} rows per second, {epoch:8.3f} s per epoch: {device}"
        )
    times = [facts["microseconds"] for facts in timings.values() if "microseconds" in facts]
    if args.json:
        facts = {"model": repr(model), "rows": len(x), "batch_size": batch, "devices": timings}
        write_json(STDOUT, facts)
    elif len(times) == 2:
        cpu, gpu = times
        best = "GPU, --backend cupy" if gpu < cpu else "CPU, --backend numpy"
        print(f"\nUse the {best}: {max(times) / min(times):.1f} times as fast.")
    elif "numpy" in timings:
        print("\nUse the CPU: there is no GPU here.")
    return 0


def step_time(model: Any, x: np.ndarray, seconds: float) -> tuple[float, str]:
    """Microseconds per step in the fastest epoch over x within `seconds`, and a description of the device."""
    times: list[float] = []
    started = time.perf_counter()

    def enough(_, row: dict[str, float]) -> bool:
        times.append(row["seconds"])
        return len(times) > 2 and time.perf_counter() - started > seconds

    model.set_params(callbacks=[enough], patience=None).build(x.shape[1])
    trainer = model.new_trainer(len(x), epochs=1_000_000)
    with warnings.catch_warnings():
        # Its message says that the model is kept, which is not so here.
        warnings.filterwarnings("ignore", "training was interrupted")
        trainer.fit(*model.training_data(x))
    if trainer.interrupted:
        raise KeyboardInterrupt
    steps = -(-len(x) // trainer.batch_size)
    device = model.network_.ops.describe()
    return min(times[2:]) / steps * 1e6, device  # the first two epochs warm up
