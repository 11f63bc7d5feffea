"""Parse byte counts written by people, such as "4GB"."""

from __future__ import annotations

import re


def bytes_of(text: str | float) -> int:
    """Return the number of bytes in "4GB", "500 MiB" or "1000". Raise ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b?)", str(text).strip().lower())
    if found is None:
        raise ValueError(f"expected an amount of bytes, such as 4GB, got {text!r}.")
    number, unit, binary = found.groups()
    base = 1024 if binary else 1000
    power = "kmgt".index(unit) + 1 if unit else 0
    return int(float(number) * base**power)
