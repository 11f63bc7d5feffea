"""Elementwise: an activation's NumPy formula (backend/activations.py) as ONNX nodes, if ONNX has no operator for it.

The formula is called with functions that add nodes instead of computing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanoae.backend.activations import ActivationOps
from nanoae.engine.activations import Elementwise
from nanoae.interchange.graph import Value
from nanoae.spelling import one_of

OPERATORS = {  # NumPy's name -> ONNX's
    "abs": "Abs",
    "add": "Add",
    "divide": "Div",
    "exp": "Exp",
    "log": "Log",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "sqrt": "Sqrt",
    "subtract": "Sub",
    "tanh": "Tanh",
}


class Memory:
    """An array in the formula, represented by the Value last written to it."""

    value: Any = None


class Functions:
    """Replaces NumPy in the formula: functions that add nodes to the graph of x, and store the Values in Memory."""

    def __init__(self, x: Value):
        self.x = x

    def __getattr__(self, name: str) -> Callable[..., Memory]:
        def write(*arguments: Any, out: Memory | None = None) -> Memory:
            out = out or Memory()
            given = [getattr(a, "value", a) for a in arguments]
            first, *others = [self.x.graph.value(a, self.x.dtype) for a in given]
            known = one_of("export: a function of NumPy's", name, OPERATORS)
            out.value = first.apply(OPERATORS[known], *others)
            return out

        return write

    def expm1(self, x: Memory, out: Memory) -> Memory:
        return self.subtract(self.exp(x), 1.0, out=out)

    def log1p(self, x: Memory, out: Memory) -> Memory:
        return self.log(self.add(x, 1.0), out=out)


class SymbolicOps(ActivationOps):
    """The activation primitives, on Memory."""

    def __init__(self, x: Value):
        self.xp = Functions(x)

    def scratch(self, like: Any, name: str = "", dtype: Any = None) -> Memory:
        return Memory()


def elementwise(layer: Elementwise, x: Value) -> Value:
    """The output y of a layer with a `primitive`."""
    primitive = getattr(SymbolicOps(x), layer.primitive)
    y: Value = primitive(x, *layer.settings).value
    return y
