"""The separator of a text table's cells: what splits its first lines into equally many."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from contextlib import suppress

from nanoae.data.missing import is_gap
from nanoae.data.number import number

MARKS = "\t;|, "  # the earlier ones first: a comma may also be a decimal comma, a blank stand between words
NONE = "\x1f"  # in place of a separator, where there is none
BLANKS = re.compile(r'("(?:[^"]|"")*")|[ \t]+')
LOOK = 20  # rows and columns whose cells are looked at


def split(lines: Iterable[str], mark: str):
    """The rows of cells in these lines, as csv.reader gives them; a blank separates wherever there are blanks.

    A quote must be closed, blanks behind a separator count for nothing.
    """
    if mark == " ":
        lines = (
            BLANKS.sub(lambda found: found[1] or "\t", line.strip(" \t\r\n")) for line in lines
        )
        mark = "\t"
    return csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True)


def separator_of(lines: list[str]) -> str | None:
    """The mark that splits the first lines of a table; where several do, the one that leaves most numbers.

    NONE where each line is one cell. None where a line may be one number or the cells of several columns.
    """
    rows_by_mark = {mark: equally_split(lines, mark) for mark in MARKS}
    splits = {mark: rows for mark, rows in rows_by_mark.items() if rows}
    if " " in splits and "," in splits:
        cells = [cell for row in splits[","] for cell in row]
        if any(" " in cell.strip() and number(cell) for cell in cells):
            del splits[","]  # that of 1,5 2,5
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
    within = [mark for mark in MARKS[:-1] if mark in plain]
    return next(iter(within + below_title(lines[1:])), NONE)


def below_title(lines: list[str]) -> list[str]:
    """The marks that split all lines but the first; blanks, which also stand between words, only numbers."""
    found: list[str] = []
    for mark in MARKS:
        rows = equally_split(lines, mark)
        if rows and (mark != " " or share_below_header(rows) == 1):
            found.append(mark)
    return found


def are_decimals(lines: list[str]) -> bool:
    """Whether what is behind the only commas of lines looks like decimals: with zeros in front, a unit behind, or as
    many digits in all of them, and more than one."""
    parts = [line.partition(",")[2] for line in lines]
    if any(re.match(r"0\d", part) or re.search(r"\D", part) for part in parts):
        return True
    return len(parts[-1]) > 1 and len(set(map(len, parts))) == 1


def first_rows(lines: list[str], mark: str) -> list[list[str]]:
    """The rows of cells in the first lines of a file, as far as they are whole."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(filter(None, split(lines, mark)))
    return rows


def equally_split(lines: list[str], mark: str) -> list[list[str]]:
    """The rows of cells, if all have as many, and more than one; else none."""
    rows = first_rows(lines, mark)
    widths = {len(row) for row in rows}
    return rows if len(widths) == 1 and widths != {1} else []


def share_below_header(rows: list[list[str]]) -> float:
    """`share_of_numbers` in the first rows and columns of a table."""
    below = rows[1 : 1 + LOOK]
    cells = [cell.strip() for row in below for cell in row[:LOOK]]
    return share_of_numbers(cells)


def share_of_numbers(cells: list[str]) -> float:
    """How many of the cells that are not missing are numbers, 0 .. 1; 0 where all are missing."""
    known = [cell for cell in cells if not is_gap(cell)]
    numbers = sum(number(cell) is not None for cell in known)
    return numbers / max(len(known), 1)
