"""The codes of rows in a report: the scatter plot, the histogram, and the ranges of the sliders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.plot.labels import Labels
from nanoae.plot.scatter import principal_plane
from nanoae.report.finding import dead_units
from nanoae.report.page import Page
from nanoae.report.rows import histogram, of_each_class, points

DRAWN = 256  # samples of the prior stored in a page
SLIDERS = 32
STARTS = 24  # rows offered as starting points in the explorer


class Codes:
    """codes (N, K) of rows of `size` numbers, their errors (N,) and labels; `rows` are the indices drawn as points."""

    def __init__(
        self,
        codes: np.ndarray,
        errors: np.ndarray,
        labels: Labels | None,
        size: int,
        variational: bool,
    ):
        self.values = codes
        self.errors = errors
        self.labels = labels
        self.variational = variational
        self.rows = points(len(codes), size)
        self.dead = dead_units(codes, variational)

    def points(self, page: Page) -> dict[str, Any]:
        codes = self.values[self.rows]
        labels = self.labels
        plane = None
        shares: list[float] = []
        if codes.shape[1] > 2:
            plane, shares = principal_plane(codes)
        scale = None
        if labels is not None and labels.names is None:
            scale = [np.nanmin(labels.values), np.nanmax(labels.values)]
        return {
            "codes": page.array(codes),
            "plane": None if plane is None else page.array(plane),
            "shares": shares,
            "rows": self.rows.tolist(),
            "errors": page.array(self.errors[self.rows]),
            "labels": None if labels is None else page.array(labels.values[self.rows]),
            "classes": None if labels is None else labels.names,
            "scale": scale,
        }

    def sliders(
        self, page: Page, prior: Any, known: Sequence[str], row_labels: Sequence[str]
    ) -> dict[str, Any]:
        """The data of the explorer; known: the labels of a conditional model; row_labels: the labels of the rows."""
        codes = self.values
        labels = self.labels
        low = codes.min(axis=0)
        high = codes.max(axis=0)
        width = np.where(high > low, 0, 1)  # a constant unit gets a slider, too
        by_deviation = np.argsort(-codes.std(axis=0), kind="stable")
        varied = np.sort(by_deviation[:SLIDERS])
        drawn = prior.sample(DRAWN, 0) if prior is not None else like(codes[self.rows])
        of_points = None if labels is None else Labels(labels.values[self.rows], labels.names)
        numbers = {label: i for i, label in enumerate(known)}
        return {
            "mean": codes.mean(axis=0, dtype=np.float64).tolist(),
            "ranges": np.stack([low - width, high + width], axis=1).tolist(),
            "units": varied.tolist(),
            "dead": self.dead,
            "silent": "unused" if self.variational else "dead",
            "prior": page.array(np.asarray(drawn).reshape(DRAWN, -1)),
            "of": "prior" if prior is not None else "codes",
            "labels": list(known),
            "labelOf": [numbers.get(row_labels[i], 0) for i in self.rows] if row_labels else [],
            "starts": of_each_class(np.arange(len(self.rows)), of_points, STARTS).tolist(),
        }

    def histogram(self) -> dict[str, Any]:
        values = self.values[:: max(1, self.values.size // 2_000_000)]
        counts, edges = histogram(values)
        zeros = float(np.mean(values == 0))
        note = f"Mean {values.mean():.4g}, standard deviation {values.std():.4g}; {zeros:.1%} are exactly 0."
        return {
            "values": (counts / values.size).tolist(),
            "edges": edges.tolist(),
            "log": zeros >= 0.3,
            "note": note,
        }

    def units(self) -> dict[str, Any]:
        note = "All units are active."
        if self.dead:
            what = "unused (below 0.1)" if self.variational else "dead (constant)"
            note = f"{len(self.dead)} of {self.values.shape[1]} units are {what}; they are drawn in red."
        return {
            "std": self.values.std(axis=0, dtype=np.float64).tolist(),
            "dead": self.dead,
            "note": note,
        }


def like(codes: np.ndarray) -> np.ndarray:
    """DRAWN samples (DRAWN, K) of a Gaussian with the mean and covariance of `codes`."""
    n = len(codes)
    mean = codes.mean(axis=0)
    centred = codes - mean
    normal = np.random.default_rng(0).standard_normal((DRAWN, n))
    weights = normal / math.sqrt(max(n - 1, 1))
    return mean + weights @ centred  # a sum of the rows with normal weights has their covariance
