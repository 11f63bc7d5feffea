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
WHERE_THEY_APPLY = ("denoising.png", "weights.png")  # of a corruption, and of images
LOSSES = ("loss", "val_loss")
ROWS = 1_000  # that a table's columns are standardised by


def draw(folder: Path, model: Any, baseline: PCA | None, data: Dataset, test: Table) -> None:
    """The figures, all of the test rows."""
    x, extra = first(test, ROWS)
    black = data_options.black(model)
    if not data_options.predicts(model):
        pca = {}
        if baseline is not None:
            pca = {f"PCA-{len(baseline.components_)}": baseline.reconstruct}
        rows = {"original": x, "autoencoder": model.reconstruct(x, **extra)}
        rows |= {name: reconstruct(x) for name, reconstruct in pca.items()}
        reconstructions(folder / FIGURES[0], rows, data, black, "Test rows, reconstructed")
        if isinstance(model.network_.layers[0], Noisy):
            noisy = damaged(model, x)
            rows = {"clean": x, "noisy": noisy, "cleaned": model.reconstruct(noisy)}
            rows |= {name: reconstruct(noisy) for name, reconstruct in pca.items()}
            reconstructions(
                folder / WHERE_THEY_APPLY[0], rows, data, black, "Noisy test rows, cleaned"
            )
    curves = {name: model.history_[name] for name in LOSSES if model.history_.get(name)}
    if curves:
        loss = getattr(model, "loss", None)
        ylabel = loss if isinstance(loss, str) else "loss"
        report.loss_curves(
            folder / FIGURES[1], curves, ylabel, kept=model.best_epoch_, title="Loss in training"
        )
    extra = {} if data_options.predicts(model) else test[1]
    codes = model.transform(test[0], **extra)
    labels = data_options.label_column(data.y_test)
    title = f"Codes of {len(codes):,} test rows"
    report.code_scatter(folder / FIGURES[2], codes, labels, title=title)
    report.code_histogram(folder / FIGURES[3], {"code": codes})
    if getattr(model, "prior_", None) is not None:
        every = {}
        if data_options.conditional(model):
            every = {"condition": np.resize(model.classes_, 10)}
        reconstructions(
            folder / "samples.png",
            {"drawn": model.sample(10, 0, **every)},
            data,
            black,
            "Samples of the prior",
        )
    every_weight = templates(model, x.shape[1])
    weights = [(title, W) for title, _, W in every_weight if W.ndim == 2]
    if len(data.shape) == 2 and weights:
        title, W = weights[0 if data_options.predicts(model) else -1]
        report.weight_images(
            folder / WHERE_THEY_APPLY[1], W.T, data.shape, title=f"{title}: red more ink, blue less"
        )


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
