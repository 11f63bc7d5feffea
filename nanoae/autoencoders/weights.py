"""Weights: sample weights of rows.

Training with weights w is equivalent to repeating row n w[n] times: a weight of 0 removes the row, and only the ratios
of the weights matter. Three methods implement it:

    integer weights with a small sum                  rows are repeated
    else, if a row affects only its own loss          a weighted mean of the rows' losses (`Weighted`)
    else, and for rows in a file (`Rows`)             rows are drawn in proportion to their weights (`Trainer.weights`)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nanoae.rows import numbered_blocks

FEW = 256  # maximum number of repeated rows: small weighted sets give bit-identical results to their copies
EXACT = 1 << 20  # maximum number of copies for which column scales are computed exactly
MOST = 1 << 26  # maximum number of copies where they must be made


def weighted_rows(
    sample_weight: Any, n: int, who: str, most: int = 0, least: int = 1
) -> tuple[slice | np.ndarray, np.ndarray | None]:
    """Return (indices of the rows with positive weight, their weights). If at most `most` copies represent integer
    weights, the indices are repeated and the weights are None. ValueError for invalid weights.

    most    maximum number of copies; 0: never repeat rows
    least   minimum number of rows with positive weight
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
            f"{who}: expected sample_weight with a finite sum, got weights up to {weights.max():g}."
        )
    rows = np.flatnonzero(weights)
    weights = weights[rows]
    if len(rows) < min(least, n):
        raise ValueError(
            f"{who}: expected sample_weight above zero for at least {least} rows, got {len(rows)}."
        )
    if (weights == np.floor(weights)).all() and total <= most:
        return rows.repeat(weights.astype(int)), None
    return rows, weights


def copies(sample_weight: Any, n: int, who: str) -> slice | np.ndarray:
    """Return the indices of n rows, each repeated by its integer weight; ValueError if a weight is not an integer."""
    rows, weights = weighted_rows(sample_weight, n, who, MOST, least=2)
    if weights is None:
        return rows
    parts = weights[weights != np.floor(weights)]
    if len(parts):
        raise ValueError(
            f"{who}: expected sample_weight of whole numbers, the number of copies of each row, got {parts[0]}."
        )
    raise ValueError(
        f"{who}: expected sample_weight with a sum of at most {MOST}, got {weights.sum():.3g}."
    )


def drawn(weights: np.ndarray) -> np.ndarray:
    """Return row indices, repeated in proportion to their weights: exactly for integer weights, else approximately."""
    n = len(weights)
    total = weights.sum()
    if (weights == np.floor(weights)).all() and total <= EXACT:
        return np.arange(n).repeat(weights.astype(int))
    m = max(10 * n, EXACT // 100)
    places = (np.arange(m) + 0.5) * (total / m)
    ends = np.cumsum(weights)
    return np.minimum(np.searchsorted(ends, places), n - 1)  # type: ignore[no-any-return]


def weighed_blocks(X: np.ndarray, weights: np.ndarray | None) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield (block, weights) for blocks of rows of X (N, ...); weights broadcasts against the block, or is 1."""
    ones = [1] * (X.ndim - 1)
    for rows, block in numbered_blocks(X):
        yield block, 1.0 if weights is None else weights[rows].reshape(-1, *ones)


def content_order(*tables: np.ndarray) -> slice | np.ndarray:
    """Return the order in which to use the rows of tables (N, ...): unchanged, but sorted by content for at most FEW
    rows with duplicates. Results then do not depend on how copies were given, not even in the last bit."""
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
