"""Recorder: primitives that write down each call, so that nothing has to be built into a layer to watch it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops


@dataclass
class Call:
    """A primitive, its arguments in order without `out`, and the array it wrote: all in the layer's own memory."""

    name: str
    arguments: list[Any]
    result: Array


class RecordingOps(Ops):
    """The plain primitives, each with a note of its call in `calls`. What one calls within itself is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.within = False


def recorded(name: str, primitive: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(primitive)

    @functools.wraps(primitive)
    def call(self: RecordingOps, *args: Any, **kwargs: Any) -> Any:
        if self.within:
            return primitive(self, *args, **kwargs)
        self.within = True
        try:
            result = primitive(self, *args, **kwargs)
        finally:
            self.within = False
        bound = signature.bind(self, *args, **kwargs).arguments
        arguments = [value for key, value in bound.items() if key not in ("self", "out")]
        self.calls.append(Call(name, arguments, result))
        return result

    return call


for name, primitive in inspect.getmembers(Ops, inspect.isfunction):
    if name.endswith("_inplace") or "out" in inspect.signature(primitive).parameters:
        setattr(RecordingOps, name, recorded(name, primitive))


def same_memory(a: Any, b: Any) -> bool:
    """Whether both are the same numbers in the same place, in the same order."""
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return False
    same_place = a.ctypes.data == b.ctypes.data
    return same_place and a.shape == b.shape and a.strides == b.strides
