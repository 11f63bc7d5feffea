"""HostSums: sums over the ranks of an mpi4py communicator, of arrays in the host's memory.

Ranks of one machine write what they have to memory that all of them see, and add up what is there. MPI moves it through
such memory too, but in small pieces: eleven million bytes of two ranks take it ten times as long.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from nanoae.backend.array_ops import Array

LARGE = 1 << 15  # bytes: less is sent as soon as it is written
MOST = 8  # ranks, each of which reads what all have written
FOLDER = "/dev/shm"  # where MPI has the memory that ranks share


class HostSums:
    """pending   requests for the sums under way, each with a `Test`; the same on all ranks"""

    def __init__(self, comm: Any):
        from mpi4py import MPI

        self.comm = comm
        self.pending: list[Any] = []
        self.shared: dict[int, SharedSum] = {}  # by the place in `pending`
        machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.one_machine = machine.size == comm.size <= MOST
        machine.Free()

    def start(self, x: Array, scale: float) -> None:
        """Begin to make x, contiguous, the sum of scale · x over all ranks; it is there after `wait`."""
        from mpi4py import MPI

        place = len(self.pending)
        if x.nbytes >= LARGE and self.one_machine and self.has_room(place, x.nbytes):
            request = self.shared[place].start(x, scale)
        else:
            np.multiply(x, scale, out=x)
            request = self.comm.Iallreduce(MPI.IN_PLACE, x)
        self.pending.append(request)

    def has_room(self, place: int, size: int) -> bool:
        """Whether there is shared memory for a sum of so many bytes."""
        known = self.shared.get(place)
        if known is not None and known.size >= size:
            return True
        free = 0
        if os.path.isdir(FOLDER):
            memory = os.statvfs(FOLDER)
            free = memory.f_bavail * memory.f_frsize
        if (
            min(self.comm.allgather(free)) < 4 * size * self.comm.size
        ):  # half of it is left to others
            return False
        if known is not None:
            known.free()
        self.shared[place] = SharedSum(self.comm, size)
        return True

    def progress(self) -> None:
        """Let what is under way go on: MPI moves where it is called."""
        for request in self.pending:
            request.Test()

    def wait(self) -> None:
        for request in self.pending:
            while not request.Test():
                time.sleep(0)  # ranks that share a core let each other run
        self.pending.clear()


class SharedSum:
    """A sum of up to `size` bytes over the ranks of one machine, and a request for it, of MPI's kind.

    Two halves of the memory take turns. Who begins a sum has found the one before it done, for which all ranks have
    begun that one, and so have read the sum before it: there it writes.
    """

    def __init__(self, comm: Any, size: int):
        from mpi4py import MPI

        self.comm = comm
        self.size = size
        self.window = MPI.Win.Allocate_shared(2 * size, 1, comm=comm)
        self.window.Lock_all()
        memories: list[Any] = [self.window.Shared_query(rank)[0] for rank in range(comm.size)]
        self.halves = [
            [np.frombuffer(memory, np.uint8, size, offset) for memory in memories]
            for offset in (0, size)
        ]
        self.written: list[Array] = []

    def start(self, x: Array, scale: float) -> SharedSum:
        self.x = x
        self.halves.reverse()
        self.written = [part[: x.nbytes].view(x.dtype).reshape(x.shape) for part in self.halves[0]]
        np.multiply(x, scale, out=self.written[self.comm.rank])
        self.window.Sync()
        self.all_begun = self.comm.Ibarrier()
        return self

    def Test(self) -> bool:
        if self.written and self.all_begun.Test():
            self.window.Sync()
            first, second, *others = self.written
            np.add(first, second, out=self.x)
            for other in others:
                np.add(self.x, other, out=self.x)
            self.written = []
        return not self.written

    def free(self) -> None:
        self.window.Unlock_all()
        self.window.Free()
