"""Weights: how much each row counts.

What is learned is that of a set in which row n stands w[n] times: a weight of 0 is a row that is not there, and only
the weights' ratios count. How a set with weights is learned from:

    whole weights, of few copies in all               the rows are repeated
    else, where a row counts in the loss alone        a weighted mean of the rows' losses (`Weighted`)
    else, and where they stay in a file (`Rows`)      rows are drawn as often as their weights say (`Trainer.weights`)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nanoae.rows import numbered_blocks

FEW = 256  # rows, which cost nothing to repeat: so small sets are learned as if their copies had been given, to the bit
EXACT = 1 << 20  # copies, up to which the scale of columns is that of the copies themselves
MOST = 1 << 26  # copies, if they have to be made


def weighted_rows(
    sample_weight: Any,
    n: int,
    who: str,
    most: int = 0,
    least: int = 1,
) -> tuple[slice | np.ndarray, np.ndarray | None]:
    """(the numbers of the rows that count, their weights) of n rows: those of weight 0 are left out; copies are named
    as often as they are there, and None is left of the weights. ValueError for what is no weight.

    most    copies that there may be; 0: none
    least   so many rows have to count
    """
    if sample_weight is None:
        return slice(None), None
    try:
        given = np.ma.asarray(sample_weight, np.float64)
        weights = np.ma.filled(given, np.nan)
    except (TypeError, ValueError):
        raise ValueError(
            f"{who}: expected sample_weight, a number for each row, got {sample_weight!r:.60}."
        ) from None
    if weights.shape != (n,):
        raise ValueError(
            f"{who}: expected sample_weight of shape ({n},), a weight for each row, got {weights.shape}."
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{who}: expected sample_weight >= 0 and finite, got {weights[row]} in row {row}."
        )
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"{who}: expected sample_weight whose sum is a number, got weights up to {weights.max():g}."
        )
    rows = np.flatnonzero(weights)
    weights = weights[rows]
    if len(rows) < min(least, n):
        raise ValueError(
            f"{who}: expected sample_weight above zero for {least} rows or more, got {len(rows)}."
        )
    if (weights == np.floor(weights)).all() and total <= most:
        return rows.repeat(weights.astype(int)), None
    return rows, weights


def copies(sample_weight: Any, n: int, who: str) -> slice | np.ndarray:
    """The numbers of n rows, each as often as its weight says: for what counts rows. ValueError if one is not whole."""
    rows, weights = weighted_rows(sample_weight, n, who, MOST, least=2)
    if weights is None:
        return rows
    parts = weights[weights != np.floor(weights)]
    if len(parts):
        raise ValueError(
            f"{who}: expected sample_weight of whole numbers, each how often a row counts, got {parts[0]}."
        )
    raise ValueError(
        f"{who}: expected sample_weight of {MOST} copies at most in all, got {weights.sum():.3g}."
    )


def drawn(weights: np.ndarray) -> np.ndarray:
    """The numbers of rows, each as often as its weight says: of whole weights to the letter, of others nearly."""
    n = len(weights)
    total = weights.sum()
    if (weights == np.floor(weights)).all() and total <= EXACT:
        return np.arange(n).repeat(weights.astype(int))
    m = max(10 * n, EXACT // 100)
    places = (np.arange(m) + 0.5) * (total / m)
    ends = np.cumsum(weights)
    return np.minimum(np.searchsorted(ends, places), n - 1)  # type: ignore[no-any-return]


def weighed_blocks(X: np.ndarray, weights: np.ndarray | None) -> Iterator[tuple[np.ndarray, Any]]:
    """All rows X (N, ...) a block at a time, each with its rows' weights, to be multiplied by it, or with 1."""
    ones = [1] * (X.ndim - 1)
    for rows, block in numbered_blocks(X):
        yield block, 1.0 if weights is None else weights[rows].reshape(-1, *ones)


def content_order(*tables: np.ndarray) -> slice | np.ndarray:
    """The order to take the rows of tables (N, ...) in: as they come; of FEW rows, some of which are there twice, one
    that follows from what is in them. So it does not matter, not by a bit, how copies were given."""
    n = len(tables[0])
    if n > FEW:
        return slice(None)
    flat = [np.ascontiguousarray(table).reshape(n, -1) for table in tables]
    cells = np.hstack([rows.view(np.uint8) for rows in flat])
    row = np.dtype((np.void, cells.shape[1]))
    rows = cells.view(row).ravel()
    order = rows.argsort(kind="stable")
    ordered = rows[order]
    twice = (ordered[1:] == ordered[:-1]).any()
    return order if twice else slice(None)
