"""Graphs: a training step, captured once as a CUDA graph and replayed, instead of some tens of launches from Python.

A graph repeats its launches with the very same arguments. So whatever differs between steps is in device memory: a
kernel at the start of the step (`tick` in kernels.cu) writes the rows of the batch, the step's number and its learning
rate to fixed places; the noise's counter advances itself; the losses are added up on the device, read once an epoch.
No import of CuPy: `ops.xp` is it.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.ops import Array
from nanoae.backend.steps import Steps

WARM_UP = 2  # steps of a size that run uncaptured first: they are training steps, too, and compile and allocate


class Streamed:
    """Rows that stay in the host's memory, because the device's has no room: each batch is copied over for its step.

    Two pinned buffers take turns: while the device copies and computes, the host gathers the next batch.
    """

    def __init__(self, ops: Any, host: np.ndarray):
        self.ops, self.host, self.turn = ops, host, 0
        self.shape, self.dtype, self.ndim = host.shape, host.dtype, host.ndim
        self.batch: Array = None

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, rows) -> Array:
        """A slice, copied to the device; or in a step, the rows that were fetched for it."""
        return self.ops.to_device(self.host[rows]) if isinstance(rows, slice) else self.batch[: len(rows)]

    def fetch(self, rows: np.ndarray, most: int) -> None:
        """Bring these rows, at most `most`, to where the step finds them."""
        if self.batch is None or len(self.batch) < most:
            shape = (most, *self.shape[1:])
            self.batch = self.ops.empty(shape, self.dtype)
            self.pinned = [self.ops._pinned(shape, self.dtype) for _ in range(2)]
            self.copied = [self.ops.xp.cuda.Event(disable_timing=True) for _ in range(2)]
        self.turn = 1 - self.turn
        buffer = self.pinned[self.turn][: len(rows)]
        self.copied[self.turn].synchronize()  # its copy of two steps ago
        np.take(self.host, rows, axis=0, out=buffer, mode="clip")
        self.batch[: len(rows)].set(buffer)
        self.copied[self.turn].record()


class GraphSteps(Steps):
    """Steps on the thread's own stream: the first of each size plainly, then captured and replayed. What cannot be
    captured goes on plainly, with a warning.

    graph   False: never capture. The same launches with the same arguments, so the results are the same, to the bit

    A graph is good while all memory stays where it was (`ops.allocations` counts the buffers that were made; evaluation
    may want larger ones), and for the same data, settings and thread, whose cuBLAS is in it; else the step is captured
    anew.
    """

    def __init__(self, ops, step, optimizer, batch_size, settings: Callable[[], Any], graph: bool = True):
        super().__init__(ops, step, optimizer, batch_size, settings)
        self.graph, self.own = graph, ops._own
        self.graphs: dict[int, Any] = {}  # rows of a step -> its graph
        self.plain: dict[int, int] = {}  # rows of a step -> how many of them ran plainly
        self.captured_for: tuple = ()  # the data, the settings, and what the thread has for itself
        self.allocations = -1
        self.order: Array = None
        xp = ops.xp
        self.memory = xp.cuda.MemoryPool()
        self.clock = xp.zeros(2, np.int64)  # this epoch's step and the optimizer's t
        self.t, self.rate = self.clock[1:2].reshape(()), xp.zeros((), np.float64)
        self.rows = xp.empty(batch_size, np.int64)
        self.total = None

    def run(self, order, *data):
        for _ in self.each(order, *data):
            pass
        return self.total

    def each(self, order, *data):
        """A generator: `run`, handing over after each step that is on its way to the device."""
        own = self.ops._own
        wanted_for = *map(self.identity, data), self.settings(), own
        if wanted_for != self.captured_for:
            self.forget()
            self.plain.clear()
            self.captured_for, self.own = wanted_for, own
        stream, callers = own.stream, self.ops.xp.cuda.get_current_stream()
        optimizer, n, batch = self.optimizer, len(order), self.batch_size
        before, starts = optimizer.t, range(0, n, batch)
        rates = [optimizer.rate_at(before + 1 + i) for i in range(len(starts))]
        stream.wait_event(callers.record())
        with stream:
            self.prepare(np.asarray(order, np.int64), np.array(rates, np.float64), before)
        streamed = [x for x in data if isinstance(x, Streamed)]
        optimizer.t, optimizer.rate, optimizer.driven, done = self.t, self.rate, True, 0
        try:
            for start in starts:
                rows = order[start : start + batch]
                with stream:
                    self.ops._bind()
                    for x in streamed:
                        x.fetch(rows, batch)
                    self.one(len(rows), data)
                done += 1
                yield
        finally:  # Ctrl-C, too
            optimizer.t, optimizer.rate, optimizer.driven = before + done, rates[max(done - 1, 0)], False
            callers.wait_event(stream.record())

    def identity(self, x: Any) -> Any:
        """What tells one argument of a step from another."""
        if isinstance(x, self.ops.xp.ndarray):
            return x.data.ptr, x.shape, x.strides, x.dtype
        return weakref.ref(x) if isinstance(x, Streamed) else x

    def prepare(self, order: np.ndarray, rates: np.ndarray, t: int) -> None:
        """This epoch's order and rates to their places on the device; the sum of losses back to 0."""
        xp = self.ops.xp
        if self.order is None or self.order.shape != order.shape:
            self.order, self.rates = xp.empty(order.shape, np.int64), xp.empty(rates.shape, np.float64)
            self.forget()
        self.order.set(order)
        self.rates.set(rates)
        self.clock.set(np.array([0, t], np.int64))
        if self.total is not None:
            self.total[...] = 0

    def kernels(self) -> int | None:
        """How many launches a captured step of a full batch has; None where that is not known."""
        graph: Any = self.graphs.get(self.batch_size)
        try:
            return graph.debug_dot_str().count("->") + 1  # they follow one another
        except (AttributeError, RuntimeError):
            return None

    def forget(self) -> None:
        if self.graphs:
            self.own.stream.synchronize()  # the last one may still run
            self.graphs.clear()
            self.memory.free_all_blocks()

    def body(self, size: int, data: tuple) -> None:
        """A step: all of it is on the device."""
        ops, rows = self.ops, self.rows[:size]
        ops._tick(self.clock, self.rate, self.rates, self.order, self.rows)
        loss = self.step(rows, *data)
        if self.total is None:
            self.total = ops.zeros((), loss.dtype)
        ops.axpby_inplace(self.total, float(size), loss, 1.0)

    def one(self, size: int, data: tuple) -> None:
        if self.allocations != self.ops.allocations:
            self.forget()
        graph = self.graphs.get(size)
        if graph is None and self.graph and self.plain.get(size, 0) >= WARM_UP:
            graph = self.capture(size, data)
        if graph is None:
            self.body(size, data)
            self.plain[size] = self.plain.get(size, 0) + 1
        else:
            graph.launch(self.own.stream)

    def capture(self, size: int, data: tuple) -> Any:
        """The graph of a step; None where there is something in it that cannot be captured.

        What the step allocates while it is captured comes from memory that nobody else gets: the graph will use it
        again and again. The stream is a non-blocking one: while a blocking one is captured, no thread may use the null
        stream.
        """
        allocations, stream = self.ops.allocations, self.own.capture_stream
        try:
            with stream, self.ops.xp.cuda.using_allocator(self.memory.malloc):
                self.ops._bind()
                stream.begin_capture()
                try:
                    self.ops.capturing = True
                    self.body(size, data)
                finally:
                    self.ops.capturing = False
                    graph = stream.end_capture()
        except Exception as error:
            self.graph = False
            warnings.warn(
                f"backend 'cupy': this model's training step cannot be captured as a CUDA graph ({error}); "
                "it runs step by step, which is slower for small models",
                stacklevel=2,
            )
            graph = None
        self.ops.allocations = self.allocations = allocations
        self.graphs[size] = graph
        return graph
