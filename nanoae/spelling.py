"""Spelling: check names against the known ones and suggest what a misspelled one may have meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 100  # characters compared: a name of 15 MB would need 700 MB of memory


def one_of(what: str, name: object, known: Iterable[str], also: str = "") -> str:
    """Return `name` if it is one of the `known` names. Otherwise raise ValueError listing them, with a suggestion.

    what   what the name is for: "loss", "TextVAE: tokens"
    also   text appended to the list of known names: ", or a list of them"
    """
    known = list(known)
    if isinstance(name, str) and name in known:
        return name
    raise ValueError(
        f"{what}: expected one of {', '.join(known)}{also}, got {name!r}.{did_you_mean(name, known)}"
    )


def instance(what: str, given: Any, kind: type, known: Mapping[str, Any], also: str = "") -> Any:
    """Return `given` if it is an instance of `kind`, else what it returns if it is callable (a class, or a function
    without arguments), else a new instance of the `known` class with that name; ValueError as in `one_of`."""
    if isinstance(given, kind):
        return given
    maker = given if callable(given) else known[one_of(what, given, known, also)]
    return maker()


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a suggestion such as " Did you mean 'mnist'?", ignoring case, or "" if no known name is similar."""
    import difflib  # imported here: only a mistake needs it

    spelled: dict[str, list[str]] = {}
    for k in known:
        # also the parts of a name: "glorot" for "glorot_uniform"
        for part in {k, *re.split("[-_ ]", k)}:
            spelled.setdefault(part.casefold(), []).append(repr(k))
    near = difflib.get_close_matches(str(name)[:LONGEST].casefold(), spelled)
    meant = dict.fromkeys(k for part in near for k in spelled[part])
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def short(value: object) -> str:
    """Return repr(value), cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def counted(n: int, noun: str) -> str:
    """ "1 row", "1,437 rows": a number with its noun in the singular or plural."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
