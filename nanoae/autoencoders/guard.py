"""Guard: any number of threads may read one estimator at once; a thread that changes it has it for itself.

Reading needs no lock: what a network remembers from call to call is each thread's own (`backend/thread_state.py`). What
would be silently wrong is `fit` in one thread while another one reads, or fits as well. So every call of a public
method is noted while it runs, and one that cannot go together with another thread's raises; none ever waits. The thread
that fits may use its estimator, as callbacks do.
"""

from __future__ import annotations

import functools
import inspect
import threading
from typing import Any

CHANGES = ("fit", "partial_fit", "build", "label", "from_file")  # how the names of methods begin that learn something
FREE = ("_", "get_", "set_")  # of those that have nothing to do with what was learned


class Call:
    """A method of an estimator that runs in a thread."""

    def __init__(self, estimator: Any, name: str):
        self.estimator, self.name, self.thread = estimator, name, threading.current_thread()
        self.changes = name.startswith(CHANGES)

    def collides(self, other: Call) -> bool:
        """Whether the two cannot run at once. A thread that is not alive was another process's, before a fork."""
        if self.estimator is not other.estimator or self.thread is other.thread:
            return False
        return (self.changes or other.changes) and other.thread.is_alive()


RUNNING: dict[Call, None] = {}  # in the order in which they began, as a set has none


def guarded(method):
    """`method`, which raises RuntimeError where another thread is in one that it cannot go together with."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        mine = Call(self, method.__name__)
        try:
            RUNNING[mine] = None
            check(mine)
            return method(self, *args, **kwargs)
        finally:
            RUNNING.pop(mine, None)  # one step that nothing interrupts, Ctrl-C neither

    return call


def check(mine: Call) -> None:
    """Look at the calls before `mine`: those behind it will have seen it."""
    for call in list(RUNNING):
        if call is mine:
            return
        if mine.collides(call):
            hint = (
                "Fit a new estimator and put it in this one's place: sklearn.base.clone, copy.deepcopy."
                if mine.changes
                else "Wait until that is done, or read a copy made before: copy.deepcopy."
            )
            raise RuntimeError(
                f"{type(mine.estimator).__name__}.{mine.name}: expected an estimator that no other thread "
                f"{'uses' if mine.changes else 'changes'}, got one that thread {call.thread.name!r} has in "
                f"`{call.name}`. {hint}"
            )


def guard(kind: type) -> None:
    """Have all public methods that `kind` defines guarded."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith(FREE):
            setattr(kind, name, guarded(method))
