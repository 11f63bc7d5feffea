"""`nanoae bench`: how long a training step of this model takes on the CPU and on the GPU, and which to take."""

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

STEPS = 50  # in an epoch of the measurement, whatever the size of the data


def add_to(commands) -> None:
    parser = command(
        commands,
        "bench",
        run,
        "time this model's training step on the CPU and on the GPU, and say which is faster",
        description="Times training steps of the model that `nanoae train` would train with the same options. The "
        "comparison with other libraries is in the repository: python -m benchmarks, and on a GPU python -m "
        "benchmarks.gpu.",
        epilog="example: nanoae bench --preset deep-32 --batch-size 1024",
    )
    data_options.add_options(parser)
    settings.add_options(parser)
    declare(
        parser,
        f"""
        --seconds X=3.0   to time each device for
        {JSON}
    """,
    )


def run(args: argparse.Namespace) -> int:
    args.data = args.data or (DATA if args.preset else "digits")
    data = data_options.read(args)
    model = settings.build_model(args, data)
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"bench: expected an autoencoder, got {type(model).__name__}. Leave --classify, --regress out."
        )
    if not 0 < args.seconds < math.inf:
        raise ValueError(f"--seconds: expected a number > 0, got {args.seconds}.")
    x = data.flat(data_options.black(model))[0]
    batch = min(model.resolved_batch_size(len(x)), len(x))
    log = (lambda text: None) if args.json else print
    log(f"{model}\n{len(x):,} rows of {x.shape[1]}, {batch} a step\n")
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
            f"{us:12,.1f} us a step, {speed:12,.0f} rows a second, {epoch:8.3f} s an epoch: {device}"
        )
    times = [facts["microseconds"] for facts in timings.values() if "microseconds" in facts]
    if args.json:
        facts = {"model": repr(model), "rows": len(x), "batch_size": batch, "devices": timings}
        write_json(STDOUT, facts)
    elif len(times) == 2:
        cpu, gpu = times
        best = "GPU, --backend cupy" if gpu < cpu else "CPU, --backend numpy"
        print(f"\nTake the {best}: {max(times) / min(times):.1f} times as fast.")
    elif "numpy" in timings:
        print("\nTake the CPU: there is no other device here.")
    return 0


def step_time(model: Any, x: np.ndarray, seconds: float) -> tuple[float, str]:
    """Microseconds of a step, in the fastest of the epochs over x that fit into `seconds`; the device, in words."""
    times: list[float] = []
    started = time.perf_counter()

    def enough(_, row: dict[str, float]) -> bool:
        times.append(row["seconds"])
        return len(times) > 2 and time.perf_counter() - started > seconds

    model.set_params(callbacks=[enough], patience=None).build(x.shape[1])
    trainer = model.new_trainer(len(x), epochs=1_000_000)
    with warnings.catch_warnings():
        # Its end, "... is kept", is not so here.
        warnings.filterwarnings("ignore", "training was interrupted")
        trainer.fit(*model.training_data(x))
    if trainer.interrupted:
        raise KeyboardInterrupt
    steps = -(-len(x) // trainer.batch_size)
    device = model.network_.ops.describe()
    return min(times[2:]) / steps * 1e6, device  # two warm up: buffers made, steps captured
