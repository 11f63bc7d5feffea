"""TextFormat: how a table is written as text, as far as the user specifies it."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from nanoae.spelling import did_you_mean

# Names of separators that are hard to type
SEPARATORS = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " "}


@dataclass(frozen=True)
class TextFormat:
    """The user's description of a text table. The reader detects what is None, or raises if it is ambiguous.

    separator   between the cells of a row: one character; " " or "blank" for any number of blanks, "tab" for a tab
    decimal     decimal mark of all numbers: "." or ",". Detected from unambiguous numbers, such as 1.5 or 1.234,5, in
                the same column or else in the others. Without any, 1.234 has a decimal point, but is refused if the
                separator is a semicolon, or if the column's numbers without a point are all below 1000; 1,234 is
                always refused
    na          texts that mark missing values, in addition to the usual ones
    text        names of columns that are text, whatever they hold; missing there are empty cells and those in `na`
    ignore      names of columns to leave out
    header      whether the first row holds column names
    encoding    character encoding, by its Python name
    """

    separator: str | None = None
    decimal: str | None = None
    na: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    header: bool | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        for name in ("na", "text", "ignore"):
            given: str | Iterable[object] = getattr(self, name)
            texts = (given,) if isinstance(given, str) else tuple(given)
            object.__setattr__(self, name, tuple(str(text).strip() for text in texts))
        mark = self.separator
        if mark is not None:
            mark = SEPARATORS.get(mark, mark)
            object.__setattr__(self, "separator", mark)
            if len(mark) != 1 or mark in '"\n\r' or mark.isalnum():
                raise ValueError(
                    f'separator: expected one character, such as ";", "tab" or "blank", got {mark!r}.'
                )
        if self.decimal not in (None, ".", ","):
            raise ValueError(f'decimal: expected "." or ",", got {self.decimal!r}.')
        if self.header not in (None, True, False):
            raise ValueError(
                f"header: expected True, False or None (detected), got {self.header!r}."
            )
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise ValueError(
                    f"encoding: expected an encoding known to Python, such as cp1252, got {self.encoding!r}."
                ) from error

    @classmethod
    def of(cls, given: dict[str, Any], who: str) -> TextFormat:
        """Return the format given by a function's keyword arguments. Raise TypeError for an unknown one."""
        known = [field.name for field in fields(cls)]
        for name in given.keys() - set(known):
            raise TypeError(
                f"{who}: expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
            )
        return cls(**given)
