"""Figures as files: each function draws arrays with `nanoae.plot`, writes one PNG file and returns its path.

Every function uses a new figure, without pyplot, global settings or randomness, so the same arrays give the same file.
Files are written atomically.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
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


def in_file(draw: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """Turn a function of `nanoae.plot` into one that writes a PNG file and returns its path. It takes the path, then
    the arguments of `draw`, positional or by name."""
    takes = inspect.signature(draw).parameters.values()
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("path", place)]
    for taken in takes:
        default = defaults.get(taken.name, taken.default)
        if taken.name != "ax":
            parameters.append(taken.replace(kind=place, default=default))
    signature = inspect.Signature(parameters)

    @functools.wraps(draw)
    def write(*args: Any, **how: Any) -> Any:
        given = signature.bind(*args, **how)
        given.apply_defaults()
        path, *arguments = given.args
        names = list(signature.parameters)[1:]
        return save(draw(**dict(zip(names, arguments, strict=True)), ax=sheet), path)

    write.__signature__ = signature  # type: ignore[attr-defined]
    return write


image_rows = in_file(plot.reconstructions)
image_grid = in_file(plot.images, title="Images")
weight_images = in_file(plot.filters, title="Weights by unit")
roc_curves = in_file(plot.roc)
loss_curves = in_file(plot.loss)
code_histogram = in_file(plot.histogram)
explained = in_file(plot.explanation)


def error_maps(
    path: PathT, images: ArrayLike, shares: ArrayLike, shape: Shape | None = None, n: int = 10
) -> PathT:
    """`plot.explanation` of images as a file: the first n images, in grey, over what makes them abnormal."""
    return explained(path, shares, n=n, images=images, shape=shape)


def share_bars(
    path: PathT, shares: ArrayLike, names: Sequence[str] | None = None, n: int = 8
) -> PathT:
    """`plot.explanation` of one row as a file: the n largest of its signed shares (D,)."""
    if np.ndim(shares) != 1:
        raise ValueError(
            f"share_bars: expected shares (D,) of one row and D names, got {np.shape(shares)}."
        )
    return explained(path, shares, names, n)


def code_scatter(
    path: PathT,
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    name: str = "code",
    title: str = "Codes",
) -> PathT:
    """`plot.codes` as a file: codes (N, K), coloured by labels (N,); three-dimensional codes from six viewpoints."""
    values = two_dimensional("code_scatter", codes)
    if values.shape[1] == 3:
        return six_sides(path, values, labels, title)
    return save(plot.codes(values, labels, name=name, title=title, ax=sheet), path)


def panels(
    path: PathT, panels: Mapping[str, ArrayLike], colour: ArrayLike | None = None, label: str = ""
) -> PathT:
    """Titled scatter plots of arrays (N, 2) side by side, of the same rows; row i has the colour colour[i] in each.

    label   what the colours mean
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
    figure.suptitle(f"{title}, from six viewpoints", fontsize=12, color=INK)
    explain(artist, grid, names)
    return save(grid.flat[0], path)


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout, **PAGE)


def sheet(width: float, height: float, full: bool, **how: Any) -> Any:
    """Axes on a new figure, for `ax=`."""
    figure = new_figure(width, height, None if full else "constrained")
    if full:
        return figure.add_axes((0, 0, 1, 1), **how)
    return figure.add_subplot(**how)


def save(ax: Any, path: PathT) -> PathT:
    """Write the figure of these axes as a PNG file."""
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
