"""Reach: the numbers that reconstructions can be, and data that lie outside of them."""

from __future__ import annotations

import numpy as np

ROUNDING = 4 * float(np.finfo(np.float32).eps)  # of the largest number: so far beyond an end it is still rounding
SCALES = {(0, 1): " (images: X / 255)", (-1, 1): " (images: X / 127.5 - 1)"}


class OutOfReach(ValueError):
    """Data that no reconstruction can be like: the loss on them ends somewhere, and says nothing.

    finding   what was expected and what came
    remedy    what to do
    """

    def __init__(self, whose: str, finding: str, remedy: str):
        super().__init__(whose, finding, remedy)
        self.finding = finding

    def __str__(self) -> str:
        whose, finding, remedy = self.args
        return f"{whose}: {finding}. {remedy}."


def check_reach(whose: str, X: np.ndarray, ends: tuple, cause: str, remedy: str) -> None:
    """OutOfReach where X (N, ...) has a number that does not lie between the ends; NaN counts for nothing.

    ends     low and high: numbers, or arrays of one for each feature
    cause    what makes these the ends: 'with loss="bce"'
    remedy   what to do instead of scaling the data
    """
    low, high = ends
    if np.isinf(low).all() and np.isinf(high).all():
        return
    least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    slack = ROUNDING * np.fmax.reduce(np.abs([least, most]), axis=None)
    outside = (least < low - slack) | (most > high + slack)
    if not outside.any():
        return
    where = ""
    if np.ndim(low):
        at = int(outside.argmax())
        low, high, least, most, where = low[at], high[at], least[at], most[at], f" in column {at}"
    got = f"[{shown(np.fmin.reduce(least, axis=None))}, {shown(np.fmax.reduce(most, axis=None))}]{where}"
    scale = f"Scale the data{SCALES.get((low, high), '')}, or {remedy}"
    raise OutOfReach(whose, f"expected values in [{low:g}, {high:g}] {cause}, got {got}", scale)


def shown(x: np.floating) -> str:
    """A number in as few digits as tell it from its neighbours."""
    return f"{x:g}" if type(x)(f"{x:g}") == x else str(x)
