"""Losses: the value and its gradient dy = dLoss/dy, computed in the same pass.

`reduction` selects the factor. With N rows of D features:
    "mean"   1 / (N D)    mean over all elements
    "batch"  1 / N        summed over features, averaged over rows
    "sum"    1            summed over everything
`weight` multiplies it: MSE(reduction="sum", weight=0.5) is Σ (y - t)² / 2.

`forward` returns a 0-d device array. Reading it makes the CPU wait for the GPU: do so once per epoch, not per step.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import Any, ClassVar

from nanoae.backend import Array, Ops, Reused, Shape, ThreadLocal, ThreadState
from nanoae.configurable import Configurable, configurable
from nanoae.spelling import instance, one_of

REDUCTIONS = ("mean", "batch", "sum")


class Loss(Reused, Configurable):
    """Base of all losses. A subclass defines `value`: the loss, with its gradient written to `out`."""

    ops: Ops
    dy = ThreadLocal()  # the gradient of the last forward

    def __init__(self, reduction: str = "mean", weight: float = 1.0):
        self.reduction = reduction
        self.weight = weight
        self.__post_init__()

    def __post_init__(self) -> None:
        one_of(f"{type(self).__name__}: reduction", self.reduction, REDUCTIONS)

    def build(self, ops: Ops, dtype: Any) -> Loss:
        """Set the backend and the dtype; return self."""
        self.thread = ThreadState()
        self.ops = ops
        self.dtype = dtype
        return self

    def scale(self, shape: Shape) -> float:
        """Return the factor of the sum, for outputs of this shape."""
        divisors = {"mean": math.prod(shape), "batch": shape[0], "sum": 1}
        return self.weight / divisors[self.reduction]

    def forward(self, y: Array, t: Array) -> Array:
        """Return the loss of outputs y (N, ...) and targets t of the same shape, a 0-d array."""
        self.check_targets(y, t)
        scale = self.scale(y.shape)
        self.dy = dy = self.buffer("dy", y.shape)
        return self.value(y, t, scale, dy)

    def backward(self) -> Array:
        """Return dLoss/dy of the last forward, (N, ...): a buffer of the loss."""
        if self.dy is None:
            raise RuntimeError(f"{self}: expected forward(y, t) before backward.")
        return self.dy

    def check_targets(self, y: Array, t: Array) -> None:
        if y.shape != t.shape:
            raise self.mistake(f"targets with the outputs' shape {y.shape}", t.shape)

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """Return the loss; write its gradient to `out`."""
        raise NotImplementedError

    def predict(self, y: Array, out: Array) -> Array:
        """Map the network's output to the scale of the targets: y itself, or for logits their sigmoid."""
        return y


class MSE(Loss):
    """scale · Σ (y - t)²,  dy = 2 scale (y - t)."""

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        return self.ops.mse(y, t, scale, out=out)


@configurable
class GaussianNLL(MSE):
    """-log N(t; y, variance) in nats:  scale · Σ (y - t)² / (2 variance) + log(2π variance) / 2,
    dy = scale (y - t) / variance.

    The variance is fixed and the same for all elements: the expected squared error of a reconstruction.
    """

    bounds: ClassVar = {"variance": "(0, inf)"}
    variance: float = 1.0
    reduction: str = "batch"
    weight: float = 1.0

    @property
    def constant(self) -> float:
        return math.log(2 * math.pi * self.variance) / 2

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        loss = super().value(y, t, scale / (2 * self.variance), out)
        constant = scale * math.prod(y.shape) * self.constant
        return self.ops.call(operator.add, loss, constant)


class BCE(Loss):
    """Binary cross-entropy of logits z and t in [0, 1]: scale · Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t).

    Equal to -t log y - (1 - t) log(1 - y) with y = sigmoid(z), but finite for every finite z. The network therefore
    outputs logits; `predict` returns y.
    """

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        return self.ops.bce(y, t, scale, out=out)

    def predict(self, y: Array, out: Array) -> Array:
        return self.ops.sigmoid(y, out=out)


class L1(Loss):
    """scale · Σ |y - t|,  dy = scale · sign(y - t), 0 at 0."""

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        return self.ops.l1(y, t, scale, out=out)


@configurable
class Huber(Loss):
    """scale · Σ h(y - t), h(r) = r² / 2 for |r| <= delta, else delta (|r| - delta / 2). Huber 1964.

    dy = scale · clip(y - t, -delta, delta).
    """

    bounds: ClassVar = {"delta": "(0, inf)"}
    delta: float = 1.0
    reduction: str = "mean"
    weight: float = 1.0

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        return self.ops.huber(y, t, self.delta, scale, out=out)


@configurable
class SoftmaxCrossEntropy(Loss):
    """-scale · Σ_n log softmax(z[n])[t[n]] for logits z (N, K) and class indices t (N,).

    dz[n, k] = scale (softmax(z[n])[k] - [k = t[n]]).

    Logits (N, T, K) and t (N, T) are N sequences: "mean" averages over all N T targets, "batch" sums over the steps.

    ignore   None, or a class index whose targets are ignored, such as padding: they count neither in the sum nor in the
             number of targets of a mean

    Raises ValueError for an index outside 0 .. K - 1; on a GPU, where checking would stall the host, the loss is NaN.
    """

    reduction: str = "mean"
    weight: float = 1.0
    ignore: int | None = None

    def check_targets(self, y: Array, t: Array) -> None:
        whole = t.dtype.kind in "iu"
        if y.ndim < 2 or t.shape != y.shape[:-1] or not whole:
            got = f"{y.shape} and {t.dtype} {t.shape}"
            raise self.mistake("logits (N, K) and integer class indices (N,)", got)
        # Without the check, -1 would index the last class
        self.ops.check_numbers(t, y.shape[-1], f"{self}: expected classes")

    def scale(self, shape: Shape) -> float:
        return super().scale(shape[:-1])

    def value(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        classes = y.shape[-1]
        y = y.reshape(-1, classes)
        out = out.reshape(-1, classes)
        t = t.reshape(-1)
        if self.ignore is None:
            return self.ops.softmax_cross_entropy(y, t, scale, out=out)
        counts = self.ops.empty(len(t), self.dtype)
        self.ops.not_equal(t, self.ignore, out=counts)
        if self.reduction == "mean":  # scale = weight / (N T), but only Σ counts targets count
            share = self.ops.share_of(len(t), self.ops.sum(counts))
            self.ops.scale_inplace(counts, share)
        return self.ops.softmax_cross_entropy(y, t, scale, out=out, weights=counts)

    def predict(self, y: Array, out: Array) -> Array:
        return self.ops.softmax(y, out=out)


LOSSES: dict[str, type[Loss]] = {
    "mse": MSE,
    "bce": BCE,
    "l1": L1,
    "mae": L1,
    "huber": Huber,
    "gaussian": GaussianNLL,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
}


def get(loss: str | Loss | Callable[[], Loss], what: str = "loss") -> Loss:
    """Return the loss for a known name, a Loss (copied), or a class or function that makes one."""
    found: Loss = instance(what, loss, Loss, LOSSES, ", or a Loss")
    return copy.copy(found)
