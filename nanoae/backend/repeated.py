"""Repeated: repeats the same work on a device, in particular training steps.

Work is recorded once and then replayed with the same arguments: everything that changes between repetitions has to be
in arrays. A recording is a list of calls on the CPU (recorded.py) and a CUDA graph on the GPU (graph.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any


class Recording:
    """Work that a device can repeat.

    met   the number that was not finite, if one has stopped `repeat`
    """

    met = math.nan

    def repeat(self, times: int) -> int:
        """Repeat the work up to `times`; return the number of completed repetitions. It is smaller if a number passed
        to `Ops.peek` was not finite, where the work stops."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until the work is finished."""


class Repeated:
    """Repeated work of several kinds, each always on the same arrays. The first `ops.warm_up` runs are unrecorded, then
    it is recorded.

    A recording is valid while no buffer is reallocated: `ops.allocations` counts allocations, which a larger batch in
    between causes. The work is then recorded again.

    met   as in Recording, for the last one
    """

    def __init__(self, ops: Any):
        self.ops = ops
        self.warm_up = ops.warm_up
        self.plain: Counter[Any] = Counter()  # kind of work -> number of unrecorded runs
        self.recordings: dict[Any, tuple[Recording, int]] = {}  # kind -> (recording, allocations)

    def run(self, kind: Any, work: Callable[[], object], times: int) -> int:
        """Do `work` of this kind up to `times`; return the number of completed runs, as in `Recording.repeat`."""
        done = 0
        while done < times and self.plain[kind] < self.warm_up:
            work()
            self.plain[kind] += 1
            done += 1
        if done == times:
            return times
        recording, allocations = self.recordings.get(kind, (None, 0))
        if recording is None or allocations != self.ops.allocations:
            recording = self.ops.record(work)
            if recording is None:
                self.warm_up = math.inf
                return done + self.run(kind, work, times - done)
            self.recordings[kind] = recording, self.ops.allocations
            done += 1
        done += recording.repeat(times - done)
        self.met = recording.met
        return done

    def forget(self) -> None:
        """Discard all recordings."""
        for recording, _ in self.recordings.values():
            recording.wait()
        self.recordings.clear()
