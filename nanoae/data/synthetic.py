"""Synthetic sets: data whose hidden coordinates are known."""

from __future__ import annotations

import numpy as np


def swiss_roll(n: int = 2000, noise: float = 0.05, random_state: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    """A plane rolled up in space: x (n, 3) float64, raw coordinates, and t (n,), the angle along the roll.

        x = (t cos t, h, t sin t) + noise · N(0, I)    t ~ U[3π/2, 9π/2)    h ~ U[0, 21)

    Tenenbaum, de Silva, Langford (2000), A global geometric framework for nonlinear dimensionality reduction, Science
    290; with the constants of Marsland (2009), Machine Learning: An Algorithmic Perspective.
    """
    if n < 1 or not 0 <= noise < np.inf:
        raise ValueError(f"swiss_roll: expected n >= 1 and noise >= 0, got n={n}, noise={noise}.")
    rng = np.random.default_rng(random_state)
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    h = 21 * rng.random(n)
    x = np.stack([t * np.cos(t), h, t * np.sin(t)], axis=1)
    return x + noise * rng.standard_normal((n, 3)), t


def xor(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The four corners of the unit square, repeated in turn: x (n, 2) float32, and y (n,) = x₀ xor x₁, int64.

    The smallest problem no linear map solves (Minsky and Papert 1969, Perceptrons).
    """
    if n < 1:
        raise ValueError(f"xor: expected n >= 1, got {n}.")
    corner = np.arange(n) % 4
    x = np.stack([corner // 2, corner % 2], axis=1)
    return x.astype(np.float32), x[:, 0] ^ x[:, 1]
