"""Recorded steps: on the CPU a training step is a list of calls, recorded once and repeated outside the interpreter.

As with a CUDA graph (graph.py), a call is repeated with the very same arguments, so whatever differs between steps is
in arrays: a kernel at the start of the step (`tick` in kernels.cu) writes the rows of the batch, the step's number and
its learning rate to their places. At batch 32 the interpreter was half of a step.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import native
from nanoae.backend.ops import Array
from nanoae.backend.steps import Steps

WARM_UP = 2  # steps of a size that run plainly first: they make the buffers
AT_A_TIME = 16  # steps between two looks at what Python has to do: Ctrl-C
FLUSH_EVERY = 128  # the optimiser's: it looks after its moments in steps that run plainly


class Call(ctypes.Structure):
    """A launch; the same in pool.cpp."""

    _fields_ = [*(("launch", ctypes.c_void_p), ("arguments", ctypes.c_char_p)), *((c, ctypes.c_uint) for c in "xy")]


class Recording:
    """The launches of a step, in their order.

    whole   whether it was launches alone: NumPy's own work cannot be repeated
    check   after how many of them the loss is known
    """

    def __init__(self) -> None:
        self.thread, self.whole, self.check = threading.get_ident(), True, 0
        self.calls: list[tuple] = []
        self.kept: list[tuple] = []  # the arrays are in use as long as this is

    def add(self, launch: Any, packed: bytes, grid: tuple[int, ...], arguments: tuple) -> None:
        self.calls.append((ctypes.cast(launch, ctypes.c_void_p), packed, *grid))
        self.kept.append(arguments)

    def close(self, loss: Array) -> None:
        self.program, self.loss = (Call * len(self.calls))(*(Call(*call) for call in self.calls)), loss

    def repeat(self, steps: int) -> int:
        """So many steps; how many were done before one whose loss is not finite, of which nothing is left."""
        loss = self.loss
        replay = native.library().library.replay
        replay.restype = ctypes.c_size_t
        return replay(
            *(self.program, ctypes.c_size_t(len(self.calls)), ctypes.c_size_t(self.check)),
            *(ctypes.c_void_p(loss.ctypes.data), ctypes.c_size_t(loss.itemsize), ctypes.c_size_t(steps)),
        )


class RecordedSteps(Steps):
    """Steps of which the first of each size run plainly; then one is recorded, and repeated.

    A recording is good for the same data, settings and thread, and while no new buffers were made (`ops.allocations`
    counts them), as evaluation may; else a step is recorded anew.
    """

    def __init__(self, ops, step, optimizer, batch_size, settings: Callable[[], Any], repeatable: Callable[[], bool]):
        super().__init__(ops, step, optimizer, batch_size, settings)
        self.repeatable, self.may = repeatable, False  # whether it may be recorded, for what there is now
        self.recordings: dict[
            int, Recording | None
        ] = {}  # rows of a step -> its recording; None: it cannot be recorded
        self.plain: dict[int, int] = {}  # rows of a step -> how many of them ran plainly
        self.recorded_for: tuple = ()
        self.allocations = -1
        self.clock = np.zeros(2, np.int64)  # this epoch's step and the optimizer's t
        self.t, self.rate = self.clock[1:2].reshape(()), np.zeros((), np.float64)
        self.rows = np.empty(batch_size, np.int64)
        self.order, self.rates = np.empty(0, np.int64), np.empty(0)
        self.total: Array = None

    def run(self, order, *data):
        optimizer, n, batch = self.optimizer, len(order), self.batch_size
        before, steps = optimizer.t, -(-n // batch)
        places = [(x.__array_interface__["data"], x.shape, x.strides) if isinstance(x, np.ndarray) else x for x in data]
        wanted_for = places, self.settings(), threading.get_ident(), n
        if wanted_for != self.recorded_for:
            self.recorded_for, self.order, self.rates = wanted_for, np.empty(n, np.int64), np.empty(steps)
            self.recordings, self.plain, self.may = {}, {}, self.repeatable()
        if not self.may:
            return super().run(order, *data)
        self.order[:] = order
        self.rates[:] = [optimizer.rate_at(before + 1 + i) for i in range(steps)]
        if self.total is not None:
            self.total[...] = 0
        done = 0
        while done < steps:
            size = min(batch, n - done * batch)
            number = before + done + 1  # of the step
            same = 1 if size < batch else min(n // batch - done, AT_A_TIME, FLUSH_EVERY - number % FLUSH_EVERY)
            recording = self.recording(size) if number % FLUSH_EVERY else None
            self.clock[:] = done, before + done
            try:
                repeated = recording.repeat(same) if recording else 0
            finally:  # Ctrl-C is answered after all of them
                optimizer.t = int(self.clock[1])
            done += repeated
            optimizer.t = before + done
            if repeated == 0:  # there is no recording, or the loss is not finite, which the plain step says
                self.clock[:] = done, before + done
                self.one(size, data, record=number % FLUSH_EVERY != 0)
                done += 1
        optimizer.rate = float(self.rates[-1])
        return self.total

    def recording(self, size: int) -> Recording | None:
        if self.allocations != self.ops.allocations:
            self.recordings.clear()
            self.allocations = self.ops.allocations
        return self.recordings.get(size)

    def one(self, size: int, data: tuple, record: bool) -> None:
        """A step that Python runs, recorded once the buffers are there."""
        ops, rows, start = self.ops, self.rows[:size], int(self.clock[0]) * self.batch_size
        if not record or size in self.recordings or self.plain.get(size, 0) < WARM_UP:
            self.plain[size] = self.plain.get(size, 0) + 1
            rows[:] = self.order[start : start + size]
            self.add_up(size, self.step(rows, *data))
            return
        ops.recording = recording = Recording()
        optimizer, before = self.optimizer, self.optimizer.t
        optimizer.t, optimizer.rate, optimizer.driven = self.t, self.rate, True
        try:
            ops._tick(self.clock, self.rate, self.rates, self.order, self.rows)
            loss = self.step(rows, *data)
            self.add_up(size, loss)
        finally:
            ops.recording = None
            optimizer.t, optimizer.rate, optimizer.driven = before + 1, float(self.rate), False
        recording.close(loss)
        self.recordings[size], self.allocations = (recording if recording.whole else None), ops.allocations

    def add_up(self, size: int, loss: Array) -> None:
        if self.total is None:
            self.total = self.ops.zeros((), loss.dtype)
        self.ops.axpby_inplace(self.total, float(size), loss, 1.0)
