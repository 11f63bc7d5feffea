"""NCCL: sums over the GPUs of several ranks, sent from device to device on the computing stream."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np

TYPES = {"f": "NCCL_FLOAT32", "d": "NCCL_FLOAT64", "l": "NCCL_INT64", "q": "NCCL_INT64"}


class Nccl:
    """The ranks of an mpi4py communicator, each with its own GPU. All ranks must create it together."""

    def __init__(self, cupy: Any, comm: Any):
        self.cupy = cupy
        self.nccl = cupy.cuda.nccl
        name = comm.bcast(self.nccl.get_unique_id() if comm.rank == 0 else None)
        self.communicator = self.nccl.NcclCommunicator(comm.size, name, comm.rank)

    def sum_inplace(self, x: Any) -> None:
        """Enqueue the replacement of x, contiguous, by its sum over all ranks."""
        kind = getattr(self.nccl, TYPES[x.dtype.char])
        stream = self.cupy.cuda.get_current_stream()
        self.communicator.allReduce(
            x.data.ptr, x.data.ptr, x.size, kind, self.nccl.NCCL_SUM, stream.ptr
        )


def connect(cupy: Any, comm: Any) -> Nccl | None:
    """Return a connection, or None if CuPy lacks NCCL or ranks share a GPU, which NCCL does not allow: sums then go
    through the host."""
    module = getattr(cupy.cuda, "nccl", None)
    there = bool(getattr(module, "available", False))
    device = cupy.cuda.runtime.getDevice()
    found = comm.allgather((there, socket.gethostname(), device))
    if not all(there for there, *_ in found) or len(set(found)) < comm.size:
        return None
    return Nccl(cupy, comm)


def sum_through_host(cupy: Any, comm: Any, x: Any) -> None:
    """Replace x, contiguous, by its sum over all ranks, through host memory."""
    from mpi4py import MPI

    host = np.ascontiguousarray(cupy.asnumpy(x))
    comm.Allreduce(MPI.IN_PLACE, host)
    x[...] = cupy.asarray(host)
