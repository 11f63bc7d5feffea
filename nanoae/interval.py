"""Interval: a range of numbers in mathematical notation, such as "[0, 1)"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Interval:
    """A range of Python or NumPy numbers: 0.5 in Interval("[0, 1)"). True and False are not numbers.

    words   "in [0, 1)"; for "[0, inf)" it is ">= 0"
    """

    def __init__(self, text: str):
        low, high = map(float, text[1:-1].split(","))
        with_low = text.startswith("[")
        with_high = text.endswith("]")
        self.low = low if with_low else math.nextafter(low, math.inf)
        self.high = high if with_high else math.nextafter(high, -math.inf)
        self.words = f"in {text}"
        if high == math.inf:
            self.words = f">= {low:g}" if with_low else f"> {low:g}"

    def __contains__(self, value: Any) -> bool:
        number = value.item() if isinstance(value, np.generic) else value  # compares exactly
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return False
        return self.low <= number <= self.high
