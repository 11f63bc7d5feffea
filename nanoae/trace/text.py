"""A step as text: move by move, each array as a matrix, each gradient beside its differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from nanoae.trace.check import Check
from nanoae.trace.step import Move, Step
from nanoae.trace.sums import Factor, Sum


def digits(value: float) -> str:
    """Four digits behind the point; a power of ten where they would not tell."""
    size = abs(value)
    plain = size == 0 or 1e-3 <= size < 1e5
    return f"{value:.4f}" if plain else f"{value:.2e}"


def matrix(values: np.ndarray, check: Check | None = None) -> list[str]:
    """A line for each row; behind a wrong gradient a !, behind one at a kink a ~."""
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


def factor_by_factor(step: Step, sum: Sum, index: tuple[int, ...]) -> str:
    """How one number was made: "x[0, 0] · W[0, 0] + ... = 0.5000 · 1.0000 + ..."."""
    names = []
    numbers = []
    for term in sum.terms(index):
        names.append(" · ".join(written(step, factor, at, named) for factor, at in term))
        numbers.append(" · ".join(written(step, factor, at, counted) for factor, at in term))
    rest = " + ..." if len(names) > 1 else ""
    return f"{names[0]}{rest} = {' + '.join(numbers)}"


def written(step: Step, factor: Factor, at: dict[str, int], show: Callable[..., str]) -> str:
    """A factor with each of its arrays as `show` puts it."""
    places = []
    for entry, letters, name in factor.sources:
        index = tuple(at[axis] if axis in at else int(axis) for axis in letters)
        places.append(show(name, step.entries[entry].values, index))
    return factor.text.format(*places)


def named(name: str, values: np.ndarray, index: tuple[int, ...]) -> str:
    return f"{name}{list(index)}"


def counted(name: str, values: np.ndarray, index: tuple[int, ...]) -> str:
    text = digits(values[index])
    return f"({text})" if text.startswith("-") else text


def beside(left: list[str], right: list[str]) -> list[str]:
    width = max(map(len, left))
    return [
        f"{a.ljust(width)}   {b}".rstrip()
        for a, b in itertools.zip_longest(left, right, fillvalue="")
    ]


def describe(step: Step, number: int, move: Move, every: bool) -> Iterator[str]:
    """The lines of one move; with `every`, the sum of each of its numbers, and not of the first alone."""
    entry = step.entries[move.result]
    yield f"{number:3}  {move.phase.upper():<9}{move.where}:  {move.formula}"
    check = move.check
    lines = matrix(entry.values, check)
    lines = [f"{entry.name} {entry.values.shape}", *lines]
    if check is not None:
        wrong = np.count_nonzero(~check.ok)
        verdict = f"WRONG in {wrong} of {check.ok.size}" if wrong else "ok"
        lines = beside(lines, [f"by differences: {verdict}", *matrix(check.numeric)])
    yield from (f"     {line}" for line in lines)
    if not move.sum.products:
        return
    places = list(np.ndindex(entry.values.shape))
    if not every:
        places = places[:1]
    for index in places:
        where = f"{entry.name}{list(index) if index else ''}"
        made = factor_by_factor(step, move.sum, index)
        yield f"     {where} = {made} = {digits(entry.values[index])}"


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
