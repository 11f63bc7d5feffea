"""Output: the folder of a run, tables and JSON for other programs, and text that is safe to print on a terminal."""

from __future__ import annotations

import csv
import itertools
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nanoae.lock import locked_folder
from nanoae.report.page import finite
from nanoae.training.process_group import first_rank
from nanoae.whole_file import check_writable, whole_file

STDOUT = Path("-")
# how a spreadsheet recognises a formula
FORMULA = re.compile(r"\s*[=+\-@\t\r\n＝＋－＠]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@contextmanager
def run_folder(path: Path, numbered: bool = False, resume: Path | None = None) -> Iterator[Path]:
    """The folder to write results to: `path`, new or empty; with `numbered`, the first free of path-1, path-2, ...;
    with `resume`, the folder of an earlier run.

    It is created and locked at once, so that no other run writes to it, and removed if it is empty at the end.
    """
    if not first_rank():  # its files are discarded
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    expected = "a folder that can be written"
    hint = ""
    if resume is None:
        expected = "a folder that is empty and can be written"
        hint = " Choose another with --out."
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    with ExitStack() as held:
        held.callback(remove_empty, made)
        try:
            if resume is not None:
                path = resume
            elif numbered:
                path = first_free(path)
                made.insert(0, path)
            else:
                path.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked_folder(path))
            check_writable(path / "model.npz")
            if resume is None and any(path.iterdir()):
                raise FileExistsError(0, "it already contains files")
        except OSError as error:
            got = error.filename or path
            raise OSError(f"expected {expected}, got {got} ({error.strerror}).{hint}") from error
        yield path


def remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty, or never created
            folder.rmdir()


def first_free(path: Path) -> Path:
    """Create path-1, or path-2 if that exists, and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for i in itertools.count(1):
        with suppress(FileExistsError):
            folder = path.with_name(f"{path.name}-{i}")
            folder.mkdir()
            return folder
    raise AssertionError


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Write a table, quoted as in RFC 4180, in which no cell is a formula."""
    with text_file(path) as file:
        writer = csv.writer(file, lineterminator="\n" if path == STDOUT else "\r\n")
        writer.writerows(map(safe, row) for row in rows)


def safe(cell: Any) -> Any:
    """The cell, prefixed with ' if a spreadsheet would run it: =1+1 is a formula, -1.5 a number."""
    if not isinstance(cell, str) or not FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


@contextmanager
def text_file(path: Path) -> Iterator[IO[str]]:
    """Open a text file that is written atomically; for the path "-", stdout without the escaping of `Plain`."""
    if path == STDOUT:
        yield getattr(sys.stdout, "stream", sys.stdout)
        return
    with whole_file(path, "w") as file:
        yield file


def check_output_file(path: Path) -> None:
    """`check_writable`, except for stdout."""
    if path != STDOUT:
        check_writable(path)


def print_summary(text: str, out: Path | None) -> None:
    """Print what was done; to stderr if `out`, the output file, is stdout."""
    if out == STDOUT:
        print(plain(text).replace("written to -", "written to stdout"), file=sys.stderr)
    else:
        print(plain(text))


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON: null for NaN and infinity."""
    with text_file(path) as file:
        text = json.dumps(finite(content), indent=2, allow_nan=False)
        file.write(text + "\n")


class Plain:
    """A stream that escapes control characters, such as terminal sequences: \\x1b[2J for ESC [2J.

    failure   the error if a write failed, for instance on a full disk: it must not end a training
    """

    def __init__(self, stream: IO[str]):
        self.stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        try:
            self.stream.write(plain(text))
            self.stream.flush()
        except BrokenPipeError:  # the reader is gone
            raise
        except OSError as error:
            self.failure = OSError(error.errno, error.strerror, "stdout")
        return len(text)

    def flush(self) -> None:
        """Every write is flushed already."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def plain(text: str) -> str:
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def log_error(text: str) -> None:
    with suppress(OSError):  # full disk: there is nowhere else to report it
        print(f"nanoae: {plain(text)}", file=sys.stderr, flush=True)
