"""Locks on open files and folders. The kernel holds them and releases them when their process ends, however it ends, so
no stale lock file with a process id is left behind."""

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
    # Windows, where folders are not locked, and open files cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

# Tries, and seconds between them: the kernel may still be closing the files of a process that was just killed.
LOOKS, PAUSE = 50, 0.01


def lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed. Return False if another open file holds the lock.

    Return True as well if the file system has no locks: they inform, they do not protect.
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
    """Hold a folder's write lock during the block. Raise BlockingIOError if another block, in any process, holds it."""
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
