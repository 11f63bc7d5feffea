"""Scalers as ONNX nodes, and tables that are looked up: what a detector does to a row before a network sees it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.data.encoder import TableEncoder
from nanoae.data.scaling import LARGEST, AffineScaler, GaussianScaler, Scaler
from nanoae.interchange.graph import Formulas, Graph, Value


@Formulas
def transformed(scaler: Scaler, x: Value) -> Value:
    """scaler.transform of x (N, ...) float64: float32."""
    raise NotImplementedError


@transformed.register
def _(scaler: Scaler, x: Value) -> Value:
    return x.cast(np.float32)


@transformed.register
def _(scaler: AffineScaler, x: Value) -> Value:
    center = np.ravel(scaler.center_)
    columns = x.reshape(-1, center.size)
    z = (columns - center) / np.ravel(scaler.scale_)
    return shaped_as(x, drawn_in(z, np.ravel(scaler.limit_)))


@transformed.register
def _(scaler: GaussianScaler, x: Value) -> Value:
    columns = x.reshape(-1, scaler.z_.shape[1])
    z = interpolated(scaler.x_.T, scaler.z_.T, columns, 1 / scaler.std_)
    return shaped_as(x, drawn_in(z, np.ravel(scaler.limit_)))


def interpolated(at: np.ndarray, to: np.ndarray, columns: Value, slope: np.ndarray) -> Value:
    """Straight lines between the knots (D, n) at -> to, and beyond the last ones lines of that slope (D,)."""
    inside = columns.apply("Max", at[:, 0]).apply("Min", at[:, -1])
    last_but_one = np.array(at.shape[1] - 2)
    knot = counted(at, inside, strictly=False) - 1
    knot = knot.apply("Min", last_but_one).apply("Max", np.array(0))
    x = looked_up(at, knot)
    y = looked_up(to, knot)
    width = looked_up(at, knot + 1) - x
    rise = looked_up(to, knot + 1) - y
    steep = rise / (width > 0).where(width, 1.0)
    return steep * (inside - x) + y + (columns - inside) * slope


@Formulas
def restored(scaler: Scaler, z: Value) -> Value:
    """scaler.inverse_transform of z (N, D) float64: float64."""
    raise NotImplementedError


@restored.register
def _(scaler: AffineScaler, z: Value) -> Value:
    z = drawn_out(z, np.ravel(scaler.limit_))
    return z * np.ravel(scaler.scale_) + np.ravel(scaler.center_)


@restored.register
def _(scaler: GaussianScaler, z: Value) -> Value:
    z = drawn_out(z, np.ravel(scaler.limit_))
    return interpolated(scaler.z_.T, scaler.x_.T, z, scaler.std_)


def by_channels(model: Any, x: Value, through: Callable[[Value], Value]) -> Value:
    """`through` on the columns of x, those of a table or the channels of images (N, C, H, W)."""
    shape = model.input_shape_
    n = model.channels(shape)
    if last := getattr(model, "channels_last_", None):
        shape = (n, *last[:2])
    if shape == (n,):
        return through(x)
    pixels = x.reshape(-1, n, math.prod(shape) // n).transpose(0, 2, 1)
    columns = through(pixels.reshape(-1, n))
    found = columns.reshape(-1, math.prod(shape) // n, n)
    return found.transpose(0, 2, 1).reshape(-1, *shape)


def shaped_as(x: Value, z: Value) -> Value:
    return z.apply("Reshape", x.apply("Shape", dtype=np.int64))


def drawn_in(z: Value, limit: np.ndarray) -> Value:
    """z as float32; beyond ±limit ±(limit + log(1 + |z| - limit))."""
    size = z.apply("Abs").apply("Min", LARGEST)
    beyond = (size - limit).apply("Max", 0.0)
    drawn = size.apply("Min", limit) + (1 + beyond).apply("Log")
    return (z.apply("Sign") * drawn).cast(np.float32)


def drawn_out(z: Value, limit: np.ndarray) -> Value:
    """What `drawn_in` made z of, float64."""
    size = z.apply("Abs")
    beyond = (size - limit).apply("Max", 0.0).apply("Min", 700.0)
    drawn = size.apply("Min", limit) + beyond.apply("Exp") - 1.0
    return z.apply("Sign") * drawn


def counted(table: np.ndarray, z: Value, strictly: bool) -> Value:
    """How many numbers of table[d] (D, n), each row sorted, are at most z[n, d], or `strictly` below it: (N, D) int64.

    The table is filled up with infinity to 2ᵖ - 1 columns; then p halvings find each place.
    """
    d, n = table.shape
    halvings = n.bit_length()
    filled = np.full((d, 2**halvings - 1), np.inf, table.dtype)
    filled[:, :n] = np.where(np.isnan(table), np.inf, table)
    place = z.is_nan().cast(np.int64) * 0
    for i in reversed(range(halvings)):
        step = 2**i
        there = looked_up(filled, place + (step - 1))
        within = there < z if strictly else there <= z
        place = place + within.cast(np.int64) * step
    return place


def looked_up(table: np.ndarray, place: Value) -> Value:
    """table[d, place[n, d]] (N, D)"""
    d, n = table.shape
    flat = place.graph.constant(table.reshape(-1))
    return flat.take(place + n * np.arange(d))


def encoded(encoder: TableEncoder, graph: Graph) -> Value:
    """encoder.transform (N, D) float32 of two inputs: numbers (N, columns) float64, NaN where one is missing, and
    categories (N, columns), texts in the encoder's spelling, "" where one is missing."""
    is_number = [known is None for known in encoder.categories_]
    inputs = {True: ("numbers", np.float64), False: ("categories", object)}
    cells = {}
    for kind in sorted(set(is_number)):
        n = is_number.count(kind)
        rows = graph.input(*inputs[kind], (n,))
        if kind:
            rows = transformed(encoder.scaler_, rows)
        cells[kind] = iter([rows.part(i, i + 1) for i in range(n)])
    parts = []
    for known in encoder.categories_:
        cell = next(cells[known is None])
        parts.append(cell if known is None else one_hot(known, cell))
    return graph.concat(parts)


def one_hot(known: list[str], cell: Value) -> Value:
    """(N, K + 1) of cells (N, 1): 1 for the category that it is, the last for another one; NaN for none."""
    same = cell.equal(np.array([known], object)).cast(np.float32)
    other = 1 - same.sum(1, keep=True)
    found = cell.graph.concat([same, other])
    return cell.equal("").where(np.float32("nan"), found)
