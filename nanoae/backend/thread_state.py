"""Thread state: what an object remembers from one call to the next, for each thread that calls it by itself.

A layer writes its result to a buffer that its next call uses again, and leaves something for its backward. Two threads
that call one layer must meet in neither. So what is remembered is declared as each thread's own, and then used like any
other attribute:

>>> class Layer(ThreadState):
...     cache = ThreadLocal()
...     buffers = ThreadLocal(dict)

It goes with its object, or with its thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class FirstUse:
    """A threading.local that is made when it is asked for, once, whichever threads ask at the same time."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else vars(instance).setdefault("thread", threading.local())


class ThreadState:
    """The base of objects with a ThreadLocal. A copy, or what was pickled, begins without what theirs held."""

    thread = FirstUse()  # from then on it is found in the instance's own dict, before this

    def forget(self) -> None:
        """Nothing is remembered any more, of any thread."""
        vars(self).pop("thread", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "thread"}


class ThreadLocal:
    """An attribute of which each thread has its own; `initial` makes the first one: None, if nothing is said."""

    def __init__(self, initial: Callable[[], Any] = lambda: None):
        self.initial = initial

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            return getattr(instance.thread, self.name)
        except AttributeError:
            setattr(instance.thread, self.name, self.initial())
            return getattr(instance.thread, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance.thread, self.name, value)
