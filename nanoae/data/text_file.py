"""Text files: unpack, decode, and check that a file is text with lines that fit in memory, before it is read."""

from __future__ import annotations

import codecs
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nanoae.data.dataset import UNPACK_LIMIT, BadFile
from nanoae.data.regular_file import opened, unpacked

CHUNK = 1 << 20  # bytes checked together
LONGEST_LINE = 1 << 24  # characters: no table is wider, but a few bytes of .gz may unpack to more
BOMS = (  # byte-order marks; UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# First bytes of zip (and so .xlsx), bzip2, xz, zstd and the old .xls
PACKED = (b"PK\3\4", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"\xd0\xcf\x11\xe0")
UNPACK = "Unpack it; for a spreadsheet, save the table as CSV."
REMEDY = "Name its encoding (encoding=, --encoding), such as cp1252; or save it as UTF-8."


@contextmanager
def open_text(
    path: Path,
    kind: str,
    encoding: str | None = None,
    limit: int = UNPACK_LIMIT,
    remedy: str = REMEDY,
) -> Iterator[io.TextIOWrapper]:
    """Open a file as text with unchanged line endings. A gzip file is unpacked, whatever its name.

    encoding    None: UTF-16 or UTF-32 if there is a byte-order mark, else UTF-8
    remedy      hint for a file in another encoding
    """
    with opened(path, kind) as file:
        content, packed = unpacked(file)
        start = content.read(8)
        marked = next((name for mark, name in BOMS if start.startswith(mark)), "utf-8-sig")
        if start.startswith(PACKED):
            remedy = UNPACK
        check(path, content, kind, encoding or marked, limit if packed else math.inf, remedy)
        content.seek(0)
        with io.TextIOWrapper(content, encoding=encoding or marked, newline="") as text:
            yield text


def check(
    path: Path, content: IO[bytes], kind: str, encoding: str, most: float, remedy: str
) -> None:
    """Raise BadFile, with the line, for content in another encoding, for binary data, and beyond `most` bytes."""
    content.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    size = 0
    line = 1
    length = 0
    last = False
    while not last:
        chunk = content.read(CHUNK)
        last = not chunk
        try:
            text = decoder.decode(chunk, final=last)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            wanted = f"a valid {kind} in {encoding.upper().removesuffix('-SIG')}"
            raise BadFile(path, wanted, f"{error}, in line {line}", remedy) from error
        size += len(chunk)
        end = max(text.rfind("\n"), text.rfind("\r"))
        length = len(text) - 1 - end + (length if end < 0 else 0)
        if "\0" in text:
            line += text[: text.index("\0")].count("\n")
            raise BadFile(path, f"text in line {line}", "NUL characters", remedy)
        if length > LONGEST_LINE:
            raise BadFile(path, f"lines of at most {LONGEST_LINE:,} characters", "a longer one")
        if size > most:
            hint = "Allow more: --limit 8GB, limit=; or store the numbers as .npy."
            raise BadFile(path, f"at most {most} bytes of text", "more", hint)
        line += text.count("\n")
