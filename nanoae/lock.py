"""Locks of open files and folders. The kernel keeps them, and they end with their process, however it ends: nothing is
left that a process number could be mistaken for."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows: folders are not locked there, and open files cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

# Tries, and seconds between: a killed process may be dead before the kernel has closed all that it had open.
LOOKS, PAUSE = 50, 0.01


def lock(descriptor: int) -> bool:
    """Takes the lock of an open file or folder until it is closed. False where another open file has it.

    True, too, where the file system knows no locks: they are there to tell, not to forbid.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno != errno.EWOULDBLOCK
    return True


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """The block alone writes to this folder; BlockingIOError where another such block, of any process, is at work."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(LOOKS):
            if lock(descriptor):
                break
            time.sleep(PAUSE)
        else:
            raise BlockingIOError(errno.EWOULDBLOCK, "another run writes to it", os.fspath(path))
        yield
    finally:
        os.close(descriptor)
