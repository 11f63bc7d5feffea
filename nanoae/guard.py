"""Guard: any number of threads may read one estimator at once; a thread that changes it has it for itself.

Reading needs no lock: the buffers of a network are each thread's own (`backend/thread_state.py`). What would be
silently wrong is `fit` in one thread while another one reads, or fits as well. So every call of a public method is
noted while it runs, and one that cannot go together with another thread's raises; it does not wait for it. The thread
that fits may use its estimator, as callbacks do.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
# The names of methods that learn something begin like this.
CHANGES = ("fit", "partial_fit", "build", "label", "from_file")
FREE = ("_", "get_", "set_")  # of those that have nothing to do with what was learned

# (an estimator, a thread, the method that it is in, whether that changes the estimator)
Call = tuple[Any, int, str, bool]

RUNNING: dict[int, Call] = {}  # in the order in which they began
TURN = threading.RLock()
FEW = 1 << 15  # numbers
PATIENCE = 1.0  # seconds


def after_fork() -> None:
    global TURN
    RUNNING.clear()  # the threads of the others are not there
    TURN = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


@contextlib.contextmanager
def in_turn(numbers: int) -> Iterator[None]:
    """What is many calls of NumPy on few numbers is done by one thread after the other, each waiting for at most
    PATIENCE: side by side four threads wait for the interpreter's lock after each call, and take 1.7 times as long."""
    turn = TURN
    mine = numbers <= FEW and turn.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if mine:
            turn.release()


OF_THREAD = threading.local()


def work_for(thread: int) -> None:
    """From here on this thread does nothing but a part of what that one does, as reading ahead."""
    OF_THREAD.caller = thread


def caller() -> int:
    """The thread that this one works for, or itself."""
    return getattr(OF_THREAD, "caller", None) or threading.get_ident()


def guarded(method: F) -> F:
    """`method`, which raises RuntimeError where another thread is in one that it cannot go together with."""
    name = method.__name__
    changes = name.startswith(CHANGES)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        mine = self, caller(), name, changes
        key = id(mine)
        try:
            RUNNING[key] = mine
            if len(RUNNING) > 1:
                check(mine)
            return method(self, *args, **kwargs)
        finally:
            RUNNING.pop(key, None)  # one step that nothing interrupts, nor does Ctrl-C

    return cast(F, call)


def check(mine: Call) -> None:
    """Look at the calls that began before `mine`: those after it will have seen it."""
    estimator, thread, name, changes = mine
    for call in list(RUNNING.values()):
        if call is mine:
            return
        used, other, running, changing = call
        if used is estimator and other != thread and (changes or changing):
            raise RuntimeError(
                f"{type(estimator).__name__}.{name}: expected an estimator that no other thread "
                f"{'uses' if changes else 'changes'}, got one that another thread has in `{running}`. "
                "Wait until that is done, or give each thread a copy: copy.deepcopy, or sklearn.base.clone to fit."
            )


def guard(kind: type) -> None:
    """Have all public methods that `kind` defines guarded."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith(FREE):
            setattr(kind, name, guarded(method))
