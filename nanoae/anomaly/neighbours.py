"""The nearest of many references: all are looked at where they are few, else those in the nearest cells."""

from __future__ import annotations

import numpy as np

from nanoae.backend import get_ops
from nanoae.backend.blas import one_thread, openblas
from nanoae.blocks import blocks
from nanoae.data.kmeans import k_means

HELD = 1 << 18  # distances at a time: they stay in the cache
SPARE = 4  # candidates beyond the K nearest: rounding may mistake the last ones, and one may be the row itself
FEW = 4000  # references that are all looked at
CELLS = 5  # of about sqrt(R) in all, whose references are looked at


def into_cells(references: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(references (R, K) in the order of their cells, starts (C + 1,) of the cells in it, their centres (C, K))."""
    x = np.ascontiguousarray(references, np.float32)
    found = k_means(get_ops("numpy"), x, int(len(x) ** 0.5), seed=0, max_iter=5)
    order = np.argsort(found.labels, kind="stable")
    starts = np.searchsorted(found.labels[order], np.arange(len(found.centers) + 1))
    return references[order], starts, found.centers.astype(np.float64)


@one_thread()
def distances_in_cells(
    codes: np.ndarray, references: np.ndarray, starts: np.ndarray, centers: np.ndarray, k: int
) -> np.ndarray:
    """(N, k): the distances of each code to the k nearest references in the CELLS cells around its own."""
    half = (centers * centers).sum(axis=1) / 2
    nearest = [
        np.argmin(half - codes[block] @ centers.T, axis=1)
        for block in blocks(len(codes), HELD // len(centers))
    ]
    cell_of = np.concatenate(nearest)
    order = np.argsort(cell_of, kind="stable")
    first = np.searchsorted(cell_of[order], np.arange(len(centers) + 1))
    found = np.empty((len(codes), k))
    coarse = lifted(references)
    near = cells_near(starts, centers, k)

    def look(cell: int) -> None:
        rows = order[first[cell] : first[cell + 1]]
        cells = [np.arange(starts[i], starts[i + 1]) for i in near[cell]]
        inside = np.concatenate(cells)
        found[rows] = distances_to_nearest(codes[rows], references[inside], k, coarse[inside])

    from concurrent.futures import ThreadPoolExecutor  # here, for `import nanoae` would pay for it

    blas = openblas()  # cells side by side take the threads that a product would
    threads = blas.threads if blas else 0
    with ThreadPoolExecutor(threads or 1) as pool:
        list(pool.map(look, np.flatnonzero(np.diff(first))))
    return found


def cells_near(starts: np.ndarray, centers: np.ndarray, k: int) -> list[np.ndarray]:
    """Of each cell those that are looked at around it, itself the first: they hold 4 k references or more."""
    between = ((centers[:, None] - centers) ** 2).sum(axis=2)
    sizes = np.diff(starts)
    found = []
    for near in np.argsort(between, axis=1, kind="stable"):
        held = np.cumsum(sizes[near])
        enough = int(np.searchsorted(held, 4 * k)) + 1
        found.append(near[: max(CELLS, enough)])
    return found


@one_thread()  # the products are small: on a busy machine threads wait far longer than they take
def distances_to_nearest(
    codes: np.ndarray, references: np.ndarray, k: int, coarse: np.ndarray | None = None
) -> np.ndarray:
    """(N, k): the distances of codes (N, K) to the k nearest of references (R, K), the smallest first.

    coarse   the references `lifted`, if that is done already
    """
    coarse = lifted(references) if coarse is None else coarse
    found = np.empty((len(codes), k))
    rows = max(HELD // len(references), 1)
    values = np.empty((rows, len(references)), np.float32)
    for block in blocks(len(codes), rows):
        c = codes[block]
        ones = np.ones((len(c), 1))
        c_and_one = np.hstack([c, ones]).astype(np.float32)
        np.matmul(c_and_one, coarse.T, out=values[: len(c)])
        near = smallest(values[: len(c)], min(k + SPARE, len(references)))
        away = references.take(near, axis=0)
        away -= c[:, None]
        squared = np.einsum("nkd,nkd->nk", away, away)
        distances = np.sort(np.sqrt(squared), axis=1)
        found[block] = distances[:, :k]
    return found


def lifted(references: np.ndarray) -> np.ndarray:
    """[-r, |r|² / 2] of references (R, K), float32: [c, 1] · [-r, |r|² / 2] = |c - r|² / 2 - |c|² / 2, so that one
    product of matrices finds the candidates, a few more than are wanted."""
    half = np.einsum("rk,rk->r", references, references)[:, None] / 2
    return np.hstack([-references, half]).astype(np.float32)


def smallest(values: np.ndarray, k: int) -> np.ndarray:
    """The columns (N, k) of the k smallest of each row of values (N, R), in no order.

    They lie in the k strands, every (R // strands)-th column, whose smallest are smallest: most are never sorted. There
    are about √(R / k) strands, so that as many columns are left as strands were looked at.
    """
    n, columns = values.shape
    halvings = int(np.log2(max(columns / k, 1)) / 2)
    strands = 2**halvings
    length = columns // strands
    if length <= k or halvings == 0:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    least = values[:, : length * strands]
    for _ in range(halvings):
        least = np.minimum(*np.split(least, 2, axis=1))
    best = np.argpartition(least, k - 1, axis=1)[:, :k]
    steps = length * np.arange(strands)
    inside = (best[:, :, None] + steps).reshape(n, -1)
    rest = np.arange(length * strands, columns)
    left = np.hstack([inside, np.broadcast_to(rest, (n, len(rest)))])
    values_left = np.take_along_axis(values, left, axis=1)
    chosen = np.argpartition(values_left, k - 1, axis=1)[:, :k]
    return np.take_along_axis(left, chosen, axis=1)
