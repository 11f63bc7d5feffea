"""Computations that need the whole batch, on a rank that holds a shard of it.

Layers and losses compute means over the rank's own rows; for P ranks with n_r rows each, the mean over all N is
Σ_r n_r / N · (rank r's mean). Most of them need nothing else. The exceptions are

    noise              drawn for the whole batch on every rank from the same generator, then cut: as in one process
    batch statistics   BatchNorm's mean and variance, KLSparsity's activation, a Gaussian's free bits, the number of
                       known targets: sums over the ranks within forward and backward
"""

from __future__ import annotations

from typing import Any

from nanoae.backend import Array, Ops
from nanoae.backend.codes import E_LOGVAR_MAX, LOGVAR_MAX
from nanoae.engine.norm import BatchNorm
from nanoae.training.process_group import ProcessGroup


class WholeBatch:
    """Mixin for an Ops class, with noise and means of the whole batch. It precedes the device's class in the MRO;
    `plain` is an instance of that."""

    plain: Ops
    group: ProcessGroup

    def cut(self, draw: Any, generator: Any, *arguments: Any, out: Array) -> Array:
        """Draw for the whole batch and keep this rank's rows: out (n, ...), or k rows for each of the n."""
        shard = self.group.shard
        k = len(out) // (shard.stop - shard.start)
        shape = (shard.rows * k, *out.shape[1:])
        whole = self.plain.memory(shape, out.dtype, "whole batch")
        draw(generator, *arguments, out=whole)
        own = whole[shard.start * k : shard.stop * k]
        return self.plain.copy(own, out=out)

    def normal(self, generator: Any, out: Array) -> Array:
        return self.cut(self.plain.normal, generator, out=out)

    def uniform(self, generator: Any, out: Array) -> Array:
        return self.cut(self.plain.uniform, generator, out=out)

    def keep_mask(self, generator: Any, keep: float, scale: float, out: Array) -> Array:
        return self.cut(self.plain.keep_mask, generator, keep, scale, out=out)

    def share_of(self, part: float, whole: Array) -> Array:
        """part / the number of known targets in the whole batch, divided by this rank's share of the rows."""
        memory = self.plain.empty(1, whole.dtype)
        count = self.plain.copy(whole, out=memory)
        self.group.start_sum(self.plain, count)
        self.group.wait(self.plain)
        count = self.plain.scale_inplace(count, self.group.shard.share)
        return self.plain.share_of(part, count.reshape(()))

    def bernoulli_kl(self, q: Array, target: float, weight: float, out: Array) -> Array:
        return self.plain.bernoulli_kl(
            self.group.mean_inplace(self.plain, q), target, weight, out=out
        )

    def gaussian_kl(self, x: Array, std: Array, beta: float, free: float, out: Array) -> Array:
        if not free:
            return self.plain.gaussian_kl(x, std, beta, 0.0, out=out)
        return self.plain.call(self.gaussian_kl_beyond, x, std, beta, free, out)

    def gaussian_kl_beyond(
        self,
        x: Array,
        std: Array,
        beta: float,
        free: float,
        out: Array,
    ) -> Array:
        """As `gaussian_kl`, with `free` nats per unit, averaged over the batch."""
        self.plain.gaussian_kl(x, std, beta, 0.0, out=out)
        xp = self.plain.xp
        k = std.shape[1]
        mu = x[:, :k]
        logvar = x[:, k:]
        beyond = xp.maximum(logvar - LOGVAR_MAX, 0) * E_LOGVAR_MAX
        kl = 0.5 * (mu * mu + std * std + beyond - logvar - 1)
        units = kl.mean(axis=0)
        self.group.mean_inplace(self.plain, units)
        out[:, :k] *= units > free
        out[:, k:] *= units > free
        return beta * xp.maximum(units, free).sum()


def whole_batch(ops: Ops, group: ProcessGroup) -> Ops:
    """Return a copy of `ops` with noise and means of the whole batch."""
    kind = type(ops)
    result: Ops = object.__new__(type(kind.__name__, (WholeBatch, kind), {}))
    vars(result).update(vars(ops), plain=ops, group=group)
    return result


class SynchronisedBatchNorm(BatchNorm):
    """A BatchNorm with the mean and variance of the whole batch. It shares all attributes of `norm`.

    With M values per feature, m of them on this rank:

    Backward  dx = gamma / sqrt(var + eps) · (dy - (N / n) (Σ_r n_r / N dbeta_r) / M - x̂ ...),  N / n / M = 1 / m
    """

    def __init__(self, norm: BatchNorm, group: ProcessGroup):
        vars(self).update(vars(norm))
        self.group = group

    def center(self, rows: Array, mean: Array, var: Array, out: Array) -> int:
        ops = self.ops
        group = self.group
        m = rows.shape[1]
        ops.matmul(rows, ops.ones(m, self.dtype), out=mean)
        ops.scale_inplace(mean, 1 / m)
        group.mean_inplace(ops, mean)
        shift = ops.multiply(mean, -1.0, out=self.buffer("shift", mean.shape))
        ops.affine_rows(rows, ops.ones(len(rows), self.dtype), shift, out=out)
        ops.sum_products_rows(out, out, out=var)
        ops.scale_inplace(var, 1 / m)
        group.mean_inplace(ops, var)
        n = group.shard.stop - group.shard.start
        return int(m) * group.shard.rows // n

    def backward(self, dy: Array) -> Array | None:
        centered, inv, scale = self.take_cache()
        ops = self.ops
        dy = self.rows(dy, "dy")
        gamma, beta = self.grads.values()
        m = dy.shape[1]
        ops.matmul(dy, ops.ones(m, self.dtype), out=beta)  # dbeta = Σ dy
        ops.sum_products_rows(dy, centered, out=gamma)
        ops.multiply(gamma, inv, out=gamma)  # dgamma = Σ dy x̂
        if not self.need_dx:
            return None
        sums = self.buffer("sums", (2, len(beta)))
        ops.copy(beta, out=sums[0])
        ops.copy(gamma, out=sums[1])
        self.group.mean_inplace(ops, sums)
        ops.scale_inplace(sums, -1 / m)
        slope = ops.multiply(sums[1], inv)
        ops.affine_rows(centered, slope, sums[0], out=centered)
        ops.add_inplace(centered, dy)
        dx = ops.scale_inplace(centered, scale[:, None])
        return self.whole(dx)
