"""Output: the folder of a run, and an error before the work where it cannot be written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nanoae.lock import locked_folder
from nanoae.whole_file import check_writable


@contextmanager
def run_folder(path: Path, numbered: bool = False, resume: Path | None = None) -> Iterator[Path]:
    """A new or empty folder to write results to: `path`, or with `numbered` the first free of path-1, path-2, ...; or
    that of an earlier run, to `resume`.

    It is made and locked at once, so that no other run writes to it, and removed again if nothing is in it at the end.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    with ExitStack() as held:
        held.callback(remove_empty, made)
        try:
            if resume is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path = first_free(path) if numbered else path
                made.insert(0, path) if numbered else path.mkdir(exist_ok=True)
            else:
                path = resume
            held.enter_context(locked_folder(path))
            check_writable(path / "model.npz")
            if resume is None and any(path.iterdir()):
                raise FileExistsError(0, "it holds files already")
        except OSError as error:
            wanted, hint = ("is empty and ", " Choose another with --out.") if resume is None else ("", "")
            raise OSError(
                f"expected a folder that {wanted}can be written, got {error.filename or path} ({error.strerror}).{hint}"
            ) from error
        yield path


def remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it is not empty, or was never made
            folder.rmdir()


def first_free(path: Path) -> Path:
    """Makes path-1, or where that is there path-2, and so on."""
    for i in itertools.count(1):
        with suppress(FileExistsError):
            folder = path.with_name(f"{path.name}-{i}")
            folder.mkdir()
            return folder
    raise AssertionError
