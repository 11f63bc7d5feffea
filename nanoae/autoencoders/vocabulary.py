"""Vocabulary: converts lines of text to rows of token indices and back."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nanoae.data.field import promised
from nanoae.spelling import did_you_mean
from nanoae.warning import warn

# A word with the space before it, or any other single character
WORD = re.compile(r" ?\w+|.", re.DOTALL)
# Functions that split a line into tokens; joining the tokens restores the line
UNITS: dict[str, Callable[[str], list[str]]] = {"words": WORD.findall, "characters": list}
PAD = UNK = 0  # after the end of a line, and for an unknown token
EOS = 1


class Vocabulary:
    """The token indices. A line becomes the row  BOS, token, token, ..., EOS, PAD, PAD, ...

    0            PAD and UNK: after the end, and for an unknown token
    1            EOS, the end of the line
    2 ..         BOS, the beginning: one per keyword, or a single one without keywords
    after these  the tokens, most frequent first

    tokens  the tokens alone
    bos     the keywords, or ("",)
    unit    "words" or "characters"
    """

    def __init__(self, tokens: Sequence[str], bos: Sequence[str], unit: str) -> None:
        if unit not in UNITS or not all(isinstance(text, str) for text in (*tokens, *bos)):
            raise ValueError(
                f"Vocabulary: expected texts, and unit words or characters, got {bos}, {unit!r}."
            )
        self.tokens = tuple(tokens)
        self.bos = tuple(bos)
        self.keywords = tuple(filter(None, self.bos))
        self.unit = unit
        self.first_token = 2 + len(self.bos)
        self.ids = {token: i for i, token in enumerate(self.tokens, self.first_token)}
        self.bos_ids = {keyword: i for i, keyword in enumerate(self.bos, 2)}

    def __len__(self) -> int:
        return self.first_token + len(self.tokens)

    @classmethod
    def learn(
        cls, lines: list[str], keywords: list[str] | None, unit: str, max_words: int
    ) -> Vocabulary:
        """Learn the `max_words` most frequent tokens of lines; unit "auto": characters if most lines have no space."""
        if unit == "auto":
            spaced = sum(" " in line for line in lines)
            unit = "words" if 2 * spaced >= len(lines) else "characters"
        counts = Counter(token for line in lines for token in UNITS[unit](line))
        tokens = sorted(counts, key=lambda token: (-counts[token], token))[:max_words]
        starts = ("",) if keywords is None else sorted(set(keywords))
        return cls(tokens, starts, unit)

    def pack(self) -> dict[str, Any]:
        """Return the JSON-ready form for a model file."""
        return {"words": self.tokens, "starts": self.bos, "unit": self.unit}

    @classmethod
    def unpack(cls, kept: dict[str, Any]) -> Vocabulary:
        """Restore the output of `pack`; ValueError if it is invalid."""
        words = promised(kept, "words", [str])
        starts = promised(kept, "starts", [str])
        return cls(words, starts, promised(kept, "unit", str))

    def tokenize(self, line: str) -> list[str]:
        return UNITS[self.unit](line)

    def encode(self, lines: list[str], keywords: list[str] | None, length: int) -> np.ndarray:
        """Encode lines as rows (N, length), int32; lines that are too long are truncated, with a warning."""
        rows = np.full((len(lines), length), PAD, np.int32)
        long = 0
        starts = keywords or [""] * len(lines)
        for row, line, keyword in zip(rows, lines, starts, strict=True):
            ids = [self.ids.get(token, UNK) for token in self.tokenize(line)]
            if len(ids) > length - 2:
                long += 1
                ids = ids[: length - 2]
            else:
                ids.append(EOS)  # a truncated line has no end
            row[: len(ids) + 1] = [self.bos_ids[keyword], *ids]
        if long:
            which = "a line is" if long == 1 else f"{long} lines are"
            warn(f"{which} longer than {length - 2} {self.unit}, and truncated")
        return rows

    def known(self, keywords: Sequence[str] | None) -> list[str] | None:
        """Return `keywords` in normalised form; ValueError if one is unknown, or if they are missing or unexpected."""
        keywords = None if keywords is None else cleaned("keywords", keywords)
        if keywords is None and self.keywords:
            raise ValueError(
                f"TextVAE: expected keywords, as in fit: {some(self.keywords)}; got none."
            )
        if keywords is not None and not self.keywords:
            raise ValueError(f"TextVAE: expected no keywords, as in fit, got {some(keywords)}.")
        for keyword in keywords or ():
            if keyword not in self.bos_ids:
                raise ValueError(unseen(keyword, self.keywords))
        return keywords

    def warn_about_unknown(self, lines: list[str]) -> None:
        """Warn about unknown tokens in lines."""
        new = {token for line in lines for token in self.tokenize(line)} - self.ids.keys()
        if new:
            warn(
                f"Tokens unknown to the vocabulary are masked: {some(sorted(new))}. warm_start=False adds them."
            )

    def decode(self, rows: np.ndarray) -> list[str]:
        """Decode rows (N, T) of token indices to lines, up to EOS, without BOS; unknown tokens are left out."""
        lines = []
        for row in np.asarray(rows):
            ids = row[: int(np.argmax(row == EOS))] if EOS in row else row
            known = [self.tokens[i - self.first_token] for i in ids if i >= self.first_token]
            lines.append("".join(known).strip())
        return lines


def checked_lines(lines: Any, keywords: Any) -> tuple[list[str], list[str] | None]:
    """Return lines and keywords in NFC with single spaces; ValueError if one is empty or their numbers differ."""
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
                f"TextVAE: expected {name} that are non-empty strings, got {got} at index {i}."
            )
    return [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]


def unseen(keyword: str, known: Sequence[str]) -> str:
    """Return the message about a keyword that fit has not seen."""
    hint = did_you_mean(keyword, known) or f" Known keywords: {some(known)}."
    return f"TextVAE: expected a keyword seen by fit, got {keyword!r}.{hint}"


def some(texts: Sequence[str]) -> str:
    """Format texts as "a, b, c and 7 more"."""
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")
