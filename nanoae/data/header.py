"""The header: detect whether the first row of a text table holds column names or values.

Texts above columns of numbers are names. Numbers may be names as well: 0, 1, 2 of an unnamed array, years, wavelengths.
They are distinguished from values by their notation and order; the user decides where that leaves doubt.
"""

from __future__ import annotations

from itertools import pairwise

from nanoae.data.missing import is_gap
from nanoae.data.number import number
from nanoae.data.separator import share_of_numbers

LOOK = 1000  # most columns checked
SURE = 5  # least number of names whose order, absent from the rows below, is no coincidence


def is_header(first: list[str], body: list[list[str]]) -> bool | None:
    """Return True if the `first` row names the columns of the rows in `body`, None if it could be either."""
    body = [row for row in body if len(row) == len(first)]
    first = first[:LOOK]
    columns = [[row[j].strip() for row in body] for j in range(len(first))]
    numbers = [j for j, cell in enumerate(first) if number(cell)]
    names = [j for j, cell in enumerate(first) if cell and not number(cell) and not is_gap(cell)]
    repeated = [j for j in names if first[j] in columns[j]]  # names that also occur as values
    if not names:
        # Only marks of missing values; but NA may also be the name of a column for sodium.
        marks = any(first) and not numbers
        return None if marks else numbers_are_names(first, columns)
    above = [j for j in names if share_of_numbers(columns[j]) >= 0.5]  # columns of numbers
    if not numbers:
        return True if above or len(repeated) < len(names) else None
    whole = all(first[j].isdigit() for j in numbers)
    if not set(above) <= set(repeated):
        values = [found.value() for found in map(number, first) if found]
        if len(set(values)) < len(values):
            return False
        return whole or (len(values) > 1 and in_order(values))
    if repeated:
        return False
    return numbers_are_names(first, columns) or (None if whole else False)


def numbers_are_names(first: list[str], columns: list[list[str]]) -> bool | None:
    """Decide `is_header` by the numbers of the first row alone."""
    pairs = zip(first, columns, strict=True)
    there = [(number(cell), column) for cell, column in pairs if any(column)]
    names = [(name, [*map(number, column)]) for name, column in there if name]
    values = [name.value() for name, _ in names]
    n = len(names)
    if n == 0 or len(set(values)) < n:
        return False
    below = [[cell for cell in column if cell] for _, column in names]
    texts = not all(below) and len(columns[0]) >= 3  # a number as the header of a text column
    otherwise = [
        name.kind not in [cell.kind for cell in cells]
        for (name, _), cells in zip(names, below, strict=True)
    ]
    values_below = [[cell.value() for cell in cells] for cells in below]
    far = all(map(is_far, values, values_below))
    rows = [
        [cell.value() for cell in row if cell]
        for row in zip(*(column for _, column in names), strict=True)
        if all(row)
    ]
    orders = [is_even] if n < 8 else [is_even, in_order]
    few = len(rows) // 10
    ordered = any(order(values) and sum(map(order, rows)) <= few for order in orders)
    continues = any(
        is_even([x, *others])
        for x, others in zip(values, values_below, strict=True)
        if len(others) > 2
    )
    counted = values == list(range(n))  # like the columns of an unnamed array
    sure = ordered and n > 2 and (far or texts or n >= SURE)
    many = n > 2 and len(rows) > 2
    sure = sure or (all(otherwise) and (counted or many))
    sure = sure or (counted and any(otherwise) and many)
    if sure and not continues:
        return True
    # most rows are evenly spaced, and the first may be one of them
    alike = sum(map(is_even, rows)) > len(rows) / 2
    if sure or all(otherwise) or ordered or far or texts:
        return None
    return None if counted and not alike else False


def is_even(values: list[float]) -> bool:
    """Return True for three or more evenly spaced numbers."""
    steps = [b - a for a, b in pairwise(values)]
    if len(steps) < 2 or steps[0] == 0:
        return False
    largest = max(map(abs, values))
    return max(steps) - min(steps) <= 1e-6 * largest


def in_order(values: list[float]) -> bool:
    """Return True if the numbers strictly rise or strictly fall."""
    steps = [b - a for a, b in pairwise(values)]
    return min(steps) > 0 or max(steps) < 0


def is_far(x: float, values: list[float]) -> bool:
    """Return True if x lies outside these values (five or more) by more than their range, or if there are none."""
    if not values:
        return True
    low = min(values)
    high = max(values)
    return len(values) >= 5 and max(low - x, x - high) > high - low
