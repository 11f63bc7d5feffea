"""Updates: the steps of an optimiser on a trainer's network.

The optimiser defines how theta changes with a gradient. The trainer decides which slices of theta are trained, how the
rate is reduced after a divergence, and where a recorded step finds its number and rate.
"""

from __future__ import annotations

from nanoae.engine.network import Sequential
from nanoae.engine.optim import Optimizer


class Updates:
    """The steps of a built optimiser.

    slices       slices of theta to train; the rest is frozen and stays bit-identical
    rate_scale   factor of the optimiser's lr; reduced when training diverges and is rolled back
    """

    rate_scale = 1.0

    def __init__(
        self, network: Sequential, optimizer: Optimizer, slices: list[slice] | None = None
    ):
        if type(optimizer).step is not Optimizer.step:
            raise optimizer.mistake("`update` alone", "a step of its own, which no trainer calls")
        self.network = network
        self.optimizer = optimizer
        self.slices = [slice(0, len(network.theta))] if slices is None else slices

    def rate_at(self, t: int) -> float:
        """Return the learning rate of step t = 1, 2, ..."""
        return self.rate_scale * self.optimizer.rate_at(t)

    def step(self) -> None:
        """Update theta from the network's grad."""
        self.optimizer.rate = self.rate_at(self.optimizer.t + 1)
        self.optimizer.t += 1
        self.apply()

    def apply(self) -> None:
        """Do the update with the optimiser's t and rate: numbers, or 0-d device arrays in a recorded step."""
        theta = self.network.theta
        grad = self.network.grad
        self.optimizer.clip(grad)
        for where in self.slices:
            moments = [moment[where] for moment in self.optimizer.moments]
            self.optimizer.descend(theta[where], grad[where], *moments)
