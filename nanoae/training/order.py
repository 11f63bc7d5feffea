"""Order: the order in which an epoch visits the rows of a table."""

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
    """Draw `count` row indices by weights (N,), in random order: row n occurs floor or ceil of count w[n] / Σ w times,
    with that mean (systematic resampling, Kitagawa 1996)."""
    ends = np.cumsum(weights) * (count / weights.sum())
    places = np.arange(count) + order.random()
    rows = np.searchsorted(ends, places, side="right")
    # Rounding may leave the last end below the count.
    rows = np.minimum(rows, len(weights) - 1)
    return order.permutation(rows)


def shuffled(
    n: int,
    order: np.random.Generator,
    weights: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> np.ndarray:
    """Return row indices (M,) of a window of n rows, in random order; with weights (N,) of the whole table, M of them
    are `drawn`. numbers (n,): the table's rows in the window, None: all."""
    if weights is None:
        return order.permutation(n)
    own = weights if numbers is None else weights[numbers]
    return drawn(own, order, round(own.sum() / weights.mean()))


def windows(trainer: Trainer, x: Array) -> Iterator[tuple[np.ndarray, Array, np.ndarray | None]]:
    """Yield (order, rows, numbers) for the windows of an epoch: the batches' indices into `rows`, one batch after the
    other, and the indices in x of `rows`, None: all.

    If a file does not fit in memory, `rows` holds only the window's rows that this process computes; no others are
    read. Each batch is then sorted in file order, so that a rank's shard of it is contiguous in the file.
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
    """As `shuffled`, without the rows that are skipped in this epoch."""
    order = shuffled(n, trainer.order, trainer.weights, numbers)
    return order[: len(order) - trainer.too_few(len(order))]


def shares(trainer: Trainer, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each batch of `order` and return (order, own): the rows `own` of this process's shards, and the batches as
    indices into them; the entries for other processes' rows are meaningless."""
    mine = np.zeros(len(order), bool)
    for start in range(0, len(order), trainer.batch_size):
        batch = slice(start, start + trainer.batch_size)
        order[batch].sort()
        mine[batch][trainer.shard(len(order[batch]))] = True
    own, places = np.unique(order[mine], return_inverse=True)
    found = np.zeros_like(order)
    found[mine] = places
    return found, own
