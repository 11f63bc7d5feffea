"""Page: one HTML file that holds its own data, styles and scripts, and asks nobody for anything.

What the page says is JSON in a script element that no browser runs; the scripts beside it in this folder draw it, and
put every text of the user's into the page as text, never as HTML. Arrays are bytes in one deflated block.
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
    """`content` is what the page says, JSON-ready; in it stands, for an array, what `array` or `levels` returned."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def array(self, values: Any) -> dict[str, Any]:
        """Real numbers of any shape, float32 rounded to its three upper bytes: relative error below 2⁻¹⁶.

        Signs and exponents of all numbers come first, then the next byte of each: so they deflate by a fifth.
        """
        numbers = np.ascontiguousarray(values, dtype="<f4")
        bits = numbers.view("<u4").ravel()
        is_finite = np.isfinite(numbers.ravel())
        rounded = np.where(is_finite, bits + np.uint32(0x80), bits)
        number_bytes = rounded.astype("<u4").view(np.uint8).reshape(-1, 4)
        planes = number_bytes[:, :0:-1].T
        return self._add("numbers", numbers.shape, planes.tobytes())

    def levels(self, values: Any, low: float, high: float) -> dict[str, Any]:
        """Pixels: numbers from low to high in 256 levels."""
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
        """The file, whole or not at all."""
        text = self.html()
        with whole_file(path, "w") as file:
            file.write(text)
        return path


def filled(template: Path, pieces: Mapping[str, str]) -> str:
    """The text of a template, with a piece for each {{NAME}} in it."""
    text = template.read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda found: pieces[found[1]], text)


def embedded(content: Any) -> str:
    """JSON to stand in a script element, whatever the texts in it."""
    text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def finite(value: Any) -> Any:
    """`value` with None for numbers that JSON cannot write, and Python's own numbers for NumPy's."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
