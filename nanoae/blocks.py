"""Blocks: what is too large to be looked at at once, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.guard import caller, work_for
from nanoae.whole_file import whole_file


def blocks(n: int, length: int) -> list[slice]:
    """0 .. n-1 in slices of this length, the last as long as is left."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The same, one of them made ahead by a thread."""
    from concurrent.futures import ThreadPoolExecutor  # here, for `import nanoae` would pay for it

    end = object()
    with ThreadPoolExecutor(1, "rows", work_for, (caller(),)) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item


def write_npy(path: str | Path, rows: int, parts: Iterator[np.ndarray]) -> tuple[int, ...]:
    """So many rows, which come in parts (n, ...), as a .npy file; the shape of all."""
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
