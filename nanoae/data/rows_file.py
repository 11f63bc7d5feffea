"""Files of rows of numbers that need not fit in memory, and what else gives such rows."""

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

LEAST = 1_000_000  # bytes of memory that make sense


def open_rows(
    source: Any,
    memory: str | int = Rows.memory,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    limit: int = UNPACK_LIMIT,
    **written: Any,
) -> Rows:
    """A table (N, ...) that is larger than the memory, as `Rows`, which all estimators take in the place of an array.

        model = nanoae.Autoencoder(8).fit(open_rows("rows.npy", "500MB"))

    source    a .npy file; a .parquet, .arrow or .feather file, or a folder of them (pyarrow); a text table of numbers,
              as .csv; what has a `shape` and slices, as an array of Zarr or HDF5; a list of blocks (n, ...), an
              iterator over them, or a function that gives one. What cannot be read in any order, of these the columnar
              files, text tables and iterators, is read once, into a temporary file: by each of several ranks
    memory    about what rows may take in all, as "1GB": beside what Python, NumPy and the model take
    columns   of a file that names them: those wanted, in this order; None: all but those to `ignore`
    limit     the most bytes that a file may unpack to
    written   how a text table is written, where the reader is in doubt: `TextFormat`
    """
    if isinstance(source, (str, os.PathLike)):
        rows = read_rows(Path(source), columns, ignore, limit, **written)
    elif hasattr(source, "shape"):
        if isinstance(source, np.ndarray) or library(source):
            source = as_numbers(source, "open_rows")
        if any(map(math.isnan, source.shape)):
            raise ValueError(
                f"open_rows: expected a known shape, got {source.shape}. Of a Dask array: X.compute_chunk_sizes()."
            )
        rows = source if isinstance(source, Rows) else Rows(source)
    elif isinstance(source, (list, tuple)) and len(source):
        rows = Rows(Chain([*read_blocks(source, "open_rows")]))
    elif callable(source) or hasattr(source, "__iter__"):
        blocks = source() if callable(source) else source
        rows = stored(read_blocks(blocks, "open_rows"))
    else:
        raise ValueError(
            "open_rows: expected a file, an array, blocks of rows or a function that gives them, got "
            f"{source!r:.60}."
        )
    rows.memory = bytes_of(memory)
    if rows.memory < LEAST:
        raise ValueError(f'open_rows: expected memory of 1MB or more, as "1GB", got {memory!r}.')
    return rows


def read_rows(
    path: Path,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    limit: int = UNPACK_LIMIT,
    **written: Any,
) -> Rows:
    """`open_rows` of a file."""
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
        kinds = ", ".join((".npy", ".csv", *FORMATS))
        raise BadFile(path, f"a {kinds} file, or a folder of Parquet files", suffix or "another")
    if ignore:
        raise BadFile(path, "a file that names its columns with --ignore", "a .npy file")
    x = mapped(path)
    if x.ndim < 2 or x.dtype.kind not in "buif":
        raise BadFile(path, "rows of numbers (N, ...)", f"{x.dtype} {x.shape}")
    return Rows(x)
