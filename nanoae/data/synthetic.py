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


def bars(n: int, size: int = 8, random_state: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of bars that lie across each other: x (n, size²) float32 of 0 and 1, and which bars each image has,
    (n, 2 size) bool: first the `size` rows, then the columns. Each is there with probability 1 / size, by itself.

    What hides in the pixels is 2 size causes, of which a good code has a unit each. Földiák (1990), Forming sparse
    representations by local anti-Hebbian learning, Biological Cybernetics 64.
    """
    if n < 1 or size < 1:
        raise ValueError(f"bars: expected n >= 1 and size >= 1, got n={n}, size={size}.")
    there = np.random.default_rng(random_state).random((n, 2 * size)) < 1 / size
    x = there[:, :size, None] | there[:, None, size:]
    return x.reshape(n, -1).astype(np.float32), there


STROKES = (  # of each digit, the corners of its line in a square of (0, 0) .. (1, 1), y downwards
    ((0.5, 0), (0.2, 0.15), (0.1, 0.5), (0.2, 0.85), (0.5, 1), (0.8, 0.85), (0.9, 0.5), (0.8, 0.15), (0.5, 0)),
    ((0.25, 0.25), (0.55, 0), (0.55, 1)),
    ((0.12, 0.25), (0.3, 0.03), (0.7, 0.03), (0.88, 0.27), (0.75, 0.5), (0.1, 1), (0.92, 1)),
    ((0.12, 0.08), (0.6, 0), (0.85, 0.22), (0.7, 0.43), (0.4, 0.48), (0.75, 0.55), (0.9, 0.77), (0.65, 1), (0.1, 0.92)),
    ((0.7, 1), (0.7, 0), (0.08, 0.68), (0.95, 0.68)),
    ((0.85, 0), (0.22, 0), (0.17, 0.43), (0.6, 0.38), (0.88, 0.62), (0.8, 0.9), (0.45, 1), (0.1, 0.9)),
    ((0.75, 0), (0.3, 0.3), (0.1, 0.7), (0.3, 0.98), (0.7, 0.98), (0.87, 0.72), (0.65, 0.5), (0.3, 0.53), (0.1, 0.7)),
    ((0.08, 0), (0.92, 0), (0.4, 1)),
    ((0.5, 0.47), (0.2, 0.25), (0.5, 0), (0.8, 0.25), (0.5, 0.47), (0.12, 0.75), (0.5, 1), (0.88, 0.75), (0.5, 0.47)),
    ((0.87, 0.3), (0.65, 0.5), (0.3, 0.48), (0.13, 0.25), (0.35, 0.02), (0.7, 0.03), (0.87, 0.3), (0.8, 0.7), (0.6, 1)),
)  # fmt: skip


def written_digits(n: int, size: int = 16, random_state: int | None = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits drawn with a pen, each by a hand of its own: x (n, size²) float32 in [0, 1], y (n,) the digits, and
    hand (n, 4) ~ U[-1, 1): slant (negative: to the left), width, height, and weight of the line.
    """
    if n < 1 or size < 8:
        raise ValueError(f"written_digits: expected n >= 1 and size >= 8, got n={n}, size={size}.")
    rng = np.random.default_rng(random_state)
    y, hand = rng.integers(0, 10, n), rng.uniform(-1, 1, (n, 4))
    slant, width, height, weight = (hand * (0.35, 0.2, 0.12, 0.45) + (0.1, 0.62, 0.78, 1.38)).T
    places = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2) + 0.5) / size
    x = np.empty((n, size * size), np.float32)
    for i in range(n):
        across, down = (np.array(STROKES[y[i]]) - 0.5).T
        corners = 0.5 + np.stack([width[i] * across - slant[i] * height[i] * down, height[i] * down], axis=1)
        distance = distance_to_line(places, corners) * size  # in pixels
        x[i] = np.clip(weight[i] - distance, 0, 1)
    return x, y, hand


def distance_to_line(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """From each point (P, 2) to the line through the corners (K, 2), the nearest of its pieces, (P,)."""
    starts, pieces = corners[:-1, None], np.diff(corners, axis=0)[:, None]
    along = ((points - starts) * pieces).sum(axis=2) / (pieces**2).sum(axis=2)
    nearest = starts + np.clip(along, 0, 1)[..., None] * pieces
    return np.sqrt(((points - nearest) ** 2).sum(axis=2)).min(axis=0)
