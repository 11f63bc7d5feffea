"""Mosaics of images: reconstructions, filters, manifolds and interpolations.

Images are (H, W), (C, H, W) or (H, W, C) with C = 1, 3 or 4 (the fourth channel is not drawn); a batch is (n, *shape),
or flat (n, D).
Values must be finite. A wrong shape raises a ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanoae.plot.axes import DPI, INK, axes_for, matplotlib, named, verbatim
from nanoae.plot.profiles import profiles

Shape = tuple[int, ...]

CHANNELS = (1, 3, 4)
GAP = 4  # screen pixels between images
FRAME = 0.8  # the grey of the one-pixel frame that gives white images an edge
EDGE, MARK = 3, (0.74, 0.12, 0.0)  # width and colour of the frame of a dead unit
MAX_PIXELS = 1_600  # longest side of a mosaic; larger ones are scaled down


def reconstructions(
    rows: Mapping[str, ArrayLike],
    shape: Shape | None = None,
    *,
    vmin: float | None = None,
    vmax: float | None = None,
    n: int = 10,
    title: str = "Reconstructions",
    columns: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the first n images of each batch, one labelled row per batch: originals over reconstructions. -> Axes

    Black is vmin and white is vmax, by default the range of the *first* row, so that a washed-out reconstruction looks
    washed out. Samples of shape (D,) are drawn as curves over the features, which `columns` names.
    """
    if not rows or n < 1:
        raise ValueError(
            f"reconstructions: expected at least one row and n >= 1, got {len(rows)} rows, n = {n}."
        )
    batches = {
        name: batch(f"reconstructions: {name!r}", array, shape) for name, array in rows.items()
    }
    shapes = {images.shape[1:] for images in batches.values()}
    if len(shapes) > 1:
        raise ValueError(
            f"reconstructions: expected one image shape for all rows, got {sorted(shapes)}. Pass shape=."
        )
    n = min(n, *(len(images) for images in batches.values()))
    first = next(iter(batches.values()))
    if first.ndim == 2:
        return profiles(batches, n, columns, (vmin, vmax), title, ax)
    low = float(first[:n].min()) if vmin is None else vmin
    high = float(first[:n].max()) if vmax is None else vmax
    shown = np.concatenate([images[:n] for images in batches.values()])
    pixels = rgb(shown, low, high)
    return mosaic(pixels, n, ax, title, row_labels=list(batches))


def images(
    images: ArrayLike,
    shape: Shape | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw images row by row on a common grey scale, by default in a square. -> Axes"""
    grid = batch("images", images, shape, only_images=True)
    columns = ceil(len(grid) ** 0.5) if columns is None else columns
    if columns < 1:
        raise ValueError(f"images: expected columns >= 1, got {columns}.")
    return mosaic(greys(grid), columns, ax, title)


def manifold(
    images: ArrayLike,
    shape: Shape | None = None,
    *,
    title: str = "Images decoded from a grid of codes",
    ax: Any = None,
) -> Any:
    """Draw the n · n examples returned by `Autoencoder.manifold(n)`: a grid of two-number codes, decoded. -> Axes"""
    grid = batch("manifold", images, shape, only_images=True)
    side = ceil(len(grid) ** 0.5)
    if side**2 != len(grid):
        raise ValueError(
            f"manifold: expected n · n images, got {len(grid)}. Use the result of Autoencoder.manifold."
        )
    ax = mosaic(greys(grid), side, ax, title)
    return named(ax, title, "code unit 1 ->", "code unit 2 ->")


def interpolation(
    images: ArrayLike,
    shape: Shape | None = None,
    *,
    title: str = "Interpolation in the code",
    ax: Any = None,
) -> Any:
    """Draw the result of `Autoencoder.interpolate`, (steps, D), or several, (N, steps, D), one per line. -> Axes"""
    array = np.asarray(images)
    shape = tuple(shape or array.shape[1:])
    one = array.shape[1:] in (shape, (prod(shape),))
    steps = len(array) if one or array.ndim < 2 else array.shape[1]
    if not one:
        array = array.reshape(-1, *shape)
    grid = batch("interpolation", array, shape, only_images=True)
    ax = mosaic(greys(grid), steps, ax, title)
    left, right = ax.get_xlim()
    width = (right - left) / steps
    ax.set_xticks([left + width / 2, right - width / 2], ["start", "end"])
    return ax


def filters(
    weights: ArrayLike,
    shape: Shape,
    *,
    n: int = 64,
    title: str = "Weights (red positive, blue negative)",
    dead: Sequence[int] = (),
    ax: Any = None,
) -> Any:
    """Draw the first n columns of weights (D, K) as images: negative blue, zero white, positive red. -> Axes

    Each image is scaled by its own largest magnitude. Weights of colour images are drawn in colour, with zero grey. The
    units in `dead` (indices from 0), and units whose weights are all 0, get a red frame.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or n < 1:
        raise ValueError(
            f"filters: expected weights of shape (D, K) and n >= 1, got {weights.shape}, n = {n}."
        )
    units = batch("filters: weights.T", weights.T[:n], shape, only_images=True)
    of_a_unit = tuple(range(1, units.ndim))
    magnitude = np.abs(units).max(axis=of_a_unit, keepdims=True)
    scaled = units / np.where(magnitude > 0, magnitude, 1)
    coloured = rgb(scaled, -1, 1) if units.ndim == 4 else signed(scaled)
    zero = np.flatnonzero(magnitude.ravel() == 0)
    marked = sorted({*dead, *zero.tolist()})
    if marked:
        title += f"\n{len(marked)} dead units framed in red"
    return mosaic(coloured, ceil(len(units) ** 0.5), ax, title, marked=marked)


def signed(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers from -1 to 1 as colours (..., 3): blue, white, red."""
    return matplotlib().colormaps["RdBu_r"](values / 2 + 0.5)[..., :3]


def batch(
    what: str, array: ArrayLike, shape: Shape | None, only_images: bool = False
) -> NDArray[Any]:
    """`array` as float32 (n, H, W), (n, 3, H, W) or (n, D); a single channel, or a fourth, is dropped."""
    array = np.asarray(array)
    came = array.shape[1:]
    shape = came if shape is None else tuple(shape)
    axes = (2, 3) if only_images else (1, 2, 3)
    last = len(shape) == 3 and shape[0] not in CHANNELS
    channels = shape[2 if last else 0] if len(shape) == 3 else 1
    if len(shape) not in axes or channels not in CHANNELS:
        raise ValueError(
            f"{what}: expected images of shape (H, W), (C, H, W) or (H, W, C), C = 1, 3 or 4, got {shape}. "
            "Pass shape= for flat images."
        )
    kept = shape[1:] if len(shape) == 3 and channels == 1 and not last else shape
    layouts = (shape, kept, (1, *kept), (prod(kept),))
    if array.size == 0 or came not in layouts:
        raise ValueError(
            f"{what}: expected n >= 1 images of shape {shape}, got an array of shape {array.shape}. "
            f"Pass them as (n, *shape) or flat as (n, {prod(shape)})."
        )
    images = array.reshape(len(array), *shape).astype(np.float32)
    if last:
        images = images.transpose(0, 3, 1, 2)
    if images.ndim == 4:
        return images[:, 0] if channels == 1 else images[:, :3]
    return images


def rgb(images: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Images (n, H, W) or (n, 3, H, W) as (n, H, W, 3), with low..high mapped to 0..1 and clipped."""
    span = high - low if high > low else 1
    scaled = np.clip((images - low) / span, 0, 1)
    if images.ndim == 4:
        return np.moveaxis(scaled, 1, -1)
    return np.repeat(scaled[..., None], 3, axis=-1)


def greys(images: NDArray[Any]) -> NDArray[Any]:
    """`rgb` of images over their own range, from minimum to maximum."""
    return rgb(images, float(images.min()), float(images.max()))


def mosaic(
    pixels: NDArray[Any],
    columns: int,
    ax: Any,
    title: str = "",
    row_labels: Sequence[str] = (),
    marked: Sequence[int] = (),
) -> Any:
    """Draw images (n, H, W, 3) in rows. Image pixels are whole numbers of screen pixels, so small images stay sharp."""
    columns = min(columns, len(pixels))
    cell = min(max(960 // columns, 32), 160)
    zoom = max(1, cell // max(pixels.shape[1:3]))
    pixels = pixels.repeat(zoom, axis=1).repeat(zoom, axis=2)
    border = ((0, 0), (1, 1), (1, 1), (0, 0))
    pixels = np.pad(pixels, border, constant_values=FRAME)
    _, height, width, _ = pixels.shape
    rows = ceil(len(pixels) / columns)
    page_height = rows * (height + GAP) - GAP
    page_width = columns * (width + GAP) - GAP
    page = np.ones((page_height, page_width, 3))
    for i, image in enumerate(pixels):
        top = i // columns * (height + GAP)
        left = i % columns * (width + GAP)
        if i in marked:
            framed = np.empty_like(image)
            framed[:] = MARK
            framed[EDGE:-EDGE, EDGE:-EDGE] = image[EDGE:-EDGE, EDGE:-EDGE]
            image = framed
        page[top : top + height, left : left + width] = image
    shrink = min(1, MAX_PIXELS / max(page.shape))
    ax = axes_for(ax, page_width * shrink / DPI, page_height * shrink / DPI, full=True)
    smoothing = "antialiased" if shrink < 1 else "nearest"
    ax.imshow(page, aspect="equal", interpolation=smoothing)
    ax.set_xticks([])
    ax.set_yticks(
        [row * (height + GAP) + height / 2 for row in range(len(row_labels))],
        [*map(verbatim, row_labels)],
        fontsize=11,
    )
    ax.tick_params(length=0, pad=6, labelcolor=INK)
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, color=INK, fontsize=12)
    return ax
