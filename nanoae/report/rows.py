"""Rows for a page: which of them are shown, what they look like, and their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.report.page import Page

NUMBERS = 1_600_000  # of all the rows that stand in a page as points
POINTS = 2_000
SHOWN = 12
CLASSES = 40  # more different numbers than these are a scale
SIDE = 64  # pixels that a picture in the page has at most


@dataclass
class Labels:
    """values (N,) are numbers of `names`, or where names is None a scale, NaN where a row has none."""

    values: np.ndarray
    names: list[str] | None

    @classmethod
    def of(cls, labels: Any, n: int) -> Labels | None:
        """Labels (N,) of any kind, perhaps masked; None where there are none."""
        if labels is None:
            return None
        masked = np.ma.asarray(labels)
        if masked.shape != (n,):
            raise ValueError(
                f"write_report: expected a label for each of {n} rows, got an array of shape {masked.shape}."
            )
        values = masked.data
        missing = np.ma.getmaskarray(masked)
        if values.dtype.kind == "f":
            missing = missing | np.isnan(values)
        if values.dtype.kind == "O":
            missing = missing | np.array([value is None for value in values], bool)
        known, places = np.unique(text_or_number(values[~missing]), return_inverse=True)
        numeric = known.dtype.kind in "iuf"
        if numeric and len(known) > CLASSES:
            scale = np.full(n, np.nan)
            scale[~missing] = values[~missing]
            return cls(scale, None)
        names = [f"{name:g}" if isinstance(name, float) else str(name) for name in known.tolist()]
        numbers = np.full(n, len(names))
        numbers[~missing] = places
        return cls(numbers, [*names, "no label"] if missing.any() else names)

    def __getitem__(self, rows: Any) -> list[str]:
        values = self.values[rows]
        if self.names is None:
            return [f"{value:.4g}" for value in values]
        return [self.names[int(value)] for value in values]


def text_or_number(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "iuf" else values.astype(str)


@dataclass
class Picture:
    """How an example (D,) is laid out as an image; `step`: each that many pixels one is shown."""

    height: int
    width: int
    channels: int
    last: bool
    low: float
    high: float
    step: int = 1

    @classmethod
    def of(cls, shape: tuple[int, ...], low: float, high: float) -> Picture | None:
        """Of examples (H, W), (C, H, W) or (H, W, C), C 1 or 3; None of others."""
        if len(shape) == 2:
            return cls(*shape, 1, False, low, high)
        if len(shape) == 3 and shape[0] in (1, 3):
            return cls(shape[1], shape[2], shape[0], False, low, high)
        if len(shape) == 3 and shape[2] in (1, 3):
            return cls(*shape, True, low, high)
        return None

    def small(self) -> Picture:
        """The same with at most SIDE pixels a side."""
        step = math.ceil(max(self.height, self.width) / SIDE)
        height = math.ceil(self.height / step)
        width = math.ceil(self.width / step)
        return Picture(height, width, self.channels, self.last, self.low, self.high, step)

    def taken(self, x: np.ndarray, whole: Picture) -> np.ndarray:
        """Rows x (n, D) of `whole` as (n, D') of this one."""
        n = len(x)
        step = self.step
        if step == 1:
            return x
        if self.last:
            images = x.reshape(n, whole.height, whole.width, -1)
            return images[:, ::step, ::step].reshape(n, -1)
        images = x.reshape(n, -1, whole.height, whole.width)
        return images[:, :, ::step, ::step].reshape(n, -1)


def in_page(page: Page, x: np.ndarray, picture: Picture | None) -> dict[str, Any]:
    """Rows x (n, D): as pictures, where they are images."""
    if picture is None:
        return page.array(x)
    shown = picture.small().taken(x, picture)
    return page.levels(shown, picture.low, picture.high)


def points(n: int, size: int) -> np.ndarray:
    """The rows that stand as points, evenly spaced through n of `size` numbers."""
    most = min(max(NUMBERS // size, 50), POINTS)
    return np.linspace(0, n - 1, min(n, most)).astype(np.intp)


def of_each_class(rows: np.ndarray, labels: Labels | None, most: int = SHOWN) -> np.ndarray:
    """The first rows: one of each class, then a second of each, and so on."""
    if labels is None or labels.names is None or len(labels.names) > most:
        return rows[:most]
    n = len(rows)
    values = labels.values[rows]
    order = np.argsort(values, kind="stable")
    classes = values[order]
    starts = np.searchsorted(classes, np.unique(classes))
    sizes = np.diff(np.append(starts, n))
    rank = np.arange(n) - np.repeat(starts, sizes)  # 0 for a class's first
    first = order[np.lexsort((classes, rank))][:most]
    by_class = np.lexsort((first, values[first]))
    return rows[first[by_class]]
