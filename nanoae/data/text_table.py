"""Text tables: .csv, .tsv and .txt files, optionally with .gz, as rows of cells under column names."""

from __future__ import annotations

import io
import math
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice, takewhile
from pathlib import Path

from nanoae.data.columns import check_names
from nanoae.data.dataset import BadFile
from nanoae.data.header import is_header
from nanoae.data.number import number
from nanoae.data.separator import first_rows, separator_of, split
from nanoae.data.text_file import open_text
from nanoae.data.text_format import TextFormat
from nanoae.spelling import did_you_mean, short
from nanoae.warning import warn

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
# Most lines, and most characters, used to detect separator and header
LOOK, LOOK_AT_MOST = 100, 1 << 18
MOST_COLUMNS = 200_000  # each has a name and is processed separately
BLOCK = 2048  # cells read together, which fit in a CPU cache
# A first line in which a spreadsheet names the separator
EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
# Lines of a drawn table, such as |---|:-:| and +===+, or of LaTeX, HTML, ARFF or JSON
DRAWN = re.compile(
    r"(?=.*[-=─].*[-=─|+])[-=─|+:,;\s]+|.*\\\\(?:\s*\\\w+)*\s*"
    r"|\s*(?:\\begin|<(?:!doctype|\?xml|html|table)|@relation|[\[{]\s*[\"\[{]).*",
    re.IGNORECASE | re.DOTALL,
)
# NumPy's prefix of a header; "#" alone may be a column name
COMMENT = re.compile(r"#+ *(?![ ,;|\t])")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case: .csv, or .csv.gz."""
    packed = path.suffix.lower() == ".gz"
    last = path.suffixes[-2:] if packed else path.suffixes[-1:]
    return "".join(last).lower()


@contextmanager
def open_table(path: Path, written: TextFormat, limit: int) -> Iterator[TextTable]:
    with open_text(path, "CSV table", written.encoding, limit) as text:
        yield TextTable(path, text, written)


class TextTable:
    """An open text table.

    names   column names; "1", "2", ... if the first row does not hold them (`named`)
    """

    def __init__(self, path: Path, text: io.TextIOWrapper, written: TextFormat):
        self.path = path
        self.text = text
        self.format = written
        lines = self._first_lines()
        self.separator = written.separator or self._separator or self._found_separator(lines)
        self.format = replace(written, separator=self.separator)
        rows = first_rows(lines, self.separator)
        first = [cell.strip() for cell in rows[0]] if rows else []
        self.width = len(first)
        if self.width > MOST_COLUMNS:
            hint = "Text is slow for arrays of this size: use numpy.save to write a .npy file."
            raise BadFile(path, f"a text table of at most {MOST_COLUMNS} columns", self.width, hint)
        self.named = self._is_named(first, rows[1:])
        # Column names that are numbers, or that only the user declared to be names, may also occur as values.
        repeats = written.header or not self.named or all(map(number, first))
        self._header_row = None if repeats else rows[0]
        counted = "Unnamed: {}" if self.named else "{}"  # pandas' names, counted from 0
        self.names = [
            (self.named and cell) or counted.format(i)
            for i, cell in enumerate(first, not self.named)
        ]
        # Empty columns, from bars around the rows or separators at their ends; the last one first
        empty = [not any(map(str.strip, column)) for column in zip(*rows, strict=False)]
        self._empty = [i for i in reversed(range(len(empty))) if empty[i] and self.width > 1]
        for i in self._empty:
            self.names.pop(i)
        check_names(self.names, str(path))
        for name in (*written.text, *written.ignore):
            if name not in self.names:
                hint = did_you_mean(name, self.names)
                raise BadFile(path, f"a column named {name!r}", self.names, hint)

    # ---------------------------------------------------------------- format

    def _first_lines(self) -> list[str]:
        """Return the first lines of the table.

        It may be preceded by comments, the last of which may be its header, and by a line "sep=;". Later reads skip the
        first _skip lines and start with _header.
        """
        lines: list[str] = []
        for line in islice(self.text, LOOK):
            lines.append(line)
            if len(lines) > 1 and sum(map(len, lines)) > LOOK_AT_MOST:
                break
        match = EXCEL.fullmatch(lines[0]) if lines else None
        self._separator = match[1] if match else None
        self._skip = 1 if match else 0
        self._header: list[str] = []
        comments = list(takewhile(COMMENT.match, lines[self._skip :]))
        body = lines[self._skip + len(comments) :]
        if comments and body:
            header = COMMENT.sub("", comments[-1], count=1)
            mark = self.format.separator or self._separator or separator_of(body) or ","
            rows = first_rows([header, body[0]], mark)
            self._skip += len(comments)
            if len({*map(len, rows)}) == 1:
                self._header.append(header)
        lines = self._header + lines[self._skip :]
        drawn = next(filter(DRAWN.fullmatch, lines[:2]), None)
        if drawn is not None:
            hint = "Save the table as CSV, or remove the drawn lines."
            raise BadFile(self.path, "lines of cells", short(drawn.strip()), hint)
        return lines

    def _found_separator(self, lines: list[str]) -> str:
        found = separator_of(lines) if lines else ","
        if found is None:
            got = f"{short(lines[-1].strip())}, which may be either"
            hint = (
                "Name the separator of the columns: separator=, --separator; for a single column, "
                "a character that it does not contain, such as |."
            )
            raise BadFile(self.path, "lines of one number, or of several cells", got, hint)
        return found

    def _is_named(self, first: list[str], body: list[list[str]]) -> bool:
        if self.format.header is not None or not first:
            return bool(self.format.header)
        named = is_header(first, body)
        shown = short(", ".join(first))
        if named is None:
            hint = "Decide with header=True or False (--header yes or no)."
            got = f"{shown}, which may be either"
            raise BadFile(self.path, "a first row of names, or of values", got, hint)
        if named and len(first) <= 2 and all(map(number, first)):
            warn(
                f"{self.path}: taking the first row, {shown}, as column names. If it holds values, pass "
                "header=False or --header no"
            )
        return named

    # ---------------------------------------------------------------- content

    def blocks(self) -> Iterator[tuple[array, list[tuple[str, ...]]]]:
        """Yield (line numbers, cells by column) for blocks of rows below the header."""
        self.text.seek(0)
        lines = chain(self._header, islice(self.text, self._skip, None))
        reader = split(lines, self.separator)
        before = self._skip - len(self._header)
        rows: list[list[str]] = []
        numbers = array("q")
        size = max(BLOCK // max(self.width, 1), 16)
        if self.named:
            next(filter(self._is_row, reader), None)
        for row in filter(self._is_row, reader):
            rows.append(row)
            numbers.append(before + reader.line_num)
            if len(rows) == size:
                yield numbers, self._columns(numbers, rows)
                rows = []
                numbers = array("q")
        if rows:
            yield numbers, self._columns(numbers, rows)

    def _is_row(self, row: list[str]) -> bool:
        """Return True unless the line is empty."""
        if len(row) == 1:
            return self.width == 1 or bool(row[0].strip())
        return len(row) > 1

    def _columns(self, numbers: array, rows: list[list[str]]) -> list[tuple[str, ...]]:
        """Return the cells of these rows by column. Raise BadFile for a row that is too short or too long."""
        for line, row in zip(numbers, rows, strict=True):
            if len(row) != self.width:
                hint = ""
                if self.width == 1:
                    hint = "Remove lines above the column names."
                elif self.named and len(row) == self.width + 1:
                    hint = "If the first column holds row names, name it as well."
                raise BadFile(self.path, f"{self.width} cells in row {line}", len(row), hint)
            if row == self._header_row:
                got = f"the same again in row {line}"
                raise BadFile(self.path, "one row of column names", got, "Remove it.")
        columns = list(zip(*rows, strict=True))
        for i in self._empty:
            if any(map(str.strip, columns.pop(i))):
                got = "some in a later row"
                raise BadFile(self.path, f"no cell in column {i + 1}, as in the first rows", got)
        return columns

    def parts(self, cells: float = math.inf) -> Iterator[tuple[list[list[str]], array]]:
        """Yield (cells of each column, line numbers) for the whole table, in parts of about `cells` cells."""
        columns: list[list[str]] = [[] for _ in self.names]
        rows = array("q")
        for numbers, block in self.blocks():
            rows.extend(numbers)
            for column, found in zip(columns, block, strict=True):
                column.extend(map(str.strip, found))
            if len(rows) * self.width >= cells:
                yield columns, rows
                columns = [[] for _ in self.names]
                rows = array("q")
        if rows:
            yield columns, rows
