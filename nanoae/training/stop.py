"""Stop: handles signals that ask a training to end between two steps, where the state is consistent."""

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
    """Raised between two steps or epochs after a signal was received."""


class Stop:
    """signum: the signal received within `heeded`, or None."""

    signum: int | None = None

    def __init__(self) -> None:
        self.terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def note(self, signum: int, frame: Any) -> None:
        """Store the first signal; end the program on the second, as without this handler."""
        if self.signum is not None:
            raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)
        self.signum = signum
        for descriptor in self.terminals:
            # The terminal was closed: keep later writes from failing
            if not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


# The Stop of the main thread, the only one that receives signals, if it is within `heeded`
heeding: list[Stop] = []


@contextmanager
def heeded(leave: bool = True) -> Iterator[Stop]:
    """Within the block, store SIGINT (Ctrl-C), SIGTERM and SIGHUP for `check`. Signals that the program handles or
    ignores itself are left alone. Outside the main thread, which alone receives signals, nothing is changed.

    leave   True to end the program after the block, with exit code 128 + n, if another signal than SIGINT was received
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
    """Return True if a signal was received within `heeded`."""
    return bool(heeding) and heeding[0].signum is not None


def check() -> None:
    """Raise StopRequested if a signal was received."""
    if requested():
        raise StopRequested
