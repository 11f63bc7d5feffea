"""The primitives of neighbours and clusters, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array
from nanoae.backend.normalisation import NormalisationOps


def blocks_of_rows(n: int, width: int) -> list[slice]:
    """Split 0 .. n-1 into slices whose rows of `width` numbers fit in the cache."""
    rows = max((1 << 18) // width, 1)
    return [slice(start, start + rows) for start in range(0, n, rows)]


class ClusterOps(NormalisationOps):
    """Distances between rows x (N, D), and sums over clusters."""

    def squared_distances(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """out[n, m] = ‖x[n] - y[m]‖² = ‖x[n]‖² - 2 x[n]·y[m] + ‖y[m]‖², at least 0, of x (N, D) and y (M, D): a GEMM.

        It suffers from cancellation if the norms are large compared with the distances: centre both first.
        """
        xp = self.xp
        out = self.scale_inplace(self.matmul(x, y.T, out=out), -2)
        for rows, axis in ((x, 1), (y, 0)):
            memory = self.scratch(rows[:, 0], "norms")
            norms = self.sum_products_rows(rows, rows, out=memory)
            xp.add(out, xp.expand_dims(norms, axis), out=out)
        return xp.maximum(out, 0, out=out)

    def nearest(self, x: Array, centers: Array, out: Array, distances: Array) -> Array:
        """out[n] = the k with the smallest ‖x[n] - centers[k]‖², the first in a tie; distances[n] = that distance.

        ‖x‖² is constant within a row, so k minimises ‖c‖² - 2 x·c: a GEMM and one pass over its result.
        """
        xp = self.xp
        memory = self.scratch(centers[:, 0], "norms")
        norms = self.sum_products_rows(centers, centers, out=memory)
        self.sum_products_rows(x, x, out=distances)
        for block in blocks_of_rows(len(x), len(centers)):
            rest = self.matmul(x[block], centers.T)
            self.scale_inplace(rest, -2)
            xp.add(rest, norms, out=rest)
            numbers = rest.argmin(axis=1)
            out[block] = numbers
            smallest = xp.take_along_axis(rest, numbers[:, None], axis=1)
            distances[block] += smallest[:, 0]
        xp.maximum(distances, 0, out=distances)
        return out

    def sum_clusters(self, x: Array, labels: Array, out: Array, counts: Array) -> Array:
        """out[k] = Σ of the x[n] with labels[n] = k, counts[k] = their number: a GEMM with the one-hot labels, which
        sums in a fixed order, unlike a GPU's atomic additions."""
        out[...] = 0
        counts[...] = 0
        numbers = self.xp.arange(len(out), dtype=labels.dtype)
        for block in blocks_of_rows(len(x), len(out)):
            one_hot = (labels[block, None] == numbers).astype(x.dtype)
            out += self.matmul(one_hot.T, x[block])
            counts += self.sum_rows(one_hot)
        return out

    def draw_rows(self, weights: Array, u: Array, out: Array) -> Array:
        """out[i] = the first n for which Σ_m<=n weights[m] exceeds u[i] Σ weights: row n is drawn with probability
        ∝ weights[n] for u ~ U[0, 1)."""
        reached = self.xp.cumsum(weights, dtype=u.dtype)
        wanted = u * reached[-1]
        found = self.xp.searchsorted(reached, wanted, side="right")
        return self.xp.minimum(found, len(weights) - 1, out=out)
