"""ProcessGroup: the processes that train one model together if `mpiexec` has started several.

MPI provides the rank, sums over all ranks, and broadcasts from rank 0. mpi4py is imported only in an MPI launch.
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

# Environment variables with the number of ranks, set by Open MPI and MPICH
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")
SWITCH = "NANOAE_MPI"  # 0: processes are independent
GRACE = 2.0  # seconds within which all ranks reach an error that all of them raise
# Seconds for mpiexec to forward output; anything it has not read by then is lost
PASSED_ON = 0.5

Report = Callable[[BaseException], int]  # reports an error and returns the exit code


@dataclass
class Shard:
    """This rank's rows of a batch, start .. stop-1 of `rows`, and their share of all rows computed by the ranks. A
    batch with fewer rows than ranks is computed by each of them."""

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

    rank, size   index of this process and number of ranks; only rank 0 prints and writes
    shard        this rank's shard of the current batch
    fitting      True during a `fit`, in which all ranks do the same
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

    # ---------------------------------------------------------------- collectives

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value; anything that can be pickled."""
        return self.comm.bcast(value)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        return list(self.comm.allgather(value))

    def start_sum(self, ops: Ops, x: Array, scale: float = 1.0) -> None:
        """Start to replace x, contiguous, by the sum of scale · x over all ranks; it is complete after `wait`. This and
        the methods below are primitives, so that recorded work repeats them."""
        ops.call(ops.start_sum, self.sums, x, scale)

    def start_mean(self, ops: Ops, x: Array) -> None:
        """Start to replace x, a mean over this rank's rows of the current batch, by the mean over all rows."""
        self.start_sum(ops, x, self.shard.share)

    def wait(self, ops: Ops) -> None:
        """Wait until all started sums are complete."""
        ops.call(self.sums.wait)

    def mean_inplace(self, ops: Ops, x: Array) -> Array:
        """As `start_mean`, but wait until it is complete."""
        self.start_mean(ops, x)
        self.wait(ops)
        return x

    # ---------------------------------------------------------------- errors

    @contextmanager
    def guard(self, report: Report) -> Iterator[None]:
        """Within the block, an error that not all ranks raise is passed to `report` and ends all ranks, since the
        others would wait forever. An error that all ranks raise propagates."""
        if self.guarded:  # by an enclosing block
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
        """Mark a block in which all ranks do the same, and only rank 0 emits warnings."""
        self.fitting = True
        try:
            with warnings.catch_warnings(), self.guard(report_trace):
                if self.rank:
                    warnings.simplefilter("ignore")
                yield
        finally:
            self.fitting = False

    def end_all(self, code: int) -> None:
        """End the processes of all ranks, at least this one, with a non-zero exit code."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(PASSED_ON)
        self.comm.Abort(code or 1)
        os._exit(code or 1)

    def met_by_all(self) -> bool:
        """Return True if all ranks get here within GRACE seconds."""
        met = self.errors.Ibarrier()
        until = time.monotonic() + GRACE
        while not met.Test():
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def end_uncaught(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """Handle an uncaught exception, as `sys.excepthook`."""
        if not self.met_by_all():
            self.end_all(report_trace(error))
        if self.rank == 0:
            sys.__excepthook__(kind, error, trace)


def report_trace(error: BaseException) -> int:
    """Print an error as Python does; return the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    traceback.print_exception(error)
    sys.stderr.flush()
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def launched() -> int:
    """Return the number of processes in the MPI launch, from its environment; 1 without one."""
    texts = [os.environ.get(name, "") for name in SIZES]
    sizes = [int(text) for text in texts if text.isdigit()]
    return max(sizes, default=1)


_groups: list[ProcessGroup] = []  # the single group, once created


def process_group() -> ProcessGroup | None:
    """Return the group that this process belongs to; None for a single process, or if NANOAE_MPI is 0.

    Raises ImportError if `mpiexec` has started several processes that cannot connect to each other.
    """
    if _groups:
        # A process forked by a rank is not a rank.
        return _groups[0] if _groups[0].pid == os.getpid() else None
    if os.environ.get(SWITCH) == "0" or (launched() == 1 and "mpi4py.MPI" not in sys.modules):
        return None
    alone = f"each would train the same model and overwrite the others' files. {SWITCH}=0 makes them independent"
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f"expected mpi4py, since {launched()} processes were started by mpiexec, got none: {alone}. "
            'pip install "nanoae[mpi]" makes them ranks that train one model.'
        ) from error
    comm = MPI.COMM_WORLD
    if comm.size < launched():
        raise ImportError(
            f"expected {launched()} ranks, as started by mpiexec, got {comm.size}: mpi4py uses another MPI "
            f"({MPI.Get_library_version().splitlines()[0][:60]}) than this mpiexec, so {alone}."
        )
    if comm.size == 1:
        return None
    _groups.append(ProcessGroup(comm))
    os.environ[SWITCH] = "0"  # for processes that this one starts
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _groups[0].end_uncaught
    return _groups[0]


def first_rank() -> bool:
    """Return True if this process is the one that prints and writes."""
    group = process_group()
    return group is None or group.rank == 0


def ranks() -> int:
    """Return the number of processes that train one model."""
    group = process_group()
    return 1 if group is None else group.size
