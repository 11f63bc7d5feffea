"""Output: files that are whole or not there, and an error before the work where they cannot be written."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to it where the block ends well, else removed."""
    try:
        if not path.name or (path.exists() and not path.is_file()):
            raise OSError(0, "no regular file")  # a folder, or /dev/null, which would be replaced
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.open("xb").close()
    except OSError as error:
        raise OSError(f"expected a file that can be written, got {path} ({error.strerror}).") from error
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def run_folder(path: Path, numbered: bool = False) -> Iterator[Path]:
    """A new or empty folder to write results to: `path`, or with `numbered` the first free of path-1, path-2, ...

    It is made at once, so that nobody else takes its name, and removed again if nothing is in it at the end.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = first_free(path) if numbered else path
            made.insert(0, path) if numbered else path.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
            if any(path.iterdir()):
                raise FileExistsError(0, "it holds files already")
        except OSError as error:
            raise OSError(
                f"expected a folder that is empty and can be written, got {error.filename or path} ({error.strerror}). "
                "Choose another with --out."
            ) from error
        yield path
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def first_free(path: Path) -> Path:
    """Makes path-1, or where that is there path-2, and so on."""
    for i in itertools.count(1):
        with suppress(FileExistsError):
            folder = path.with_name(f"{path.name}-{i}")
            folder.mkdir()
            return folder
    raise AssertionError
