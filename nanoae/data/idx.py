"""IDX, the file format of MNIST (http://yann.lecun.com/exdb/mnist):

byte 0, 1    zero
byte 2       the type of the numbers: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64
byte 3       the number of axes
then         the length of each axis, a big-endian uint32
then         the numbers, big-endian, the last axis fastest
"""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Examples
from nanoae.data.regular_file import opened, unpacked

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DEFLATE_RATIO = 1032  # deflate's best: 258 bytes from two bits


def read_idx(
    path: str | os.PathLike[str], sha256: str | None = None, limit: int = UNPACK_LIMIT
) -> np.ndarray:
    """The array in an IDX file, gzipped or not (its first bytes tell, not its name), in native byte order.

    sha256    the hash that the uncompressed content must have, or None
    limit     the most bytes of numbers to accept; no more is ever unpacked than the header promises, and one byte

    Raises BadFile (a ValueError) for another format, a file cut short, trailing bytes, damaged gzip, a size that lies,
    or another hash; OSError where the file cannot be read.
    """
    with opened(path, "IDX file") as file:
        stream, packed = unpacked(file)
        room = os.fstat(file.fileno()).st_size * (DEFLATE_RATIO if packed else 1)
        magic = stream.read(4)
        if not is_magic(magic):
            got = f"first bytes {magic.hex(' ') or 'none'}"
            raise BadFile(path, "an IDX file (00 00, type, axes)", got)
        lengths = stream.read(4 * magic[3])
        if len(lengths) < 4 * magic[3]:
            raise BadFile(path, f"the lengths of {magic[3]} axes", "the end of the file")
        shape = struct.unpack(f">{magic[3]}I", lengths)
        dtype = np.dtype(TYPES[magic[2]])
        promised = math.prod(shape) * dtype.itemsize
        if not 0 < promised <= limit:
            got = f"shape {shape}, which is {promised}"
            raise BadFile(path, f"1 to {limit} bytes of numbers", got)
        # A size that cannot be true is refused before it is allocated.
        content = stream.read(promised + 1) if promised <= room else b""
    if len(content) != promised:
        got = "more" if len(content) > promised else "fewer: it is cut short"
        expected = f"{promised} bytes of numbers, shape {shape}"
        raise BadFile(path, expected, got, "Fetch the file again.")
    if sha256 is not None:
        import hashlib

        found = hashlib.sha256(magic + lengths + content).hexdigest()
        if found != sha256:
            hint = "It is damaged, or belongs to another data set: move it away, or choose another folder."
            raise BadFile(path, f"content of SHA-256 {sha256}", found, hint)
    numbers = np.frombuffer(content, dtype).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="))


def read_idx_images(path: Path, limit: int = UNPACK_LIMIT) -> Examples:
    """An IDX file of images of one's own, (N, ...), and where its name has "images" in it, the labels (N,) of the file
    beside it that has "labels" there."""
    x = read_idx(path, limit=limit)
    y = None
    name = re.sub("images(.?)idx[0-9]", r"labels\1idx1", path.name, flags=re.IGNORECASE)
    labels = find_idx(path.parent, re.sub(r"\.gz$", "", name, flags=re.IGNORECASE))
    if name != path.name and labels is not None:
        y = read_idx(labels, limit=limit)
        if y.shape != x.shape[:1]:
            expected = f"{len(x)} labels, one for each example of {path.name}"
            raise BadFile(labels, expected, f"shape {y.shape}")
    return Examples(x, y)


def is_idx(path: Path) -> bool:
    """Whether it is a file that begins as IDX files do, gzipped or not."""
    try:
        with opened(path, "IDX file") as file:
            return is_magic(unpacked(file)[0].read(4))
    except (OSError, BadFile):
        return False


def is_magic(start: bytes) -> bool:
    """Whether a file that starts so is of IDX."""
    if len(start) < 4 or start[:2] != b"\0\0":
        return False
    return start[2] in TYPES and 1 <= start[3] <= 32


def find_idx(folder: Path, name: str, suffixes: tuple[str, ...] = ("", ".gz")) -> Path | None:
    """The file of this name in the folder, in whatever case of letters, and where the name has "-idx" also with ".idx",
    the other usual spelling; with the first of the suffixes that there is."""
    try:
        found = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
    except OSError:
        return None
    for end in suffixes:
        for mark in "-.":
            spelt = re.sub("[-.]idx", f"{mark}idx", name.lower()) + end
            if spelt in found:
                return found[spelt]
    return None
