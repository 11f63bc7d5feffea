"""A step as text: move by move, each array as a matrix, each gradient beside its finite differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nanoae.trace.check import Check
from nanoae.trace.number import Term
from nanoae.trace.step import PARTS, Move, Step

MOST_PARTS = 12  # parts whose sums are printed below a number


def digits(value: float) -> str:
    """Format with four decimals, or in scientific notation if these are too few or too many."""
    size = abs(value)
    plain = size == 0 or 1e-3 <= size < 1e5
    return f"{value:.4f}" if plain else f"{value:.2e}"


def matrix(values: np.ndarray, check: Check | None = None) -> list[str]:
    """One line per row; wrong gradients are marked with !, those at a kink with ~."""
    if values.ndim > 2:
        values = values.reshape(len(values), -1)
    rows = np.atleast_2d(values)
    marks = np.full(rows.shape, " ")
    if check is not None:
        verdicts = np.where(check.ok, " ", "!")
        marks = np.where(check.kink, "~", verdicts).reshape(rows.shape)
    cells = [
        [digits(v) + mark for v, mark in zip(*row, strict=True)]
        for row in zip(rows, marks, strict=True)
    ]
    width = max(len(cell) for row in cells for cell in row)
    return [" ".join(cell.rjust(width) for cell in row) for row in cells]


def sum_of(step: Step, move: Move, products: list[Term], parts: list[int]) -> str:
    """How one number was computed: "x[0, 0] · W[0, 0] + ... = 0.5000 · 1.0000 + ...". Parts get names, s1, s2, ..."""
    own = {entry: name for name, entry in move.known.items()}
    texts = []
    for term in products:
        names = []
        numbers = []
        for entry, flat in term.cells:
            if entry == PARTS:
                if flat not in parts:
                    parts.append(flat)
                name = f"s{parts.index(flat) + 1}"
                value, _ = step.parts[flat]
            else:
                array = step.entries[entry]
                index = [int(i) for i in np.unravel_index(flat, array.values.shape)]
                name = f"{own.get(entry, array.name)}{index}"
                value = array.values.flat[flat]
            names.append(name)
            text = digits(value)
            numbers.append(f"({text})" if value < 0 else text)
        texts.append((term.text.format(*names), term.text.format(*numbers)))
    rest = " + ..." if len(texts) > 1 else ""
    counted = " + ".join(numbers for _, numbers in texts).replace("+ -", "- ")
    return f"{texts[0][0]}{rest} = {counted}"


def side_by_side(left: list[str], right: list[str]) -> list[str]:
    width = max(map(len, left))
    return [
        f"{a.ljust(width)}   {b}".rstrip()
        for a, b in itertools.zip_longest(left, right, fillvalue="")
    ]


def describe(step: Step, number: int, move: Move, every: bool) -> Iterator[str]:
    """The lines of one move; with `every`, the sum of each number instead of the first only."""
    entry = step.entries[move.result]
    yield f"{number:3}  {move.phase.upper():<9}{move.where}:  {move.formula}"
    check = move.check
    lines = matrix(entry.values, check)
    lines = [f"{entry.name} {entry.values.shape}", *lines]
    if check is not None:
        wrong = np.count_nonzero(~check.ok)
        verdict = f"WRONG in {wrong} of {check.ok.size}" if wrong else "ok"
        lines = side_by_side(lines, [f"by finite differences: {verdict}", *matrix(check.numeric)])
    yield from (f"     {line}" for line in lines)
    places = zip(np.ndindex(entry.values.shape), entry.sums, strict=False)
    for index, products in places if every else itertools.islice(places, 1):
        parts: list[int] = []  # grows below: parts contain parts
        made = sum_of(step, move, products, parts)
        where = f"{entry.name}{list(index) if index else ''}"
        yield f"     {where} = {made} = {digits(entry.values[index])}"
        for i, part in enumerate(itertools.islice(parts, MOST_PARTS), 1):
            value, products = step.parts[part]
            made = sum_of(step, move, products, parts)
            yield f"       s{i} = {made} = {digits(value)}"


def as_text(step: Step, every: bool = False) -> str:
    """The whole step."""
    lines = ["     GIVEN"]
    for entry in step.entries:
        if entry.made is None and entry.name in ("x", "t"):
            lines += [
                f"     {entry.name} {entry.values.shape}",
                *(f"     {row}" for row in matrix(entry.values)),
                "",
            ]
    for i, move in enumerate(step.moves, 1):
        lines += [*describe(step, i, move, every), ""]
    return "\n".join(lines)
