"""ClusterLabelDetector: find anomalies with few labels by clustering codes. Rows are cheap, labels are expensive."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.autoencoders.estimator import Estimator, seed_of
from nanoae.autoencoders.kinds import Integer, Kind, Seed
from nanoae.autoencoders.model_file import pack, save_model, unpack
from nanoae.autoencoders.parameters import estimator, parameter, transactional
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.saved import WHOLE, Fact
from nanoae.backend import get_ops, lapack
from nanoae.blocks import blocks
from nanoae.data.field import promised
from nanoae.data.frame import framed
from nanoae.data.kmeans import k_means
from nanoae.data.labels import one_column
from nanoae.interval import Interval

PASSES = 30  # most passes of k-means: later ones hardly change anything
TINY = 1e-30  # avoids division by squared distances of 0
BLOCK_ROWS = 4096  # rows whose distances to all centres are in memory at a time


@estimator
class ClusterLabelDetector(Estimator):
    """Finds abnormal rows with labels for a few rows, which it selects itself.

    >>> detector = ClusterLabelDetector(random_state=0).fit(X)  # no labels yet: codes, and small clusters of them
    >>> for n in (40, 20, 20, 20):
    ...     rows = detector.query(n)                            # the rows of X with the most informative labels
    ...     detector.label(rows, [is_abnormal(X[row]) for row in rows])
    >>> detector.predict(X)                                     # -1 for abnormal rows, else 1

    A label applies to its cluster and spreads: a cluster without one is as abnormal as its neighbours on average,
    weighted by proximity (the harmonic function of Zhu, Ghahramani & Lafferty 2003, on the graph of the centres). So
    rows connected to a labelled anomaly along the data are abnormal. Until an anomaly is labelled, nothing is.

    Any number of threads may use a fitted detector at once; `fit` needs exclusive use (`Estimator`).

    After fit: autoencoder_, labels_ (N,) the rows' clusters, representatives_ (K,) the central row of each cluster,
    given_ {row: 0 or 1} the labels so far, abnormality_ (K,) in [0, 1], n_features_in_.
    """

    _kind = None
    _learned = ("abnormality_",)
    _facts = (
        Fact("given_", "given", [[int]], pack=lambda given: list(given.items()), unpack=dict),
        Fact("_spread", "spread", float),
        Fact("_seed", "seed", (int, None), None),
    )
    offset_ = -0.5  # below it a row is closer to the anomalies than to the rest

    autoencoder: Any = parameter(
        None,
        Kind(),
        "computes the codes and is trained anew: an Autoencoder, or another estimator with fit and transform; None: a "
        "denoising Autoencoder with codes of up to 32 numbers",
    )
    _: KW_ONLY
    n_clusters: int = parameter(
        500,
        Integer(),
        "number of clusters of codes, at most one per row. Small clusters hold one kind of row each",
    )
    n_neighbors: int = parameter(10, Integer(), "neighbours of a cluster in the graph")
    random_state: Any = parameter(None, Seed(), "random seed")

    @resumable
    @transactional
    def fit(self, X, y=None):
        """Learn codes and clusters of X (N, D), and discard all labels. `y` is ignored."""
        self.check_parameters()
        X = np.asarray(self.check_table(X, reset=True, wide=True))
        seed = self.entropy()
        drawn = int(np.random.SeedSequence().generate_state(1)[0])
        # used by `query`, whose answer must not change
        self._seed = drawn if seed is None else seed
        self.autoencoder_ = self._new_autoencoder(X, seed)
        checkpoints = self.open_checkpoints
        settings = {} if checkpoints is None else {"checkpoint_dir": checkpoints}
        self.autoencoder_.fit(X, **settings)
        backend = getattr(self.autoencoder_, "backend", "auto")
        self._ops = ops = get_ops(backend)
        n_clusters = min(self.n_clusters, len(X))
        clusters = k_means(ops, self._codes(X), n_clusters, seed, PASSES)
        found, self.representatives_ = clusters.middles(ops)
        self.labels_ = np.searchsorted(found, ops.to_numpy(clusters.labels))
        self._centers = clusters.centers[ops.to_device(found)]
        self._spread = clusters.inertia / len(X) or 1.0
        self.given_: dict[int, int] = {}
        self.abnormality_ = np.zeros(len(found))
        return self

    def _new_autoencoder(self, X: np.ndarray, seed: int | None):
        if self.autoencoder is None:
            loss = "bce" if X.min() >= 0 and X.max() <= 1 else "mse"
            return Autoencoder(
                min(32, X.shape[1]),
                (256,),
                activation="relu",
                loss=loss,
                corruption=GaussianNoise(0.5),
                batch_size=256,
                epochs=10,
                random_state=seed,
            )
        wanted = ("fit", "transform", "get_params")
        complete = all(hasattr(self.autoencoder, name) for name in wanted)
        if isinstance(self.autoencoder, type) or not complete:
            raise ValueError(
                f"ClusterLabelDetector: expected autoencoder=Autoencoder(...) or None, got {self.autoencoder!r}."
            )
        params = self.autoencoder.get_params(deep=False)
        if params.get("random_state", 0) is None:  # this detector sets the seed
            params["random_state"] = seed
        return type(self.autoencoder)(**params)

    def _codes(self, X: np.ndarray):
        return self._ops.to_device(np.asarray(self.autoencoder_.transform(X)))

    # ---------------------------------------------------------------- labels

    def query(self, n: int = 10) -> np.ndarray:
        """Return the n rows of fit's X (row numbers) with the most informative labels, all in clusters without a label.

        The first rows cover all parts of the data. Until an anomaly is known, those farthest from all labelled rows
        follow; after that, those about as far from a labelled anomaly as from a labelled normal row, avoiding
        neighbours of one another. The answer is the same until `label` is called.
        """
        self.check_fitted()
        known, value = self._known()
        free = np.setdiff1d(np.arange(len(self.abnormality_)), known)
        if not isinstance(n, (int, np.integer)) or n not in Interval(f"[1, {len(free)}]"):
            raise ValueError(
                f"ClusterLabelDetector: expected n from 1 to {len(free)}, the number of clusters without a label, got "
                f"{n!r}. Increase n_clusters for more."
            )
        if len(known) == 0:
            parts = k_means(self._ops, self._centers, n, self._seed)
            _, middles = parts.middles(self._ops)
            return self.representatives_[middles]
        d = self._squared_distances()
        is_normal = value < 0.5
        to_normal = d[:, known[is_normal]].min(axis=1, initial=np.inf)
        to_abnormal = d[:, known[~is_normal]].min(axis=1, initial=np.inf)
        if is_normal.any() and not is_normal.all():
            ratio = (to_normal + TINY) / (to_abnormal + TINY)
            doubt = -np.abs(np.log(ratio))
        else:
            doubt = np.minimum(to_normal, to_abnormal)
        apart: list[int] = []
        neighbours: list[int] = []
        graph = self._graph(d) > 0
        order = np.argsort(-doubt[free], kind="stable")
        for cluster in free[order]:
            (neighbours if graph[cluster, apart].any() else apart).append(cluster)
        return self.representatives_[(apart + neighbours)[:n]]

    def label(self, rows, y) -> ClusterLabelDetector:
        """Set the labels of rows of fit's X (row numbers): 1 or True for abnormal rows, 0 or False for normal ones."""
        self.check_fitted()
        rows = np.atleast_1d(rows)
        y = np.atleast_1d(one_column(y))
        n = len(self.labels_)
        are_numbers = rows.ndim == 1 and rows.dtype.kind in "iu"
        if not are_numbers or not np.isin(rows, np.arange(n)).all():
            raise ValueError(
                f"ClusterLabelDetector: expected row numbers from 0 to {n - 1}, got {rows}."
            )
        if rows.shape != y.shape or not np.isin(y, (0, 1)).all():
            raise ValueError(
                f"ClusterLabelDetector: expected {len(rows)} labels, 1 (abnormal) or 0 (normal), got {y}."
            )
        labelled = dict(zip(rows.tolist(), y.astype(int).tolist(), strict=True))
        twice = np.flatnonzero([labelled[row] for row in rows.tolist()] != y)
        if len(twice):
            raise ValueError(
                f"ClusterLabelDetector: expected one label per row, got 0 and 1 for row {rows[twice[0]]}."
            )
        self.given_ = {**self.given_, **labelled}
        self.abnormality_ = self._spread_labels()
        return self

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the clusters with labels (k,), and the share (k,) of these labels that are 1."""
        rows = np.array(list(self.given_), int)
        y = np.array(list(self.given_.values()), float)
        known, of = np.unique(self.labels_[rows], return_inverse=True)
        share = np.bincount(of, y) / np.bincount(of)
        return known, share

    def _spread_labels(self) -> np.ndarray:
        """Return f (K,): the label of a labelled cluster, elsewhere the solution of f_i = Σ_j W_ij f_j / Σ_j W_ij."""
        known, value = self._known()
        W = self._graph(self._squared_distances())
        f = np.zeros(len(W))
        f[known] = value
        free = np.setdiff1d(np.arange(len(W)), known)
        # (D - W) f = 0 in the free rows; the small diagonal term gives f = 0 in components without any label.
        D = np.diag(W.sum(axis=1) + 1e-9)
        system = (D - W)[np.ix_(free, free)]
        from_known = W[np.ix_(free, known)] @ value
        f[free] = lapack.solve(system, from_known)
        return f.clip(0, 1)

    def _squared_distances(self) -> np.ndarray:
        """Return the squared distances between the centres, (K, K) on the host."""
        there = self._ops.squared_distances(self._centers, self._centers)
        d = self._ops.to_numpy(there).astype(np.float64)
        np.fill_diagonal(d, 0)
        return d

    def _graph(self, d: np.ndarray) -> np.ndarray:
        """Return W (K, K): W_ij = exp(-2 d²_ij / (s_i s_j)) if i or j is among the other's n_neighbors nearest, else 0.

        s_i is the distance of i to the last of them: large where centres are far apart (Zelnik-Manor & Perona 2004).
        """
        k = max(min(self.as_built.n_neighbors, len(d) - 1), 1)
        others = d + np.diag(np.full(len(d), np.inf))
        nearest = np.argsort(others, axis=1, kind="stable")[:, :k]
        rows = np.arange(len(d))[:, None]
        near = d[rows, nearest]
        s = np.sqrt(near[:, -1:]) + TINY
        W = np.zeros_like(d)
        W[rows, nearest] = np.exp(-2 * near / (s * s[nearest, 0]))
        return np.maximum(W, W.T)

    # ---------------------------------------------------------------- using

    @framed
    def transform(self, X) -> np.ndarray:
        """Return the codes (N, K) of X (N, D)."""
        self.check_fitted()
        return np.asarray(self.autoencoder_.transform(self.check_table(X, wide=True)))

    @property
    def _n_features_out(self):
        return self._centers.shape[1]

    def score_samples(self, X) -> np.ndarray:
        """Return minus the abnormality (N,) of rows X (N, D), in [-1, 0]: lower is more abnormal.

        The abnormality is Σ_k p_k f_k over the clusters' abnormalities f, p = softmax(-4 d²_k / s), with d²_k the
        squared distance of the row's code to centre k and s the mean squared distance of training rows to their own
        centres.
        """
        self.check_fitted()
        ops = self._ops
        codes = self._codes(self.check_table(X, wide=True))
        f = ops.to_device(self.abnormality_, codes.dtype)
        half = (self._centers * self._centers).sum(axis=1) / 2
        scores = []
        for block in blocks(len(codes), BLOCK_ROWS):
            # (|c|² - d²) / 2: p does not depend on |c|², which hides the differences where it is large
            nearness = ops.matmul(codes[block], self._centers.T) - half
            p = ops.softmax(nearness * (8 / self._spread))
            scores.append(ops.to_numpy(ops.matmul(p, f)))
        return -np.concatenate(scores).astype(np.float64)

    def decision_function(self, X) -> np.ndarray:
        """Return score_samples(X) - offset_, (N,): negative for abnormal rows."""
        return self.score_samples(X) - self.offset_

    def predict(self, X) -> np.ndarray:
        """Return (N,): -1 for abnormal rows, else 1."""
        return np.where(self.decision_function(X) >= 0, 1, -1)  # NaN counts as abnormal

    # ---------------------------------------------------------------- keeping

    def save(self, path) -> None:
        """Write the detector with its labels to `path` (.npz with JSON inside, no pickle). After `nanoae.load` it
        queries, takes labels and predicts like the original."""
        self.check_fitted()
        save_model(self, path)

    def to_file(self):
        facts, arrays = super().to_file()
        facts["coder"], found = pack(self.autoencoder_)
        arrays |= {f"coder.{name}": value for name, value in found.items()}
        for name in ("labels_", "representatives_", "abnormality_"):
            arrays[name] = getattr(self, name)
        return facts, arrays | {"centers": self._ops.to_numpy(self._centers)}

    def from_file(self, header, arrays):
        self.autoencoder_ = unpack(promised(header, "coder", dict), arrays.under("coder"))
        backend = getattr(self.autoencoder_, "backend", "auto")
        self._ops = get_ops(backend)
        centers = arrays.take("centers", (None, len(self.autoencoder_.get_feature_names_out())))
        self._centers = self._ops.to_device(centers)
        vars(self).update({fact.attribute: fact.read(header) for fact in self._facts})
        if self._seed is None:
            self._seed = seed_of(self.random_state)
        self.abnormality_ = arrays.take("abnormality_", (len(centers),))
        self.representatives_ = arrays.take("representatives_", (len(centers),), WHOLE)
        self.labels_ = arrays.take("labels_", (None,), WHOLE)
        if not np.isin(self.labels_, np.arange(len(centers))).all():
            raise ValueError(f"expected labels_ from {len(centers)} clusters, got others.")
        rows = np.isin(list(self.given_), np.arange(len(self.labels_)))
        labels = list(self.given_.values())
        if self._spread <= 0:
            raise ValueError(f"expected a spread > 0, got {self._spread}.")
        if not rows.all() or not np.isin(labels, (0, 1)).all():
            raise ValueError("expected given, pairs of a row and its label (0 or 1), got others.")
