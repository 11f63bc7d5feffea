"""Survey: statistics of all rows of a table, or of a sample of them, block by block if they do not fit in memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.backend import Ops, get_ops
from nanoae.rows import Rows, by_blocks, numbered_blocks

SAMPLED = 1 << 16  # most rows in a sample
SAMPLE = 64 << 20  # most bytes of a sample in float64


def extremes(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and maximum of each feature of x (N, ...), an array or Rows; NaN is ignored."""
    least = most = None
    for block in by_blocks(x):
        low = np.fmin.reduce(block, axis=0)
        high = np.fmax.reduce(block, axis=0)
        least = low if least is None else np.fmin(least, low)
        most = high if most is None else np.fmax(most, high)
    return least, most  # type: ignore[return-value]


def look(x: Any) -> tuple[float, float, float]:
    """Return (Σ x, min x, max x) of a small contiguous array, or three NaN if x is anything else.

    The kernel keeps the GIL: NumPy would release it, and reacquiring it takes longer than the scan itself.
    """
    ops = host_ops()
    if not (isinstance(x, np.ndarray) and 0 < x.size <= ops.most_recorded and x.flags.c_contiguous):
        return math.nan, math.nan, math.nan
    return tuple(ops.survey(x, np.empty(3, x.dtype)).tolist())


@functools.cache
def host_ops() -> Ops:
    return get_ops("numpy")


def bad_values(x: Any, bad: Callable[[np.ndarray], Any]) -> tuple[int, tuple[int, ...], Any, int]:
    """Return (row, index within the row, value) of the first bad value in x (N, ...), and the number of bad values.

    bad   function of a block that returns a mask of its bad values, or False if there are none
    """
    row = count = 0
    place: tuple[int, ...] = ()
    value = None
    for rows, block in numbered_blocks(x):
        found = bad(block)
        if not np.any(found):
            continue
        if not count:
            inside, *rest = np.argwhere(found)[0].tolist()
            row = rows.start + inside
            place = tuple(rest)
            value = block[inside][place]
        count += int(found.sum())
    return row, place, value, count


def sample(x: Any) -> np.ndarray:
    """Return x (N, ...) itself if it is in memory; for Rows a random sample, in row order, of at most 65,536 rows and
    64 MB in float64.

    With probability 1 - p, the distribution function of n sampled rows is within sqrt(ln(2 / p) / (2 n)) of that of all
    rows everywhere (Massart 1990): 1.1 % at n = 65,536 and p = 1e-6.
    """
    if not isinstance(x, Rows):
        return x
    most = min(SAMPLE, x.memory // 16)
    n = min(SAMPLED, max(2, most // (8 * math.prod(x.shape[1:]))))
    if n < len(x):
        random = np.random.default_rng(0)
        numbers = random.choice(len(x), n, replace=False, shuffle=False)
        x = x[np.sort(numbers)]
    return np.asarray(x)
