"""Mapping: memory-mapped files, whose pages the system reads on demand and can be asked to drop again."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

AT_ONCE = 1 << 17  # bytes per request: of a larger one the system may read only the beginning


def mapping(source: Any) -> mmap.mmap | None:
    """Return the read-only memory map that backs an array, or None if there is none."""
    while isinstance(source, np.ndarray):
        if isinstance(source, np.memmap) and source.mode != "r":
            return None  # releasing its pages could lose what was written
        source = source.base
    return source if isinstance(source, mmap.mmap) else None


def check_whole(source: Any) -> None:
    """Raise OSError if a mapped file was truncated: the system kills a process that reads past the end of one."""
    file = mapping(source)
    if file is not None and file.size() < len(file):
        raise OSError(f"expected a file of {len(file)} bytes, as it was opened, got {file.size()}.")


def read_ahead(rows: Any, wanted: int) -> None:
    """Make the system read only the pages that are accessed, until `release`.

    By default it reads around each page, megabytes on some disks. If the rows span no more pages than the number
    `wanted`, all of them are requested at once.
    """
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
    """Drop the pages of a mapped file: the system keeps them as long as nobody else needs the memory."""
    file = mapping(source)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_NORMAL)
        file.madvise(mmap.MADV_DONTNEED)
