"""Blocks: what is too large to be looked at at once, a part at a time."""

from __future__ import annotations


def blocks(n: int, length: int) -> list[slice]:
    """0 .. n-1 in slices of this length, the last as long as is left."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]
