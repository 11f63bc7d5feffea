"""Choices: how a text decoder selects the next token from the scores of all tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Choice = Callable[[np.ndarray], np.ndarray]  # scores (N, V) -> token indices (N,)


def greedy(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(axis=1)  # type: ignore[no-any-return]


def sampler(temperature: float, rng: np.random.Generator) -> Choice:
    """Sample from softmax(scores / temperature): argmax of scores / temperature + Gumbel noise (Gumbel 1954)."""

    def draw(scores: np.ndarray) -> np.ndarray:
        better = (scores - scores.max(axis=1, keepdims=True)) / max(temperature, 1e-9)
        return greedy(better + (rng.gumbel(size=scores.shape) if temperature else 0))

    return draw
