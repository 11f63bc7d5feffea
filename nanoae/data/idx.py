"""IDX, the file format of MNIST (http://yann.lecun.com/exdb/mnist):

byte 0, 1    zero
byte 2       number type: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64
byte 3       number of axes
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
DEFLATE_RATIO = 1032  # deflate's highest compression ratio: 258 bytes in two bits


def read_idx(
    path: str | os.PathLike[str], sha256: str | None = None, limit: int = UNPACK_LIMIT
) -> np.ndarray:
    """Return the array in an IDX file, in native byte order. The first bytes, not the name, tell whether it is gzipped.

    sha256    hash that the unpacked content must have, or None
    limit     most bytes of numbers to accept; at most one byte more than the header promises is unpacked

    Raise BadFile (a ValueError) for another format, a truncated file, trailing bytes, damaged gzip, a wrong size, or
    another hash; OSError if the file cannot be read.
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
        # An impossible size is refused before memory is allocated.
        content = stream.read(promised + 1) if promised <= room else b""
    if len(content) != promised:
        got = "more" if len(content) > promised else "fewer: the file is truncated"
        expected = f"{promised} bytes of numbers, shape {shape}"
        raise BadFile(path, expected, got, "Fetch the file again.")
    if sha256 is not None:
        import hashlib

        found = hashlib.sha256(magic + lengths + content).hexdigest()
        if found != sha256:
            hint = "It is damaged or belongs to another data set: move it away, or choose another folder."
            raise BadFile(path, f"content of SHA-256 {sha256}", found, hint)
    numbers = np.frombuffer(content, dtype).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="))


def read_idx_images(path: Path, limit: int) -> Examples:
    """Read a user's IDX file of images (N, ...). If its name contains "images", labels (N,) are read from the file next
    to it with "labels" in its name."""
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
    """Return True if a file, gzipped or not, starts like an IDX file."""
    try:
        with opened(path, "IDX file") as file:
            return is_magic(unpacked(file)[0].read(4))
    except (OSError, BadFile):
        return False


def is_magic(start: bytes) -> bool:
    """Return True if these are the first bytes of an IDX file."""
    if len(start) < 4 or start[:2] != b"\0\0":
        return False
    return start[2] in TYPES and 1 <= start[3] <= 32


def find_idx(folder: Path, name: str, suffixes: tuple[str, ...] = ("", ".gz")) -> Path | None:
    """Return the file with this name in the folder, ignoring case, with the first suffix found. For a name with "-idx"
    the other common spelling, ".idx", is accepted as well."""
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
