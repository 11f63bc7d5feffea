"""Score: how abnormal a row is according to an autoencoder; higher is more abnormal.

fit(model, Z) learns what is usual from the model's training rows Z (N, ...). score(model, Z) is (N,). shares(model, Z),
of Z's shape and >= 0, attributes the score to features: each row sums to 1.
"""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.table_losses import Mixed
from nanoae.configurable import Configurable


class Score(Configurable):
    """Base class of scores, also of custom ones for `AnomalyDetector(scores=...)`:

    >>> class LargestError(nanoae.Score):
    ...     def score(self, model, Z):
    ...         return np.abs(Z - model.reconstruct(Z)).max(axis=1)

    Z are rows (N, ...) as the network sees them; score(model, Z) returns (N,), higher for more abnormal rows.
    fit(model, Z) may learn from the training rows. Learned arrays are attributes that end in "_", so that a detector's
    file stores them; constructor arguments are stored under their own names.

    weight   weight of the squared score when several scores are combined
    """

    weight = 1.0

    def fit(self, model, Z: np.ndarray) -> Score:
        return self

    def compare_with(self, model, Z: np.ndarray) -> None:
        """Add rows Z (N, ...) that the model was not trained on as references, in scores that compare rows."""

    def score(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def score_left_out(self, model, Z: np.ndarray) -> np.ndarray:
        """Return score(model, Z) of training rows, each as if it had been left out of them."""
        return self.score(model, Z)

    def terms(self, model, Z: np.ndarray) -> np.ndarray:
        """Return each feature's contribution to the score, of Z's shape and >= 0, by occlusion: how much the score
        falls if the feature alone is replaced by its reconstruction."""
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
        """Return the terms normalised to sum 1 in each row. A sum of 0 is shared equally among known values, or among
        all values if none is known."""
        known = ~np.isnan(Z).reshape(len(Z), -1)
        terms = np.where(known, self.terms(model, Z).reshape(len(Z), -1), 0)
        even = known | ~known.any(axis=1, keepdims=True)
        total = terms.sum(axis=1, keepdims=True)
        parts = np.where(total > 0, terms, even)
        return (parts / parts.sum(axis=1, keepdims=True)).reshape(Z.shape)


class FeatureScore(Score):
    """A score that is a sum of terms >= 0, one per feature: terms(model, Z), of Z's shape. They also explain it."""

    # (D,): for a table with categories, the weight of each column of Z in a row
    places_: np.ndarray | None = None

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            self.places_ = 1 / np.repeat(blocks, blocks) / len(blocks)
        return self

    def terms(self, model, Z):
        raise NotImplementedError

    def score(self, model, Z):
        return self.terms(model, Z).reshape(len(Z), -1).sum(axis=1)


def squares(model, Z: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """Return (z - ẑ)² in float64, with missing values handled by `of_known`."""
    error = (Z - model.reconstruct(Z)).astype(np.float64) ** 2
    return of_known(error, Z, places)


def of_known(terms: np.ndarray, Z: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Return terms of Z's shape (N, ...), 0 for missing values, scaled up in each row by the weight of what is missing.

    Each value has the weight 1 / D, or `places` (D,): a category counts as one column of the table, however many
    columns it has in Z.
    """
    missing = np.isnan(Z)  # not isnan(terms): a NaN reconstruction is not a missing value
    if not missing.any():
        return terms
    n = Z[0].size
    weights = np.full(n, 1 / n) if places is None else places
    known = np.where(missing.reshape(len(Z), n), 0, weights).sum(axis=1)
    known = np.maximum(known, 1 / n)
    present = np.where(missing, 0, terms)
    return (present.T / known).T


def drawn(Z: np.ndarray, most: int) -> np.ndarray:
    """Return the rows Z (N, ...), or a random sample of them if there are more than `most`."""
    if len(Z) <= most:
        return Z
    random = np.random.default_rng(0)
    rows = random.choice(len(Z), most, replace=False)
    return Z[np.sort(rows)]


def blocks_of(model) -> tuple[int, ...]:
    """Return the widths of the table's columns in Z if some are categories (one-hot, wider than 1), else ()."""
    built = getattr(model, "as_built", None)
    loss = getattr(built, "loss", None)
    return tuple(loss.blocks) if isinstance(loss, Mixed) else ()
