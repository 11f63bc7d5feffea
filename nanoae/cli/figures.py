"""The figures drawn by `nanoae train`, `tune` and `reconstruct`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import PCA, Dataset, report
from nanoae.cli import data as data_options
from nanoae.cli.data import Table, first
from nanoae.engine.layers import Noisy
from nanoae.plot.mosaic import CHANNELS
from nanoae.report.network import templates

FIGURES = ("reconstructions.png", "loss.png", "codes.png", "code_histogram.png")
RECONSTRUCTIONS, LOSS, CODES, HISTOGRAM = FIGURES
WHERE_THEY_APPLY = ("denoising.png", "weights.png")  # for a corruption, and for images
DENOISING, WEIGHTS = WHERE_THEY_APPLY
ROWS = 1_000  # used to standardise the columns of a table


def draw(folder: Path, model: Any, baseline: PCA | None, data: Dataset, test: Table) -> None:
    """Draw all figures of the test rows."""
    if not data_options.predicts(model):
        draw_reconstructions(folder, model, baseline, data, first(test, ROWS))
    draw_losses(folder / LOSS, model)
    draw_codes(folder, model, data, test)
    if getattr(model, "prior_", None) is not None:
        draw_samples(folder / "samples.png", model, data)
    if len(data.shape) == 2:
        draw_weights(folder / WEIGHTS, model, data)


def draw_reconstructions(
    folder: Path, model: Any, baseline: PCA | None, data: Dataset, test: Table
) -> None:
    """Draw rows above their reconstructions by the model and by PCA; for a denoising model, noisy rows, too."""
    x, extra = test
    black = data_options.black(model)
    batches = {"original": x, "autoencoder": model.reconstruct(x, **extra)}
    if baseline is not None:
        batches[f"PCA-{len(baseline.components_)}"] = baseline.reconstruct(x)
    path = folder / RECONSTRUCTIONS
    reconstructions(path, batches, data, black, "Reconstructions of test rows")
    if not isinstance(model.network_.layers[0], Noisy):
        return
    noisy = damaged(model, x)
    batches = {"clean": x, "noisy": noisy, "cleaned": model.reconstruct(noisy)}
    if baseline is not None:
        batches[f"PCA-{len(baseline.components_)}"] = baseline.reconstruct(noisy)
    reconstructions(folder / DENOISING, batches, data, black, "Denoised test rows")


def draw_losses(path: Path, model: Any) -> None:
    if model.history_["loss"]:
        loss = getattr(model, "loss", None)
        ylabel = loss if isinstance(loss, str) else "loss"
        report.loss_curves(
            path, model.history_, ylabel, kept=model.best_epoch_, title="Training curves"
        )


def draw_codes(folder: Path, model: Any, data: Dataset, test: Table) -> None:
    """Draw the codes, coloured by label, and a histogram of their values."""
    x, extra = test
    if data_options.predicts(model):
        extra = {}  # codes do not need labels
    codes = model.transform(x, **extra)
    labels = data_options.label_column(data.y_test)
    report.code_scatter(folder / CODES, codes, labels, title=f"Codes of {len(codes):,} test rows")
    report.code_histogram(folder / HISTOGRAM, {"code": codes})


def draw_samples(path: Path, model: Any, data: Dataset) -> None:
    """Draw ten samples of the prior; for a conditional model, one for each label in turn."""
    condition = {}
    if data_options.conditional(model):
        condition = {"condition": np.resize(model.classes_, 10)}
    drawn = {"samples": model.sample(10, 0, **condition)}
    reconstructions(path, drawn, data, data_options.black(model), "Samples from the prior")


def draw_weights(path: Path, model: Any, data: Dataset) -> None:
    """Draw the weights of the decoder's last layer, or of a predictor's first layer, as images."""
    every = templates(model, math.prod(data.shape))
    weights = [(title, W) for title, _, W in every if W.ndim == 2]
    if weights:
        title, W = weights[0 if data_options.predicts(model) else -1]
        report.weight_images(path, W.T, data.shape, title=f"{title} (red positive, blue negative)")


def draw_frames(
    folder: Path, model: Any, data: Dataset, x: np.ndarray, frames: dict[str, np.ndarray]
) -> None:
    """Draw the first test rows above their reconstructions after each epoch."""
    folder.mkdir(exist_ok=True)
    for i, (name, reconstructed) in enumerate(frames.items(), 1):
        batches = {"original": x[: len(reconstructed)], name: reconstructed}
        reconstructions(folder / f"{i:03}.png", batches, data, data_options.black(model), name)


def damaged(model: Any, x: np.ndarray) -> np.ndarray:
    """x with the noise of the training added."""
    ops = model.network_.ops
    scaled = ops.to_device(model.scaled(x))
    noisy = model.network_.layers[0].forward(scaled, train=True)
    return model.unscaled(ops.to_numpy(noisy).copy())


def reconstructions(
    path: Path,
    rows: dict[str, np.ndarray],
    data: Dataset,
    black: float,
    title: str = "Reconstructions",
) -> None:
    """Draw one row of images, or of profiles, for each entry, on a common scale."""
    shape = data.shape
    if len(shape) != 2 and not (len(shape) == 3 and {shape[0], shape[2]} & {*CHANNELS}):
        shape = (math.prod(shape),)
    low, high = (black, 1.0) if data.maximum and len(shape) > 1 else (None, None)
    report.image_rows(path, rows, shape, low, high, title=title, columns=data.columns)
