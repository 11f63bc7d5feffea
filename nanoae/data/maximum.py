"""The maximum: the stored value that stands for 1.0, so that images of any type become numbers in [0, 1]."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.interval import Interval
from nanoae.rows import by_blocks

# The whitest pixels of 8, 10, 12, 14 and 16 bits, and of the digits of `load_data`
WHITE = (255, 1023, 4095, 16383, 65535)
DIGITS_WHITE = 16
PIXELS = {"uint8", "uint16"}  # types of which one can tell that they hold images
COUNTS = 10  # what whole numbers reach that are no shares
LOOK = 1024  # rows by which it is told on which scale all are


def find_maximum(*parts: np.ndarray) -> int | None:
    """Of images (N, H, W) or (N, H, W, C), all of one type: 255 for uint8, but 1 where none of them is above 1 (black
    and white); 1 for bool, and for floats in [0, 1]. None for other numbers, and for tables (N, D): these are taken as
    they are, for their type does not tell what they count."""
    if parts[0].ndim < 3:
        return None
    kinds = {part.dtype.kind for part in parts}
    if kinds == {"b"}:
        return 1
    if all(part.dtype == np.uint8 for part in parts):
        return 1 if within_one(*parts) else 255
    return 1 if kinds == {"f"} and within_one(*parts) else None


def within_one(*parts: np.ndarray) -> bool:
    """Whether all numbers are in [0, 1]; it looks no further than the first block that has another."""
    for part in parts:
        for block in by_blocks(part):
            if not (block.min() >= 0 and block.max() <= 1):
                return False
    return True


def in_one_unit(
    name: str, x_train: np.ndarray, x_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """The two parts of a set in one unit, and their maximum.

    Whole numbers from 0 to 255 beside uint8 images are taken for bytes, too. Where each part has a maximum of its own,
    as uint8 images beside floats in [0, 1], both become float32 in [0, 1]. A ValueError tells of parts that cannot be
    of one unit: a model would learn the one, and be judged by the other.
    """
    if x_train.ndim > 2 and np.uint8 in (x_train.dtype, x_test.dtype):
        x_train = as_bytes(x_train)
        x_test = as_bytes(x_test)
    alike = (
        x_train.dtype == x_test.dtype
        or x_train.dtype.kind == x_test.dtype.kind == "f"
        or not x_test.size
    )
    if alike:
        of_train = of_test = find_maximum(x_train, x_test)
    else:
        of_train = find_maximum(x_train)
        of_test = find_maximum(x_test)
    if of_train == of_test and not clash(x_train, x_test):
        return x_train, x_test, of_train
    if alike or of_train is None or of_test is None:
        raise ValueError(
            f"{name}: expected x_train and x_test in one unit, got {range_of(x_train)}, and {range_of(x_test)}. "
            "Store both in one type and range."
        )
    return (
        np.divide(x_train, of_train, dtype=np.float32),
        np.divide(x_test, of_test, dtype=np.float32),
        1,
    )


def as_bytes(x: np.ndarray) -> np.ndarray:
    """x as uint8 where it holds whole numbers that fit, floats only if some are above 1, else as it is."""
    if x.dtype.kind not in "iuf" or not x.size:
        return x
    if x.min() < 0 or x.max() > 255:
        return x
    counts = x.dtype.kind != "f" or (x.max() > 1 and whole(x))
    return x.astype(np.uint8, copy=False) if counts else x


def clash(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether one part is in [0, 1], and the other has only whole numbers, some above 1: pixels that only one of them
    has had divided by 255. What is 0 or 1 says so only in images of bytes: in others it may be a small count."""
    small, other = (x, y) if within_one(x) else (y, x)
    if not within_one(small) or within_one(other) or not small.any():
        return False
    bytes_alone = x.dtype == y.dtype == np.uint8 and x.ndim > 2
    return whole(other) and other.min() >= 0 and (bytes_alone or not whole(small))


def whole(x: np.ndarray) -> bool:
    if x.dtype.kind != "f":
        return True
    return all(bool((block == np.floor(block)).all()) for block in by_blocks(x))


def range_of(x: np.ndarray) -> str:
    """uint8 from 0 to 255"""
    if not x.size:
        return f"{x.dtype}, none"
    low = float(x.min())
    high = float(x.max())
    return f"{x.dtype} from {low:g} to {high:g}"


def way_to(low: float, high: float, most: float) -> str:
    """How images whose largest pixel is `most` come to lie between these ends; "" where nobody knows."""
    white = next((white for white in WHITE if most <= white), None)
    if most == DIGITS_WHITE:
        white = DIGITS_WHITE
    if white and (low, high) == (0, 1):
        return f" (images: X / {white})"
    if white and (low, high) == (-1, 1):
        return f" (images: X / {white / 2:g} - 1)"
    return ""


def scale_of(x: np.ndarray, table: bool = False) -> list[Any]:
    """[the least of the numbers x (N, ...), the largest, what they are: "uint8" or "uint16" pixels, if it is no table
    with names of columns, "counts" where all are whole, or ""]; NaN is ignored."""
    ends = [
        (np.fmin.reduce(block, axis=None), np.fmax.reduce(block, axis=None))
        for block in by_blocks(x)
    ]
    lows, highs = zip(*ends, strict=True)
    kind = "counts" if whole(x) else ""
    if not table and x.dtype.name in PIXELS:
        kind = x.dtype.name
    return [float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs)), kind]


def check_scale(
    who: str,
    learned: Sequence[Any],
    x: np.ndarray,
    table: bool = False,
    most: float = math.nan,
) -> None:
    """Tells of rows x (N, ...) on another scale than those of fit, of which this was the `scale_of`: of pixels beside
    such as were divided by 255. ValueError where the type says that they are pixels, else a warning.

    most   the largest number in x, where it is known
    """
    low, high, kind = learned
    shares = low >= -1 and high <= 1
    if not shares and not (kind and low >= 0 and high >= COUNTS):
        return
    if shares and most < COUNTS:
        return
    x = np.asarray(x[:LOOK])
    most = np.fmax.reduce(x, axis=None)
    if shares and not most >= COUNTS:
        return
    types = {kind, "" if table else x.dtype.name}
    if shares:
        odd = x.min() >= 0 and whole(x)
    elif types == PIXELS:
        odd = max(most, high) > WHITE[0]
    else:
        odd = most <= 1 and x.min() >= -1 and not whole(x)
    if not odd:
        return
    seen = f"{kind or 'numbers'} from {low:g} to {high:g}"
    hint = way_to(-1 if low < 0 else 0, 1, most) if shares else ""
    expected = f"rows on the scale that fit saw, {seen}"
    message = f"{who}: expected {expected}, got {range_of(x)}. Bring them to one scale{hint}."
    if types & PIXELS:
        raise ValueError(message)
    warnings.warn(message, stacklevel=5)


def check_maximum(name: str, maximum: float, *parts: np.ndarray) -> None:
    """ValueError where a user's maximum is no number above 0, or a value is not between 0 and it."""
    if maximum not in Interval("(0, inf)"):
        raise ValueError(
            f"{name}: expected maximum, the value that stands for 1, to be a number > 0, got {maximum!r}."
        )
    for x in parts:
        if x.size and (x.min() < 0 or x.max() > maximum):
            raise ValueError(
                f"{name}: expected values from 0 to maximum={maximum:g}, got {range_of(x)}."
            )
