"""Explanation: why rows are abnormal, in the units of their table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nanoae.anomaly.ensemble import Ensemble
from nanoae.data.encoder import TableEncoder


class Explanation(NamedTuple):
    """Explanation of N rows with D columns as arrays (N, D). A category is a text, "other" if the detector does not
    know it; a missing value is NaN or None.

    names      column names
    observed   values in the table
    expected   reconstruction by the networks that have not seen the row
    unusual    signed deviation in units of the column's usual deviation (median over normal rows / 0.6745), about a
               standard score. For a category sqrt(-2 log p), with p the probability given by the networks
    shares     signed shares of the anomaly score, as in `AnomalyDetector.explain`
    """

    names: list[str]
    observed: np.ndarray
    expected: np.ndarray
    unusual: np.ndarray
    shares: np.ndarray

    def reasons(self, row: int, most: int = 3) -> list[str]:
        """Return the columns with the largest shares of a row's score, as "bill high (76%: 240, expected 51.3)"."""
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
                other = "" if expected == observed else f", expected {expected}"
                texts.append(f"{self.names[j]} ({parts[j]:.0%}: {observed}{other})")
            else:
                side = "low" if shares[j] < 0 else "high"
                texts.append(
                    f"{self.names[j]} {side} ({parts[j]:.0%}: {digits(observed)}, expected {digits(expected)})"
                )
        return texts


def digits(x: float) -> str:
    """Return x with four significant digits, or rounded to a whole number from 10,000 to 10 billion."""
    return f"{x:.0f}" if 1e4 <= abs(x) < 1e10 else f"{x:.4g}"


def explained(
    names: list[str], rows: np.ndarray, ensemble: Ensemble, encoder: TableEncoder | None
) -> Explanation:
    """Explain rows (N, ...) in the detector's representation."""
    n = len(rows)
    observed = rows.reshape(n, -1)
    expected = ensemble.expected(rows).reshape(n, -1)
    shares = ensemble.shares(rows).reshape(n, -1)
    rounding = 1e-12 + 1e-6 * np.abs(observed)
    usual = np.maximum(ensemble.deviation.ravel(), rounding)
    unusual = (observed - expected) / usual
    if encoder is None:
        return Explanation(names, observed, expected, unusual, shares)
    held = np.where(observed > 0, np.clip(expected, 1e-12, 1), 1)  # p of the observed category
    standing = np.sqrt(-2 * np.log(held))
    standing[:, encoder.numbers] = unusual[:, encoder.numbers]
    cells = [encoder.inverse_transform(each) for each in (observed, expected)]
    parts = [encoder.per_column(each) for each in (standing, shares)]
    return Explanation(encoder.names_, *cells, *parts)
