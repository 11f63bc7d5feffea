"""Order: in which an epoch goes through the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nanoae.backend import Array
from nanoae.rows import Rows


def drawn(weights: np.ndarray, order: np.random.Generator, count: int) -> np.ndarray:
    """So many row numbers, by weights (N,), in random order: row n floor or ceil of count w[n] / Σ w times,
    and so often on average (systematic resampling, Kitagawa 1996)."""
    ends = np.cumsum(weights) * (count / weights.sum())
    places = np.arange(count) + order.random()
    rows = np.searchsorted(ends, places, side="right")
    # Rounding may have left the last end below the count.
    rows = np.minimum(rows, len(weights) - 1)
    return order.permutation(rows)


def shuffled(
    n: int,
    order: np.random.Generator,
    weights: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> np.ndarray:
    """The row numbers (M,) of a window of n rows, in random order; with weights (N,) of the whole table M of them are
    `drawn`. numbers (n,): which rows of the table these are, None: all."""
    if weights is None:
        return order.permutation(n)
    own = weights if numbers is None else weights[numbers]
    return drawn(own, order, round(own.sum() / weights.mean()))


def windows(
    x: Array, order: np.random.Generator, batch_size: int
) -> Iterator[tuple[np.ndarray | None, Array]]:
    """(numbers, rows) of what an epoch goes through in turn: (None, x), or of what stays in a file its windows."""
    if isinstance(getattr(x, "host", None), Rows):
        yield from x.windows(order, batch_size)
    else:
        yield None, x
