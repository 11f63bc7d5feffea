"""Callbacks: functions (trainer, row) called after each epoch, with row = {"epoch": 1, "loss": ...}. A callback that
returns True stops the training.

Rows of a pretraining also have a "layer"; callbacks that monitor a loss ignore them.
"""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path
from typing import Any

from nanoae.training.loop import Trainer
from nanoae.whole_file import whole_file

COLUMNS = ("layer", "epoch", "loss", "val_loss", "learning_rate", "seconds")


def learning_rate(trainer: Trainer) -> float:
    """Return the learning rate of the last step."""
    return trainer.updates.rate_at(max(1, trainer.optimizer.t))


class Monitor:
    """Base of callbacks that monitor a loss.

    monitor   "val_loss", or "loss", which needs no validation data

    best      the lowest loss so far; reset at epoch 1 of a training
    """

    def __init__(self, monitor: str = "val_loss"):
        self.monitor = monitor
        self.best = math.inf

    def __call__(self, trainer: Trainer, row: dict[str, float]) -> None:
        if "layer" in row:
            return
        if self.monitor not in row:
            known = ", ".join(name for name in row if name.endswith("loss"))
            raise ValueError(
                f"{type(self).__name__}: expected monitor to be one of {known}, got {self.monitor!r}. For val_loss, "
                "pass validation_data=... to fit, or set validation_fraction=0.1."
            )
        if row["epoch"] == 1:
            self.best = math.inf
            self.start()
        if row[self.monitor] < self.best:
            self.best = row[self.monitor]
            self.better(trainer)
        else:
            self.no_better(trainer)

    def start(self) -> None:
        """Called when a training begins."""

    def better(self, trainer: Trainer) -> None:
        """Called if the loss is the lowest so far."""

    def no_better(self, trainer: Trainer) -> None:
        """Called otherwise."""


class BestCheckpoint(Monitor):
    """Save the best model of a training to a file for `nanoae.load`, whenever a better one is found.

    >>> nanoae.Autoencoder(epochs=5, callbacks=[nanoae.BestCheckpoint("best.npz")]).fit(x, validation_data=x_test)

    path      .npz; replaced atomically by each better model
    monitor   "val_loss" or "loss"
    """

    def __init__(self, path: str | Path, monitor: str = "val_loss"):
        super().__init__(monitor)
        self.path = path

    def better(self, trainer: Trainer) -> None:
        if trainer.model is None:
            raise ValueError(
                "BestCheckpoint: expected the training of an estimator, got a Trainer without one."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the warning that callbacks are not saved
            trainer.model.save(self.path)


class ReduceOnPlateau(Monitor):
    """Multiply the learning rate by `factor` if the loss has not decreased for `patience` epochs.

    factor    in (0, 1)
    patience  epochs >= 1, counted anew after each reduction
    least     lower bound of the learning rate, >= 0
    monitor   "val_loss" or "loss"
    """

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 5,
        least: float = 0.0,
        monitor: str = "val_loss",
    ):
        super().__init__(monitor)
        if not 0 < factor < 1 or not patience >= 1 or not least >= 0:
            raise ValueError(
                "ReduceOnPlateau: expected factor in (0, 1), patience >= 1 and least >= 0, "
                f"got {factor}, {patience} and {least}."
            )
        self.factor = factor
        self.patience = patience
        self.least = least
        self.waited = 0

    def start(self) -> None:
        self.waited = 0

    def better(self, trainer: Trainer) -> None:
        self.waited = 0

    def no_better(self, trainer: Trainer) -> None:
        self.waited += 1
        if self.waited < self.patience:
            return
        self.waited = 0
        rate = trainer.optimizer.lr
        if callable(rate):
            raise ValueError(
                f"ReduceOnPlateau: expected a learning rate that is a number, got the schedule {rate!r}."
            )
        lowered = max(self.factor * rate, self.least)
        trainer.optimizer.lr = min(rate, lowered)


class CSVLog:
    """Write one line per epoch to a CSV file: layer (in pretraining), epoch, loss, val_loss, learning_rate, seconds.

    Each object overwrites its file once and appends all its trainings to it. A resumed fit keeps the existing lines up
    to those that it writes again.
    """

    def __init__(self, path: str | Path):
        self.path = path
        self.begun = ""  # text, since a checkpoint would restore a number

    def __call__(self, trainer: Trainer, row: dict[str, float]) -> None:
        values: dict[str, Any] = {**row, "learning_rate": learning_rate(trainer)}
        cells = [str(values.get(name, "")) for name in COLUMNS]
        if not self.begun:
            resumed = trainer.checkpoints is not None and trainer.checkpoints.resumed
            lines = self.lines_before(cells) if resumed or row["epoch"] > 1 else []
            with whole_file(self.path, "w") as file:
                csv.writer(file).writerows([COLUMNS, *lines])
            self.begun = "yes"
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(cells)

    def lines_before(self, cells: list[str]) -> list[list[str]]:
        """Return the lines in the file before this one, which a killed run may already have written."""
        if not Path(self.path).exists():
            return []
        with open(self.path, encoding="utf-8", newline="") as file:
            whole = [line for line in csv.reader(file) if len(line) == len(COLUMNS)]
        lines = whole[1:]  # after the header
        layer, epoch = cells[:2]
        before = [layer, str(int(epoch) - 1)]
        if lines and lines[-1][:2] == before:
            return lines
        same = [number for number, line in enumerate(lines) if line[:2] == [layer, epoch]]
        return lines[: same[-1]] if same else lines
