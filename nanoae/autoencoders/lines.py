"""Lines: texts that a user gives, checked, composed (NFC) and with single spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from nanoae.spelling import did_you_mean


def checked(lines: Any, keywords: Any) -> tuple[list[str], list[str] | None]:
    """Lines and keywords, composed (NFC) and with single spaces; ValueError where they are not as many full texts."""
    lines = cleaned("lines", lines)
    keywords = None if keywords is None else cleaned("keywords", keywords)
    if keywords is not None and len(lines) != len(keywords):
        raise ValueError(
            f"TextVAE: expected a keyword for each line, got {len(keywords)} for {len(lines)} lines."
        )
    return lines, keywords


def cleaned(name: str, texts: Any) -> list[str]:
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__") or len(texts) == 0:
        raise ValueError(
            f"TextVAE: expected {name}, a list of one text or more, got {texts!r:.60}."
        )
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            got = repr(text) if isinstance(text, (str, int, float)) else f"a {type(text).__name__}"
            raise ValueError(
                f"TextVAE: expected {name} that are texts and not empty, got {got} at place {i}."
            )
    return [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]


def unseen(keyword: str, known: Sequence[str]) -> str:
    """What to say about a keyword that fit has not seen."""
    hint = did_you_mean(keyword, known) or f" It knows {some(known)}."
    return f"TextVAE: expected a keyword that fit has seen, got {keyword!r}.{hint}"


def some(texts: Sequence[str]) -> str:
    """a, b, c and 7 more"""
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")
