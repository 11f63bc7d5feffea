"""Cells: the value of a table cell, whatever its spelling: a number, a text, or nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from nanoae.data.number import LONGEST, PLAIN
from nanoae.data.times import TIME_TYPES, no_number, not_real
from nanoae.warning import warn

NoneType = type(None)
NUMBERS = (int, float, np.bool_, np.integer, np.floating, Decimal, Fraction)  # bool is an int
# containers, which are not values
HOLDERS = (list, tuple, dict, set, frozenset, bytearray, np.ndarray)
TRUTHS = {bool, np.bool_}
TRUTH = {"True", "False"}
WORDS = {"yes": "true", "1": "true", "no": "false", "0": "false"}
# Yes and no in several languages; they count as such only if all texts of a column do, since "t" may be a letter.
ANSWER = re.compile(
    "(true|t|y|on|ja|j|oui|o|vrai|v|wahr|w|s|s[ií]m?|да|verdadeiro|verdadero|是)"
    "|false|f|n|off|nein|non?|não|faux|falsch|нет|falso|否"
)
# A ZIP code with a leading 0, or a telephone number
CODE = re.compile(r"0\d+|\+\d{7,}")
# A number as written by Python, NumPy and pandas
WRITTEN = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]\d\d+)?")
MANY = 2000  # rows in which codes among numbers are sought


def is_nothing(cell: Any) -> bool:
    """Return True for None, NaN, a masked value, and pandas' NA and NaT; False for every text."""
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, Decimal):
        return cell.is_nan()
    if not isinstance(cell, (float, np.floating, np.datetime64, np.timedelta64)):
        return False
    return bool(cell != cell)


def objects(cells: Iterable) -> np.ndarray:
    """Return an object array (N,) of the cells, whatever they are."""
    return np.fromiter(cells, dtype=object)


def plain(cells: np.ndarray, who: str, name: str, rows: Sequence[int]) -> np.ndarray:
    """Return a column (N,) as numbers with NaN, or as objects: stripped texts, with None for missing values.

    Raise ValueError, naming the cell, for a date, time or complex number, and TypeError for a list or other container.
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
        return cells.astype(np.float64)  # None becomes NaN
    if kinds <= {str, NoneType}:
        stripped = {cell: cell and cell.strip() for cell in set(listed)}
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
    """Return True if objects of this type have no text form of their own, or are callable."""
    unwritten = kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__
    return unwritten or issubclass(kind, Callable)  # type: ignore[arg-type]


def rounded(cells: Iterable) -> int | None:
    """Return the first whole number among objects that float64 cannot hold."""
    return next((cell for cell in cells if isinstance(cell, int) and number(cell) != cell), None)


def warn_about_codes(who: str, name: Any, cells: Any) -> None:
    """Warn if cells (N,) that are read as numbers may be codes: "012" beside "12", "1.10" beside "1.1", or whole
    numbers that float64 cannot hold."""
    found = dict.fromkeys(np.array(cells[:MANY], object))
    numerals = filter(re.compile(r"\d").match, map(uniform, map(str, found)))
    lost = twins(map(category, numerals)) or rounded(found)
    if lost:
        warn(
            f"{who}: column {name!r} is read as numbers, in which digits of {lost} are lost. If it holds codes, make "
            f"it text, such as with text=[{name!r}] or --text={name!r}; if it holds ids, leave it out."
        )


def exact(cells: np.ndarray) -> np.ndarray:
    """Return categories (N,), as texts if some are whole numbers that float64 cannot hold."""
    listed = cells.tolist()
    if rounded(listed) is None:
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
    """Return a number of any type as a float, or an infinity if it is too large."""
    try:
        return float(cell)
    except OverflowError:
        return np.inf if cell > 0 else -np.inf


def text(cell: Any) -> str:
    """Return a cell that is not missing as a text."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace").strip()
    if isinstance(cell, (float, np.floating)):
        return np.format_float_positional(cell, trim="-")
    return str(cell).strip()


def texts(numbers: np.ndarray) -> np.ndarray:
    """Return a column of numbers as texts, with None for NaN."""
    different, places = np.unique(numbers, return_inverse=True)
    written = [None if cell != cell else text(cell) for cell in different]
    return np.array(written, dtype=object)[places]


def are_codes(cells: Collection[str]) -> bool:
    """Return True if texts look like ZIP codes, with leading zeros, or telephone numbers, with a plus: either all of
    them, or some if all are digits of the same length. So do digits, if float64 cannot hold the number."""
    codes = list(filter(CODE.fullmatch, cells))
    whole = all(map(str.isdecimal, cells))
    if whole and rounded(int(cell[:LONGEST]) for cell in cells):
        return True
    alike = whole and len(set(map(len, cells))) == 1
    return bool(codes) and (alike or len(codes) == len(cells))


def category(text: str) -> str:
    """Return the common spelling of texts that mean the same: "1" for "1.0", "0.5" for "5e-01", "True" for "TRUE"; but
    "1.10" is kept beside "1.1", which may be another version."""
    word = text.capitalize()
    if word in TRUTH:
        return word
    if not WRITTEN.fullmatch(text):
        return unicodedata.normalize("NFC", text)
    if "e" in text:
        text = np.format_float_positional(float(text), trim="-")
    text = re.sub(r"\.0+$", "", text)
    return "0" if text == "-0" else text


def uniform(text: str) -> str:
    """Return a text without differences in width, blanks, dashes and quotes, and without invisible characters."""
    return " ".join(unicodedata.normalize("NFKC", text.translate(PLAIN)).split())


def folded(text: str) -> str:
    """Return a `uniform` text without differences in case, and in zeros at the ends of a number. "yes" and "1" become
    "true"."""
    words = uniform(text).casefold()
    if words.replace(".", "", 1).isdecimal():
        words = str(Decimal(words).normalize())
    return WORDS.get(words, words)


def twins(texts: Iterable[str], meaning: Callable[[str], Any] = folded) -> str:
    """Return the first two different texts with the same meaning as "'a' and 'b'", or "" if there are none."""
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
