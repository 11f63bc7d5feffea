"""Nearest neighbours among references: exhaustive search if they are few, else in the nearest cells."""

from __future__ import annotations

import numpy as np

from nanoae.backend import get_ops
from nanoae.backend.blas import one_thread, openblas
from nanoae.blocks import blocks
from nanoae.data.kmeans import k_means

HELD = 1 << 18  # distances computed at a time, which fit in the cache
SPARE = 4  # candidates beyond the K nearest, in case float32 rounding swaps the last ones
FEW = 4000  # most references for an exhaustive search
CELLS = 5  # cells searched, of about sqrt(R)


def into_cells(references: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (references (R, K) ordered by cell, starts (C + 1,) of the cells, their centres (C, K))."""
    x = np.ascontiguousarray(references, np.float32)
    n_cells = int(len(x) ** 0.5)
    found = k_means(get_ops("numpy"), x, n_cells, seed=0, max_iter=5)
    order = np.argsort(found.labels, kind="stable")
    cells = np.arange(len(found.centers) + 1)
    starts = np.searchsorted(found.labels[order], cells)
    return references[order], starts, found.centers.astype(np.float64)


@one_thread()
def distances_in_cells(
    codes: np.ndarray, references: np.ndarray, starts: np.ndarray, centers: np.ndarray, k: int
) -> np.ndarray:
    """Return (N, k): the distances of each code to the k nearest references in the CELLS cells around its own."""
    half = (centers * centers).sum(axis=1) / 2
    nearest = [
        np.argmin(half - codes[block] @ centers.T, axis=1)
        for block in blocks(len(codes), HELD // len(centers))
    ]
    cell_of = np.concatenate(nearest)
    near = near_cells(starts, centers, k)
    found = np.empty((len(codes), k))

    def look(cell: int) -> None:
        rows = np.flatnonzero(cell_of == cell)
        found[rows] = distances_to_nearest(codes[rows], references[near[cell]], k)

    from concurrent.futures import ThreadPoolExecutor  # imported here to keep `import nanoae` fast

    blas = openblas()  # parallel cells use the threads that a matrix product would
    with ThreadPoolExecutor(blas.threads if blas else 1) as pool:
        list(pool.map(look, np.unique(cell_of)))
    return found


def near_cells(starts: np.ndarray, centers: np.ndarray, k: int) -> np.ndarray:
    """Return (C, R) bool: the references searched for each cell, at least 4 k, in itself and the nearest cells."""
    between = ((centers[:, None] - centers) ** 2).sum(axis=2)
    order = np.argsort(between, axis=1, kind="stable")
    sizes = np.diff(starts)
    held = sizes[order].cumsum(axis=1)
    enough = 1 + (held < 4 * k).sum(axis=1, keepdims=True)
    place = np.argsort(order, axis=1)
    near = place < np.maximum(CELLS, enough)
    return np.repeat(near, sizes, axis=1)


@one_thread()  # the products are small: on a busy machine, synchronising threads would take far longer
def distances_to_nearest(codes: np.ndarray, references: np.ndarray, k: int) -> np.ndarray:
    """Return (N, k): the distances of codes (N, K) to the k nearest of references (R, K), in ascending order.

    One matrix product in float32 finds slightly more candidates than needed: [c, 1] · [-r, |r|² / 2] = |c - r|² / 2 -
    |c|² / 2.
    """
    half = np.einsum("rk,rk->r", references, references)[:, None] / 2
    coarse = np.hstack([-references, half]).astype(np.float32)
    last = min(k + SPARE, len(references)) - 1
    found = np.empty((len(codes), k))
    for block in blocks(len(codes), max(HELD // len(references), 1)):
        c = codes[block]
        ones = np.ones((len(c), 1))
        values = np.hstack([c, ones]).astype(np.float32) @ coarse.T
        near = np.argpartition(values, last, axis=1)[:, : last + 1]
        difference = references[near] - c[:, None]
        squared = np.einsum("nkd,nkd->nk", difference, difference)
        found[block] = np.sort(np.sqrt(squared), axis=1)[:, :k]
    return found
