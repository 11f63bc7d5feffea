"""The maximum: the stored value that stands for 1.0, which brings images of any type to [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.interval import Interval
from nanoae.rows import by_blocks
from nanoae.warning import warn

# White in images of 8, 10, 12, 14 and 16 bits, and in the digits of `load_data`
WHITE = (255, 1023, 4095, 16383, 65535)
DIGITS_WHITE = 16
PIXELS = {"uint8", "uint16"}  # types taken to hold images
COUNTS = 10  # least maximum of whole numbers that cannot be on a scale of 0 to 1
LOOK = 1024  # rows checked for their scale


def find_maximum(*parts: np.ndarray) -> int | None:
    """Return the maximum of images (N, H, W) or (N, H, W, C) of one type, or None for other data.

    It is 255 for uint8, but 1 if no pixel exceeds 1 (black and white); 1 for bool, and for floats in [0, 1]. Other
    images and tables (N, D) have none and are used unscaled, since their type does not tell what they count.
    """
    if parts[0].ndim < 3:
        return None
    kinds = {part.dtype.kind for part in parts}
    if kinds == {"b"}:
        return 1
    if all(part.dtype == np.uint8 for part in parts):
        return 1 if within_one(*parts) else 255
    return 1 if kinds == {"f"} and within_one(*parts) else None


def within_one(*parts: np.ndarray) -> bool:
    """Return True if all numbers lie in [0, 1]. Reading stops at the first block with another number."""
    for part in parts:
        for block in by_blocks(part):
            if not (block.min() >= 0 and block.max() <= 1):
                return False
    return True


def to_one_unit(
    name: str, x_train: np.ndarray, x_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Bring the two parts of a data set to one unit. Return both and their maximum.

    Whole numbers from 0 to 255 next to uint8 images are taken as bytes. If the parts have different maxima, such as
    uint8 images and floats in [0, 1], both become float32 in [0, 1]. Raise ValueError if the parts cannot be in one
    unit: a model would train on one and be evaluated on the other.
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
    if of_train == of_test and not differ_in_scale(x_train, x_test):
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
    """Return x as uint8 if it holds whole numbers from 0 to 255 (floats only if some exceed 1), else x itself."""
    if x.dtype.kind not in "iuf" or not x.size:
        return x
    if x.min() < 0 or x.max() > 255:
        return x
    counts = x.dtype.kind != "f" or (x.max() > 1 and whole(x))
    return x.astype(np.uint8, copy=False) if counts else x


def differ_in_scale(x: np.ndarray, y: np.ndarray) -> bool:
    """Return True if one part lies in [0, 1] and the other holds whole numbers above 1: only one was divided by 255.

    A part of only 0 and 1 counts as divided only if both are uint8 images: elsewhere these may be small counts.
    """
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
    """Return "uint8 from 0 to 255", for messages."""
    if not x.size:
        return f"{x.dtype}, none"
    return f"{x.dtype} from {float(x.min()):g} to {float(x.max()):g}"


def scale_hint(low: float, high: float, least: float, most: float) -> str:
    """Return how to scale pixels from `least` to `most` to the range from low to high, or "" if unknown."""
    if least < 0:
        return ""
    white = next((white for white in WHITE if most <= white), None)
    if most == DIGITS_WHITE:
        white = DIGITS_WHITE
    if white and (low, high) == (0, 1):
        return f" (images: X / {white})"
    if white and (low, high) == (-1, 1):
        return f" (images: X / {white / 2:g} - 1)"
    return ""


def scale_of(x: np.ndarray, table: bool = False) -> list[Any]:
    """Return [minimum, maximum, kind] of x (N, ...); NaN is ignored.

    The kind is "uint8" or "uint16" for pixels (not for a table with column names), "counts" for whole numbers, else "".
    """
    ends = [
        (np.fmin.reduce(block, axis=None), np.fmax.reduce(block, axis=None))
        for block in by_blocks(x)
    ]
    lows, highs = zip(*ends, strict=True)
    kind = "counts" if whole(x) else ""
    if not table and x.dtype.name in PIXELS:
        kind = x.dtype.name
    return [float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs)), kind]


def check_scale(who: str, learned: Sequence[Any], x: np.ndarray, table: bool, most: float) -> None:
    """Check that rows x (N, ...) are on the scale of the training data, whose `scale_of` is `learned`.

    It detects pixels of which only one side was divided by 255. Raise ValueError if their type marks them as pixels,
    else warn.

    most   maximum of x, if already known
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
    hint = scale_hint(-1 if low < 0 else 0, 1, 0, most) if shares else ""
    expected = f"rows on the scale of the training data, {seen}"
    message = f"{who}: expected {expected}, got {range_of(x)}. Scale both in the same way{hint}."
    if types & PIXELS:
        raise ValueError(message)
    warn(message)


def check_maximum(name: str, maximum: float, *parts: np.ndarray) -> None:
    """Raise ValueError if a user's maximum is not a positive number, or a value lies outside 0 to maximum."""
    if maximum not in Interval("(0, inf)"):
        raise ValueError(
            f"{name}: expected maximum, the value that stands for 1, to be a number > 0, got {maximum!r}."
        )
    for x in parts:
        if x.size and (x.min() < 0 or x.max() > maximum):
            raise ValueError(
                f"{name}: expected values from 0 to maximum={maximum:g}, got {range_of(x)}."
            )
