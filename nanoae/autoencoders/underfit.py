"""Underfit: the warning that a fitted autoencoder gives rows back worse than PCA with as many components."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import squared_error
from nanoae.autoencoders.part import PART, part_of_another
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.plan import AUTO
from nanoae.data.scaling import known_means
from nanoae.spelling import counted

# The most rows that are compared with PCA's, and numbers in them: that takes a second at most. Of fewer rows PCA learns
# less, so that there is a warning less, not one too many.
MOST_ROWS = 2000
MOST_NUMBERS = 16_000_000
AS_GOOD = 1.05  # times PCA's error, and ...
TOLD = 1e-3  # of the rows' variance: what is next to nothing is not worse


class UnderfitWarning(UserWarning):
    """An autoencoder that PCA beats has learned too little, or from columns on different scales."""


def flat(X: Any) -> np.ndarray:
    """A row (D,) for each of X (N, ...)."""
    return np.asarray(X).reshape(len(X), -1)


def compare_with_pca(model: Any, learned: np.ndarray, watched: np.ndarray) -> None:
    """Warn if PCA of the rows learned from (N, ...) reconstructs those watched (M, ...) better than `model`, unless it
    is a `part_of_another`; both as its network reads them. What is missing is the column's mean for both, and counts
    for neither."""
    if PART.get():
        return
    images = learned.ndim > 2
    rows = min(MOST_ROWS, MOST_NUMBERS // math.prod(learned.shape[1:]))
    learned = flat(learned[:rows])
    if model.code_size_ >= min(learned.shape):
        return
    mine = float(model.error_as_read(np.asarray(watched[:rows])).mean())
    watched = flat(watched[:rows])
    means = known_means(learned)
    learned = np.where(np.isnan(learned), means, learned)
    with part_of_another():
        pca = PCA(model.code_size_).fit(learned)
    reconstruction = pca.reconstruct(np.where(np.isnan(watched), means, watched))
    theirs = float(squared_error(watched, reconstruction, "row").mean())
    slack = TOLD * float(squared_error(watched, means, "feature").mean())
    if mine <= AS_GOOD * theirs + slack:
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
    components = counted(model.code_size_, "component")
    warnings.warn(
        f"{type(model).__name__}: a mean squared error of {mine:.3g}, where PCA with {components} has "
        f"{theirs:.3g}{as_read}. {hint}.",
        UnderfitWarning,
        stacklevel=7,
    )
