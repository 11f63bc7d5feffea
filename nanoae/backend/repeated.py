"""Repeated: how a device does the same work again and again, a training step above all.

Here it is Python that does it. recorded.py keeps a list of calls for the CPU, graph.py a CUDA graph for the GPU: both
repeat them with the very same arguments, so whatever differs from one time to the next has to be in arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Repeated:
    """Does work again and again, of several kinds, each on the same arrays each time.

    met   the last number that ended it
    """

    met = math.nan

    def __init__(self, ops: Any):
        self.ops = ops

    def run(self, kind: Any, work: Callable[[], object], times: int) -> int:
        """Do `work`, of this kind, up to so many times; how often that was. Where it is fewer, a number that
        `Ops.peek` was shown has come out not finite: there the work ends."""
        for _ in range(times):
            work()
        return times

    def forget(self) -> None:
        """Let go of what was kept to repeat it."""
