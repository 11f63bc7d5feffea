"""Shared memory: arrays that a process has in common with those it forks later, in huge pages where Linux gives them.

A product reads a matrix across its rows, and with pages of 4 KiB nearly every row is another entry of the page table.
A huge page has 2 MiB: of a training step on a million parameters and more that saved 2 to 3 %.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import sys

import numpy as np

HUGE = 2 << 20  # bytes of a huge page, which begins at a multiple of that
LINE = 64  # bytes of a line of the cache: no two arrays have one in common
MAP_FIXED, MADV_COLLAPSE = 0x10, 25  # Linux's numbers, the second one's since 6.1


class SharedMemory:
    """Arrays that stay common to a process and its forks."""

    def __init__(self) -> None:
        self.left = np.empty(0, np.uint8)

    def zeros(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        taken = -(-size // LINE) * LINE
        if taken > len(self.left):
            self.left = mapped(-(-taken // HUGE) * HUGE)
        memory, self.left = self.left[:size], self.left[taken:]
        return memory.view(dtype).reshape(shape)


def mapped(size: int) -> np.ndarray:
    """`size` bytes of zeros, a multiple of HUGE."""
    memory = mmap.mmap(-1, size + HUGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % HUGE
    if sys.platform == "linux":  # huge pages also want the mapping to begin at one, so a part of it is mapped anew
        address, sizes = ctypes.c_void_p(whole.ctypes.data + start), ctypes.c_size_t(size)
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_FIXED
        ctypes.CDLL(None).mmap(address, sizes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, ctypes.c_size_t(0))
        whole[start :: mmap.PAGESIZE] = 0  # only pages that are there can become a huge one
        with contextlib.suppress(OSError):  # an older kernel, or no huge page free: smaller ones do as well
            memory.madvise(MADV_COLLAPSE, start, size)
    return whole[start : start + size]
