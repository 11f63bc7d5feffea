"""Archive: read an untrusted .npz file array by array, each one only after its header has been checked."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from nanoae.data.dataset import BadFile
from nanoae.data.regular_file import decoding, open_regular

NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
KIND = ".npz file"
# Most bytes per read: enough for a block, or for the directory of an archive of 10,000 members
MOST_AT_ONCE = 1 << 20
MOST_MEMBERS = 10_000
# Bytes of an archive's last record, without its comment; the count that refers to a ZIP64 record
END, IN_ZIP64 = 22, 0xFFFF
LONGEST_HEADER = 10_000  # bytes of an array's header: NumPy's own limit


@contextmanager
def open_archive(path: str | os.PathLike[str], limit: int, kind: str = KIND) -> Iterator[Archive]:
    """Open the .npz file at `path` for the duration of the block.

    limit   most bytes to unpack in total
    kind    expected content, for messages

    Raise BadFile, which names the file, for a damaged archive and for any error of its decoder.
    """
    import zipfile  # imported here to keep `import nanoae` fast

    path = Path(path)
    with open_regular(path) as file:
        with decoding(path, kind):
            archive = Archive(path, zipfile.ZipFile(LimitedReader(file)), limit)  # type: ignore[arg-type]
        yield archive


class Archive(Mapping[str, np.ndarray]):
    """The arrays by name. Only requested arrays are read, and never more bytes than their headers promise."""

    def __init__(self, path: Path, archive: Any, limit: int):
        self.path = path
        self.archive = archive
        self.limit = limit
        self.left = limit  # bytes that may still be unpacked
        self.members: dict[str, Any] = {}
        found = len(archive.infolist())
        if found > MOST_MEMBERS:
            raise BadFile(path, f"at most {MOST_MEMBERS} arrays", found)
        if counted(archive) not in (found, IN_ZIP64):  # zipfile does not check this
            raise BadFile(path, f"{counted(archive)} arrays, as its directory says", found)
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise BadFile(path, "each name once", f"{name!r} twice")
            self.members[name] = info
            archive.open(
                info
            ).close()  # raises if the directory and the member disagree on its name

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
                f"{info.filename} of {info.file_size} bytes in addition",
                "Allow more with --limit 8GB or limit=8 << 30; or store it as .npy.",
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
        """Return shape and type of an array from its header, after checking them against the size in the archive."""
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
    """Return the number of members stated at the end of the archive."""
    archive.fp.seek(-END - len(archive.comment), os.SEEK_END)
    return int.from_bytes(archive.fp.read(END)[10:12], "little")


def read_header(
    path: Path, stream: IO[bytes], name: str, size: int
) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of a .npy file of `size` bytes. Raise BadFile if the size does not match."""
    start = stream.read(12)
    version = np.lib.format.read_magic(io.BytesIO(start))
    if version not in NPY_HEADERS:
        raise BadFile(path, f"{name} of .npy version 1.0 or 2.0", version)
    width = 2 * version[0]  # bytes of the number that holds the header's length
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


class LimitedReader(io.BufferedReader):
    """A file that returns at most one megabyte per read: zipfile would read a directory of any stated length."""

    def read(self, n: int | None = -1) -> bytes:
        if n is None or not 0 <= n <= MOST_AT_ONCE:
            n = MOST_AT_ONCE + 1
        content = super().read(n)
        if len(content) > MOST_AT_ONCE:
            raise ValueError(f"at most {MOST_AT_ONCE} bytes can be read at once")
        return content
