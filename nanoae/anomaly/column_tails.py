"""ColumnTails: how far out a row's values lie, each in its own column."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nanoae.anomaly.score import FeatureScore, blocks_of, drawn, of_known
from nanoae.data.scaling import JITTER


class ColumnTails(FeatureScore):
    """Σ_j -log p_j / D, p_j = min(1, 2 min(P(x <= z_j), P(x >= z_j))) in column j of the training rows: how far out the
    values lie, each in its own column (Li et al. 2022, "ECOD"). P(...) = (1 + number of the n rows) / (n + 1).
    What differs by a millionth of a column's scale or less is equal: it may be rounding.

    A category has one term, -log P(a row's category is as rare as this one or rarer). So where all are equally rare,
    none is unusual, and a column of a few rare ones is no more surprising than a number.

    references   of the training rows, drawn at random where there are more
    """

    bounds: ClassVar = {"references": "[1, inf)"}
    weight = 0.5  # it knows nothing of how columns go together
    sorted_: np.ndarray  # (D, R): the references' values in each column
    rarity_: np.ndarray  # (D,): of categories, see `rarity`; only of a table with some

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
        known = np.count_nonzero(~np.isnan(self.sorted_), axis=1)  # in each column
        low, high = np.empty((2, *columns.shape))
        for j, (usual, n, z) in enumerate(
            zip(self.sorted_, known.tolist(), columns.T, strict=True)
        ):
            usual = usual[:n]
            # neighbours in it are looked for in the same part of usual: half of the time
            order = z.argsort()
            rising = z[order]
            low[order, j] = usual.searchsorted(rising + JITTER, "right")
            high[order, j] = n - usual.searchsorted(rising - JITTER, "left")
        beyond = 1 + np.minimum(low, high)
        found = -np.log(np.minimum(2 * beyond / (1 + known), 1))
        if hasattr(self, "rarity_"):
            category = ~np.isnan(self.rarity_)
            found[:, category] = -np.log(self.rarity_[category]) * columns[:, category]
        found = of_known(found.reshape(Z.shape), Z, self.places_)
        return found / Z[0].size


def rarity(Z: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """(D,): for each place of a category (1 + number of rows whose category is as rare as this one or rarer) / (n + 1),
    n those of the rows Z (N, D) that have one; NaN for numbers."""
    found = np.full(sum(blocks), np.nan)
    start = 0
    for width in blocks:
        if width > 1:
            count = np.nansum(Z[:, start : start + width], axis=0)
            rows = (count <= count[:, None]) @ count
            found[start : start + width] = (1 + rows) / (1 + count.sum())
        start += width
    return found
