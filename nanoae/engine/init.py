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
Parameter = tuple[Shape, Initializer]


def uniform(variance: Callable[[float, float], float]) -> Initializer:
    """U(-a, a) has variance a² / 3, so a = sqrt(3 · variance)."""

    def draw(generator: Generator, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
        a = math.sqrt(3 * variance(fan_in, fan_out))
        return generator.uniform(-a, a, shape)

    return draw


def normal(variance: Callable[[float, float], float]) -> Initializer:
    """N(0, variance)."""

    def draw(generator: Generator, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
        return generator.normal(0, math.sqrt(variance(fan_in, fan_out)), shape)

    return draw


def truncated_normal(rng: Generator, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """N(0, 0.1²) with values beyond two standard deviations redrawn (TensorFlow's `truncated_normal`)."""
    x = rng.normal(0, 1, shape)
    while (far := np.abs(x) > 2).any():
        x[far] = rng.normal(0, 1, int(far.sum()))
    return np.multiply(0.1, x)


def zeros(generator: Generator, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    return np.zeros(shape)


def ones(generator: Generator, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    return np.ones(shape)


SCALED: dict[str, Callable[[float, float], float]] = {  # name -> Var[W](fan_in, fan_out)
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
    "shifted_uniform": lambda rng, shape, *fans: rng.uniform(-1, 2, shape),  # biases before ELU
    "small_normal": normal(lambda fan_in, fan_out: 1e-4),  # N(0, 0.01²), as before 2010
    "zeros": zeros,
    "ones": ones,
}


def get(name: str, what: str = "initializer") -> Initializer:
    """Return the initialiser called `name`; else raise a ValueError that lists the known names of a `what`."""
    return INITIALIZERS[one_of(what, name, INITIALIZERS)]
