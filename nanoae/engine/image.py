"""Images in memory: everyone sees (N, C, H, W), with the batch in front; in memory the batch is innermost.

A layer on images works on contiguous (C, H, W, N) arrays (`backend/images.py` says why) and hands out views of them
with the batch in front. What comes from another layer on images is taken as it lies; everything else is copied once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.backend import Array, Shape
from nanoae.backend.images import Window
from nanoae.engine.layers import Layer

Pair = int | tuple[int, int]  # both, or (rows, columns)


def batch_first(x: Array) -> Array:
    """(C, H, W, N) seen as (N, C, H, W)."""
    return x.transpose(3, 0, 1, 2)


class ImageLayer(Layer):
    """The base of layers on images, inputs (N, C, H, W)."""

    window: Window

    def check_image(self, in_shape: Shape) -> None:
        hint = "Reshape((C, H, W)) before it makes images of vectors."
        self.check_shape(len(in_shape) == 3, "images, inputs of shape (N, C, H, W)", hint)

    def pair(self, name: str, value: Any, least: int) -> tuple[int, int]:
        """An int, or a pair of them for rows and columns, as a pair."""
        pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
        right = all(isinstance(n, (int, np.integer)) and n >= least for n in pair)
        if len(pair) != 2 or not right:
            wanted = f"{name}, a whole number >= {least} or a pair of them"
            raise ValueError(f"{type(self).__name__}: expected {wanted}, got {value!r}.")
        return int(pair[0]), int(pair[1])

    def window_of(self, kernel: Pair, stride: Pair, padding: Pair) -> Window:
        sizes = self.pair("kernel", kernel, 1)
        steps = self.pair("stride", stride, 1)
        return Window(sizes, steps, self.pair("padding", padding, 0))

    def steps(self, height: int, width: int) -> tuple[int, int]:
        """How often the window fits on an image of this size, down and across."""
        rows, columns = self.window.outputs((height, width))
        if rows < 1 or columns < 1:
            (kh, kw), _, (ph, pw) = self.window
            padded = f"the padded image of {height + 2 * ph} x {width + 2 * pw}"
            hint = "A smaller kernel, more padding or fewer layers fit."
            raise self.mistake(f"a kernel that fits on {padded}", f"{kh} x {kw}", hint)
        return rows, columns

    def batch_last(self, x: Array, name: str) -> Array:
        """x (N, C, H, W) as contiguous (C, H, W, N): the same memory where it lies so, else a copy in `name`."""
        x = x.transpose(1, 2, 3, 0)
        if x.flags.c_contiguous:
            return x
        return self.ops.copy(x, out=self.memory(name, x.shape))
