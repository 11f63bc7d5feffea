"""ColumnTails: how far in the tails of their columns a row's values lie."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nanoae.anomaly.score import FeatureScore, blocks_of, drawn, of_known
from nanoae.data.scaling import JITTER


class ColumnTails(FeatureScore):
    """Σ_j -log p_j / D, p_j = min(1, 2 min(P(x <= z_j), P(x >= z_j))): how far in the tails of column j of the training
    rows z_j lies (Li et al. 2022, "ECOD"). P(...) = (1 + number of the n rows) / (n + 1). Values that differ by at most
    a millionth of the column's scale are equal, as it may be rounding.

    A category has one term, -log P(a row's category is as rare as this one or rarer). So if all categories are equally
    rare, none is unusual, and a column of a few rare ones is no more surprising than a number.

    references   most training rows to use; more are sampled at random
    """

    bounds: ClassVar = {"references": "[1, inf)"}
    weight = 0.5  # it ignores relations between columns
    sorted_: np.ndarray  # (D, R): the references' values in each column
    rarity_: np.ndarray  # (D,): see `rarity`; only for a table with categories

    def __init__(self, references: int = 4000):
        self.references = references

    def fit(self, model, Z):
        super().fit(model, Z)
        columns = drawn(Z, self.references)
        columns = columns.reshape(len(columns), -1)
        self.sorted_ = np.sort(columns, axis=0).T.copy()  # NaN last
        blocks = blocks_of(model)
        if blocks:
            self.rarity_ = rarity(Z, blocks)
        return self

    def terms(self, model, Z):
        columns = Z.reshape(len(Z), -1)
        known = np.count_nonzero(~np.isnan(self.sorted_), axis=1)  # per column
        low, high = np.empty((2, *columns.shape))
        for j, (usual, n, z) in enumerate(
            zip(self.sorted_, known.tolist(), columns.T, strict=True)
        ):
            usual = usual[:n]
            # searching sorted values is twice as fast: neighbouring searches use the same part of `usual`
            order = z.argsort()
            rising = z[order]
            low[order, j] = usual.searchsorted(rising + JITTER, "right")
            high[order, j] = n - usual.searchsorted(rising - JITTER, "left")
        beyond = 1 + np.minimum(low, high)
        found = -np.log(np.minimum(2 * beyond / (1 + known), 1))
        if hasattr(self, "rarity_"):
            category = ~np.isnan(self.rarity_)
            found[:, category] = -np.log(self.rarity_[category]) * columns[:, category]
        return of_known(found.reshape(Z.shape), Z, self.places_) / Z[0].size


def rarity(Z: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """Return (D,): for each column of a category in Z (1 + number of rows with a category as rare as this one or rarer)
    / (n + 1), n the number of rows Z (N, D) with a category; NaN for numbers."""
    found = np.full(sum(blocks), np.nan)
    start = 0
    for width in blocks:
        if width > 1:
            count = np.nansum(Z[:, start : start + width], axis=0)
            rows = (count <= count[:, None]) @ count
            found[start : start + width] = (1 + rows) / (1 + count.sum())
        start += width
    return found
