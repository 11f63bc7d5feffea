"""Downloads of the official data sets: over HTTPS only, verified by checksum, complete or not at all."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanoae.data.idx import read_idx
from nanoae.progress import bar
from nanoae.whole_file import check_writable, whole_file

DOWNLOAD_LIMIT = 64 << 20  # bytes; the largest official file has 30 MB, 47 unpacked
SECONDS, TRIES = 600, 2  # time limit for a file, over all mirrors; attempts per mirror


class File(NamedTuple):
    """A file of a data set, with the SHA-256 of its unpacked content."""

    name: str
    sha256: str


class Source(NamedTuple):
    """Mirrors and files of a data set: training images and labels, test images and labels."""

    mirrors: tuple[str, ...]
    files: tuple[File, ...]


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def source(mirrors: tuple[str, ...], *hashes: str) -> Source:
    return Source(mirrors, tuple(map(File, FILES, hashes)))


SOURCES = {
    # LeCun, Cortes, Burges: 60,000 and 10,000 handwritten digits, 28x28.
    "mnist": source(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    # Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747 (MIT licence): 70,000 images of clothes in the same format.
    "fashion-mnist": source(
        (
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}


def read_official(path: Path, file: File) -> np.ndarray:
    """Return the array in `path`, gzipped or not, after checking that it is the official `file`."""
    return read_idx(path, file.sha256, DOWNLOAD_LIMIT)


def fetch(file: File, mirrors: tuple[str, ...], folder: Path) -> Path:
    """Download `file` into `folder` from the first mirror that has an intact copy. Return its path.

    Each mirror is tried TRIES times, resuming interrupted downloads, for at most SECONDS in total. Raise
    ConnectionError with each address and its error, or OSError if the folder cannot be created.
    """
    # Imported here: the network modules take half as long to import as nanoae.
    from http.client import HTTPException

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file.name}.gz"
    check_writable(path)
    end = time.monotonic() + SECONDS
    failures: dict[str, str] = {}
    begun: dict[str, bytearray] = {mirror: bytearray() for mirror in mirrors}
    for mirror in mirrors * TRIES:
        url = mirror + path.name
        content = begun[mirror]
        try:
            with open_url(url, len(content)) as response:
                receive(response, content, path.name, end)
            with whole_file(path) as out:
                out.write(content)
                out.flush()
                read_official(Path(out.name), file)
            return path
        except (OSError, ValueError, HTTPException) as error:
            failures[mirror] = f"{url}: {error}"
            if not isinstance(error, Interrupted):
                content.clear()  # the content is useless
    raise ConnectionError("\n".join(failures.values()))


class Interrupted(ConnectionError):
    """The connection ended before the file was complete."""


def open_url(url: str, start: int = 0) -> Any:
    """Return the response to a GET of `url` from byte `start` on, over HTTPS through all redirects."""
    import urllib.request

    class OnlyHTTPS(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):
            check_https(newurl)  # before it is followed
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    check_https(url)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    return urllib.request.build_opener(OnlyHTTPS).open(request, timeout=30)


def check_https(url: str) -> None:
    if not url.startswith("https://"):
        raise ValueError(f"open_url: expected an HTTPS address, got {url}.")


def receive(response: Any, content: bytearray, title: str, end: float) -> None:
    """Append a response to `content`, with a progress bar on a terminal if tqdm is installed.

    end   when to give up, in seconds of time.monotonic
    """
    if content and getattr(response, "status", None) != 206:
        content.clear()  # the server starts from the beginning
    size = len(content) + int(response.headers.get("Content-Length") or 0)
    shown = bar(
        desc=title,
        total=size or None,
        initial=len(content),
        unit="B",
        unit_scale=True,
        disable=None,
    )
    try:
        with nullcontext() if shown is None else shown:
            while chunk := response.read(1 << 16):
                content += chunk
                if len(content) > DOWNLOAD_LIMIT:
                    raise ValueError(f"expected at most {DOWNLOAD_LIMIT} bytes, got more")
                if time.monotonic() > end:
                    got = len(content)
                    raise TimeoutError(f"expected it within {SECONDS} seconds, got {got} bytes")
                if shown is not None:
                    shown.update(len(chunk))
    except (TimeoutError, ConnectionError) as error:
        raise Interrupted(str(error)) from error
    if len(content) < size:
        raise Interrupted(f"expected {size} bytes, got {len(content)}")
