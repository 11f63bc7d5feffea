"""PCA: the optimal linear autoencoder, the baseline for all others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import as_codes
from nanoae.autoencoders.kinds import Integer
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.parameters import estimator, parameter, transactional
from nanoae.autoencoders.saved import Packed
from nanoae.autoencoders.scaled import Scaled, reconstruction_errors
from nanoae.autoencoders.weights import FEW, content_order, weighed_blocks, weighted_rows
from nanoae.backend import lapack
from nanoae.configurable import Self
from nanoae.data.frame import framed
from nanoae.rows import by_blocks
from nanoae.survey import extremes


@estimator
class PCA(Scaled):
    """Principal component analysis by SVD:  code = (x - mean) Vᵀ,  reconstruction = code V + mean.

    V (K, D) holds the K right singular vectors of the centred data with the largest singular values: no other linear
    map to K numbers and back has a smaller squared error (Eckart & Young 1936). If N > D they are computed as
    eigenvectors of the smaller matrix XᵀX.

    Attributes after fit: mean_ (D,), components_ (K, D), explained_variance_ (K,), explained_variance_ratio_ (K,).
    """

    n_components: int = parameter(32, Integer(), "K; values above min(N, D) mean min(N, D)")
    _: KW_ONLY
    scaling: Any = "none"
    _learned = ("mean_", "components_", "explained_variance_", "explained_variance_ratio_")

    def _float(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to X (N, D). `y` is ignored. sample_weight: weights (N,) >= 0; row n counts as if it was repeated
        sample_weight[n] times."""
        self.check_parameters()
        X = self._check_X(X, True, sample_weight)
        rows, weights = weighted_rows(sample_weight, len(X), "PCA", FEW, least=2)
        X = self._learn_scale(X[rows], weights)
        order = content_order(X)
        X = X[order]
        weights = None if weights is None else weights[order]
        self.mean_ = mean(X, weights)
        n: Any = len(X)  # or the sum of integer weights; of other weights only the ratios count
        if weights is not None:
            whole = (weights == np.floor(weights)).all()
            weights = weights if whole else weights / weights.mean()
            n = weights.sum()
        low, high = extremes(X)
        _, exponent = np.frexp(max((high - self.mean_).max(), (self.mean_ - low).max()))
        parts = centred(X, self.mean_, exponent, weights)
        squares, vectors = singular(parts, tall=n > X.shape[1])
        self.components_ = with_signs(vectors[: self.n_components])
        kept = squares[: self.n_components]
        with np.errstate(over="ignore"):
            self.explained_variance_ = np.ldexp(kept / (n - 1), 2 * exponent)
        self.explained_variance_ratio_ = kept / max(squares.sum(), np.finfo(float).tiny)
        return self

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """Return the codes (N, K) of X (N, D)."""
        return self._encode(X)

    def _encode(self, X: Any) -> np.ndarray:
        X = self.scaled(self._check_X(X))
        return np.concatenate([self._project(block) for block in by_blocks(X)])

    def _project(self, Z: np.ndarray) -> Any:
        return (Z - self.mean_) @ self.components_.T

    def _decode(self, codes: np.ndarray) -> Any:
        return codes @ self.components_ + self.mean_

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the reconstructions (N, D) of codes X (N, K)."""
        self.check_fitted()
        codes = as_codes(X, self, self.components_.shape[:1], np.float64)
        return self.unscaled(self._decode(codes))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return inverse_transform(transform(X)), (N, D)."""
        return self.inverse_transform(self._encode(X))

    def reconstruction_error(self, X: Any, per: str = "row") -> np.ndarray:
        """Return the squared error of the reconstruction: the mean per row (N,) or feature (D,), or of each element
        (N, D), for per="row", "feature" or "element"."""
        return reconstruction_errors(self, self._check_X(X), per)

    def evaluate(self, X: Any, *, sample_weight: Any = None) -> dict[str, float]:
        """Return {"loss", "mse"}: the mean squared error on X (N, D), weighted by sample_weight (N,). If columns are
        scaled there is also "scaled_mse", the error on that scale, which is then the loss."""
        X = self._check_X(X)
        rows, weights = weighted_rows(sample_weight, len(X), "PCA")
        X = X[rows]
        Z = self.scaled(X)

        def reconstruct(rows: slice) -> Any:
            return self._decode(self._project(np.asarray(Z[rows])))

        errors = self._mean_errors(X, reconstruct, weights)
        return {"loss": errors.get("scaled_mse", errors["mse"]), **errors}

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """Return the negative mean squared error: higher is better."""
        return -self.evaluate(X, sample_weight=sample_weight)["loss"]

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def save(self, path: Any) -> None:
        """Write the model to `path`; `nanoae.load` opens it."""
        self.check_fitted()
        save_model(self, path)

    def to_file(self) -> Packed:
        facts, arrays = super().to_file()
        return facts, arrays | {name: getattr(self, name) for name in self._learned}

    def from_file(self, header: dict[str, Any], arrays: Any) -> None:
        self.settle()
        self._settings_from_file(header, arrays)
        self.mean_ = arrays.take("mean_", (math.prod(header["input_shape"]),))
        self.components_ = arrays.take("components_", (None, len(self.mean_)))
        for name in ("explained_variance_", "explained_variance_ratio_"):
            setattr(self, name, arrays.take(name, (len(self.components_),)))


def mean(X: np.ndarray, weights: np.ndarray | None) -> Any:
    """Return Σ w x / Σ w of the rows X (N, D)."""
    total = sum((block * w).sum(axis=0) for block, w in weighed_blocks(X, weights))
    return total / (len(X) if weights is None else weights.sum())


def centred(
    X: np.ndarray, mean: np.ndarray, exponent: int, weights: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield blocks of √w (x - mean) / 2^exponent. This scaling is exact and prevents over- and underflow of squares."""
    for block, w in weighed_blocks(X, weights):
        yield np.ldexp(block - mean, -exponent) * np.sqrt(w)


def singular(parts: Iterator[np.ndarray], tall: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return S² (K,), in descending order, and Vᵀ (K, D) of X = U S Vᵀ (N, D), whose rows come in parts.

    tall   N > D: the smaller D x D matrix XᵀX = V S² Vᵀ has the same right singular vectors
    """
    if tall:
        squares, vectors = lapack.eigh(sum(part.T @ part for part in parts))
        return np.maximum(squares[::-1], 0), vectors[:, ::-1].T
    _, s, vectors = lapack.svd(np.concatenate(list(parts)), full_matrices=False)
    return s**2, vectors


def with_signs(vectors: np.ndarray) -> np.ndarray:
    """Flip singular vectors (K, D), whose signs are arbitrary, so that the largest entry of each is positive."""
    largest = np.abs(vectors).argmax(axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    return vectors * signs[:, None]  # type: ignore[no-any-return]
