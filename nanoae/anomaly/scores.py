"""Scores: how abnormal a row is, by what an autoencoder makes of it; higher is more abnormal.

fit(model, Z) learns from the rows Z (N, ...) that the model was trained on what is usual; score(model, Z) is (N,);
shares(model, Z), of Z's shape, >= 0, says which features it comes from: each row's add up to 1.
"""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.neighbours import (
    FEW,
    distances_in_cells,
    distances_to_nearest,
    into_cells,
    smallest,
)
from nanoae.autoencoders.table_losses import Mixed
from nanoae.configurable import Configurable
from nanoae.data.scaling import JITTER, spread, spread_known
from nanoae.spelling import one_of

__all__ = ["smallest"]


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

    places_: np.ndarray | None = (
        None  # (D,): of a table with categories, what part of a whole row each place of Z is
    )

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            self.places_ = 1 / np.repeat(blocks, blocks) / len(blocks)
        return self

    def terms(self, model, Z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def score(self, model, Z):
        return self.terms(model, Z).reshape(len(Z), -1).sum(axis=1)

    def shares(self, model, Z):
        known = ~np.isnan(Z).reshape(len(Z), -1)
        return normalised(self.terms(model, Z).reshape(len(Z), -1), known).reshape(Z.shape)


def squares(model, Z: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """(z - ẑ)², of Z's shape in float64. What is missing is 0, and the rest of its row weighs more for it, by the
    `share` that is missing."""
    error = (Z - model.reconstruct(Z)).astype(np.float64) ** 2
    missing = np.isnan(Z)  # and not of the error: a reconstruction that is NaN is no gap
    if not missing.any():
        return error
    known = share((~missing).reshape(len(Z), -1), places).reshape(-1, *[1] * (Z.ndim - 1))
    return np.where(missing, 0, error) / np.maximum(known, 1 / Z[0].size)


def share(of: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """What share (N,) of each row those places are that are True in `of` (N, D), each 1 / D or as `places` (D,) says:
    a category is one column of the table, however many places of Z it has."""
    return of.mean(axis=1) if places is None else np.where(of, places, 0).sum(axis=1)


def blocks_of(model) -> tuple[int, ...]:
    """The widths of a table's columns in Z where some are categories, one-hot and wider than 1; () where none is."""
    loss = getattr(getattr(model, "as_built", None), "loss", None)
    return tuple(loss.blocks) if isinstance(loss, Mixed) else ()


def normalised(terms: np.ndarray, known: np.ndarray) -> np.ndarray:
    """terms (N, D) >= 0, each row divided by its sum; where that is 0, even shares of the values that are `known`, of
    all where none is."""
    even = known | ~known.any(axis=1, keepdims=True)
    total = terms.sum(axis=1, keepdims=True)
    return np.where(total > 0, terms, even) / np.where(
        total > 0, total, even.sum(axis=1, keepdims=True)
    )


class ReconstructionError(FeatureScore):
    """Σ_j (z_j - ẑ_j)² / D: the mean squared error of the row."""

    weight = 0.5  # on many tables noise, on some the only score that sees a broken relation between columns

    def terms(self, model, Z):
        return squares(model, Z, self.places_) / Z[0].size


class StandardisedError(FeatureScore):
    """Σ_j ((z_j - ẑ_j) / s_j)² / D, s_j² = mean over the training rows of (z_j - ẑ_j)²: an error counts by how unusual
    it is for its feature. s_j is at least a thousandth of z_j's own spread."""

    spread_: np.ndarray  # s, of a row's shape

    def fit(self, model, Z):
        super().fit(model, Z)
        least = 1e-3 * spread_known(Z)  # a constant feature's error may be 0
        self.spread_ = np.maximum(np.sqrt(squares(model, Z, self.places_).mean(axis=0)), least)
        return self

    def terms(self, model, Z):
        return squares(model, Z, self.places_) / self.spread_**2 / Z[0].size


class Mahalanobis(Score):
    """(c - m)ᵀ C⁻¹ (c - m) of the code c: its distance from the mean m of the training codes, in their covariance
    C = S (R + 1e-6 I) S, S their standard deviations and R their correlations, whose rank may be lower."""

    mean_: np.ndarray  # m (K,)
    precision_: np.ndarray  # C⁻¹ (K, K)

    def fit(self, model, Z):
        codes = model.transform(Z).astype(np.float64)
        self.mean_, s = codes.mean(axis=0), spread(codes)
        correlation = np.atleast_2d(np.cov(codes / s, rowvar=False))
        self.precision_ = np.linalg.inv(correlation + 1e-6 * np.eye(len(s))) / np.outer(s, s)
        return self

    def score(self, model, Z):
        away = model.transform(Z).astype(np.float64) - self.mean_
        return ((away @ self.precision_) * away).sum(axis=1)


class NearestCodes(Score):
    """Σ_k |c - r_k| / K: the mean distance of the code c to the K nearest codes of training rows (Angiulli 2002).

    One reference at distance 0 does not count: no training row is its own neighbour, so that training rows score as new
    ones do.

    A category k that a share p_k of the training rows has is √p_k in its place of Z here, not 1: categories k and l lie
    √(p_k + p_l) apart. Whole, a rare one would put its rows as far from all others as a wild number does, and these
    rows, of which many columns have many, would hide it. How rare a category is says `ColumnTails`. One that no
    training row has stays 1.

    k            K >= 1
    references   of the training rows, drawn at random where there are more; of more than 4,000 only those in the
                 nearest cells are looked at
    whiten       how much of the covariance C of the training codes is taken out of the distance, in [0, 1]:
                 |(c - r) W|, W = (C + ε I)^(-whiten / 2), ε a twentieth of the mean variance; 0: none of it, 1: all of
                 it, as in `Mahalanobis`
    """

    weight = 2.0  # it is the one that is right on most tables
    sizes_: (
        np.ndarray
    )  # (D,), what a category in each place of Z counts; only of a table with categories
    whitening_: np.ndarray  # W (K, K), if any
    references_: np.ndarray  # (R, K), where there are many cell by cell, with
    starts_: np.ndarray  # the number of each cell's first one, and
    centers_: np.ndarray  # the cells' centres

    def __init__(self, k: int = 3, references: int = 20_000, whiten: float = 0.0):
        if k < 1 or references < 1:
            raise ValueError(
                f"NearestCodes: expected k and references >= 1, got {k} and {references}."
            )
        if not 0 <= whiten <= 1:
            raise ValueError(f"NearestCodes: expected whiten in [0, 1], got {whiten}.")
        self.k, self.references, self.whiten = k, references, whiten

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            category = np.repeat(blocks, blocks) > 1
            self.sizes_ = np.ones(len(category))
            share_of = np.nansum(Z[:, category], axis=0) / len(Z)
            self.sizes_[category] = np.where(share_of > 0, np.sqrt(share_of), 1)
        if len(Z) > self.references:
            Z = Z[np.sort(np.random.default_rng(0).choice(len(Z), self.references, replace=False))]
        codes = self._codes(model, Z)
        if self.whiten:
            covariance = np.atleast_2d(np.cov(codes.astype(np.float64), rowvar=False))
            width = len(covariance)
            ridge = max(0.05 * np.trace(covariance) / width, 1e-12)
            variance, axes = np.linalg.eigh(covariance + ridge * np.eye(width))
            self.whitening_ = axes * variance ** (-self.whiten / 2)
        self.references_ = self._placed(codes)
        if len(codes) > FEW:
            self.references_, self.starts_, self.centers_ = into_cells(self.references_)
        return self

    def _codes(self, model, Z: np.ndarray) -> np.ndarray:
        return model.transform(Z * self.sizes_ if hasattr(self, "sizes_") else Z)

    def _placed(self, codes: np.ndarray) -> np.ndarray:
        return codes @ self.whitening_ if self.whiten else codes

    def score(self, model, Z):
        codes, r = self._placed(self._codes(model, Z)), self.references_
        k = max(min(self.k, len(r) - 1), 1)
        if hasattr(self, "centers_"):
            distance = distances_in_cells(codes, r, self.starts_, self.centers_, k + 1)
        else:
            distance = distances_to_nearest(codes, r, min(k + 1, len(r)))
        same = 1e-5 * float(
            np.sqrt((r * r).sum(axis=1).mean())
        )  # as near as rounding brings a code to itself
        itself = (distance[:, 0] <= same) & (distance.shape[1] > k)
        return np.where(itself, distance[:, 1:].mean(axis=1), distance[:, :k].mean(axis=1))


class NearestWhitenedCodes(NearestCodes):
    """`NearestCodes`, half whitened: between what lies far from all rows, and what lies where none of them varies."""

    weight = 1.0

    def __init__(self, k: int = 3, references: int = 20_000, whiten: float = 0.5):
        super().__init__(k, references, whiten)


class ColumnTails(FeatureScore):
    """Σ_j -log p_j / D, p_j = min(1, 2 min(P(x <= z_j), P(x >= z_j))) in column j of the training rows: how far out the
    values lie, each in its own column (Li et al. 2022, "ECOD"). P(...) = (1 + number of the n rows) / (n + 1).
    What differs by a millionth of a column's scale or less is equal: it may be rounding.

    A category has one term, -log P(a row's category is as rare as this one or rarer). So where all are equally rare,
    none is unusual, and a column of a few rare ones is no more surprising than a number.

    references   of the training rows, drawn at random where there are more
    """

    weight = 0.5  # it knows nothing of how columns go together
    sorted_: np.ndarray  # (D, R): the references' values in each column
    rarity_: np.ndarray  # (D,): of categories, see `rarity`; only of a table with some

    def __init__(self, references: int = 4000):
        if references < 1:
            raise ValueError(f"ColumnTails: expected references >= 1, got {references}.")
        self.references = references

    def fit(self, model, Z):
        super().fit(model, Z)
        columns = Z.reshape(len(Z), -1)
        if len(Z) > self.references:
            columns = columns[
                np.random.default_rng(0).choice(len(Z), self.references, replace=False)
            ]
        self.sorted_ = np.sort(columns, axis=0).T.copy()  # NaN last
        blocks = blocks_of(model)
        if blocks:
            self.rarity_ = rarity(Z, blocks)
        return self

    def terms(self, model, Z):
        columns = Z.reshape(len(Z), -1)
        found = np.empty(columns.shape)
        for j, (usual, z) in enumerate(zip(self.sorted_, columns.T, strict=True)):
            usual = usual[: np.searchsorted(usual, np.nan)]  # those that are known
            order = np.argsort(
                z
            )  # neighbours in it are looked for in the same part of usual: half of the time
            rising = z[order]
            low = np.searchsorted(usual, rising + JITTER, "right")
            high = len(usual) - np.searchsorted(usual, rising - JITTER, "left")
            found[order, j] = -np.log(
                np.minimum(2 * (1 + np.minimum(low, high)) / (1 + len(usual)), 1)
            )
        if hasattr(self, "rarity_"):
            category = ~np.isnan(self.rarity_)
            found[:, category] = -np.log(self.rarity_[category]) * columns[:, category]
        missing = np.isnan(columns)
        if missing.any():
            known = np.maximum(1 - share(missing, self.places_), 1 / found.shape[1])
            found = np.where(missing, 0, found) / known[:, None]
        return found.reshape(Z.shape) / found.shape[1]


def rarity(Z: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """(D,): for each place of a category (1 + number of rows whose category is as rare as this one or rarer) / (n + 1),
    n those of the rows Z (N, D) that have one; NaN for numbers."""
    found, start = np.full(sum(blocks), np.nan), 0
    for width in blocks:
        if width > 1:
            count = np.nansum(Z[:, start : start + width], axis=0)
            rows = (count <= count[:, None]) @ count
            found[start : start + width] = (1 + rows) / (1 + count.sum())
        start += width
    return found


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
        return -model.score_samples(Z, importance_samples=self.importance_samples).astype(
            np.float64
        )


SCORES: dict[str, type[Score]] = {
    "reconstruction": ReconstructionError,
    "standardised": StandardisedError,
    "mahalanobis": Mahalanobis,
    "codes": NearestCodes,
    "whitened": NearestWhitenedCodes,
    "tails": ColumnTails,
    "elbo": NegativeELBO,
}


def get(score) -> Score:
    """The Score of that name, or the Score itself."""
    if isinstance(score, Score):
        return score
    return SCORES[one_of("scores", score, SCORES, ", a Score, or a list of them")]()
