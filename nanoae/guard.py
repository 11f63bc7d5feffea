"""Guard: any number of threads may read an estimator at once, but a thread that changes it needs exclusive use.

Reading needs no lock, since each thread has its own network buffers (`backend/thread_state.py`). Calling `fit` while
another thread reads or fits would give wrong results without an error. So every public method is recorded while it
runs, and a call that conflicts with another thread's raises instead of waiting. The thread that fits may use its
estimator, as callbacks do.
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
# Prefixes of methods that change the estimator
CHANGES = ("fit", "partial_fit", "build", "label", "from_file")
FREE = ("_", "get_", "set_")  # prefixes of methods that do not touch the learned state

# (estimator, thread, running method, whether that method changes the estimator)
Call = tuple[Any, int, str, bool]

RUNNING: dict[int, Call] = {}  # in the order they started
TURN = threading.RLock()
FEW = 1 << 15  # numbers up to which threads take turns
PATIENCE = 1.0  # seconds to wait for a turn


def after_fork() -> None:
    global TURN
    RUNNING.clear()  # the parent's other threads do not exist in the child
    TURN = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


@contextlib.contextmanager
def in_turn(numbers: int) -> Iterator[None]:
    """Let one thread at a time run a block of many small NumPy calls; each waits for at most PATIENCE.

    Side by side, four threads wait for the interpreter lock after each call and take 1.7 times as long.
    """
    turn = TURN
    mine = numbers <= FEW and turn.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if mine:
            turn.release()


OF_THREAD = threading.local()


def work_for(thread: int) -> None:
    """Mark the current thread as a worker of another one, for example to read ahead."""
    OF_THREAD.caller = thread


def caller() -> int:
    """Return the thread that the current one works for, or the current one."""
    return getattr(OF_THREAD, "caller", None) or threading.get_ident()


def guarded(method: F) -> F:
    """Wrap a method so that it raises RuntimeError if it conflicts with a call in another thread."""
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
            RUNNING.pop(key, None)  # atomic: not even Ctrl-C interrupts it

    return cast(F, call)


def check(mine: Call) -> None:
    """Raise RuntimeError if a call that started before `mine` conflicts with it. Later calls check against `mine`."""
    estimator, thread, name, changes = mine
    for call in list(RUNNING.values()):
        if call is mine:
            return
        used, other, running, changing = call
        if used is estimator and other != thread and (changes or changing):
            raise RuntimeError(
                f"{type(estimator).__name__}.{name}: expected an estimator that no other thread "
                f"{'uses' if changes else 'changes'}, got one whose `{running}` is running in another thread. "
                "Wait until it returns, or give each thread a copy: copy.deepcopy, or sklearn.base.clone to fit."
            )


def guard(kind: type) -> None:
    """Guard all public methods that the class `kind` defines."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith(FREE):
            setattr(kind, name, guarded(method))
