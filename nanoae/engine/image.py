"""Memory layout of images: the interface is (N, C, H, W); in memory the batch axis is innermost.

An image layer works on contiguous (C, H, W, N) arrays (`backend/images.py` says why) and returns (N, C, H, W) views
of them. It uses the output of another image layer without a copy and copies any other input once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.backend import Array, Shape
from nanoae.backend.images import Window
from nanoae.engine.layers import Layer

Pair = int | tuple[int, int]  # one value for both axes, or (rows, columns)


def batch_first(x: Array) -> Array:
    """Return a view (N, C, H, W) of x (C, H, W, N)."""
    return x.transpose(3, 0, 1, 2)


class ImageLayer(Layer):
    """Base of layers that take images (N, C, H, W)."""

    window: Window

    def check_image(self, in_shape: Shape) -> None:
        hint = "A Reshape((C, H, W)) before it turns vectors into images."
        self.check_shape(len(in_shape) == 3, "images of shape (N, C, H, W)", hint)

    def pair(self, name: str, value: Any, least: int) -> tuple[int, int]:
        """Return value, an int or a pair (rows, columns), as a pair."""
        pair = value if isinstance(value, (tuple, list)) else (value, value)
        right = [isinstance(n, (int, np.integer)) and n >= least for n in pair]
        if len(pair) != 2 or not all(right):
            wanted = f"{name}, a whole number >= {least} or a pair of them"
            raise ValueError(f"{type(self).__name__}: expected {wanted}, got {value!r}.")
        return int(pair[0]), int(pair[1])

    def window_of(self, kernel: Pair, stride: Pair, padding: Pair) -> Window:
        sizes = self.pair("kernel", kernel, 1)
        steps = self.pair("stride", stride, 1)
        return Window(sizes, steps, self.pair("padding", padding, 0))

    def steps(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of kernel positions on an image of this size: (rows, columns)."""
        rows, columns = self.window.outputs((height, width))
        if rows < 1 or columns < 1:
            (kh, kw), _, (ph, pw) = self.window
            padded = f"the padded image of {height + 2 * ph} x {width + 2 * pw}"
            hint = "Use a smaller kernel, more padding or fewer layers."
            raise self.mistake(f"a kernel that fits in {padded}", f"{kh} x {kw}", hint)
        return rows, columns

    def batch_last(self, x: Array, name: str) -> Array:
        """Return x (N, C, H, W) as a contiguous (C, H, W, N): a view if possible, else a copy in buffer `name`."""
        x = x.transpose(1, 2, 3, 0)
        return self.contiguous(x, name)
