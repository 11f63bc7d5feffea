"""Figures as files: arrays in, one PNG file out, its path returned. What they show is drawn by `nanoae.plot`.

Every function draws on a figure of its own: no pyplot, no global setting changed, no randomness, so the same arrays
give the same file. The file is complete or absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from nanoae import plot
from nanoae.plot.axes import DPI, INK, matplotlib
from nanoae.plot.mosaic import Shape
from nanoae.plot.scatter import colouring, dots, evenly, explain, two_dimensional
from nanoae.report.page import PathT
from nanoae.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE: Any = {"dpi": DPI, "facecolor": "white"}


def image_rows(
    path: PathT,
    rows: Mapping[str, ArrayLike],
    shape: Shape | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    n: int = 10,
    title: str = "Reconstructions",
    columns: Sequence[str] | None = None,
) -> PathT:
    """`plot.reconstructions` as a file: the first n images of each batch, one named row per batch."""
    how: Any = {"vmin": vmin, "vmax": vmax, "n": n, "title": title, "columns": columns}
    return save(plot.reconstructions(rows, shape, **how, ax=sheet), path)


def image_grid(
    path: PathT,
    images: ArrayLike,
    shape: Shape | None = None,
    columns: int | None = None,
    title: str = "Images",
) -> PathT:
    """`plot.images` as a file: images row by row on one grey scale, by default in a square."""
    return save(plot.images(images, shape, columns=columns, title=title, ax=sheet), path)


def weight_images(
    path: PathT, weights: ArrayLike, shape: Shape, n: int = 64, title: str = "Weights, a unit each"
) -> PathT:
    """`plot.filters` as a file: the first n columns of weights (D, K) as images, blue below zero and red above."""
    return save(plot.filters(weights, shape, n=n, title=title, ax=sheet), path)


def error_maps(
    path: PathT, images: ArrayLike, shares: ArrayLike, shape: Shape | None = None, n: int = 10
) -> PathT:
    """`plot.explanation` of images as a file: the first n grey images over what makes them abnormal."""
    ax = plot.explanation(shares, images=images, shape=shape, n=n, ax=sheet)
    return save(ax, path)


def share_bars(
    path: PathT, shares: ArrayLike, names: Sequence[str] | None = None, n: int = 8
) -> PathT:
    """`plot.explanation` of one row as a file: the n largest of its signed shares (D,)."""
    if np.ndim(shares) != 1:
        raise ValueError(
            f"share_bars: expected shares (D,) of one row and D names, got {np.shape(shares)}."
        )
    return save(plot.explanation(shares, names, n=n, ax=sheet), path)


def share_map(
    path: PathT, shares: ArrayLike, names: Sequence[str] | None = None, n: int = 12
) -> PathT:
    """`plot.explanation` of many rows as a file: their signed shares (N, D) as an image."""
    if np.ndim(shares) != 2:
        raise ValueError(
            f"share_map: expected shares (N, D) of rows and D names, got {np.shape(shares)}."
        )
    return save(plot.explanation(shares, names, n=n, ax=sheet), path)


def roc_curves(path: PathT, scores: Mapping[str, ArrayLike], abnormal: ArrayLike) -> PathT:
    """`plot.roc` as a file: of each score (N,) the abnormal rows found over the false alarms."""
    return save(plot.roc(scores, abnormal, ax=sheet), path)


def loss_curves(
    path: PathT,
    history: Mapping[str, Sequence[float]],
    ylabel: str = "loss",
    xlabel: str = "epoch",
    ticks: Sequence[object] | None = None,
    kept: int | None = None,
    title: str = "Loss",
) -> PathT:
    """`plot.loss` as a file: each list of `history` by epoch, and the epoch whose weights were kept."""
    how: Any = {"kept": kept, "ylabel": ylabel, "xlabel": xlabel, "ticks": ticks, "title": title}
    return save(plot.loss(history, **how, ax=sheet), path)


def code_scatter(
    path: PathT,
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    name: str = "code",
    title: str = "Codes",
) -> PathT:
    """`plot.codes` as a file: codes (N, K), coloured by labels (N,); of three numbers from six sides."""
    values = two_dimensional("code_scatter", codes)
    if values.shape[1] == 3:
        return six_sides(path, values, labels, title)
    return save(plot.codes(values, labels, name=name, title=title, ax=sheet), path)


def code_histogram(path: PathT, codes_by_name: Mapping[str, ArrayLike]) -> PathT:
    """`plot.histogram` as a file: the distribution of all code values of each (N, K)."""
    return save(plot.histogram(codes_by_name, ax=sheet), path)


def panels(
    path: PathT, panels: Mapping[str, ArrayLike], colour: ArrayLike | None = None, label: str = ""
) -> PathT:
    """Titled scatters of (N, 2) side by side; row i has the colour of colour[i] (N,) in each: one set, several maps.

    label   what the colours are
    """
    points = {
        title: two_dimensional(f"panels: {title!r}", array) for title, array in panels.items()
    }
    shapes = [array.shape for array in points.values()]
    if len(set(shapes)) != 1 or shapes[0][1] != 2:
        raise ValueError(f"panels: expected arrays of one shape (N, 2), got {shapes}.")
    keep = evenly(shapes[0][0])
    colours, names = colouring("panels", colour, shapes[0][0], keep)
    figure = new_figure(0.8 + 3.6 * len(points), 3.8)
    grid = figure.subplots(1, len(points), squeeze=False)[0]
    for ax, (title, array) in zip(grid, points.items(), strict=True):
        artist = dots(ax, array[keep], colours)
        ax.set_title(title, fontsize=12, color=INK)
        ax.set(xticks=[], yticks=[], box_aspect=1)
        ax.spines[:].set_color("#cccccc")
    explain(artist, grid, names, label)
    return save(grid[0], path)


def six_sides(path: PathT, codes: Any, labels: ArrayLike | None, title: str) -> PathT:
    keep = evenly(len(codes))
    colours, names = colouring("code_scatter", labels, len(codes), keep)
    figure = new_figure(9.6, 6.6)
    grid = figure.subplots(2, 3, subplot_kw={"projection": "3d"})
    for i, ax in enumerate(grid.flat):
        artist = dots(ax, codes[keep], colours)
        ax.view_init(elev=30 if i < 3 else 12, azim=60 * i + 15)
        ax.set(xticks=[], yticks=[], zticks=[])
        ax.set_box_aspect((1, 1, 1), zoom=1.1)
        for k, axis in enumerate((ax.xaxis, ax.yaxis, ax.zaxis), start=1):
            axis.set_label_text(f"code {k}", fontsize=9, color=INK)
            axis.labelpad = -12
            axis.set_pane_color("#f4f4f4")
            axis.line.set_color("#bbbbbb")
    figure.suptitle(f"{title}, from six sides", fontsize=12, color=INK)
    explain(artist, grid, names)
    return save(grid.flat[0], path)


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout, **PAGE)


def sheet(width: float, height: float, full: bool, **how: Any) -> Any:
    """Axes on a figure of their own, for `ax=`."""
    figure = new_figure(width, height, None if full else "constrained")
    if full:
        return figure.add_axes((0, 0, 1, 1), **how)
    return figure.add_subplot(**how)


def save(ax: Any, path: PathT) -> PathT:
    """The figure of these axes as a PNG file."""
    with whole_file(path) as file:
        ax.figure.savefig(
            file,
            format="png",
            bbox_inches="tight",
            pad_inches=0.1,
            metadata={"Software": None},
            **PAGE,
        )
    return path
