"""SharedUpdates: an optimiser's steps on a network that all ranks of a machine have in common.

theta and the moments, one of each, lie in memory that all of these see, beside the gradient of each. A rank adds up one
part of the gradient over all ranks, and updates that part of theta: ZeRO's stage 1 (Rajbhandari et al. 2020), but that
nothing is sent. Where each rank has its own of all that, they crowd the way to memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nanoae.backend import Array
from nanoae.training.process_group import ProcessGroup, Shard
from nanoae.training.updates import Updates


class SharedUpdates(Updates):
    """The steps that `updates` had taken on each rank by itself.

    memory   (k + number of ranks, P): theta and the moments, k in all, and each rank's gradient
    """

    def __init__(self, updates: Updates, group: ProcessGroup, memory: Array):
        vars(self).update(vars(updates))
        self.group = group
        self.weights = memory[: -group.size]
        self.grads = memory[-group.size :]
        ends = [memory.shape[1] * rank // group.size for rank in range(group.size + 1)]
        self.parts = list(map(slice, ends, ends[1:]))  # of theta, each rank's

    def start_mean(self, chunk: slice) -> None:
        """Begin to make what is this rank's of a chunk of its gradient, a mean over its own rows of the batch under
        way, the mean over all rows."""
        group = self.group
        ops = self.network.ops
        ranks = sorted(range(group.size), key=group.rank.__ne__)  # this one first
        own = overlap(chunk, self.parts[group.rank])
        grads = [self.grads[rank, own] for rank in ranks]
        shares = [Shard.of(group.shard.rows, rank, group.size).share for rank in ranks]
        ops.call(group.sums.start_shared, ops, grads, shares)

    def gather(self, out: Array) -> None:
        """The gradient of the whole batch, all parts of it, in `out` (P,)."""
        self.group.sums.barrier()  # nobody adds up any more
        for grad, part in zip(self.grads, self.parts, strict=True):
            out[part] = grad[part]
        self.group.sums.barrier()  # nobody reads them any more

    def apply(self) -> None:
        super().apply()
        self.network.ops.call(self.group.sums.barrier)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """In the block the network and the optimiser have what is shared. It begins as rank 0's is."""
        parameters = self.network.parameters
        theta = parameters.theta
        grad = parameters.grad
        slices = self.slices
        own = [theta, *self.optimizer.moments]
        rank = self.group.rank
        self.group.sums.barrier()  # nobody reads what was there before
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
    """What is in both, perhaps nothing."""
    stop = min(some.stop, part.stop)
    return slice(min(max(some.start, part.start), stop), stop)
