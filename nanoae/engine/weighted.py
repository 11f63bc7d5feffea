"""Weighted: a loss of rows that count more or less."""

from __future__ import annotations

from typing import Any

from nanoae.backend import Array, ThreadLocal
from nanoae.engine.losses import Loss, Masked, SoftmaxCrossEntropy, get


class Weighted(Loss):
    """Another loss, in which row n counts w[n] times:  Σ_n w[n] · (what row n costs),  dy[n] = w[n] · its dy.

    The factor before the sum is the other's: with weights whose mean is 1, over the rows or over what is known of them,
    its "mean" and "batch" are weighted means.

    Targets   [t, w] (N, D + 1): those of the other loss, laid flat, and w >= 0 beside them

    loss      the other: MSE, BCE, L1, Huber, Mixed, Masked, ...; it has the reduction and the weight
    """

    free = None
    targets = ThreadLocal()

    def __init__(self, loss: str | Loss = "mse"):
        self.loss = loss
        inner = get(loss)
        if not weighable(inner):
            raise ValueError(f"Weighted: expected a loss that tells what each row costs by itself, got {loss!r}.")
        super().__init__(inner.reduction, inner.weight)
        self.by_row = inner.by_row

    def build(self, ops, dtype):
        self.inner = get(self.loss).build(ops, dtype)
        return super().build(ops, dtype)

    def check_targets(self, y, t):
        if t.ndim != 2 or len(t) != len(y):
            raise ValueError(f"{self}: expected targets and weights, (N, D + 1), for {len(y)} outputs, got {t.shape}.")

    def scale(self, shape):
        return self.inner.scale(shape)

    def value(self, y, t, scale, out):
        t, w = self.unpacked(y, t[:, :-1]), t[:, -1]
        self.inner.check_targets(y, t)
        self.inner.value(y, t, scale, out)
        self.ops.scale_inplace(out, w.reshape(-1, *[1] * (y.ndim - 1)))
        return self.ops.call(self.cost, y, t, w)

    def cost(self, y: Array, t: Array, w: Array) -> Array:
        costs = self.inner.elements(y, t)
        if isinstance(self.inner, Masked):
            self.ops.fill_missing(costs, costs, 0.0, out=costs)  # what is not known costs nothing
        costs = costs.reshape(len(y), -1).sum(axis=1)
        return self.inner.factor(y, t) * (w * costs).sum()

    def unpacked(self, y: Array, t: Array) -> Array:
        """The inner loss's targets (N, ...) of t (N, D)."""
        classes = isinstance(self.inner, SoftmaxCrossEntropy)
        shape, dtype = (y.shape[:-1], "int64") if classes else (y.shape, self.dtype)
        targets = self.targets
        if targets is None or len(targets) < len(y) or targets.shape[1:] != shape[1:]:
            targets = self.targets = self.ops.empty(shape, dtype)
        targets = targets[: len(y)]
        rows = targets.reshape(len(y), -1)
        if classes:
            self.ops.round_words(t, out=rows)
        else:
            self.ops.copy(t, out=rows)
        return targets

    def output(self, y, out):
        return self.inner.output(y, out)


def weighable(loss: Any) -> bool:
    """Whether `Weighted` can have it: it tells what a row costs, whichever stand beside it."""
    told = type(loss).elements is not Loss.elements
    return told and (loss.by_row or isinstance(loss, Masked))
