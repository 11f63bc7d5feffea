"""Team: processes that train one dense network together. Python's threads take turns at the interpreter, they do not.

`TeamTrainer` copies the process with fork, and from there on every member runs the same program over its own rows of
each batch. They share theta and what each layer got and gave, and meet where one needs what others have done:

    every member    forward and the loss over its own rows
    --- all are there ---
    from the last layer to the first:
        every member    backward over its own rows, to dy
        --- all are there ---
        every member    its columns of dx, over all rows;
                        while the others come: the gradient of its own rows of W, over all rows, and their update
        --- all have their columns ---
    --- all have made their updates ---

So the elementwise work and the update go to all CPUs as well, a matrix product needs no second thread, and a layer's W
is updated while it, x and dy are still in the cache. The update of a part by its owner alone is stage 1 of ZeRO
(Rajbhandari 2020).
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nanoae.backend import Array
from nanoae.backend.blas import openblas
from nanoae.backend.shared import SharedMemory
from nanoae.engine import fusion
from nanoae.engine.fusion import Divided, InPlace
from nanoae.engine.layers import Layer
from nanoae.training.loop import NotFiniteError, Trainer

PATIENCE = 100_000  # looks at another member's clock before the first nap: some milliseconds, more than a step's wait
NAPS = 1e-4, 1e-2  # seconds of the first nap and of the longest, each twice as long as the one before
BLOCK = 400_000  # numbers of a gradient computed at a time: for fewer, BLAS packs dy more often


class TeamError(RuntimeError):
    """A process of the team ended before its time."""


class Team:
    """`members` processes from `fork` to `dismiss`; `size` is how many now are there. `rank` tells a member who it is;
    0 is the process that was there before, alone before `fork` and after `dismiss`.

    share    this member's part of the rows of the batch at hand
    region   its place for them in memory that all share
    """

    def __init__(self, members: int):
        cpus = os.cpu_count() or 1
        if not 1 <= members <= cpus or members != int(members):
            raise ValueError(f"processes: expected 1 to {cpus}, the CPUs of this machine, got {members}.")
        if not hasattr(os, "fork") or platform.machine() not in ("x86_64", "AMD64"):
            # `wait` needs stores that others see in their order, which x86 promises and ARM does not.
            raise ValueError(f"processes: expected 1 where there is no fork or the CPU is not an x86, got {members}.")
        self.members, self.size, self.rank, self.count = members, 1, 0, 0
        self.share, self.region = 1.0, slice(0)
        self.children: list[int] = []
        self.shared = SharedMemory().zeros
        # How often each member has arrived, and a number from each; a memoryview is read faster than an array.
        self.clocks: list[Any] = [self.shared((1,), np.int64).data for _ in range(members)]
        self.board: Any = self.shared((members,), np.float64).data

    def fork(self, program: Callable[[], Any]) -> None:
        """Start the other members. Each runs `program` and ends."""
        leader, self.size = os.getpid(), self.members
        for clock in self.clocks:
            clock[0] = self.count  # those of an earlier team may have been ahead
        for rank in range(1, self.size):
            child = os.fork()
            if child:
                self.children.append(child)
                continue
            code = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the leader's to answer
                self.rank, self.leader, self.children = rank, leader, []
                program()
                code = 0
            except (NotFiniteError, TeamError):
                pass  # the leader has met the same, or is gone
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)  # nothing of the leader's is closed or flushed a second time

    def dismiss(self) -> None:
        """End the other members, wherever they are; this one is a team by itself again."""
        for child in self.children:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        self.children, self.size, self.share = [], 1, 1.0

    def part(self, n: int, turn: int = 0) -> slice:
        """This member's share of n rows; with another `turn`, another one's."""
        k = (self.rank + turn) % self.size
        return slice(n * k // self.size, n * (k + 1) // self.size)

    def take(self, rows: Any) -> Any:
        """Of the rows of a batch, this member's."""
        mine = rows[self.part(len(rows))]
        self.share = len(mine) / len(rows)
        return mine

    def meet(self) -> None:
        """Go on together."""
        self.arrive()
        self.wait()

    def arrive(self) -> None:
        """Tell the others that this member has come this far."""
        self.count += 1
        self.clocks[self.rank][0] = self.count

    def wait(self) -> None:
        """Until all have come as far as this member. TeamError where one never will."""
        for clock in self.clocks[: self.size]:
            looks, (nap, longest) = 0, NAPS
            while clock[0] < self.count:
                looks += 1
                if looks > PATIENCE:
                    self.check()
                    time.sleep(nap)
                    nap = min(2 * nap, longest)

    def check(self) -> None:
        """TeamError where a member is gone."""
        if self.rank:
            gone = os.getppid() != self.leader
        else:
            here = [child for child in self.children if not os.waitpid(child, os.WNOHANG)[0]]
            gone, self.children = len(here) < len(self.children), here  # its number may be another process's by now
        if gone:
            raise TeamError(
                "processes: a process of the team has ended. Its message is above, or memory ran out; try processes=1."
            )

    def gather(self, number: float) -> list[float]:
        """Everybody's number, in the order of ranks."""
        self.board[self.rank] = number
        self.meet()
        return [self.board[rank] for rank in range(self.size)]


class TeamTrainer(Trainer):
    """A Trainer whose `fit` is done by `processes` processes: same arguments and, but for rounding, same results; only
    noise is drawn by each member for itself.

    For networks on NumPy that work row by row and learn in Linear layers alone, and losses that are a mean or sum over
    rows; ValueError for others. It forks, so the program should have no threads of its own at that moment. While the
    team is there, theta and the optimiser's moments are in shared memory and `network.grad` is not filled in; callbacks
    run in this process alone, and of what they change the others learn the optimiser's `lr`. Before and after `fit`
    this is a plain Trainer.
    """

    def __init__(self, network, loss, optimizer, *, processes: int, **settings):
        super().__init__(network, loss, optimizer, **settings)
        if self.ops.name != "numpy":
            raise ValueError(f'processes: expected 1 with backend "{self.ops.name}", got {processes}.')
        if self.optimizer.clip_norm is not None:
            raise ValueError("processes: expected 1 with clip_norm, which needs the whole gradient at one place.")
        if not self.loss.by_row:
            raise ValueError(f"processes: expected 1 with {self.loss}, a mean over what is known in the whole batch.")
        self.team = Team(processes)
        self.rows = -(-self.batch_size // processes) * processes  # as many for each member
        self.together, self.divided = fusion.divide(network, self.rows, self.team)
        size = len(network.theta)
        self.trainable = [slice(*part.indices(size)[:2]) for part in self.optimizer.ranges]
        for place in (place for part in self.trainable for place in (part.start, part.stop)):
            for layer in self.divided:
                start, stop = layer.where["W"].start, layer.where["b"].stop
                if start < place < stop and (place - start) % layer.linear.n_out:
                    raise ValueError(
                        f"processes: expected slices of theta that begin and end between rows of W, got {place}, "
                        f"within a row of {layer.linear}. Use processes=1."
                    )

    # ---------------------------------------------------------------- one step

    def learn(self, rows, x, t, scale):
        return super().learn(self.team.take(rows), x, t, scale)

    def step(self, x, t):
        if self.team.size == 1:
            return super().step(x, t)
        team, loss, dy = self.team, 0.0, None
        layers: Sequence[Layer] = self.divided
        if len(x):
            layers = self.together.layers
            y, weight = self.together.forward(x, train=True), self.loss.weight
            try:
                self.loss.weight = weight if self.loss.reduction == "sum" else weight * team.share
                loss = self.loss.forward(y, t) + team.share * self.network.penalty()
                dy = self.loss.backward()
            finally:  # Ctrl-C may come anywhere
                self.loss.weight = weight
        else:
            for layer in self.network.layers:
                layer.tick()
        loss = sum(team.gather(float(loss)))
        if not math.isfinite(loss):
            self.stop_not_finite(None if self.begun is None else self.optimizer.t - self.begun + 1, loss)
        self.optimizer.step(self.network.theta, self.network.grad, self.gradients(layers, dy))
        return loss

    def gradients(self, layers: Sequence[Layer], dy: Array | None) -> Iterator[tuple[slice, Array]]:
        """Backward through `layers`, and (where, gradient) for the blocks of this member's part of theta, each computed
        when it is asked for, so that the optimiser finds it in the cache."""
        for layer in reversed(layers):
            dy = layer.backward(dy)
            layer = layer.layer if isinstance(layer, InPlace) else layer
            if isinstance(layer, Divided):
                for rows, where in self.blocks[layer]:
                    yield where, layer.gradient(rows, out=self.memory[: where.stop - where.start])
                if not layer.linear.need_dx:  # those before it learn nothing
                    break
                self.team.wait()
        self.team.meet()

    # ---------------------------------------------------------------- all epochs

    def fit(self, x, t=None, validation=None, scale=1.0):
        blas = openblas()
        threads = blas.use_threads(1) if blas else 0
        try:
            self.start(lambda: self.follow(x, t, scale))
            return super().fit(x, t, validation, scale)
        finally:
            self.end()
            if blas:
                blas.use_threads(threads)

    def epoch(self, x, t=None, scale=1.0):
        if self.team.size == 1:
            return super().epoch(x, t, scale)
        try:
            lr = self.optimizer.lr
            rates = self.team.gather(0.0 if callable(lr) else lr)
            self.optimizer.lr = lr if callable(lr) else rates[0]  # the leader's, which a callback may have changed
            self.link()
            self.team.meet()
            return super().epoch(x, t, scale)
        except BaseException:  # nobody goes on writing to theta, and what is to be told finds this process alone
            self.team.dismiss()
            raise

    def follow(self, x, t, scale) -> None:
        """What the other members do: every epoch that the leader begins, until it dismisses them."""
        while True:
            self.epoch(x, t, scale)

    def start(self, program: Callable[[], Any]) -> None:
        """Fork the team. The others run `program`."""

        def other():
            self.begin()
            program()

        self.place(self.team.shared)
        self.team.fork(other)
        self.begin()

    def end(self) -> None:
        """Dismiss the team. What was shared moves to memory of this process alone: it may fork for other reasons."""
        self.team.dismiss()
        self.place(self.ops.empty)
        for layer in self.divided:
            layer.linear.buffers.clear()
        self.loss.buffers.clear()
        self.x_batch = self.ops.empty((self.batch_size, *self.network.input_shape), self.network.dtype)

    def place(self, memory: Callable[..., Array]) -> None:
        """Move theta, its gradient and the moments to new memory(shape, dtype)."""
        network, moments = self.network, self.optimizer.moments
        theta, grad, *places = (memory(network.theta.shape, network.dtype) for _ in range(2 + len(moments)))
        network.place(theta, grad)
        self.optimizer.moments = [self.ops.copy(*pair) for pair in zip(moments, places, strict=True)]

    def begin(self) -> None:
        """Take on what is this member's: rows, a part of theta, and noise of its own."""
        team = self.team
        team.region = team.part(self.rows)
        self.blocks = {layer: list(blocks(layer, self.trainable)) for layer in self.divided}
        longest = max((where.stop - where.start for some in self.blocks.values() for _, where in some), default=0)
        self.memory = self.ops.empty(longest, self.network.dtype)
        if team.rank:
            generator = self.network.layers[0].generator
            own = self.ops.generator([int(generator.integers(2**63)), team.rank])
            for layer in self.network.layers:
                layer.generator = own
        self.link()

    def link(self) -> None:
        """Let layers, the batch and the loss write straight into the memory that all share."""
        region = self.team.region
        fusion.link(self.together, self.team)
        self.loss.buffers["dy"] = self.divided[-1].dy[region]
        if self.network.layers[0] is self.divided[0].linear:
            self.x_batch = self.divided[0].x[region]


def blocks(layer: Divided, trainable: list[slice]) -> Iterator[tuple[slice, slice]]:
    """(rows of this member's W and b, their place in theta) for those that learn, about BLOCK numbers each."""
    mine, start, n_out = layer.mine(), layer.where["W"].start, layer.linear.n_out
    for part in trainable:
        first, last = max(mine.start, (part.start - start) // n_out), min(mine.stop, (part.stop - start) // n_out)
        number = max(1, round((last - first) * n_out / BLOCK))
        height = -(-(last - first) // (16 * number)) * 16  # no thin rest, and what BLAS has whole tiles for
        for row in range(first, last, max(1, height)):
            rows = slice(row, min(row + height, last))
            yield rows, slice(start + rows.start * n_out, start + rows.stop * n_out)
