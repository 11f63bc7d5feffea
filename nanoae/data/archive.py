"""Archive: a .npz file of a stranger, read member by member, each one once its header is known to be true."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, BadFile
from nanoae.data.regular_file import decoding, open_regular

NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
KIND = ".npz file"
# The most bytes that zipfile may ask for: the directory of an archive of 10,000 members, or a block
MOST_AT_ONCE = 1 << 20
MOST_MEMBERS = 10_000
# Bytes of an archive's last record, before a comment; a count that stands in another record
END, IN_ZIP64 = 22, 0xFFFF
LONGEST_HEADER = 10_000  # bytes of a member's header, NumPy's own limit


@contextmanager
def open_archive(
    path: str | os.PathLike[str], limit: int = UNPACK_LIMIT, kind: str = KIND
) -> Iterator[Archive]:
    """The arrays of the .npz file at `path`, for as long as the block lasts.

    limit   the most bytes to unpack in all
    kind    what it should be, in words

    BadFile, which names it, for what is no sound archive, and for whatever its decoder raises.
    """
    import zipfile  # here, for `import nanoae` would pay for it

    path = Path(path)
    with open_regular(path) as file:
        with decoding(path, kind):
            archive = Archive(path, zipfile.ZipFile(Sips(file)), limit)  # type: ignore[arg-type]
        yield archive


class Archive(Mapping[str, np.ndarray]):
    """The arrays by name. Only what is asked for is read, and only so much of it as its header promises."""

    def __init__(self, path: Path, archive: Any, limit: int):
        self.path = path
        self.archive = archive
        self.limit = limit
        self.left = limit  # bytes that may yet be unpacked
        self.members: dict[str, Any] = {}
        found = len(archive.infolist())
        if found > MOST_MEMBERS:
            raise BadFile(path, f"at most {MOST_MEMBERS} arrays", found)
        if counted(archive) not in (found, IN_ZIP64):  # zipfile does not look
            raise BadFile(path, f"{counted(archive)} arrays, as its directory says", found)
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise BadFile(path, "each name once", f"{name!r} twice")
            self.members[name] = info
            archive.open(
                info
            ).close()  # raises where the directory calls it by another name than its own

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def __getitem__(self, name: str) -> np.ndarray:
        info = self.members[name]
        shape, dtype = self.header(name)
        if info.file_size > self.left:
            raise BadFile(
                self.path,
                f"at most {self.limit} bytes when unpacked",
                f"{info.filename} of {info.file_size} with them",
                "Allow more with --limit 8GB, limit=8 << 30; or store it as .npy.",
            )
        self.left -= info.file_size
        with decoding(self.path, KIND), self.archive.open(info) as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
        if array.shape != shape or array.dtype != dtype:
            raise BadFile(
                self.path, f"{info.filename} of {dtype} {shape}", f"{array.dtype} {array.shape}"
            )
        return array

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, as its own header says, once that agrees with the size that the archive says."""
        info = self.members[name]
        if info.compress_type not in (0, 8):
            raise BadFile(
                self.path,
                f"{info.filename} stored or deflated",
                f"compression {info.compress_type}",
            )
        with decoding(self.path, KIND), self.archive.open(info) as stream:
            return read_header(self.path, stream, info.filename, info.file_size)


def counted(archive: Any) -> int:
    """How many members the end of the archive says that there are."""
    archive.fp.seek(-END - len(archive.comment), os.SEEK_END)
    return int.from_bytes(archive.fp.read(END)[10:12], "little")


def read_header(
    path: Path,
    stream: IO[bytes],
    name: str,
    size: int,
) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of what a .npy file holds, which has `size` bytes; BadFile where it cannot hold that."""
    start = stream.read(12)
    version = np.lib.format.read_magic(io.BytesIO(start))
    if version not in NPY_HEADERS:
        raise BadFile(path, f"{name} of .npy version 1.0 or 2.0", version)
    width = 2 * version[0]  # of the number that says how long the header is
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > LONGEST_HEADER:
        raise BadFile(path, f"a header of {LONGEST_HEADER} bytes in {name}", length)
    rest = start[8:] + stream.read(length + width - 4)
    shape, _, dtype = NPY_HEADERS[version](io.BytesIO(rest))
    if dtype.hasobject:
        raise BadFile(path, f"{name} of numbers", "pickled objects", "Pickles can run code.")
    promised = 8 + width + length + math.prod(shape) * dtype.itemsize
    if promised != size or min(shape, default=0) < 0:
        raise BadFile(path, f"{name} of {promised} bytes for {dtype} {shape}", size)
    return shape, dtype


class Sips(io.BufferedReader):
    """A file that gives a megabyte at most at once: zipfile would read a directory of any length that it is told."""

    def read(self, n: int | None = -1) -> bytes:
        if n is None or not 0 <= n <= MOST_AT_ONCE:
            n = MOST_AT_ONCE + 1
        content = super().read(n)
        if len(content) > MOST_AT_ONCE:
            raise ValueError(f"at most {MOST_AT_ONCE} bytes are read at once")
        return content
