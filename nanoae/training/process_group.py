"""ProcessGroup: the processes that train one model together, where `mpiexec` has started several of this program.

MPI brings what there is to say: who one is, sums over all ranks, a value from rank 0 to all. mpi4py is imported where
an MPI launch is met, and never else.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nanoae.backend import Array, Ops
from nanoae.backend.host_sums import HostSums

# Environment variables by which Open MPI and MPICH say how many ranks there are
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")
SWITCH = "NANOAE_MPI"  # 0: each process is by itself
GRACE = 2.0  # seconds in which all ranks meet an error, if it is one that all of them meet
# seconds in which mpiexec passes on what was written; what it has not read then is lost
PASSED_ON = 0.5

Report = Callable[[BaseException], int]  # tells of an error; the exit code


@dataclass
class Shard:
    """The rows of a batch that are this rank's, start .. stop-1 of `rows`; and their share of all rows that the ranks
    compute. A batch of fewer rows than ranks is computed by each of them."""

    rows: int
    start: int
    stop: int
    share: float

    @classmethod
    def of(cls, rows: int, rank: int, size: int) -> Shard:
        if rows < size:
            return cls(rows, 0, rows, 1 / size)
        start = rows * rank // size
        stop = rows * (rank + 1) // size
        return cls(rows, start, stop, (stop - start) / rows)


class ProcessGroup:
    """All ranks of MPI_COMM_WORLD.

    rank, size   which of how many this process is; rank 0 alone prints and writes
    shard        what it has of the batch under way
    fitting      whether a `fit` is under way, in which all ranks do the same
    """

    shard: Shard

    def __init__(self, comm: Any):
        self.comm = comm
        self.errors = comm.Dup()
        self.rank = comm.rank
        self.size = comm.size
        self.pid = os.getpid()
        self.sums = HostSums(comm)
        self.fitting = self.guarded = False

    # ---------------------------------------------------------------- what is the same on all ranks afterwards

    def broadcast(self, value: Any) -> Any:
        """What rank 0 has, of anything that can be pickled."""
        return self.comm.bcast(value)

    def gather(self, value: Any) -> list[Any]:
        """What each rank has."""
        return list(self.comm.allgather(value))

    def start_sum(self, ops: Ops, x: Array, scale: float = 1.0) -> None:
        """Begin to make x, contiguous, the sum of scale · x over all ranks; it is there after `wait`. This and what
        follows are primitives, so that recorded work does them again."""
        ops.call(ops.start_sum, self.sums, x, scale)

    def start_mean(self, ops: Ops, x: Array) -> None:
        """Begin to make x, a mean over this rank's rows of the batch under way, the mean over all rows."""
        self.start_sum(ops, x, self.shard.share)

    def wait(self, ops: Ops) -> None:
        """All sums that were begun are there."""
        ops.call(self.sums.wait)

    def mean_inplace(self, ops: Ops, x: Array) -> Array:
        """The same, and it is there."""
        self.start_mean(ops, x)
        self.wait(ops)
        return x

    # ---------------------------------------------------------------- errors

    @contextmanager
    def guard(self, report: Report) -> Iterator[None]:
        """An error in the block that not all ranks meet ends all of them, told by `report`: the others wait for what
        this one will never send. One that all of them meet is raised."""
        if self.guarded:  # by a block around this one
            yield
            return
        self.guarded = True
        try:
            yield
        except BaseException as error:
            if not self.met_by_all():
                self.end_all(report(error))
            raise
        finally:
            self.guarded = False

    @contextmanager
    def fit(self) -> Iterator[None]:
        """In the block all ranks do the same, and rank 0 warns."""
        self.fitting = True
        try:
            with warnings.catch_warnings(), self.guard(report_trace):
                if self.rank:
                    warnings.simplefilter("ignore")
                yield
        finally:
            self.fitting = False

    def end_all(self, code: int) -> None:
        """End the processes of all ranks, this one for certain, with an exit code that is not 0."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(PASSED_ON)
        self.comm.Abort(code or 1)
        os._exit(code or 1)

    def met_by_all(self) -> bool:
        """Whether all ranks come here within a moment."""
        met = self.errors.Ibarrier()
        until = time.monotonic() + GRACE
        while not met.Test():
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def end_uncaught(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """What `sys.excepthook` is for."""
        if not self.met_by_all():
            self.end_all(report_trace(error))
        if self.rank == 0:
            sys.__excepthook__(kind, error, trace)


def report_trace(error: BaseException) -> int:
    """Tell of an error as Python does."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    traceback.print_exception(error)
    sys.stderr.flush()
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def launched() -> int:
    """How many processes an MPI launch has started, as its environment says; 1 where there is none."""
    texts = [os.environ.get(name, "") for name in SIZES]
    sizes = [int(text) for text in texts if text.isdigit()]
    return max(sizes, default=1)


_groups: list[ProcessGroup] = []  # the one there is, once it was met


def process_group() -> ProcessGroup | None:
    """The ranks that this process is one of; None where it is alone, as where NANOAE_MPI is 0.

    ImportError where `mpiexec` has started several processes that cannot find each other.
    """
    if _groups:
        # A process that a rank forked is no rank.
        return _groups[0] if _groups[0].pid == os.getpid() else None
    if os.environ.get(SWITCH) == "0" or (launched() == 1 and "mpi4py.MPI" not in sys.modules):
        return None
    alone = (
        f"each would train, and write over, what the others do. {SWITCH}=0 lets each be by itself"
    )
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f"expected mpi4py, as {launched()} processes were started by mpiexec, got none: {alone}. "
            'pip install "nanoae[mpi]" makes them ranks that train one model.'
        ) from error
    comm = MPI.COMM_WORLD
    if comm.size < launched():
        raise ImportError(
            f"expected {launched()} ranks, as mpiexec has started, got {comm.size}: mpi4py runs on another MPI "
            f"({MPI.Get_library_version().splitlines()[0][:60]}) than this mpiexec is of, so {alone}."
        )
    if comm.size == 1:
        return None
    _groups.append(ProcessGroup(comm))
    os.environ[SWITCH] = "0"  # for processes that this one starts
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _groups[0].end_uncaught
    return _groups[0]


def first_rank() -> bool:
    """Whether this process is the one that prints and writes."""
    group = process_group()
    return group is None or group.rank == 0


def ranks() -> int:
    """How many processes train one model."""
    group = process_group()
    return 1 if group is None else group.size
