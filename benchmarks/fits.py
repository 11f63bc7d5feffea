"""Fits: a small fit of every kind of model, for checks that must hold for all of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

import nanoae


class Fit(NamedTuple):
    """An estimator's class and parameters, and what its `fit` is given."""

    estimator: Any
    params: dict[str, Any]
    data: tuple
    beside: dict[str, Any] = {}  # noqa: RUF012 - of a tuple, never written

    def build(self, callbacks=()) -> Any:
        model = self.estimator(**self.params)
        trained = getattr(model, "autoencoder", model)
        trained.set_params(callbacks=callbacks)
        return model

    def run(self, callbacks=(), **more: Any) -> Any:
        """Built, and fitted."""
        return self.build(callbacks).fit(*self.data, **self.beside, **more)


def learned(model: Any) -> dict[str, np.ndarray]:
    """All arrays that a fitted model consists of, by name."""
    if isinstance(model, nanoae.AnomalyDetector):
        return model.to_file()[1]
    return {
        f"{i}": model.network_.ops.to_numpy(array) for i, array in enumerate(model.network_.state())
    }


def digest(model: Any) -> str:
    """Of its arrays and losses, bit for bit."""
    found = hashlib.sha256()
    for name, array in learned(model).items():
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    found.update(json.dumps(getattr(model, "history_", {}).get("loss")).encode())
    return found.hexdigest()


def convolutional() -> dict[str, Any]:
    encoder = [
        nanoae.Conv2d(4, 3),
        nanoae.BatchNorm(),
        nanoae.ReLU(),
        nanoae.Flatten(),
        nanoae.Linear(6),
    ]
    return {"encoder": encoder, "decoder": [nanoae.Linear(36), nanoae.Reshape((1, 6, 6))]}


rng = np.random.default_rng(0)
X = rng.random((70, 12), np.float32)
IMAGES = rng.random((40, 1, 6, 6), np.float32)
LABELS = rng.integers(0, 3, 70)
WEIGHTS = rng.random(70)
LINES = [f"{a} {b} {a}" for a in ("red", "green", "blue") for b in ("tea", "sea", "fee")] * 4
SMALL = {"epochs": 4, "batch_size": 16, "random_state": 0}
DENSE = {"code_size": 3, "hidden": (8,), **SMALL}
STACKED = {"sizes": (8, 5), "pretrain_epochs": 2, **SMALL}
TEXT = {"code_size": 3, "state_size": 6, "embedding_size": 4, "warm_up": 2, **SMALL}
SIGMOID = {**DENSE, "code_activation": "sigmoid"}
WATCHED = {"patience": 1, "validation_fraction": 0.3, "learning_rate": 0.1}
AE, VAE = nanoae.Autoencoder, nanoae.VariationalAutoencoder
SCHEDULE = nanoae.WarmUp(nanoae.Cosine(1e-2), 3)

FITS = {
    "dense": Fit(AE, DENSE, (X,)),
    "float64": Fit(AE, {**DENSE, "dtype": "float64", "weight_decay": 1e-3}, (X,)),
    "without kernels": Fit(AE, {**DENSE, "backend": "numpy:plain"}, (X,)),
    "schedule": Fit(AE, {**DENSE, "learning_rate": SCHEDULE, "optimizer": "adamw"}, (X,)),
    "momentum": Fit(AE, {**DENSE, "optimizer": nanoae.SGD(0.1, 0.9, nesterov=True)}, (X,)),
    "denoising": Fit(AE, {**DENSE, "corruption": nanoae.GaussianNoise(0.3)}, (X,)),
    "salt and pepper": Fit(AE, {**DENSE, "corruption": nanoae.SaltAndPepper(0.3)}, (X,)),
    "sparse": Fit(AE, {**SIGMOID, "penalty": nanoae.KLSparsity()}, (X,)),
    "contractive": Fit(AE, {**SIGMOID, "hidden": (), "penalty": nanoae.Contractive()}, (X,)),
    "k-sparse": Fit(AE, {**DENSE, "bottleneck": nanoae.TopK(2)}, (X,)),
    "tied": Fit(AE, {**DENSE, "tied_weights": True}, (X,)),
    "early stopping": Fit(AE, {**DENSE, **WATCHED}, (X,)),
    "missing values": Fit(AE, {**DENSE, "missing": "mask"}, (np.where(X < 0.1, np.nan, X),)),
    "sample weights": Fit(AE, DENSE, (X,), {"sample_weight": WEIGHTS}),
    "rows drawn": Fit(
        AE, {**DENSE, "penalty": nanoae.L1Sparsity()}, (X,), {"sample_weight": WEIGHTS}
    ),
    "K-FAC": Fit(AE, {**DENSE, "optimizer": nanoae.KFAC(factor_every=2, inverse_every=3)}, (X,)),
    "adversarial": Fit(AE, {**DENSE, "bottleneck": nanoae.Adversarial(hidden=(5,))}, (X,)),
    "variational": Fit(VAE, {**DENSE, "warm_up": 2.5}, (X,)),
    "conditional": Fit(VAE, DENSE, (X,), {"condition": LABELS}),
    "convolutional": Fit(AE, {**SMALL, **convolutional()}, (IMAGES,)),
    "dropout": Fit(nanoae.StackedClassifier, {**STACKED, "dropout": (0.1, 0.3)}, (X, LABELS)),
    "regressor": Fit(nanoae.StackedRegressor, {**STACKED, "freeze": 1}, (X, X.sum(axis=1))),
    "stacked": Fit(nanoae.StackedAutoencoder, {**STACKED, "sizes": (9, 6, 3)}, (X,)),
    "text": Fit(nanoae.TextVAE, TEXT, (LINES,)),
    "detector": Fit(nanoae.AnomalyDetector, {"autoencoder": AE(**DENSE), "random_state": 0}, (X,)),
}
