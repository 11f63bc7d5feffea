"""Folders of images: every file in them is either read or reported.

folder/*.png                                     images without labels
folder/cat/*.png   folder/dog/*.png              folder names are the labels
folder/train/...   folder/test/...  (or val)     training and test parts, each as above
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, BadFile, Examples
from nanoae.data.idx import DEFLATE_RATIO, is_idx
from nanoae.data.image_file import READ, is_image, load_pillow, opened_image, pixels
from nanoae.data.labels import is_nothing, read_labels
from nanoae.warning import warn

SUFFIXES = re.compile(r"\.(png|jpe?g|jpe|jfif|bmp|dib|tiff?|webp|gif|p[bgpn]m|jp2|j2k|jpx)")
NOT_READ = re.compile(
    r"\.(avif|hei[cf]|svg|jxl|ico|tga|psd|eps|exr|hdr|pfm|pam|dng|cr[23]|nef|arw)"
)
# Files and folders left by operating systems
HIDDEN = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}
TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
FREE_BYTES = 32 << 10  # smaller files may unpack to as much as a file of this size
BLOCK_BYTES = 4 << 10  # least disk space of a file
NAMED = 5  # files named in a message
SIZE = re.compile("([1-9][0-9]{0,6})x([1-9][0-9]{0,6})")


def read_images(folder: Path, limit: int = UNPACK_LIMIT, resize: Any = None) -> Examples:
    """Read the images of a folder in natural order of their names: (N, H, W), or (N, H, W, 3) for colours; uint8, or
    uint16 for 16-bit images. All must have one size, unless `resize`, (H, W), is given. Raise BadFile, naming file and
    reason, for an image that cannot be read."""
    load_pillow()
    size = None if resize is None else size_of(resize)
    train, test = parts(folder)
    paths, names = labelled(train)
    more, more_names = ([], None) if test is None else labelled(test)
    x = read_stack(folder, paths + more, limit, size)
    y = read_classes(folder, (names or []) + (more_names or []))
    n = len(paths)
    return Examples(
        x[:n],
        y[:n] if names else None,
        None if test is None else x[n:],
        y[-len(more) :] if more_names else None,
        65535 if x.dtype == np.uint16 else None,  # for 8 bits, the values decide
    )


# ---------------------------------------------------------------- files


def image_paths(folder: Path) -> list[Path]:
    """Return the files of a folder's images, in the order of `read_images`."""
    return [path for part in parts(folder) if part is not None for path in labelled(part)[0]]


def parts(folder: Path) -> tuple[Path, Path | None]:
    """Return (the folder of all images, None), or the training and test folders."""
    folders = {path.name.lower(): path for path in visible(folder) if path.is_dir()}
    train = next(filter(None, map(folders.get, TRAIN)), None)
    test = next(filter(None, map(folders.get, TEST)), None)
    if train is None or test is None:
        if folders and folders.keys() <= {*TRAIN, *TEST}:
            raise BadFile(
                folder,
                "folders to train and to test on",
                ", ".join(folders),
                "Name one of its folders.",
            )
        return folder, None  # "train" may be the name of a class
    others = [path for path in folders.values() if path not in (train, test)]
    others += images_in(folder)
    if others:
        hint = "Move them away, or name one of these folders."
        raise BadFile(folder, f"nothing but {train.name} and {test.name}", named(others), hint)
    return train, test


def labelled(folder: Path) -> tuple[list[Path], list[str] | None]:
    """Return the images of a folder and None, or the images in its subfolders and the name of each one's subfolder."""
    own = images_in(folder)
    classes = {path: images_in(path) for path in visible(folder) if path.is_dir()}
    if own and any(classes.values()):
        raise BadFile(
            folder,
            "images, or a folder of them for each class",
            f"both: {named(own)} and {named(list(classes))}",
            "Move one or the other away.",
        )
    if own:
        warn_left_out(folder, list(classes))
        return own, None
    for path, images in classes.items():
        deeper = [inner for inner in visible(path) if inner.is_dir()]
        if deeper or not images:
            got = f"the folder {deeper[0].name}" if deeper else "none"
            raise BadFile(path, "images, all of one class", got, "Move it away, or name it alone.")
    if not classes:
        idx = next(filter(is_idx, visible(folder)), None)
        hint = f"For an IDX file, pass its own path: {idx}." if idx else ""
        raise BadFile(folder, f"a folder of images ({READ})", "none", hint)
    paths = [image for images in classes.values() for image in images]
    return paths, [path.parent.name for path in paths]


def images_in(folder: Path) -> list[Path]:
    """Return the images directly in a folder. Raise BadFile for unsupported formats; warn about other files."""
    files = [path for path in visible(folder) if not path.is_dir()]
    images = [path for path in files if SUFFIXES.fullmatch(path.suffix.lower()) or is_image(path)]
    others = sorted(set(files) - set(images), key=natural)
    unread = [path for path in others if NOT_READ.fullmatch(path.suffix.lower())]
    if unread:
        raise BadFile(
            folder,
            f"images of the formats {READ}",
            f"{len(unread)} others: {named(unread)}",
            "Convert them to PNG, or move them away.",
        )
    warn_left_out(folder, others)
    return images


def warn_left_out(folder: Path, others: list[Path]) -> None:
    if others:
        text = f"{folder}: {len(others)} entries that are no images are left out: {named(others)}"
        warn(text)  # points at the caller of load_data


def visible(folder: Path) -> list[Path]:
    """Return the content of a folder in natural order of the names (2 before 10), without hidden and system files."""
    shown = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in HIDDEN
    ]
    return sorted(shown, key=natural)


def natural(path: Path) -> tuple[list[Any], str]:
    words = re.split("([0-9]+)", path.name.casefold())  # alternating text and numbers
    return [int(word) if i % 2 else word for i, word in enumerate(words)], path.name


def named(paths: list[Path]) -> str:
    """Return "a.png, b.png, ..." for messages."""
    names = [path.name for path in paths[:NAMED]]
    if len(paths) > NAMED:
        names.append("...")
    return ", ".join(names)


def read_classes(folder: Path, names: list[str]) -> np.ndarray:
    """Return folder names as labels (N,). Raise BadFile for a name that means no label, and for two synonyms."""
    different = sorted(set(names))
    labels = read_labels(names)
    no_label = any(map(is_nothing, different)) or {"-1"} < {*different} != {"-1", "1"}
    if no_label or len(np.unique(labels)) < len(different):
        raise BadFile(
            folder,
            "folders of different names, one for each class",
            ", ".join(map(repr, different)),
            "Rename one of them; move a folder without labels, such as -1 or none, elsewhere.",
        )
    return labels


# ---------------------------------------------------------------- content


def read_stack(
    folder: Path, paths: list[Path], limit: int, resize: tuple[int, int] | None
) -> np.ndarray:
    """Read the images into one array (N, H, W) or (N, H, W, 3). Raise BadFile for an image unlike the first, or far
    larger than its file can hold."""
    sizes = sum(max(path.stat().st_size, BLOCK_BYTES) for path in paths)
    most = DEFLATE_RATIO * max(sizes, FREE_BYTES)
    if not resize:  # with resize only one image at a time is in memory
        most //= len(paths)
    first = paths[0].relative_to(folder)
    stack: np.ndarray | None = None
    for n, path in enumerate(paths):
        with opened_image(path) as image:
            size = image.width * image.height * len(image.getbands())
            if size > most:
                expected = f"at most {most} bytes of pixels in files so small"
                raise BadFile(path, expected, size, "Is it an image?")
            if resize and size <= limit:
                size = math.prod(resize) * len(image.getbands())
            if size * len(paths) > limit:
                raise BadFile(
                    folder,
                    f"at most {limit} bytes of pixels in all",
                    f"{len(paths)} images of {size}",
                    "Allow more with --limit 8GB or limit=.",
                )
            found = pixels(path, image)
            if resize:
                found = resized(found, resize)
        if stack is None:
            stack = np.empty((len(paths), *found.shape), found.dtype)
        if found.shape != stack.shape[1:]:
            hint = "Make all images the same size (--resize HxW, resize=(H, W)) and colours."
            raise BadFile(path, f"shape {stack.shape[1:]} like {first}", found.shape, hint)
        if found.dtype != stack.dtype:
            hint = "Use 8 bits for all images, or 16 for all."
            raise BadFile(path, f"{stack.dtype} like {first}", found.dtype, hint)
        stack[n] = found
    assert stack is not None
    return stack


def size_of(resize: Any) -> tuple[int, int]:
    """Return (height, width) from two whole numbers or a text such as 64x48. Raise ValueError for anything else."""
    sides = SIZE.fullmatch("x".join(map(str, np.ravel(resize))))
    if sides is None:
        raise ValueError(f"resize: expected height and width, such as 64x48, got {resize!r}.")
    return int(sides[1]), int(sides[2])


def resized(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale `pixels` to (height, width), keeping their type, with Pillow's antialiased bilinear (triangle) filter: all
    pixels contribute, and no value leaves the image's range."""
    pillow = load_pillow()
    # Some versions of Pillow resample 16-bit images by nearest neighbour.
    values = found.astype(np.float32) if found.dtype == np.uint16 else found
    scaled = pillow.fromarray(values).resize(size[::-1], pillow.Resampling.BILINEAR)
    return np.rint(scaled).astype(found.dtype)
