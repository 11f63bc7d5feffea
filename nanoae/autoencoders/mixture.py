"""Mixture: a Gaussian mixture model of codes, from which any autoencoder can sample."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops, get_ops, lapack
from nanoae.configurable import Configurable
from nanoae.data.kmeans import plus_plus
from nanoae.former import former
from nanoae.spelling import one_of

LEAST = 1e-6  # added to variances, which would be 0 for a component on a single point


class Mixture(Configurable):
    """p(z) = Σ_c weights[c] N(z; means[c], covariances[c]).

    weights       (C,) positive; normalised to sum 1
    means         (C, K)
    covariances   (C, K, K), symmetric positive definite; None: identity matrices, which take no memory

    Arrays are stored as nested lists, so that a model file can hold a mixture.
    """

    def __init__(self, weights: Any, means: Any, covariances: Any = None) -> None:
        w = np.asarray(weights)
        m = np.asarray(means)
        shape = (*m.shape, *m.shape[1:])
        s = None if covariances is None else np.asarray(covariances)
        if (
            w.ndim != 1
            or m.ndim != 2
            or len(w) != len(m)
            or (s is not None and s.shape != shape)
            or not (w > 0).all()
        ):
            raise ValueError(
                "Mixture: expected positive weights (C,), means (C, K) and covariances (C, K, K), got shapes "
                f"{w.shape}, {m.shape} and {None if s is None else s.shape}."
            )
        if s is not None and (s == np.eye(m.shape[1])).all():
            s = None
        self.weights = w.tolist()
        self.means = m.tolist()
        self.covariances = None if s is None else s.tolist()

    def __repr__(self) -> str:
        return f"Mixture({len(self.weights)} components of {len(self.means[0])} dimensions)"

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (weights that sum to 1, means, covariances), float64."""
        weights = np.array(self.weights)
        means = np.array(self.means)
        if self.covariances is None:
            k = means.shape[1]
            covariances = np.broadcast_to(np.eye(k), (*means.shape, k))
        else:
            covariances = np.array(self.covariances)
        return weights / weights.sum(), means, covariances

    @classmethod
    def standard(cls, k: int) -> Mixture:
        """Return N(0, I) in k dimensions, the prior of a variational autoencoder."""
        return cls([1.0], np.zeros((1, k)))

    @classmethod
    def ring(cls, n: int = 10, radius: float = 4.0, std: float = 0.5) -> Mixture:
        """Return n isotropic Gaussians in the plane, evenly spaced on a circle."""
        angle = 2 * np.pi * np.arange(n) / n
        means = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        weights = np.full(n, 1 / n)
        covariance = std**2 * np.eye(2)
        return cls(weights, means, np.tile(covariance, (n, 1, 1)))

    # ---------------------------------------------------------------- learning

    @classmethod
    def fit(
        cls,
        z: Any,
        n_components: int = 10,
        covariance: str = "full",
        *,
        max_iter: int = 200,
        tolerance: float = 1e-3,
        random_state: Any = 0,
        ops: Ops | None = None,
    ) -> Mixture:
        """Fit a mixture to rows z (N, K) by expectation maximisation (Dempster 1977), initialised by k-means++.

        covariance   "full" or "diag" (diagonal)
        tolerance    stop once the mean log-likelihood improves by less than this

        E   r[n, c] = weights[c] N(z[n]; c) / p(z[n])           responsibilities: a softmax over c
        M   weights[c] = Σ_n r / N,   means[c] = Σ_n r z / Σ_n r,   covariances[c] = Σ_n r (z - m)(z - m)ᵀ / Σ_n r
        """
        z = np.asarray(z, np.float64)
        one_of("Mixture: covariance", covariance, ("full", "diag"))
        if z.ndim != 2 or not 1 <= n_components <= len(z):
            raise ValueError(
                f"Mixture: expected rows (N, K) and 1 to N components, got {z.shape} and {n_components}."
            )
        ops = ops or get_ops("numpy")
        spread = np.atleast_2d(np.cov(z.T, bias=True))
        spread = spread + LEAST * np.eye(z.shape[1])
        shape = np.ones_like(spread) if covariance == "full" else np.eye(len(spread))
        z = ops.to_device(z)
        start = plus_plus(ops, z, n_components, np.random.default_rng(random_state))
        covariances = np.tile(shape * spread, (n_components, 1, 1))
        found = cls(np.ones(n_components), ops.to_numpy(start), covariances)
        return found.improved(z, ops, shape, max_iter, tolerance)

    def improved(
        self, z: Array, ops: Ops, shape: np.ndarray, max_iter: int, tolerance: float
    ) -> Mixture:
        """Run EM iterations from this mixture. shape (K, K): 1 where a covariance may be non-zero, else 0."""
        mixture = self
        last = -math.inf
        for _ in range(max_iter):
            joint = mixture.log_joint(z, ops)
            now = float(ops.log_sum_exp(joint).mean())
            if now - last < tolerance:
                break
            last = now
            r = ops.softmax(joint)
            size = ops.to_numpy(ops.sum_rows(r)) + 1e-10  # Σ_n r
            means = ops.to_numpy(ops.matmul(r.T, z)) / size[:, None]
            covariances = []
            for c, mean in enumerate(means):
                share = r[:, c : c + 1]
                centred = z - ops.to_device(mean)
                products = ops.to_numpy(ops.matmul((centred * share).T, centred))
                covariances.append(shape * products / size[c] + LEAST * np.eye(len(mean)))
            mixture = type(self)(size, means, covariances)
        return mixture

    # ---------------------------------------------------------------- using

    def log_joint(self, z: Array, ops: Ops) -> Array:
        """Return log weights[c] N(z[n]; c), (N, C). With covariance = L Lᵀ and y = L⁻¹ (z - mean):
        log N = -(y·y + K log 2π) / 2 - Σ log L[k, k]."""
        weights, means, covariances = self.arrays()
        joint = ops.empty((len(z), len(weights)), z.dtype)
        for c, L in enumerate(lapack.cholesky(covariances)):
            mean = ops.to_device(means[c])
            inverse = ops.to_device(lapack.inverse(L).T)
            y = ops.matmul(z - mean, inverse)
            of_pi = len(L) * math.log(2 * math.pi) / 2
            half_log_det = float(np.log(np.diag(L)).sum())
            constant = math.log(weights[c]) - half_log_det - of_pi
            squares = (y * y).sum(axis=1)
            ops.copy(constant - 0.5 * squares, out=joint[:, c])
        return joint

    def score_samples(self, z: Any) -> np.ndarray:
        """Return log p(z) in nats of rows z (N, K), (N,)."""
        ops = get_ops("numpy")
        return ops.log_sum_exp(self.log_joint(np.asarray(z, np.float64), ops))  # type: ignore[no-any-return]

    def sample(self, n: int, random_state: Any = None, temperature: float = 1.0) -> np.ndarray:
        """Sample n codes (n, K); `temperature` multiplies the standard deviations: below 1 for more likely codes."""
        rng = np.random.default_rng(random_state)
        weights, means, covariances = self.arrays()
        L = lapack.cholesky(covariances)
        c = rng.choice(len(weights), n, p=weights)
        noise = rng.standard_normal((n, means.shape[1]))
        return means[c] + temperature * np.einsum("nij,nj->ni", L[c], noise)  # type: ignore[no-any-return]

    def sampler(self, ops: Ops, dtype: Any) -> Callable[[Any, Array], Array]:
        """Return a function draw(generator, out) that fills out (N, K) with samples of p(z) on the device. A uniform
        random number selects each row's component."""
        if self.covariances is None and len(self.means) == 1 and not np.any(self.means):
            return ops.normal
        weights, means, covariances = self.arrays()
        # ends in 1 exactly: u < 1 despite rounding
        bounds = [0.0, *np.cumsum(weights)[:-1].tolist(), 1.0]
        roots = [ops.to_device(L.T, dtype) for L in lapack.cholesky(covariances)]
        parts = list(zip(bounds, bounds[1:], roots, ops.to_device(means, dtype), strict=False))

        def draw(generator: Any, out: Array) -> Array:
            ops.normal(generator, out)
            u = ops.uniform(generator, ops.empty((len(out), 1), dtype))
            z = ops.zeros(out.shape, dtype)
            for start, end, root, mean in parts:
                drawn = ops.matmul(out, root) + mean
                z += ((u >= start) & (u < end)) * drawn
            return ops.copy(z, out=out)

        return functools.partial(ops.call, draw)

    drawer = former("Mixture.drawer", sampler)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and standard deviation of each dimension, (K,) each."""
        weights, means, covariances = self.arrays()
        mean = weights @ means
        within = np.diagonal(covariances, axis1=1, axis2=2)
        between = (means - mean) ** 2
        return mean, np.sqrt(weights @ (within + between))
