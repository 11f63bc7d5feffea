"""Variational: base of estimators with a Gaussian bottleneck: a lower bound of log p(x) and its training."""

from __future__ import annotations

import math
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.bottleneck import Gaussian
from nanoae.autoencoders.kinds import Integer, Number
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.backend import Array
from nanoae.backend.codes import LOGVAR_MAX
from nanoae.blocks import blocks
from nanoae.engine.losses import Loss
from nanoae.training.costs import elements
from nanoae.training.evaluation import rows_at_a_time
from nanoae.training.loop import Trainer

ACTIVE = 0.01  # a unit is active if its mean varies over the data by more than this variance (Burda 2016)


@estimator
class Variational(NetworkEstimator):
    """A network with a Gaussian code, whose loss is -log p(x|z) in nats, averaged over rows."""

    _: KW_ONLY
    beta: float = parameter(
        1.0,
        Number(),
        "weight of the KL divergence; smaller values give codes that carry more information",
    )
    warm_up: float = parameter(
        0.0, Number(), "epochs in which the KL weight rises from 0 to beta; may be fractional"
    )
    free_bits: float = parameter(
        0.0, Number(), "nats of KL per code unit, averaged over a batch, that are not penalised"
    )

    @property
    def bottleneck(self) -> Gaussian:
        return Gaussian(self.beta, 0, self.free_bits)

    @property
    def _gaussian(self) -> Gaussian:
        return self.network_.layers[self._n_encoder - 1]  # type: ignore[return-value]

    def new_trainer(self, rows: Any, epochs: int, falling: bool = False) -> Trainer:
        trainer = super().new_trainer(rows, epochs, falling)
        self._gaussian.warm_up = self.as_built.warm_up * math.ceil(rows / trainer.batch_size)
        # A weak reference, since the estimator owns the trainer
        measure: Any = weakref.WeakMethod(self._validation_loss)
        trainer.measure = lambda *data, **extra: measure()(*data, **extra)
        return trainer

    def _validation_loss(
        self, x: Array, t: Array | None, scale: float, weights: np.ndarray | None = None
    ) -> float:
        ops = self.network_.ops
        inputs = ops.to_numpy(x)
        targets = inputs if t is None else ops.to_numpy(t)
        bounds = self._elbo(inputs, targets)[0]
        return -float(np.average(bounds, weights=weights))

    # ---------------------------------------------------------------- the bound

    def _bound(
        self, inputs: np.ndarray, targets: np.ndarray, importance_samples: int | None
    ) -> np.ndarray:
        """Return a lower bound of log p(targets) in nats for each row of the network's inputs (N,).

        importance_samples   None: the ELBO, with one sample of z per row and the KL in closed form. K: the importance
                             weighted bound (Burda 2016), log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x), which grows with K

        A row's noise is seeded by random_state and the row itself, so its score does not depend on the other rows.
        """
        if importance_samples is None:
            return self._elbo(inputs, targets)[0]
        Integer().check(type(self).__name__, "importance_samples", importance_samples)
        ops = self.network_.ops
        bounds = []
        for log_p, _, ratio in self._terms(inputs, targets, int(importance_samples)):
            bounds.append(ops.to_numpy(ops.log_sum_exp(log_p + ratio)))
        log_k = self.network_.dtype.type(math.log(importance_samples))
        return np.concatenate(bounds) - log_k  # type: ignore[no-any-return]

    def _elbo(
        self, inputs: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (ELBO, log p(x|z), KL) of each row, (N,) each."""
        to_numpy = self.network_.ops.to_numpy
        likelihoods = []
        divergences = []
        for log_p, kl, _ in self._terms(inputs, targets, 1):
            likelihoods.append(to_numpy(log_p)[:, 0])
            divergences.append(to_numpy(kl))
        log_p = np.concatenate(likelihoods)
        kl = np.concatenate(divergences)
        return log_p - kl, log_p, kl

    def _terms(
        self, inputs: np.ndarray, targets: np.ndarray, samples: int
    ) -> Iterator[tuple[Array, Array, Array]]:
        """For blocks of rows, with S samples z of q(z|x) per row, yield device arrays:

        log p(x|z) (N, S),   KL(q(z|x) ‖ N(0, I)) (N,),   log p(z) - log q(z|x) = Σ (noise² + logvar - z²) / 2  (N, S)
        """
        net = self.network_
        ops = self.network_.ops
        k = self.code_size_
        for block in blocks(len(inputs), max(1, rows_at_a_time(net) // samples)):
            rows = np.asarray(inputs[block])
            stats = net.forward(ops.to_device(rows), stop=self._n_encoder - 1)
            stats = stats.repeat(samples, axis=0)
            noise = self._noise(rows, samples).reshape(-1, k)
            noise = ops.to_device(noise, net.dtype)
            std = ops.empty(noise.shape, net.dtype)
            z = ops.empty(noise.shape, net.dtype)
            ops.reparametrise(stats, noise, std, out=z)
            self._repeat(samples)
            y = net.forward(z, start=self._n_encoder)
            t = ops.to_device(targets[block]).repeat(samples, axis=0)
            log_p = -costs_of_rows(self._loss, y, t)
            mu = stats[:, :k]
            logvar = stats[:, k:].clip(None, LOGVAR_MAX)
            kl = (mu**2 + std**2 - 1 - logvar).sum(axis=1) / 2
            ratio = (noise**2 + logvar - z**2).sum(axis=1) / 2
            yield (
                log_p.reshape(-1, samples),
                kl.reshape(-1, samples)[:, 0],
                ratio.reshape(-1, samples),
            )

    def _repeat(self, samples: int) -> None:
        """Repeat what encoder layers keep per row for decoder layers `samples` times: nothing here."""

    def _noise(self, rows: np.ndarray, samples: int) -> np.ndarray:
        """Return N(0, 1) noise (N, S, K), seeded by each row's content: independent of other rows and the backend."""
        seed = self.as_built.random_state
        seed = int(seed) if isinstance(seed, (int, np.integer)) else 0
        shape = samples, self.code_size_
        noise = []
        for row in rows:
            generator = np.random.default_rng([seed, zlib.crc32(row)])
            noise.append(generator.standard_normal(shape))
        return np.array(noise)


def costs_of_rows(loss: Loss, y: Array, t: Array) -> Array:
    """Return weight · the loss of each row, summed over its features, (N,)."""
    costs = elements(loss, y, t).reshape(len(y), -1)
    return loss.weight * costs.sum(axis=1)


def active_units(codes: np.ndarray, weights: np.ndarray | None) -> int:
    """Return the number of units of codes (N, K) whose variance over the rows exceeds ACTIVE."""
    mean = np.average(codes.astype(np.float64), axis=0, weights=weights)
    variance = np.average((codes - mean) ** 2, axis=0, weights=weights)
    return int((variance > ACTIVE).sum())
