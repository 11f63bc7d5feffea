"""Losses: the value, and its gradient dy = dLoss/dy, computed in the same pass.

`reduction` states the factor exactly. With N rows of D features:
    "mean"   1 / (N D)    mean over all elements
    "batch"  1 / N        summed over features, averaged over rows
    "sum"    1            summed over everything
`weight` multiplies it: MSE(reduction="sum", weight=0.5) is Σ (y - t)² / 2.

`forward` returns a 0-d array of the device. Reading it makes the CPU wait for the GPU: do so once an epoch, not a step.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanoae.backend import Array, Buffered, Ops, ThreadLocal, ThreadState
from nanoae.engine.part import Part
from nanoae.spelling import one_of

REDUCTIONS = ("mean", "batch", "sum")


class Loss(Buffered, Part):
    """The base. A subclass gives `value`: the loss, with its gradient written to `out`."""

    ops: Ops
    free: Any = (0.0, 0.0)  # an output and a target that cost nothing; None: there are none
    by_row = True  # a batch's loss is the mean, or the sum, of its rows'
    dy = ThreadLocal()  # of the last forward

    def __init__(self, reduction: str = "mean", weight: float = 1.0):
        self.reduction, self.weight = one_of(f"{type(self).__name__}: reduction", reduction, REDUCTIONS), weight

    def build(self, ops: Ops, dtype) -> Loss:
        self.thread = ThreadState()
        self.ops, self.dtype = ops, dtype
        return self

    def scale(self, shape: tuple[int, ...]) -> float:
        """The factor before the sum, for outputs of this shape."""
        if self.reduction == "sum":
            return self.weight
        return self.weight / (math.prod(shape) if self.reduction == "mean" else shape[0])

    def factor(self, y: Array, t: Array) -> Any:
        """The factor before the sum for these targets, a number or a 0-d array."""
        return self.scale(y.shape)

    def forward(self, y: Array, t: Array) -> Array:
        """The loss of outputs y (N, ...) against targets t of the same shape, a 0-d array."""
        self.check_targets(y, t)
        self.dy = dy = self.buffer("dy", y.shape)
        return self.value(y, t, self.scale(y.shape), dy)

    def buffer(self, name: str, shape: tuple[int, ...]) -> Array:
        """Memory of this loss, reused at each call; a smaller batch gets its leading rows."""
        buffers = self.thread.buffers
        kept = buffers.get(name)
        if kept is None or len(kept) < shape[0] or kept.shape[1:] != shape[1:]:
            kept = buffers[name] = self.ops.empty(shape, self.dtype)
        return kept[: shape[0]]

    def backward(self) -> Array:
        """dLoss/dy of the last forward, (N, ...): the loss's own buffer."""
        dy = self.dy
        if dy is None:
            raise RuntimeError(f"{self}: expected forward(y, t) before backward.")
        return dy

    def check_targets(self, y: Array, t: Array) -> None:
        if y.shape != t.shape:
            raise ValueError(f"{self}: expected targets of the outputs' shape {y.shape}, got {t.shape}.")

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """The loss; its gradient goes to `out`."""
        raise NotImplementedError

    def per_row(self, y: Array, t: Array) -> Array:
        """weight · the loss of each row, summed over its features, (N,): for looking at, not for training."""
        return self.weight * self.elements(y, t).reshape(len(y), -1).sum(axis=1)

    def elements(self, y: Array, t: Array) -> Array:
        """The loss of each element, before the factor and the sum."""
        raise NotImplementedError

    def output(self, y: Array, out: Array) -> Array:
        """What a network trained on this loss means by y: y itself, or the sigmoid of a logit."""
        return y

    def reach(self, low: float, high: float) -> tuple[Any, Any]:
        """What `output` makes of the ends, if all y lie in [low, high]: numbers, or arrays of one for each feature."""
        return low, high

    def sample(self, y: Array, generator: Any) -> Array:
        """Targets drawn from p(t | y), where the loss of an element, without weight, is -log p but for a constant."""
        raise NotImplementedError

    def terms(self, present: Array) -> Array:
        """How many terms of the sum there are, a 0-d array; present (N, ...) is 1 where the target is known, else 0."""
        return self.ops.sum(present)


def share_of(part: float, whole: Array) -> Array:
    """part / whole; of nothing at all, something finite: 0 of 0 costs nothing."""
    return part / (whole + 1e-30)


class MSE(Loss):
    """scale · Σ (y - t)²,  dy = 2 scale (y - t)."""

    variance = 0.5  # (y - t)² is -log N(t; y, 1/2), but for a constant

    def value(self, y, t, scale, out):
        return self.ops.mse(y, t, scale, out=out)

    def sample(self, y, generator):
        noise = self.ops.normal(generator, self.ops.empty(y.shape, self.dtype))
        return self.ops.axpby_inplace(noise, 1.0, y, math.sqrt(self.variance))  # N(y, variance)

    def elements(self, y, t):
        return (y - t) ** 2


class GaussianNLL(MSE):
    """-log N(t; y, variance) in nats:  scale · Σ (y - t)² / (2 variance) + log(2π variance) / 2,
    dy = scale (y - t) / variance.

    The variance is fixed, one for all elements: how far off a reconstruction is expected to be, squared.
    """

    def __init__(self, variance: float = 1.0, reduction: str = "batch", weight: float = 1.0):
        super().__init__(reduction, weight)
        if not variance > 0:
            raise ValueError(f"GaussianNLL: expected variance > 0, got {variance}.")
        self.variance = variance

    free = None

    @property
    def constant(self) -> float:
        return math.log(2 * math.pi * self.variance) / 2

    def value(self, y, t, scale, out):
        loss = super().value(y, t, scale / (2 * self.variance), out)
        return self.ops.call(operator.add, loss, scale * math.prod(y.shape) * self.constant)

    def elements(self, y, t):
        return super().elements(y, t) / (2 * self.variance) + self.constant


class BCE(Loss):
    """Binary cross-entropy of logits z against t in [0, 1]: scale · Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t).

    The same as -t log y - (1 - t) log(1 - y) with y = sigmoid(z), and finite for every finite z. So a network that
    trains on it ends in the logit; `output` gives y.
    """

    free = (50.0, 1.0)

    def value(self, y, t, scale, out):
        return self.ops.bce(y, t, scale, out=out)

    def elements(self, y, t):
        return self.ops.softplus(y) - t * y

    def sample(self, z, generator):
        u = self.ops.uniform(generator, self.ops.empty(z.shape, self.dtype))
        return self.ops.xp.less(u, self.ops.sigmoid(z), out=u)  # 1 with probability sigmoid(z), else 0

    def output(self, y, out):
        return self.ops.sigmoid(y, out=out)

    def reach(self, low, high):
        return (1 + math.tanh(low / 2)) / 2, (1 + math.tanh(high / 2)) / 2  # the sigmoid of each


class L1(Loss):
    """scale · Σ |y - t|,  dy = scale · sign(y - t), 0 at 0."""

    def value(self, y, t, scale, out):
        return self.ops.l1(y, t, scale, out=out)

    def elements(self, y, t):
        return abs(y - t)


class Huber(Loss):
    """scale · Σ h(y - t), h(r) = r² / 2 for |r| <= delta, else delta (|r| - delta / 2). Huber 1964.

    dy = scale · clip(y - t, -delta, delta).
    """

    def __init__(self, delta: float = 1.0, reduction: str = "mean", weight: float = 1.0):
        super().__init__(reduction, weight)
        if delta <= 0:
            raise ValueError(f"Huber: expected delta > 0, got {delta}.")
        self.delta = delta

    def value(self, y, t, scale, out):
        return self.ops.huber(y, t, self.delta, scale, out=out)

    def elements(self, y, t):
        r = abs(y - t)
        inside = r.clip(max=self.delta)  # h(r) = c r - c² / 2 with c = min(|r|, delta)
        return inside * (r - inside / 2)


class SoftmaxCrossEntropy(Loss):
    """-scale · Σ_n log softmax(z[n])[t[n]] of logits z (N, K) and class numbers t (N,).

    dz[n, k] = scale (softmax(z[n])[k] - [k = t[n]]).

    Logits (N, T, K) and t (N, T) are N sequences: a "mean" is over all N T targets, "batch" sums over the steps.

    ignore   None, or a class whose targets count for nothing, as the padding of sequences: neither in the sum nor in
             the number that a mean divides by

    ValueError for a t that is no class; on a GPU, which the host does not wait for, the loss is NaN.
    """

    def __init__(self, reduction: str = "mean", weight: float = 1.0, ignore: int | None = None):
        super().__init__(reduction, weight)
        self.ignore = ignore
        self.by_row = ignore is None or reduction != "mean"

    free = None

    def check_targets(self, y, t):
        if y.ndim < 2 or t.shape != y.shape[:-1] or t.dtype.kind not in "iu":
            raise ValueError(
                f"{self}: expected logits (N, K) and class numbers (N,), whole, got {y.shape} and {t.dtype} {t.shape}."
            )
        self.ops.check_numbers(t, y.shape[-1], f"{self}: expected classes")  # -1 would be the last one

    def scale(self, shape):
        return super().scale(shape[:-1])

    def value(self, y, t, scale, out):
        y, t, out = y.reshape(-1, y.shape[-1]), t.reshape(-1), out.reshape(-1, y.shape[-1])
        counts = None
        if self.ignore is not None:
            counts = self.ops.not_equal(t, self.ignore, out=self.ops.empty(len(t), self.dtype))
            if self.reduction == "mean":  # scale is weight / (N T); of those, Σ counts count, or none at all
                share = self.ops.call(share_of, len(t), self.ops.sum(counts))
                self.ops.scale_inplace(counts, share)
        return self.ops.softmax_cross_entropy(y, t, scale, out=out, weights=counts)

    def elements(self, y, t):
        right = self.ops.take_steps(y.reshape(t.size, -1, 1), t.reshape(-1), out=self.ops.empty((t.size, 1), y.dtype))
        nats = self.ops.log_sum_exp(y) - right.reshape(t.shape)
        return nats if self.ignore is None else nats * (t != self.ignore)

    def output(self, y, out):
        return self.ops.softmax(y, out=out)


class Mixed(Loss):
    """Of the columns of a table, numbers and categories: scale · Σ_n Σ_columns of

        (y - t)²                            a number; one place wide
        -Σ_k t_k log softmax(y)_k           a category of K, K > 1 places wide: logits y against one-hot t, or shares

    A "mean" divides by N times the number of columns, so that each counts the same, however many categories it has.

    blocks   the widths of the columns in their order, as (1, 1, 4, 3): they add up to D
    """

    def __init__(self, blocks: tuple[int, ...], reduction: str = "mean", weight: float = 1.0):
        super().__init__(reduction, weight)
        if not len(blocks) or min(blocks) < 1:
            raise ValueError(f"Mixed: expected blocks, the widths of columns, each >= 1, got {blocks}.")
        self.blocks = blocks

    def check_targets(self, y, t):
        super().check_targets(y, t)
        if y.shape[1:] != (sum(self.blocks),):
            raise ValueError(f"Mixed: expected rows of {sum(self.blocks)} numbers, the sum of blocks, got {y.shape}.")

    def scale(self, shape):
        return super().scale((shape[0], len(self.blocks)))

    def groups(self, *arrays: Array) -> Iterator[list[Array]]:
        """Views (N, columns, K) of arrays (N, D), for each run of neighbouring columns that are K wide."""
        start = 0
        for width, run in itertools.groupby(self.blocks):
            stop = start + width * len(list(run))
            yield [array[:, start:stop].reshape(len(array), -1, width) for array in arrays]
            start = stop

    def value(self, y, t, scale, out):
        loss = 0.0
        for z, known, dz in self.groups(y, t, out):
            cost = self.ops.mse if z.shape[2] == 1 else self.ops.cross_entropy
            loss = self.ops.call(operator.add, loss, cost(z, known, scale, out=dz))
        return loss

    def elements(self, y, t):
        """(N, columns)"""
        return self.costs(self.output(y, None), t)

    def costs(self, again: Array, t: Array) -> Array:
        """What each column costs, (N, columns), for what an output means, numbers and probabilities; NaN where t is."""
        xp, parts = self.ops.xp, []
        for z, known in self.groups(again, t):
            each = (z - known) ** 2 if z.shape[2] == 1 else -(known * xp.log(z.clip(1e-12, None)))
            parts.append(each.sum(axis=2))
        return xp.concatenate(parts, axis=1)

    def output(self, y, out):
        out = self.ops.copy(y, out=self.ops.empty(y.shape, y.dtype) if out is None else out)
        for (block,) in self.groups(out):
            if block.shape[2] > 1:
                self.ops.softmax(block, out=block)
        return out

    def reach(self, low, high):
        k = np.repeat(self.blocks, self.blocks)
        others = np.maximum(k - 1, 1)  # whose logits lie at one end while one's own lies at the other
        with np.errstate(over="ignore"):
            least, most = (1 / (1 + others * np.exp(distance)) for distance in (high - low, low - high))
        return np.where(k == 1, low, least), np.where(k == 1, high, most)

    def terms(self, present):
        sums = [self.ops.sum(block[:, :, 0]) for (block,) in self.groups(present)]
        return functools.reduce(functools.partial(self.ops.call, operator.add), sums)


class Masked(Loss):
    """Another loss, of the targets that are known: where t is NaN, nothing is to pay, and dy = 0.

    A "mean" divides by how many there are, "batch" by the number of rows, as ever.

    loss   the other, mse, bce, l1, huber or a Mixed; it has the reduction and the weight
    """

    free = None

    def __init__(self, loss: str | Loss = "mse"):
        self.loss = loss
        inner = get(loss)
        if inner.free is None:
            raise ValueError(f"Masked: expected mse, bce, l1, huber or a Mixed loss, got {loss!r}.")
        super().__init__(inner.reduction, inner.weight)
        self.by_row = inner.reduction != "mean"

    def build(self, ops, dtype):
        self.inner = get(self.loss).build(ops, dtype)
        return super().build(ops, dtype)

    def check_targets(self, y, t):
        self.inner.check_targets(y, t)

    def scale(self, shape):
        return self.inner.scale(shape)

    def value(self, y, t, scale, out):
        ops, y0, t0 = self.ops, self.buffer("y", y.shape), self.buffer("t", y.shape)
        terms = self.inner.terms(ops.present(t, out=y0)) if self.reduction == "mean" else None
        for x, free, buffer in zip((y, t), self.inner.free, (y0, t0), strict=True):
            ops.fill_missing(x, t, free, out=buffer)
        if terms is None:
            return self.inner.value(y0, t0, scale, out)
        share = ops.call(share_of, 1.0, terms)
        loss = self.inner.value(y0, t0, self.weight, out)
        ops.scale_inplace(out, share)
        return ops.multiply(loss, share)

    def factor(self, y, t):
        if self.reduction != "mean":
            return self.scale(y.shape)
        known = self.inner.terms(self.ops.present(t, out=self.ops.empty(t.shape, self.dtype)))
        return self.weight / (known + 1e-30)

    def elements(self, y, t):
        """NaN where t is."""
        return self.inner.elements(y, t)

    def output(self, y, out):
        return self.inner.output(y, out)

    def reach(self, low, high):
        return get(self.loss).reach(low, high)


LOSSES: dict[str, type[Loss]] = {
    "mse": MSE,
    "bce": BCE,
    "l1": L1,
    "huber": Huber,
    "gaussian": GaussianNLL,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
}


def get(loss: str | Loss, what: str = "loss") -> Loss:
    """The loss called `loss`, or a copy of `loss`; ValueError otherwise, with the known names and `what` it is for."""
    if isinstance(loss, Loss):
        return copy.copy(loss)
    return LOSSES[one_of(what, loss, LOSSES, ", or a Loss")]()
