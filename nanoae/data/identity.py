"""Columns that only identify rows: ids, names, time stamps, row numbers. New rows lie outside their training range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from nanoae.data.times import PARTS, is_written
from nanoae.warning import warn

FEW = 10  # least number of rows for a warning
MOSTLY_OTHERS = 0.5  # share of texts too rare to be learned, from which there is a warning
DATES = 0.9  # share of dates or times that makes a column one of dates


def warn_about_ids(
    who: str,
    columns: Iterable[np.ndarray],
    names: Sequence[str] | None = None,
    others: Sequence[float] = (),
) -> None:
    """Warn about columns (N,) of numbers or texts that identify rows or hold no values, and about a row of totals.

    others   for each column the share of texts too rare to be categories of their own
    """
    if any(column.dtype != object and ends_in_total(column) for column in columns):
        warn(
            f"{who}: the last row holds the sum of all others, like a row of totals. Leave it out."
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
            warn(f"{who}: column {name!r} {finding[0]}. {remedy}.")


def _texts(column: np.ndarray, others: float) -> tuple[str, str] | None:
    """Return (finding, additional remedy) for a column of mostly rare texts or of dates, else None."""
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
        fate += ", so the rare ones are learned as one category"
    part = ""
    if dates:
        kind = "instant" if any(":" in cell for cell in counts) else "day"
        part = f"; or convert it to numbers, such as {PARTS['objects'][kind]}"
    return f"{found}: {fate}", part


def _numbers(column: np.ndarray) -> tuple[str, str] | None:
    """Return the same for a column of numbers: dates, or values that rise from row to row by whole numbers or by a
    constant step, or no values."""
    known = column[~np.isnan(column)]
    if len(column) and not len(known):
        return "holds no value, so its values in new rows are ignored", ""
    if len(known) < FEW:
        return None
    if are_days(known):
        message = f"holds dates as numbers, such as {known[0]:.0f}, so a month counts 100 and a year 10000"
        return message, "; or convert it to better numbers, such as the days since the first date"
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(known)
        even = np.ptp(steps) <= 1e-6 * steps.max()
    whole = (np.floor(known) == known).all()
    if not ((steps > 0).all() and (even or whole)):
        return None
    found = f"rises from row to row, from {known[0]:.12g} to {known[-1]:.12g}, like row numbers, ids and times"
    return f"{found}: new rows will lie outside the range of all training rows", ""


def ends_in_total(column: np.ndarray) -> bool:
    """Return True if the last number of a column is the sum of all others, and larger in magnitude than each."""
    known = column[~np.isnan(column)]
    if np.count_nonzero(known) < FEW:  # 1, 1 and 2 among zeros are counts
        return False
    others = known[:-1]
    with np.errstate(over="ignore"):
        total = others.sum()
    alike = np.isclose(total, known[-1], rtol=1e-6, atol=0)
    return bool(alike and abs(total) > np.abs(others).max())


def are_days(numbers: np.ndarray) -> bool:
    """Return True if all numbers are dates written like 20240131, from 1900 to 2100, and more than one."""
    if not (numbers.min() >= 1900_01_01 and numbers.max() <= 2100_12_31 and np.ptp(numbers) > 0):
        return False
    months = numbers // 100 % 100
    days = numbers % 100
    right = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    return bool((right & (numbers == np.floor(numbers))).all())


def examples(cells: Iterable[str]) -> str:
    """Return the first three distinct texts, for messages."""
    some = [f"{cell!r:.40}" for cell in dict.fromkeys(cells)]
    listed = ", ".join(some[:3])
    return f"{listed}, ..." if len(some) > 3 else listed
