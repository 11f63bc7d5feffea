"""Learning from a table that does not fit into memory: `fit` of RowBlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.data.row_blocks import PARTS, RowBlocks, Windows

if TYPE_CHECKING:
    from nanoae.autoencoders.autoencoder import Autoencoder


def fit_blocks(
    model: Autoencoder, blocks: RowBlocks, validation_data: Any, sample_weight: Any
) -> Autoencoder:
    """A pass that checks all rows and counts them, the first block telling the scale of the columns; then each epoch
    reads the blocks in random order, and learns from windows of them, whose rows are in random order.

    A share to watch the loss on is each k-th row of every block, fewer where these would take a sixth of the memory.
    """
    name = type(model).__name__
    if type(model)._pretrain is not NetworkEstimator._pretrain:
        raise ValueError(
            f"{name}: expected an array, got RowBlocks, which pretraining does not take. Use Autoencoder."
        )
    if sample_weight is not None or model._takes_missing() or model._checkpoints is not None:
        raise ValueError(
            f"{name}: expected RowBlocks without sample_weight, missing='mask' and checkpoint_dir."
        )
    n, counted = 0, 0
    for block in blocks:
        if not n:
            model._learn_scale(model._begin(block))
        X = model._check_targets(block)
        n, counted = n + len(X), counted + 1
    if not n:
        raise ValueError(f"{name}: expected rows to learn from, got none in {blocks.source!r:.60}.")
    watched = None
    if validation_data is not None:
        watched = Examples(model._check_targets(validation_data))
    model._settle_plan(n, watched=watched is not None)
    share, step = model.as_built.validation_fraction, 0
    if watched is None and share:
        step = max(2, round(1 / share))
        held = [model._check_targets(block)[::step] for block in blocks]
        rows = np.concatenate(held)
        most = max(1, blocks.memory // PARTS // rows[:1].nbytes)
        watched = Examples(rows[:: -(-len(rows) // most)])
        n -= len(rows)
    windows = Windows(blocks, (n, *model.input_shape_), model._scaled, step)
    model._train(Examples(windows), watched)
    return model
