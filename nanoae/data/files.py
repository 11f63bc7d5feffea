"""Readers of users' own files: .npy, .npz and lines of text. Damaged or malicious files raise one clear error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nanoae.data.archive import open_archive, read_header
from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Examples
from nanoae.data.regular_file import opened
from nanoae.data.text_file import open_text


def read_npy(path: Path, limit: int) -> Examples:
    """Read a .npy file of shape (N, ...), memory-mapped. A large one stays on disk and is shuffled by row numbers (see
    `Dataset.split`); a smaller one stays there only with random_state=None."""
    return Examples(mapped(path))


def mapped(path: Path) -> np.ndarray:
    """Return the array in a .npy file, memory-mapped. Raise BadFile unless its header and length are valid."""
    with opened(path, ".npy file") as file:
        read_header(path, file, path.name, os.fstat(file.fileno()).st_size)
        return np.lib.format.open_memmap(path, mode="r")


def read_npz(path: Path, limit: int = UNPACK_LIMIT) -> Examples:
    """Read a .npz file with x_train and x_test (y_train, y_test), or with X or x (and y) and no split. No unpickling.

    limit   most bytes to unpack in total
    """
    with open_archive(path, limit) as archive:
        names = ["X" if "X" in archive else "x", "y"]
        if {"x_train", "x_test"} <= archive.keys():
            names = ["x_train", "y_train", "x_test", "y_test"]
        if names[0] not in archive:
            expected = "x_train and x_test, or X, and perhaps labels"
            raise BadFile(path, expected, f"the members {list(archive)[:20]}")
        return Examples(*map(archive.get, names))  # type: ignore[arg-type]


def read_lines(path: str | os.PathLike[str]) -> tuple[list[str], list[str] | None]:
    """Return (lines, keywords or None) of a UTF-8 text file with one line each, or keyword<TAB>line in every line.

    Empty lines are skipped. Line endings of all systems are accepted.
    """
    path = Path(path)
    lines = list[str]()
    keywords = list[str]()
    with open_text(path, "text file", remedy="Save it as UTF-8.") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            keyword, tab, rest = line.partition("\t")
            unlike = lines and bool(tab) != bool(keywords)
            half = tab and not (keyword.strip() and rest.strip())
            if unlike or half:
                wanted = (
                    "a keyword, a tab and a line"
                    if tab or keywords
                    else "no tab, as in the lines before,"
                )
                raise BadFile(path, f"{wanted} in line {number}", repr(line.rstrip("\r\n")[:60]))
            lines.append(rest if tab else line)
            keywords += [keyword] if tab else []
    if not lines:
        raise BadFile(path, "lines of text", "none")
    return lines, keywords or None
