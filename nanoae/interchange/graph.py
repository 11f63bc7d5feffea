"""Graph: an ONNX graph built with NumPy-like expressions: `x @ W + b` adds the nodes MatMul and Add.

ONNX operator set 20 (ONNX 1.15, December 2023). The operators are documented at onnx.ai/onnx/operators.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nanoae.extra import extra

OPERATORS, FORMAT = 20, 9  # versions of the operator set and of the file format
LARGEST = 2**31 - 1  # maximum size of a protocol buffer file in bytes
SINGLE = {"AveragePool", "Conv", "ConvTranspose", "Elu", "GRU", "Gelu", "LeakyRelu", "Softplus"}
OUTPUTS = {"GRU": 2, "TopK": 2}  # operators with more than one output

# name -> (type, shape without the batch)
Signature = dict[str, tuple[np.dtype, tuple[int, ...]]]


def adding(operator: str, dtype: Any = None) -> Any:
    """A method that adds operator(self, other)."""

    def method(self: Value, other: Any) -> Value:
        return self.apply(operator, other, dtype=dtype)

    return method


class Value:
    """A tensor of a graph: the result of a node, a constant or an input. Arithmetic with it adds nodes."""

    __array_ufunc__ = None  # array * value calls this class's __rmul__

    def __init__(self, graph: Graph, name: str, dtype):
        self.graph = graph
        self.name = name
        self.dtype = np.dtype(dtype)
        self.kind = self.dtype.kind

    def apply(self, operator: str, *others, **attributes) -> Value:
        """operator(self, *others)"""
        return self.graph.node(operator, self, *others, **attributes)

    __add__ = __radd__ = adding("Add")
    __sub__ = adding("Sub")
    __mul__ = __rmul__ = adding("Mul")
    __truediv__ = adding("Div")
    __matmul__ = adding("MatMul")
    __lt__ = adding("Less", bool)
    __le__ = adding("LessOrEqual", bool)
    __gt__ = adding("Greater", bool)
    __ge__ = adding("GreaterOrEqual", bool)
    equal = adding("Equal", bool)

    def __rsub__(self, other):
        return self.graph.value(other, self.dtype) - self

    def __rtruediv__(self, other):
        return self.graph.value(other, self.dtype) / self

    def cast(self, dtype) -> Value:
        """Cast to another type."""
        if self.dtype == dtype:
            return self
        number = self.graph.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.apply("Cast", to=number, dtype=dtype)

    def reshape(self, *shape: int) -> Value:
        return self.apply("Reshape", list(shape))

    def transpose(self, *axes: int) -> Value:
        return self.apply("Transpose", perm=axes)

    def part(self, start: int, stop: int, axis: int = 1) -> Value:
        """self[:, start:stop]"""
        return self.apply("Slice", [start], [stop], [axis])

    def take(self, places: Any, axis: int = 0) -> Value:
        """self[places] along the axis; places: integers, a Value or an array."""
        return self.apply("Gather", places, axis=axis)

    def sum(self, *axes: int, keep: bool = False) -> Value:
        return self.apply("ReduceSum", list(axes), keepdims=int(keep))

    def mean(self, *axes: int, keep: bool = False) -> Value:
        return self.apply("ReduceMean", list(axes), keepdims=int(keep))

    def where(self, yes: Any, no: Any) -> Value:
        """yes where self (bool) is True, else no."""
        kind = yes.dtype if isinstance(yes, Value) else getattr(no, "dtype", self.dtype)
        yes = self.graph.value(yes, kind)
        no = self.graph.value(no, kind)
        return self.graph.node("Where", self, yes, no, dtype=kind)

    def is_nan(self) -> Value:
        return self.apply("IsNaN", dtype=bool)


class Graph:
    """Nodes, constants, inputs and outputs, in the order of their creation.

    single       make inputs and outputs float32 that would be float64; intermediate values keep their type
    remembered   values that one layer stores for another, by layer
    """

    def __init__(self, single: bool = False):
        self.single = single
        self.helper = extra("onnx.helper")
        self.numpy_helper = extra("onnx.numpy_helper")
        self.nodes: list[Any] = []
        self.inputs: Signature = {}
        self.outputs: Signature = {}
        self.constants: dict[bytes, Any] = {}
        self.remembered: dict[Any, Value] = {}

    def node(self, operator: str, *inputs, dtype=None, output: int = 0, **attributes) -> Value:
        """Add operator(*inputs); return its result number `output`, of the first input's type unless `dtype` is given.

        Inputs are Values, None for omitted ones, lists of integers, and arrays and numbers, which become constants of
        the first input's type. onnxruntime has some operators only in float32 (SINGLE): float64 inputs are cast for
        these, and their results back.
        """
        first = next(value for value in inputs if isinstance(value, Value))
        if operator in SINGLE and first.dtype == np.float64:
            singles = [
                value.cast(np.float32) if isinstance(value, Value) else value for value in inputs
            ]
            result = self.node(operator, *singles, output=output, **attributes)
            return result.cast(np.float64)
        names = ["" if value is None else self.value(value, first.dtype).name for value in inputs]
        name = f"{operator}_{len(self.nodes)}"
        results = [f"{name}_{i}" for i in range(OUTPUTS.get(operator, 1))]
        self.nodes.append(self.helper.make_node(operator, names, results, name, **attributes))
        return Value(self, results[output], dtype or first.dtype)

    def value(self, value: Any, dtype) -> Value:
        """A Value unchanged; a list of integers as int64; an integer array unchanged; anything else as `dtype`."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        if isinstance(value, list):
            array = array.astype(np.int64)
        elif array.dtype.kind not in "iubUO" or not isinstance(value, np.ndarray):
            array = array.astype(dtype)
        return self.constant(array)

    def constant(self, array: np.ndarray) -> Value:
        """A constant; equal arrays share one."""
        if array.dtype.kind == "U":
            array = array.astype(object)
        tensor = self.numpy_helper.from_array(array)
        key = hashlib.sha256(tensor.SerializeToString()).digest()
        if key not in self.constants:
            tensor.name = f"constant_{len(self.constants)}"
            self.constants[key] = tensor
        return Value(self, self.constants[key].name, array.dtype)

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        return values[0] if len(values) == 1 else self.node("Concat", *values, axis=axis)

    def input(self, name: str, dtype, shape: Sequence[int]) -> Value:
        """An input (N, *shape)."""
        outside = self._outside(dtype)
        self.inputs[name] = outside, tuple(shape)
        return Value(self, name, outside).cast(np.dtype(dtype))

    def noise(self, n: int, dtype: Any) -> Value:
        """n further columns (N, n) of the input `noise`, samples of N(0, 1)."""
        _, (start,) = self.inputs.get("noise", (None, (0,)))
        stop = start + n
        noise = self.input("noise", dtype, (stop,))
        return noise.part(start, stop)

    def _outside(self, dtype: Any) -> np.dtype:
        return np.dtype(np.float32 if self.single and dtype == np.float64 else dtype)

    def output(self, name: str, value: Value, shape: Sequence[int]) -> None:
        """Make `value` (N, *shape) an output of this name."""
        value = value.cast(self._outside(value.dtype))
        node = self.helper.make_node("Identity", [value.name], [name], name)
        self.nodes.append(node)
        self.outputs[name] = value.dtype, tuple(shape)

    def summary(self) -> str:
        """One line for each input and output: name, shape and type."""
        lines = []
        for end, named in (("input", self.inputs), ("output", self.outputs)):
            for name, (dtype, shape) in named.items():
                kind = "text" if dtype.kind == "O" else dtype
                sizes = ", ".join(["N", *map(str, shape)])
                lines.append(f"{end:<7} {name:<15} ({sizes})  {kind}")
        return "\n".join(lines)

    def _described(self, tensors: Signature) -> list[Any]:
        kind = self.helper.np_dtype_to_tensor_dtype
        return [
            self.helper.make_tensor_value_info(name, kind(dtype), ["N", *shape])
            for name, (dtype, shape) in tensors.items()
        ]

    def file(self, notes: dict[str, Any]) -> bytes:
        """The graph as a checked ONNX file; notes: data for JSON, stored as the metadata "nanoae"."""
        from nanoae import __version__

        tensors = list(self.constants.values())
        size = sum(tensor.ByteSize() for tensor in tensors)
        if size > LARGEST:
            raise ValueError(
                f"export: expected a model of less than 2 GB, the limit of ONNX files, got {size:,} bytes."
            )
        ends = self._described(self.inputs), self._described(self.outputs)
        graph = self.helper.make_graph(self.nodes, "nanoae", *ends, tensors)
        model = self.helper.make_model(
            graph,
            opset_imports=[self.helper.make_opsetid("", OPERATORS)],
            ir_version=FORMAT,
            producer_name="nanoae",
            producer_version=__version__,
        )
        self.helper.set_model_props(model, {"nanoae": json.dumps(notes)})
        extra("onnx.checker").check_model(model, full_check=True)
        return model.SerializeToString()


class Formulas:
    """A function for each class of its first argument, like `functools.singledispatch`.

    ValueError if there is none. A user's subclass needs its own function, since it may behave differently from its base
    class.
    """

    def __init__(self, of: Callable[..., Any]):
        self.of = functools.singledispatch(of)
        self.register: Any = self.of.register
        functools.update_wrapper(self, of)

    def __call__(self, part: Any, *others: Any) -> Any:
        kind = type(part)
        root = self.of.registry[object]
        found = self.of.dispatch(kind)
        own = kind.__module__.startswith("nanoae.")
        inherits = own and found is not root
        if kind not in self.of.registry and not inherits:
            raise ValueError(
                f"export: expected a part with an ONNX formula, got {part!r:.80}, {kind.__name__} of {kind.__module__}."
                f" For your own class, register one: {root.__module__}.{root.__name__}.register."
            )
        return found(part, *others)
