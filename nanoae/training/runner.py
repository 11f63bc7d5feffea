"""StepRunner: runs the training steps of one epoch.

Every step does the same work on different numbers. If the device can repeat recorded work (backend/repeated.py),
everything that changes from step to step lives in its memory: `Ops.next_batch` writes the batch's row indices, the
step's number and its learning rate to where the step reads them. The losses are summed there too, and read once per
epoch.
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoae.backend import Array
from nanoae.configurable import config_snapshot, kinds_in
from nanoae.engine.network import Sequential
from nanoae.training import divergence
from nanoae.training.fusion import has_methods

if TYPE_CHECKING:
    from nanoae.training.loop import Trainer

AT_A_TIME = 16  # steps before Python gets a chance to notice Ctrl-C


@dataclass
class RowWindow:
    """A window of an epoch: its steps, and how many of them are done.

    order   row indices (n,), one batch after the other
    data    further arguments of the trainer's `batch`
    total   sum of the epoch's losses so far, each times its number of rows
    """

    order: np.ndarray
    data: tuple[Any, ...]
    done: int = 0
    total: Any = 0.0


class StepRunner:
    """Runs a trainer's steps. Recorded work is reused while data, settings and thread stay the same."""

    def __init__(self, trainer: Trainer):
        self.ops = trainer.ops
        self.batch_size = trainer.batch_size
        self.dtype = trainer.network.dtype
        self.repeated = self.ops.repeated()
        self.good_for: tuple[Any, ...] = ()
        self.order: Array = ()  # on the device, like everything else that `prepare` allocates

    def run(self, trainer: Trainer, window: RowWindow) -> Any:
        """Run the remaining steps; return the total of the losses."""
        product = largest_product(trainer.network, self.batch_size)
        with self.ops.threads_for(product):
            if not trainer.repeatable():
                return self.one_by_one(trainer, window)
            with self.ops.training_stream():
                self.prepare(trainer, window)
                return self.repeat(trainer, window)

    def rows_of_step(self, window: RowWindow) -> np.ndarray:
        """Return the row indices of the next step, at most `batch_size`."""
        start = window.done * self.batch_size
        return window.order[start : start + self.batch_size]

    def one_by_one(self, trainer: Trainer, window: RowWindow) -> Any:
        """Run the steps one by one, without recording."""
        while len(rows := self.rows_of_step(window)):
            local = trainer.local_rows(rows)
            self.fetch(window, local)
            batch = trainer.batch(self.ops.to_device(local), *window.data)
            loss = trainer.step(*batch)
            window.total = window.total + loss * len(rows)
            window.done += 1
            trainer.between_steps(window.done, window.total)
        return window.total

    def prepare(self, trainer: Trainer, window: RowWindow) -> None:
        """Copy this window's order, its learning rates and the losses so far to the device."""
        ops = self.ops
        optimizer = trainer.optimizer
        n = len(window.order)
        batch = self.batch_size
        steps = -(-n // batch)
        before = optimizer.t - window.done
        rates = [trainer.updates.rate_at(before + 1 + i) for i in range(steps)]
        data = tuple(map(ops.identity, window.data))
        good_for = (data, settings(trainer), threading.get_ident())
        if good_for != self.good_for or n > len(self.order):
            self.repeated.forget()
            self.repeated = ops.repeated()
            self.good_for = ()
            self.order = ops.zeros(n, "int64")
            self.rows = ops.zeros(min(batch, n), "int64")
            self.rates = ops.zeros(steps, "float64")
            self.rate = ops.zeros((), "float64")
            self.clock = ops.zeros(2, "int64")  # the epoch's step, optimizer.t
            self.total = ops.zeros((), self.dtype)
            self.t = self.clock[1:2].reshape(())
            self.good_for = good_for  # set last, since Ctrl-C may interrupt at any moment
        for place, numbers in (
            (self.order, window.order),
            (self.rates, rates),
            (self.clock, [window.done, optimizer.t]),
        ):
            given = ops.to_device(np.array(numbers, place.dtype))
            ops.copy(given, out=place[: len(numbers)])
        ops.copy(window.total, out=self.total)

    def repeat(self, trainer: Trainer, window: RowWindow) -> Array:
        """Run the steps: record one for each number of rows and repeat it from then on."""
        optimizer = trainer.optimizer
        first = optimizer.t - window.done
        whole = len(window.order) // self.batch_size
        try:
            while len(rows := self.rows_of_step(window)):
                fetched = self.fetch(window, trainer.local_rows(rows))
                same = max(whole - window.done, 1)  # steps left with this many rows
                until_due = trainer.until_due(window.done)
                times = 1 if fetched else min(same, AT_A_TIME, until_due)
                optimizer.t = self.t
                optimizer.rate = self.rate
                step = functools.partial(self.step, trainer, len(rows), *window.data)
                steps = self.repeated.run(len(rows), step, times)
                window.done += steps
                optimizer.t = first + window.done
                if steps < times:
                    trainer.at.step = trainer.steps_before + window.done
                    trainer.total = self.total
                    divergence.stop(trainer, self.repeated.met)
                trainer.between_steps(window.done, self.total)
        except BaseException:
            optimizer.t = int(self.ops.to_numpy(self.clock)[1])
            raise
        finally:
            optimizer.rate = trainer.updates.rate_at(max(optimizer.t, 1))
        return self.total

    def step(self, trainer: Trainer, n: int, *data: Any) -> None:
        """Do one training step that reads and writes device memory only."""
        self.ops.next_batch(self.clock, self.rate, self.rates, self.order, self.rows)
        rows = trainer.local_rows(self.rows[:n])
        batch = trainer.batch(rows, *data)
        loss = trainer.gradient(*batch)
        trainer.updates.apply()
        self.ops.axpby_inplace(self.total, float(n), loss, 1.0)

    def fetch(self, window: RowWindow, rows: np.ndarray) -> bool:
        """Copy the batch of streamed data (backend/host_dataset.py) to the device; return True if there is any."""
        streamed = [x for x in window.data if hasattr(x, "fetch")]
        for x in streamed:
            x.fetch(rows, min(self.batch_size, len(x)))
        return bool(streamed)


def repeatable(trainer: Trainer) -> bool:
    """Return True if every step does the same work, by means that the device can repeat. User-defined layers and
    overridden methods may do anything to arrays, and so cannot."""
    ops = trainer.ops
    if not ops.repeats:
        return False
    parts = trainer, *trainer.network.layers, trainer.loss, trainer.optimizer, trainer.updates
    if any(map(has_methods, parts)):
        return False
    kinds = type(trainer), *kinds_in(settings(trainer))
    ours = all(kind.__module__.startswith("nanoae.") for kind in kinds)
    return ops.repeats == "everything" or ours


def settings(trainer: Trainer) -> Any:
    """Return the settings on which a step depends and which a callback may have changed since the last epoch. The
    learning rate is not included: it is passed to each step."""
    layers = trainer.network.layers
    optimizer = trainer.optimizer
    kind, own = config_snapshot(optimizer)
    own.pop("lr", None)
    frozen = [getattr(layer, "frozen", None) for layer in layers]
    parts = config_snapshot([*layers, trainer.loss])
    return parts, frozen, kind, own, str(trainer.updates.slices)


def largest_product(network: Sequential, rows: int) -> int:
    """Return the number of multiplications in the largest matrix product for this number of rows."""
    largest = 0
    for layer in network.layers:
        places = math.prod(layer.out_shape[1:])
        for array in layer.params.values():
            largest = max(largest, array.size * places)
    return rows * largest
