"""Page: one self-contained HTML file with its own data, styles and scripts.

The content is JSON in an inert script element; the scripts in this folder render it, and insert all user text as text,
never as HTML. Arrays are bytes in one deflated block.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nanoae.whole_file import whole_file

PathT = TypeVar("PathT", str, Path)

FOLDER = Path(__file__).parent
SCRIPTS = (
    "network.js",
    "sentences.js",
    "chart.js",
    "picture.js",
    "codes.js",
    "views.js",
    "drawing.js",
    "explorer.js",
    "page.js",
)


class Page:
    """`content` is the content of the page, ready for JSON; arrays in it are represented by `array` or `levels`."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def array(self, values: Any) -> dict[str, Any]:
        """Store real numbers of any shape, as float32 rounded to the three upper bytes: relative error below 2⁻¹⁶.

        Signs and exponents of all numbers come first, then the next byte of each, which deflates by a fifth.
        """
        numbers = np.ascontiguousarray(values, dtype="<f4")
        bits = numbers.view("<u4").ravel()
        is_finite = np.isfinite(numbers.ravel())
        rounded = np.where(is_finite, bits + np.uint32(0x80), bits)
        number_bytes = rounded.astype("<u4").view(np.uint8).reshape(-1, 4)
        planes = number_bytes[:, :0:-1].T
        return self._add("numbers", numbers.shape, planes.tobytes())

    def levels(self, values: Any, low: float, high: float) -> dict[str, Any]:
        """Store pixels: numbers from low to high, in 256 levels."""
        span = high - low if high > low else 1.0
        scaled = (np.asarray(values) - low) * (255 / span)
        levels = np.clip(np.round(scaled), 0, 255).astype(np.uint8)
        return self._add("levels", levels.shape, levels.tobytes()) | {
            "low": float(low),
            "high": float(low + span),
        }

    def _add(self, kind: str, shape: tuple[int, ...], data: bytes) -> dict[str, Any]:
        start = self.size
        self.size = self.size + len(data)
        self.parts.append(data)
        return {"array": kind, "shape": list(shape), "start": start}

    def html(self) -> str:
        deflated = zlib.compress(b"".join(self.parts), 6)
        block = base64.b64encode(deflated).decode("ascii")
        scripts = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
        style = (FOLDER / "page.css").read_text(encoding="utf-8")
        content = embedded(self.content)
        pieces = {"STYLE": style, "CONTENT": content, "ARRAYS": block, "SCRIPTS": scripts}
        return filled(FOLDER / "page.html", pieces)

    def write(self, path: PathT) -> PathT:
        """Write the file atomically, and return its path."""
        text = self.html()
        with whole_file(path, "w") as file:
            file.write(text)
        return path


def filled(template: Path, pieces: Mapping[str, str]) -> str:
    """The text of a template, with each {{NAME}} replaced by its piece."""
    text = template.read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda found: pieces[found[1]], text)


def embedded(content: Any) -> str:
    """JSON that is safe inside a script element, whatever text it contains."""
    text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def finite(value: Any) -> Any:
    """`value` with None for NaN and infinity, and Python numbers instead of NumPy's."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
