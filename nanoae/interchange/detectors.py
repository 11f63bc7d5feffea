"""Detectors as ONNX graphs: scaling, networks, scores, their combination, and the threshold.

part      inputs                  outputs
scores    x, or a table's         score      higher is more abnormal: -score_samples
          numbers, categories     label      `predict`, by the threshold
                                  p_value    `p_values`
encoder   the same                code       `transform`

A detector that scores by the ELBO has an additional input, noise, with samples of N(0, 1). With fresh samples for each
row, the p-values of new rows are valid; with the samples that NumPy draws for each row, they are identical.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from nanoae.anomaly.cluster_labels import ClusterLabelDetector
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.anomaly.member import Member
from nanoae.interchange.graph import Graph, Value
from nanoae.interchange.keys import weights_of_folds
from nanoae.interchange.models import OfEstimator, Outputs, Parts, parts_of
from nanoae.interchange.scaling import counted, encoded, of_numbers, transformed
from nanoae.interchange.scores import Rows, scored, standing
from nanoae.pyod import AutoEncoder

ROUNDING = 1e-6  # relative rounding difference between equal scores on different platforms


@parts_of.register(AnomalyDetector)
class OfDetector(Parts):
    usual = ("scores",)
    more = ("encoder",)
    abnormal = -1
    normal = 1

    def __init__(self, model: AnomalyDetector, graph: Graph):
        super().__init__(model, graph)
        self.ensemble = model.ensemble_
        self.shape = self.ensemble.members[0].model.input_shape_
        self.size = math.prod(self.shape)

    @functools.cached_property
    def x(self) -> Value:
        """The rows (N, ...) as float64; tables are encoded."""
        if self.model.encoder_ is None:
            return self.graph.input("x", np.float64, self.shape)
        return encoded(self.model.encoder_, self.graph).cast(np.float64)

    @functools.cached_property
    def columns(self) -> Value:
        return self.x.reshape(-1, self.size)

    def rows(self, member: Member) -> Rows:
        """The rows as seen by a member."""

        def of(Z: Value) -> OfEstimator:
            parts = parts_of(member.model, self.graph)
            parts.x = Z
            return parts

        masked = self.model.as_built.missing == "mask"
        return Rows(self.scaled(member), self.size, of, masked)

    def scaled(self, member: Member) -> Value:
        """`Member.scaled`: numeric columns are scaled, categories unchanged."""
        if member.numbers is ...:
            return transformed(member.scaler, self.x, self.size, 1)
        scaled = of_numbers(transformed, member.scaler, self.x, member.numbers, self.size)
        return scaled.cast(np.float32)

    def score(self) -> Value:
        """The weighted mean of the folds' scores (N,), or the only score unchanged."""
        ensemble = self.ensemble
        folds = [self.score_of(ensemble.of_fold(fold)) for fold in range(ensemble.n_folds)]
        if ensemble.seen is None:
            return folds[0]
        weights = weights_of_folds(ensemble.seen, self.columns, self.size)
        columns = [each.reshape(-1, 1) for each in folds]
        weighted = self.graph.concat(columns) * weights
        return weighted.sum(1)

    def score_of(self, members: list[Member]) -> Value:
        """(N,): the root of the weighted mean of squared standings, or the only score unchanged."""
        raw = []
        weights = []
        for member in members:
            rows = self.rows(member)
            for score in member.scores:
                raw.append(scored(score, rows))
                weights.append(score.weight)
        if len(raw) == 1:
            return raw[0]
        total: Any = 0.0
        for usual, each, weight in zip(self.ensemble.standings, raw, weights, strict=True):
            view = standing(usual, each)
            total = total + view * view * (weight / sum(weights))
        return total.apply("Sqrt")

    @functools.cached_property
    def finite(self) -> Value:
        """(N,): 0 for valid rows, NaN for others."""
        x = self.columns
        if self.model.as_built.missing == "error":
            return (x * 0.0).sum(1)
        known = 1 - x.is_nan().cast(np.float64)
        filled = x.is_nan().where(0.0, x)
        any_known = known.apply("ReduceMax", [1], keepdims=0)
        return (filled * 0.0).sum(1) / any_known  # 0 / 0 if all values are missing

    def scores(self) -> Outputs:
        score = self.score() + self.finite
        normal = (self.model.threshold_ - score) >= 0.0  # NaN counts as abnormal
        label = normal.where(np.array(self.normal), np.array(self.abnormal))
        p = self.p_value(score)
        return {"score": (score, ()), "label": (label, ()), "p_value": (p, ())}

    def p_value(self, score: Value) -> Value:
        """(1 + #{calibration scores >= s}) / (n + 1), counting scores equal up to rounding; the minimum for NaN."""
        usual = self.model.calibration_.scores
        n = len(usual)
        least = score - score.apply("Abs") * ROUNDING
        below = counted(usual[None], least.reshape(-1, 1), strictly=True)
        count = below.reshape(-1).cast(np.float64)
        p = (1.0 + n - count) / (n + 1.0)
        return score.is_nan().where(np.array(1 / (n + 1)), p)

    def encoder(self) -> Outputs:
        members = self.ensemble.members
        seen = [self.rows(member) for member in members]
        codes = [rows.of(rows.Z.cast(np.float64)).hidden for rows in seen]
        size = sum(member.model.code_size_ for member in members)
        return {"code": (self.graph.concat(codes), (size,))}


@parts_of.register(AutoEncoder)
class OfPyOD(OfDetector):
    """PyOD's labels: 1 is abnormal, 0 normal."""

    abnormal = 1
    normal = 0


@parts_of.register(ClusterLabelDetector)
class OfClusters(Parts):
    """Σ_k p_k f_k of the clusters' abnormalities f, p = softmax(-4 d²_k / s)."""

    usual = ("scores",)
    more = ("encoder",)

    @functools.cached_property
    def coder(self) -> Any:
        return parts_of(self.model.autoencoder_, self.graph)

    def scores(self) -> Outputs:
        facts, arrays = self.model.to_file()
        centers = arrays["centers"].astype(np.float64)
        abnormality = arrays["abnormality_"].astype(np.float64)
        code, _ = self.coder.encoder()["code"]
        code = code.cast(np.float64)
        squared_norms = (centers * centers).sum(axis=1)
        d = squared_norms - 2 * (code @ centers.T)  # |code|² is the same for all k and cancels
        logits = d * (-4 / facts["spread"])
        p = logits.apply("Softmax", axis=1)
        score = (p @ abnormality[:, None]).reshape(-1)
        normal = (-self.model.offset_ - score) >= 0.0
        label = normal.where(np.array(1), np.array(-1))
        return {"score": (score, ()), "label": (label, ())}

    def encoder(self) -> Outputs:
        return self.coder.encoder()
