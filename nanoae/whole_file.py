"""Atomic file writes: the only way in which nanoae writes files.

The bytes go to a hidden file next to the target and are flushed to disk before it is renamed to the target. After a
killed process, a full disk or a power cut, the target is either the old file or the complete new one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nanoae.lock import lock

# prefix and suffix, with 16 random hexadecimal digits between
HIDDEN, UNFINISHED = (".nanoae-", ".part")
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a new file for writing. It replaces `path` if the block succeeds and is removed if the block fails.

    mode    "wb", or "w" for UTF-8 text whose line endings are written unchanged

    An existing file keeps its permissions, and a symbolic link to it is kept; a new file follows the umask. Unfinished
    files of killed writers in the same folder are removed. Raise OSError, naming `path`: before the block if `path`
    cannot be written, after it if the disk is full or fails.
    """
    target, part, descriptor = begin(Path(path))
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(part, mode, opener=lambda *_: descriptor, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # Windows cannot rename an open file
                file.close()
            os.replace(part, target)  # still locked, so nobody removes it as a leftover
        flush_folder(target.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part), str(target.parent)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):
            part.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError if `whole_file` could not write `path`; call it before long work whose results go there."""
    _, part, descriptor = begin(Path(path))
    os.close(descriptor)
    part.unlink()


def begin(path: Path) -> tuple[Path, Path, int]:
    """Return (the target with links resolved, a hidden new file next to it, its descriptor)."""
    target = Path(os.path.realpath(path))
    try:
        permissions = replaced(path)
        remove_leftovers(target.parent)
        return target, *new_part(target.parent, permissions)
    except OSError as error:
        raise OSError(
            error.errno, f"expected a file that can be written ({error.strerror})", str(path)
        ) from error


def replaced(path: Path) -> int | None:
    """Return the permissions of the existing file, or None. Raise OSError if it may not be replaced."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):  # a folder, or a device such as /dev/null
        raise OSError(errno.EINVAL, "not a regular file")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return found & 0o777


def new_part(folder: Path, permissions: int | None) -> tuple[Path, int]:
    """Create a hidden file, locked while it is open. Return (path, descriptor)."""
    while True:
        part = folder / f"{HIDDEN}{os.urandom(8).hex()}{UNFINISHED}"
        # The kernel applies the umask.
        descriptor = os.open(part, NEW, 0o666 if permissions is None else permissions)
        try:
            if permissions not in (None, os.fstat(descriptor).st_mode & 0o777):
                os.chmod(part, permissions)  # type: ignore[arg-type]
            if lock(descriptor) and part.exists():
                return part, descriptor
        except BaseException:
            os.close(descriptor)
            part.unlink(missing_ok=True)
            raise
        os.close(descriptor)  # another process removed it as a leftover


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of killed writers from a folder. Running writers hold a lock on theirs."""
    for part in folder.glob(f"{HIDDEN}*{UNFINISHED}"):
        with suppress(OSError):
            if os.name == "nt":  # Windows cannot remove an open file
                part.unlink()
                continue
            descriptor = os.open(part, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if lock(descriptor):
                    part.unlink()
            finally:
                os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that they survive a power cut."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
