"""Stop: a signal that asks a training to end is answered between two steps, where everything is whole."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DEFAULT = {
    "SIGINT": signal.default_int_handler,
    "SIGTERM": signal.SIG_DFL,
    "SIGHUP": signal.SIG_DFL,
}


class StopRequested(KeyboardInterrupt):
    """Raised between two steps, or two epochs, once a signal has come."""


class Stop:
    """signum: the signal that came while signals were `heeded`, or None."""

    signum: int | None = None

    def __init__(self) -> None:
        self.terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def note(self, signum: int, frame: Any) -> None:
        """The first one is only noted; the next one ends the program at once, as it does outside."""
        if self.signum is not None:
            raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)
        self.signum = signum
        for descriptor in self.terminals:
            # it has been closed: who still writes to it is not to fail
            if not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


# The main thread's, if there is one: it alone gets signals, which are the whole process's
heeding: list[Stop] = []


@contextmanager
def heeded(leave: bool = True) -> Iterator[Stop]:
    """In the block SIGINT (Ctrl-C), SIGTERM and SIGHUP are noted for `check`. Signals that the program itself handles,
    or ignores, stay what they are, and so do all in other threads than the main one, which none of them reaches.

    leave   whether the program ends with the block, exit code 128 + n, after another signal than SIGINT
    """
    if heeding or threading.current_thread() is not threading.main_thread():
        yield heeding[0] if heeding else Stop()
        return
    stop = Stop()
    before = dict[int, Any]()
    for name, default in DEFAULT.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is default:
            before[number] = signal.signal(number, stop.note)
    heeding.append(stop)
    try:
        yield stop
    except KeyboardInterrupt:
        if not leave or stop.signum in (None, signal.SIGINT):
            raise
    finally:
        heeding.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
    if leave and stop.signum not in (None, signal.SIGINT):
        raise SystemExit(128 + stop.signum)


def requested() -> bool:
    """Whether a signal has come that is heeded."""
    return bool(heeding) and heeding[0].signum is not None


def check() -> None:
    """StopRequested if a signal has come."""
    if requested():
        raise StopRequested
