"""WarmStart: a `fit` that goes on from what the last one learned."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.kinds import Flag, Whole
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.engine.network import Sequential

KEPT = ("scaler_", "table_encoder_")


Weights = list[tuple[str, Any]]


def weights_of(network: Sequential) -> Weights:
    """(name, array) of all that a network has learned: each layer's parameters and running statistics."""
    found: Weights = []
    for layer in network.layers:
        found += layer.params.items()
        found += layer.state.items()
    return found


@estimator
class WarmStart(NetworkEstimator):
    """An estimator whose `fit` starts from new weights, or with warm_start from those that are there."""

    _: KW_ONLY
    warm_start: bool = parameter(
        False,
        Flag(),
        "whether fit goes on from the weights that are there, with the scaling that they were learned on, and a new "
        "optimizer; history_ is that of the last fit",
    )

    @property
    def goes_on(self) -> bool:
        """Whether the next `fit` goes on, or the one that runs does: not after `build` alone, which learns no scale."""
        return hasattr(self, "network_") and self.scaler_ is not None and self.warm_start

    def settle(self) -> None:
        """Where `fit` goes on, what it knows of the columns stays."""
        goes_on = self.goes_on
        kept = {name: vars(self).pop(name) for name in KEPT if name in vars(self)}
        super().settle()
        if goes_on:
            vars(self).update(kept)

    def _weights_before(self) -> Weights | None:
        """What the network has learned, a copy, where `fit` goes on; None: it starts afresh."""
        if not self.goes_on:
            return None
        to_numpy = self.network_.ops.to_numpy
        return [(name, np.array(to_numpy(array))) for name, array in weights_of(self.network_)]

    def _set_weights(self, before: Weights) -> None:
        """Give the network these weights; ValueError where the parameters now make another one than they are of."""
        now = weights_of(self.network_)
        shapes = [(name, array.shape) for name, array in now]
        expected = [(name, array.shape) for name, array in before]
        if shapes != expected:
            raise ValueError(
                f"{type(self).__name__}: expected layers as they were, whose weights warm_start=True goes on from, got "
                "others. Set warm_start=False to start afresh."
            )
        ops = self.network_.ops
        for (_, mine), (_, kept) in zip(now, before, strict=True):
            ops.copy(ops.to_device(kept, self.network_.dtype), out=mine)

    def _set_epochs(self, epochs: int | None) -> None:
        """Train for so many `epochs` in the `fit` that runs, whatever the parameter says."""
        if epochs is None:
            return
        Whole().check(type(self).__name__, "epochs", epochs)
        self._settle(epochs=epochs)
