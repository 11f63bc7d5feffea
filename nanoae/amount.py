"""Amounts of bytes as people write them."""

from __future__ import annotations

import re


def bytes_of(text: str | float) -> int:
    """The bytes in "4GB", "500 MiB" or "1000"; ValueError for what is no amount."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b?)", str(text).strip().lower())
    if found is None:
        raise ValueError(f"expected an amount of bytes, as 4GB, got {text!r}.")
    number, unit, binary = found.groups()
    base = 1024 if binary else 1000
    power = "kmgt".index(unit) + 1 if unit else 0
    return int(float(number) * base**power)
