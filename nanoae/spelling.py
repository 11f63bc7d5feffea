"""Spelling: what somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """What to say of a name close to known ones, " Did you mean 'mnist'?", or nothing; case does not count."""
    import difflib  # here, for only a mistake needs it, and `import nanoae` would pay for it

    known = list(known)
    near = difflib.get_close_matches(str(name).casefold(), dict.fromkeys(k.casefold() for k in known))
    meant = [repr(k) for folded in near for k in known if k.casefold() == folded]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""
