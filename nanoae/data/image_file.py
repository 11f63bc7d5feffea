"""An image file: its pixels as they are meant to be seen, unscaled, or one error that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import BadFile
from nanoae.data.regular_file import opened

Image = Any  # Pillow's; it is imported only to read an image
READ = "PNG, JPEG, BMP, TIFF, WebP, GIF, PNM or JPEG 2000"
# The same formats by their Pillow names
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
# Modes with 8 bits per channel -> mode they are converted to
CHANNELS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}
# 16-bit modes; older versions of Pillow use "I" for PNG and PNM.
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
WHITE_IS_ZERO, BITS_PER_SAMPLE, PHOTOMETRIC = 0, 258, 262  # TIFF tags and value
# JPEG 2000; the first channel's bit depth follows 42 bytes later
START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
HEAD_BYTES = 1 << 16


def load_pillow() -> Any:
    """Return PIL.Image with all formats registered. Raise ImportError, saying what to install, without Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "expected Pillow, which reads images, got no such package. pip install pillow"
        ) from error
    Image.init()
    return Image


def is_image(path: Path) -> bool:
    """Return True if the file starts like a supported image format."""
    pillow = load_pillow()
    try:
        pillow.open(path, formats=FORMATS).close()
    except pillow.UnidentifiedImageError:
        return False
    except Exception:  # reported when the image is read
        return True
    return True


@contextmanager
def opened_image(path: Path) -> Iterator[Image]:
    """Open an image, reading only its header, and check that `pixels` supports it."""
    with (
        opened(path, f"image ({READ})") as file,
        load_pillow().open(file, formats=FORMATS) as image,
    ):
        # MPO files hold a photograph and additional views of it.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise BadFile(path, "one image", f"{image.n_frames}", "Save each to its own file.")
        found = bits(path, image)
        least = 8 if image.format == "JPEG2000" else 1
        fits = image.mode in CHANNELS and least <= found <= 8
        if is_sixteen(image):
            fits = found == 16 or image.format == "PPM"  # Pillow scales its values to 0 .. 65535
        if not fits:
            expected = "a greyscale image of 8 or 16 bits or an RGB image of 8 bits"
            raise BadFile(path, expected, f"mode {image.mode}, {found} bits", "Convert it first.")
        tags = image.tag_v2 if image.format == "TIFF" else {}
        if is_sixteen(image) and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            expected = "an image in which white is the largest value"
            raise BadFile(path, expected, "one in which it is 0", "Invert it.")
        yield image


def is_sixteen(image: Image) -> bool:
    return image.mode in SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM"))


def bits(path: Path, image: Image) -> int:
    """Return the bits per channel in the file: Pillow keeps 8 of them without saying whether there were more."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    if image.format in ("PNG", "JPEG2000"):
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if image.format == "PNG":
            return head[24]
        start = head.index(START_OF_CODESTREAM)
        return head[start + 42] + 1
    if image.format == "PPM":
        numbers = [number for number in image.tile[0][3] if isinstance(number, int)]
        return 16 if image.mode == "I" or max(numbers, default=0) > 255 else 8
    return 8


def pixels(path: Path, image: Image) -> np.ndarray:
    """Return grey values (H, W), uint8 or uint16, or colours (H, W, 3) uint8, turned upright according to EXIF."""
    from PIL import ImageOps

    image.load()
    # Pillow applies a TIFF's orientation while loading, and may keep the tag.
    if image.format != "TIFF":
        ImageOps.exif_transpose(image, in_place=True)
    sixteen = is_sixteen(image)
    transparent = "transparency" in image.info
    if sixteen:
        found = np.asarray(image).astype(np.uint16)
    else:
        mode = CHANNELS[image.mode]
        if transparent or image.mode in ("LA", "PA", "RGBA"):
            image = image.convert("RGBA")
            transparent = image.getchannel("A").getextrema() != (255, 255)
        found = np.asarray(image.convert(mode))
    if transparent:
        expected = "an image without transparent pixels"
        raise BadFile(path, expected, "some", "Put it on a background first.")
    return found
