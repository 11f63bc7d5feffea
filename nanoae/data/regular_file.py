"""Regular files: refuse folders, pipes and devices, and turn decoding errors into messages that name the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from nanoae.data.dataset import BadFile

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# O_NONBLOCK: opening a pipe must not wait for a writer
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading. A pipe or device, which might never end, is refused at once, and so is a folder."""
    descriptor = os.open(path, READ)
    found = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if found == stat.S_IFREG:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise BadFile(path, "a regular file", KINDS.get(found, "something else"), "Name a file.")


def unpacked(file: BinaryIO) -> tuple[Any, bool]:
    """Return (unpacked content of a file, whether it is gzip). The first bytes decide, not the name."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file, False
    import gzip  # imported here to keep `import nanoae` fast

    return gzip.GzipFile(fileobj=file), True


@contextmanager
def decoding(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Turn any exception raised in the block into a BadFile that names the file.

    Every exception is caught, since zipfile, NumPy and Pillow do not document which ones a damaged file can raise.
    """
    try:
        yield
    except BadFile:
        raise
    except Exception as error:
        got = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise BadFile(path, f"a valid {kind}", got) from error


@contextmanager
def opened(path: str | os.PathLike[str], kind: str) -> Iterator[BinaryIO]:
    """Open a file for decoding: `open_regular` and `decoding`. `kind` describes the expected content in words."""
    with open_regular(path) as file, decoding(path, kind):
        yield file
