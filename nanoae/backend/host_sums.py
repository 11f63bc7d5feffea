"""HostSums: sums of host arrays over the ranks of an mpi4py communicator, and memory shared by the ranks of one
machine, for arrays too large to be sent.
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

# Yields to other ranks on the same core; even the shortest sleep takes 60 us on Linux.
give_way = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


class HostSums:
    """pending   requests of unfinished sums, each with a `Test`, in the same order on all ranks"""

    def __init__(self, comm: Any):
        self.comm = comm
        self.pending: list[Any] = []
        self.seconds = 0.0  # spent waiting

    def start(self, x: Array, scale: float) -> None:
        """Start to replace x, contiguous, by the sum of scale · x over all ranks; it is complete after `wait`."""
        from mpi4py import MPI

        np.multiply(x, scale, out=x)
        self.pending.append(self.comm.Iallreduce(MPI.IN_PLACE, x))

    def start_shared(self, ops: ArrayOps, parts: list[Array], scales: list[float]) -> None:
        """Start to set parts[0], in shared memory, to Σ_r scales[r] · parts[r], once all ranks have called this."""
        self.pending.append(SharedSum(ops, parts, scales, self.comm.Ibarrier()))

    def progress(self) -> None:
        """Advance unfinished sums: MPI makes progress only when it is called."""
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
        """Wait until all ranks have called this."""
        self.pending.append(self.comm.Ibarrier())
        self.wait()

    def shared_memory(self, shape: Shape, dtype: np.dtype) -> Array | None:
        """Return zeros shared by all ranks, None if they are not on one machine; all ranks must call it. The memory is
        an anonymous file, which disappears with the last process that maps it, however that ends."""
        if not hasattr(os, "memfd_create"):
            return None
        file = os.memfd_create(uuid4().hex)  # rank 0's is used
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
    """Request that sets parts[0] to the scaled sum of `parts` once all ranks have `written` theirs."""

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
