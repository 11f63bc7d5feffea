"""The scores selected by name: reconstruction errors, distances between codes, column tails, density bounds."""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.column_tails import ColumnTails
from nanoae.anomaly.nearest_codes import NearestCodes, NearestJointCodes, NearestWhitenedCodes
from nanoae.anomaly.score import FeatureScore, Score, squares
from nanoae.backend import lapack
from nanoae.data.scaling import spread, spread_known
from nanoae.spelling import instance


class ReconstructionError(FeatureScore):
    """Σ_j (z_j - ẑ_j)² / D: the mean squared reconstruction error of the row."""

    weight = 0.5  # noise on many tables; on some the only score that detects a broken relation between columns

    def terms(self, model, Z):
        return squares(model, Z, self.places_) / Z[0].size


class StandardisedError(FeatureScore):
    """Σ_j ((z_j - ẑ_j) / s_j)² / D, s_j² = mean over the training rows of (z_j - ẑ_j)²: weighs an error by how unusual
    it is for its feature. s_j is at least a thousandth of the standard deviation of z_j."""

    spread_: np.ndarray  # s, of a row's shape

    def fit(self, model, Z):
        super().fit(model, Z)
        least = 1e-3 * spread_known(Z)  # the error of a constant feature may be 0
        mean = squares(model, Z, self.places_).mean(axis=0)
        self.spread_ = np.maximum(np.sqrt(mean), least)
        return self

    def terms(self, model, Z):
        error = squares(model, Z, self.places_)
        return error / self.spread_**2 / Z[0].size


class Mahalanobis(Score):
    """(c - m)ᵀ C⁻¹ (c - m): the squared Mahalanobis distance of the code c from the mean m of the training codes.

    C = S (R + 1e-6 I) S is their covariance, with standard deviations S and correlations R, which may be singular.
    """

    mean_: np.ndarray  # m (K,)
    precision_: np.ndarray  # C⁻¹ (K, K)

    def fit(self, model, Z):
        codes = model.transform(Z).astype(np.float64)
        self.mean_ = codes.mean(axis=0)
        s = spread(codes)
        correlation = np.atleast_2d(np.cov(codes / s, rowvar=False))
        ridge = 1e-6 * np.eye(len(s))
        inverse = lapack.inverse(correlation + ridge)
        self.precision_ = inverse / np.outer(s, s)
        return self

    def score(self, model, Z):
        codes = model.transform(Z).astype(np.float64)
        deviation = codes - self.mean_
        return ((deviation @ self.precision_) * deviation).sum(axis=1)


class NegativeELBO(Score):
    """-ELBO in nats, for a variational autoencoder; importance_samples=K: a tighter bound of -log p(x) (Burda 2016)."""

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
        elbo = model.score_samples(Z, importance_samples=self.importance_samples)
        return -elbo.astype(np.float64)


SCORES: dict[str, type[Score]] = {
    "reconstruction": ReconstructionError,
    "standardised": StandardisedError,
    "mahalanobis": Mahalanobis,
    "codes": NearestCodes,
    "whitened": NearestWhitenedCodes,
    "joint": NearestJointCodes,
    "tails": ColumnTails,
    "elbo": NegativeELBO,
}


def get(score) -> Score:
    """Return the Score with the given name, or the given Score itself."""
    return instance("scores", score, Score, SCORES, ", a Score, or a list of them")
