"""Evaluation: the mean loss over a table, computed in blocks of rows."""

from __future__ import annotations

import math

import numpy as np

from nanoae.backend import Array
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential
from nanoae.training.costs import elements

# Rows per forward outside training: large enough for BLAS, small enough to stay in cache
EVALUATION_ROWS = 2048
# Images per forward: im2col takes many times their memory, and each thread keeps it
EVALUATION_IMAGES = 100
# Maximum number of outputs per forward: limits the rows of text models, which output scores over all tokens
EVALUATION_NUMBERS = 1 << 22


def rows_at_a_time(network: Sequential) -> int:
    """Return the number of rows per forward outside training."""
    images = any(len(layer.in_shape) == 3 for layer in network.layers)
    most = EVALUATION_IMAGES if images else EVALUATION_ROWS
    return min(most, max(1, EVALUATION_NUMBERS // math.prod(network.output_shape)))


def evaluate(
    network: Sequential,
    loss: Loss,
    x: Array,
    t: Array | None = None,
    scale: float = 1.0,
    batch_size: int = 256,
    weights: np.ndarray | None = None,
) -> float:
    """Return the mean loss over x (N, ...) without noise. t and scale as in `Trainer.epoch`.

    A loss that sums over a batch is evaluated in batches of `batch_size`, that of the training, so that the values are
    comparable.

    weights   weights of the rows (N,), on the host; None: all equal
    """
    sums = loss.reduction == "sum"
    rows = batch_size if sums and weights is None else rows_at_a_time(network)
    if t is not None:
        network.ops.check_device(t)
    total = known = 0.0
    for start in range(0, len(x), rows):
        batch = x[start : start + rows]
        if batch.dtype != network.dtype or scale != 1.0:
            batch = batch * network.dtype.type(scale)
        target = batch if t is None else t[start : start + rows]
        y = network.forward(batch)
        if weights is None:
            total = total + loss.forward(y, target) * len(batch)
        elif np.isfinite(network.ops.to_numpy(y)).all():
            costs = network.ops.to_numpy(elements(loss, y, target)).reshape(len(batch), -1)
            present = ~np.isnan(costs)
            w = weights[start : start + rows]
            total += float(w @ np.nansum(costs, axis=1, dtype=np.float64))
            known += float(w @ present.sum(axis=1))
        else:
            return math.nan  # NaN in y is not a missing target
    if weights is None:
        return float(total) / len(x)
    # "mean" averages over known targets
    over = {
        "mean": known,
        "batch": float(weights.sum()),
        "sum": len(x) / min(batch_size, len(x)),
    }
    return loss.weight * total / max(over[loss.reduction], 1e-30)
