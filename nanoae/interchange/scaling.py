"""Scalers and lookup tables as ONNX nodes: the preprocessing of rows before the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend.tables import LARGEST
from nanoae.data.encoder import TableEncoder
from nanoae.data.scaling import AffineScaler, GaussianScaler, Scaler
from nanoae.interchange.graph import Formulas, Graph, Value


def transformed(scaler: Any, x: Value, *shape: int) -> Value:
    """scaler.transform of x (N, ...) float64 with shape (D columns, pixels each): float32."""
    if type(scaler) is Scaler:
        return x.cast(np.float32)
    z = standardised(scaler, x.reshape(-1, *shape))
    z = drawn_in(z, of_columns(scaler.limit_))
    return shaped_as(x, z)


def restored(scaler: Any, z: Value, *shape: int) -> Value:
    """scaler.inverse_transform of z float64, of the same shape: float64."""
    found = drawn_out(z.reshape(-1, *shape), of_columns(scaler.limit_))
    found = original(scaler, found)
    return shaped_as(z, found)


@Formulas
def standardised(scaler: Any, x: Value) -> Value:
    """x (N, D, pixels) on the scaler's scale, before its tails are compressed."""
    raise NotImplementedError


@Formulas
def original(scaler: Any, z: Value) -> Value:
    """The inverse of `standardised`."""
    raise NotImplementedError


@standardised.register
def _(scaler: AffineScaler, x: Value) -> Value:
    return (x - of_columns(scaler.center_)) / of_columns(scaler.scale_)


@original.register
def _(scaler: AffineScaler, z: Value) -> Value:
    return z * of_columns(scaler.scale_) + of_columns(scaler.center_)


@standardised.register
def _(scaler: GaussianScaler, x: Value) -> Value:
    return interpolated(scaler.x_, scaler.z_, x, 1 / scaler.std_)


@original.register
def _(scaler: GaussianScaler, z: Value) -> Value:
    return interpolated(scaler.z_, scaler.x_, z, scaler.std_)


def of_columns(array: Any) -> np.ndarray:
    """A scaler's array with one value per column, (D, 1)."""
    return np.reshape(array, (-1, 1))


def interpolated(at: np.ndarray, to: np.ndarray, x: Value, slope: np.ndarray) -> Value:
    """Piecewise linear interpolation between the knots (n, D) at -> to, with slope (D,) beyond them."""
    at = at.T[:, None]
    to = to.T[:, None]
    above = x.apply("Max", at[..., 0])
    inside = above.apply("Min", at[..., -1])
    last_but_one = np.array(at.shape[-1] - 2)
    knot = counted(at, inside, strictly=False) - 1
    knot = knot.apply("Min", last_but_one).apply("Max", np.array(0))
    start = looked_up(at, knot)
    y = looked_up(to, knot)
    width = looked_up(at, knot + 1) - start
    rise = looked_up(to, knot + 1) - y
    steep = rise / (width > 0).where(width, 1.0)
    y = steep * (inside - start) + y
    return y + (x - inside) * of_columns(slope)


def shaped_as(x: Value, z: Value) -> Value:
    return z.apply("Reshape", x.apply("Shape", dtype=np.int64))


def drawn_in(z: Value, limit: np.ndarray) -> Value:
    """z as float32, compressed beyond ±limit to ±(limit + log(1 + |z| - limit))."""
    size = z.apply("Abs").apply("Min", LARGEST)
    beyond = (size - limit).apply("Max", 0.0)
    drawn = size.apply("Min", limit) + (1 + beyond).apply("Log")
    signed = z.apply("Sign") * drawn
    return signed.cast(np.float32)


def drawn_out(z: Value, limit: np.ndarray) -> Value:
    """The inverse of `drawn_in`, float64."""
    size = z.apply("Abs")
    beyond = (size - limit).apply("Max", 0.0).apply("Min", 700.0)
    drawn = size.apply("Min", limit) + beyond.apply("Exp") - 1.0
    return z.apply("Sign") * drawn


def counted(table: np.ndarray, z: Value, strictly: bool) -> Value:
    """The number of values in table[d] (D, n), rows sorted, that are <= z[n, d], or `strictly` below it: int64 (N, D).

    Binary search: the table is padded with infinity to 2ᵖ - 1 columns, and p bisections find each position.
    """
    n = table.shape[-1]
    halvings = n.bit_length()
    shape = (*table.shape[:-1], 2**halvings - 1)
    filled = np.full(shape, np.inf, table.dtype)
    filled[..., :n] = np.where(np.isnan(table), np.inf, table)
    place = z.is_nan().cast(np.int64) * 0
    for i in reversed(range(halvings)):
        step = 2**i
        there = looked_up(filled, place + (step - 1))
        within = there < z if strictly else there <= z
        place = place + within.cast(np.int64) * step
    return place


def looked_up(table: np.ndarray, place: Value) -> Value:
    """table[d, place[n, d]] (N, D)"""
    *rows, n = table.shape
    flat = place.graph.constant(table.reshape(-1))
    starts = n * np.arange(len(table)).reshape(rows)
    return flat.take(place + starts)


def of_numbers(way: Callable[..., Value], scaler: Any, x: Value, numbers: Any, size: int) -> Value:
    """x (N, size) with way(scaler, ...) applied to its numeric columns, the others unchanged."""
    numbers = np.array(numbers, int)
    n = len(numbers)
    others = np.setdiff1d(np.arange(size), numbers)
    parts = [way(scaler, x.take(numbers, axis=1), n, 1)] if n else [x.part(0, 0)]
    parts.append(x.take(others, axis=1).cast(parts[0].dtype))
    order = np.argsort([*numbers, *others])
    return x.graph.concat(parts).take(order, axis=1)


def encoded(encoder: TableEncoder, graph: Graph) -> Value:
    """encoder.transform (N, D) float32 of two inputs: numbers (N, columns) float64, NaN if missing, and categories
    (N, columns), text in the encoder's spelling, "" if missing."""
    is_number = [known is None for known in encoder.categories_]
    inputs = {True: ("numbers", np.float64), False: ("categories", object)}
    cells = {}
    for kind in sorted(set(is_number)):
        n = is_number.count(kind)
        rows = graph.input(*inputs[kind], (n,))
        if kind:
            scaled = transformed(encoder.scaler_, rows, n, 1)
            infinite = rows.apply("IsInf", dtype=bool)  # stays infinite, so that the row is refused
            rows = infinite.where(rows.cast(np.float32), scaled)
        cells[kind] = iter([rows.part(i, i + 1) for i in range(n)])
    parts = []
    for known in encoder.categories_:
        cell = next(cells[known is None])
        parts.append(cell if known is None else one_hot(known, cell))
    return graph.concat(parts)


def one_hot(known: list[str], cell: Value) -> Value:
    """One-hot (N, K + 1) of cells (N, 1); the last place is for unknown categories; NaN for missing cells."""
    same = cell.equal(np.array([known], object)).cast(np.float32)
    other = 1 - same.sum(1, keep=True)
    found = cell.graph.concat([same, other])
    return cell.equal("").where(np.float32("nan"), found)
