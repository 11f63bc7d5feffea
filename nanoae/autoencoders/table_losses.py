"""Losses for tables: numeric and categorical columns, missing values, and row weights."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from typing import Any

from nanoae.backend import Array, Ops, Shape
from nanoae.configurable import configurable
from nanoae.engine.losses import Loss, SoftmaxCrossEntropy, get
from nanoae.training import costs


@configurable
class Mixed(Loss):
    """Loss of a table's numeric and categorical columns: scale · Σ_n Σ_columns of

        (y - t)²                            for a number, one element wide
        -Σ_k t_k log softmax(y)_k           for a category with K > 1 values, K elements wide: logits y, and one-hot
                                            or soft targets t

    A "mean" divides by N times the number of columns, so that columns count equally, however many categories they have.

    blocks   widths of the columns in order, such as (1, 1, 4, 3), with sum D
    """

    neutral = (0.0, 0.0)

    blocks: Shape
    reduction: str = "mean"
    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.blocks) or min(self.blocks) < 1:
            raise ValueError(
                f"Mixed: expected blocks, the widths of columns, each >= 1, got {self.blocks}."
            )

    def check_targets(self, y: Array, t: Array) -> None:
        super().check_targets(y, t)
        if y.shape[1:] != (sum(self.blocks),):
            wanted = f"rows of {sum(self.blocks)} numbers, the sum of blocks"
            raise self.mistake(wanted, y.shape)

    def scale(self, shape: Shape) -> float:
        return super().scale((shape[0], len(self.blocks)))

    def groups(self, *arrays: Array) -> Iterator[list[Array]]:
        """Yield views (N, columns, K) of arrays (N, D) for each run of adjacent columns of width K."""
        start = 0
        for width, run in itertools.groupby(self.blocks):
            stop = start + width * len(list(run))
            yield [array[:, start:stop].reshape(len(array), -1, width) for array in arrays]
            start = stop

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        loss = 0.0
        for z, known, dz in self.groups(y, t, out):
            cost = self.ops.mse if z.shape[2] == 1 else self.ops.cross_entropy
            more = cost(z, known, scale, out=dz)
            loss = self.ops.call(operator.add, loss, more)
        return loss

    def elements(self, y: Array, t: Array) -> Array:
        """Return the loss of each column, (N, columns)."""
        return self.costs(self.predict(y, None), t)

    def costs(self, y: Array, t: Array) -> Array:
        """Return the loss of each column, (N, columns), of predicted numbers and probabilities y; NaN where t is."""
        xp = self.ops.xp
        parts = []
        for z, known in self.groups(y, t):
            if z.shape[2] == 1:
                each = (z - known) ** 2
            else:
                each = -(known * xp.log(z.clip(1e-12, None)))
            parts.append(each.sum(axis=2))
        return xp.concatenate(parts, axis=1)

    def predict(self, y: Array, out: Array) -> Array:
        if out is None:
            out = self.ops.empty(y.shape, y.dtype)
        out = self.ops.copy(y, out=out)
        for (block,) in self.groups(out):
            if block.shape[2] > 1:
                self.ops.softmax(block, out=block)
        return out

    def count(self, present: Array) -> Array:
        """Return the number of terms in the sum, a 0-d array; present (N, D) is 1 where the target is known, else 0."""
        count = 0.0
        for (block,) in self.groups(present):
            known = self.ops.sum(block[:, :, 0])
            count = self.ops.call(operator.add, count, known)
        return count


class Wrapping(Loss):
    """Base of losses that wrap another one, `inner`, with its reduction and weight; delegates everything by default."""

    def __init__(self, loss: str | Loss) -> None:
        self.loss = loss
        inner = get(loss)
        super().__init__(inner.reduction, inner.weight)

    def build(self, ops: Ops, dtype: Any) -> Loss:
        self.inner = get(self.loss).build(ops, dtype)
        return super().build(ops, dtype)

    def check_targets(self, y: Array, t: Array) -> None:
        self.inner.check_targets(y, t)

    def scale(self, shape: Shape) -> float:
        return self.inner.scale(shape)

    def elements(self, y: Array, t: Array) -> Array:
        return costs.elements(self.inner, y, t)

    def predict(self, y: Array, out: Array) -> Array:
        return self.inner.predict(y, out)


class Masked(Wrapping):
    """Another loss on the known targets only: where t is NaN, the loss and dy are 0.

    A "mean" divides by the number of known targets; "batch" divides by the number of rows, as usual.

    loss   the wrapped loss: mse, bce, l1, huber or a Mixed; it has the reduction and the weight
    """

    def __init__(self, loss: str | Loss = "mse") -> None:
        if costs.neutral(get(loss)) is None:
            raise ValueError(f"Masked: expected mse, bce, l1, huber or a Mixed loss, got {loss!r}.")
        super().__init__(loss)

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        ops = self.ops
        y0 = self.buffer("y", y.shape)
        t0 = self.buffer("t", y.shape)
        share = self.share(t, y0) if self.reduction == "mean" else None
        neutral = costs.neutral(self.inner) or ()
        for x, number, buffer in zip((y, t), neutral, (y0, t0), strict=True):
            ops.fill_missing(x, t, number, out=buffer)
        if share is None:
            return self.inner.value(y0, t0, scale, out)
        loss = self.inner.value(y0, t0, self.weight, out)
        ops.scale_inplace(out, share)
        return ops.multiply(loss, share)

    def share(self, t: Array, memory: Array) -> Array:
        """Return 1 / the number of known terms in the sum, a 0-d array; finite if there are none, so the loss is 0."""
        count = self.inner.count if isinstance(self.inner, Mixed) else self.ops.sum
        present = self.ops.present(t, out=memory)
        return self.ops.share_of(1.0, count(present))


class Weighted(Wrapping):
    """Another loss with row weights w:  scale · Σ_n w[n] · (loss of row n),  dy[n] = w[n] · the other's dy[n].

    scale is the wrapped loss's factor: if the mean of w is 1, over the rows or over their known targets, its "mean" and
    "batch" are weighted means.

    Targets   [t, w] (N, D + 1): the flattened targets of the wrapped loss, then w >= 0

    loss      the wrapped loss: MSE, BCE, L1, Huber, Mixed, Masked, ...; it has the reduction and the weight
    """

    def __init__(self, loss: str | Loss = "mse") -> None:
        if not weighable(get(loss)):
            raise ValueError(f"Weighted: expected a loss that is a sum over rows, got {loss!r}.")
        super().__init__(loss)

    def check_targets(self, y: Array, t: Array) -> None:
        if t.ndim != 2 or len(t) != len(y):
            wanted = f"targets and weights, (N, D + 1), for {len(y)} outputs"
            raise self.mistake(wanted, t.shape)

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        w = t[:, -1]
        t = self.unpacked(y, t[:, :-1])
        self.inner.check_targets(y, t)
        self.inner.value(y, t, scale, out)
        of_rows = w.reshape(-1, *[1] * (y.ndim - 1))
        self.ops.scale_inplace(out, of_rows)
        return self.ops.call(self.cost, y, t, w, scale)

    def cost(self, y: Array, t: Array, w: Array, scale: float) -> Array:
        inner = self.inner
        elements = costs.elements(inner, y, t)
        factor = scale
        if isinstance(inner, Masked):
            # unknown targets have loss 0
            self.ops.fill_missing(elements, elements, 0.0, out=elements)
            if inner.reduction == "mean":
                factor = inner.weight * inner.share(t, inner.buffer("y", t.shape))
        of_rows = elements.reshape(len(y), -1).sum(axis=1)
        return factor * (w * of_rows).sum()

    def unpacked(self, y: Array, t: Array) -> Array:
        """Return flat targets t (N, D) in the shape (N, ...) of the inner loss."""
        classes = isinstance(self.inner, SoftmaxCrossEntropy)
        shape = y.shape[:-1] if classes else y.shape
        targets = self.buffer("targets", shape, "int64" if classes else None)
        write = self.ops.round_to_integers if classes else self.ops.copy
        write(t, out=targets.reshape(len(y), -1))
        return targets


def weighable(loss: Any) -> bool:
    """Return True if `Weighted` supports the loss: the loss of a row does not depend on other rows."""
    if (
        isinstance(loss, SoftmaxCrossEntropy)
        and loss.ignore is not None
        and loss.reduction == "mean"
    ):
        return False  # its factor depends on the number of targets counted in the whole batch
    return costs.has_elements(loss)
