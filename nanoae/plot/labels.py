"""Labels: classes, or numbers on a scale, by which points are coloured and rows are grouped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.data.labels import as_array, is_nothing

CLASSES = 40  # with more distinct numbers, labels are a scale


@dataclass
class Labels:
    """values (N,) are indices into `names`; or, if names is None, numbers on a scale, NaN for rows without a label."""

    values: np.ndarray
    names: list[str] | None

    @classmethod
    def of(
        cls, labels: Any, n: int, who: str = "write_report", most: int = CLASSES
    ) -> Labels | None:
        """Labels (N,) of any type, possibly masked; None if labels is None. More than `most` distinct numbers are a
        scale."""
        if labels is None:
            return None
        given = as_array(labels)
        if given.shape != (n,):
            raise ValueError(
                f"{who}: expected a label for each of {n} rows, got an array of shape {given.shape}."
            )
        cells = np.ma.getdata(given)
        missing = np.ma.getmaskarray(given) | [is_nothing(cell) for cell in cells.tolist()]
        known = cells[~missing]
        if known.dtype.kind == "O":
            known = np.array(known.tolist())
        numeric = known.dtype.kind in "iuf"
        known, places = np.unique(known if numeric else known.astype(str), return_inverse=True)
        if numeric and len(known) > most:
            scale = np.full(n, np.nan)
            scale[~missing] = known[places]
            scale[np.isinf(scale)] = np.nan
            return cls(scale, None)
        names = [str(name).removesuffix(".0") for name in known]
        numbers = np.full(n, len(names))
        numbers[~missing] = places
        return cls(numbers, [*names, "no label"] if missing.any() else names)

    def __getitem__(self, rows: Any) -> list[str]:
        values = self.values[rows]
        if self.names is None:
            return [f"{value:.6g}" for value in values]
        return [self.names[int(value)] for value in values]
