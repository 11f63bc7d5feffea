"""Columns: lines of cells, one below the other, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def columns(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each line as text, its cells as wide as the widest of their column."""
    widths = []
    for column in zip(*lines, strict=True):
        widths.append(max(map(len, column)))
    for line in lines:
        cells = map(str.ljust, line, widths)
        yield "  ".join(cells).rstrip()
