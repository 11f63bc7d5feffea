"""Underfit: a warning if a fitted autoencoder reconstructs worse than PCA with as many components."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import squared_error
from nanoae.autoencoders.part import PART, part_of_another
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.plan import AUTO
from nanoae.data.scaling import known_means
from nanoae.spelling import counted
from nanoae.warning import warn

# Limits of rows and values in the comparison, which takes at most a second. From fewer rows PCA learns less, so the
# limits can suppress a warning but not cause one.
MOST_ROWS = 2000
MOST_NUMBERS = 16_000_000
ERROR_RATIO = 1.05  # no warning up to this multiple of PCA's error, plus ...
VARIANCE_SLACK = 1e-3  # ... this fraction of the rows' variance


class UnderfitWarning(UserWarning):
    """PCA reconstructs better: the autoencoder is undertrained, or its columns are on different scales."""


def flat(X: Any) -> np.ndarray:
    """Return X (N, ...) as (N, D)."""
    return np.asarray(X).reshape(len(X), -1)


def compare_with_pca(model: Any, learned: np.ndarray, watched: np.ndarray) -> None:
    """Warn if PCA of the training rows `learned` (N, ...) reconstructs the rows `watched` (M, ...) better than `model`,
    unless that is a `part_of_another`. Both tables are on the network's scale. Missing values are replaced by column
    means in both models and ignored in both errors."""
    if PART.get():
        return
    images = learned.ndim > 2
    rows = min(MOST_ROWS, MOST_NUMBERS // math.prod(learned.shape[1:]))
    learned = flat(learned[:rows])
    if model.code_size_ >= min(learned.shape):
        return
    error = float(model.error_as_read(np.asarray(watched[:rows])).mean())
    watched = flat(watched[:rows])
    means = known_means(learned)
    learned = np.where(np.isnan(learned), means, learned)
    with part_of_another():
        pca = PCA(model.code_size_).fit(learned)
    reconstruction = pca.reconstruct(np.where(np.isnan(watched), means, watched))
    pca_error = float(squared_error(watched, reconstruction, "row").mean())
    slack = VARIANCE_SLACK * float(squared_error(watched, means, "feature").mean())
    if error <= ERROR_RATIO * pca_error + slack:
        return
    spread = learned.std(axis=0)
    if model.epochs != AUTO:
        hint = 'Leave epochs="auto", or train for longer'
    elif not images and model.table_encoder_ is None and spread.max() > 100 * np.median(spread):
        hint = 'Use scaling="standard"'
    else:
        hint = "Widen hidden, or try another learning_rate"
    as_read = "" if model.scaling_ == "none" else f", both of columns scaled by {model.scaling_!r}"
    if model.table_encoder_ is not None:
        as_read = ", both of the table as table_encoder_ encodes it"
    warn(
        f"{type(model).__name__}: a mean squared error of {error:.3g}, where PCA with "
        f"{counted(model.code_size_, 'component')} has {pca_error:.3g}{as_read}. {hint}.",
        UnderfitWarning,
    )
