"""Graphs: work on the GPU, captured once as a CUDA graph and replayed, instead of some tens of launches from Python.

No import of CuPy: `ops.xp` is it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from nanoae.backend.repeated import Recording


class Graph(Recording):
    """What `work` launches, captured, and not yet done. It is launched on the thread's own stream."""

    def __init__(self, ops: Any, work: Callable[[], object]):
        """What the work allocates meanwhile comes from memory that nobody else gets: the graph will use it again and
        again. The capturing stream is a non-blocking one: while a blocking one is captured, no thread may use the null
        stream."""
        self.own = ops._own
        self.memory = ops.xp.cuda.MemoryPool()
        self.wait()  # what the times before still use may be freed meanwhile
        stream = self.own.capture_stream
        with stream, ops.xp.cuda.using_allocator(self.memory.malloc):
            ops._bind()
            stream.begin_capture()
            try:
                ops.recording = self
                work()
            finally:
                ops.recording = None
                self.graph = stream.end_capture()

    def repeat(self, times: int) -> int:
        for _ in range(times):
            self.graph.launch(self.own.stream)
        return times

    def wait(self) -> None:
        self.own.stream.synchronize()

    def kernels(self) -> int | None:
        """How many launches it has; None where that is not known."""
        try:
            return self.graph.debug_dot_str().count("->") + 1  # they follow one another
        except (AttributeError, RuntimeError):
            return None


def captured(ops: Any, work: Callable[[], object]) -> Graph | None:
    """The graph of this work; None, with a warning, where there is something in it that cannot be captured."""
    allocations = ops.allocations
    try:
        return Graph(ops, work)
    except Exception as error:
        warnings.warn(
            f"backend 'cupy': this model's training step cannot be captured as a CUDA graph ({error}); "
            "it runs step by step, which is slower for small models",
            stacklevel=2,
        )
        return None
    finally:
        ops.allocations = allocations  # the graph's own, in memory of its own
