"""Weight initialisers. Each is a function (generator, shape, fan_in, fan_out) -> float64 array.

A linear layer multiplies the variance of its input by fan_in · Var[W], and that of the gradient by fan_out · Var[W].

Every backend draws the weights on the host with NumPy: a seed gives the same initial network on CPU and GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from nanoae.backend import Shape
from nanoae.spelling import one_of

# A string, since NumPy imports `random` on first access: a quarter of the time of `import nanoae`.
Generator: TypeAlias = "np.random.Generator"
Initializer = Callable[[Generator, Shape, float, float], np.ndarray]
Variance = Callable[[float, float], float]  # (fan_in, fan_out) -> Var[W]
Parameter = tuple[Shape, str | Initializer]


def uniform(variance: Variance) -> Initializer:
    """U(-a, a) has variance a² / 3, so a = sqrt(3 · variance)."""

    def draw(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
        a = math.sqrt(3 * variance(*fans))
        return rng.uniform(-a, a, shape)

    return draw


def normal(variance: Variance) -> Initializer:
    """N(0, variance)."""

    def draw(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
        std = math.sqrt(variance(*fans))
        return rng.normal(0, std, shape)

    return draw


def truncated_normal(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
    """N(0, 0.1²) with values beyond two standard deviations redrawn (TensorFlow's `truncated_normal`)."""
    x = rng.normal(0, 1, shape)
    far = np.abs(x) > 2
    while far.any():
        x[far] = rng.normal(0, 1, int(far.sum()))
        far = np.abs(x) > 2
    return np.multiply(0.1, x)


def zeros(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
    return np.zeros(shape)


def ones(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
    return np.ones(shape)


standard_normal = normal(lambda fan_in, fan_out: 1.0)


def shifted_uniform(rng: Generator, shape: Shape, *fans: float) -> np.ndarray:
    """U(-1, 2): biases before ELU."""
    return rng.uniform(-1, 2, shape)


SCALED: dict[str, Variance] = {
    # preserves the variance of the forward signal: LeCun 1998
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    # a compromise between forward and backward: Glorot & Bengio 2010
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    # ReLU halves the second moment, so twice the variance: He 2015
    "he": lambda fan_in, fan_out: 2 / fan_in,
}
INITIALIZERS: dict[str, Initializer] = {
    **{f"{name}_uniform": uniform(variance) for name, variance in SCALED.items()},
    **{f"{name}_normal": normal(variance) for name, variance in SCALED.items()},
    "truncated_normal": truncated_normal,
    "shifted_uniform": shifted_uniform,
    "small_normal": normal(lambda fan_in, fan_out: 1e-4),  # N(0, 0.01²), as before 2010
    "zeros": zeros,
    "ones": ones,
}


def get(initializer: str | Initializer, what: str = "initializer") -> Initializer:
    """Return the initialiser, or the one of this name; else raise ValueError with the known names of a `what`."""
    if callable(initializer):
        return initializer
    return INITIALIZERS[one_of(what, initializer, INITIALIZERS)]
