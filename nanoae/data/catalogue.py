"""The catalogue of data sets: their names, and where each one is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanoae.data.columnar import is_columnar, read_columnar
from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Dataset, Examples
from nanoae.data.digits import digits
from nanoae.data.download import SOURCES, fetch, read_official
from nanoae.data.files import read_npy, read_npz
from nanoae.data.idx import find_idx, is_idx, read_idx_images
from nanoae.data.image_folder import read_images
from nanoae.data.number_table import read_numbers
from nanoae.data.synthetic import swiss_roll, xor
from nanoae.data.table_parts import read_mixed
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import SUFFIXES, suffix_of
from nanoae.spelling import did_you_mean

NAMES = ("digits", *SOURCES, "swiss-roll", "xor")
READERS: dict[str, Callable[..., Examples]] = {".npy": read_npy, ".npz": read_npz}


def load_data(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    random_state: int | None = 0,
    label: str | None = None,
    maximum: float | None = None,
    columns: Sequence[str] | None = None,
    limit: int = UNPACK_LIMIT,
    encoder: Any = None,
    resize: str | Sequence[int] | None = None,
    **written: Any,
) -> Dataset:
    """Load a data set by name, or from the user's own files.

    name            digits         1,437 + 360 images (8, 8), embedded
                    mnist          60,000 + 10,000 images (28, 28)
                    fashion-mnist  60,000 + 10,000 images (28, 28)
                    swiss-roll     1,600 + 400 points (3,); y is the angle along the roll
                    xor            200 + 4 points (2,)
                    or a path: .npy, .npz, a text table (.csv, .tsv, .txt, optionally with .gz), IDX (MNIST's format),
                    a folder of images (`image_folder`), or Parquet or Arrow files, or a folder of them (`columnar`)
    data_dir        where to look first for mnist and fashion-mnist; then the environment variable NANOAE_DATA and the
                    user's cache folder are searched. Files lie in <folder>/<name>/ or in the folder itself, .gz or not
    download        if no folder has the files, download them into data_dir, or else into the cache folder
    random_state    seed of the 80/20 split of data without an official one, and of swiss-roll; None keeps the row order
    label           column of a text table to use as y; y is masked (numpy.ma) where it is missing
    maximum         the stored value that stands for 1.0 in a user's own file. None: 255 for uint8 images, 65535 for
                    16-bit image files, 1 for images of 0 and 1 or of floats in [0, 1]; other data are not scaled
    columns         columns of a text table to use as x, in this order. None: all others, in file order
    limit           most bytes to unpack in total from .npz, .gz and image files; a .npy file is only mapped
    encoder         a TableEncoder, which allows words and gaps in a text table. If there are words, it is fitted on
                    the training rows (unless it is already), and x is the encoded table, with NaN for missing values
    resize          (height, width), or "64x48": scale all images of a folder to this size, ignoring proportions, with
                    Pillow's antialiased bilinear resampling. None: all images must have one size
    written         format of a text table, where the reader cannot detect it: separator, decimal, na, text, ignore,
                    header, encoding, as in `read_table` (`TextFormat`)

    Raises ValueError for an unknown name, and for a damaged or unsuitable file (`BadFile`, which names it);
    FileNotFoundError if the file does not exist or cannot be downloaded.
    """
    path = Path(os.path.expanduser(name))
    given = os.fspath(name)
    suffix = suffix_of(path)
    format = TextFormat.of(written, "load_data")
    columnar = is_columnar(path)
    text = suffix in SUFFIXES
    found = replace(format, ignore=()) if columnar else format
    wanted = ""
    if label is not None and not (text or columnar):
        wanted = f"to take the column {label!r} from"
    elif found != TextFormat() and not text:
        wanted = f"to be read with {', '.join(written)}"
    if wanted:
        raise ValueError(f"load_data: expected a .csv file {wanted}, got {given!r}.")
    if resize is not None and (name in NAMES or columnar or not path.is_dir()):
        raise ValueError(f"load_data: expected a folder of images to resize, got {given!r}.")
    if maximum is not None and name in NAMES:
        raise ValueError(
            f"load_data: expected maximum=None for {name!r}, got {maximum!r}. Its images define their own."
        )
    if name == "digits":
        return digits()
    if name == "swiss-roll":
        return Dataset.split("swiss-roll", *swiss_roll(random_state=random_state), random_state)
    if name == "xor":
        return Dataset("xor", *xor(200), *xor(4))
    if isinstance(name, str) and name in SOURCES:
        return load_official(name, data_dir, download)

    def of(found: Examples) -> Dataset:
        return Dataset.of(path.name, found, random_state, maximum)

    if columnar:
        return of(read_columnar(path, label, columns, format.ignore, limit))
    if path.is_dir():
        return of(read_images(path, limit, resize))
    if suffix not in READERS and not text:
        if is_idx(path):
            return of(read_idx_images(path, limit))
        raise ValueError(
            f"load_data: expected one of {', '.join(NAMES)}, or a path to a .npy, .npz, .csv or IDX file or to a "
            f"folder of images, got {given!r}.{did_you_mean(name, NAMES)}"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"load_data: expected a {suffix} file, got {given!r}, and no such file exists."
        )
    if suffix in READERS:
        return of(READERS[suffix](path, limit))
    if encoder is None or not (encoder.fitted or format.text):
        try:
            return of(read_numbers(path, label, columns, format, limit))
        except BadFile:
            if encoder is None or maximum is not None:
                raise
    return read_mixed(path, random_state, label, columns, format, limit, encoder)


def load_official(name: str, data_dir: str | os.PathLike[str] | None, download: bool) -> Dataset:
    """Load MNIST or Fashion-MNIST from the first folder that has all four files, or download it."""
    searched = places(name, data_dir)
    mirrors, files = SOURCES[name]
    paths = next(filter(None, (complete(name, *place) for place in searched)), None)
    if paths is None:
        target = (Path(os.path.expanduser(data_dir)) if data_dir else cache()) / name
        try:
            if not download:
                raise FileNotFoundError("nothing: download=False")
            paths = [find_idx(target, file.name) or fetch(file, mirrors, target) for file in files]
        except OSError as error:
            tried = ", ".join(str(place) for place, _ in searched)
            names = ", ".join(f"{file.name}.gz" for file in files)
            raise FileNotFoundError(
                f"load_data: expected the files of {name} in one of {tried}, got no complete set there. "
                f"Tried:\n{error}\nWithout a network, put {names} into {target} by hand."
            ) from error
    x_train, y_train, x_test, y_test = map(read_official, paths, files)
    return Dataset(name, x_train, y_train, x_test, y_test, maximum=255)


def cache() -> Path:
    """Return the user's cache folder, or one in the temporary folder for a user without a home."""
    folder = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if folder.startswith("~"):
        import tempfile  # imported here to keep `import nanoae` fast

        folder = os.path.join(tempfile.gettempdir(), f"cache-{os.getuid()}")
    return Path(folder, "nanoae")


def places(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> list[tuple[Path, tuple[str, ...]]]:
    """Return the folders to search for a data set, in order, each with the suffixes that its files may have there."""
    either = ("", ".gz")
    found: list[tuple[Path, tuple[str, ...]]] = []
    for folder in (data_dir, os.environ.get("NANOAE_DATA"), cache()):
        if not folder:
            continue
        place = Path(os.path.expanduser(folder))
        found.append((place / name, either))
        # Both sets use the same file names, so a shared folder is searched for one of them only.
        if name == "mnist" or folder == data_dir:
            found.append((place, either if name == "mnist" else (".gz",)))
    return found


def complete(name: str, folder: Path, suffixes: tuple[str, ...]) -> list[Path] | None:
    """Return the four files of a set in `folder`, or None if one is missing."""
    files = SOURCES[name].files
    paths = [path for file in files if (path := find_idx(folder, file.name, suffixes))]
    return paths if len(paths) == len(files) else None
