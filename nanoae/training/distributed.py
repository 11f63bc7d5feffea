"""Distributed: data-parallel training of one network by the ranks of a process group.

Every rank has the same network and the same order of the rows. It computes the gradient of the mean over its shard of
each batch; n_r / N times these are summed over all ranks, in place, in the single flat gradient array. The result is
the gradient of the mean over the whole batch, as in a single process. Then every rank takes the same step, or on one
machine, where theta is shared (shared_updates.py), a part of it. So P ranks behave like one process, only faster:
results differ only in the order of some sums.

If a file does not fit in memory, a rank reads only its own rows in each epoch. Passes over all rows before training, to
check and to scale them, are done by every rank, and so is decoding, once, of Parquet and text, without random access.

The all-reduce of a layer's gradients overlaps with the backward of earlier layers.

If a gradient is nearly 0, Adam divides it by little more than eps = 1e-8, which turns float64's rounding, 1e-16, into
1e-8 of a step. Losses of small networks agree to 1e-15; those of a convolutional network with many such gradients were
1e-10 apart after two epochs, as are those of one process with and without kernels, and 3e-15 with SGD.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm
from nanoae.training import divergence, fusion, state, stop
from nanoae.training.divergence import NotFiniteError
from nanoae.training.kfac import KFACTrainer, require
from nanoae.training.loop import Trainer
from nanoae.training.process_group import ProcessGroup, Shard, report_trace
from nanoae.training.sameness import comparable, fingerprint
from nanoae.training.shared_updates import SharedUpdates
from nanoae.training.whole_batch import SynchronisedBatchNorm, whole_batch

CHUNKS = 8  # number of chunks in which a gradient is reduced
LEAST_CHUNK = 1 << 14  # minimum size of a chunk
SAMPLED_ROWS = 64  # number of rows compared between ranks


class DistributedTrainer(Trainer):
    """A Trainer on one rank: same arguments, and the group. ValueError for layers that cannot be distributed."""

    late = True
    shared: SharedUpdates | None = None
    whole_gradient = False  # True if an update needs the whole gradient

    def __init__(
        self,
        network: Sequential,
        loss: Loss,
        optimizer: Any,
        *,
        group: ProcessGroup,
        **settings: Any,
    ):
        super().__init__(network, loss, optimizer, **settings)
        self.group = group
        self.agreed = False
        for layer in network.layers:
            nested = getattr(layer, "layer", None)
            if getattr(layer, "momenta", None) or isinstance(nested, BatchNorm):
                got = f"{group.size} ranks of MPI, which cannot train it together"
                hint = "Start it without mpiexec."
                raise ValueError(f"{layer}: expected a single process, got {got}. {hint}")
        self.verbose = self.verbose and group.rank == 0
        self.ops = whole_batch(network.ops, group)
        layers = [
            SynchronisedBatchNorm(layer, group) if isinstance(layer, BatchNorm) else layer
            for layer in network.layers
        ]
        if layers != network.layers:
            self.fast = fusion.fuse(network, layers)

    def repeatable(self) -> bool:
        """Return True if all ranks can record steps; they must agree, since a callback may have changed rank 0."""
        recorded = self.ops.repeats == "primitives" and super().repeatable()
        return all(self.group.gather(recorded))

    # ---------------------------------------------------------------- a step

    def shard(self, n: int) -> slice:
        shard = Shard.of(n, self.group.rank, self.group.size)
        return slice(shard.start, shard.stop)

    def local_rows(self, rows: Array) -> Array:
        self.group.shard = Shard.of(len(rows), self.group.rank, self.group.size)
        return rows[self.shard(len(rows))]

    @property
    def times(self) -> float:
        """Factor N / n_r of a loss that sums over rows, so that the weighted mean over ranks gives the sum; else 1."""
        shard = self.group.shard
        return shard.rows / (shard.stop - shard.start) if self.loss.reduction == "sum" else 1.0

    def gradient(self, x: Array, t: Array) -> Array:
        """As in Trainer, but without waiting for other ranks before backward: the summed loss is checked after it."""
        loss = self.batch_loss(self.fast.forward(x, train=True), t)
        self.backward(self.loss.backward())
        divergence.check_loss(self, loss)
        return loss

    def batch_loss(self, y: Array, t: Array) -> Array:
        """Return the loss of the whole batch; its value is valid after backward."""
        ops = self.network.ops
        loss = ops.call(operator.mul, self.loss.forward(y, t), self.times)
        loss = ops.call(operator.add, loss, self.network.penalty())
        memory = ops.empty(1, self.network.dtype)
        mean = ops.copy(loss, out=memory)
        self.group.start_mean(ops, mean)
        return mean.reshape(())

    def backward(self, dy: Array | None) -> None:
        """Run backward layer by layer. As soon as the finished layers fill a chunk of `grad`, start its all-reduce,
        which overlaps with the backward of earlier layers."""
        ops = self.network.ops
        if self.times != 1.0:
            ops.scale_inplace(dy, self.times)
        parts = [sum(g.size for g in own_grads(layer)) for layer in self.fast.layers]
        start = end = len(self.network.grad)
        least = max(LEAST_CHUNK, end // CHUNKS) if sum(parts) == end else end
        for layer, size in zip(reversed(self.fast.layers), reversed(parts), strict=True):
            dy = layer.backward(dy)
            start -= size
            ops.call(self.group.sums.progress)
            if end - start >= least:
                self.send(slice(start, end))
                end = start
            if dy is None:
                break
        self.send(slice(0, end))
        self.group.wait(ops)
        whole = self.whole_gradient or self.optimizer.clip_norm is not None
        if self.shared and whole:
            ops.call(self.shared.gather, self.network.grad)

    def send(self, chunk: slice) -> None:
        """Start to reduce a chunk of the gradient to that of the whole batch."""
        if self.shared:
            self.shared.start_mean(chunk)
        else:
            self.group.start_mean(self.network.ops, self.network.grad[chunk])

    @contextmanager
    def of_whole_batches(self) -> Iterator[None]:
        """Within the block, layers and loss draw noise and count targets for the whole batch."""
        parts: list[Any] = [*self.fast.layers, self.loss]
        for part in parts:  # the list grows: a loss may wrap another one
            if hasattr(part, "inner"):
                parts.append(part.inner)
        for part in parts:
            part.ops = self.ops
        try:
            yield
        finally:
            for part in parts:
                part.ops = self.network.ops

    # ---------------------------------------------------------------- an epoch

    def epoch(self, x: Array, t: Array | None = None, scale: float = 1.0) -> float:
        if not self.agreed:
            self.agree(x, t)
        shared = self.shared.in_use() if self.shared else nullcontext()
        with self.of_whole_batches(), shared:
            mean = super().epoch(x, t, scale)
        arrays = self.network.arrays()
        checksums = [zlib.crc32(np.ascontiguousarray(array).data) for array in arrays]
        hint = "Does a callback change them?"
        self.check_alike("the same weights after an epoch", checksums, hint)
        return mean

    def agree(self, *data: Array | None) -> None:
        """Check that all ranks have the same network, settings and rows, then start from the state of rank 0."""
        samples = [sample(self.network.ops, x) for x in data]
        mine = [comparable(state.identity(self)), samples]
        hint = "Set random_state to a number, and pass the same rows and settings to each rank: it takes its own shard."
        self.check_alike("the same network, settings and rows", mine, hint)
        facts, arrays = self.group.broadcast(state.take(self) if self.group.rank == 0 else None)
        if self.group.rank:
            state.restore(self, facts, arrays)
        k = 1 + len(self.optimizer.moments)
        shape = (k + self.group.size, len(self.network.theta))
        memory = self.network.ops.shared_memory(self.group.sums, shape, self.network.dtype)
        if memory is not None and self.shared is None:  # recorded steps hold its address
            self.updates = self.shared = SharedUpdates(self.updates, self.group, memory)
        self.agreed = True

    def check_alike(self, what: str, own: Any, hint: str) -> None:
        """Raise ValueError on every rank if `own` differs between ranks."""
        found = self.group.gather(own)
        other = [rank for rank, theirs in enumerate(found) if theirs != found[0]]
        if other:
            raise ValueError(
                f"training on {self.group.size} ranks: expected {what} on all, got different ones on rank "
                f"{', '.join(map(str, other[:8]))} than on rank 0. {hint}"
            )

    # ---------------------------------------------------------------- all epochs

    def fit(self, *data: Any, **settings: Any) -> dict[str, list[float]]:
        with self.group.guard(report_trace), stop.heeded():
            try:
                return super().fit(*data, **settings)
            except NotFiniteError:
                # All ranks raise it; rank 0 may have an earlier checkpoint.
                self.recovered = self.group.broadcast(self.recovered)
                self.network.set_state(self.group.broadcast(self.network.state()))
                raise

    def begin(self, *data: Array | None) -> None:
        super().begin(*data)
        self.agree(*data)

    def stop_early(self, val_loss: float | None) -> bool:
        """Decide by rank 0's loss, since other machines may round differently."""
        return super().stop_early(self.group.broadcast(val_loss))

    def call_back(self, row: dict[str, float]) -> bool:
        """Call the callbacks on rank 0, which may stop the training and set the learning rate of all ranks."""
        stopped: bool = self.group.rank == 0 and super().call_back(row)
        stopped, lr = self.group.broadcast(
            (stopped, None if callable(self.optimizer.lr) else self.optimizer.lr)
        )
        if lr is not None:
            self.optimizer.lr = lr
        return stopped

    def until_due(self, done: int) -> int:
        """Return the value of rank 0, which alone has checkpoints."""
        return int(self.group.broadcast(super().until_due(done)))

    def check_stop(self) -> None:
        if any(self.group.gather(stop.requested())):
            raise stop.StopRequested


class DistributedKFACTrainer(DistributedTrainer, KFACTrainer):
    """A DistributedTrainer with K-FAC, with factors of the Fisher matrix averaged over the whole batch."""

    whole_gradient = True

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        require(self.loss.reduction != "sum", "a loss that is a mean, on several ranks", "a sum")

    def is_full(self, x: Array) -> bool:
        return self.group.shard.rows == self.batch_size

    def measure_factors(self, x: Array) -> None:
        super().measure_factors(x)
        for layer in self.taps:
            for mean in (layer.A, layer.G):
                self.group.mean_inplace(self.network.ops, mean)


def own_grads(layer: Layer) -> list[Array]:
    """Return the gradients of a layer in a fused network."""
    inner = getattr(layer, "layer", layer)
    grads = getattr(inner, "grads", {})
    return list(grads.values())


def sample(ops: Ops, x: Any) -> Any:
    """Return a cheap identity of a table for comparison between ranks: its shape and a fingerprint of some rows."""
    if x is None:
        return None
    host = getattr(x, "host", x)
    rows: Any = slice(SAMPLED_ROWS)  # for files, adjacent rows, which are read at once
    if isinstance(host, np.ndarray):
        rows = np.linspace(0, len(x) - 1, SAMPLED_ROWS).astype(int)
    return x.shape, fingerprint(ops, (host[rows],))
