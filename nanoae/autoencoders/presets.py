"""Presets: published autoencoders as estimators with their settings, and default settings for unknown tables.

dense-64   784-64-784, one layer each way: the smallest autoencoder in courses
deep-32    784-128-32-128-784, trained with the binary cross-entropy of pixels
tf1-20     784-500-300-20-300-500-784, the deep autoencoder of the TensorFlow 1 tutorials, with weights and biases from
           a truncated normal of stddev 0.1 and the loss Σ (y - x)² / 2 over the batch; 5,000 of MNIST's 60,000
           training images are held out. About half of the code's ReLUs survive the first steps, but at most one if
           the output is linear instead of sigmoid
conv-2d    convolutions to a code of two numbers, which can be plotted directly; five epochs on images in [-1, 1]
conv-3d    the same with three numbers
vae-20     784-400-20, the variational autoencoder for grey values in PyTorch's examples
"""

from __future__ import annotations

import copy
from typing import Any

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.conv import ConvAutoencoder
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.engine.losses import MSE
from nanoae.spelling import one_of

DATA = "mnist"  # the published data set

PRESETS: dict[str, Autoencoder] = {
    "dense-64": Autoencoder(
        64, (), code_activation="relu", output_activation="sigmoid", batch_size=32, epochs=10
    ),
    "deep-32": Autoencoder(
        32, (128,), activation="relu", code_activation="relu", loss="bce", batch_size=256, epochs=10
    ),
    "tf1-20": Autoencoder(
        20,
        (500, 300),
        activation="relu",
        code_activation="relu",
        output_activation="sigmoid",
        loss=MSE(reduction="sum", weight=0.5),
        initializer="truncated_normal",
        bias_initializer="truncated_normal",
        batch_size=100,
        epochs=10,
        validation_fraction=1 / 12,
    ),
    "conv-2d": ConvAutoencoder(2, batch_size=100, epochs=5),
    "conv-3d": ConvAutoencoder(3, batch_size=100, epochs=5),
    "vae-20": VariationalAutoencoder(20, (400,), activation="relu", batch_size=128, epochs=10),
}


def preset(name: str) -> Autoencoder:
    """Return a new estimator with the settings of preset `name`; ValueError with the known names if unknown."""
    return copy.deepcopy(PRESETS[one_of("preset", name, PRESETS)])


def default_settings(d: int) -> dict[str, Any]:
    """Return settings for a table of d columns: a code of d / 8 numbers, from 2 to 32 but fewer than d, and a tenth of
    the rows held out. For `digits`: 64-128-64-8-64-128-64."""
    eighth = max(2, d // 8)
    return {
        "code_size": max(1, min(d - 1, eighth, 32)),
        "hidden": (128, 64),
        "validation_fraction": 0.1,
    }
