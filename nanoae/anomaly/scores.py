"""Scores: how abnormal a row is, by what an autoencoder makes of it; higher is more abnormal.

fit(model, Z) learns from the rows Z (N, D) the model was trained on what is usual; score(model, Z) is (N,);
shares(model, Z) is (N, D): what each feature adds, their sum is the score.
"""

from __future__ import annotations

import numpy as np

from nanoae.engine.part import Part


class Score(Part):
    """A score; `shares` by occlusion unless the formula itself is a sum over the features."""

    def fit(self, model, Z: np.ndarray) -> Score:
        return self

    def score(self, model, Z: np.ndarray) -> np.ndarray:
        return self.shares(model, Z).sum(axis=1)

    def shares(self, model, Z: np.ndarray) -> np.ndarray:
        """The score is divided among the features by how much it falls when each alone is replaced by what the model
        gives back for it."""
        whole, again = self.score(model, Z), model.reconstruct(Z)
        falls = np.empty(Z.shape)
        for j in range(Z.shape[1]):
            occluded = Z.copy()
            occluded[:, j] = again[:, j]
            falls[:, j] = np.maximum(whole - self.score(model, occluded), 0)
        total = falls.sum(axis=1, keepdims=True)
        return whole[:, None] * np.where(total > 0, falls / np.where(total > 0, total, 1), 1 / Z.shape[1])


class ReconstructionError(Score):
    """Σ_j (z_j - ẑ_j)² / D: the mean squared error of the row."""

    def shares(self, model, Z):
        return (Z - model.reconstruct(Z)).astype(np.float64) ** 2 / Z.shape[1]


class StandardisedError(Score):
    """Σ_j ((z_j - ẑ_j) / s_j)² / D, s_j² = mean over the training rows of (z_j - ẑ_j)²: an error counts by how unusual
    it is for its feature."""

    def fit(self, model, Z):
        spread = np.sqrt(((Z - model.reconstruct(Z)).astype(np.float64) ** 2).mean(axis=0))
        self.spread_ = np.maximum(spread, 1e-3 * max(spread.max(), 1e-9))
        return self

    def shares(self, model, Z):
        return ((Z - model.reconstruct(Z)) / self.spread_) ** 2 / Z.shape[1]


class Mahalanobis(Score):
    """(c - m)ᵀ C⁻¹ (c - m) of the code c: its distance from the mean m of the training codes, in their covariance C."""

    def fit(self, model, Z):
        codes = model.transform(Z).astype(np.float64)
        self.mean_ = codes.mean(axis=0)
        covariance = np.atleast_2d(np.cov(codes, rowvar=False))
        ridge = 1e-6 * max(np.trace(covariance) / len(covariance), 1e-12)
        self.precision_ = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        return self

    def score(self, model, Z):
        away = model.transform(Z).astype(np.float64) - self.mean_
        return np.einsum("nk,kl,nl->n", away, self.precision_, away)


SCORES: dict[str, type[Score]] = {
    "reconstruction": ReconstructionError,
    "standardised": StandardisedError,
    "mahalanobis": Mahalanobis,
}


def get(score) -> Score:
    """The Score of that name, or the Score itself."""
    if isinstance(score, Score):
        return score
    if score not in SCORES:
        raise ValueError(f"scores: expected one of {', '.join(SCORES)}, or a Score, got {score!r}.")
    return SCORES[score]()
