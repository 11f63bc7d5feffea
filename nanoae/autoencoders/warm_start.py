"""WarmStart: a `fit` that continues from the weights of the previous one."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.kinds import Flag, Integer
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.engine.network import Sequential

KEPT = ("scaler_", "table_encoder_")


Weights = list[tuple[str, Any]]


def weights_of(network: Sequential) -> Weights:
    """Return (name, array) of everything a network has learned: each layer's parameters and running statistics."""
    found: Weights = []
    for layer in network.layers:
        found += layer.params.items()
        found += layer.state.items()
    return found


@estimator
class WarmStart(NetworkEstimator):
    """An estimator whose `fit` starts from new weights, or with warm_start from the present ones."""

    _: KW_ONLY
    warm_start: bool = parameter(
        False,
        Flag(),
        "fit continues from the present weights and scaling, with a new optimizer; "
        "history_ is that of the last fit",
    )

    @property
    def goes_on(self) -> bool:
        """True if the running or next `fit` is a warm start: not after `build` alone, which learns no scale."""
        return hasattr(self, "network_") and self.scaler_ is not None and self.warm_start

    def settle(self) -> None:
        """Settle the parameters; a warm start keeps the learned scale and table encoder."""
        goes_on = self.goes_on
        kept = {name: vars(self).pop(name) for name in KEPT if name in vars(self)}
        super().settle()
        if goes_on:
            vars(self).update(kept)

    def _weights_before(self) -> Weights | None:
        """Return a copy of the network's weights in a warm start, else None."""
        if not self.goes_on:
            return None
        to_numpy = self.network_.ops.to_numpy
        return [(name, np.array(to_numpy(array))) for name, array in weights_of(self.network_)]

    def _set_weights(self, before: Weights) -> None:
        """Copy weights into the network; ValueError if they have other names or shapes, since parameters changed."""
        now = weights_of(self.network_)
        shapes = [(name, array.shape) for name, array in now]
        expected = [(name, array.shape) for name, array in before]
        if shapes != expected:
            raise ValueError(
                f"{type(self).__name__}: expected layers as they were, since warm_start=True keeps their weights, got "
                "others. Set warm_start=False to start from new weights."
            )
        ops = self.network_.ops
        for (_, mine), (_, kept) in zip(now, before, strict=True):
            ops.copy(ops.to_device(kept, self.network_.dtype), out=mine)

    def _set_epochs(self, epochs: int | None) -> None:
        """Override the parameter `epochs` in the running `fit`, unless None."""
        if epochs is None:
            return
        Integer().check(type(self).__name__, "epochs", epochs)
        self._settle(epochs=epochs)
