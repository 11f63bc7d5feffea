"""Scores: how abnormal a row is, by what an autoencoder makes of it; higher is more abnormal.

fit(model, Z) learns from the rows Z (N, ...) that the model was trained on what is usual; score(model, Z) is (N,);
shares(model, Z), of Z's shape, >= 0, says which features it comes from: each row's add up to 1.
"""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.scaling import spread, spread_known
from nanoae.engine.part import Part
from nanoae.spelling import one_of

BLOCK_ROWS = 256  # rows whose distances to all references are held at a time: they stay in the cache
SPARE = 4  # candidates beyond the K nearest: rounding may mistake the last ones, and one may be the row itself
STRANDS = 16  # a power of two: of a block's distances, of which only the smallest is looked at first


class Score(Part):
    """A score of whole rows; the base of one of your own, which `AnomalyDetector(scores=...)` takes:

    >>> class LargestError(nanoae.Score):
    ...     def score(self, model, Z):
    ...         return np.abs(Z - model.reconstruct(Z)).max(axis=1)

    Z are the rows (N, ...) on the scale that the network sees; score(model, Z) is (N,), higher where more abnormal.
    fit(model, Z), where there is something to learn of the training rows, leaves arrays in attributes that end in "_",
    so that a detector's file keeps them; what the constructor is told it stores under the arguments' names.
    """

    def fit(self, model, Z: np.ndarray) -> Score:
        return self

    def score(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def shares(self, model, Z: np.ndarray) -> np.ndarray:
        """By occlusion: how much the score falls when each feature alone is replaced by what the model gives back."""
        whole, again = self.score(model, Z), model.reconstruct(Z).reshape(len(Z), -1)
        falls = np.empty(again.shape)
        for j in range(falls.shape[1]):
            occluded = Z.copy()
            occluded.reshape(len(Z), -1)[:, j] = again[:, j]
            falls[:, j] = np.maximum(whole - self.score(model, occluded), 0)
        known = ~np.isnan(Z).reshape(falls.shape)
        return normalised(np.where(known, falls, 0), known).reshape(Z.shape)

    def learned(self) -> dict[str, np.ndarray]:
        """What fit left, by name: the attributes that end in "_"."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}


class FeatureScore(Score):
    """A score that is a sum of terms >= 0, one for each feature: terms(model, Z), of Z's shape. They explain it."""

    def terms(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def score(self, model, Z):
        return self.terms(model, Z).reshape(len(Z), -1).sum(axis=1)

    def shares(self, model, Z):
        known = ~np.isnan(Z).reshape(len(Z), -1)
        return normalised(self.terms(model, Z).reshape(len(Z), -1), known).reshape(Z.shape)


def squares(model, Z: np.ndarray) -> np.ndarray:
    """(z - ẑ)², of Z's shape in float64. What is missing is 0, and the rest of its row weighs more for it."""
    error = (Z - model.reconstruct(Z)).astype(np.float64) ** 2
    missing = np.isnan(Z)  # and not of the error: a reconstruction that is NaN is no gap
    if not missing.any():
        return error
    known = (~missing).reshape(len(Z), -1).mean(axis=1).reshape(-1, *[1] * (Z.ndim - 1))
    return np.where(missing, 0, error) / np.maximum(known, 1 / Z[0].size)


def normalised(terms: np.ndarray, known: np.ndarray) -> np.ndarray:
    """terms (N, D) >= 0, each row divided by its sum; where that is 0, even shares of the values that are `known`, of
    all where none is."""
    even = known | ~known.any(axis=1, keepdims=True)
    total = terms.sum(axis=1, keepdims=True)
    return np.where(total > 0, terms, even) / np.where(total > 0, total, even.sum(axis=1, keepdims=True))


class ReconstructionError(FeatureScore):
    """Σ_j (z_j - ẑ_j)² / D: the mean squared error of the row."""

    def terms(self, model, Z):
        return squares(model, Z) / Z[0].size


class StandardisedError(FeatureScore):
    """Σ_j ((z_j - ẑ_j) / s_j)² / D, s_j² = mean over the training rows of (z_j - ẑ_j)²: an error counts by how unusual
    it is for its feature. s_j is at least a thousandth of z_j's own spread."""

    def fit(self, model, Z):
        least = 1e-3 * spread_known(Z)  # a constant feature's error may be 0
        self.spread_ = np.maximum(np.sqrt(squares(model, Z).mean(axis=0)), least)
        return self

    def terms(self, model, Z):
        return squares(model, Z) / self.spread_**2 / Z[0].size


class Mahalanobis(Score):
    """(c - m)ᵀ C⁻¹ (c - m) of the code c: its distance from the mean m of the training codes, in their covariance
    C = S (R + 1e-6 I) S, S their standard deviations and R their correlations, whose rank may be lower."""

    def fit(self, model, Z):
        codes = np.asarray(model.transform(Z), np.float64)
        self.mean_, s = codes.mean(axis=0), spread(codes)
        correlation = np.atleast_2d(np.cov(codes / s, rowvar=False))
        self.precision_ = np.linalg.inv(correlation + 1e-6 * np.eye(len(s))) / np.outer(s, s)
        return self

    def score(self, model, Z):
        away = np.asarray(model.transform(Z), np.float64) - self.mean_
        return ((away @ self.precision_) * away).sum(axis=1)


class NearestCodes(Score):
    """Σ_k |c - r_k| / K: the mean distance of the code c to the K nearest codes of training rows (Angiulli 2002).

    One reference at distance 0 does not count: no training row is its own neighbour, so that training rows score as new
    ones do.

    k            K >= 1
    references   of the training rows, drawn at random where there are more
    """

    def __init__(self, k: int = 5, references: int = 4000):
        if k < 1 or references < 1:
            raise ValueError(f"NearestCodes: expected k and references >= 1, got {k} and {references}.")
        self.k, self.references = k, references

    def fit(self, model, Z):
        if len(Z) > self.references:
            Z = Z[np.sort(np.random.default_rng(0).choice(len(Z), self.references, replace=False))]
        self.references_ = np.asarray(model.transform(Z))
        return self

    def score(self, model, Z):
        codes, found = np.asarray(model.transform(Z)), np.empty(len(Z))
        r, k = self.references_, min(self.k, len(self.references_) - 1)
        coarse = np.hstack([-r, (r * r).sum(axis=1, keepdims=True) / 2]).astype(np.float32).T
        values = np.empty((BLOCK_ROWS, len(r)), np.float32)  # to find the candidates, a few more than are wanted
        same = 1e-5 * float(np.sqrt((r * r).sum(axis=1).mean()))  # as near as rounding brings a code to itself
        for row in range(0, len(codes), BLOCK_ROWS):
            c = codes[row : row + BLOCK_ROWS]
            c1 = np.hstack([c, np.ones((len(c), 1))]).astype(np.float32)
            np.matmul(c1, coarse, out=values[: len(c)])  # [c, 1] · [-r, |r|² / 2] = |c - r|² / 2 - |c|² / 2
            near = smallest(values[: len(c)], min(k + SPARE, len(r)))
            distance = np.sqrt(((r[near] - c[:, None]) ** 2).sum(axis=2, dtype=np.float64))
            distance = np.sort(distance, axis=1)[:, : k + 1]
            itself = distance[:, 0] <= same
            found[row : row + len(c)] = np.where(itself, distance[:, 1:].mean(axis=1), distance[:, :k].mean(axis=1))
        return found


def smallest(values: np.ndarray, k: int) -> np.ndarray:
    """The columns (N, k) of the k smallest of each row of values (N, R), in no order.

    They lie in the k strands, every (R // 16)-th column, whose smallest are smallest: most are never sorted.
    """
    n, length = len(values), values.shape[1] // STRANDS
    if length <= k:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    strands = values[:, : length * STRANDS]
    while strands.shape[1] > length:
        strands = np.minimum(*np.split(strands, 2, axis=1))
    best = np.argpartition(strands, k - 1, axis=1)[:, :k]
    columns = (best[:, :, None] + length * np.arange(STRANDS)).reshape(n, -1)
    rest = np.broadcast_to(np.arange(length * STRANDS, values.shape[1]), (n, values.shape[1] - length * STRANDS))
    columns = np.concatenate([columns, rest], axis=1)
    chosen = np.argpartition(np.take_along_axis(values, columns, axis=1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(columns, chosen, axis=1)


class NegativeELBO(Score):
    """-ELBO in nats, of a variational autoencoder; with importance_samples=K the tighter bound of -log p(x) (Burda
    2016)."""

    def __init__(self, importance_samples: int | None = None):
        self.importance_samples = importance_samples

    def fit(self, model, Z):
        if not hasattr(model, "score_samples"):
            raise ValueError(
                f"{type(self).__name__}: expected a VariationalAutoencoder, got {type(model).__name__}. "
                "Pass autoencoder=VariationalAutoencoder(...)."
            )
        return self

    def score(self, model, Z):
        return -model.score_samples(Z, importance_samples=self.importance_samples).astype(np.float64)


SCORES: dict[str, type[Score]] = {
    "reconstruction": ReconstructionError,
    "standardised": StandardisedError,
    "mahalanobis": Mahalanobis,
    "codes": NearestCodes,
    "elbo": NegativeELBO,
}


def get(score) -> Score:
    """The Score of that name, or the Score itself."""
    if isinstance(score, Score):
        return score
    return SCORES[one_of("scores", score, SCORES, ", a Score, or a list of them")]()
