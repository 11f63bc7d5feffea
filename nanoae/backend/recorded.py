"""Recorded work: on the CPU a training step is a list of calls, recorded once and repeated without the layers above.

The kernels among them are launched by a loop in C (pool.cpp); what NumPy does is called from Python. At batch 32 the
interpreter was half of a step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import native
from nanoae.backend.array_ops import Array
from nanoae.backend.repeated import Repeated

FEW = 16  # launches of one block, done sooner than another thread has got the interpreter's lock


class Launch(ctypes.Structure):
    """Of a kernel, or, without one, a look at a number of so many bytes: is it finite? The same in pool.cpp."""

    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("arguments", ctypes.c_char_p),
        ("x", ctypes.c_uint),
        ("y", ctypes.c_uint),
    ]


class Launches:
    """Launches that follow each other. Called with a number of times, it gives how often none of their looks met a
    number that is not finite: there it stops."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.program: Any = None
        self.few = False  # the interpreter's lock is kept

    def __call__(self, times: int) -> int:
        if self.program is None:
            self.program = (Launch * len(self.launches))(*self.launches)
            single = all(launch.x * launch.y == 1 for launch in self.launches if launch.kernel)
            self.few = single and len(self.launches) <= FEW
        library = native.library()
        replay = library.replay_few if self.few and times == 1 else library.replay
        return replay(self.program, len(self.launches), times)


class Recording:
    """What was done, in its order, and the arrays that it was done to: they are in use as long as this is."""

    def __init__(self) -> None:
        self.parts: list[Callable[[int], int]] = []
        self.looks: list[Array] = []  # the numbers that were looked at
        self.kept: list[Any] = []

    def launch(self, kernel: Any, arguments: bytes, x: int, y: int, *kept: Any) -> None:
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, Launches):
            last = Launches()
            self.parts.append(last)
        last.launches.append(Launch(ctypes.cast(kernel, ctypes.c_void_p), arguments, x, y))
        self.kept.append((arguments, *kept))

    def look(self, number: Array) -> None:
        self.looks.append(number)
        place = np.array([number.ctypes.data], np.uintp)
        self.launch(None, place.tobytes(), number.itemsize, 1)

    def call(
        self, function: Callable[..., Any], ops: Any, arguments: tuple, named: dict[str, Any]
    ) -> Any:
        """function(ops, *arguments): its result, in the same array each time."""
        result = function(ops, *arguments, **named)
        if result is None or any(result is x for x in (*arguments, *named.values())):

            def again(times: int) -> int:
                function(ops, *arguments, **named)
                return times
        else:
            result = np.array(result)

            def again(times: int) -> int:
                result[...] = function(ops, *arguments, **named)
                return times

        self.parts.append(again)
        return result

    def repeat(self, times: int) -> int:
        """How often all of it was done."""
        if len(self.parts) == 1:
            return self.parts[0](times)
        for done in range(times):
            if not all(part(1) for part in self.parts):
                return done
        return times


class Recorded(Repeated):
    """Recordings are good while no new buffers are made (`ops.allocations` counts them): a larger batch in between
    wants larger ones. Then the work is recorded anew."""

    def __init__(self, ops: Any):
        super().__init__(ops)
        self.recordings: dict[
            Any, tuple[Recording, int]
        ] = {}  # kind of work -> its recording, allocations so far

    def run(self, kind, work, times):
        recording, allocations = self.recordings.get(kind, (None, 0))
        done = 0
        if recording is None or allocations != self.ops.allocations:
            recording = self.ops.record(work)
            self.recordings[kind] = recording, self.ops.allocations
            done = 1
        done += recording.repeat(times - done)
        if done < times:
            self.met = next(float(number) for number in recording.looks if not np.isfinite(number))
        return done

    def forget(self) -> None:
        self.recordings.clear()
