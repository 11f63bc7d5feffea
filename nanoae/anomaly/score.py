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

    def compare_with(self, model, Z: np.ndarray) -> None:
        """Rows Z (N, ...) beside those of `fit`, that nothing is to be learned from: where rows are compared with rows,
        with these, too."""

    def score(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def terms(self, model, Z: np.ndarray) -> np.ndarray:
        """What of the score comes from each feature, of Z's shape, >= 0; by occlusion: how much the score falls when
        the feature alone is replaced by what the model gives back."""
        whole = self.score(model, Z)
        reconstruction = model.reconstruct(Z)
        falls = np.empty(Z.shape)
        for place in np.ndindex(Z.shape[1:]):
            feature = (slice(None), *place)
            occluded = Z.copy()
            occluded[feature] = reconstruction[feature]
            falls[feature] = np.maximum(whole - self.score(model, occluded), 0)
        return falls

    def shares(self, model, Z: np.ndarray) -> np.ndarray:
        """The terms, each row divided by its sum; where that is 0, even shares of what is known, of all where nothing
        is."""
        known = ~np.isnan(Z).reshape(len(Z), -1)
        terms = self.terms(model, Z).reshape(len(Z), -1)
        terms = np.where(known, terms, 0)
        even = known | ~known.any(axis=1, keepdims=True)
        total = terms.sum(axis=1, keepdims=True)
        parts = np.where(total > 0, terms, even)
        shares = parts / parts.sum(axis=1, keepdims=True)
        return shares.reshape(Z.shape)


class FeatureScore(Score):
    """A score that is a sum of terms >= 0, one for each feature: terms(model, Z), of Z's shape. They explain it."""

    # (D,): of a table with categories, what part of a whole row each place of Z is
    places_: np.ndarray | None = None

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            part_of_column = 1 / np.repeat(blocks, blocks)
            self.places_ = part_of_column / len(blocks)
        return self

    def terms(self, model, Z):
        raise NotImplementedError

    def score(self, model, Z):
        return self.terms(model, Z).reshape(len(Z), -1).sum(axis=1)


def squares(model, Z: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """(z - ẑ)² `of_known` values of Z, in float64."""
    error = (Z - model.reconstruct(Z)).astype(np.float64) ** 2
    return of_known(error, Z, places)


def of_known(terms: np.ndarray, Z: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """terms, of Z's shape (N, ...). What is missing in Z is 0, and the rest of its row weighs more for it, by the share
    that is missing: each value 1 / D of the row, or as `places` (D,) says, as a category is one column of the table,
    however many places of Z it has."""
    missing = np.isnan(Z)  # and not of the terms: a reconstruction that is NaN is no gap
    if not missing.any():
        return terms
    n = Z[0].size
    weights = np.full(n, 1 / n) if places is None else places
    known = np.where(missing.reshape(len(Z), n), 0, weights).sum(axis=1)
    known = np.maximum(known, 1 / n)
    present = np.where(missing, 0, terms)
    return (present.T / known).T


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
