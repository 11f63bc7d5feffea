"""Rows for a page: which rows are shown, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.plot.labels import CLASSES, Labels
from nanoae.plot.mosaic import CHANNELS
from nanoae.report.page import Page

NUMBERS = 1_600_000  # total numbers of the rows that a page shows as points
POINTS = 2_000
SHOWN = 12
BINS = 60
SIDE = 64  # maximum pixels per side of a picture in the page


@dataclass
class Picture:
    """The layout of an example (D,) as an image; only every `step`-th pixel is shown."""

    height: int
    width: int
    channels: int
    last: bool
    low: float
    high: float
    step: int = 1

    @classmethod
    def of(cls, shape: tuple[int, ...], low: float, high: float) -> Picture | None:
        """The layout of examples (H, W), (C, H, W) or (H, W, C) with C = 1, 3 or 4 (with alpha); None for others."""
        if len(shape) == 2:
            return cls(*shape, 1, False, low, high)
        if len(shape) == 3 and shape[0] in CHANNELS:
            return cls(shape[1], shape[2], shape[0], False, low, high)
        if len(shape) == 3 and shape[2] in CHANNELS:
            return cls(*shape, True, low, high)
        return None

    def small(self) -> Picture:
        """The same layout with at most SIDE pixels per side."""
        step = math.ceil(max(self.height, self.width) / SIDE)
        height = math.ceil(self.height / step)
        width = math.ceil(self.width / step)
        return Picture(height, width, self.channels, self.last, self.low, self.high, step)

    def taken(self, x: np.ndarray, whole: Picture) -> np.ndarray:
        """Rows x (n, D) in the layout `whole`, subsampled to this layout (n, D')."""
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
    """Rows x (n, D) for the page: as pixels if they are images, else as numbers."""
    if picture is None:
        return page.array(x)
    shown = picture.small().taken(x, picture)
    return page.levels(shown, picture.low, picture.high)


def points(n: int, size: int) -> np.ndarray:
    """Indices of the rows shown as points: evenly spaced among n rows of `size` numbers."""
    most = min(max(NUMBERS // size, 50), POINTS)
    return np.linspace(0, n - 1, min(n, most)).astype(np.intp)


def of_each_class(rows: np.ndarray, labels: Labels | None, most: int = SHOWN) -> np.ndarray:
    """The first rows: one of each class, then a second of each, and so on, up to `most`."""
    if labels is None or labels.names is None or len(labels.names) > most:
        return rows[:most]
    n = len(rows)
    values = labels.values[rows]
    order = np.argsort(values, kind="stable")
    classes = values[order]
    starts = np.searchsorted(classes, np.unique(classes))
    sizes = np.diff(np.append(starts, n))
    rank = np.arange(n) - np.repeat(starts, sizes)  # 0 for the first row of a class
    first = order[np.lexsort((classes, rank))][:most]
    by_class = np.lexsort((first, values[first]))
    return rows[first[by_class]]


def by_label(
    errors: np.ndarray, theirs: np.ndarray | None, labels: Labels | None
) -> list[list[Any]] | None:
    """[label, mean error, mean error of the baseline or None, number of rows] for each class; if there are more than
    CLASSES, for those with the largest errors."""
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
    """Counts and edges of a histogram of the finite values, whose range includes the marks."""
    finite = values[np.isfinite(values)].astype(np.float64)
    ends = np.append(finite, marks)
    low, high = (ends.min(), ends.max()) if len(ends) else (0.0, 1.0)
    size = max(abs(low), abs(high)) or 1.0
    if high - low < 1e-9 * size:
        low, high = low - size / 2, high + size / 2
    return np.histogram(finite, BINS, (low, high))
