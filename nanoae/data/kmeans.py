"""k-means: k centres that minimise the sum of squared distances from each row to its nearest centre.

Lloyd's algorithm (1982) with the greedy k-means++ initialisation (Arthur & Vassilvitskii 2007).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nanoae.backend import Array, Ops

START_ROWS = 20  # rows per centre used by k-means++: more take longer and change little


class Clusters(NamedTuple):
    """centers (K, D), labels (N,) in 0 .. K-1 and squared distances (N,) on the device; inertia: Σ distances."""

    centers: Array
    labels: Array
    distances: Array
    inertia: float
    passes: int

    def middles(self, ops: Ops) -> tuple[np.ndarray, np.ndarray]:
        """Return (non-empty clusters, the row of each nearest to its centre) on the host."""
        labels = ops.to_numpy(self.labels)
        distances = ops.to_numpy(self.distances)
        order = np.lexsort((distances, labels))  # by cluster, then by distance from its centre
        found, first = np.unique(labels[order], return_index=True)
        return found, order[first]


def k_means(
    ops: Ops, x: Array, k: int, seed=None, max_iter: int = 100, start: Array | None = None
) -> Clusters:
    """Cluster x (N, D) float on the device of `ops`. Deterministic for a given seed.

    k          number of clusters, 1 .. N
    max_iter   most passes; iteration stops when no row changes its cluster
    start      initial centres (k, D), instead of k-means++
    """
    if not 1 <= k <= len(x):
        raise ValueError(f"k_means: expected 1 <= k <= {len(x)}, the number of rows, got k = {k}.")
    shift = ops.scale_inplace(ops.sum_rows(x), 1 / len(x))
    x = x - shift  # small norms reduce the cancellation in ‖x‖² + ‖c‖² - 2 x·c
    if start is None:
        centers = plus_plus(ops, x, k, np.random.default_rng(seed))
    else:
        centers = start - shift
    labels = ops.empty(len(x), np.int64)
    distances = ops.empty(len(x), x.dtype)
    ops.nearest(x, centers, out=labels, distances=distances)
    passes = 0
    while passes < max_iter:
        passes += 1
        move(ops, x, centers, labels, distances)
        before = labels.copy()
        ops.nearest(x, centers, out=labels, distances=distances)
        if bool((labels == before).all()):
            break
    return Clusters(centers + shift, labels, distances, float(ops.sum(distances)), passes)


def plus_plus(ops: Ops, x: Array, k: int, random: np.random.Generator) -> Array:
    """Choose k rows of x far from one another: each is drawn with probability ∝ its squared distance to the nearest one
    chosen so far; of 2 + log k candidates the one with the least Σ distances is kept. START_ROWS k random rows suffice.
    """
    if len(x) > START_ROWS * k:
        some = random.choice(len(x), START_ROWS * k, replace=False)
        x = x[ops.to_device(some)]
    centers = ops.empty((k, x.shape[1]), x.dtype)
    first = int(random.integers(len(x)))
    ops.copy(x[first], out=centers[0])
    room = ops.empty((1, len(x)), x.dtype)
    distances = ops.squared_distances(centers[:1], x, out=room)[0]
    tries = 2 + int(math.log(k))
    rows = ops.empty(tries, np.int64)
    drawn = ops.empty((tries, x.shape[1]), x.dtype)
    each = ops.empty((tries, len(x)), x.dtype)
    total = ops.empty(tries, x.dtype)
    for i in range(1, k):
        ops.draw_rows(distances, ops.to_device(random.random(tries)), out=rows)
        ops.squared_distances(ops.take_rows(x, rows, out=drawn), x, out=each)
        ops.minimum(each, distances, out=each)
        ops.matmul(each, ops.ones(len(x), x.dtype), out=total)
        best = int(total.argmin())
        ops.copy(drawn[best], out=centers[i])
        ops.copy(each[best], out=distances)
    return centers


def move(ops: Ops, x: Array, centers: Array, labels: Array, distances: Array) -> None:
    """Move each centre to the mean of its rows, and that of an empty cluster to a row farthest from its own centre."""
    sums = ops.zeros(centers.shape, x.dtype)
    counts = ops.zeros(len(centers), x.dtype)
    ops.sum_clusters(x, labels, out=sums, counts=counts)
    ops.copy(sums / counts.clip(1, None)[:, None], out=centers)
    empty = np.flatnonzero(ops.to_numpy(counts) == 0)
    if len(empty):
        far = ops.to_numpy(distances)
        for center, row in zip(empty, np.argsort(-far, kind="stable"), strict=False):
            if far[row] > 0:
                ops.copy(x[row], out=centers[center])
