"""Cells: what a value in a column says, however it is spelled: a number, a text, or nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from nanoae.data.number import PLAIN
from nanoae.data.times import TIME_TYPES, no_number, not_real

NoneType = type(None)
NUMBERS = (int, float, np.bool_, np.integer, np.floating, Decimal, Fraction)  # bool is an int
HOLDERS = (
    list,
    tuple,
    dict,
    set,
    frozenset,
    bytearray,
    np.ndarray,
)  # no values, but what holds some
TRUTHS = {bool, np.bool_}
TRUTH = {"True", "False"}
WORDS = {"yes": "true", "1": "true", "no": "false", "0": "false"}
# Which mean a truth only where all of a column's texts do: T may be a letter as others are.
ANSWER = re.compile(
    "(true|t|y|on|ja|j|oui|o|vrai|v|wahr|w|s|s[ií]m?|да|verdadeiro|verdadero|是)"
    "|false|f|n|off|nein|non?|não|faux|falsch|нет|falso|否"
)
# A ZIP code of digits behind a 0, or a telephone number
CODE = re.compile(r"0\d+|\+\d{7,}")
# A number as Python, NumPy and pandas write it
WRITTEN = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]\d\d+)?")


def is_nothing(cell: Any) -> bool:
    """Whether a Python object stands for no value: None, NaN, a masked value, pandas' NA or NaT. No text does."""
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, Decimal):
        return cell.is_nan()
    if not isinstance(cell, (float, np.floating, np.datetime64, np.timedelta64)):
        return False
    return bool(cell != cell)


def objects(cells: Iterable) -> np.ndarray:
    """(N,) of Python objects, whatever these hold."""
    return np.fromiter(cells, dtype=object)


def plain(cells: np.ndarray, who: str, name: str, rows: Sequence[int]) -> np.ndarray:
    """A column (N,) of any kind as numbers with NaN, or as objects: stripped texts, and None where there is nothing.

    ValueError names a cell that is a date, a time or a complex number; TypeError one that is a list or the like.
    """
    if cells.dtype.kind in "buif":
        return cells
    if cells.dtype.kind in "mM":
        raise no_number(who, str(cells.dtype), "pandas", name)
    if cells.dtype.kind not in "OUST":
        raise ValueError(f"{who}: expected numbers or text in column {name!r}, got {cells.dtype}.")
    listed = cells.tolist()
    kinds = set(map(type, listed))
    if kinds <= {float, NoneType}:
        return cells.astype(np.float64)  # None is NaN
    if kinds <= {str, NoneType}:
        stripped = {cell: cell if cell is None else cell.strip() for cell in set(listed)}
        return objects([stripped[cell] for cell in listed])
    listed = [None if is_nothing(cell) else cell for cell in listed]
    kinds = set(map(type, listed)) - {NoneType}
    for kind in kinds:
        if (
            issubclass(kind, (*TIME_TYPES, *HOLDERS, complex))
            or kind.__name__ == "Period"
            or is_opaque(kind)
        ):
            raise _refused(kind, listed, who, name, rows)
    if kinds and all(issubclass(kind, NUMBERS) for kind in kinds) and not kinds <= TRUTHS:
        return np.array([np.nan if cell is None else number(cell) for cell in listed])
    return objects([None if cell is None else text(cell) for cell in listed])


def is_opaque(kind: type) -> bool:
    """Whether objects of this type have no text of their own but where they lie in memory, or are code."""
    unwritten = kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__
    return unwritten or issubclass(kind, Callable)  # type: ignore[arg-type]


def exact(cells: np.ndarray) -> np.ndarray:
    """Categories (N,): as texts where there are whole numbers among them that float64 has not."""
    listed = cells.tolist()
    if not any(isinstance(cell, int) and abs(cell) > 2**53 for cell in listed):
        return cells
    return objects([None if is_nothing(cell) else text(cell) for cell in listed])


def _refused(kind: type, listed: list, who: str, name: str, rows: Sequence[int]) -> Exception:
    at = next(at for at, cell in enumerate(listed) if type(cell) is kind)
    got = f"a {kind.__name__}, {listed[at]!r:.60}, in row {rows[at]}"
    if issubclass(kind, HOLDERS) or is_opaque(kind):
        return TypeError(
            f"{who}: expected numbers or text in column {name!r}, got {got}: argument must be a string or a number."
        )
    if issubclass(kind, complex):
        return not_real(who, got, f" in column {name!r}")
    return no_number(who, got, "objects", name, kind.__name__)


def number(cell: Any) -> float:
    """A number of any type as a float; infinity where it is too large for one."""
    try:
        return float(cell)
    except OverflowError:
        return np.inf if cell > 0 else -np.inf


def text(cell: Any) -> str:
    """A cell that is something as a text."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace").strip()
    if isinstance(cell, (float, np.floating)):
        return np.format_float_positional(cell, trim="-")
    return str(cell).strip()


def texts(numbers: np.ndarray) -> np.ndarray:
    """A column of numbers as texts, None where one is NaN."""
    different, places = np.unique(numbers, return_inverse=True)
    written = [None if cell != cell else text(cell) for cell in different]
    return np.array(written, dtype=object)[places]


def are_codes(cells: Collection[str]) -> bool:
    """Whether texts are digits behind zeros that no number needs, as ZIP codes are, or behind a plus, as telephone
    numbers are: all so, or all digits of one length."""
    codes = list(filter(CODE.fullmatch, cells))
    alike = len(set(map(len, cells))) == 1 and all(map(str.isdecimal, cells))
    return bool(codes) and (alike or len(codes) == len(cells))


def category(text: str) -> str:
    """A text in the spelling that all share who mean the same: "1" for "1.0", "0.5" for "5e-01", "True" for "TRUE"."""
    if text.capitalize() in TRUTH:
        return text.capitalize()
    if not WRITTEN.fullmatch(text):
        return unicodedata.normalize("NFC", text)
    if "e" in text:
        text = np.format_float_positional(float(text), trim="-")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def folded(text: str) -> str:
    """A text without what is not meant: case, width, kinds of blanks, dashes and quotes; "yes" is "true", as is "1"."""
    plain = unicodedata.normalize("NFKC", text.translate(PLAIN)).casefold()
    words = " ".join(plain.split())
    return WORDS.get(words, words)


def twins(texts: Iterable[str], meaning: Callable[[str], Any] = folded) -> str:
    """The first two different texts of one meaning, in words, "" where there are none."""
    meant = {text: meaning(text) for text in texts}
    answers = [ANSWER.fullmatch(str(each)) for each in meant.values()]
    if all(answers):
        meant = {text: found[1] is None for text, found in zip(meant, answers, strict=True)}  # type: ignore[index]
    found: dict[Any, str] = {}
    for text, same in meant.items():
        other = found.setdefault(same, text)
        if other != text:
            return f"{other!r} and {text!r}"
    return ""
