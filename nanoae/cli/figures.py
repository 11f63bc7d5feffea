"""The figures of a run: what `nanoae train`, `tune` and `reconstruct` draw."""

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
WHERE_THEY_APPLY = ("denoising.png", "weights.png")  # of a corruption, and of images
DENOISING, WEIGHTS = WHERE_THEY_APPLY
ROWS = 1_000  # that a table's columns are standardised by


def draw(folder: Path, model: Any, baseline: PCA | None, data: Dataset, test: Table) -> None:
    """The figures, all of the test rows."""
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
    """Rows above what the model, and PCA, make of them; and of noisy ones where it learned to clean them."""
    x, extra = test
    black = data_options.black(model)
    batches = {"original": x, "autoencoder": model.reconstruct(x, **extra)}
    if baseline is not None:
        batches[f"PCA-{len(baseline.components_)}"] = baseline.reconstruct(x)
    path = folder / RECONSTRUCTIONS
    reconstructions(path, batches, data, black, "Test rows, reconstructed")
    if not isinstance(model.network_.layers[0], Noisy):
        return
    noisy = damaged(model, x)
    batches = {"clean": x, "noisy": noisy, "cleaned": model.reconstruct(noisy)}
    if baseline is not None:
        batches[f"PCA-{len(baseline.components_)}"] = baseline.reconstruct(noisy)
    reconstructions(folder / DENOISING, batches, data, black, "Noisy test rows, cleaned")


def draw_losses(path: Path, model: Any) -> None:
    if model.history_["loss"]:
        loss = getattr(model, "loss", None)
        ylabel = loss if isinstance(loss, str) else "loss"
        report.loss_curves(
            path, model.history_, ylabel, kept=model.best_epoch_, title="Loss in training"
        )


def draw_codes(folder: Path, model: Any, data: Dataset, test: Table) -> None:
    """The codes, coloured by the rows' labels, and how their numbers are distributed."""
    x, extra = test
    if data_options.predicts(model):
        extra = {}  # labels, which codes do not need
    codes = model.transform(x, **extra)
    labels = data_options.label_column(data.y_test)
    report.code_scatter(folder / CODES, codes, labels, title=f"Codes of {len(codes):,} test rows")
    report.code_histogram(folder / HISTOGRAM, {"code": codes})


def draw_samples(path: Path, model: Any, data: Dataset) -> None:
    """Ten rows drawn from the prior, of a conditional model one for each label in turn."""
    condition = {}
    if data_options.conditional(model):
        condition = {"condition": np.resize(model.classes_, 10)}
    drawn = {"drawn": model.sample(10, 0, **condition)}
    reconstructions(path, drawn, data, data_options.black(model), "Samples of the prior")


def draw_weights(path: Path, model: Any, data: Dataset) -> None:
    """The weights of the decoder's last layer, or of a predictor's first one, as images."""
    every = templates(model, math.prod(data.shape))
    weights = [(title, W) for title, _, W in every if W.ndim == 2]
    if weights:
        title, W = weights[0 if data_options.predicts(model) else -1]
        report.weight_images(path, W.T, data.shape, title=f"{title}: red more ink, blue less")


def draw_frames(
    folder: Path, model: Any, data: Dataset, x: np.ndarray, frames: dict[str, np.ndarray]
) -> None:
    """The first test rows, above what each epoch made of them."""
    folder.mkdir(exist_ok=True)
    for i, (name, reconstructed) in enumerate(frames.items(), 1):
        batches = {"original": x[: len(reconstructed)], name: reconstructed}
        reconstructions(folder / f"{i:03}.png", batches, data, data_options.black(model), name)


def damaged(model: Any, x: np.ndarray) -> np.ndarray:
    """x with noise like that of the training."""
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
    """A row of images, or of profiles, for each entry, on one scale."""
    shape = data.shape
    if len(shape) != 2 and not (len(shape) == 3 and {shape[0], shape[2]} & {*CHANNELS}):
        shape = (math.prod(shape),)
    low, high = (black, 1.0) if data.maximum and len(shape) > 1 else (None, None)
    report.image_rows(path, rows, shape, low, high, title=title, columns=data.columns)
