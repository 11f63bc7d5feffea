"""Scatter plots of codes, coloured by label, and histograms of their values."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanoae.backend import lapack
from nanoae.plot.axes import (
    AXIS,
    INK,
    LEGEND,
    PALETTE,
    axes_for,
    colour_bar,
    matplotlib,
    named,
    verbatim,
)
from nanoae.plot.labels import Labels

MAX_POINTS = 2_000  # drawn in a scatter plot; more would overlap


def codes(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    name: str = "code",
    label: str = "label",
    title: str = "Codes",
    ax: Any = None,
) -> Any:
    """Plot codes (N, K), coloured by labels (N,): up to ten classes by the palette, others with a colour bar. -> Axes

    K = 1: a histogram, or the code against its label. K = 2: a scatter plot. K = 3: a 3-d scatter plot. K > 3, or K = 3
    on 2-d axes: the first two principal components. At most 2,000 points are drawn, evenly spaced through the batch.
    `name` names the axes, `label` the labels.
    """
    values = two_dimensional("codes", codes)
    k = values.shape[1]
    keep = evenly(len(values))
    colours, names = colouring("codes", labels, len(values), keep)
    if k == 1 and labels is None:
        return histogram({"code": values}, title=title, ax=ax)
    points = values[keep]
    axis_labels = [f"{name} {i + 1}" for i in range(min(k, 3))]
    space = k == 3 and (ax is None or getattr(ax, "name", "") == "3d")
    if k == 1:
        across = colours["c"]
        if names:
            jitter = np.arange(len(points)) * 0.618034 % 0.7
            across = across + (jitter - 0.35)  # spreads a class, reproducibly
        points = np.column_stack([points, across])
        axis_labels = [f"{name} 1", label]
    elif k > 2 and not space:
        points, shares = principal_plane(points)
        axis_labels = [
            f"principal component {i + 1} of the code ({s:.0%} of variance)"
            for i, s in enumerate(shares)
        ]
    how: Any = {"projection": "3d"} if space else {}
    ax = named(axes_for(ax, 6.8, 5.4, **how), title, *axis_labels[:2])
    if space:
        ax.set_zlabel(axis_labels[2], color=INK, fontsize=11)
        ax.set_box_aspect(None, zoom=0.85)  # room for the z label
    artist = dots(ax, points, colours)
    if k > 1:
        explain(artist, ax, names, label)
    elif 0 < len(names) <= 30:
        ax.set_yticks(range(len(names)), names)
    return ax


def histogram(
    codes_by_name: Mapping[str, ArrayLike] | ArrayLike,
    *,
    title: str = "Values of the code",
    ax: Any = None,
) -> Any:
    """Plot the distribution of all values of each array of codes (N, K). The legend shows the mean, the share of exact
    zeros, and the number of constant units. -> Axes

    Heights are shares of a batch's own values. The scale is logarithmic if a batch has 30 % zeros or more, since the
    spike at zero would flatten the rest.
    """
    given = codes_by_name if isinstance(codes_by_name, Mapping) else {"code": codes_by_name}
    batches = {
        name: two_dimensional(f"histogram: {name!r}", array) for name, array in given.items()
    }
    if not batches:
        raise ValueError("histogram: expected at least one array of codes, got none.")
    low = min(float(v.min()) for v in batches.values())
    high = max(float(v.max()) for v in batches.values())
    zeros = {name: float(np.mean(v == 0)) for name, v in batches.items()}
    bins = [low - 0.5, low + 0.5]
    if high > low:
        bins = np.linspace(low, high, 61).tolist()
    log = high > low and max(zeros.values()) >= 0.3
    ax = named(axes_for(ax, 6.4, 3.8), title, "value of a code unit", "share of values")
    for i, (name, values) in enumerate(batches.items()):
        legend = f"{verbatim(name)}: mean {values.mean():.3g}, {zeros[name]:.1%} zeros"
        never_change = np.ptp(values, axis=0) == 0
        if len(values) > 1 and never_change.any():
            legend += f", {never_change.sum()} of {values.shape[1]} units dead"
        ax.hist(
            values.ravel(),
            bins,
            weights=np.full(values.size, 1 / values.size),
            histtype="stepfilled",
            linewidth=1.5,
            facecolor=PALETTE[i % 10] + "55",
            edgecolor=PALETTE[i % 10],
            log=log,
            label=legend,
        )
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), **LEGEND)
    return ax


def two_dimensional(what: str, codes: ArrayLike) -> NDArray[Any]:
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.size == 0:
        raise ValueError(
            f"{what}: expected an array of shape (N, K), got {codes.shape}. Reshape one column to (N, 1)."
        )
    if not np.isfinite(codes).all():
        raise ValueError(f"{what}: expected finite numbers, got NaN or infinity.")
    return codes


def evenly(n: int) -> NDArray[np.intp]:
    return np.linspace(0, n - 1, min(n, MAX_POINTS)).astype(np.intp)


def principal_plane(points: NDArray[Any]) -> tuple[NDArray[Any], list[float]]:
    """Points (N, K) projected on their first two principal components (N, 2), and the shares of variance."""
    centred = points - points.mean(axis=0, dtype=np.float64)
    # a row of zeros gives even a single point two components
    rows = np.vstack([centred, 0 * centred[:1]])
    _, s, vt = lapack.svd(rows, full_matrices=False)
    # the sign of a component is arbitrary: fix it
    components = vt[:2]
    sign = np.where(components.sum(axis=1, keepdims=True) < 0, -1, 1)
    plane = components * sign
    variance = max(float(s @ s), np.finfo(np.float64).tiny)
    shares = s[:2] ** 2 / variance
    return centred @ plane.T, shares.tolist()


def dots(ax: Any, points: NDArray[Any], colours: dict[str, Any]) -> Any:
    size = min(max(9_000 / len(points), 6), 30)
    return ax.scatter(*points.T, s=size, alpha=0.75, linewidths=0, **colours)


def colouring(
    what: str, labels: ArrayLike | None, n: int, keep: NDArray[np.intp]
) -> tuple[dict[str, Any], list[str]]:
    """Arguments of `scatter` that colour the points `keep`, and the names of the values 0, 1, ... for classes."""
    if labels is None:
        return {"color": PALETTE[0]}, []
    found = Labels.of(labels, n, what, len(PALETTE))
    assert found is not None
    viridis = matplotlib().colormaps["viridis"].with_extremes(bad=AXIS)
    how = {"c": found.values[keep], "cmap": viridis, "plotnonfinite": True}
    names = [*map(verbatim, found.names or ())]
    if 0 < len(names) <= len(PALETTE):
        how["cmap"] = matplotlib().colors.ListedColormap(PALETTE[: len(names)])
        how |= {"vmin": 0, "vmax": len(names) - 1}
    return how, names


def explain(artist: Any, axes: Any, names: list[str], label: str = "label") -> None:
    """Add a legend for up to ten classes, a colour bar for more or for a scale, nothing for a single colour."""
    if artist.get_array() is None:
        return
    if 0 < len(names) <= len(PALETTE):
        marks, _ = artist.legend_elements(num=None, markersize=7, alpha=1)
        present = np.unique(artist.get_array())
        shown = [names[int(i)] for i in present]
        last = axes if not isinstance(axes, np.ndarray) else axes.flat[-1]
        where: Any = {
            "loc": "center left",
            "bbox_to_anchor": (1.1 if last.name == "3d" else 1.02, 0.5),
        }
        last.legend(
            marks, shown, title=label, title_fontsize=10, handletextpad=0.1, **where, **LEGEND
        )
        return
    bar = colour_bar(axes, artist, label)
    if names:
        step = ceil(len(names) / 14)
        bar.set_ticks(range(0, len(names), step), labels=names[::step])
