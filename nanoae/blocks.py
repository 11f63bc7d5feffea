"""Blocks: process data that is too large to process at once in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.guard import caller, work_for
from nanoae.whole_file import whole_file


def blocks(n: int, length: int) -> list[slice]:
    """Split 0 .. n-1 into slices of the given length; the last one may be shorter."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yield the items, with the next one always being computed in a background thread."""
    from concurrent.futures import ThreadPoolExecutor  # imported here to keep `import nanoae` fast

    end = object()
    with ThreadPoolExecutor(1, "rows", work_for, (caller(),)) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item


def write_npy(path: str | Path, rows: int, parts: Iterator[np.ndarray]) -> tuple[int, ...]:
    """Write `rows` rows, given in parts (n, ...), to a .npy file. Return the shape of the whole array."""
    with whole_file(path) as file:
        shape: tuple[int, ...] = ()
        for part in parts:
            if not shape:
                shape = rows, *part.shape[1:]
                descr = np.lib.format.dtype_to_descr(part.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(part).data)
    return shape
