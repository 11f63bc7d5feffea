"""Synthetic data sets with known latent coordinates."""

from __future__ import annotations

import numpy as np


def swiss_roll(
    n: int = 2000, noise: float = 0.05, random_state: int | None = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return a plane rolled up in space: x (n, 3) float64, unscaled, and t (n,), the angle along the roll.

        x = (t cos t, h, t sin t) + noise · N(0, I)    t ~ U[3π/2, 9π/2)    h ~ U[0, 21)

    Tenenbaum, de Silva, Langford (2000), A global geometric framework for nonlinear dimensionality reduction, Science
    290; constants from Marsland (2009), Machine Learning: An Algorithmic Perspective.
    """
    if n < 1 or not 0 <= noise < np.inf:
        raise ValueError(f"swiss_roll: expected n >= 1 and noise >= 0, got n={n}, noise={noise}.")
    rng = np.random.default_rng(random_state)
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    h = 21 * rng.random(n)
    x = np.stack([t * np.cos(t), h, t * np.sin(t)], axis=1)
    return x + noise * rng.standard_normal((n, 3)), t


def xor(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return the four corners of the unit square in turn: x (n, 2) float32, and y (n,) = x₀ xor x₁, int64.

    The smallest problem that no linear map solves (Minsky and Papert 1969, Perceptrons).
    """
    if n < 1:
        raise ValueError(f"xor: expected n >= 1, got {n}.")
    corner = np.arange(n) % 4
    x = np.stack([corner // 2, corner % 2], axis=1)
    return x.astype(np.float32), x[:, 0] ^ x[:, 1]


def bars(n: int, size: int = 8, random_state: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images of crossing bars, x (n, size²) float32 of 0 and 1, and the bars in each image, (n, 2 size) bool:
    first the `size` rows, then the columns. Each bar is present independently with probability 1 / size.

    The pixels have 2 size independent causes, and a good code has one unit for each. Földiák (1990), Forming sparse
    representations by local anti-Hebbian learning, Biological Cybernetics 64.
    """
    if n < 1 or size < 1:
        raise ValueError(f"bars: expected n >= 1 and size >= 1, got n={n}, size={size}.")
    there = np.random.default_rng(random_state).random((n, 2 * size)) < 1 / size
    x = there[:, :size, None] | there[:, None, size:]
    return x.reshape(n, -1).astype(np.float32), there


STROKES = """
50,0  20,15  10,50  20,85  50,100  80,85  90,50  80,15  50,0
25,25  55,0  55,100
12,25  30,3  70,3  88,27  75,50  10,100  92,100
12,8  60,0  85,22  70,43  40,48  75,55  90,77  65,100  10,92
70,100  70,0  8,68  95,68
85,0  22,0  17,43  60,38  88,62  80,90  45,100  10,90
75,0  30,30  10,70  30,98  70,98  87,72  65,50  30,53  10,70
8,0  92,0  40,100
50,47  20,25  50,0  80,25  50,47  12,75  50,100  88,75  50,47
87,30  65,50  30,48  13,25  35,2  70,3  87,30  80,70  60,100
"""  # for each digit the corners of its line: x,y in percent of a square, y downwards


def written_digits(
    n: int, size: int = 16, random_state: int | None = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return digits drawn with a pen: x (n, size²) float32 in [0, 1], y (n,) the digits, and hand (n, 4) ~ U[-1, 1),
    the style of each: slant (negative: to the left), width, height, and weight of the line."""
    if n < 1 or size < 8:
        raise ValueError(f"written_digits: expected n >= 1 and size >= 8, got n={n}, size={size}.")
    rng = np.random.default_rng(random_state)
    y = rng.integers(0, 10, n)
    hand = rng.uniform(-1, 1, (n, 4))
    usual = (0.1, 0.62, 0.78, 1.38)
    spread = (0.35, 0.2, 0.12, 0.45)
    slant, width, height, weight = (hand * spread + usual).T
    grid = np.meshgrid(np.arange(size), np.arange(size))
    pixels = np.stack(grid, axis=-1).reshape(-1, 2)
    places = (pixels + 0.5) / size
    strokes = [corners_of(line) for line in STROKES.strip().splitlines()]
    x = np.empty((n, size * size), np.float32)
    for i in range(n):
        across, down = (strokes[y[i]] - 0.5).T
        right = width[i] * across - slant[i] * height[i] * down
        below = height[i] * down
        corners = 0.5 + np.stack([right, below], axis=1)
        distance = distance_to_line(places, corners) * size  # in pixels
        x[i] = np.clip(weight[i] - distance, 0, 1)
    return x, y, hand


def corners_of(line: str) -> np.ndarray:
    """Return the corners (K, 2) of a line of STROKES, in the unit square."""
    percents = [corner.split(",") for corner in line.split()]
    return np.array(percents, dtype=np.float64) / 100


def distance_to_line(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the distance (P,) from each point (P, 2) to the polyline through the corners (K, 2)."""
    starts = corners[:-1, None]
    pieces = np.diff(corners, axis=0)[:, None]
    squared_lengths = (pieces**2).sum(axis=2)
    along = ((points - starts) * pieces).sum(axis=2) / squared_lengths
    inside = np.clip(along, 0, 1)[..., None]
    nearest = starts + inside * pieces
    squared_distances = ((points - nearest) ** 2).sum(axis=2)
    return np.sqrt(squared_distances).min(axis=0)
