"""Mapping: a file whose bytes the system reads into memory as they are looked at, and may be asked to let go again."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

AT_ONCE = 1 << 17  # bytes: of more than that the system may read the first ones only


def mapping(source: Any) -> mmap.mmap | None:
    """The map of a file that is only read, whose rows the source has, if it has those of one."""
    while isinstance(source, np.ndarray):
        if isinstance(source, np.memmap) and source.mode != "r":
            return None  # what was written to it must not be lost
        source = source.base
    return source if isinstance(source, mmap.mmap) else None


def check_whole(source: Any) -> None:
    """OSError where a mapped file was cut since: the system ends a process that reads behind the end of one."""
    file = mapping(source)
    if file is not None and file.size() < len(file):
        raise OSError(f"expected a file of {len(file)} bytes, as it was opened, got {file.size()}.")


def read_ahead(rows: Any, wanted: int) -> None:
    """Have the system read of a mapped file, until `release`, no more than what is looked at: else it reads around each
    page, megabytes on some disks. Where these rows, of which so many are wanted, have no more pages, all at once."""
    file = mapping(rows)
    if file is None or not hasattr(mmap, "MADV_WILLNEED") or not rows.flags.c_contiguous:
        return
    file.madvise(mmap.MADV_RANDOM)
    origin = np.frombuffer(file, np.uint8).ctypes.data
    first = rows.ctypes.data - origin
    end = first + rows.nbytes if rows.nbytes <= wanted * mmap.PAGESIZE else 0
    for start in range(first - first % mmap.PAGESIZE, end, AT_ONCE):
        file.madvise(mmap.MADV_WILLNEED, start, min(AT_ONCE, end - start))


def release(source: Any) -> None:
    """Let go of the pages of a mapped file that were read: the system keeps them as long as nobody needs the memory."""
    file = mapping(source)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_NORMAL)
        file.madvise(mmap.MADV_DONTNEED)
