"""Divergence: handling of NaN and infinity in losses, gradients and weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoae.backend import Array
from nanoae.training import state
from nanoae.warning import warn

if TYPE_CHECKING:
    from nanoae.training.loop import Trainer

LEAST_SCALE = 2.0**-10  # training gives up below this fraction of the learning rate
CHECK_EVERY = 128  # steps between checks of the moments


class NotFiniteError(FloatingPointError):
    """Raised if training produces NaN or infinity. The message says where, and what to try.

    model   the estimator with the best weights so far, or None if none were kept
    """

    model: Any = None


def stop(trainer: Trainer, loss: float, too_large: str = "") -> None:
    """Raise NotFiniteError. Called before the update of a step, which need not be the step at fault.

    too_large   description of the gradient whose square overflowed
    """
    if trainer.late and not math.isfinite(loss):
        trainer.network.grad[...] = 0  # the gradient of a loss that is not finite
    culprit, in_backward = trainer.network.first_not_finite()
    if math.isfinite(loss) and culprit.startswith("no layer"):
        culprit = "no layer, but the sum of the weights' squares"
    found = f"a finite loss and finite weights, got loss {loss}; the first value that is not finite is in {culprit}"
    if too_large:
        in_backward = True
        found = f"gradients whose squares are finite in {trainer.network.dtype}, got infinity in {too_large}"
    where = f"epoch {len(trainer.history['loss']) + 1}"
    if trainer.begun is not None and trainer.ops.peek(0.0) is not None:
        t = trainer.optimizer.t
        done = int(t) - trainer.begun
        if not isinstance(t, int):
            done -= 1  # on the device, t is incremented when a step begins
        step = done if in_backward else done + 1
        where += f", step {step}" if step else ""
    raise NotFiniteError(
        f"training, {where}: expected {found}. {last_loss(trainer)}. Lower the learning rate, scale the inputs, or "
        "clip the gradient (clip_norm)."
    )


def last_loss(trainer: Trainer) -> str:
    """Describe the last finite loss: this epoch's so far, or an earlier epoch's."""
    done = trainer.at.step
    rows = done * trainer.batch_size
    so_far = float(trainer.total) / rows if done else math.nan
    losses = [*trainer.history["loss"], so_far]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return f"The last finite loss was {finite[-1]:.4g}" if finite else "No loss was finite"


def check_loss(trainer: Trainer, loss: Array) -> None:
    """Raise NotFiniteError if a step's loss is not finite, unless reading it would stall the device."""
    value = trainer.ops.peek(loss)
    if value is not None and not math.isfinite(value):
        stop(trainer, value)


def check(trainer: Trainer, loss: float) -> None:
    """Raise NotFiniteError if an epoch's loss or the weights after it are not finite; the host reads one number."""
    health = trainer.ops.sum_squares(trainer.network.theta)
    for moment in filter(len, trainer.optimizer.moments[1:]):
        health = health + 0 * moment.max()  # NaN if that is infinite
    if not math.isfinite(loss) or not math.isfinite(float(health)):
        check_moments(trainer)
        stop(trainer, loss)


def until_check(t: int) -> int:
    """Return the number of steps from step t to the next check of the moments: at powers of 2 and every CHECK_EVERY."""
    power = (1 << t.bit_length()) - t
    return min(power, CHECK_EVERY - t % CHECK_EVERY)


def check_now_and_then(trainer: Trainer) -> None:
    """Call `check_moments` if it is due, unless reading the moments would stall the device."""
    t = trainer.optimizer.t
    if until_check(t - 1) == 1 and trainer.ops.peek(0.0) is not None:
        check_moments(trainer)


def check_moments(trainer: Trainer) -> None:
    """Raise NotFiniteError if Adam's v, the mean of g², is infinite because g² once overflowed. Such a weight no longer
    learns, and the loss does not show it."""
    for moment in filter(len, trainer.optimizer.moments[1:]):
        if math.isfinite(float(moment.max())):
            continue
        finite = np.isfinite(trainer.ops.to_numpy(moment))
        at = int(np.argmin(finite))
        places = trainer.network.parameters.slices.items()
        layer, name = next(key for key, where in places if where.start <= at < where.stop)
        stop(trainer, math.inf, f"layer {layer}, {trainer.network.layers[layer]}: its {name}")


def epoch_or_again(trainer: Trainer, x: Array, t: Array | None, scale: float) -> float:
    """Run `Trainer.epoch`. If it diverges and on_divergence="restore", repeat it with half the learning rate."""
    while True:
        if trainer.on_divergence == "restore" and not trainer.entered[0]:
            trainer.good = state.take(trainer)
        try:
            return trainer.epoch(x, t, scale)
        except NotFiniteError as error:
            rate_scale = trainer.updates.rate_scale / 2
            if trainer.good is None or rate_scale < LEAST_SCALE:
                raise
            state.restore(trainer, *trainer.good)
            trainer.updates.rate_scale = rate_scale
            warn(
                f"{error} Going back to the end of epoch {trainer.at.epoch}, at {rate_scale:g} of the learning rate"
            )


def recover(trainer: Trainer) -> bool:
    """Restore the best weights kept, or those of the last checkpoint; return True if there are any."""
    kept = trainer.best_state
    if not kept and trainer.checkpoints is not None:
        facts, arrays = trainer.checkpoints.trainings[-1]
        count = len(trainer.network.state()) if facts["at"]["epoch"] else 0
        kept = [arrays[f"network.{i}"] for i in range(count)]
    if kept:
        trainer.network.set_state(kept)
    return bool(kept)
