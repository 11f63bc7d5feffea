"""The nearest of many references: all are looked at where they are few, else those in the nearest cells."""

from __future__ import annotations

import numpy as np

from nanoae.backend import get_ops
from nanoae.blocks import blocks
from nanoae.data.kmeans import k_means

BLOCK_ROWS = (
    256  # rows whose distances to all references are held at a time: they stay in the cache
)
SPARE = 4  # candidates beyond the K nearest: rounding may mistake the last ones, and one may be the row itself
STRANDS = (
    16  # a power of two: of a block's distances, of which only the smallest is looked at first
)
FEW = 4000  # references that are all looked at
CELLS = 5  # of about sqrt(R) in all, whose references are looked at


def into_cells(references: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(references (R, K) in the order of their cells, starts (C + 1,) of the cells in it, their centres (C, K))."""
    x = np.ascontiguousarray(references, np.float32)
    found = k_means(get_ops("numpy"), x, int(len(x) ** 0.5), seed=0, max_iter=5)
    order = np.argsort(found.labels, kind="stable")
    starts = np.searchsorted(found.labels[order], np.arange(len(found.centers) + 1))
    return references[order], starts, found.centers.astype(np.float64)


def distances_in_cells(
    codes: np.ndarray, references: np.ndarray, starts: np.ndarray, centers: np.ndarray, k: int
) -> np.ndarray:
    """(N, k): the distances of each code to the k nearest references in the CELLS cells around its own."""
    half = (centers * centers).sum(axis=1) / 2
    nearest = [
        np.argmin(half - codes[block] @ centers.T, axis=1)
        for block in blocks(len(codes), BLOCK_ROWS)
    ]
    cell = np.concatenate(nearest)
    near = cells_near(starts, centers, k)
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], np.arange(len(centers) + 1))
    found = np.empty((len(codes), k))
    for c in range(len(centers)):
        rows = order[first[c] : first[c + 1]]
        if len(rows):
            inside = np.concatenate([references[starts[i] : starts[i + 1]] for i in near[c]])
            found[rows] = distances_to_nearest(codes[rows], inside, k)
    return found


def cells_near(starts: np.ndarray, centers: np.ndarray, k: int) -> list[np.ndarray]:
    """Of each cell those that are looked at around it, itself the first: they hold 4 k references or more."""
    between = ((centers[:, None] - centers) ** 2).sum(axis=2)
    found = []
    for near in np.argsort(between, axis=1, kind="stable"):
        enough = int(np.searchsorted(np.cumsum(np.diff(starts)[near]), 4 * k)) + 1
        found.append(near[: max(CELLS, enough)])
    return found


def distances_to_nearest(codes: np.ndarray, references: np.ndarray, k: int) -> np.ndarray:
    """(N, k): the distances of codes (N, K) to the k nearest of references (R, K), the smallest first."""
    found, r = np.empty((len(codes), k)), references
    coarse = np.hstack([-r, (r * r).sum(axis=1, keepdims=True) / 2]).astype(np.float32).T
    values = np.empty(
        (BLOCK_ROWS, len(r)), np.float32
    )  # to find the candidates, a few more than are wanted
    for block in blocks(len(codes), BLOCK_ROWS):
        c = codes[block]
        c1 = np.hstack([c, np.ones((len(c), 1))]).astype(np.float32)
        np.matmul(
            c1, coarse, out=values[: len(c)]
        )  # [c, 1] · [-r, |r|² / 2] = |c - r|² / 2 - |c|² / 2
        near = smallest(values[: len(c)], min(k + SPARE, len(r)))
        distance = np.sqrt(((r[near] - c[:, None]) ** 2).sum(axis=2, dtype=np.float64))
        found[block] = np.sort(distance, axis=1)[:, :k]
    return found


def smallest(values: np.ndarray, k: int) -> np.ndarray:
    """The columns (N, k) of the k smallest of each row of values (N, R), in no order.

    They lie in the k strands, every (R // 16)-th column, whose smallest are smallest: most are never sorted.
    """
    n, length = len(values), values.shape[1] // STRANDS
    if length <= k:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    strands = values[:, : length * STRANDS]
    while strands.shape[1] > length:
        strands = np.minimum(*np.split(strands, 2, axis=1))
    best = np.argpartition(strands, k - 1, axis=1)[:, :k]
    columns = (best[:, :, None] + length * np.arange(STRANDS)).reshape(n, -1)
    rest = np.broadcast_to(
        np.arange(length * STRANDS, values.shape[1]), (n, values.shape[1] - length * STRANDS)
    )
    columns = np.concatenate([columns, rest], axis=1)
    chosen = np.argpartition(np.take_along_axis(values, columns, axis=1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(columns, chosen, axis=1)
