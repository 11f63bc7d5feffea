"""HostSums: sums over the ranks of an mpi4py communicator, of arrays in the host's memory.

Ranks of one machine write what they have to memory that all of them see, and add up what is there. MPI moves it through
such memory too, but in small pieces: eleven million bytes of two ranks take it ten times as long.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.backend.array_ops import Array

LARGE = 1 << 15  # bytes: less is sent as soon as it is written
MOST = 8  # ranks, each of which reads what all have written
FOLDER = "/dev/shm"  # where MPI has the memory that ranks share


class HostSums:
    """pending   requests for the sums under way, each with a `Test`, the same on all ranks: at first, that all ranks
    have read the sums before them, where these were shared
    """

    def __init__(self, comm: Any):
        self.comm = comm
        self.pending: list[Any] = []
        self.window: Any = None
        self.memories: list[np.ndarray] = []  # what each rank writes to, bytes
        self.size = self.used = 0  # of one
        self.seconds = 0.0  # spent waiting

    def reserve(self, size: int) -> None:
        """Have so many bytes of shared memory, if there are as many; all ranks do it at the same time."""
        from mpi4py import MPI

        comm = self.comm
        if size <= self.size or comm.size > MOST:
            return
        free = 0
        machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
        if machine.size == comm.size and os.path.isdir(FOLDER):
            memory = os.statvfs(FOLDER)
            free = memory.f_bavail * memory.f_frsize
        machine.Free()
        if min(comm.allgather(free)) < 2 * size * comm.size:  # half of it is left to others
            return
        if self.window is not None:
            self.window.Unlock_all()
            self.window.Free()
        self.size = size
        self.window = MPI.Win.Allocate_shared(size, 1, comm=comm)
        self.window.Lock_all()
        shared: list[Any] = [self.window.Shared_query(rank)[0] for rank in range(comm.size)]
        self.memories = [np.frombuffer(memory, np.uint8, size) for memory in shared]

    def start(self, x: Array, scale: float) -> None:
        """Begin to make x, contiguous, the sum of scale · x over all ranks; it is there after `wait`."""
        from mpi4py import MPI

        start = self.used
        end = start + x.nbytes
        if x.nbytes >= LARGE and end <= self.size:
            shared = [memory[start:end] for memory in self.memories]
            parts = [memory.view(x.dtype).reshape(x.shape) for memory in shared]
            if start == 0 and self.pending:
                self.pending[0].Wait()  # until all have read what was written before
            np.multiply(x, scale, out=parts[self.comm.rank])
            self.used = end
            self.window.Sync()
            request = SharedSum(x, parts, self.window, self.comm.Ibarrier())
        else:
            np.multiply(x, scale, out=x)
            request = self.comm.Iallreduce(MPI.IN_PLACE, x)
        self.pending.append(request)

    def progress(self) -> None:
        """Let what is under way go on: MPI moves where it is called."""
        for request in self.pending:
            request.Test()

    def wait(self) -> None:
        started = time.perf_counter()
        for request in self.pending:
            while not request.Test():
                time.sleep(0)  # ranks that share a core let each other run
        self.pending = [self.comm.Ibarrier()] if self.used else []
        self.used = 0
        self.seconds += time.perf_counter() - started


@dataclass
class SharedSum:
    """The request for x to be the sum of parts that ranks write, once all have `written` them."""

    x: Array
    parts: list[Array]
    window: Any
    written: Any
    done: bool = False

    def Test(self) -> bool:
        if not self.done and self.written.Test():
            self.window.Sync()
            first, second, *others = self.parts
            np.add(first, second, out=self.x)
            for other in others:
                np.add(self.x, other, out=self.x)
            self.done = True
        return self.done
