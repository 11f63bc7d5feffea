"""Readers of users' own files: .npy, .npz and .csv. Hostile files get one clear error."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Dataset

if TYPE_CHECKING:
    import zipfile

NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextmanager
def opened(path: Path, kind: str) -> Iterator[BinaryIO]:
    """The file, open; whatever its decoder raises becomes a BadFile that names it.

    Every exception, because zipfile, NumPy and Pillow document no closed list of what a damaged file makes them raise.
    """
    with open(path, "rb") as file:
        try:
            yield file
        except BadFile:
            raise
        except Exception as error:
            raise BadFile(path, f"a sound {kind}", str(error).rstrip(".") or type(error).__name__) from error


def read_npy(path: Path, random_state: int | None = 0, maximum: float | None = None) -> Dataset:
    """A .npy file of shape (N, ...), memory-mapped; only random_state=None leaves it on disk (see `Dataset.split`)."""
    with opened(path, ".npy file") as file:
        x = np.lib.format.open_memmap(path, mode="r")
        size = os.fstat(file.fileno()).st_size
        if x.offset + x.nbytes != size:
            raise BadFile(path, f"{x.offset + x.nbytes} bytes for shape {x.shape}", size)
    return Dataset.split(path.name, x, None, random_state, maximum=maximum)


def read_npz(path: Path, random_state: int | None = 0, maximum: float | None = None) -> Dataset:
    """A .npz file with x_train and x_test (and y_train, y_test), or with X or x (and y) and no split. Never pickles."""
    arrays = read_arrays(path, ("x_train", "y_train", "x_test", "y_test", "X", "x", "y"))
    if {"x_train", "x_test"} <= arrays.keys():
        x_train, x_test = arrays["x_train"], arrays["x_test"]
        return Dataset.of_parts(path.name, x_train, arrays.get("y_train"), x_test, arrays.get("y_test"), maximum)
    key = "X" if "X" in arrays else "x"
    if key not in arrays:
        import zipfile

        with zipfile.ZipFile(path) as archive:
            raise BadFile(path, "x_train and x_test, or X, and perhaps labels", f"the members {archive.namelist()}")
    return Dataset.split(path.name, arrays[key], arrays.get("y"), random_state, maximum=maximum)


def read_arrays(path: str | os.PathLike[str], keys: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, by name; only those of `keys`, if given. A pickle or a bomb is refused unopened."""
    import zipfile  # here, for `import nanoae` would pay for it

    path = Path(path)
    with opened(path, ".npz file") as file, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = {key: info for key, info in members.items() if keys is None or key in keys}
        size = sum(info.file_size for info in wanted.values())
        if size > UNPACK_LIMIT:
            raise BadFile(path, f"at most {UNPACK_LIMIT} bytes when unpacked", size, "Store the array as .npy.")
        return {key: read_member(path, archive, info) for key, info in wanted.items()}


def read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of a .npz file, allocated only once its header agrees with the size that the archive declares."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in NPY_HEADERS:
            raise BadFile(path, f"{info.filename} of .npy version 1.0 or 2.0", version)
        shape, _, dtype = NPY_HEADERS[version](stream)
        promised = stream.tell() + math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise BadFile(path, f"{info.filename} of numbers", "pickled objects", "Pickles can run code.")
        if promised != info.file_size:
            raise BadFile(path, f"{info.filename} of {promised} bytes for {dtype} {shape}", info.file_size)
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def read_lines(path: str | os.PathLike[str]) -> tuple[list[str], list[str] | None]:
    """(lines, keywords or None) of a text file in UTF-8: a line each, or keyword<TAB>line in all of them.

    Empty lines are skipped. Line ends may be those of any system.
    """
    path, lines, keywords = Path(path), list[str](), list[str]()
    with opened(path, "text file in UTF-8") as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
        for number, line in enumerate(text, 1):
            if "\0" in line:
                raise BadFile(path, f"text in line {number}", "NUL characters", "Save it as UTF-8.")
            if not line.strip():
                continue
            keyword, tab, rest = line.partition("\t")
            if (lines and bool(tab) != bool(keywords)) or (tab and not (keyword.strip() and rest.strip())):
                wanted = "a keyword, a tab and a line" if tab or keywords else "no tab, as in the lines before,"
                raise BadFile(path, f"{wanted} in line {number}", repr(line.rstrip("\n")[:60]))
            lines.append(rest if tab else line)
            keywords += [keyword] if tab else []
    if not lines:
        raise BadFile(path, "lines of text", "none")
    return lines, keywords or None
