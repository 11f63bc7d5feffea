"""Graphs: a training step, captured once as a CUDA graph and replayed, instead of some tens of launches from Python.

A graph repeats its launches with the very same arguments, as repeated.py says. No import of CuPy: `ops.xp` is it.
"""

from __future__ import annotations

import warnings
from typing import Any

from nanoae.backend.repeated import Repeated

# Times that run uncaptured first: they are training steps, too, and compile and allocate
WARM_UP = 2


class GraphRepeated(Repeated):
    """Work on the thread's own stream: the first times plainly, then captured and replayed. What cannot be captured
    goes on plainly, with a warning.

    A graph is good while all memory stays where it was: `ops.allocations` counts the buffers that were made, and
    evaluation may want larger ones. Then the work is captured anew.
    """

    def __init__(self, ops: Any):
        super().__init__(ops)
        self.own = ops._own
        self.allocations = -1
        self.may = ops.graph and self.own.blas is not None
        self.graphs: dict[Any, Any] = {}  # kind of work -> its graph
        self.plain: dict[Any, int] = {}  # kind of work -> how often it was done plainly
        self.memory = ops.xp.cuda.MemoryPool()

    def run(self, kind, work, times):
        for _ in range(times):
            if self.allocations != self.ops.allocations:
                self.forget()
            warm = self.plain.get(kind, 0) >= WARM_UP
            if self.may and warm and kind not in self.graphs:
                self.graphs[kind] = self.capture(work)
            graph = self.graphs.get(kind)
            if graph is None:
                self.ops._bind()
                work()
                self.plain[kind] = self.plain.get(kind, 0) + 1
            else:
                graph.launch(self.own.stream)
        return times

    def forget(self) -> None:
        if self.graphs:
            self.own.stream.synchronize()  # the last one may still run
            self.graphs.clear()
            self.memory.free_all_blocks()

    def capture(self, work) -> Any:
        """The graph; None where there is something in the work that cannot be captured.

        What the work allocates while it is captured comes from memory that nobody else gets: the graph will use it
        again and again. The stream is a non-blocking one: while a blocking one is captured, no thread may use the null
        stream.
        """
        ops = self.ops
        stream = self.own.capture_stream
        allocations = ops.allocations
        self.own.stream.synchronize()  # what the times before still use may be freed meanwhile
        try:
            with stream, ops.xp.cuda.using_allocator(self.memory.malloc):
                ops._bind()
                stream.begin_capture()
                try:
                    ops.recording = self
                    work()
                finally:
                    ops.recording = None
                    graph = stream.end_capture()
        except Exception as error:
            self.may = False
            graph = None
            warnings.warn(
                f"backend 'cupy': this model's training step cannot be captured as a CUDA graph ({error}); "
                "it runs step by step, which is slower for small models",
                stacklevel=2,
            )
        ops.allocations = self.allocations = allocations
        return graph

    def kernels(self, kind: Any) -> int | None:
        """How many launches the graph of this work has; None where that is not known."""
        graph: Any = self.graphs.get(kind)
        try:
            return graph.debug_dot_str().count("->") + 1  # they follow one another
        except (AttributeError, RuntimeError):
            return None
