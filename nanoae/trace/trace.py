"""Trace: a correct training step, the same step with each possible mistake, and the learning curve of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nanoae.backend import Ops
from nanoae.columns import columns
from nanoae.data.matrix import as_numbers
from nanoae.engine import losses, optim
from nanoae.engine.layers import Layer, Noisy
from nanoae.engine.losses import Loss
from nanoae.engine.optim import Optimizer
from nanoae.spelling import one_of
from nanoae.trace.breakage import breakages
from nanoae.trace.check import measure
from nanoae.trace.experiment import Experiment
from nanoae.trace.step import Step
from nanoae.trace.text import as_text
from nanoae.whole_file import whole_file

# limits of what can be inspected number by number
MOST_ROWS = 16
MOST_LAYERS = 16
MOST_PARAMETERS = 600
MOST_STEPS = 100_000


class Trace:
    """One training step, with every number and the sum that produced it.

    >>> trace = nanoae.Trace([nanoae.Linear(3), nanoae.Tanh(), nanoae.Linear(4)], x)
    >>> print(trace)                 # move by move, as text
    >>> trace.save("trace.html")     # a page to step through with the arrow keys, in any browser

    layers        an unbuilt network of up to 16 layers and 600 parameters
    x             inputs (N, ...), up to 16 rows
    t             targets (N, ...); None: x
    loss          a name or a Loss
    optimizer     a name, with `learning_rate`, or an Optimizer
    dtype         of the step; the finite differences are in float64
    epochs        training steps, on the same rows, for the curves

    right         the correct Step, with `entries` (arrays, and the sum behind each number) and `moves`
    mistakes      the Breakages that are possible in these layers
    broken        the Steps with a broken backward, each with `breakage` and `caught`, the move that the check catches
    curves        the losses of `epochs` steps, for `right` and each of `broken`; they end if a loss is not finite
    """

    def __init__(
        self,
        layers: list[Layer],
        x: Any,
        t: Any = None,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer = "sgd",
        learning_rate: float = 0.5,
        dtype: str = "float64",
        random_state: int = 0,
        epochs: int = 200,
    ):
        if not isinstance(layers, (list, tuple)):
            raise ValueError(f"Trace: expected a list of unbuilt layers, got {layers!r:.80}.")
        x = np.asarray(as_numbers(x, "Trace"), np.float64)
        t = x if t is None else np.asarray(t)
        few = 1 <= len(x) <= MOST_ROWS
        if x.ndim < 2 or not few or len(t) != len(x):
            raise ValueError(
                f"Trace: expected x (N, ...) of 1 to {MOST_ROWS} rows and as many targets, got {x.shape} and {t.shape}."
            )
        if not 1 <= len(layers) <= MOST_LAYERS or not 1 <= epochs <= MOST_STEPS:
            raise ValueError(
                f"Trace: expected 1 to {MOST_LAYERS} layers and 1 to {MOST_STEPS:,} epochs, got {len(layers)} and "
                f"{epochs:,}."
            )
        self.experiment = Experiment(
            list(layers),
            losses.get(loss),
            optim.get(optimizer, learning_rate, 0.0),
            x,
            t,
            dtype,
            random_state,
        )
        net, _, _ = self.experiment.build(Ops(), dtype)
        if net.theta.size > MOST_PARAMETERS:
            raise ValueError(
                f"Trace: expected at most {MOST_PARAMETERS} parameters, to be inspected one by one, got "
                f"{net.theta.size:,}. Make the layers smaller."
            )
        self.epochs = epochs
        if dtype != "float64" and any(isinstance(layer, Noisy) for layer in layers):
            raise ValueError(
                f"Trace: expected dtype='float64' for layers that draw noise, got {dtype!r}."
            )
        self.mistakes = breakages(self.experiment.layers)
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            slopes = measure(self.experiment)
            self.right = Step(self.experiment, slopes)
            self.broken = [Step(self.experiment, slopes, mistake) for mistake in self.mistakes]
        steps = [self.right, *self.broken]
        entries = [entry for step in steps for entry in step.entries]
        if not all(np.isfinite(entry.values).all() for entry in entries):
            raise ValueError(
                "Trace: expected finite numbers in the whole step, got NaN or infinity. Is x on a scale of 1?"
            )
        changes = [None, *self.mistakes]
        self.curves = [self.experiment.learn(epochs, mistake) for mistake in changes]

    def step(self, breakage: str = "") -> Step:
        """`right`, or the first of `broken` called "transpose", "bias:2" (the layer), "derivative" or "sign"."""
        if not breakage:
            return self.right
        known: dict[str, Step] = {}
        for step, mistake in zip(self.broken, self.mistakes, strict=True):
            known.setdefault(mistake.kind, step)
            known[f"{mistake.kind}:{mistake.layer}"] = step
        return known[one_of("breakage", breakage, known)]

    def text(self, breakage: str = "", every: bool = False) -> str:
        """A step move by move, then the effect of each mistake. `every`: the sum of each number, not just the first."""
        return f"{self}\n\n{as_text(self.step(breakage), every)}\n{self.verdicts()}"

    def verdicts(self) -> str:
        """A table: what is broken, where the check first fails, and the loss after training with it."""
        cells = [("broken backward", "the check first fails at", f"loss after {self.epochs} steps")]
        steps = [self.right, *self.broken]
        for step, curve in zip(steps, self.curves, strict=True):
            title = step.breakage.title if step.breakage else "nothing is broken"
            caught = step.caught
            first = f"{caught.where}: {step.entries[caught.result].name}" if caught else "-"
            if len(curve) > self.epochs:
                end = f"{curve[-1]:.6g}"
            else:
                end = f"not finite after {len(curve)}"
            cells.append((title, first, end))
        return "\n".join(columns(cells))

    def html(self, breakage: str = "") -> str:
        """The page as one HTML text, with `breakage` selected at first."""
        from nanoae.trace.page import page

        steps = [self.right, *self.broken]
        shown = steps.index(self.step(breakage))
        return page(str(self), steps, self.curves, shown)

    def save(self, path: str | Path, breakage: str = "") -> None:
        """Write the page to a file."""
        with whole_file(path, "w") as file:
            file.write(self.html(breakage))

    def __str__(self) -> str:
        e = self.experiment
        layers = ", ".join(map(str, e.layers))
        return f"{layers} on {len(e.x)} rows: {e.loss}, {e.optimizer}, {e.dtype}, seed {e.random_state}"
