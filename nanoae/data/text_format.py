"""TextFormat: how a table is written as text, where that is said and not left to the reader to find."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from nanoae.spelling import did_you_mean

# Words for separators that are hard to type
SEPARATORS = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " "}


@dataclass(frozen=True)
class TextFormat:
    """What the user says of a text table; what is None the reader finds, or refuses where it cannot tell.

    separator   between the cells of a row: one character; " " or "blank" for blanks in any number, "tab" for a tab
    decimal     the decimal mark of all its numbers: "." or ",". Found by what can be read in one way only, as 1.5 or
                1.234,5, in their column or else in the others. Without any, 1.234 has a decimal point; it is refused
                where semicolons separate, or numbers below 1000 stand beside it without one, as 1,234 always is
    na          texts that mean that a value is missing, besides those that always do
    text        names of columns that are text, whatever is in them; what is missing there is empty, or one of `na`
    ignore      names of columns that are left out
    header      whether the first row names the columns
    encoding    of the characters, as Python names it
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
                    f'separator: expected one character, as ";", "tab" or "blank", got {mark!r}.'
                )
        if self.decimal not in (None, ".", ","):
            raise ValueError(f'decimal: expected "." or ",", got {self.decimal!r}.')
        if self.header not in (None, True, False):
            raise ValueError(
                f"header: expected True, False or None (found by the reader), got {self.header!r}."
            )
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise ValueError(
                    f"encoding: expected one that Python knows, as cp1252, got {self.encoding!r}."
                ) from error

    @classmethod
    def of(cls, given: dict[str, Any], who: str) -> TextFormat:
        """With these arguments of a function; TypeError for one that it does not take."""
        known = [field.name for field in fields(cls)]
        for name in given.keys() - set(known):
            raise TypeError(
                f"{who}: expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
            )
        return cls(**given)
