"""HostSums: sums over the ranks of an mpi4py communicator, of arrays in the host's memory; and memory that ranks of one
machine share, for what is too large to be sent.
"""

from __future__ import annotations

import functools
import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np

from nanoae.backend.array_ops import Array, ArrayOps, Shape

# Ranks that share a core let each other run. Linux wakes from the shortest sleep after 60 us.
give_way = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


class HostSums:
    """pending   requests for the sums under way, each with a `Test`, the same on all ranks"""

    def __init__(self, comm: Any):
        self.comm = comm
        self.pending: list[Any] = []
        self.seconds = 0.0  # spent waiting

    def start(self, x: Array, scale: float) -> None:
        """Begin to make x, contiguous, the sum of scale · x over all ranks; it is there after `wait`."""
        from mpi4py import MPI

        np.multiply(x, scale, out=x)
        self.pending.append(self.comm.Iallreduce(MPI.IN_PLACE, x))

    def start_shared(self, ops: ArrayOps, parts: list[Array], scales: list[float]) -> None:
        """Begin to make parts[0], in memory that all ranks see, Σ_r scales[r] · parts[r]: once all have come here."""
        self.pending.append(SharedSum(ops, parts, scales, self.comm.Ibarrier()))

    def progress(self) -> None:
        """Let what is under way go on: MPI moves where it is called."""
        for request in self.pending:
            request.Test()

    def wait(self) -> None:
        started = time.perf_counter()
        for request in self.pending:
            while not request.Test():
                give_way()
        self.pending = []
        self.seconds += time.perf_counter() - started

    def barrier(self) -> None:
        """Wait until all ranks have come here."""
        self.pending.append(self.comm.Ibarrier())
        self.wait()

    def shared_memory(self, shape: Shape, dtype: np.dtype) -> Array | None:
        """Zeros that all ranks see, if one machine has them all; they ask at the same time. It is a file in memory,
        which is gone with the last process that has it, whatever ends that."""
        if not hasattr(os, "memfd_create"):
            return None
        file = os.memfd_create(uuid4().hex)  # rank 0's is the one
        os.truncate(file, math.prod(shape) * dtype.itemsize)
        path = f"/proc/{os.getpid()}/fd/{file}"
        path, name = self.comm.bcast((path, os.readlink(path)))
        memory = None
        with suppress(OSError, ValueError):
            if os.readlink(path) == name:
                memory = np.asarray(np.memmap(path, dtype, "r+", shape=shape))
        seen = all(self.comm.allgather(memory is not None))
        os.close(file)
        return memory if seen else None


@dataclass
class SharedSum:
    """The request for parts[0] to be the sum of what ranks write to `parts`, once all have `written` it."""

    ops: ArrayOps
    parts: list[Array]
    scales: list[float]
    written: Any
    done: bool = False

    def Test(self) -> bool:
        if not self.done and self.written.Test():
            total, *others = self.parts
            scale, *scales = self.scales
            for other, its_scale in zip(others, scales, strict=True):
                self.ops.axpby_inplace(total, its_scale, other, scale)
                scale = 1.0
            self.done = True
        return self.done
