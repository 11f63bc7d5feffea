"""Experiment: a network, a batch, a loss and an optimiser that can be built repeatedly, correct or broken."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from nanoae.backend import Ops
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential
from nanoae.engine.optim import Optimizer
from nanoae.trace.breakage import Breakage


@dataclass
class Experiment:
    """layers, loss and optimizer are unbuilt, and copied; x (N, ...) and t (N, ...) are a batch and its targets."""

    layers: list[Layer]
    loss: Loss
    optimizer: Optimizer
    x: np.ndarray
    t: np.ndarray
    dtype: str = "float64"
    random_state: int = 0

    def build(
        self, ops: Ops, dtype: str, breakage: Breakage | None = None
    ) -> tuple[Sequential, Loss, Optimizer]:
        """Build the network, the loss and the optimiser, with the breakage, if any."""
        net = Sequential(copy.deepcopy(self.layers))
        net.build(self.x.shape[1:], ops, dtype, self.random_state)
        loss = copy.deepcopy(self.loss).build(ops, net.dtype)
        if breakage:
            breakage.apply(net.layers, loss)
        optimizer = copy.deepcopy(self.optimizer).build(ops, net.theta)
        return net, loss, optimizer

    def batch(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """x and t with this dtype; integer class labels stay integers."""
        t = self.t.astype(dtype) if self.t.dtype.kind == "f" else self.t
        return self.x.astype(dtype), t

    def learn(self, epochs: int, breakage: Breakage | None) -> list[float]:
        """The losses of `epochs` steps on the batch; the list ends before a loss that is not finite."""
        net, loss, optimizer = self.build(Ops(), self.dtype, breakage)
        x, t = self.batch(net.dtype)
        found: list[float] = []
        with np.errstate(over="ignore", invalid="ignore"):
            while len(found) <= epochs:
                y = net.forward(x, train=True)
                value = float(loss.forward(y, t))
                value += float(net.penalty())
                if not np.isfinite(value):
                    break
                found.append(value)
                net.backward(loss.backward())
                optimizer.step(net.theta, net.grad)
        return found
