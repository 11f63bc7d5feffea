"""Allowance: limits the memory that a block of code may allocate, for building models from untrusted files."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Allowance(threading.local):
    """left   bytes that this thread may still allocate"""

    left: float = math.inf

    @contextmanager
    def of(self, n: int) -> Iterator[None]:
        """Allow n bytes within the block; ValueError, before anything is allocated, for more."""
        before = self.left
        self.left = min(n, before)
        try:
            yield
        finally:
            self.left = before

    def spend(self, shape, dtype) -> None:
        if self.left == math.inf:
            return
        size = math.prod(np.atleast_1d(shape).tolist())
        n = size * np.dtype(dtype).itemsize
        if n > self.left:
            raise ValueError(
                f"expected arrays of at most {self.left:,} bytes more, got one of {n:,}, shape {shape}"
            )
        self.left -= n


ALLOWANCE = Allowance()
