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
import math

from nanoae.backend import Array, Ops
from nanoae.engine.part import Part

REDUCTIONS = ("mean", "batch", "sum")


class Loss(Part):
    """The base. A subclass gives `value`: the loss, with its gradient written to `out`."""

    ops: Ops

    def __init__(self, reduction: str = "mean", weight: float = 1.0):
        if reduction not in REDUCTIONS:
            raise ValueError(f"{type(self).__name__}: expected reduction in {REDUCTIONS}, got {reduction!r}.")
        self.reduction, self.weight = reduction, weight

    def build(self, ops: Ops, dtype) -> Loss:
        self.ops, self.dtype = ops, dtype
        self.dy: Array = None
        return self

    def scale(self, shape: tuple[int, ...]) -> float:
        """The factor before the sum, for outputs of this shape."""
        if self.reduction == "sum":
            return self.weight
        return self.weight / (math.prod(shape) if self.reduction == "mean" else shape[0])

    def forward(self, y: Array, t: Array) -> Array:
        """The loss of outputs y (N, ...) against targets t of the same shape, a 0-d array."""
        self.check_targets(y, t)
        if self.dy is None or len(self.dy) < len(y) or self.dy.shape[1:] != y.shape[1:]:
            self.dy = self.ops.empty(y.shape, self.dtype)
        self.rows = len(y)
        return self.value(y, t, self.scale(y.shape), self.dy[: self.rows])

    def backward(self) -> Array:
        """dLoss/dy of the last forward, (N, ...): the loss's own buffer."""
        if self.dy is None:
            raise RuntimeError(f"{self}: expected forward(y, t) before backward.")
        return self.dy[: self.rows]

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


class MSE(Loss):
    """scale · Σ (y - t)²,  dy = 2 scale (y - t)."""

    def value(self, y, t, scale, out):
        return self.ops.mse(y, t, scale, out=out)

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

    @property
    def constant(self) -> float:
        return math.log(2 * math.pi * self.variance) / 2

    def value(self, y, t, scale, out):
        return super().value(y, t, scale / (2 * self.variance), out) + scale * math.prod(y.shape) * self.constant

    def elements(self, y, t):
        return super().elements(y, t) / (2 * self.variance) + self.constant


class BCE(Loss):
    """Binary cross-entropy of logits z against t in [0, 1]: scale · Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t).

    The same as -t log y - (1 - t) log(1 - y) with y = sigmoid(z), and finite for every finite z. So a network that
    trains on it ends in the logit; `output` gives y.
    """

    def value(self, y, t, scale, out):
        return self.ops.bce(y, t, scale, out=out)

    def elements(self, y, t):
        return self.ops.softplus(y) - t * y

    def output(self, y, out):
        return self.ops.sigmoid(y, out=out)


class L1(Loss):
    """scale · Σ |y - t|,  dy = scale · sign(y - t), 0 at 0."""

    def value(self, y, t, scale, out):
        return self.ops.l1(y, t, scale, out=out)


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


class SoftmaxCrossEntropy(Loss):
    """-scale · Σ_n log softmax(z[n])[t[n]] of logits z (N, K) and class numbers t (N,).

    dz[n, k] = scale (softmax(z[n])[k] - [k = t[n]]).

    Logits (N, T, K) and t (N, T) are N sequences: a "mean" is over all N T targets, "batch" sums over the steps.

    ignore   None, or a class whose targets count for nothing, as the padding of sequences: neither in the sum nor in
             the number that a mean divides by
    """

    def __init__(self, reduction: str = "mean", weight: float = 1.0, ignore: int | None = None):
        super().__init__(reduction, weight)
        self.ignore = ignore

    def check_targets(self, y, t):
        if y.ndim < 2 or t.shape != y.shape[:-1] or t.dtype.kind not in "iu":
            raise ValueError(
                f"{self}: expected logits (N, K) and class numbers (N,), whole, got {y.shape} and {t.dtype} {t.shape}."
            )

    def scale(self, shape):
        return super().scale(shape[:-1])

    def value(self, y, t, scale, out):
        y, t, out = y.reshape(-1, y.shape[-1]), t.reshape(-1), out.reshape(-1, y.shape[-1])
        counts = None
        if self.ignore is not None:
            counts = self.ops.not_equal(t, self.ignore, out=self.ops.empty(len(t), self.dtype))
            if self.reduction == "mean":  # scale is weight / (N T); of those, Σ counts count, or none at all
                self.ops.scale_inplace(counts, len(t) / (self.ops.sum(counts) + 1e-30))
        return self.ops.softmax_cross_entropy(y, t, scale, out=out, weights=counts)

    def elements(self, y, t):
        right = self.ops.take_steps(y.reshape(t.size, -1, 1), t.reshape(-1), out=self.ops.empty((t.size, 1), y.dtype))
        nats = self.ops.log_sum_exp(y) - right.reshape(t.shape)
        return nats if self.ignore is None else nats * (t != self.ignore)

    def output(self, y, out):
        return self.ops.softmax(y, out=out)


LOSSES: dict[str, type[Loss]] = {
    "mse": MSE,
    "bce": BCE,
    "l1": L1,
    "huber": Huber,
    "gaussian": GaussianNLL,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
}


def get(loss: str | Loss) -> Loss:
    """The loss called `loss`, or a copy of `loss`; ValueError with the known names otherwise."""
    if isinstance(loss, Loss):
        return copy.copy(loss)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}.")
    return LOSSES[loss]()
