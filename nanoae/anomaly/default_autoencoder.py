"""The autoencoder of a detector that was given none."""

from __future__ import annotations

import math

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.training.schedules import Cosine

STEPS, BATCH = (200, 1000), 128  # of its training, at least and at most


def default_autoencoder(rows: int) -> Autoencoder:
    """A wide denoising autoencoder: of tanh, because ReLU's straight lines give what lies far outside back, too."""
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
    """Passes over so many rows, in which it takes about a step for every second one: few rows are soon learned by
    heart."""
    steps = min(max(rows / 2, STEPS[0]), STEPS[1])
    return max(1, round(steps / math.ceil(rows / BATCH)))
