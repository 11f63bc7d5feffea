"""Columns that tell rows apart and nothing else: ids, names, time stamps, row numbers. New rows lie beyond them all."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from nanoae.data.times import PARTS, is_written

FEW = 10  # rows from which there is a word about a column
MOSTLY_OTHERS = (
    0.5  # the share of texts too rare to be learned from which there is a word about them
)
DATES = 0.9  # the share of dates or times that makes a column one of them


def tell_of_ids(
    who: str,
    columns: Iterable[np.ndarray],
    names: Sequence[str] | None = None,
    others: Sequence[float] = (),
) -> None:
    """A warning for each column (N,), of numbers or of texts, that new rows will lie beyond, or of which nothing is
    known; it names the column. others: of each the share of texts that are learned as one, as too rare. And a warning
    of a last row of totals."""
    if any(column.dtype != object and ends_in_total(column) for column in columns):
        warnings.warn(
            f"{who}: the last row holds a sum of all others, as one of totals does. Leave it out.",
            stacklevel=5,
        )
    for i, column in enumerate(columns):
        words = column.dtype == object
        finding = _texts(column, others[i]) if words else _numbers(column)
        if finding is not None:
            name = names[i] if names is not None else i
            drop = (
                f"X.drop(columns=[{name!r}]), --ignore {name}"
                if names is not None
                else f"numpy.delete(X, {i}, 1)"
            )
            remedy = f"Leave it out: {drop}" + finding[1].format(x=f"X[{name!r}]")
            warnings.warn(f"{who}: column {name!r} {finding[0]}. {remedy}.", stacklevel=5)


def _texts(column: np.ndarray, others: float) -> tuple[str, str] | None:
    """(what there is to tell, what more can be done) of a column of texts that are mostly rare, or of dates."""
    counts = Counter(cell for cell in column.tolist() if cell is not None)
    n = counts.total()
    rare = others >= MOSTLY_OTHERS
    dates = sum(count for cell, count in counts.items() if is_written(cell)) >= DATES * n
    if n < FEW or not (rare or dates):
        return None
    what = "dates or times" if dates else "texts"
    found = f"holds {len(counts)} different {what} in {n} rows ({examples(counts)})"
    fate = "new rows will hold others"
    if rare:
        fate += ", so that the rare ones are learned as one category"
    part = ""
    if dates:
        part = f"; or make numbers of what counts in it, such as {PARTS['objects']['instant']}"
    return f"{found}: {fate}", part


def _numbers(column: np.ndarray) -> tuple[str, str] | None:
    """The same of a column of numbers that rises from row to row: by whole numbers, or by the same step;
    or of one of nothing."""
    known = column[~np.isnan(column)]
    if len(column) and not len(known):
        return "holds no value: what new rows hold there is left out", ""
    if len(known) < FEW:
        return None
    if are_days(known):
        message = (
            f"holds dates as numbers, as {known[0]:.0f}, in which a month is 100 and a year 10000"
        )
        return message, "; or make numbers of what counts in them, such as the days since the first"
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(known)
        even = np.ptp(steps) <= 1e-6 * steps.max()
    if not (steps > 0).all():
        return None
    if not even and not (np.floor(known) == known).all():
        return None
    found = f"rises from row to row, from {known[0]:.12g} to {known[-1]:.12g}, as row numbers, ids and times do"
    return f"{found}: new rows will lie beyond all training rows", ""


def ends_in_total(column: np.ndarray) -> bool:
    """Whether the last number of a column is the sum of all others, and farther from 0 than each of them."""
    known = column[~np.isnan(column)]
    if len(known) < FEW:
        return False
    others = known[:-1]
    with np.errstate(over="ignore"):
        total = others.sum()
    alike = np.isclose(total, known[-1], rtol=1e-6, atol=0)
    return bool(alike and abs(total) > np.abs(others).max())


def are_days(numbers: np.ndarray) -> bool:
    """Whether all are dates written as 20240131, from 1900 to 2100, and more than one."""
    if not (numbers.min() >= 1900_01_01 and numbers.max() <= 2100_12_31 and np.ptp(numbers) > 0):
        return False
    months = numbers // 100 % 100
    days = numbers % 100
    right = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    return bool((right & (numbers == np.floor(numbers))).all())


def examples(cells: Iterable[str]) -> str:
    """The first few different ones."""
    some = [f"{cell!r:.40}" for cell in dict.fromkeys(cells)]
    listed = ", ".join(some[:3])
    return f"{listed}, ..." if len(some) > 3 else listed
