"""Score: how abnormal a row is, by what an autoencoder makes of it; higher is more abnormal.

fit(model, Z) learns from the rows Z (N, ...) that the model was trained on what is usual; score(model, Z) is (N,);
shares(model, Z), of Z's shape, >= 0, says which features it comes from: each row's add up to 1.
"""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.table_losses import Mixed
from nanoae.configurable import Configurable


class Score(Configurable):
    """A score of whole rows; the base of one of your own, which `AnomalyDetector(scores=...)` takes:

    >>> class LargestError(nanoae.Score):
    ...     def score(self, model, Z):
    ...         return np.abs(Z - model.reconstruct(Z)).max(axis=1)

    Z are the rows (N, ...) on the scale that the network sees; score(model, Z) is (N,), higher where more abnormal.
    fit(model, Z), where there is something to learn of the training rows, leaves arrays in attributes that end in "_",
    so that a detector's file keeps them; what the constructor is told it stores under the arguments' names.

    weight   of its square among those of several scores
    """

    weight = 1.0

    def fit(self, model, Z: np.ndarray) -> Score:
        return self

    def score(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def shares(self, model, Z: np.ndarray) -> np.ndarray:
        """By occlusion: how much the score falls when each feature alone is replaced by what the model gives back."""
        whole = self.score(model, Z)
        again = model.reconstruct(Z).reshape(len(Z), -1)
        falls = np.empty(again.shape)
        for j in range(falls.shape[1]):
            occluded = Z.copy()
            occluded.reshape(len(Z), -1)[:, j] = again[:, j]
            fall = whole - self.score(model, occluded)
            falls[:, j] = np.maximum(fall, 0)
        known = ~np.isnan(Z).reshape(falls.shape)
        shares = normalised(np.where(known, falls, 0), known)
        return shares.reshape(Z.shape)

    def learned(self) -> dict[str, np.ndarray]:
        """What fit left, by name: the attributes that end in "_"."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}


class FeatureScore(Score):
    """A score that is a sum of terms >= 0, one for each feature: terms(model, Z), of Z's shape. They explain it."""

    places_: np.ndarray | None = (
        None  # (D,): of a table with categories, what part of a whole row each place of Z is
    )

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            part_of_column = 1 / np.repeat(blocks, blocks)
            self.places_ = part_of_column / len(blocks)
        return self

    def terms(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def score(self, model, Z):
        return self.terms(model, Z).reshape(len(Z), -1).sum(axis=1)

    def shares(self, model, Z):
        known = ~np.isnan(Z).reshape(len(Z), -1)
        terms = self.terms(model, Z).reshape(len(Z), -1)
        return normalised(terms, known).reshape(Z.shape)


def squares(model, Z: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """(z - ẑ)², of Z's shape in float64. What is missing is 0, and the rest of its row weighs more for it, by the
    `share` that is missing."""
    error = (Z - model.reconstruct(Z)).astype(np.float64) ** 2
    missing = np.isnan(Z)  # and not of the error: a reconstruction that is NaN is no gap
    if not missing.any():
        return error
    present = (~missing).reshape(len(Z), -1)
    known = np.maximum(share(present, places), 1 / Z[0].size)
    known = known.reshape(-1, *[1] * (Z.ndim - 1))
    return np.where(missing, 0, error) / known


def share(of: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """What share (N,) of each row those places are that are True in `of` (N, D), each 1 / D or as `places` (D,) says:
    a category is one column of the table, however many places of Z it has."""
    if places is None:
        return of.mean(axis=1)
    return np.where(of, places, 0).sum(axis=1)


def drawn(Z: np.ndarray, most: int) -> np.ndarray:
    """The rows Z (N, ...), or so many of them, drawn at random."""
    if len(Z) <= most:
        return Z
    random = np.random.default_rng(0)
    rows = random.choice(len(Z), most, replace=False)
    return Z[np.sort(rows)]


def blocks_of(model) -> tuple[int, ...]:
    """The widths of a table's columns in Z where some are categories, one-hot and wider than 1; () where none is."""
    built = getattr(model, "as_built", None)
    loss = getattr(built, "loss", None)
    return tuple(loss.blocks) if isinstance(loss, Mixed) else ()


def normalised(terms: np.ndarray, known: np.ndarray) -> np.ndarray:
    """terms (N, D) >= 0, each row divided by its sum; where that is 0, even shares of the values that are `known`, of
    all where none is."""
    even = known | ~known.any(axis=1, keepdims=True)
    total = terms.sum(axis=1, keepdims=True)
    some = total > 0
    parts = np.where(some, terms, even)
    whole = np.where(some, total, even.sum(axis=1, keepdims=True))
    return parts / whole
