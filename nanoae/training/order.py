"""Order: in which an epoch goes through the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nanoae.backend import Array
from nanoae.blocks import ahead
from nanoae.rows import Rows

if TYPE_CHECKING:
    from nanoae.training.loop import Trainer


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


def windows(trainer: Trainer, x: Array) -> Iterator[tuple[np.ndarray, Array, np.ndarray | None]]:
    """(order, rows, numbers) of what an epoch goes through in turn: where in `rows` those of one batch after the other
    are, and which rows of x `rows` has, None: all.

    Of a file that does not fit in memory `rows` are those of a window that this process computes, and no others are
    read. A batch is in the window's order there, so that a rank's share of it lies together in the file.
    """
    file = getattr(x, "host", None)
    if not isinstance(file, Rows) or file.fits:
        yield one_pass(trainer, len(x)), x.whole() if isinstance(file, Rows) else x, None
        return

    def read() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for numbers, rows in file.windows(trainer.order, trainer.batch_size):
            order, own = shares(trainer, one_pass(trainer, len(rows), numbers))
            yield order, np.asarray(rows[own]), numbers[own]

    for order, rows, numbers in ahead(read()):
        yield order, x.ops.dataset(rows), numbers


def one_pass(trainer: Trainer, n: int, numbers: np.ndarray | None = None) -> np.ndarray:
    """`shuffled`, without the rows that sit the epoch out."""
    order = shuffled(n, trainer.order, trainer.weights, numbers)
    return order[: len(order) - trainer.too_few(len(order))]


def shares(trainer: Trainer, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, own) of this process's shares of the batches in `order`, each batch sorted: the rows `own`, and where
    among them those shares are; what `order` says of other processes' rows is nothing."""
    mine = np.zeros(len(order), bool)
    for start in range(0, len(order), trainer.batch_size):
        batch = slice(start, start + trainer.batch_size)
        order[batch].sort()
        mine[batch][trainer.shard(len(order[batch]))] = True
    own, places = np.unique(order[mine], return_inverse=True)
    found = np.zeros_like(order)
    found[mine] = places
    return found, own
