"""Columns: align lines of cells for printing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def columns(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each line as text, with every cell padded to the width of its column."""
    widths = []
    for column in zip(*lines, strict=True):
        widths.append(max(map(len, column)))
    for line in lines:
        cells = map(str.ljust, line, widths)
        yield "  ".join(cells).rstrip()
