"""Spelling: the names that something may have, and what somebody may have meant by one that it has not."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 100  # characters that are looked at: a stranger's 15 MB take 700


def one_of(what: str, name: object, known: Iterable[str], also: str = "") -> str:
    """`name`, where it is one of the `known`; else ValueError with these, and with those that may have been meant.

    what   the name is for: "loss", "TextVAE: tokens"
    also   is said behind the known names: ", or a list of them"
    """
    known = list(known)
    if isinstance(name, str) and name in known:
        return name
    raise ValueError(
        f"{what}: expected one of {', '.join(known)}{also}, got {name!r}.{did_you_mean(name, known)}"
    )


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """What to say of a name close to known ones, " Did you mean 'mnist'?", or nothing; case does not count."""
    import difflib  # here, for only a mistake needs it, and `import nanoae` would pay for it

    known = list(known)
    near = difflib.get_close_matches(
        str(name)[:LONGEST].casefold(), dict.fromkeys(k.casefold() for k in known)
    )
    meant = [repr(k) for folded in near for k in known if k.casefold() == folded]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def short(value: object) -> str:
    """How Python writes it, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def counted(n: int, noun: str) -> str:
    """ "1 row", "1,437 rows": so many of a noun."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
