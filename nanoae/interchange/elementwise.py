"""Elementwise: an activation's NumPy formula (backend/activations.py) as ONNX nodes, where ONNX has no operator for it.

The formula is called with functions that add nodes where NumPy's would compute.
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


class Memory:
    """An array of the formula: the Value that was written to it last."""

    def __init__(self, value: Value | None = None):
        self.value: Any = value


class Functions:
    """What the formula calls as NumPy."""

    def __getattr__(self, name: str) -> Callable[..., Memory]:
        def write(*arguments: Any, out: Memory | None = None) -> Memory:
            out = Memory() if out is None else out
            values = [a.value if isinstance(a, Memory) else a for a in arguments]
            out.value = FUNCTIONS[name](*values)
            return out

        return write


class SymbolicOps(ActivationOps):
    """The activations of Memory."""

    xp = Functions()

    def __init__(self) -> None:
        """No scratch memory is kept."""

    def scratch(self, like: Any, name: str = "", dtype: Any = None) -> Memory:
        return Memory()


def elementwise(layer: Elementwise, x: Value) -> Value:
    """y of a layer with a `primitive`."""
    primitive = getattr(SymbolicOps(), layer.primitive)
    y: Value = primitive(Memory(x), *layer.config().values()).value
    return y
