"""A column of text cells: whether it holds numbers or categories, and its values."""

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

# Share of numbers from which a column is numeric, and a text in it a mistake
MOSTLY = 0.9
LOOK = 100  # the first row below a header is nearer to the top
TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
CODES = 5  # distinct numbers from which they are measurements; fewer, among texts, are codes like the texts


@dataclass
class TextColumn:
    """The cells of a column: (N,) stripped texts, with None for missing values.

    rows        row numbers, and `source`, the name of the source, for messages
    written     format of the file; None if not read from a file
    elsewhere   function that returns the decimal mark shown by the table's other columns, or None
    declared    True if the column is known to be text, whatever it holds; missing are then None and the texts in `na`
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
        """Return (N,) float64 with NaN for missing numbers, or an object array of texts with None for missing ones.

        numeric   None: detected. ValueError for a column of numbers with other texts in it
        known     texts that are values whatever they look like: learned categories
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
        """Return (N,) float64, with NaN for everything that is not a number."""
        if self.at_once is not None:
            return self.at_once
        self.check_units()
        mark = self.format.decimal or self.mark()
        values = {cell: found.value(mark) for cell, found in self.parted[0].items()}
        return self.without_na(self.listed(values))

    def spelled_plainly(self) -> list[str]:
        """Return the cells, with numbers in Python's notation, texts unchanged, and "" for missing values."""
        if self.plain is None:
            numbers, others = self.parted
            if others or not numbers:
                return [cell if cell and cell not in self.format.na else "" for cell in self.cells]
        values = self.only_numbers().tolist()
        cells = map(repr, values) if self.plain is None else self.cells
        return ["" if math.isnan(x) else str(cell) for cell, x in zip(cells, values, strict=True)]

    @cached_property
    def counts(self) -> Counter:
        """The number of occurrences of each cell."""
        return Counter(self.cells)

    def count(self, cells: Iterable[str | None]) -> int:
        """Return the number of rows that hold one of these distinct cells."""
        return sum(self.counts[cell] for cell in cells)

    # ---------------------------------------------------------------- numbers

    @cached_property
    def at_once(self) -> np.ndarray | None:
        """The values, if all are plain numbers or all are booleans, else None."""
        return self.truths() if self.plain is None else self.plain

    @cached_property
    def plain(self) -> np.ndarray | None:
        """The values, if all are numbers in Python's notation or common markers of missing values, else None: fast."""
        usual = {None} | USUAL | {text for text in self.format.na if "." not in text}
        try:
            values = np.array([math.nan if cell in usual else float(cell) for cell in self.cells])  # type: ignore[arg-type]
        except ValueError:
            return None
        text = "\n".join(filter(None, self.cells))
        if "_" in text or ("." in text and not self.point_is_decimal(text)):  # "20_24" is not 2024
            return None
        return self.without_na(values)

    def truths(self) -> np.ndarray | None:
        """Return the values if all are booleans (True or 1, False or 0, in any case), else None."""
        spelled = {cell: category(cell) for cell in self.counts if not self.missing(cell)}
        values = {cell: TRUTHS.get(text.lower(), math.nan) for cell, text in spelled.items()}
        if math.nan in values.values() or TRUTH.isdisjoint(spelled.values()):
            return None
        return self.listed(values)

    def point_is_decimal(self, text: str) -> bool:
        """Return True if the points in the joined cells are decimal points, and cannot be thousands separators."""
        mark = self.format.decimal or ("." if POINT.search(text) else self.elsewhere())
        return mark == "."

    @cached_property
    def parted(self) -> tuple[dict[str, Number], list[str]]:
        """The distinct cells, split into numbers and texts that are neither numbers nor missing."""
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
        """Return the values (N,) of the cells, with NaN for cells without one."""
        return np.array([values.get(cell, math.nan) for cell in self.cells])  # type: ignore[arg-type]

    def without_na(self, values: np.ndarray) -> np.ndarray:
        """Return the values with NaN for numbers that `na` declares missing, such as -9999."""
        marks = [
            found.value(self.format.decimal or ".")
            for text in self.format.na
            if (found := number(text))
        ]
        if marks:
            values[np.isin(values, marks)] = math.nan
        return values

    def mark(self) -> str:
        """Return the decimal mark shown by some cell, or else by the rest of the table."""
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
        # By default a point is a decimal point. But files with semicolons often use decimal commas, and if all numbers
        # without a point are below 1000, the points may separate thousands.
        whole = [abs(found.value(".")) for found in numbers.values() if not found.marked]
        thousands = self.format.separator == ";" or (whole and max(whole) < 1000)
        if not thousands and not any("," in cell for cell in doubtful):
            return "."
        got = f"{self.share(doubtful)} like {doubtful[0]!r}"
        raise self.refused("numbers that can be read in one way only", got, self.hint_decimal)

    def decided(self) -> str | None:
        """Return the decimal mark used to read the numbers, or None if none of them has a mark."""
        if self.plain is not None:
            return "." if any("." in cell for cell in self.cells if cell) else None
        marked = any(found.marked for found in self.parted[0].values())
        return (self.format.decimal or self.mark()) if marked else None

    def shown(self) -> set[str]:
        """Return the decimal marks shown by the cells, if they are numbers."""
        if self.declared:
            return set()
        if self.plain is not None:
            return {"."} if self.decided() else set()
        marks = [found.marks for found in self.parted[0].values()]
        return {mark for mark in marks if len(mark) == 1 and self.mostly_numbers}

    def unit(self) -> str | None:
        """Return the unit next to the numbers, "" for none, or None if only zeros could show it."""
        if self.plain is not None:
            return "" if np.nan_to_num(self.plain).any() else None
        for cell in self.counts:
            found = None if self.missing(cell) else number(cell or "")
            if found is not None and found.counts:
                return found.unit
        return None

    def check_units(self) -> None:
        """Raise BadFile for mixed units, percentages among plain numbers, or two kinds of minus sign."""
        numbers, _ = self.parted
        units: dict[str, str] = {}
        for cell, found in numbers.items():
            if found.counts:
                units.setdefault(found.unit, cell)
        shares = units.keys() & {"%", "‰"}
        if len(units.keys() - {""}) > 1 or (shares and "" in units):
            got = " and ".join(map(repr, units.values()))
            raise self.refused("numbers of one unit", got, "Use one unit for all.")
        minus = {
            found.bracketed: cell
            for cell, found in numbers.items()
            if found.bracketed or found.digits.startswith("-")
        }
        if len(minus) == 2:
            got = f"{minus[True]!r} and {minus[False]!r}"
            raise self.refused("one kind of minus", got, "Write all with a minus.")

    def check_nearly_numbers(self) -> None:
        """Raise BadFile if many texts are numbers followed by units, or have other signs around or in them."""
        numbers, texts = self.parted
        units = list(dict.fromkeys(map(unit_behind, texts)))
        # 12A and 12B are codes; 1.5k and 1.2M, or 12kg and 900g, are not.
        measured = len(texts) >= CODES * len(units) and any(
            "." in cell or "," in cell for cell in texts
        )
        words = any(len(unit or "") > 1 and not unit.isupper() for unit in units)  # type: ignore[union-attr]
        if None not in units and (len(units) == 1 or measured or words):
            what = f"followed by {' or '.join(map(repr, units[:3]))}"
        elif all(map(is_nearly_number, texts)):
            what = "with other signs around them"
        elif all(map(is_composed, texts)):
            what = "with other signs in them"
        else:
            return
        if len(numbers) + len(texts) >= CODES:
            got = f"{self.share(texts)} {what}, such as {short(texts[0])}"
            hint = f"Write plain numbers; if the column is text, {self.hint_text}."
            raise self.refused("numbers alone", got, hint)

    # ---------------------------------------------------------------- texts

    def texts(self, known: Collection[str] = ()) -> np.ndarray:
        """Return the cells as spelled by `category`, with None for missing ones."""
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
        """The distinct cells, sorted, if all are codes in a column not declared to be text, else none."""
        if self.declared:
            return []
        first = next((cell for cell in self.cells if cell and not self.missing(cell)), "")
        if not first.removeprefix("+").isdecimal():  # fast path for most columns
            return []
        cells = [cell for cell in self.counts if cell and not self.missing(cell)]
        return sorted(cells) if are_codes(cells) else []

    def missing(self, cell: str | None, declared: bool = False) -> bool:
        """Return True if a cell marks a missing value; in a `declared` text column only if it is empty or in `na`."""
        if not cell or cell in self.format.na:
            return True
        return not declared and is_gap(cell)

    def check_codes(self, codes: Collection[str], gaps: Collection[str]) -> None:
        """Raise BadFile if NA occurs among two-letter codes: it may be Namibia's code, or mark a missing value."""
        gap = next((gap for gap in gaps if gap.casefold() == "na"), "")
        alike = [
            len(code) == 2 and code.isalpha() and code.isupper() == gap.isupper() for code in codes
        ]
        if gap and alike and all(alike):
            got = f"{gap!r}, {self.share([gap])}, among two-letter codes"
            missing = self.hint_missing(gap)
            hint = f"If it marks a missing value, {missing}; if it is a code, {self.hint_text}."
            raise self.refused("unambiguous texts", got, hint)

    # ---------------------------------------------------------------- what they mostly are

    @property
    def mostly_numbers(self) -> bool:
        """True if the texts among the numbers must be mistakes or marks of missing values, rather than codes."""
        numbers, others = self.parted
        measured = len(numbers) >= CODES and len(numbers) >= 2 * len(others)
        return measured or self.share_of_numbers >= MOSTLY

    @property
    def share_of_numbers(self) -> float:
        """The share of numbers among the cells that are not missing."""
        n, others = map(self.count, self.parted)
        return n / max(n + others, 1)

    # ---------------------------------------------------------------- messages

    def no_number(self, cell: str) -> BadFile:
        at = self.cells.index(cell)
        share = self.share_of_numbers
        most = f"like {percent(share)} of its cells" if share else "as in training"
        if share >= MOSTLY:
            most = "like (nearly) all of its cells"
        gap = f"; if it marks a missing value, leave the cell empty or {self.hint_missing(cell)}"
        if self.counts[cell] == 1 and len(self.parted[1]) > 1:
            gap = ""
        # The first row of the table, rather than that of a later part
        units = ", or remove a row of units" if at == 0 and self.rows[0] < LOOK else ""
        hint = f"Correct it{units}{gap}; if the column is text, {self.hint_text}."
        where = f"row {self.rows[at]}, column {self.name!r}"
        return BadFile(self.source, f"a number in {where}, {most}", short(cell), hint)

    def refused(self, expected: str, got: str, hint: str) -> BadFile:
        return BadFile(self.source, f"{expected} in column {self.name!r}", got, hint)

    def share(self, cells: Collection[str]) -> str:
        """Return the share of the cells that are one of these, in words."""
        return f"{percent(self.count(cells) / len(self.cells))} of its cells"

    # Remedies: an argument of the reader for a file, a change of the data otherwise

    @property
    def hint_decimal(self) -> str:
        named = 'Name the decimal mark: decimal="." or ",", --decimal.'
        return named if self.written else "Convert them to numbers."

    @property
    def hint_text(self) -> str:
        in_file = f"pass text=[{self.name!r}] or --text={self.name!r}"
        return in_file if self.written else 'make the column a "category"'

    def hint_missing(self, cell: str | None) -> str:
        in_file = f"pass na=[{short(cell)}] or --na={short(cell)}"
        return in_file if self.written else "replace it with None"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 1 else "all"
