"""Open tables of numbers that need not fit in memory, from files and other sources."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.amount import bytes_of
from nanoae.data.columnar import FORMATS, is_columnar, read_columns
from nanoae.data.columns import library
from nanoae.data.dataset import UNPACK_LIMIT, BadFile
from nanoae.data.files import mapped
from nanoae.data.matrix import as_numbers, read_blocks
from nanoae.data.number_table import NumberTable
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import SUFFIXES, open_table, suffix_of
from nanoae.rows import Chain, Rows, stored

LEAST = 1_000_000  # least bytes of memory accepted


def open_rows(
    source: Any,
    memory: str | int = Rows.memory,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    limit: int = UNPACK_LIMIT,
    **written: Any,
) -> Rows:
    """Return a table (N, ...) larger than memory as `Rows`, which all estimators accept in place of an array.

        model = nanoae.Autoencoder(8).fit(open_rows("rows.npy", "500MB"))

    source    a .npy file; a .parquet, .arrow or .feather file, or a folder of them (pyarrow); a text table of numbers,
              such as .csv; an object with `shape` and slicing, such as a Zarr or HDF5 array; a list of blocks (n, ...),
              an iterator over them, or a function that returns one. Columnar files, text tables and iterators have no
              random access: they are read once, into a temporary file (by each rank, if there are several)
    memory    approximate memory for rows, such as "1GB", in addition to that of Python, NumPy and the model
    columns   columns to use, in this order, of a file that names them; None: all but those to `ignore`
    limit     most bytes that a file may unpack to
    written   format of a text table, where the reader cannot detect it: `TextFormat`
    """
    if isinstance(source, (str, os.PathLike)):
        rows = read_rows(Path(source), columns, ignore, limit, **written)
    elif hasattr(source, "shape"):
        if isinstance(source, np.ndarray) or library(source):
            source = as_numbers(source, "open_rows")
        if any(map(math.isnan, source.shape)):
            raise ValueError(
                f"open_rows: expected a known shape, got {source.shape}. For a Dask array: X.compute_chunk_sizes()."
            )
        rows = source if isinstance(source, Rows) else Rows(source)
    elif isinstance(source, (list, tuple)) and len(source):
        rows = Rows(Chain([*read_blocks(source, "open_rows")]))
    elif callable(source) or hasattr(source, "__iter__"):
        blocks = source() if callable(source) else source
        rows = stored(read_blocks(blocks, "open_rows"))
    else:
        raise ValueError(
            "open_rows: expected a file, an array, blocks of rows or a function that returns them, got "
            f"{source!r:.60}."
        )
    rows.memory = bytes_of(memory)
    if rows.memory < LEAST:
        raise ValueError(
            f'open_rows: expected memory of at least 1MB, such as "1GB", got {memory!r}.'
        )
    return rows


def read_rows(
    path: Path,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    limit: int = UNPACK_LIMIT,
    **written: Any,
) -> Rows:
    """Return the rows of a file; see `open_rows`."""
    if is_columnar(path):
        return read_columns(path, None, columns, ignore, limit)[0]
    suffix = suffix_of(path)
    if suffix in SUFFIXES:
        format = TextFormat.of({**written, "ignore": tuple(ignore)}, "open_rows")
        with open_table(path, format, limit) as text:
            table = NumberTable(text, None, columns)
            x = table.read()
        rows = x if isinstance(x, Rows) else Rows(x)
        rows.names = table.names
        return rows
    if suffix != ".npy":
        expected = f"a .npy, .csv, {', '.join(FORMATS)} file, or a folder of Parquet files"
        raise BadFile(path, expected, suffix or "another")
    if ignore:
        raise BadFile(path, "a file that names its columns with --ignore", "a .npy file")
    x = mapped(path)
    if x.ndim < 2 or x.dtype.kind not in "buif":
        raise BadFile(path, "rows of numbers (N, ...)", f"{x.dtype} {x.shape}")
    return Rows(x)
