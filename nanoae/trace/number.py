"""Numbers that record how they were computed. A layer that runs its forward and backward on arrays of them yields the
sum behind each number of its results."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from nanoae.backend import Ops

FEW = 3  # maximum cells of an expression inside a product; a longer one becomes a part with its own sum
Cell = tuple[int, int]  # (index of an array, flat index in it)


class Number(NDArrayOperatorsMixin):
    """A cell, or the result of the ufunc `name` applied to `arguments`, Numbers and floats."""

    def __init__(
        self,
        value: float,
        name: str = "",
        arguments: tuple[Any, ...] = (),
        cell: Cell | None = None,
    ):
        self.value = value
        self.name = name
        self.arguments = arguments
        self.cell = cell
        sizes = [a.size for a in arguments if isinstance(a, Number)]
        # length of its text, in cells
        self.size: int = sum(1 if size > FEW else size for size in sizes) or 1

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *arguments: Any) -> Any:
        whole = any(isinstance(a, np.ndarray) for a in arguments)
        return Elementwise(ufunc)(*arguments) if whole else made(ufunc, *arguments)

    def __float__(self) -> float:
        return self.value

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    __hash__ = object.__hash__


ASSOCIATIVE = {  # name and neutral element
    np.add: ("add", 0.0),
    np.multiply: ("multiply", 1.0),
    np.maximum: ("max", -math.inf),
    np.minimum: ("min", math.inf),
}


def made(ufunc: np.ufunc, *arguments: Any) -> Any:
    """ufunc(*arguments): a Number, or a float if all arguments are floats. Nested sums and products are flattened."""
    value = float(ufunc(*map(float, arguments)))
    if not any(isinstance(a, Number) for a in arguments):
        return value
    if ufunc is np.negative:
        return made(np.multiply, -1.0, *arguments)
    if ufunc is np.subtract:
        return made(np.add, arguments[0], made(np.multiply, -1.0, arguments[1]))
    squared = ufunc is np.multiply and arguments[0] is arguments[1]
    if squared or (ufunc is np.power and arguments[1] == 2):
        return Number(value, "square", arguments[:1])
    if ufunc not in ASSOCIATIVE:
        return Number(value, ufunc.__name__, arguments)
    name, neutral = ASSOCIATIVE[ufunc]
    flat: list[Any] = []
    for a in arguments:
        flat += a.arguments if isinstance(a, Number) and a.name == name else [a]
    found: list[Any] = [a for a in flat if isinstance(a, Number)]
    literals = [float(a) for a in flat if not isinstance(a, Number)]
    literal = float(ufunc.reduce(literals, initial=neutral))
    if literal != neutral:
        found.insert(0, literal)
    return found[0] if len(found) == 1 else Number(value, name, tuple(found))


class Elementwise:
    """A ufunc on arrays of Numbers."""

    def __init__(self, ufunc: np.ufunc):
        self.ufunc = ufunc

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ufunc, name)

    def __call__(self, *arguments: Any, out: Any = None, **_: Any) -> Any:
        of_each = np.frompyfunc(functools.partial(made, self.ufunc), len(arguments), 1)
        arrays = [np.asarray(a, object) for a in arguments]
        result = np.asarray(of_each(*arrays), object)
        if out is None:
            return result
        out[...] = result
        return out


class Module:
    """NumPy with ufuncs that return Numbers."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        elementwise = isinstance(found, np.ufunc) and found.signature is None
        return Elementwise(found) if elementwise else found


class NumberOps(Ops):
    """The plain primitives, on arrays of Numbers."""

    xp = Module()

    def empty(self, shape: Any, dtype: Any) -> Any:
        return np.zeros(shape, object if np.dtype(dtype).kind == "f" else dtype)

    zeros = empty

    def uniform(self, generator: Any, out: Any) -> Any:
        out[...] = generator.random(out.shape)
        return out

    def normal(self, generator: Any, out: Any) -> Any:
        out[...] = generator.standard_normal(out.shape)
        return out


# ---------------------------------------------------------------- as text


class Term(NamedTuple):
    """One product of a sum: its text, as "{0} · (1 - {1}²)", the cells for {0} and {1}, and its value."""

    text: str
    cells: list[Cell]
    value: float


CellOf = Callable[[Number], Cell]  # the cell of an expression with its own sum

JOINED = {"add": " + ", "multiply": " · ", "divide": " / "}
TIGHT = ("multiply", "divide", "square", "power")  # operations whose arguments need parentheses
FORMS = {
    "square": "{}²",
    "sqrt": "√({})",
    "absolute": "|{}|",
    "greater": "[{} > {}]",
    "less": "[{} < {}]",
    "equal": "[{} = {}]",
}


def terms(number: Any, part: CellOf) -> list[Term]:
    """The terms whose sum is a Number or float."""
    found = []
    for product in products(number):
        cells: list[Cell] = []
        text = written(product, cells, part)
        found.append(Term(text, cells, float(product)))
    return found


def products(number: Any) -> Iterator[Any]:
    """The terms of a sum; a factor before a long sum is distributed over its terms."""
    name = getattr(number, "name", "")
    if name == "add":
        for a in number.arguments:
            yield from products(a)
        return
    if name == "multiply" and len(number.arguments) == 2:
        factor, rest = number.arguments
        if isinstance(factor, float) and rest.name == "add" and rest.size > FEW:
            for a in rest.arguments:
                yield from products(made(np.multiply, factor, a))
            return
    yield number


def written(number: Any, cells: list[Cell], part: CellOf, within: str | None = None) -> str:
    """A number as text, with {0}, {1}, ... for cells; `within` is the enclosing operation, or None."""
    if not isinstance(number, Number):
        return f"{number:.6g}"
    if number.cell or (within and number.size > FEW):
        cell = number.cell or part(number)
        if cell not in cells:
            cells.append(cell)
        return f"{{{cells.index(cell)}}}"
    texts = [written(a, cells, part, number.name) for a in number.arguments]
    if number.name not in JOINED:
        places = ", ".join("{}" for _ in texts)
        form = FORMS.get(number.name, f"{number.name}({places})")
        return form.format(*texts)
    text = JOINED[number.name].join(texts).replace("+ -", "- ")
    if text.startswith("-1 · "):
        text = "-" + text.removeprefix("-1 · ")
    return f"({text})" if within in TIGHT else text
