"""SharedUpdates: the steps of an optimiser on a network in memory shared by all ranks of a machine.

Shared memory holds one theta, its moments, and the gradient of each rank. Every rank sums one part of the gradient over
all ranks and updates that part of theta: ZeRO stage 1 (Rajbhandari et al. 2020), but without sending anything. With
copies of theta and its moments in each rank, memory bandwidth would limit the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nanoae.backend import Array
from nanoae.training.process_group import ProcessGroup, Shard
from nanoae.training.updates import Updates


class SharedUpdates(Updates):
    """Replaces the `updates` of each rank.

    memory   (k + number of ranks, P): theta and the moments, k in all, then each rank's gradient
    """

    def __init__(self, updates: Updates, group: ProcessGroup, memory: Array):
        vars(self).update(vars(updates))
        self.group = group
        self.weights = memory[: -group.size]
        self.grads = memory[-group.size :]
        ends = [memory.shape[1] * rank // group.size for rank in range(group.size + 1)]
        self.parts = list(map(slice, ends, ends[1:]))  # each rank's part of theta

    def start_mean(self, chunk: slice) -> None:
        """Start to average this rank's part of a chunk of the gradient over all ranks, weighted by their rows of the
        current batch."""
        group = self.group
        ops = self.network.ops
        ranks = sorted(range(group.size), key=group.rank.__ne__)  # this one first
        own = overlap(chunk, self.parts[group.rank])
        grads = [self.grads[rank, own] for rank in ranks]
        shares = [Shard.of(group.shard.rows, rank, group.size).share for rank in ranks]
        ops.call(group.sums.start_shared, ops, grads, shares)

    def gather(self, out: Array) -> None:
        """Collect the gradient of the whole batch, all parts of it, in `out` (P,)."""
        self.group.sums.barrier()  # all ranks have summed their parts
        for grad, part in zip(self.grads, self.parts, strict=True):
            out[part] = grad[part]
        self.group.sums.barrier()  # all ranks have read them

    def apply(self) -> None:
        super().apply()
        self.network.ops.call(self.group.sums.barrier)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within the block, the network and the optimiser use the shared memory, initialised from rank 0."""
        parameters = self.network.parameters
        theta = parameters.theta
        grad = parameters.grad
        slices = self.slices
        own = [theta, *self.optimizer.moments]
        rank = self.group.rank
        self.group.sums.barrier()  # no rank reads the old contents any more
        for i, array in enumerate(own if rank == 0 else ()):
            self.weights[i] = array
        self.group.sums.barrier()
        parameters.rebind(self.weights[0], self.grads[rank])
        self.optimizer.moments = list(self.weights[1:])
        self.slices = [overlap(some, self.parts[rank]) for some in slices]
        try:
            yield
            self.gather(out=grad)
        finally:
            for array, shared in zip(own, self.weights, strict=True):
                array[...] = shared
            parameters.rebind(theta, grad)
            self.optimizer.moments = own[1:]
            self.slices = slices


def overlap(some: slice, part: slice) -> slice:
    """Return the intersection of two slices, which may be empty."""
    stop = min(some.stop, part.stop)
    return slice(min(max(some.start, part.start), stop), stop)
