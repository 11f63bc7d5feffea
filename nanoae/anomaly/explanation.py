"""Explanation: why rows are abnormal, in the units of their table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nanoae.anomaly.ensemble import Ensemble
from nanoae.data.encoder import TableEncoder


class Explanation(NamedTuple):
    """Of N rows with D columns, each array (N, D); a category is a text, "other" where the detector has none of that
    name, and what is missing is NaN or None.

    names      of the columns
    observed   the values as they stand in the table
    expected   its reconstruction by the networks that have not seen the row
    unusual    how many of the column's usual deviations, the median over normal rows / 0.6745, lie between, with the
               sign: about a standard score. Of a category sqrt(-2 log p), p how likely the networks hold it
    shares     of the anomaly score, as `AnomalyDetector.explain`: their absolute values add up to it
    """

    names: list[str]
    observed: np.ndarray
    expected: np.ndarray
    unusual: np.ndarray
    shares: np.ndarray

    def reasons(self, row: int, most: int = 3) -> list[str]:
        """The columns with the largest shares of a row's score: "bill high (76%: 240, expected 51.3)"."""
        shares = self.shares[row]
        sizes = np.abs(shares)
        parts = sizes / max(sizes.sum(), 1e-30)
        texts = []
        for j in np.argsort(-parts, kind="stable")[:most]:
            observed = self.observed[row, j]
            expected = self.expected[row, j]
            if parts[j] < 0.05:
                continue
            if isinstance(observed, str):
                texts.append(f"{self.names[j]} ({parts[j]:.0%}: {observed}, expected {expected})")
            else:
                side = "low" if shares[j] < 0 else "high"
                texts.append(
                    f"{self.names[j]} {side} ({parts[j]:.0%}: {observed:.4g}, expected {expected:.4g})"
                )
        return texts


def explained(
    names: list[str],
    rows: np.ndarray,
    ensemble: Ensemble,
    encoder: TableEncoder | None,
) -> Explanation:
    """Of rows (N, ...) as the detector sees them."""
    n = len(rows)
    observed = rows.reshape(n, -1)
    expected = ensemble.expected(rows).reshape(n, -1)
    shares = ensemble.shares(rows).reshape(n, -1)
    rounding = 1e-12 + 1e-6 * np.abs(observed)
    usual = np.maximum(ensemble.deviation.ravel(), rounding)
    unusual = (observed - expected) / usual
    if encoder is None:
        return Explanation(names, observed, expected, unusual, shares)
    held = np.where(observed > 0, np.clip(expected, 1e-12, 1), 1)  # p of the category that is there
    standing = np.sqrt(-2 * np.log(held))
    standing[:, encoder.numbers] = unusual[:, encoder.numbers]
    cells = [encoder.inverse_transform(each) for each in (observed, expected)]
    parts = [encoder.per_column(each) for each in (standing, shares)]
    return Explanation(encoder.names_, *cells, *parts)
