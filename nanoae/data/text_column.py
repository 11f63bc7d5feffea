"""A column of text cells: is it one of numbers or of categories, and what are its values?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanoae.data.cell import TRUTH, are_codes, category
from nanoae.data.dataset import BadFile
from nanoae.data.missing import NUMBER_GAPS, USUAL, is_gap
from nanoae.data.number import POINT, Number, is_composed, is_nearly_number, number, unit_behind
from nanoae.data.text_format import TextFormat
from nanoae.spelling import short

# The share of numbers from which a column is one of numbers, and a text in it a mistake
MOSTLY = 0.9
TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
CODES = 5  # so many different numbers are measured or counted; fewer, beside texts, are codes as these are


@dataclass
class TextColumn:
    """The cells of a column, (N,) stripped texts, None where a value is known to be missing.

    rows        the numbers of their rows, and `source` where these are, for messages
    written     how the file writes them; None where they are no file's
    elsewhere   the decimal mark that the other columns of the table show, if they do
    declared    whether it is known to be text, whatever is in it; what is missing there is None, or one of `na`
    """

    name: str
    cells: Sequence[str | None]
    rows: Sequence[int]
    source: str
    written: TextFormat | None = None
    elsewhere: Callable[[], str | None] = lambda: None
    declared: bool = False

    def __post_init__(self) -> None:
        self.format = self.written or TextFormat()
        self.declared = self.declared or self.name in self.format.text

    def values(self, numeric: bool | None = None, known: Collection[str] = ()) -> np.ndarray:
        """(N,) float64, NaN where a number is missing; or texts as objects, None where one is.

        numeric   None: whatever they are. A column of numbers with other texts in it is refused, by ValueError
        known     texts that are values, whatever they look like: categories that were learned
        """
        if numeric is False or (numeric is None and (self.declared or self.codes)):
            return self.texts(known)
        others = [] if self.at_once is not None else self.parted[1]
        if numeric is None and others and not self.mostly_numbers:
            self.check_nearly_numbers()
            return self.texts(known)
        if others:
            raise self.no_number(others[0])
        return self.only_numbers()

    def only_numbers(self) -> np.ndarray:
        """(N,) float64, NaN of all that is no number."""
        if self.at_once is not None:
            return self.at_once
        self.check_units()
        mark = self.format.decimal or self.mark()
        values = {cell: found.value(mark) for cell, found in self.parted[0].items()}
        return self.without_na(self.listed(values))

    def spelled_plainly(self) -> list[str]:
        """The cells of numbers as Python writes them, of texts as they stand, "" where nothing is known."""
        if self.plain is None:
            numbers, others = self.parted
            if others or not numbers:
                return [cell if cell and cell not in self.format.na else "" for cell in self.cells]
        values = self.only_numbers().tolist()
        cells = map(repr, values) if self.plain is None else self.cells
        return ["" if math.isnan(x) else str(cell) for cell, x in zip(cells, values, strict=True)]

    @cached_property
    def counts(self) -> Counter:
        """How often each cell stands there."""
        return Counter(self.cells)

    def count(self, cells: Iterable[str | None]) -> int:
        """In how many rows one of these different cells stands."""
        return sum(self.counts[cell] for cell in cells)

    # ---------------------------------------------------------------- numbers

    @cached_property
    def at_once(self) -> np.ndarray | None:
        """The values, if all are plain numbers, or all truths."""
        return self.truths() if self.plain is None else self.plain

    @cached_property
    def plain(self) -> np.ndarray | None:
        """The values, if all are numbers as Python writes them, or usual marks of what is missing: told in one look."""
        usual = {None} | USUAL | {text for text in self.format.na if "." not in text}
        try:
            values = np.array([math.nan if cell in usual else float(cell) for cell in self.cells])  # type: ignore[arg-type]
        except ValueError:
            return None
        text = "\n".join(filter(None, self.cells))
        if "_" in text or ("." in text and not self.point_is_decimal(text)):  # "20_24" is no 2024
            return None
        return self.without_na(values)

    def truths(self) -> np.ndarray | None:
        """The values, if all are truths: True, 1, is 1 and False, 0, is 0, in any case of letters."""
        spelled = {cell: category(cell) for cell in self.counts if not self.missing(cell)}
        values = {cell: TRUTHS.get(text.lower(), math.nan) for cell, text in spelled.items()}
        if math.nan in values.values() or TRUTH.isdisjoint(spelled.values()):
            return None
        return self.listed(values)

    def point_is_decimal(self, text: str) -> bool:
        """Whether the points in the text of the cells are decimal points, and cannot mark off thousands."""
        mark = self.format.decimal or ("." if POINT.search(text) else self.elsewhere())
        return mark == "."

    @cached_property
    def parted(self) -> tuple[dict[str, Number], list[str]]:
        """Of its different cells those that are numbers, and those that are neither numbers nor missing."""
        numbers = {}
        others = []
        for cell in self.counts:
            if cell is None or self.missing(cell):
                continue
            found = number(cell)
            if found is not None and (self.format.decimal or found.marks) in found.marks:
                numbers[cell] = found
            elif cell.casefold() not in NUMBER_GAPS:
                others.append(cell)
        return numbers, others

    def listed(self, values: dict[str, float]) -> np.ndarray:
        """(N,) the values of its cells, NaN of those that have none."""
        return np.array([values.get(cell, math.nan) for cell in self.cells])  # type: ignore[arg-type]

    def without_na(self, values: np.ndarray) -> np.ndarray:
        """The values, NaN where they are a number that `na` says is none, as -9999 may be."""
        marks = [
            found.value(self.format.decimal or ".")
            for text in self.format.na
            if (found := number(text))
        ]
        if marks:
            values[np.isin(values, marks)] = math.nan
        return values

    def mark(self) -> str:
        """The decimal mark: the one that some cell shows, or else the rest of the table does."""
        numbers, _ = self.parted
        shown = {found.marks: cell for cell, found in numbers.items() if len(found.marks) == 1}
        if len(shown) == 2:
            got = f"{shown['.']!r} and {shown[',']!r}"
            raise self.refused("numbers with one decimal mark", got, self.hint_decimal)
        if shown:
            return next(iter(shown))
        doubtful = [cell for cell, found in numbers.items() if found.marked]
        mark = self.elsewhere() if doubtful else "."
        if mark is not None:
            return mark
        # A point is a decimal one, as everywhere in computing. But where semicolons separate, commas often are; and
        # what has no point may be what is less than a thousand.
        whole = [abs(found.value(".")) for found in numbers.values() if not found.marked]
        thousands = self.format.separator == ";" or (whole and max(whole) < 1000)
        if not thousands and not any("," in cell for cell in doubtful):
            return "."
        got = f"{self.share(doubtful)} as {doubtful[0]!r}"
        raise self.refused("numbers that can be read in one way only", got, self.hint_decimal)

    def decided(self) -> str | None:
        """The decimal mark that its numbers are read with; None where none of them has one."""
        if self.plain is not None:
            return "." if any("." in cell for cell in self.cells if cell) else None
        marked = any(found.marked for found in self.parted[0].values())
        return (self.format.decimal or self.mark()) if marked else None

    def shown(self) -> set[str]:
        """The decimal marks that the cells show, if they are numbers."""
        if self.declared:
            return set()
        if self.plain is not None:
            return {"."} if self.decided() else set()
        marks = [found.marks for found in self.parted[0].values()]
        return {mark for mark in marks if len(mark) == 1 and self.mostly_numbers}

    def unit(self) -> str | None:
        """What is written beside its numbers, "" where nothing is; None where none but 0 tells."""
        if self.plain is not None:
            return "" if np.nan_to_num(self.plain).any() else None
        for cell in self.counts:
            found = None if self.missing(cell) else number(cell or "")
            if found is not None and found.counts:
                return found.unit
        return None

    def check_units(self) -> None:
        """ValueError where there is more than one unit, a percentage beside a plain number, or two kinds of minus."""
        numbers, _ = self.parted
        units: dict[str, str] = {}
        for cell, found in numbers.items():
            if found.counts:
                units.setdefault(found.unit, cell)
        shares = units.keys() & {"%", "‰"}
        if len(units.keys() - {""}) > 1 or (shares and "" in units):
            got = " and ".join(map(repr, units.values()))
            raise self.refused("numbers of one unit", got, "Write all in one.")
        minus = {
            found.bracketed: cell
            for cell, found in numbers.items()
            if found.bracketed or found.digits.startswith("-")
        }
        if len(minus) == 2:
            got = f"{minus[True]!r} and {minus[False]!r}"
            raise self.refused("one kind of minus", got, "Write all with a minus.")

    def check_nearly_numbers(self) -> None:
        """BadFile where the texts are many numbers with units behind them, or some with signs around them."""
        numbers, texts = self.parted
        units = list(dict.fromkeys(map(unit_behind, texts)))
        # 12A and 12B are codes; 1.5k and 1.2M, or 12kg and 900g, are not.
        measured = len(texts) >= CODES * len(units) and any(
            "." in cell or "," in cell for cell in texts
        )
        words = any(len(unit or "") > 1 and not unit.isupper() for unit in units)  # type: ignore[union-attr]
        if None not in units and (len(units) == 1 or measured or words):
            what = f"with {' or '.join(map(repr, units[:3]))} behind them"
        elif all(map(is_nearly_number, texts)):
            what = "with other signs around them"
        elif all(map(is_composed, texts)):
            what = "with other signs in them"
        else:
            return
        if len(numbers) + len(texts) >= CODES:
            got = f"{self.share(texts)} {what}, as {short(texts[0])}"
            hint = f"Write them without; if all are text, {self.hint_text}."
            raise self.refused("numbers alone", got, hint)

    # ---------------------------------------------------------------- texts

    def texts(self, known: Collection[str] = ()) -> np.ndarray:
        """The cells as `category` spells them, None where one is missing."""
        gaps = {
            cell for cell in self.counts if cell not in known and self.missing(cell, self.declared)
        }
        if not self.declared:
            codes = [cell for cell in self.counts if cell and cell not in gaps]
            unnamed = [cell for cell in gaps if cell and cell not in self.format.na]
            self.check_codes(codes, unnamed)
        spelled = {cell: None if cell in gaps else category(cell or "") for cell in self.counts}
        return np.array([spelled[cell] for cell in self.cells], dtype=object)

    @cached_property
    def codes(self) -> list[str]:
        """The different cells, where all are codes and nobody has said that they are text; else none."""
        if self.declared:
            return []
        first = next((cell for cell in self.cells if cell and not self.missing(cell)), "")
        if not first.removeprefix("+").isdecimal():  # one look, of most columns
            return []
        cells = [cell for cell in self.counts if cell and not self.missing(cell)]
        return cells if are_codes(cells) else []

    def missing(self, cell: str | None, declared: bool = False) -> bool:
        """Whether a cell says that its value is missing; of a column `declared` to be text only what `na` names."""
        if not cell or cell in self.format.na:
            return True
        return not declared and is_gap(cell)

    def check_codes(self, codes: Collection[str], gaps: Collection[str]) -> None:
        """ValueError where NA stands among codes of two letters: Namibia's, or nothing's?"""
        gap = next((gap for gap in gaps if gap.casefold() == "na"), "")
        alike = [
            len(code) == 2 and code.isalpha() and code.isupper() == gap.isupper() for code in codes
        ]
        if gap and alike and all(alike):
            got = f"{gap!r}, {self.share([gap])}, among codes of two letters"
            missing = self.hint_missing(gap)
            hint = f"If it means that the value is missing, {missing}; if it is a code, {self.hint_text}."
            raise self.refused("texts, or what is missing", got, hint)

    # ---------------------------------------------------------------- what they mostly are

    @property
    def mostly_numbers(self) -> bool:
        """Whether the texts among the numbers are mistakes, or stand for what is missing, and not all of them codes."""
        numbers, others = self.parted
        measured = len(numbers) >= CODES and len(numbers) >= 2 * len(others)
        return measured or self.share_of_numbers >= MOSTLY

    @property
    def share_of_numbers(self) -> float:
        """Of the cells that are not missing."""
        n, others = map(self.count, self.parted)
        return n / max(n + others, 1)

    # ---------------------------------------------------------------- messages

    def no_number(self, cell: str) -> BadFile:
        at = self.cells.index(cell)
        share = self.share_of_numbers
        most = f"as are {percent(share)} of its cells" if share else "as were learned"
        if share >= MOSTLY:
            most = "as (nearly) all are there"
        gap = f"; if it means that the value is missing, leave the cell empty or {self.hint_missing(cell)}"
        if self.counts[cell] == 1 and len(self.parted[1]) > 1:
            gap = ""
        units = ", or leave out a row of units" if at == 0 else ""
        hint = f"Correct it{units}{gap}; if all are text, {self.hint_text}."
        where = f"row {self.rows[at]}, column {self.name!r}"
        return BadFile(self.source, f"a number in {where}, {most}", short(cell), hint)

    def refused(self, expected: str, got: str, hint: str) -> BadFile:
        return BadFile(self.source, f"{expected} in column {self.name!r}", got, hint)

    def share(self, cells: Collection[str]) -> str:
        """How many of the cells these are."""
        return f"{percent(self.count(cells) / len(self.cells))} of its cells"

    # What the user can do: in a file it is said to the reader, elsewhere done to the cells.

    @property
    def hint_decimal(self) -> str:
        in_file = 'Name the decimal mark: decimal="." or ",", --decimal.'
        return in_file if self.written else "Make them numbers."

    @property
    def hint_text(self) -> str:
        in_file = f"say text=[{self.name!r}], --text={self.name!r}"
        return in_file if self.written else 'make the column a "category"'

    def hint_missing(self, cell: str | None) -> str:
        in_file = f"say na=[{short(cell)}], --na={short(cell)}"
        return in_file if self.written else "make it None"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 1 else "all"
