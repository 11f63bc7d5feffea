"""Graphs: GPU work captured once as a CUDA graph and replayed, instead of dozens of launches from Python.

CuPy is not imported: it is `ops.xp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanoae.backend.repeated import Recording
from nanoae.warning import warn


class Graph(Recording):
    """The captured launches of `work`, which have not run yet. Replayed on the thread's own stream."""

    def __init__(self, ops: Any, work: Callable[[], object]):
        """Capture `work`. Its allocations come from a private pool, since the graph uses them at each replay. The
        capture stream is non-blocking: while a blocking stream is captured, no thread may use the null stream."""
        self.own = ops._own
        self.memory = ops.xp.cuda.MemoryPool()
        self.wait()  # memory still in use by earlier runs may be freed meanwhile
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
        """Return the number of launches; None if unknown."""
        try:
            return self.graph.debug_dot_str().count("->") + 1  # they follow one another
        except (AttributeError, RuntimeError):
            return None


def captured(ops: Any, work: Callable[[], object]) -> Graph | None:
    """Return the graph of `work`; None, with a warning, if it cannot be captured."""
    allocations = ops.allocations
    try:
        return Graph(ops, work)
    except Exception as error:
        warn(
            f"backend 'cupy': this model's training step cannot be captured as a CUDA graph ({error}); "
            "it runs step by step, which is slower for small models"
        )
        return None
    finally:
        ops.allocations = allocations  # allocations of the graph are in its own pool
