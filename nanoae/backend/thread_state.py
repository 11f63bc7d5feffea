"""Thread state: what an object remembers from one call to the next, for each thread that calls it by itself.

A layer writes its result to a buffer that its next call uses again, where two threads that call one layer must not
meet. So it has a ThreadState, in which each thread finds what it has left there itself, and nothing else. It goes with
its object, or with its thread.
"""

from __future__ import annotations

import math
import threading
from typing import Any


class ThreadState(threading.local):
    """buffers: memory by name, used again at each call; and the value of every ThreadLocal."""

    recording: Any = None  # of the work that this thread is at

    def __init__(self) -> None:  # once in every thread
        self.buffers: dict[Any, Any] = {}


class ThreadLocal:
    """An attribute of something Buffered: used like any other, and each thread has its own; None at first.

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
    """The base of objects with a ThreadState. A copy, or what was pickled, comes without it, as before it was built."""

    thread: ThreadState
    buffers = ThreadLocal()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "thread"}


class Reused(Buffered):
    """The base of layers and losses: their results lie in memory that the next call uses again."""

    ops: Any
    dtype: Any

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Memory of this shape, the same at each call; a smaller batch gets its leading rows."""
        buffers = self.thread.buffers
        kept = buffers.get(name)
        if kept is None or len(kept) < shape[0] or kept.shape[1:] != shape[1:]:
            kept = buffers[name] = self.ops.empty(shape, dtype or self.dtype)
        return kept if len(kept) == shape[0] else kept[: shape[0]]

    def memory(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """The same where other axes than the first may be shorter at the next call: contiguous all the same."""
        return self.buffer(name, (math.prod(shape),), dtype).reshape(shape)
