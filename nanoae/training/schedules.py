"""Learning-rate schedules: lr as a function of the step t = 1 .. total, accepted wherever a learning rate is.

>>> Autoencoder(learning_rate=WarmUp(Cosine(1e-3), steps=500))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from nanoae.configurable import Configurable, configurable


@configurable
class Constant(Configurable):
    """lr at every step."""

    lr: float

    def __call__(self, t: int, total: int) -> float:
        return self.lr


@configurable
class StepDecay(Configurable):
    """lr · factor^(number of `every` steps done)."""

    lr: float
    every: int
    factor: float = 0.1

    bounds: ClassVar = {"every": "[1, inf)"}

    def __call__(self, t: int, total: int) -> float:
        return self.lr * self.factor ** ((t - 1) // self.every)


@configurable
class Cosine(Configurable):
    """Decay from lr along half a cosine to `final` at the step after the last (Loshchilov & Hutter 2017)."""

    lr: float
    final: float = 0.0

    def __call__(self, t: int, total: int) -> float:
        done = min((t - 1) / max(total, 1), 1.0)
        wave = 1 + math.cos(math.pi * done)
        return self.final + (self.lr - self.final) * wave / 2


@configurable
class WarmUp(Configurable):
    """Linear increase from 0 to the value of `schedule` over the first `steps` steps, then `schedule`."""

    schedule: Callable[[int, int], float]
    steps: int

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise self.mistake("a schedule to warm up to", self.schedule, "Use Constant(1e-3).")

    def __call__(self, t: int, total: int) -> float:
        share = min(t / max(self.steps, 1), 1.0)
        return self.schedule(t, total) * share


SCHEDULES: dict[str, type] = {"constant": Constant, "cosine": Cosine, "step_decay": StepDecay}
