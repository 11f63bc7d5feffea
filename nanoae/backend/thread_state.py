"""Thread state: what an object keeps between calls, separately for each thread.

A layer writes its result to a buffer that its next call reuses, which two threads must not share. So it has a
ThreadState, in which each thread sees only its own values. They are freed with the object or with the thread.
"""

from __future__ import annotations

import math
import threading
from typing import Any


class ThreadState(threading.local):
    """buffers: memory by name, reused at each call; also holds the value of every ThreadLocal."""

    recording: Any = None  # of the thread's current work

    def __init__(self) -> None:  # called once per thread
        self.buffers: dict[Any, Any] = {}


class ThreadLocal:
    """An attribute of a Buffered object with a separate value in each thread, initially None.

    >>> class Embedding(nanoae.Layer):
    ...     ids = nanoae.backend.ThreadLocal()
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return getattr(instance.thread, self.name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance.thread, self.name, value)


class Buffered:
    """Base of objects with a ThreadState. Copies and pickles do not include it, as before `build`."""

    thread: ThreadState
    buffers = ThreadLocal()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "thread"}


class Reused(Buffered):
    """Base of layers and losses: their results are in memory that the next call reuses."""

    ops: Any
    dtype: Any

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return memory of this shape, the same at each call; a smaller batch gets its leading rows."""
        buffers = self.thread.buffers
        kept = buffers.get(name)
        if kept is None or len(kept) < shape[0] or kept.shape[1:] != shape[1:]:
            kept = buffers[name] = self.ops.empty(shape, dtype or self.dtype)
        return kept if len(kept) == shape[0] else kept[: shape[0]]

    def memory(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """As `buffer`, but contiguous even if other axes than the first are shorter in a later call."""
        return self.buffer(name, (math.prod(shape),), dtype).reshape(shape)
