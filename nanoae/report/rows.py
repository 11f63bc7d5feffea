"""Rows for a page: which of them are shown, and what they look like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.plot.labels import CLASSES, Labels
from nanoae.plot.mosaic import CHANNELS
from nanoae.report.page import Page

NUMBERS = 1_600_000  # of all the rows that stand in a page as points
POINTS = 2_000
SHOWN = 12
BINS = 60
SIDE = 64  # pixels that a picture in the page has at most


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
        """Of examples (H, W), (C, H, W) or (H, W, C), C 1, 3 or 4, the last an alpha; None of others."""
        if len(shape) == 2:
            return cls(*shape, 1, False, low, high)
        if len(shape) == 3 and shape[0] in CHANNELS:
            return cls(shape[1], shape[2], shape[0], False, low, high)
        if len(shape) == 3 and shape[2] in CHANNELS:
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


def by_label(
    errors: np.ndarray, theirs: np.ndarray | None, labels: Labels | None
) -> list[list[Any]] | None:
    """[label, its rows' mean error, that of the baseline or None, how many rows] for each class, at most CLASSES, those
    with the largest errors."""
    if labels is None or labels.names is None:
        return None
    numbers = labels.values.astype(np.intp)
    count = np.bincount(numbers)
    given = [errors] if theirs is None else [errors, theirs]
    means = [np.bincount(numbers, each) / np.maximum(count, 1) for each in given]
    present = np.flatnonzero(count)
    if len(present) > CLASSES:
        worst = np.argsort(-means[0][present], kind="stable")
        present = present[worst[:CLASSES]]
    none = [] if len(given) > 1 else [None]
    return [[labels.names[i], *(mean[i] for mean in means), *none, int(count[i])] for i in present]


def histogram(values: np.ndarray, *marks: float) -> tuple[np.ndarray, np.ndarray]:
    """How many of the finite values lie between which edges; those reach as far as the marks."""
    finite = values[np.isfinite(values)].astype(np.float64)
    ends = np.append(finite, marks)
    low, high = (ends.min(), ends.max()) if len(ends) else (0.0, 1.0)
    size = max(abs(low), abs(high)) or 1.0
    if high - low < 1e-9 * size:
        low, high = low - size / 2, high + size / 2
    return np.histogram(finite, BINS, (low, high))
