"""The detectors compared by `benchmarks.anomaly`: nanoae's, also with other settings, scikit-learn's and PyOD's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nanoae

# (train, test, seed) -> of test, higher: more abnormal
Scores = Callable[[np.ndarray, np.ndarray, int], np.ndarray]

OURS: dict[str, dict[str, Any]] = {"nanoae": {}}


def detector(**settings) -> Scores:
    def score(train, test, seed):
        return -nanoae.AnomalyDetector(random_state=seed, **settings).fit(train).score_samples(test)

    return score


def sklearn_peer(name: str) -> Scores:
    """One of scikit-learn's detectors with its default settings, on standardised columns."""

    def score(train, test, seed):
        from sklearn.decomposition import PCA
        from sklearn.ensemble import IsolationForest
        from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import OneClassSVM

        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
        if name == "kNN":
            return NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)[0].mean(axis=1)
        if name == "PCA":  # the components that hold 95 % of the variance
            pca = PCA(0.95, svd_solver="full").fit(train)
            return ((test - pca.inverse_transform(pca.transform(test))) ** 2).mean(axis=1)
        peers = {
            "IForest": lambda: IsolationForest(random_state=seed),
            "LOF": lambda: LocalOutlierFactor(novelty=True),
            "OCSVM": lambda: OneClassSVM(),
        }
        return -peers[name]().fit(train).score_samples(test)

    return score


def pyod_peer(module: str, name: str, **settings) -> Scores:
    """One of PyOD's detectors with its default settings, on standardised columns."""

    def score(train, test, seed):
        from importlib import import_module

        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(train)
        train, test = (scaler.transform(rows).astype(np.float32) for rows in (train, test))
        if module in NETWORKS:
            import torch

            torch.set_num_threads(1)
            torch.manual_seed(seed)
        kind = getattr(import_module(f"pyod.models.{module}"), name)
        own = {"n_features": train.shape[1]} if name == "DeepSVDD" else {}
        seeded = (
            {"random_state": seed} if name in ("AutoEncoder", "VAE", "DeepSVDD", "INNE") else {}
        )
        return kind(**settings, **own, **seeded).fit(train).decision_function(test)

    return score


NETWORKS = ("auto_encoder", "vae", "deep_svdd", "lunar")
PEERS: dict[str, Scores] = {
    **{name: sklearn_peer(name) for name in ("kNN", "LOF", "IForest", "OCSVM", "PCA")},
    "PyOD AE": pyod_peer("auto_encoder", "AutoEncoder", verbose=0),
    "PyOD VAE": pyod_peer("vae", "VAE", verbose=0),
    "DeepSVDD": pyod_peer("deep_svdd", "DeepSVDD", verbose=0),
    "PyOD kNN": pyod_peer("knn", "KNN"),
    "ECOD": pyod_peer("ecod", "ECOD"),
    "COPOD": pyod_peer("copod", "COPOD"),
    "HBOS": pyod_peer("hbos", "HBOS"),
    "INNE": pyod_peer("inne", "INNE"),
    "LUNAR": pyod_peer("lunar", "LUNAR"),
}

ABLATIONS: dict[str, dict[str, Any]] = {
    "the default": {},
    "codes": {"scores": "codes"},
    "whitened": {"scores": "whitened"},
    "tails": {"scores": "tails"},
    "joint": {"scores": "joint"},
    "without reconstruction": {"scores": ("joint", "tails")},
    "without tails": {"scores": ("joint", "reconstruction")},
    "the default before: codes, whitened, reconstruction and tails": {
        "scores": ("codes", "whitened", "reconstruction", "tails")
    },
    "the first default: codes and reconstruction, robust": {
        "scores": ("codes", "reconstruction"),
        "scaling": "robust",
    },
    "robust scaling": {"scaling": "robust"},
    "two scalings": {"scaling": ("standard", "robust")},
}
