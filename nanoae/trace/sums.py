"""Sums: how each number of an array was made, as a sum of products, read off the primitives that were called.

An axis has a letter, as in the docstrings: y[n, o] = Σ_i x[n, i] W[i, o] + b[o]. A letter that the result does not have
is summed over. A digit in its place is that row: dy[0, o].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanoae.backend import Ops
from nanoae.trace.recorder import Call, same_memory

BATCH, INPUT, OUTPUT = "nio"
# of a layer's arrays; elementwise, both sides are "no"
MATRICES = {"x": "ni", "dx": "ni", "y": "no", "dy": "no"}


@dataclass
class Factor:
    """One factor of a product.

    values    its numbers, an axis for each of `letters`
    text      how it is written, as "(1 - {0}²)": {0}, {1} are numbers of the arrays in `sources`
    sources   (number of the array, letters of its axes, what the layer calls it)
    """

    values: np.ndarray
    letters: str
    text: str = "{0}"
    sources: list[tuple[int, str, str]] = field(default_factory=list)


Product = list[Factor]


@dataclass
class Sum:
    """Products, added up for each element of the result, whose axes are `letters`."""

    letters: str
    products: list[Product]

    def sizes(self) -> dict[str, int]:
        """Letter -> the length of its axis."""
        factors = [factor for product in self.products for factor in product]
        return {
            letter: size
            for factor in factors
            for letter, size in zip(factor.letters, factor.values.shape, strict=True)
        }

    def terms(self, index: tuple[int, ...]) -> Iterator[list[tuple[Factor, dict[str, int]]]]:
        """The products that make up the element `index`: each factor, with where its letters stand."""
        sizes = self.sizes()
        for product in self.products:
            letters = dict.fromkeys("".join(factor.letters for factor in product))
            summed = [letter for letter in letters if letter not in self.letters]
            ranges = [range(sizes[letter]) for letter in summed]
            for place in itertools.product(*ranges):
                at = dict(zip(self.letters, index, strict=True))
                at |= zip(summed, place, strict=True)
                yield [(factor, at) for factor in product]

    def value(self, index: tuple[int, ...]) -> float:
        """The terms, added up."""
        products = []
        for term in self.terms(index):
            numbers = [number(factor, at) for factor, at in term]
            products.append(np.prod(numbers))
        return float(sum(products))


def number(factor: Factor, at: dict[str, int]) -> float:
    index = tuple(at[letter] for letter in factor.letters)
    return float(factor.values[index])


def literal(value: float, text: str = "") -> Factor:
    if not text:
        text = f"({value:.6g})" if value < 0 else f"{value:.6g}"
    return Factor(np.asarray(float(value)), "", text)


# (an array of the layer, the letters of its axes) -> the factor that it is
Name = Callable[[Any, str], Factor]


def explain(
    ops: Ops, calls: list[Call], out: Any, letters: str, name: Name, start: list[Product]
) -> list[Product]:
    """The products that `calls` have made of `out`, on top of `start`; none where it is no sum of products."""
    products = start
    for call in calls:
        if not same_memory(call.result, out):
            continue
        x, *rest = call.arguments
        if call.name == "matmul":
            (summed,) = set("nio") - set(letters)
            left = name(x, letters[0] + summed)
            right = name(rest[0], summed + letters[1])
            products = [[left, right]]
        elif call.name == "sum_rows":
            products = [[name(x, "n" + letters)]]
        elif call.name == "copy":
            products = [[name(x, letters)]]
        elif call.name == "multiply" and isinstance(rest[0], np.ndarray):
            products = [[name(x, letters), name(rest[0], letters)]]
        elif call.name not in ADDITIONS:
            products = elementwise(ops, call, letters, name)
        elif not products:
            break  # of what is added to, the sum is not known
        elif call.name == "scale_inplace":
            products = [[literal(rest[0]), *product] for product in products]
        else:
            axes = letters[-1:] if call.name == "add_bias_inplace" else letters
            products = [*products, [name(rest[0], axes)]]
    return products if adds_up(Sum(letters, products), out) else []


ADDITIONS = ("add_bias_inplace", "add_inplace", "scale_inplace")


def adds_up(found: Sum, out: Any) -> bool:
    """Whether the sum is the array that it was read for: a layer may do with its memory what is not noted here."""
    factors = [factor for product in found.products for factor in product]
    if any(factor.values.ndim != len(factor.letters) for factor in factors):
        return False
    first = (0,) * out.ndim
    last = tuple(size - 1 for size in out.shape)

    def alike(index: tuple[int, ...]) -> bool:
        return bool(np.isclose(found.value(index), out[index], rtol=1e-4, atol=1e-6))

    return alike(first) and alike(last)


DERIVATIVES = {  # as functions of the y = f(x) that is handed to them, {0}
    "relu_backward": "[{0} > 0]",
    "sigmoid_backward": "{0} (1 - {0})",
    "tanh_backward": "(1 - {0}²)",
    "softplus_backward": "(1 - e^-{0})",
}


def elementwise(ops: Ops, call: Call, letters: str, name: Name) -> list[Product]:
    """y = f(x), or dx = dy · f'(y): f' is what the primitive itself makes of dy = 1."""
    arrays = [a for a in call.arguments if isinstance(a, np.ndarray)]
    if any(a.shape != call.result.shape for a in arrays):
        return []
    if len(arrays) == 1:
        f = name(arrays[0], letters)
        return [[Factor(call.result.copy(), letters, f"{call.name}({{0}})", f.sources)]]
    if len(arrays) != 2 or not call.name.endswith("_backward"):
        return []
    dy, y = arrays
    primitive = getattr(ops, call.name)
    ones = np.ones_like(y)
    slope = primitive(ones, y, *call.arguments[2:], out=np.empty_like(y))
    f = name(y, letters)
    text = DERIVATIVES.get(call.name, call.name.removesuffix("_backward") + "'({0})")
    return [[name(dy, letters), Factor(slope, letters, text, f.sources)]]
