"""Costs: the loss of each element, before the sum: for sample weights, losses of single rows, and missing targets.

A loss of your own can define two attributes for this:

elements   a method of (y, t) that returns the loss of each element, in the shape of y
neutral    a pair of numbers (y, t) with loss 0
"""

from __future__ import annotations

from typing import Any

from nanoae.backend import Array
from nanoae.engine.losses import BCE, L1, MSE, GaussianNLL, Huber, Loss, SoftmaxCrossEntropy


def huber(loss: Huber, y: Array, t: Array) -> Array:
    r = abs(y - t)
    inside = r.clip(0, loss.delta)  # h(r) = c r - c² / 2 with c = min(|r|, delta)
    return inside * (r - inside / 2)


def softmax_cross_entropy(loss: SoftmaxCrossEntropy, y: Array, t: Array) -> Array:
    right = loss.ops.empty((t.size, 1), y.dtype)
    loss.ops.take_steps(y.reshape(t.size, -1, 1), t.reshape(-1), out=right)
    nats = loss.ops.log_sum_exp(y) - right.reshape(t.shape)
    return nats if loss.ignore is None else nats * (t != loss.ignore)


ELEMENTS: dict[type, Any] = {
    MSE: lambda loss, y, t: (y - t) ** 2,
    GaussianNLL: lambda loss, y, t: (y - t) ** 2 / (2 * loss.variance) + loss.constant,
    BCE: lambda loss, y, t: loss.ops.softplus(y) - t * y,
    L1: lambda loss, y, t: abs(y - t),
    Huber: huber,
    SoftmaxCrossEntropy: softmax_cross_entropy,
}
NEUTRAL: dict[type, Any] = {kind: (0.0, 0.0) for kind in (MSE, L1, Huber)} | {
    BCE: (1e3, 1.0),  # softplus(-z) underflows to 0 there in every implementation
    GaussianNLL: None,
}


def found(loss: Loss, name: str, known: dict[type, Any]) -> Any:
    """Return the attribute `name` of the loss's class, or the `known` value of a class, whichever comes first in the
    MRO; else None."""
    for kind in type(loss).__mro__:
        if name in vars(kind):
            return vars(kind)[name]
        if kind in known:
            return known[kind]
    return None


def has_elements(loss: Loss) -> bool:
    return found(loss, "elements", ELEMENTS) is not None


def elements(loss: Loss, y: Array, t: Array) -> Array:
    """Return the loss of each element, in the shape of y, or of each column or target."""
    if not has_elements(loss):
        raise loss.mistake("a method elements(y, t)", "none")
    return found(loss, "elements", ELEMENTS)(loss, y, t)


def neutral(loss: Loss) -> Any:
    """Return a pair (y, t) with loss 0, or None."""
    return found(loss, "neutral", NEUTRAL)
