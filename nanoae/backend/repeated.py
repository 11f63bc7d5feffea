"""Repeated: how a device does the same work again and again, a training step above all.

Work is recorded once and then done again from there, with the very same arguments: whatever differs from one time to
the next has to be in arrays. On the CPU a recording is a list of calls (recorded.py), on the GPU a CUDA graph
(graph.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any


class Recording:
    """Work that a device can do again.

    met   the number that was not finite, where one has ended `repeat`
    """

    met = math.nan

    def repeat(self, times: int) -> int:
        """Do it all again, up to so many times; how often that was. Where it is fewer, a number that `Ops.peek` was
        shown has come out not finite: there the work ends."""
        raise NotImplementedError

    def wait(self) -> None:
        """Until it is not under way any more."""


class Repeated:
    """Work of several kinds, done again and again, each kind on the same arrays each time: the first `ops.warm_up`
    times as it comes, then recorded.

    A recording is good while all memory stays where it was: `ops.allocations` counts the buffers that were made, and a
    larger batch in between needs one. Then the work is recorded anew.

    met   the last recording's
    """

    def __init__(self, ops: Any):
        self.ops = ops
        self.warm_up = ops.warm_up
        self.plain: Counter[Any] = Counter()  # kind of work -> how often it was done as it comes
        self.recordings: dict[Any, tuple[Recording, int]] = {}  # kind -> and allocations by then

    def run(self, kind: Any, work: Callable[[], object], times: int) -> int:
        """Do `work`, of this kind, up to so many times; how often that was, as `Recording.repeat` says."""
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
        """Let go of what was recorded."""
        for recording, _ in self.recordings.values():
            recording.wait()
        self.recordings.clear()
