"""Parse numbers in common notations: 1,234.5 and 1.234,5 and 1'234.5, 12 %, € 5, (5), typographic minus and blanks."""

from __future__ import annotations

import re
from typing import NamedTuple

from nanoae.data.dataset import BadFile

LONGEST = 64  # most characters of a number; longer cells are text

SIGNS = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"  # hyphens, dashes and minus signs
BLANKS = (
    "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
NOTHING = "\u200b\u200e\u200f\u2060\ufeff"  # zero-width characters
PLAIN = str.maketrans(
    {
        **dict.fromkeys(SIGNS, "-"),
        **dict.fromkeys(BLANKS, " "),
        **dict.fromkeys(NOTHING),
        "\u2019": "'",
        "\u066b": ".",  # Arabic decimal mark and thousands separator
        "\u066c": "'",
        **dict(zip("．，％", ".,%", strict=True)),  # full-width characters
    }
)

CODES = (
    "AED|ARS|AUD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|NGN|NOK|NZD|PHP|PKR|PLN"
    "|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
MONEY = rf"[A-Z]{{0,2}}[$¢£¤¥฿\u20a0-\u20c0]|{CODES}|kr\.?|zł|Kč|Ft|Fr\.|Rs\.?"
CELL = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<before>{MONEY})? ?(?P<inner>[-+]?)"
    r"(?P<body>[.,]?\d(?:[\d.,' ]*\d)?\.?)(?P<exponent>(?:[eE][-+]?| [eE][-+])\d{1,4})?"
    rf" ?(?P<share>[%‰])? ?(?P<after>{MONEY})?"
)
FORTRAN = re.compile(r"(.*\d\.?)[dD]([-+]?\d+)")
MEASURED = re.compile(r"(.*\d) ?([^\W\d_][^\s\d]{0,9}|[°′″]\w?)")
AROUND = re.compile(r"^[\W_]+|[\W_]+$")
POWER = r"[×x*·⋅] ?10 ?(?:\^|\*\*|(?=-))|[×·⋅] ?10(?=[⁻⁺⁰-⁹¹²³])"
LESSER = (
    r"(?:[hdm°'′\"″]|''|min|m?s|sec|feet|foot|ft|inch|in|lbs?|oz|days?,?|hours?|hrs?|minutes?)\.?"
)
LISTED = r" ?[-+\d.]+(?:[,; ] ?[-+\d.]+)+ ?"
COMPOSED = re.compile(
    rf"([-+]?[\d.,]*\d) ?(?:{POWER}|±|\+/?-|[·⋅]) ?(?:[-+]?\d[\d.,]*|[⁻⁺]?[⁰-⁹¹²³]+)"
    r"|0x[\da-fA-F]+|0[bo][0-7]+|\(?[-+]?[\d.]+(?:[eE][-+]?\d+)?[-+][\d.eE+-]*[ij]\)?"
    r"|\d{1,3}(?:_\d{3})+(?:\.\d+)?|\d+:[-+]?\d*\.\d+|[-+]?[\d.,]*\d ?[(\[]\d+[)\]]"
    rf"|[-+]?(?:\d[\d.,]* ?{LESSER} ?)+\d[\d.,:]*(?: ?{LESSER}[NSEW]?)?"
    rf"|[-+]?P(?=.)(?:\d+[YMWD])*(?:T(?:[\d.,]+[HMS])+)?"
    rf"|[-+]?(?:\d+ )?\d+ ?[/\u2044] ?\d+|\d*[¼-¾⅐-⅞]|\[{LISTED}\]|\({LISTED}\)"
    r"|[-+]?\d+\.\d+(?:[,;] ?[-+]?\d+\.\d+)+"
)
BRACKETS = re.compile(r"(\D*)\((.*)\)(\D*)")
SHARES = {None: 0, "%": -2, "‰": -3}  # powers of ten

# Digits without and with thousands separators; the Indian system groups by hundreds above the thousands.
DIGITS = {".": re.compile(r"\d+\.?\d*|\.\d+"), ",": re.compile(r"\d+(?:,\d+)?|,\d+")}
GROUPS = {
    ".": re.compile(r"(?![0٠０])\d{1,3}(?:(?:,\d{2,3})*,\d{3}|(?: \d{3})+|(?:'\d{3})+)(?:\.\d*)?"),
    ",": re.compile(r"(?![0٠０])\d{1,3}(?:(?:\.\d{3})+|(?: \d{3})+|(?:'\d{3})+)(?:,\d+)?"),
}
# A point that must be a decimal point: not followed by three digits, or not preceded by a valid group.
POINT = re.compile(r"\.(?!\d{3}(?![\deE]))|(?<!\d)0\d*\.|\d{4}\.|(?<!\d)\.")


class Number(NamedTuple):
    """A cell that can be read as a number.

    digits      with sign, decimal mark and thousands separators as written
    exponent    power of ten that multiplies the digits: 5 for "1e5", -2 for "1 %"
    marks       possible decimal marks: ".", ",", or ".," if both are possible
    unit        unit next to the digits: "%", "€", "USD", or ""
    bracketed   True if brackets stand for a minus sign, as in accounting
    """

    digits: str
    exponent: int
    marks: str
    unit: str
    bracketed: bool

    @property
    def marked(self) -> bool:
        """True if it holds a point or a comma, so that its value depends on the decimal mark."""
        return "." in self.digits or "," in self.digits

    @property
    def counts(self) -> bool:
        """True if it is not 0, which has the same value in any unit."""
        return bool(self.digits.strip("-+0.,"))

    @property
    def kind(self) -> tuple[str, bool]:
        """Its unit, and whether it is written as a whole number."""
        whole = self.digits.lstrip("+-").isdigit()
        return self.unit, whole and self.exponent == SHARES.get(self.unit, 0)

    def value(self, mark: str = "") -> float:
        """Return the value with this decimal mark, by default the first possible one."""
        mark = mark or self.marks[0]
        thousands = "," if mark == "." else "."
        digits = self.digits.replace(" ", "").replace("'", "")
        digits = digits.replace(thousands, "").replace(mark, ".")
        return float(f"{digits}e{self.exponent}")


def number(cell: str) -> Number | None:
    """Return the number in a cell, or None if it holds none or several."""
    if len(cell) > LONGEST or not any(map(str.isdigit, cell)):
        return None
    text = " ".join(cell.translate(PLAIN).split())
    brackets = BRACKETS.fullmatch(text)
    bracketed = brackets is not None
    if brackets:
        text = "".join(brackets.groups()).strip()
    found = CELL.fullmatch(text)
    if found is None:
        return None
    sign, before, inner, body, exponent, share, after = found.groups()
    units = [unit for unit in (before, share, after) if unit]
    marks = "".join(mark for mark in ".," if readable(body, mark, bool(exponent)))
    if len(sign + inner) > 1 - bracketed or len(units) > 1 or not marks:
        return None
    minus = "-" if bracketed else sign or inner
    power = int(exponent.lstrip(" eE")) if exponent else 0
    return Number(minus + body, power + SHARES[share], marks, "".join(units), bracketed)


def check_unit(source: str, name: str, learned: str | None, got: str | None) -> None:
    """Raise BadFile if a column's unit differs from the learned one: % and plain numbers, $ and €.

    None is the unit of a column of zeros and matches any unit.
    """
    if learned is None or got is None:
        return
    shares = [bool(SHARES.get(unit)) for unit in (learned, got)]
    same = learned == got or "" in (learned, got)  # the currency sign may be omitted
    if all(shares) or (same and not any(shares)):
        return
    expected = f"column {name!r} in the unit that was learned, {learned or 'none'}"
    raise BadFile(source, expected, got or "none", "Use one unit for both.")


def readable(body: str, mark: str, exponent: bool) -> bool:
    """Return True if the digits are valid with this decimal mark. An exponent excludes thousands separators."""
    if DIGITS[mark].fullmatch(body):
        return True
    return not exponent and GROUPS[mark].fullmatch(body) is not None


def is_nearly_number(cell: str) -> bool:
    """Return True if a cell is a number with other signs around it: "<0.5", "3*", "'7'", or "5-" in some accounts."""
    return number(AROUND.sub("", cell[:LONGEST])) is not None


def is_composed(cell: str) -> bool:
    """Return True if a cell is a number with a power of ten, an error or a note ("1.5×10^3", "5±0.1", "5(1)", "5·25"),
    in a programming notation ("0x1F", "1_000", "3:0.5"), or made of several ("5'6", "2h 30m", "P1DT2H", "1 3/4")."""
    found = COMPOSED.fullmatch(cell[:LONGEST].translate(PLAIN))
    return found is not None and (not found[1] or number(found[1]) is not None)


def unit_behind(cell: str) -> str | None:
    """Return the text after the number in a cell, such as "kg" or "°C", or "D" for Fortran's 1.5D+00; else None."""
    text = cell[:LONGEST].translate(PLAIN)
    if (found := FORTRAN.fullmatch(text)) and number("e".join(found.groups())):
        return "D"
    if (found := MEASURED.fullmatch(text)) and number(found[1]):
        return found[2]
    return None
