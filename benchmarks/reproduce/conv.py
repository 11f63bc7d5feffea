"""The convolutional autoencoder on MNIST: the presets conv-2d and conv-3d, five epochs, beside the same net in PyTorch.

Pixels are in [-1, 1], and the error is the mean square over all pixels of the 10,000 test images. PyTorch starts from
its own weights and shuffles by its own generator. The seconds are CPU seconds of the training: with one thread those
that it takes on an idle machine, whatever else is running meanwhile.
"""

from __future__ import annotations

import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np

import nanoae
from benchmarks.cases import CASES
from benchmarks.reproduce.claims import Claims, options, threads
from nanoae.autoencoders.presets import preset

TARGETS = {"conv-2d": 0.180, "conv-3d": 0.160}


def run_nanoae(
    name: str, seed: int, epochs: int, x_train: np.ndarray, x_test: np.ndarray
) -> tuple[float, float]:
    """(test MSE, CPU seconds)"""
    model = preset(name).set_params(epochs=epochs, backend="numpy", random_state=seed)
    started = time.process_time()
    model.fit(x_train)
    seconds = time.process_time() - started
    return model.evaluate(x_test)["mse"], seconds


def run_torch(
    name: str, seed: int, epochs: int, x_train: np.ndarray, x_test: np.ndarray
) -> tuple[float, float]:
    """The same, in a plain loop at its best: images in memory, batches by index_select, the fused Adam."""
    import torch

    from benchmarks.contenders.torch import network

    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads())
    x, test, settings = torch.from_numpy(x_train), torch.from_numpy(x_test), preset(name)
    model = network(CASES["conv"])
    code = next(i for i, layer in enumerate(model) if isinstance(layer, torch.nn.Linear))
    model[code] = torch.nn.Linear(64, settings.code_size)
    model[code + 2] = torch.nn.Linear(settings.code_size, 64)
    rate, decay = settings.learning_rate, settings.weight_decay
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay, fused=True)
    started = time.process_time()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(settings.batch_size):
            batch = x.index_select(0, rows)
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
    seconds = time.process_time() - started
    model.eval()
    with torch.inference_mode():
        return torch.nn.functional.mse_loss(model(test), test).item(), seconds


def main(arguments: list[str] | None = None) -> int:
    args = options(__doc__).parse_args(arguments)
    x_train, x_test = nanoae.load_data("mnist", args.data_dir, download=False).flat(black=-1)
    epochs, seeds = (1, 1) if args.quick else (preset("conv-2d").epochs, args.seeds)
    if args.quick:
        x_train, x_test = x_train[:1000], x_test[:500]
    columns = {"preset": "", "seed": "", "test MSE": ".4f", "target": ".3f", "CPU seconds": ".1f"}
    peer = {"PyTorch's MSE": ".4f", "PyTorch's CPU seconds": ".1f", "PyTorch / nanoae": ".2f"}
    claims = Claims("conv", {**columns, **peer})
    for name, target in TARGETS.items():
        runs = []
        for seed in range(seeds):
            mse, seconds = run_nanoae(name, seed, epochs, x_train, x_test)
            theirs, taken = (
                run_torch(name, seed, epochs, x_train, x_test)
                if find_spec("torch")
                else (None, None)
            )
            claims.add(
                name,
                seed,
                mse,
                target,
                seconds,
                theirs,
                taken,
                taken and taken / seconds,
                holds=mse <= target,
            )
            runs.append((seconds, taken))
        if find_spec("torch"):
            mine, torchs = (statistics.median(times) for times in zip(*runs, strict=True))
            claims.add(
                name, "median", None, None, mine, None, torchs, torchs / mine, holds=mine <= torchs
            )
    note = f"{epochs} epochs over {len(x_train):,} images, batch 100, Adam 1e-2, weight decay 1e-5; pixels in [-1, 1]."
    return claims.finish(
        args,
        f"{note} The last row of each preset tests whether nanoae takes at most the same time.",
    )


if __name__ == "__main__":
    sys.exit(main())
