"""Columnar files: Parquet and Arrow files of numbers, or folders of them, which need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import BadFile, Examples
from nanoae.data.regular_file import decoding
from nanoae.rows import LARGE, Rows, stored
from nanoae.spelling import did_you_mean

FORMATS = {".parquet": "parquet", ".arrow": "ipc", ".feather": "ipc"}
KIND = "Parquet or Arrow file"
AT_ONCE = 1 << 16  # rows per block
# Arrow's types that float32 represents exactly
SINGLE = ("bool", "int8", "uint8", "int16", "uint16", "halffloat", "float")
NUMBERS = (*SINGLE, "int32", "uint32", "int64", "uint64", "double")


def is_columnar(path: Path) -> bool:
    """Return True for a Parquet or Arrow file, or a folder that contains one."""
    if path.is_dir():
        return any(file.suffix.lower() in FORMATS for file in path.iterdir())
    return path.suffix.lower() in FORMATS


def read_columnar(
    path: Path, label: str | None, columns: Sequence[str] | None, ignore: Sequence[str], limit: int
) -> Examples:
    """Read columns of numbers, one example per row. The arguments are those of `load_data`."""
    x, y = read_columns(path, label, columns, ignore, limit)
    table: Any = x if x.nbytes >= LARGE else np.asarray(x)
    return Examples(table, y, columns=x.names)


def read_columns(
    path: Path, label: str | None, columns: Sequence[str] | None, ignore: Sequence[str], limit: int
) -> tuple[Rows, np.ndarray | None]:
    """Return x (N, D) and y (N,) or None. x is a temporary file with random access, with the columns' names and NaN for
    null; float32 if it holds all the columns' types exactly, else float64.

    label     column to use as y
    columns   columns to use as x, in this order; None: all but the label, those to `ignore`, and an index written by
              pandas
    limit     most bytes of x

    Raise BadFile for a column that is missing or not numeric.
    """
    with decoding(path, KIND):
        source = opened(path)
        import pyarrow  # which is there by now

        types = {field.name: str(field.type) for field in source.schema}
        if columns is None:
            index = (source.schema.pandas_metadata or {}).get("index_columns", [])
            left_out = [label, *ignore, *index]
            columns = [name for name in types if name not in left_out]
        names = [*columns]
        labels = [] if label is None else [label]
        for name in names + labels:
            if name not in types:
                hint = did_you_mean(name, types)
                raise BadFile(path, f"a column {name!r}", f"{list(types)[:20]}", hint)
            if name != label and types[name] not in NUMBERS:
                hint = "Leave it out with ignore=, --ignore, or name it as the label."
                raise BadFile(path, f"numbers in column {name!r}", types[name], hint)
        if not names:
            raise BadFile(path, "columns to learn from", "none")
        single = all(types[name] in SINGLE for name in names)
        dtype = np.dtype(np.float32 if single else np.float64)
        size = source.count_rows() * len(names) * dtype.itemsize
        if size > limit:
            hint = "Allow more with --limit 8GB."
            raise BadFile(path, f"at most {limit} bytes when unpacked", size, hint)
        y: list[np.ndarray] = []
        x = stored(blocks(source, names, labels, dtype, y))
        # 400 MB after row groups of a million rows of 20
        pyarrow.default_memory_pool().release_unused()
    x.names = tuple(names)
    return x, np.concatenate(y) if y else None


def opened(path: Path) -> Any:
    """Open the file, or all files of a folder in alphabetical order, as a pyarrow Dataset."""
    try:
        import pyarrow.dataset
    except ImportError:
        raise ImportError(
            f'{path}: Parquet and Arrow files need pyarrow: pip install "nanoae[arrow]"'
        ) from None
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS)
    kinds = {FORMATS[file.suffix.lower()] for file in files}
    if len(kinds) > 1:
        raise BadFile(path, "files of one format", "both Parquet and Arrow")
    paths = [str(file) for file in files]
    kind = kinds.pop()
    parts = pyarrow.dataset.dataset(paths, format=kind).get_fragments()
    schemas = [part.physical_schema for part in parts]
    names = schemas[0].names
    for file, schema in zip(files, schemas, strict=True):
        if sorted(schema.names) != sorted(names):
            raise BadFile(file, f"the columns of {files[0].name}, {names}", schema.names)
    schema = pyarrow.unify_schemas(schemas, promote_options="permissive")
    return pyarrow.dataset.dataset(paths, schema, kind)


def blocks(
    source: Any, names: list[str], labels: list[str], dtype: np.dtype, y: list[np.ndarray]
) -> Iterator[Any]:
    """Yield the rows (n, D) of these columns in blocks, and append their labels to y."""
    few = {"batch_size": AT_ONCE, "batch_readahead": 1, "fragment_readahead": 1}
    for batch in source.to_batches(columns=names + labels, use_threads=False, **few):
        x = np.empty((len(batch), len(names)), dtype)
        for j, name in enumerate(names):
            x[:, j] = batch.column(name).to_numpy(zero_copy_only=False)
        y += [batch.column(name).to_numpy(zero_copy_only=False) for name in labels]
        yield x
