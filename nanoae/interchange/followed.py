"""Followed: an activation's NumPy formula (backend/activations.py) as ONNX nodes, where it has none of its own.

The formula is called with functions that add nodes where NumPy's would compute, so a new activation can be exported as
soon as it has a primitive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanoae.backend.activations import ActivationOps
from nanoae.engine.activations import Elementwise
from nanoae.interchange.graph import Value

FUNCTIONS: dict[str, Callable[..., Value]] = {  # NumPy's, of Values and numbers
    "abs": lambda a: a.apply("Abs"),
    "add": lambda a, b: a + b,
    "divide": lambda a, b: a / b,
    "exp": lambda a: a.apply("Exp"),
    "expm1": lambda a: a.apply("Exp") - 1.0,
    "log1p": lambda a: (a + 1.0).apply("Log"),
    "maximum": lambda a, b: a.apply("Max", b),
    "minimum": lambda a, b: a.apply("Min", b),
    "multiply": lambda a, b: a * b,
    "negative": lambda a: a.apply("Neg"),
    "sqrt": lambda a: a.apply("Sqrt"),
    "subtract": lambda a, b: a - b,
    "tanh": lambda a: a.apply("Tanh"),
}


class Place:
    """Memory that a formula writes to: the Value that was written last."""

    value: Any = None


class Functions:
    """What the formula calls as NumPy."""

    def __getattr__(self, name: str) -> Callable[..., Place]:
        function = FUNCTIONS[name]

        def follow(*arguments: Any, out: Place | None = None) -> Place:
            out = Place() if out is None else out
            values = [a.value if isinstance(a, Place) else a for a in arguments]
            out.value = function(*values)
            return out

        return follow


class Followed(ActivationOps):
    """The primitives, whose results are Places."""

    def __init__(self) -> None:
        self.xp = Functions()  # type: ignore[assignment]

    def scratch(self, like: Any, name: str = "", dtype: Any = None) -> Place:
        return Place()


def followed(layer: Elementwise, x: Value) -> Value:
    """y of a layer with a `primitive`."""
    primitive = getattr(Followed(), layer.primitive)
    settings = layer.config().values()
    y: Value = primitive(x, *settings, out=Place()).value
    return y
