"""Examples: rows for training or validation, and how a trainer applies their weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nanoae.autoencoders.bottleneck import Adversarial, Gaussian
from nanoae.autoencoders.penalty import Penalty
from nanoae.autoencoders.table_losses import Masked, Weighted, weighable
from nanoae.autoencoders.weights import content_order
from nanoae.engine.losses import Loss
from nanoae.engine.norm import BatchNorm
from nanoae.rows import Rows
from nanoae.training.kfac import KFAC
from nanoae.training.loop import Trainer


class Examples(NamedTuple):
    """Inputs, targets and weights of N rows.

    inputs    (N, ...), as the network reads them
    targets   (N, ...); None: the inputs
    weights   (N,); None: all rows count equally
    """

    inputs: Any
    targets: Any = None
    weights: np.ndarray | None = None

    def take(self, rows: slice | np.ndarray) -> Examples:
        """Select rows of all three."""
        return Examples(*(None if table is None else table[rows] for table in self))

    def in_content_order(self) -> Examples:
        """See `content_order`."""
        return self.take(content_order(self.inputs))


def weigh(trainer: Trainer, loss: Loss, examples: Examples) -> Any:
    """Make the trainer weight the rows; return the targets that it needs for that."""
    X, t, weights = examples
    trainer.loss = loss
    trainer.weights = None
    if weights is None or (weights == weights[0]).all():
        return t
    if isinstance(X, Rows) or not in_the_loss_alone(trainer, loss):
        trainer.weights = weights
        return t
    trainer.loss = Weighted(loss).build(trainer.ops, trainer.network.dtype)
    targets = (X if t is None else t).reshape(len(X), -1)
    mean = 1.0
    if loss.reduction != "sum":
        mean = np.average(weights, weights=terms(loss, targets))
    width = targets.shape[1] + 1
    extended = np.empty((len(X), width), trainer.network.dtype)
    extended[:, :-1] = targets
    extended[:, -1] = weights / mean
    return extended


def in_the_loss_alone(trainer: Trainer, loss: Loss) -> bool:
    """Return True if a row affects its own loss only: no penalty, batch statistics or Fisher matrix."""
    beyond = (BatchNorm, Penalty, Gaussian, Adversarial)
    if any(isinstance(layer, beyond) for layer in trainer.network.layers):
        return False
    return weighable(loss) and not isinstance(trainer.optimizer, KFAC)


def terms(loss: Loss, targets: np.ndarray) -> np.ndarray:
    """Return the number of known targets of each row of targets (N, D), if the loss averages over them; else ones."""
    if not isinstance(loss, Masked) or loss.reduction != "mean":
        return np.ones(len(targets))
    widths = getattr(loss.inner, "blocks", (1,) * targets.shape[1])
    first = np.cumsum([0, *widths[:-1]])  # a column is known if its first element is
    known = ~np.isnan(targets[:, first])
    return known.sum(axis=1)  # type: ignore[no-any-return]
