"""Figures: arrays in, one PNG file out, its path returned.

Every function draws on a figure of its own: no pyplot, no global setting changed, no randomness, so the same arrays
give the same file. matplotlib is imported by the first figure, never by `import nanoae`. The file is complete or
absent: it is written beside its place and moved there.

Images are (H, W) or channel-first (C, H, W) with C 1 or 3; a batch holds them as (n, *shape) or flat as (n, D).
Values must be finite, except in loss curves. A wrong shape is a ValueError: what was expected, what came, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanoae.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathT = TypeVar("PathT", str, Path)
Shape = tuple[int, ...]

# Ten colours told apart with any colour vision (Petroff 2021, arXiv:2107.02270).
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
INK, AXIS, FRAME = "#444444", "#999999", 0.8  # text, axis lines, the one-pixel frame that gives white images an edge
DPI = 150
PAGE: Any = {"dpi": DPI, "facecolor": "white"}
LEGEND: Any = {"frameon": False, "fontsize": 10, "labelcolor": INK}
GAP = 4  # screen pixels between images
MAX_PIXELS = 1_600  # longest side of a mosaic: a larger one is scaled down
MAX_POINTS = 5_000  # drawn in a scatter


def image_rows(
    path: PathT,
    rows: Mapping[str, ArrayLike],
    shape: Shape | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    n: int = 10,
) -> PathT:
    """The first n images of each batch, one labelled row per batch: originals over reconstructions.

    Black is vmin and white is vmax, by default the range of the *first* row, so that a washed-out reconstruction looks
    washed out. Data of shape (D,) are no images: each sample is a panel with one line per batch over the features.
    """
    if not rows or n < 1:
        raise ValueError(f"image_rows: expected at least one row and n >= 1, got {len(rows)} rows, n = {n}.")
    batches = {name: _batch(f"image_rows: {name!r}", array, shape) for name, array in rows.items()}
    if len(shapes := {batch.shape[1:] for batch in batches.values()}) > 1:
        raise ValueError(f"image_rows: expected one image shape for all rows, got {sorted(shapes)}. Pass shape=.")
    n = min(n, *(len(batch) for batch in batches.values()))
    first = next(iter(batches.values()))[:n]
    if first.ndim == 2:
        return _profiles(path, batches, n, vmin, vmax)
    images = _rgb(
        np.concatenate([batch[:n] for batch in batches.values()]),
        float(first.min()) if vmin is None else vmin,
        float(first.max()) if vmax is None else vmax,
    )
    return _mosaic(path, images, n, row_labels=list(batches))


def image_grid(path: PathT, images: ArrayLike, shape: Shape | None = None, columns: int | None = None) -> PathT:
    """Images row by row on one grey scale, by default in a square: samples, a manifold."""
    batch = _batch("image_grid", images, shape, only_images=True)
    columns = ceil(len(batch) ** 0.5) if columns is None else columns
    if columns < 1:
        raise ValueError(f"image_grid: expected columns >= 1, got {columns}.")
    return _mosaic(path, _rgb(batch, float(batch.min()), float(batch.max())), columns)


def weight_images(path: PathT, weights: ArrayLike, shape: Shape, n: int = 64) -> PathT:
    """The first n columns of weights (D, K) as images: blue below zero, white at zero, red above.

    Each is scaled by its own largest magnitude. Weights of colour images are drawn in colour, with zero grey.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or n < 1:
        raise ValueError(f"weight_images: expected weights of shape (D, K) and n >= 1, got {weights.shape}, n = {n}.")
    images = _batch("weight_images: weights.T", weights.T[:n], shape, only_images=True)
    magnitude = np.abs(images).max(axis=tuple(range(1, images.ndim)), keepdims=True)
    images = images / np.where(magnitude > 0, magnitude, 1)
    coloured = _rgb(images, -1, 1) if images.ndim == 4 else _matplotlib().colormaps["RdBu_r"](images / 2 + 0.5)[..., :3]
    return _mosaic(path, coloured, columns=ceil(len(images) ** 0.5))


def error_maps(path: PathT, images: ArrayLike, shares: ArrayLike, shape: Shape | None = None, n: int = 10) -> PathT:
    """The first n grey images over what makes them abnormal, `AnomalyDetector.explain`: white where nothing does, red
    where a pixel is brighter than expected, blue where it is darker; each scaled by its own largest magnitude."""
    grey = _batch("error_maps: images", images, shape, only_images=True)[:n]
    signed = _batch("error_maps: shares", shares, shape, only_images=True)[:n]
    if grey.ndim != 3 or grey.shape != signed.shape:
        raise ValueError(f"error_maps: expected grey images and as many shares, got {grey.shape} and {signed.shape}.")
    magnitude = np.abs(signed).max(axis=(1, 2), keepdims=True)
    heat = _matplotlib().colormaps["RdBu_r"](signed / np.where(magnitude > 0, magnitude, 1) / 2 + 0.5)[..., :3]
    pixels = np.concatenate([_rgb(grey, float(grey.min()), float(grey.max())), heat])
    return _mosaic(path, pixels, len(grey), row_labels=["image", "abnormal"])


def share_bars(path: PathT, shares: ArrayLike, names: Sequence[str] | None = None, n: int = 8) -> PathT:
    """What makes one row abnormal: the n largest of its signed shares (D,), `AnomalyDetector.explain`, as bars.

    Red to the right: the feature is larger than expected; blue to the left: it is smaller. Above: the rest.
    """
    shares = np.asarray(shares, dtype=float)
    if shares.ndim != 1 or not shares.size or (names is not None and len(names) != len(shares)) or n < 1:
        raise ValueError(f"share_bars: expected shares (D,) of one row and D names, got {shares.shape} and {names}.")
    names = [f"column {i}" for i in range(len(shares))] if names is None else list(names)
    order = np.argsort(-np.abs(shares), kind="stable")[:n]
    figure = _figure(6.4, 0.9 + 0.32 * len(order))
    axes = _plain(
        figure.add_subplot(), f"share of the score {np.abs(shares).sum():.4g}, with the sign of the deviation"
    )
    colours = [PALETTE[2] if shares[i] > 0 else PALETTE[0] for i in order]
    axes.barh(np.arange(len(order)), shares[order], color=colours, height=0.7)
    axes.set_yticks(np.arange(len(order)), [str(names[i]) for i in order])
    axes.invert_yaxis()
    axes.axvline(0, color=AXIS, linewidth=0.8)
    rest = np.abs(shares).sum() - np.abs(shares[order]).sum()
    if len(order) < len(shares):
        axes.set_title(f"{len(shares) - len(order)} more together {rest:.3g}", color=AXIS, fontsize=9, loc="right")
    return _save(figure, path)


def share_map(path: PathT, shares: ArrayLike, names: Sequence[str] | None = None, n: int = 12) -> PathT:
    """What makes many rows abnormal: their signed shares (N, D), `AnomalyDetector.explain`, as an image with a line for
    each row, the most abnormal on top, and a column for each of the n features with the largest shares of all.

    Red: larger than expected; blue: smaller; the darker, the larger the share of the score.
    """
    shares = np.asarray(shares, dtype=float)
    if shares.ndim != 2 or not shares.size or (names is not None and len(names) != shares.shape[1]) or n < 1:
        raise ValueError(f"share_map: expected shares (N, D) of rows and D names, got {shares.shape} and {names}.")
    names = [f"column {i}" for i in range(shares.shape[1])] if names is None else list(names)
    columns = np.argsort(-np.abs(shares).sum(axis=0), kind="stable")[:n]
    rows = np.argsort(-np.abs(shares).sum(axis=1), kind="stable")[:MAX_POINTS]
    shown = shares[np.ix_(rows, columns)]
    figure = _figure(1.6 + 0.5 * len(columns), min(1.6 + 0.16 * len(rows), 8.0))
    axes = _plain(figure.add_subplot(), ylabel=f"{len(rows)} rows, the most abnormal on top")
    most = np.abs(shown).max() or 1.0
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(len(columns)), [str(names[j]) for j in columns], rotation=60, ha="right")
    axes.set_yticks([])
    figure.colorbar(image, ax=axes, label="share of the score, with the sign of the deviation")
    return _save(figure, path)


def roc_curves(path: PathT, scores: Mapping[str, ArrayLike], abnormal: ArrayLike) -> PathT:
    """Of each score (N,), higher for what is more abnormal: the share of the abnormal rows (N,) above a threshold, over
    the share of the others above it. The area under the curve is in the legend."""
    bad = np.asarray(abnormal, dtype=bool)
    curves = {name: np.asarray(values, dtype=float) for name, values in scores.items()}
    if not curves or bad.ndim != 1 or bad.all() or not bad.any() or any(c.shape != bad.shape for c in curves.values()):
        raise ValueError("roc_curves: expected scores (N,) and which rows are abnormal (N,), some but not all of them.")
    figure = _figure(4.6, 4.6)
    axes = _plain(figure.add_subplot(), "false alarms: share of the normal rows", "share of the abnormal rows found")
    axes.plot([0, 1], [0, 1], color=AXIS, linewidth=1)
    for i, (name, values) in enumerate(curves.items()):
        order = np.argsort(-values, kind="stable")
        last = np.append(np.diff(values[order]) != 0, True)  # of rows with one score, which share a threshold
        found = np.append(0, (np.cumsum(bad[order]) / bad.sum())[last])
        alarms = np.append(0, (np.cumsum(~bad[order]) / (~bad).sum())[last])
        area = np.sum(np.diff(alarms) * (found[1:] + found[:-1]) / 2)
        axes.plot(alarms, found, color=PALETTE[i % 10], linewidth=2, label=f"{name}  {area:.3f}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), box_aspect=1)
    axes.legend(title="area under the curve", loc="lower right", title_fontsize=9, **LEGEND)
    return _save(figure, path)


def loss_curves(
    path: PathT,
    history: Mapping[str, Sequence[float]],
    ylabel: str = "loss",
    xlabel: str = "epoch",
    ticks: Sequence[object] | None = None,
) -> PathT:
    """Each list of `history` by epoch, its last value in the legend; "loss" reads train, "val_loss" validation.

    The scale is logarithmic where the losses are positive and span more than a factor of 20. A loss that is not
    finite leaves a gap. `ticks`: what stands below each value, in place of 1, 2, 3, ...
    """
    curves = {name: np.asarray(values, dtype=float) for name, values in history.items() if np.size(values)}
    if not curves or any(curve.ndim != 1 for curve in curves.values()):
        raise ValueError(f"loss_curves: expected lists of one loss per epoch, got {dict(history)}. Train first.")
    figure = _figure(6.4, 3.8)
    axes = _plain(figure.add_subplot(), xlabel, ylabel)
    for i, (name, curve) in enumerate(curves.items()):
        name = {"loss": "train", "train_loss": "train", "val_loss": "validation"}.get(name, name)
        axes.plot(
            np.arange(1, len(curve) + 1),
            curve,
            color=PALETTE[i % 10],
            linewidth=2,
            marker="o",
            markersize=5 if len(curve) <= 30 else 0,
            label=f"{name}  {curve[-1]:.4g}",
        )
    losses = np.concatenate(list(curves.values()))
    losses = losses[np.isfinite(losses)]
    if losses.size and losses.min() > 0 and losses.max() > 20 * losses.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        few = losses.max() < 1000 * losses.min()  # then a decade's 2 and 5 want labels, too
        axes.yaxis.set_minor_locator(_matplotlib().ticker.LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if few else "")
    axes.set_xlim(0.5, max(map(len, curves.values())) + 0.5)
    if ticks is None:
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    else:
        axes.set_xticks(range(1, len(ticks) + 1), map(str, ticks))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.legend(**LEGEND)
    return _save(figure, path)


def code_scatter(path: PathT, codes: ArrayLike, labels: ArrayLike | None = None, name: str = "code") -> PathT:
    """Codes (N, K), coloured by labels (N,): up to ten classes by the palette, anything else by a colour bar.

    K = 1: a histogram, or the code against its label. K = 2: a plane. K = 3: space from six sides. K > 3: the plane of
    the two leading principal components. At most 5,000 points are drawn, evenly spaced through the batch. `name`
    is that of a plane's axes.
    """
    codes = _codes("code_scatter", codes)
    k, keep = codes.shape[1], _evenly(len(codes))
    colouring, names = _colouring("code_scatter", labels, len(codes), keep)
    if k == 1 and labels is None:
        return code_histogram(path, {"codes": codes})
    points, axis_labels = codes[keep], (f"{name} 1", f"{name} 2")
    if k == 3:
        return _six_sides(path, points, colouring, names)
    if k == 1:
        jitter = np.arange(len(points)) * 0.618034 % 0.7 - 0.35 if names else 0.0  # spreads a class, always alike
        points, axis_labels = np.column_stack([points, colouring["c"] + jitter]), ("code", "label")
    elif k > 3:
        points, (first, second) = _principal_plane(points)
        axis_labels = (f"PCA 1 ({first:.0%} of variance)", f"PCA 2 ({second:.0%} of variance)")
    figure = _figure(6.8, 5.4)
    axes = _plain(figure.add_subplot(), *axis_labels)
    artist = _dots(axes, points, colouring)
    if k > 1:
        _explain(artist, axes, names)
    elif 0 < len(names) <= 30:
        axes.set_yticks(range(len(names)), names)
    return _save(figure, path)


def code_histogram(path: PathT, codes_by_name: Mapping[str, ArrayLike]) -> PathT:
    """The distribution of all code values of each (N, K), with the mean and the share of exact zeros in the legend.

    Heights are shares of a batch's own values, on a logarithmic scale where one batch holds 30 % zeros or more: the
    spike at zero would flatten the rest.
    """
    values = {name: _codes(f"code_histogram: {name!r}", codes).ravel() for name, codes in codes_by_name.items()}
    if not values:
        raise ValueError("code_histogram: expected at least one array of codes, got none.")
    low, high = min(float(v.min()) for v in values.values()), max(float(v.max()) for v in values.values())
    bins = np.linspace(low, high, 61) if high > low else np.linspace(low - 0.5, low + 0.5, 62)
    zeros = {name: float(np.mean(v == 0)) for name, v in values.items()}
    figure = _figure(6.4, 3.8)
    axes = _plain(figure.add_subplot(), "code value", "share of values")
    for i, (name, v) in enumerate(values.items()):
        axes.hist(
            v,
            bins.tolist(),
            weights=np.full(v.size, 1 / v.size),
            histtype="stepfilled",
            linewidth=1.5,
            facecolor=PALETTE[i % 10] + "55",
            edgecolor=PALETTE[i % 10],
            log=high > low and max(zeros.values()) >= 0.3,
            label=f"{name}: mean {v.mean():.3g}, {zeros[name]:.1%} zeros",
        )
    figure.legend(loc="outside upper center", **LEGEND)
    return _save(figure, path)


def panels(path: PathT, panels: Mapping[str, ArrayLike], colour: ArrayLike | None = None) -> PathT:
    """Titled scatters of (N, 2) side by side; row i has the colour of colour[i] (N,) in each: one set, several maps."""
    points = {title: _codes(f"panels: {title!r}", array) for title, array in panels.items()}
    shapes = [array.shape for array in points.values()]
    if len(set(shapes)) != 1 or shapes[0][1] != 2:
        raise ValueError(f"panels: expected arrays of one shape (N, 2), got {shapes}.")
    keep = _evenly(shapes[0][0])
    colouring, names = _colouring("panels", colour, shapes[0][0], keep)
    figure = _figure(0.8 + 3.6 * len(points), 3.8)
    grid = figure.subplots(1, len(points), squeeze=False)[0]
    for axes, (title, array) in zip(grid, points.items(), strict=True):
        artist = _dots(axes, array[keep], colouring)
        axes.set_title(title, fontsize=12, color=INK)
        axes.set(xticks=[], yticks=[], box_aspect=1)
        axes.spines[:].set_color("#cccccc")
    _explain(artist, grid, names)
    return _save(figure, path)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('figures need matplotlib: pip install "nanoae[cli]"') from error
    return matplotlib


def _figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    _matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout, **PAGE)


def _plain(axes: Axes, xlabel: str = "", ylabel: str = "") -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(AXIS)
    axes.tick_params(which="both", colors=INK, labelsize=9, length=3)
    axes.set_xlabel(xlabel, color=INK, fontsize=11)
    axes.set_ylabel(ylabel, color=INK, fontsize=11)
    return axes


def _save(figure: Figure, path: PathT) -> PathT:
    with whole_file(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.1, metadata={"Software": None}, **PAGE)
    return path


def _batch(what: str, array: ArrayLike, shape: Shape | None, only_images: bool = False) -> NDArray[Any]:
    """`array` as float32 (n, H, W), (n, 3, H, W) or (n, D); a single channel is dropped."""
    array = np.asarray(array)
    came = array.shape[1:]
    shape = came if shape is None else tuple(shape)
    kept = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    if len(kept) not in ((2, 3) if only_images else (1, 2, 3)) or (len(kept) == 3 and kept[0] != 3):
        raise ValueError(
            f"{what}: expected images of shape (H, W), (1, H, W) or (3, H, W), got {shape}. "
            "Pass shape= for flat images, and colour images channel-first."
        )
    if array.size == 0 or came not in (kept, (1, *kept), (prod(kept),)):
        raise ValueError(
            f"{what}: expected n >= 1 images of shape {shape}, got an array of shape {array.shape}. "
            f"Pass them as (n, *shape) or flat as (n, {prod(shape)})."
        )
    return array.reshape(len(array), *kept).astype(np.float32)


def _codes(what: str, codes: ArrayLike) -> NDArray[Any]:
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.size == 0:
        raise ValueError(f"{what}: expected an array of shape (N, K), got {codes.shape}. Reshape one column to (N, 1).")
    return codes


def _evenly(n: int) -> NDArray[np.intp]:
    return np.linspace(0, n - 1, min(n, MAX_POINTS)).astype(np.intp)


def _principal_plane(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points (N, K) on their first two principal components (N, 2), and the shares of variance (2,)."""
    centred = points - points.mean(axis=0, dtype=np.float64)
    _, s, vt = np.linalg.svd(np.vstack([centred, 0 * centred[:1]]), full_matrices=False)  # two components of one point
    plane = vt[:2] * np.where(vt[:2].sum(axis=1, keepdims=True) < 0, -1, 1)  # a component's sign is free: fix it
    return centred @ plane.T, s[:2] ** 2 / max(float(s @ s), np.finfo(np.float64).tiny)


def _rgb(images: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Images (n, H, W) or (n, 3, H, W) as (n, H, W, 3), low..high mapped to 0..1 and clipped."""
    scaled = np.clip((images - low) / (high - low if high > low else 1), 0, 1)
    return np.moveaxis(scaled, 1, -1) if images.ndim == 4 else np.repeat(scaled[..., None], 3, axis=-1)


def _mosaic(path: PathT, images: NDArray[Any], columns: int, row_labels: Sequence[str] = ()) -> PathT:
    """Images (n, H, W, 3) in rows, an image pixel a whole number of screen pixels wide: sharp, however small."""
    columns = min(columns, len(images))
    cell = min(max(960 // columns, 32), 160)
    zoom = max(1, cell // max(images.shape[1:3]))
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    images = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=FRAME)
    _, height, width, _ = images.shape
    page = np.ones((ceil(len(images) / columns) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3))
    for i, image in enumerate(images):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        page[top : top + height, left : left + width] = image
    shrink = min(1, MAX_PIXELS / max(page.shape))
    figure = _figure(page.shape[1] * shrink / DPI, page.shape[0] * shrink / DPI, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(page, aspect="auto", interpolation="antialiased" if shrink < 1 else "nearest")
    axes.set_xticks([])
    axes.set_yticks([row * (height + GAP) + height / 2 for row in range(len(row_labels))], row_labels, fontsize=11)
    axes.tick_params(length=0, pad=6, labelcolor=INK)
    axes.spines[:].set_visible(False)
    return _save(figure, path)


def _profiles(path: PathT, batches: Mapping[str, NDArray[Any]], n: int, *limits: float | None) -> PathT:
    """Batches (N, D): a panel for each of the first n samples, a line over the features for each batch."""
    columns = min(n, 5)
    figure = _figure(0.6 + 2.0 * columns, 0.8 + 1.3 * ceil(n / columns))
    grid = figure.subplots(ceil(n / columns), columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    for i, axes in enumerate(grid.flat[:n]):
        _plain(axes)
        for k, (name, batch) in enumerate(batches.items()):
            axes.plot(
                np.arange(1, batch.shape[1] + 1),
                batch[i],
                label=name if i == 0 else None,
                markersize=3,
                marker="o" if batch.shape[1] <= 20 else None,
                color=PALETTE[(k - 1) % 10] if k else "#bbbbbb",
                linewidth=1.5 if k else 3,
            )
    grid[0, 0].set_ylim(*limits)
    grid[0, 0].locator_params(axis="x", integer=True, nbins=4)
    figure.supxlabel("feature", fontsize=11, color=INK)
    figure.legend(loc="outside upper center", ncols=len(batches), **LEGEND)
    return _save(figure, path)


def _six_sides(path: PathT, points: NDArray[Any], colouring: dict[str, Any], names: list[str]) -> PathT:
    figure = _figure(9.6, 6.2)
    grid = figure.subplots(2, 3, subplot_kw={"projection": "3d"})
    for i, axes in enumerate(grid.flat):
        artist = _dots(axes, points, colouring)
        axes.view_init(elev=30 if i < 3 else 12, azim=60 * i + 15)
        axes.set(xticks=[], yticks=[], zticks=[])
        axes.set_box_aspect((1, 1, 1), zoom=1.1)
        for k, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis), start=1):
            axis.set_label_text(f"code {k}", fontsize=9, color=INK)
            axis.labelpad = -12
            axis.set_pane_color("#f4f4f4")
            axis.line.set_color("#bbbbbb")
    _explain(artist, grid, names)
    return _save(figure, path)


def _dots(axes: Any, points: NDArray[Any], colouring: dict[str, Any]) -> Any:
    return axes.scatter(*points.T, s=min(max(12_000 / len(points), 6), 30), alpha=0.8, linewidths=0, **colouring)


def _colouring(what: str, labels: ArrayLike | None, n: int, keep: NDArray[np.intp]) -> tuple[dict[str, Any], list[str]]:
    """What scatter needs to colour the points kept, and the names of its values 0, 1, ... where these are classes."""
    if labels is None:
        return {"color": PALETTE[0]}, []
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{what}: expected one label per point, shape ({n},), got {labels.shape}.")
    labels = labels[keep]
    numeric = labels.dtype.kind in "fiu"
    found, places = np.unique(labels if numeric else labels.astype(str), return_inverse=True)
    if len(found) > len(PALETTE):
        return {"c": labels if numeric else places, "cmap": "viridis"}, [] if numeric else found.tolist()
    return (
        {"c": places, "cmap": _matplotlib().colors.ListedColormap(PALETTE[: len(found)])},
        [f"{label:g}" if isinstance(label, float) else str(label) for label in found.tolist()],
    )


def _explain(artist: Any, axes: Any, names: list[str]) -> None:
    """A legend for up to ten classes, a colour bar for more or for a scale, nothing for points of one colour."""
    if artist.get_array() is None:
        return
    if 0 < len(names) <= len(PALETTE):
        marks, _ = artist.legend_elements(num=None, markersize=7, alpha=1)
        artist.figure.legend(marks, names, loc="outside right center", handletextpad=0.1, **LEGEND)
        return
    bar = artist.figure.colorbar(artist, ax=axes, shrink=0.8, pad=0.02)
    bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9, length=2)
    if names:
        step = ceil(len(names) / 14)
        bar.set_ticks(range(0, len(names), step), labels=names[::step])
