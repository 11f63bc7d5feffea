"""Recorded calls: on the CPU a training step is a list of calls, recorded once and replayed without the layers.

A C loop (pool.cpp) launches the kernels among them; NumPy functions are called from Python. Without recording, Python
took half of the time of a step with 32 rows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import native
from nanoae.backend.array_ops import Array
from nanoae.backend.repeated import Recording

# Up to so many single-block launches take less time than releasing and reacquiring the GIL
FEW = 16


class Launch(ctypes.Structure):
    """A kernel launch; without a kernel, a check that a number of x bytes is finite. Same layout as in pool.cpp."""

    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("arguments", ctypes.c_char_p),
        ("x", ctypes.c_uint),
        ("y", ctypes.c_uint),
    ]


class Launches:
    """Consecutive launches. A call repeats them up to `times` and returns the number of completed repetitions: it stops
    if a check finds a number that is not finite."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.program: Any = None
        self.few = False  # True to keep the GIL

    def __call__(self, times: int) -> int:
        if self.program is None:
            self.program = (Launch * len(self.launches))(*self.launches)
            kernels = [launch for launch in self.launches if launch.kernel]
            single = all(launch.x * launch.y == 1 for launch in kernels)
            self.few = single and len(self.launches) <= FEW
        library = native.library()
        replay = library.replay_few if self.few and times == 1 else library.replay
        return replay(self.program, len(self.launches), times)


class Calls(Recording):
    """Calls in order, and references to their arrays, which keep these alive."""

    def __init__(self) -> None:
        self.parts: list[Callable[[int], int]] = []
        self.checked: list[Array] = []  # 0-d arrays checked to be finite
        self.kept: list[Any] = []

    def launch(self, kernel: Any, arguments: bytes, x: int, y: int, *kept: Any) -> None:
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, Launches):
            last = Launches()
            self.parts.append(last)
        pointer = ctypes.cast(kernel, ctypes.c_void_p)
        last.launches.append(Launch(pointer, arguments, x, y))
        self.kept.append((arguments, *kept))

    def check(self, number: Array) -> None:
        self.checked.append(number)
        place = np.array([number.ctypes.data], np.uintp)
        self.launch(None, place.tobytes(), number.itemsize, 1)

    def call(
        self,
        function: Callable[..., Any],
        ops: Any,
        arguments: tuple,
        named: dict[str, Any],
    ) -> Any:
        """Call function(ops, *arguments) and record it; the result is in the same array each time."""
        result = function(ops, *arguments, **named)
        handed_in = (*arguments, *named.values())
        if result is None or any(result is x for x in handed_in):

            def replay(times: int) -> int:
                function(ops, *arguments, **named)
                return times
        else:
            result = np.array(result)

            def replay(times: int) -> int:
                result[...] = function(ops, *arguments, **named)
                return times

        self.parts.append(replay)
        return result

    def repeat(self, times: int) -> int:
        if len(self.parts) == 1:
            done = self.parts[0](times)
        else:
            done = 0
            while done < times and all(part(1) for part in self.parts):
                done += 1
        if done < times:
            wrong = (number for number in self.checked if not np.isfinite(number))
            self.met = float(next(wrong))
        return done
