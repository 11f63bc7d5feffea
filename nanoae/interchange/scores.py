"""Scores as ONNX nodes: how abnormal a row is, and how several scores are combined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.anomaly import scores as kinds
from nanoae.anomaly.neighbours import SPARE, near_cells
from nanoae.anomaly.surprise import Standing
from nanoae.data.scaling import JITTER
from nanoae.interchange.graph import Formulas, Value
from nanoae.interchange.scaling import counted


class Rows:
    """Rows (N, ...) as a member's autoencoder sees them. Z is the scaled input, float32; everything else is float64.

    of(Z)   the parts of the autoencoder with the rows Z as input
    """

    def __init__(self, Z: Value, size: int, of: Callable[[Value], Any], masked: bool):
        self.Z = Z
        self.size = size
        self.of = of
        self.missing = Z.is_nan().reshape(-1, size) if masked else None

    def squares(self, places: np.ndarray | None) -> Value:
        """(z - ẑ)² (N, D), 0 for missing values; the other values of the row weigh more instead."""
        Z = self.Z.cast(np.float64)
        error = (Z - self.of(Z).reconstructed).reshape(-1, self.size)
        return self.of_known(error * error, places)

    def of_known(self, terms: Value, places: np.ndarray | None) -> Value:
        """terms (N, D), 0 for missing values, the others divided by the share of the row that is known."""
        if self.missing is None:
            return terms
        weight = np.full(self.size, 1 / self.size) if places is None else places
        lost = self.missing.cast(np.float64) * weight
        known = 1 - lost.sum(1, keep=True)
        return self.missing.where(0.0, terms) / known.apply("Max", 1 / self.size)


@Formulas
def scored(score: kinds.Score, rows: Rows) -> Value:
    """(N,)"""
    raise NotImplementedError


@scored.register
def _(score: kinds.NegativeELBO, rows: Rows) -> Value:
    parts = rows.of(rows.Z)
    return -1.0 * parts.bound_of(score.importance_samples)


@scored.register
def _(score: kinds.ReconstructionError, rows: Rows) -> Value:
    return rows.squares(score.places_).mean(1)


@scored.register
def _(score: kinds.StandardisedError, rows: Rows) -> Value:
    variance = score.spread_.reshape(-1) ** 2
    terms = rows.squares(score.places_) / variance
    return terms.mean(1)


@scored.register
def _(score: kinds.Mahalanobis, rows: Rows) -> Value:
    """(c - m)ᵀ C⁻¹ (c - m)"""
    codes = rows.of(rows.Z.cast(np.float64)).hidden
    away = codes - score.mean_
    return ((away @ score.precision_) * away).sum(1)


@scored.register
def _(score: kinds.NearestCodes, rows: Rows) -> Value:
    """Candidates by |r|² / 2 - c r, which is |c - r|² / 2 up to a constant; then the distances to these."""
    Z = rows.Z.cast(np.float64)
    r = score.references_.astype(np.float64)
    sizes = getattr(score, "sizes_", 1.0)
    codes = rows.of(Z * sizes).hidden
    if isinstance(score, kinds.NearestJointCodes):
        recoded = rows.of(rows.of(Z).reconstructed * sizes).hidden
        lost = (codes - recoded) * float(score.factor_)
        codes = codes.graph.concat([codes, lost])
    if score.whiten:
        codes = codes @ score.whitening_
    k = max(min(score.k, len(r) - 1), 1)
    wanted = min(k + 1, len(r))
    squared_norms = (r * r).sum(axis=1)
    apart = squared_norms / 2 - codes @ r.T
    if hasattr(score, "centers_"):
        centers = score.centers_
        near = codes.graph.constant(near_cells(score.starts_, centers, k + 1))
        distance = (centers * centers).sum(axis=1) / 2 - codes @ centers.T
        cell = distance.apply("ArgMin", axis=1, keepdims=0, dtype=np.int64)
        apart = near.take(cell).where(apart, 1e300)
    some = min(wanted + SPARE, len(r))
    candidates = apart.apply("TopK", [some], largest=0, output=1, dtype=np.int64)
    there = codes.graph.constant(r).take(candidates)
    between = there - codes.apply("Unsqueeze", [1])
    distance = (between * between).sum(2).apply("Sqrt")
    distance = distance.apply("TopK", [wanted], largest=0)
    nearest = distance.part(0, k).mean(1)
    if wanted <= k:
        return nearest
    length = float(np.sqrt(squared_norms.mean()))
    same = 1e-5 * length
    itself = (distance.part(0, 1) <= same).reshape(-1)
    others = distance.part(1, wanted).mean(1)
    return itself.where(others, nearest)


@scored.register
def _(score: kinds.ColumnTails, rows: Rows) -> Value:
    """-log min(1, 2 (1 + min(#{<= z}, #{>= z})) / (n + 1)), with z in float32 and a tolerance of 1e-6."""
    z = rows.Z.reshape(-1, rows.size)
    known = (~np.isnan(score.sorted_)).sum(axis=1)
    low = counted(score.sorted_, z + JITTER, strictly=False)
    high = known - counted(score.sorted_, z - JITTER, strictly=True)
    fewer = low.apply("Min", high).cast(np.float64)
    tail = 2 * (1 + fewer) / (1.0 + known)
    terms = -1 * tail.apply("Min", 1.0).apply("Log")
    if hasattr(score, "rarity_"):
        category = ~np.isnan(score.rarity_)
        surprise = -np.log(np.where(category, score.rarity_, 1.0))
        of_category = z.graph.constant(category)
        terms = of_category.where(z.cast(np.float64) * surprise, terms)
    return rows.of_known(terms, score.places_).mean(1)


# ---------------------------------------------------------------- many scores


def standing(usual: Any, s: Value) -> Value:
    """(z + sqrt(z² + 4)) / 2, z = (log s - m) / d: `Standing`."""
    if not isinstance(usual, Standing):
        raise ValueError(
            "export: expected a detector that combines scores by Standing, got one from an older file, with Surprise."
            " Fit it again."
        )
    low, floor, center, spread = usual.learned.tolist()
    above = (s - low).apply("Max", 0.0) + floor
    z = (above.apply("Log") - center) / spread
    root = (z * z + 4.0).apply("Sqrt")
    return (z > 0.0).where(z + root, 4.0 / (root - z)) / 2.0
