"""An image file: its pixels as it is meant to be seen, or one error that names it. Never turned, scaled or clipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import BadFile
from nanoae.data.regular_file import opened

Image = Any  # Pillow's, which is imported only where an image is to be read
READ = "PNG, JPEG, BMP, TIFF, WebP, GIF, PNM or JPEG 2000"
# Pillow's names of the formats that are read
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
# Modes of 8 bits a channel -> what they are read as
CHANNELS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}
# Modes of 16 bits; older Pillows call those of PNG and PNM "I".
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
WHITE_IS_ZERO, BITS_PER_SAMPLE, PHOTOMETRIC = 0, 258, 262  # of TIFF
# of JPEG 2000; the first channel's bits stand 42 bytes further on
START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
HEAD_BYTES = 1 << 16


def load_pillow() -> Any:
    """PIL.Image, which knows all its formats then; ImportError with what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "expected Pillow, which reads images, got no such package. pip install pillow"
        ) from error
    Image.init()
    return Image


def is_image(path: Path) -> bool:
    """Whether the first bytes of the file are those of a format that is read here."""
    pillow = load_pillow()
    try:
        pillow.open(path, formats=FORMATS).close()
    except pillow.UnidentifiedImageError:
        return False
    except Exception:  # what is wrong with it is told when it is read
        return True
    return True


@contextmanager
def opened_image(path: Path) -> Iterator[Image]:
    """The image, of which no more than the header has been read, and that is known to have a meaning for `pixels`."""
    with (
        opened(path, f"image ({READ})") as file,
        load_pillow().open(file, formats=FORMATS) as image,
    ):
        # MPO is a photograph with others beside it.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise BadFile(path, "one image", f"{image.n_frames}", "Save each as a file of its own.")
        found = bits(path, image)
        least = 8 if image.format == "JPEG2000" else 1
        fits = image.mode in CHANNELS and least <= found <= 8
        if is_sixteen(image):
            fits = found == 16 or image.format == "PPM"  # whose values Pillow brings to 0 .. 65535
        if not fits:
            expected = "a greyscale image of 8 or 16 bits or an RGB image of 8"
            raise BadFile(path, expected, f"mode {image.mode}, {found} bits", "Convert it first.")
        tags = image.tag_v2 if image.format == "TIFF" else {}
        if is_sixteen(image) and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            expected = "an image in which white is the largest value"
            raise BadFile(path, expected, "one in which it is 0", "Invert it.")
        yield image


def is_sixteen(image: Image) -> bool:
    return image.mode in SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM"))


def bits(path: Path, image: Image) -> int:
    """Of each channel in the file: Pillow keeps 8 of them, and does not tell where there were more."""
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
    """(H, W) of grey values, uint8 or uint16, or (H, W, 3) uint8 of colours; upright, as its EXIF says."""
    from PIL import ImageOps

    image.load()
    # Pillow turns a TIFF as it loads it, and forgets or keeps the orientation.
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
        raise BadFile(path, expected, "some", "Lay it on a background first.")
    return found
