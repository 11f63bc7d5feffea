"""Optimisers: one update of the flat theta from the flat grad.

`lr` is a float or a schedule (`training/schedules.py`): a function of the step and the number of steps. Weight decay
adds weight_decay · theta to the gradient (as in PyTorch), except in AdamW, which shrinks theta directly.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable
from typing import ClassVar

from nanoae.backend import Array, Ops
from nanoae.configurable import Configurable, configurable
from nanoae.spelling import one_of

MANY_STEPS = 1 << 40

LearningRate = float | Callable[[int, int], float]


class Optimizer(Configurable):
    """Base of all optimisers. Call `build` once for a theta (P,), `step` after each backward. A subclass has `update`.

    lr, weight_decay   as above, >= 0
    clip_norm          None, or the maximum Euclidean norm of the whole gradient: a longer one is scaled down to it
    """

    bounds: ClassVar = {"lr": "[0, inf)", "weight_decay": "[0, inf)", "clip_norm": "(0, inf)"}
    n_moments = 0

    def __init__(self, lr: LearningRate, weight_decay: float = 0.0, clip_norm: float | None = None):
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm

    def build(self, ops: Ops, theta: Array, total_steps: int = 0) -> Optimizer:
        """Reset the step count and the moments."""
        self.ops = ops
        self.t = 0
        self.total_steps = total_steps
        self.moments = [ops.zeros(len(theta), theta.dtype) for _ in range(self.n_moments)]
        return self

    def step(self, theta: Array, grad: Array) -> None:
        """Update theta (P,) from grad (P,). Clipping scales `grad` in place."""
        self.rate = self.rate_at(self.t + 1)
        self.t += 1
        self.clip(grad)
        self.descend(theta, grad, *self.moments)

    def clip(self, grad: Array) -> None:
        if self.clip_norm is not None:
            self.ops.clip_norm_inplace(grad, self.clip_norm)

    def descend(self, theta: Array, grad: Array, *moments: Array) -> None:
        """Apply weight decay and the update at step self.t with the learning rate self.rate."""
        if self.weight_decay:
            grad = self.decay(theta, grad)
        self.update(theta, grad, *moments)

    def rate_at(self, t: int) -> float:
        """Return the learning rate of step t = 1, 2, ...; raise ValueError if a schedule returns an invalid one."""
        rate = self.lr
        if callable(rate):
            rate = rate(t, self.total_steps)
        if not isinstance(rate, numbers.Real) or not 0 <= rate < math.inf:
            wanted = f"a number >= 0 from {self.lr!r} at step {t}"
            raise ValueError(f"learning_rate: expected {wanted}, got {rate!r}.")
        return float(rate)

    def decay(self, theta: Array, grad: Array) -> Array:
        """Return grad + weight_decay · theta in scratch memory: `grad` itself stays the gradient of the loss."""
        decayed = self.ops.scratch(theta, "decay")
        self.ops.multiply(theta, self.weight_decay, out=decayed)
        return self.ops.add_inplace(decayed, grad)

    def update(self, theta: Array, grad: Array, *moments: Array) -> None:
        """Update theta and the moments in place, given the gradient and self.rate."""
        raise NotImplementedError


@configurable
class SGD(Optimizer):
    """u = momentum · u + g;  theta -= lr · u.  Nesterov: theta -= lr · (g + momentum · u). Sutskever 2013."""

    lr: LearningRate = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: expected momentum > 0 with nesterov=True, got 0.")
        self.n_moments = 1 if self.momentum else 0

    def update(self, theta: Array, grad: Array, *moments: Array) -> None:
        m = moments[0] if moments else None
        self.ops.sgd_inplace(theta, grad, m, self.t, self.rate, self.momentum, self.nesterov)


@configurable
class Adam(Optimizer):
    """theta -= lr · m̂ / (sqrt(v̂) + eps), eps after the bias correction. Kingma & Ba 2015."""

    bounds: ClassVar = {"beta1": "[0, 1)", "beta2": "[0, 1)", "eps": "[0, inf)"}
    n_moments = 2

    lr: LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def update(self, theta: Array, grad: Array, *moments: Array) -> None:
        m, v = moments
        self.ops.adam_inplace(
            theta, grad, m, v, self.t, self.rate, self.beta1, self.beta2, self.eps
        )


@configurable
class AdamW(Adam):
    """Adam with decoupled decay: theta *= 1 - lr · weight_decay, then Adam's update. Loshchilov & Hutter 2019."""

    weight_decay: float = 1e-2

    def decay(self, theta: Array, grad: Array) -> Array:
        self.ops.decay_inplace(theta, self.rate, self.weight_decay)
        return grad


@configurable
class RMSprop(Optimizer):
    """v = rho · v + (1 - rho) g²,  theta -= lr · g / (sqrt(v) + eps). Tieleman & Hinton 2012, lecture 6.5.

    Computed as Adam with beta1 = 0 at a step so large that the bias correction is 1.
    """

    bounds: ClassVar = {"rho": "[0, 1)", "eps": "[0, inf)"}
    n_moments = 2  # the first is the gradient itself

    lr: LearningRate = 1e-3
    rho: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def update(self, theta: Array, grad: Array, *moments: Array) -> None:
        m, v = moments
        self.ops.adam_inplace(theta, grad, m, v, MANY_STEPS, self.rate, 0.0, self.rho, self.eps)


KINDS = (SGD, Adam, AdamW, RMSprop)
OPTIMIZERS: dict[str, type[Optimizer]] = {kind.__name__.lower(): kind for kind in KINDS}


def get(
    optimizer: str | Optimizer | type[Optimizer], lr: LearningRate, weight_decay: float
) -> Optimizer:
    """Return a new optimiser of this name or class, with these settings, or a copy of an Optimizer, with its own."""
    if isinstance(optimizer, Optimizer):
        return copy.copy(optimizer)
    if isinstance(optimizer, type):
        return optimizer(lr=lr, weight_decay=weight_decay)
    kind = OPTIMIZERS[one_of("optimizer", optimizer, OPTIMIZERS, ", or an Optimizer")]
    return kind(lr=lr, weight_decay=weight_decay)
