"""The separator of a text table: the character that splits its first lines into equally many cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from contextlib import suppress

from nanoae.data.missing import is_gap
from nanoae.data.number import number

# by priority: a comma may also be a decimal comma, a blank may separate words
MARKS = "\t;|,^~¦\1 "
NONE = "\x1f"  # stands for no separator
BLANKS = re.compile(r'("(?:[^"]|"")*")|[ \t]+')
LOOK = 20  # rows and columns checked


def split(lines: Iterable[str], mark: str):
    """Split lines into rows of cells like csv.reader; the separator " " stands for any number of blanks.

    Quotes must be closed; blanks after a separator are skipped.
    """
    if mark == " ":
        lines = (
            BLANKS.sub(lambda found: found[1] or "\t", line.strip(" \t\r\n")) for line in lines
        )
        mark = "\t"
    return csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True)


def separator_of(lines: list[str]) -> str | None:
    """Return the separator that splits the first lines of a table; of several, the one that yields most numbers.

    Return NONE if each line is one cell, and None if a line may be either one number or several cells.
    """
    rows_by_mark = {mark: equally_split(lines, mark) for mark in MARKS}
    splits = {mark: rows for mark, rows in rows_by_mark.items() if rows}
    if " " in splits and "," in splits:
        cells = [cell for row in splits[","] for cell in row]
        if any(" " in cell.strip() and number(cell) for cell in cells):
            del splits[","]  # decimal commas, as in "1,5 2,5"
    shares = {mark: share_below_header(rows) for mark, rows in splits.items()}
    first, *body = [line.strip() for line in lines if line.strip()] or [""]
    numbers = bool(body) and all(map(number, body))  # each line as a whole
    if shares:
        mark = max(shares, key=lambda mark: (shares[mark], -MARKS.index(mark)))
        decimals = mark == "," and number(first) and are_decimals([first, *body])
        doubt = numbers and (mark == " " or decimals)
        return None if doubt else mark
    if numbers and any(equally_split(lines[1:], mark) for mark in ", "):
        return None
    plain = re.sub(r'"[^"]*"', "", first)
    within = [mark for mark in MARKS[:4] if mark in plain]  # the usual separators
    return next(iter(within + below_title(lines[1:])), NONE)


def below_title(lines: list[str]) -> list[str]:
    """Return the separators that split all lines but the first; a blank only if the cells below are all numbers."""
    found: list[str] = []
    for mark in MARKS:
        rows = equally_split(lines, mark)
        if rows and (mark != " " or share_below_header(rows) == 1):
            found.append(mark)
    return found


def are_decimals(lines: list[str]) -> bool:
    """Return True if the parts after the lines' only commas look like decimals: with leading zeros, followed by a unit,
    or all of one length above 1."""
    parts = [line.partition(",")[2] for line in lines]
    if any(re.match(r"0\d", part) or re.search(r"\D", part) for part in parts):
        return True
    return len(parts[-1]) > 1 and len(set(map(len, parts))) == 1


def first_rows(lines: list[str], mark: str) -> list[list[str]]:
    """Return the rows of cells in the first lines of a file, as far as they are complete."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(filter(None, split(lines, mark)))
    return rows


def equally_split(lines: list[str], mark: str) -> list[list[str]]:
    """Return the rows of cells if all have the same number, above 1, of cells; else []."""
    rows = first_rows(lines, mark)
    widths = {len(row) for row in rows}
    return rows if len(widths) == 1 and widths != {1} else []


def share_below_header(rows: list[list[str]]) -> float:
    """Return `share_of_numbers` in the first rows and columns below the header."""
    below = rows[1 : 1 + LOOK]
    cells = [cell.strip() for row in below for cell in row[:LOOK]]
    return share_of_numbers(cells)


def share_of_numbers(cells: list[str]) -> float:
    """Return the share, 0 .. 1, of numbers among the cells that are not missing; 0 if all are missing."""
    known = [cell for cell in cells if not is_gap(cell)]
    numbers = sum(number(cell) is not None for cell in known)
    return numbers / max(len(known), 1)
