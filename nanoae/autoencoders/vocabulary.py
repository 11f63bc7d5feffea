"""Vocabulary: lines of text as rows of numbers, and back."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

UNITS: dict[str, Callable[[str], list[str]]] = {  # what a line is cut into; joined again they are the line
    "words": re.compile(r" ?\w+|.", re.DOTALL).findall,  # a word with the space before it, or any other character
    "characters": list,
}
NO_WORD, END = 0, 1


class Vocabulary:
    """The words of a language, numbered; a line is the row  start, word, word, ..., END, 0, 0, ...

    0            no word: padding, and a word that is not known
    1            END of the line
    2 ..         the starts: one for each keyword, or the one start of all lines where there are no keywords
    behind them  the words, the most frequent first

    words   the words alone
    starts  the keywords, or ("",)
    unit    "words" or "characters"
    """

    def __init__(self, words: Sequence[str], starts: Sequence[str], unit: str):
        if unit not in UNITS or not all(isinstance(text, str) for text in (*words, *starts)):
            raise ValueError(f"Vocabulary: expected texts, and unit words or characters, got {starts}, {unit!r}.")
        self.words, self.starts, self.unit = tuple(words), tuple(starts), unit
        self.first_word = 2 + len(self.starts)
        self.numbers = {word: i for i, word in enumerate(self.words, self.first_word)}
        self.start_numbers = {start: i for i, start in enumerate(self.starts, 2)}

    def __len__(self) -> int:
        return self.first_word + len(self.words)

    @classmethod
    def learn(cls, lines: list[str], keywords: list[str] | None, unit: str, max_words: int) -> Vocabulary:
        """The `max_words` most frequent words of `lines`; unit "auto": characters where most lines have no space."""
        if unit == "auto":
            unit = "words" if 2 * sum(" " in line for line in lines) >= len(lines) else "characters"
        counts = Counter(word for line in lines for word in UNITS[unit](line))
        words = sorted(counts, key=lambda word: (-counts[word], word))[:max_words]
        return cls(words, ("",) if keywords is None else sorted(set(keywords)), unit)

    def cut(self, line: str) -> list[str]:
        return UNITS[self.unit](line)

    def encode(self, lines: list[str], keywords: list[str] | None, steps: int) -> np.ndarray:
        """The rows (N, steps) of lines, int32; a line that is too long is cut, and a warning says so."""
        rows = np.zeros((len(lines), steps), np.int32)
        long = 0
        for row, line, start in zip(rows, lines, keywords or [""] * len(lines), strict=True):
            words = [self.numbers.get(word, NO_WORD) for word in self.cut(line)]
            if len(words) > steps - 2:
                long, words = long + 1, words[: steps - 2]
            else:
                words.append(END)  # of a line that was cut nobody knows where it ends
            row[: len(words) + 1] = [self.start_numbers[start], *words]
        if long:
            told = "a line is" if long == 1 else f"{long} lines are"
            warnings.warn(f"{told} longer than {steps - 2} {self.unit}, and cut there", stacklevel=1)
        return rows

    def decode(self, rows: np.ndarray) -> list[str]:
        """The lines of rows (N, T) of word numbers, up to their END, without a start; what is no word is left out."""
        lines = []
        for row in np.asarray(rows):
            numbers = row[: int(np.argmax(row == END))] if END in row else row
            lines.append("".join(self.words[n - self.first_word] for n in numbers if n >= self.first_word).strip())
        return lines
