"""TableParts: a text table of numbers, words and gaps that need not fit in memory, as a sequence of Tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, Dataset, split_rows
from nanoae.data.encoder import TableEncoder
from nanoae.data.identity import warn_about_ids
from nanoae.data.labels import read_labels
from nanoae.data.number_table import find_features
from nanoae.data.table import Table, read_table, tables_of
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import open_table
from nanoae.rows import Rows, gathered, most_in_memory, stored
from nanoae.survey import sample

AT_ONCE = 1 << 20  # cells per part
TIMES = 32  # most memory of the cells as Python objects, relative to the file size


class TableParts:
    """The rows of a text file as a sequence of Tables with the same columns.

    large   True if the file is read anew in each iteration; otherwise it is read once into a single Table, `whole`
    """

    def __init__(self, path: str | Path, limit: int = UNPACK_LIMIT, **written: Any):
        self.path = Path(path)
        self.limit = limit
        self.format = TextFormat.of(written, "read_table")
        self.named: bool | None
        self.large = self.path.is_file() and self.path.stat().st_size >= most_in_memory()
        if self.large:
            self.whole = list[Table]()
            with open_table(self.path, self.format, limit) as text:
                self.names = text.names
                self.named = text.named
        else:
            self.whole = [read_table(path, limit, **written)]
            self.names = self.whole[0].names
            self.named = self.whole[0].named

    def __iter__(self) -> Iterator[Table]:
        yield from self.whole
        if self.large:
            with open_table(self.path, self.format, self.limit) as text:
                yield from tables_of(text, AT_ONCE)

    def split(self, names: list[str]) -> Iterator[tuple[Table, list[tuple[str, np.ndarray]]]]:
        """Return an iterator over `Table.split` of each part."""
        return (table.split(names) for table in self)

    def sample(self, names: list[str]) -> Table:
        """Return a random sample of the rows, in order, without these columns; all rows if they fit in memory."""
        share = Rows.memory / (TIMES * self.path.stat().st_size)
        random = np.random.default_rng(0)
        samples = list[Table]()
        for table, _ in self.split(names):
            some = random.random(len(table)) < share
            samples.append(table.taken(np.flatnonzero(some)))
        columns = zip(*(part.cells for part in samples), strict=True)
        cells = [np.concatenate(parts) for parts in columns]
        rows = [row for part in samples for row in part.rows]
        return replace(samples[0], cells=cells, rows=rows)

    def encoded(self, names: list[str], encoder: TableEncoder | None = None) -> Rows:
        """Return all rows without these columns, encoded by a TableEncoder, which is stored as their `encoder`.

        The given encoder is used; it is fitted to a sample first unless it is fitted.
        """
        encoder = encoder or TableEncoder()
        if not encoder.fitted:
            encoder.fit(self.sample(names))
        rows = stored(np.asarray(encoder.transform(table)) for table, _ in self.split(names))
        rows.encoder = encoder
        return rows


def read_mixed(
    path: Path,
    random_state: int | None,
    label: str | None,
    columns: Sequence[str] | None,
    written: TextFormat,
    limit: int,
    encoder: TableEncoder | None,
) -> Dataset:
    """Read a text table whose cells may be words or empty. The arguments are those of `load_data`.

    Words are encoded by `encoder`, which is stored in the data set. Unless it is fitted, it is fitted to the training
    rows, or to a sample of a table that does not fit in memory. A table of numbers only is not encoded; empty cells
    become NaN.
    """
    encoder = TableEncoder() if encoder is None else encoder
    parts = TableParts(path, limit, **vars(written))
    features = find_features(parts, label, None if encoder.fitted else columns)
    y = None
    if label is not None:
        at = parts.names.index(label)
        cells = [table.text_column(at).spelled_plainly() for table in parts]
        y = read_labels([*itertools.chain.from_iterable(cells)])
    left_out = sorted({*parts.names} - {*features})
    table = parts.sample(left_out).selected(features)
    x: Any
    if not encoder.fitted and not table.has_words:
        x = gathered(part.selected(features).numbers() for part in parts)
        if columns is None:
            warn_about_ids("load_data", sample(x).T, features)
        units = tuple(map(table.unit, range(len(features))))
        names = tuple(features) if parts.named else None
        train, test = split_rows(path.name, x.shape, random_state)
        return Dataset.of_rows(path.name, x, y, train, test, columns=names, units=units)
    if parts.large:
        x = parts.encoded(left_out, encoder)
        train, test = split_rows(path.name, x.shape, random_state)
    else:
        train, test = split_rows(path.name, (len(table), 1), random_state)
        if not encoder.fitted:
            encoder.fit(table.taken(np.sort(np.arange(len(table))[train])))
        x = np.asarray(encoder.transform(table))
    names = tuple(encoder.get_feature_names_out().tolist())
    return Dataset.of_rows(path.name, x, y, train, test, columns=names, encoder=encoder)
