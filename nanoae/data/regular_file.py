"""Regular files of strangers: opened only where they are that, and what is wrong with them told by their names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from nanoae.data.dataset import BadFile

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# a pipe is opened at once, too
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, open for reading. A pipe or a device, which might never end, is refused at once."""
    file = open(path, "rb", opener=lambda name, _: os.open(name, READ))  # noqa: SIM115 - the caller's
    found = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
    if found == stat.S_IFREG:
        return file
    file.close()
    raise BadFile(
        path, "a regular file", KINDS.get(found, "something else"), "Write it to a file first."
    )


def unpacked(file: BinaryIO) -> tuple[Any, bool]:
    """(what is in a file, whether it is packed): gzip is known by its first bytes, whatever the file's name."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file, False
    import gzip  # here, for `import nanoae` would pay for it

    return gzip.GzipFile(fileobj=file), True


@contextmanager
def decoding(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Whatever the decoder in the block raises becomes a BadFile that names the file.

    Every exception, because zipfile, NumPy and Pillow document no closed list of what a damaged file makes them raise.
    """
    try:
        yield
    except BadFile:
        raise
    except Exception as error:
        got = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise BadFile(path, f"a sound {kind}", got) from error


@contextmanager
def opened(path: str | os.PathLike[str], kind: str) -> Iterator[BinaryIO]:
    """The file, open, while it is decoded: `open_regular` and `decoding`. kind: what it should be, in words."""
    with open_regular(path) as file, decoding(path, kind):
        yield file
