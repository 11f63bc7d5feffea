"""NearestCodes: the distance of a row's code from those of training rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nanoae.anomaly.neighbours import FEW, distances_in_cells, distances_to_nearest, into_cells
from nanoae.anomaly.score import Score, blocks_of, drawn
from nanoae.backend import lapack
from nanoae.backend.blas import one_thread


class NearestCodes(Score):
    """Σ_k |c - r_k| / K: the mean distance of the code c to the K nearest codes of training rows (Angiulli 2002).

    One reference at distance 0 is skipped: a training row is not its own neighbour, so training rows score like new
    ones. In cross-fitting the rows of all folds are references, including those that the autoencoder was not trained
    on.

    A category k with share p_k of the training rows has the value √p_k in Z, not 1, so categories k and l are √(p_k +
    p_l) apart. With 1, a rare category would be as far from all others as an outlier among numbers, and hide outliers,
    since many tables have many rare categories. `ColumnTails` scores their rarity. A category absent from training
    keeps 1.

    k            K >= 1
    references   most training rows to use; more are sampled at random. Above 4,000 only the nearest cells are searched
    whiten       how much of the covariance C of the training codes is removed from the distance, in [0, 1]:
                 |(c - r) W|, W = (C + ε I)^(-whiten / 2), ε a twentieth of the mean variance; 0: nothing, 1: all of
                 it, as in `Mahalanobis`
    """

    bounds: ClassVar = {"k": "[1, inf)", "references": "[1, inf)", "whiten": "[0, 1]"}
    weight = 2.0  # the best single score on most tables
    # (D,), value of a category in each column of Z; only for a table with categories
    sizes_: np.ndarray
    whitening_: np.ndarray  # W (K, K), if any
    references_: np.ndarray  # (R, K), ordered by cell if there are many
    starts_: np.ndarray  # index of each cell's first reference
    centers_: np.ndarray  # centres of the cells

    def __init__(self, k: int = 3, references: int = 20_000, whiten: float = 0.0):
        self.k = k
        self.references = references
        self.whiten = whiten

    def fit(self, model, Z):
        blocks = blocks_of(model)
        if blocks:
            category = np.repeat(blocks, blocks) > 1
            share_of = np.nansum(Z, axis=0) / len(Z)
            known = np.where(category & (share_of > 0), share_of, 1)
            self.sizes_ = np.sqrt(known).astype(np.float64)
        codes = self._codes(model, drawn(Z, self.references))
        if self.whiten:
            self.whitening_ = whitening(codes, self.whiten)
        self.references_ = self._whitened(codes)
        if len(codes) > FEW:
            self.references_, self.starts_, self.centers_ = into_cells(self.references_)
        return self

    def compare_with(self, model, Z):
        if len(self.references_) + len(Z) <= self.references:
            codes = self._whitened(self._codes(model, np.asarray(Z)))
            self.references_ = np.vstack([self.references_, codes])

    def _codes(self, model, Z: np.ndarray) -> np.ndarray:
        if hasattr(self, "sizes_"):
            Z = Z * self.sizes_
        return model.transform(Z)

    @one_thread()
    def _whitened(self, codes: np.ndarray) -> np.ndarray:
        return codes @ self.whitening_ if self.whiten else codes

    def score(self, model, Z):
        return self._mean_distance(model, Z, 1)

    def score_left_out(self, model, Z):
        return self._mean_distance(model, Z, 2)

    def _mean_distance(self, model, Z: np.ndarray, skipped: int) -> np.ndarray:
        """Return Σ_k |c - r_k| / K (N,) of Z (N, ...) without the first `skipped` references at distance 0."""
        codes = self._whitened(self._codes(model, Z))
        r = self.references_
        k = max(min(self.k, len(r) - 1), 1)
        if hasattr(self, "centers_"):
            distance = distances_in_cells(codes, r, self.starts_, self.centers_, k + skipped)
        else:
            distance = distances_to_nearest(codes, r, min(k + skipped, len(r)))
        # distance of a code from itself due to rounding, by the root mean square length of a code
        same = 1e-5 * np.linalg.norm(r) / len(r) ** 0.5
        first = (distance[:, :-k] <= same).sum(axis=1, keepdims=True)
        counted = np.take_along_axis(distance, first + np.arange(k), axis=1)
        return counted.mean(axis=1)


class NearestWhitenedCodes(NearestCodes):
    """`NearestCodes`, half whitened: weighs distance from all rows against deviation where rows hardly vary."""

    weight = 1.0

    def __init__(self, k: int = 3, references: int = 20_000, whiten: float = 0.5):
        super().__init__(k, references, whiten)


class NearestJointCodes(NearestCodes):
    """`NearestCodes` of each code c together with its error after decoding and encoding again: [c, e (c - c(x̂))]. So a
    row is close to rows that are similar and reconstructed equally well.

    errors   ratio of the errors' size to the spread of the codes over the training rows, which sets e
    """

    bounds: ClassVar = {**NearestCodes.bounds, "errors": "[0, inf)"}
    factor_: np.ndarray  # e

    def __init__(
        self, k: int = 2, references: int = 20_000, whiten: float = 0.0, errors: float = 0.1
    ):
        super().__init__(k, references, whiten)
        self.errors = errors

    def fit(self, model, Z):
        some = drawn(Z, self.references)
        codes = model.transform(some)
        error = codes - model.transform(model.reconstruct(some))
        spread = np.linalg.norm(codes - codes.mean(axis=0))
        least = 1e-3 * spread or 1.0  # for codes without error, or all the same
        usual = max(np.linalg.norm(error), least)
        self.factor_ = np.array(self.errors * spread / usual)
        return super().fit(model, Z)

    def _codes(self, model, Z):
        codes = super()._codes(model, Z)
        reencoded = super()._codes(model, model.reconstruct(Z))
        return np.hstack([codes, self.factor_ * (codes - reencoded)])


@one_thread()
def whitening(codes: np.ndarray, power: float) -> np.ndarray:
    """Return the matrix that scales codes (N, K) along each principal axis by variance^(-power / 2)."""
    covariance = np.atleast_2d(np.cov(codes.astype(np.float64), rowvar=False))
    width = len(covariance)
    ridge = max(0.05 * np.trace(covariance) / width, 1e-12)
    variance, axes = lapack.eigh(covariance + ridge * np.eye(width))
    return axes * variance ** (-power / 2)
