"""The default autoencoder of a detector."""

from __future__ import annotations

import math

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.training.schedules import Cosine

STEPS, BATCH = (200, 1000), 128  # least and most training steps; batch size


def default_autoencoder(rows: int) -> Autoencoder:
    """Return a wide denoising autoencoder with tanh: the piecewise linear ReLU also reconstructs rows far outside."""
    return Autoencoder(
        64,
        (256,),
        activation="tanh",
        corruption=GaussianNoise(0.2),
        learning_rate=Cosine(3e-3),
        batch_size=BATCH,
        epochs=epochs(rows),
    )


def epochs(rows: int) -> int:
    """Return the epochs that give about one step per two rows, within STEPS: few rows are soon memorised."""
    steps = min(max(rows / 2, STEPS[0]), STEPS[1])
    return max(1, round(steps / math.ceil(rows / BATCH)))
