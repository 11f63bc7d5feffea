"""NCCL: sums over the GPUs of several ranks, which go from device to device on the stream that computes."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np

TYPES = {"f": "NCCL_FLOAT32", "d": "NCCL_FLOAT64", "l": "NCCL_INT64", "q": "NCCL_INT64"}


class Nccl:
    """The ranks of an mpi4py communicator, each with a GPU of its own. All of them make one at the same time."""

    def __init__(self, cupy: Any, comm: Any):
        self.cupy = cupy
        self.nccl = cupy.cuda.nccl
        name = comm.bcast(self.nccl.get_unique_id() if comm.rank == 0 else None)
        self.communicator = self.nccl.NcclCommunicator(comm.size, name, comm.rank)

    def sum_inplace(self, x: Any) -> None:
        """Enqueue: x, contiguous, becomes the sum over all ranks."""
        kind = getattr(self.nccl, TYPES[x.dtype.char])
        stream = self.cupy.cuda.get_current_stream()
        self.communicator.allReduce(
            x.data.ptr, x.data.ptr, x.size, kind, self.nccl.NCCL_SUM, stream.ptr
        )


def connect(cupy: Any, comm: Any) -> Nccl | None:
    """None where CuPy was built without NCCL, or ranks share a GPU, which NCCL refuses: sums then go through the
    host."""
    module = getattr(cupy.cuda, "nccl", None)
    there = bool(getattr(module, "available", False))
    device = cupy.cuda.runtime.getDevice()
    found = comm.allgather((there, socket.gethostname(), device))
    if not all(there for there, *_ in found) or len(set(found)) < comm.size:
        return None
    return Nccl(cupy, comm)


def sum_through_host(cupy: Any, comm: Any, x: Any) -> None:
    """x, contiguous, becomes the sum over all ranks, by way of the host's memory."""
    from mpi4py import MPI

    host = np.ascontiguousarray(cupy.asnumpy(x))
    comm.Allreduce(MPI.IN_PLACE, host)
    x[...] = cupy.asarray(host)
