"""Generative: new examples from sampled, interpolated or perturbed codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.autoencoders.kinds import Integer, Number
from nanoae.autoencoders.mixture import Mixture
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.saved import Packed
from nanoae.configurable import Self, to_config
from nanoae.data.matrix import as_numbers


class Generative(NetworkEstimator):
    """Sampling methods of autoencoders. In conditional models every method takes condition=, a label or one per row.

    prior_   the Mixture that codes are sampled from: the bottleneck's prior, N(0, I) for a Gaussian, or the result of
             `fit_prior`
    """

    prior_: Mixture | None

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Decode codes X (N, K)."""
        raise NotImplementedError

    def fit_prior(
        self,
        X: Any,
        n_components: int = 10,
        covariance: str = "full",
        random_state: Any = 0,
        **condition: Any,
    ) -> Self:
        """Fit a mixture of Gaussians to the codes of X (N, D), as the prior that `sample` draws from.

        A plain autoencoder has no other prior. A variational one has, but its codes do not match it exactly.
        """
        codes = self._encode(X, **condition)
        self.prior_ = Mixture.fit(
            codes, n_components, covariance, random_state=random_state, ops=self.network_.ops
        )
        return self

    def sample(
        self, n: int = 1, random_state: Any = None, temperature: float = 1.0, **condition: Any
    ) -> np.ndarray:
        """Return n new examples (n, D), decoded from codes sampled from `prior_`.

        temperature   >= 0, multiplies the standard deviation of the codes: below 1 for more typical examples
        """
        name = type(self).__name__
        Integer().check(name, "n", n)
        Number().check(name, "temperature", temperature)
        codes = self._prior().sample(n, random_state, temperature)
        return self.inverse_transform(codes, **condition)

    def interpolate(self, a: Any, b: Any, steps: int = 10, **condition: Any) -> np.ndarray:
        """Decode `steps` points on the line between the codes of a and b, both (D,): (steps, D), from the
        reconstruction of a to that of b. For rows a, b (N, D): (N, steps, D), with one condition= per row."""
        name = type(self).__name__
        Integer().check(name, "steps", steps)
        a = as_numbers(a, name)
        b = as_numbers(b, name)
        single = a.shape == self.input_shape_
        za = self._encode(a[None] if single else a, **condition)
        zb = self._encode(b[None] if single else b, **condition)
        if len(za) != len(zb):
            raise ValueError(
                f"{name}: expected as many rows in a as in b, got {len(za)} and {len(zb)}."
            )
        t = np.linspace(0, 1, steps, dtype=za.dtype)
        t = t.reshape(-1, *[1] * (za.ndim - 1))
        codes = (1 - t) * za[:, None] + t * zb[:, None]  # (N, steps, K)
        for key, label in condition.items():
            if np.ndim(label):
                condition[key] = np.repeat(label, steps)
        rows = self.inverse_transform(codes.reshape(-1, *za.shape[1:]), **condition)
        rows = rows.reshape(len(za), steps, *rows.shape[1:])
        return rows[0] if single else rows

    def traverse(
        self, dimension: int, x: Any = None, span: float = 3.0, steps: int = 11, **condition: Any
    ) -> np.ndarray:
        """Decode examples (steps, D) in which one code dimension goes from -span to span standard deviations of the
        prior around its mean. The other dimensions keep the code of x (D,), or the prior's mean."""
        name = type(self).__name__
        Integer().check(name, "steps", steps)
        Integer(0).check(name, "dimension", dimension)
        mean, std = self._prior().moments()
        if dimension >= len(mean):
            raise ValueError(
                f"{name}: expected a dimension in 0 .. {len(mean) - 1}, got {dimension}."
            )
        code = mean
        if x is not None:
            x = as_numbers(x, name)
            code = self._encode(x[None], **condition)[0]
        deviations = np.linspace(-span, span, steps)
        codes = np.tile(code, (steps, 1))
        codes[:, dimension] = mean[dimension] + std[dimension] * deviations
        return self.inverse_transform(codes, **condition)

    def manifold(self, n: int = 20, **condition: Any) -> np.ndarray:
        """Decode an n x n grid of two-dimensional codes to examples (n · n, D), at the quantiles (i - 1/2) / n of the
        prior's normal distribution, i.e. with equal probability between neighbours. The first is the top left."""
        from statistics import NormalDist  # a tenth of the time of `import nanoae`

        name = type(self).__name__
        Integer().check(name, "n", n)
        mean, std = self._prior().moments()
        if len(mean) != 2:
            raise ValueError(f"{name}: expected codes of 2 numbers for a plane, got {len(mean)}.")
        normal = NormalDist()
        q = np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)])
        across, down = np.meshgrid(q, q[::-1])
        plane = np.stack([across, down], axis=-1).reshape(-1, 2)
        return self.inverse_transform(mean + std * plane, **condition)

    def _prior(self) -> Mixture:
        self.check_fitted()
        if self.prior_ is None:
            raise ValueError(
                f"{type(self).__name__}: expected a prior to sample codes from, got none. "
                "Call fit_prior(X) on the training rows first."
            )
        return self.prior_

    # ---------------------------------------------------------------- keeping

    def to_file(self) -> Packed:
        facts, arrays = super().to_file()
        return {**facts, "prior": to_config(self.prior_)}, arrays

    def from_file(self, header: dict[str, Any], arrays: Any) -> None:
        super().from_file(header, arrays)
        prior = arrays.from_config(header.get("prior"), (Mixture, type(None)))
        if prior is not None and len(prior.means[0]) != self.code_size_:
            raise ValueError(
                f"expected a prior of codes of {self.code_size_} numbers, got {prior!r}."
            )
        self.prior_ = prior
