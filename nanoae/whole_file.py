"""A file that is whole or not there: the one way in which nanoae writes.

The bytes go to a hidden file beside the target, reach the disk, and only then take its name. So whatever happens, a
killed process, a full disk, a power cut, the target is the old file or the whole new one.
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

HIDDEN, UNFINISHED = ".nanoae-", ".part"  # around 16 random hexadecimal digits
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A new file, open for writing, that replaces `path` where the block ends well, and is removed where it does not.

    mode    "wb", or "w" for text in UTF-8 whose line ends are written as they are

    A file that was there keeps its permissions, and a link to it stays a link; a new one gets what the umask says. What
    killed writers left unfinished in that folder is removed. OSError, naming `path`: before the block where it cannot
    be written, after it where the disk is full or fails.
    """
    target, part, descriptor = begin(Path(path))
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(part, mode, opener=lambda *_: descriptor, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # which renames no open file
                file.close()
            os.replace(part, target)  # while it is locked: nobody takes it for a leftover
        flush_folder(target.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part), str(target.parent)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):
            part.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """OSError where `whole_file` could not write `path`: to be told before the work whose results it is to hold."""
    _, part, descriptor = begin(Path(path))
    os.close(descriptor)
    part.unlink()


def begin(path: Path) -> tuple[Path, Path, int]:
    """(what is to be replaced, with links followed, a hidden new file beside it, the descriptor of that)."""
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
    """The permissions of the file that is to be replaced, None where there is none; OSError where it may not be."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):  # a folder, or /dev/null, which would be replaced
        raise OSError(errno.EINVAL, "no regular file")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return found & 0o777


def new_part(folder: Path, permissions: int | None) -> tuple[Path, int]:
    """A hidden new file, (path, descriptor), locked for as long as it is open."""
    while True:
        part = folder / f"{HIDDEN}{os.urandom(8).hex()}{UNFINISHED}"
        # The kernel takes the umask off.
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
        os.close(descriptor)  # whoever removes leftovers was faster


def remove_leftovers(folder: Path) -> None:
    """Removes what writers began in this folder and did not live to end. Those at work hold a lock."""
    for part in folder.glob(f"{HIDDEN}*{UNFINISHED}"):
        with suppress(OSError):
            if os.name == "nt":  # which removes no open file
                part.unlink()
                continue
            descriptor = os.open(part, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if lock(descriptor):
                    part.unlink()
            finally:
                os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Makes sure that the names in this folder outlive a power cut."""
    if os.name == "nt":  # where folders cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
