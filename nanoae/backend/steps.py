"""Steps: how a backend runs the training steps of an epoch. On the CPU it is a loop; `graph.py` has the GPU's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanoae.backend.ops import Array


class Steps:
    """Runs `step(rows, *data)`, which gives a loss, for one batch after another.

    optimizer    what such a step advances; a backend may count its t and its rate on the device
    batch_size   rows of a step; the last batch of an epoch may be smaller
    settings     gives what a step reads on the host: a backend that keeps steps needs to know when it changes
    """

    def __init__(
        self, ops: Any, step: Callable[..., Array], optimizer: Any, batch_size: int, settings: Callable[[], Any]
    ):
        self.ops, self.step, self.optimizer, self.batch_size = ops, step, optimizer, batch_size
        self.settings = settings

    def run(self, order: Array, *data: Any) -> Any:
        """One step for each `batch_size` numbers of `order`, an array of the host: the sum of their losses, each
        times its rows."""
        total = 0.0
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            total = total + self.step(rows, *data) * len(rows)
        return total
