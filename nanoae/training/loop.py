"""The training loop: epochs of shuffled mini-batches, validation, early stopping, history."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import Array, Reused, ThreadState
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm
from nanoae.engine.optim import Optimizer
from nanoae.progress import progress
from nanoae.spelling import one_of
from nanoae.training import divergence, fusion, stop
from nanoae.training.checkpoint import Checkpoints
from nanoae.training.divergence import NotFiniteError
from nanoae.training.evaluation import evaluate
from nanoae.training.order import windows
from nanoae.training.runner import RowWindow, StepRunner, repeatable
from nanoae.training.state import Arrays, Facts, Position
from nanoae.training.updates import Updates
from nanoae.warning import warn

History = dict[str, list[float]]
Callback = Callable[["Trainer", dict[str, float]], object]
Validation = tuple[Array, Array | None] | None  # rows and their targets


class Trainer(Reused):
    """Trains a built network on arrays of its device.

    network, loss, optimizer   loss and optimizer are built here
    batch_size                 rows per step; the last batch of an epoch may be smaller. If it is too small for a layer
                               (one row for BatchNorm), these rows, different ones in each epoch, are skipped
    epochs                     planned epochs, for schedules and the progress bar
    seed                       int or SeedSequence: the order of the examples, the same on every backend
    patience                   None, or stop after so many epochs without a better validation loss, at the best weights
    callbacks                  called as callback(trainer, row) after each epoch, row = {"epoch": 1, "loss": ...};
                               returning True stops the training
    verbose                    show a progress bar
    trainable                  slices of theta to train; None: all of theta
    on_divergence              "stop": raise NotFiniteError; "restore": repeat the epoch with half the learning rate,
                               repeatedly, down to a thousandth
    fuse                       run the fused network (`fusion.py`) instead of its plain layers

    After `fit`, `history` has a list per quantity with one entry per epoch: "loss", "val_loss", "seconds".

    weights   None, or sampling weights (N,): the rows of an epoch are then `drawn` in proportion to them
    """

    weights: np.ndarray | None = None
    model: Any = None  # the estimator that owns the network, for callbacks: a weak proxy
    # (x, t, scale) -> validation loss, used instead of `evaluate`
    measure: Callable[..., float] | None = None
    good: tuple[Facts, Arrays] | None = None  # the state before the current epoch
    checkpoints: Checkpoints | None = None  # of the current fit
    total: Any = 0.0  # sum of the current epoch's losses, each times its number of rows
    late = False  # True if a step's loss is checked after its backward
    steps_before = 0  # steps of the epoch before the current window
    entered: tuple[int, Any] = (0, 0.0)  # steps already done of the next epoch, and their total
    interrupted = False  # True if Ctrl-C ended `fit`
    recovered = False  # True if good weights were restored after a divergence
    begun: int | None = None  # within an epoch: the optimizer's t before it

    def __init__(
        self,
        network: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        *,
        batch_size: int,
        epochs: int,
        rows: int,
        seed: int | np.random.SeedSequence = 0,
        patience: int | None = None,
        callbacks: tuple[Callback, ...] = (),
        verbose: bool = False,
        trainable: list[slice] | None = None,
        fuse: bool = True,
        on_divergence: str = "stop",
    ):
        expected = {
            "batch_size and rows >= 1": min(batch_size, rows) >= 1,
            "loss=MSE() or another one": isinstance(loss, Loss),
            "optimizer=Adam() or another one": isinstance(optimizer, Optimizer),
            "a built network: call network.build(input_shape) first": hasattr(network, "ops"),
        }
        for wanted, right in expected.items():
            if not right:
                got = f"batch_size={batch_size}, rows={rows}, {network}, {loss!r} and {optimizer!r}"
                raise ValueError(f"Trainer: expected {wanted}, got {got}.")
        self.network = network
        self.layers = [*network.layers]
        self.ops = network.ops
        self.dtype = network.dtype
        self.thread = ThreadState()
        self.fast = fusion.fuse(network) if fuse else network  # the same parameters, fewer passes
        self.batch_size = min(batch_size, rows)
        self.epochs = epochs
        self.rows = rows
        self.loss = loss.build(self.ops, network.dtype)
        steps = epochs * math.ceil((rows - self.too_few(rows)) / self.batch_size)
        self.optimizer = optimizer.build(self.ops, network.theta, steps)
        self.updates = Updates(network, self.optimizer, trainable)
        self.order = np.random.default_rng(seed)
        self.patience = patience
        self.callbacks = callbacks
        self.verbose = verbose
        self.on_divergence = one_of("on_divergence", on_divergence, ("stop", "restore"))
        self.history: History = {"loss": [], "seconds": []}
        self.at = Position()
        self.best_state = list[Array]()
        self.runner = StepRunner(self)

    # ---------------------------------------------------------------- one step, one epoch

    def gradient(self, x: Array, t: Array) -> Array:
        """Return the loss of a batch, a 0-d array; write its gradient to network.grad. Raises NotFiniteError if the
        loss is not finite, unless reading it would stall the device."""
        loss = self.batch_loss(self.fast.forward(x, train=True), t)
        divergence.check_loss(self, loss)  # before backward spreads a NaN over all layers
        self.backward(self.loss.backward())
        return loss

    def batch_loss(self, y: Array, t: Array) -> Array:
        loss = self.loss.forward(y, t)
        penalty = self.network.penalty()
        if isinstance(penalty, int):  # 0 where no layer has one
            return loss
        return self.ops.call(operator.add, loss, penalty)

    def backward(self, dy: Array) -> None:
        self.fast.backward(dy)

    def step(self, x: Array, t: Array) -> Array:
        """Do one update on a batch; return the loss before it, a 0-d array. No update if `gradient` raises."""
        loss = self.gradient(x, t)
        self.updates.step()
        return loss

    def batch(self, rows: Array, x: Array, t: Array | None, scale: float) -> tuple[Array, Array]:
        """Gather rows of the data and their targets into buffers that the next batch reuses."""
        out = self.buffer("x", (len(rows), *x.shape[1:]))
        batch = self.ops.take_rows(x, rows, out=out, scale=scale)
        if t is None:
            return batch, batch
        targets = self.buffer(f"t {t.dtype}", (len(rows), *t.shape[1:]), t.dtype)
        return batch, self.ops.take_rows(t, rows, out=targets)

    def repeatable(self) -> bool:
        """Return True if a step can be recorded and repeated by the device."""
        return type(self).step is Trainer.step and repeatable(self)

    def shard(self, n: int) -> slice:
        """Return the part of a batch's n rows that this process computes: all of them."""
        return slice(n)

    def local_rows(self, rows: Array) -> Array:
        """Return the rows of the batch that this process computes: all of them."""
        return rows

    def too_few(self, n: int) -> int:
        """Return the number of rows after the last full batch of n rows that are too few for a step."""
        if n <= self.batch_size or n % self.batch_size != 1:
            return 0
        norms = [layer for layer in self.network.layers if isinstance(layer, BatchNorm)]
        # A single row has one value per feature, and so no variance, unless it is an image.
        return int(any(math.prod(norm.in_shape[1:]) == 1 for norm in norms))

    def epoch(self, x: Array, t: Array | None = None, scale: float = 1.0) -> float:
        """Train for one pass over x (N, ...) in random order; return the mean loss of the batches, weighted by rows.

        t       targets (N, ...), or None: the inputs themselves
        scale   multiplies the inputs in the gather: 1/255 turns uint8 images into floats in [0, 1]
        """
        ops = self.ops
        n = len(ops.check_device(x))
        if t is not None:
            ops.check_device(t)
        shape = self.network.input_shape
        if n == 0 or x.shape[1:] != shape or (t is not None and len(t) != n):
            got = f"{x.shape} and {getattr(t, 'shape', None)}"
            raise ValueError(
                f"Trainer: expected x of shape (N, *{shape}), N > 0, and as many targets, got {got}."
            )
        if self.network.layers != self.layers:
            raise ValueError("Trainer: expected the layers it was made for. Create a new Trainer.")
        self.network.check_views()
        done, total = self.entered
        self.entered = 0, 0.0
        self.begun = self.optimizer.t - done
        self.drawn_from = ops.generator_state(self.order)
        rows = self.steps_before = 0
        for order, part, numbers in windows(self, x):
            targets = t if t is None or numbers is None else t[ops.to_device(numbers)]
            steps = math.ceil(len(order) / self.batch_size)
            if done < steps:  # else the window was completed before the fit was resumed
                window = RowWindow(order, (part, targets, scale), done, total)
                total = self.runner.run(self, window)
            done = max(done - steps, 0)
            rows += len(order)
            self.steps_before += steps
        mean = float(total) / rows  # the one host read of the loss in an epoch
        divergence.check(self, mean)
        self.begun = None
        return mean

    def between_steps(self, done: int, total: Any) -> None:
        """Check moments and signals and write a due checkpoint after `done` steps, whose losses sum to `total`."""
        done += self.steps_before
        self.at.step = done
        self.total = total
        divergence.check_now_and_then(self)
        self.check_stop()
        if self.checkpoints is not None and self.checkpoints.due(done):
            self.checkpoints.save(self, asked=True)

    def until_due(self, done: int) -> int:
        """Return the number of steps until the next check or checkpoint, not counting those due by time."""
        done += self.steps_before
        every = self.checkpoints.steps if self.checkpoints is not None else None
        until = divergence.until_check(self.optimizer.t)
        return min(until, every - done % every) if every else until

    def evaluate(self, x: Array, t: Array | None = None, scale: float = 1.0) -> float:
        """Return the mean loss over x (N, ...): `evaluate` with this network and loss."""
        return evaluate(self.fast, self.loss, x, t, scale, self.batch_size)

    # ---------------------------------------------------------------- all epochs

    def fit(
        self,
        x: Array,
        t: Array | None = None,
        validation: Validation = None,
        scale: float = 1.0,
        checkpoints: Checkpoints | None = None,
    ) -> History:
        """Train for `epochs`; `validation` is (x, t or None). Ctrl-C ends the training and keeps the weights."""
        self.at = Position()
        self.best_state = []
        self.checkpoints = checkpoints
        self.begin(x, t, *(validation or ()))
        if self.at.finished:
            return self.history
        try:
            self.run_epochs(x, t, validation, scale)
        except NotFiniteError:
            self.recovered = divergence.recover(self)
            raise
        except KeyboardInterrupt as error:
            self.interrupt(error)
        self.finish()
        return self.history

    def run_epochs(self, x: Array, t: Array | None, validation: Validation, scale: float) -> None:
        """Run the epochs: train, measure the validation loss, call the callbacks, write a checkpoint."""
        left = range(self.at.epoch + 1, self.epochs + 1)
        bar = progress(left, label="training", show=self.verbose)
        for epoch in bar:
            self.started = time.perf_counter() - self.at.seconds
            row = {"epoch": epoch, "loss": divergence.epoch_or_again(self, x, t, scale)}
            if validation is not None:
                row["val_loss"] = (self.measure or self.evaluate)(*validation, scale=scale)
            row["seconds"] = time.perf_counter() - self.started
            self.note(row)
            if hasattr(bar, "set_postfix"):
                bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k.endswith("loss")})
            early = self.stop_early(row.get("val_loss"))
            if self.call_back(row) or early:
                break
            if epoch < self.epochs:
                self.check_stop()
                if self.checkpoints is not None:
                    self.checkpoints.save(self)

    def note(self, row: dict[str, float]) -> None:
        """Record the results of an epoch and mark it as done."""
        for name in row.keys() - {"epoch"}:
            self.history.setdefault(name, []).append(row[name])
        self.at.epoch = int(row["epoch"])
        self.at.step = 0
        self.at.seconds = 0.0

    def stop_early(self, val_loss: float | None) -> bool:
        """Keep the weights if they are the best so far; return True if patience is exhausted."""
        if self.patience is None or val_loss is None:
            return False
        if val_loss < self.at.best:
            self.at.best = val_loss
            self.at.waited = 0
            self.best_state = [array.copy() for array in self.network.state()]
        else:
            self.at.waited += 1
        return self.at.waited >= self.patience

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """End the training after Ctrl-C, or the program after a second one."""
        whole = isinstance(error, stop.StopRequested)  # between two steps
        if stop.requested() and not whole:
            raise error
        self.interrupted = True
        if self.checkpoints is not None and whole:
            self.checkpoints.save(self, wait=True)
        warn(
            f"training was interrupted in epoch {len(self.history['loss']) + 1} of {self.epochs}; "
            "what was learned so far is kept"
        )

    def finish(self) -> None:
        """Restore the best weights, if kept, and write a final checkpoint."""
        if self.best_state:
            self.network.set_state(self.best_state)
        if self.checkpoints is not None and not self.interrupted:
            self.at.finished = True
            self.best_state = []
            self.checkpoints.save(self, wait=True)

    def begin(self, *data: Array | None) -> None:
        """Restore this training's state from the checkpoints, if any."""
        if self.checkpoints is not None:
            self.checkpoints.begin(self, *data)

    def call_back(self, row: dict[str, float]) -> bool:
        """Call all callbacks after an epoch; return True if one of them stops the training."""
        return any([callback(self, row) is True for callback in self.callbacks])

    def check_stop(self) -> None:
        """Raise StopRequested if a signal was received."""
        stop.check()

    def arrays(self) -> dict[str, Array]:
        """Return all arrays that training changes, by name, as saved by `state.py`."""
        kinds: dict[str, dict[Any, Array]] = {
            "network": dict(enumerate(self.network.state())),
            "optimizer": dict(enumerate(self.optimizer.moments)),
            "best": dict(enumerate(self.best_state)),
        }
        for i, layer in enumerate(self.fast.layers):
            kinds[f"layers.{i}"] = getattr(layer, "momenta", {})
        return {
            f"{kind}.{name}": array for kind, own in kinds.items() for name, array in own.items()
        }
