"""Updates: an optimiser's steps on the network of a trainer.

The optimiser says how theta follows from a gradient. What of theta learns, how fast after a training has diverged, and
where a recorded step finds its number and its rate is the trainer's.
"""

from __future__ import annotations

from nanoae.engine.network import Sequential
from nanoae.engine.optim import Optimizer


class Updates:
    """The steps of a built optimiser.

    slices       of theta that learn; everything else stays what it is, to the bit
    rate_scale   of the rate that the optimiser's lr says: less after a training diverged and went back
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
        """The learning rate of step t = 1, 2, ..."""
        return self.rate_scale * self.optimizer.rate_at(t)

    def step(self) -> None:
        """The update that follows from the network's grad."""
        self.optimizer.rate = self.rate_at(self.optimizer.t + 1)
        self.optimizer.t += 1
        self.apply()

    def apply(self) -> None:
        """The same at the optimiser's t and rate: numbers, or in a recorded step 0-d arrays of the device."""
        theta = self.network.theta
        grad = self.network.grad
        self.optimizer.clip(grad)
        for where in self.slices:
            moments = [moment[where] for moment in self.optimizer.moments]
            self.optimizer.descend(theta[where], grad[where], *moments)
