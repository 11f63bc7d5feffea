"""`nanoae detect` on files of numbers alone that need not fit in memory: Parquet, Arrow, .npy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nanoae.data.columnar import is_columnar, read_columns
from nanoae.data.dataset import BadFile
from nanoae.data.files import mapped
from nanoae.rows import Rows


def are_rows(*paths: Path | None) -> bool:
    """Whether the files are such ones; BadFile where some are and others are text tables."""
    given = [path for path in paths if path is not None]
    found = [path for path in given if path.suffix.lower() == ".npy" or is_columnar(path)]
    if found and len(found) < len(given):
        other = next(path for path in given if path not in found)
        raise BadFile(
            other,
            f"a Parquet, Arrow or .npy file as {found[0].name} is",
            "another",
            "Store both alike.",
        )
    return bool(found)


def read_rows(path: Path, columns: Sequence[str] | None, ignore: Sequence[str], limit: int) -> Rows:
    """The rows of numbers in such a file, of a Parquet or Arrow file those `columns`, or all but what to `ignore`."""
    if is_columnar(path):
        return read_columns(path, None, columns, ignore, limit)[0]
    if ignore:
        raise BadFile(path, "a file that names its columns with --ignore", "a .npy file")
    x = mapped(path)
    if x.ndim != 2 or x.dtype.kind not in "buif":
        raise BadFile(path, "rows of numbers (N, D)", f"{x.dtype} {x.shape}")
    return Rows(x)
