"""Plots of reconstruction errors, and of what makes rows abnormal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanoae.plot.axes import AXIS, GRID, INK, LEGEND, PALETTE, axes_for, colour_bar, named, verbatim
from nanoae.plot.labels import Labels
from nanoae.plot.mosaic import Shape, batch, greys, mosaic, signed

MAX_ROWS = 5_000  # in a heat map
SIGN = "with the sign of the deviation"


def errors(
    errors: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    name: str = "squared error",
    title: str = "Errors of rows",
    ax: Any = None,
) -> Any:
    """Plot the errors (N,) of rows as a histogram with the median and the 99 % quantile; or, with labels (N,), the mean
    error of each label and of all rows. -> Axes"""
    errors = np.asarray(errors, dtype=float)
    if errors.ndim != 1 or not errors.size or not np.isfinite(errors).all():
        raise ValueError(
            f"errors: expected one finite error per row (N,), got {errors.shape}. See reconstruction_error."
        )
    if labels is not None:
        return by_label(errors, labels, name, title, ax)
    ax = named(axes_for(ax, 6.4, 3.8), title, name, "rows")
    ax.hist(errors, 60, color=PALETTE[0])
    for share, colour in ((0.5, INK), (0.99, PALETTE[2])):
        value = float(np.quantile(errors, share))
        ax.axvline(
            value,
            color=colour,
            linewidth=1,
            linestyle="--",
            label=f"{share:.0%} of rows below {value:.4g}",
        )
    ax.legend(**LEGEND)
    return ax


def by_label(errors: NDArray[Any], labels: ArrayLike, name: str, title: str, ax: Any) -> Any:
    found = Labels.of(labels, len(errors), "errors", len(errors))
    assert found is not None and found.names is not None
    places = found.values.astype(int)
    mean = np.bincount(places, errors) / np.maximum(np.bincount(places), 1)
    n = len(mean)
    ax = named(axes_for(ax, 6.4, 1.2 + 0.3 * n), title, f"mean {name}", "label")
    ax.barh(np.arange(n), mean, color=PALETTE[0], height=0.7)
    ax.set_yticks(np.arange(n), map(verbatim, found.names[:n]))
    ax.invert_yaxis()
    ax.axvline(
        errors.mean(),
        color=PALETTE[2],
        linewidth=1,
        linestyle="--",
        label=f"all rows  {errors.mean():.4g}",
    )
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), **LEGEND)
    return ax


def explanation(
    shares: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    n: int | None = None,
    images: ArrayLike | None = None,
    shape: Shape | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Plot what makes rows abnormal: the signed shares returned by `AnomalyDetector.explain`. -> Axes

    shares (D,)                  of one row: the n largest (default 8) as bars, the sum of the others in the title
    shares (N, D)                of many rows: a heat map with the most abnormal row on top, and a column for each of
                                 the n features (default 12) with the largest total shares
    shares (N, ...) and images   the first n images (default 10) over their shares, each scaled by its own maximum

    Red: the feature is larger, or the pixel brighter, than expected; blue: smaller, or darker.
    """
    values = np.asarray(shares, dtype=float)
    if images is not None:
        title = "Abnormal pixels" if title is None else title
        return maps(values, images, shape, n or 10, title, ax)
    many = values.ndim == 2
    if n is None:
        n = 12 if many else 8
    right_shape = values.ndim in (1, 2) and values.size > 0
    if right_shape and names is not None:
        right_shape = len(names) == values.shape[-1]
    if not right_shape or n < 1:
        raise ValueError(
            f"explanation: expected shares (D,) or (N, D), D names, and n >= 1, got {values.shape}, {names} "
            f"and n = {n}."
        )
    if names is None:
        names = [f"column {i}" for i in range(values.shape[-1])]
    known = [verbatim(name) for name in names]
    if title is None:
        title = f"What makes {'these rows' if many else 'this row'} abnormal"
    draw = heat if many else bars
    return draw(values, known, n, title, ax)


def maps(
    shares: NDArray[Any], images: ArrayLike, shape: Shape | None, n: int, title: str, ax: Any
) -> Any:
    grey = batch("explanation: images", images, shape, only_images=True)[:n]
    parts = batch("explanation: shares", shares, shape, only_images=True)[:n]
    if grey.ndim != 3 or grey.shape != parts.shape:
        raise ValueError(
            f"explanation: expected grey images and shares of the same shape, got {grey.shape} and {parts.shape}."
        )
    magnitude = np.abs(parts).max(axis=(1, 2), keepdims=True)
    scaled = parts / np.where(magnitude > 0, magnitude, 1)
    pixels = [greys(grey), signed(scaled)]
    return mosaic(np.concatenate(pixels), len(grey), ax, title, row_labels=["image", "abnormal"])


def bars(shares: NDArray[Any], names: list[str], n: int, title: str, ax: Any) -> Any:
    sizes = np.abs(shares)
    order = np.argsort(-sizes, kind="stable")[:n]
    total = sizes.sum()
    rest = total - sizes[order].sum()
    if len(order) < len(shares):
        title += f"\n{len(shares) - len(order)} others: {rest:.3g} in total"
    ax = axes_for(ax, 6.4, 1.3 + 0.32 * len(order))
    named(ax, title, f"share of the score ({total:.4g}), {SIGN}", "column")
    colours = [PALETTE[2] if shares[i] > 0 else PALETTE[0] for i in order]
    ax.barh(np.arange(len(order)), shares[order], color=colours, height=0.7)
    ax.set_yticks(np.arange(len(order)), [names[i] for i in order])
    ax.invert_yaxis()
    ax.axvline(0, color=AXIS, linewidth=0.8)
    return ax


def heat(shares: NDArray[Any], names: list[str], n: int, title: str, ax: Any) -> Any:
    sizes = np.abs(shares)
    columns = np.argsort(-sizes.sum(axis=0), kind="stable")[:n]
    rows = np.argsort(-sizes.sum(axis=1), kind="stable")[:MAX_ROWS]
    shown = shares[np.ix_(rows, columns)]
    width = 1.9 + 0.5 * len(columns)
    height = min(1.9 + 0.16 * len(rows), 8.0)
    ax = axes_for(ax, width, height)
    named(ax, title, "column", f"{len(rows)} rows, most abnormal on top")
    most = np.abs(shown).max() or 1.0
    image = ax.imshow(
        shown, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
    )
    tick_labels = [names[j] for j in columns]
    ax.set_xticks(np.arange(len(columns)), tick_labels, rotation=60, ha="right")
    ax.set_yticks([])
    colour_bar(ax, image, f"share of the score, {SIGN}")
    return ax
