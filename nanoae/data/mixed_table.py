"""Text tables of numbers, words and gaps, as data sets: what a TableEncoder makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, Dataset
from nanoae.data.encoder import TableEncoder
from nanoae.data.identity import tell_of_ids
from nanoae.data.labels import read_labels
from nanoae.data.number_table import find_features
from nanoae.data.table import tables_of
from nanoae.data.table_parts import TableParts, is_large
from nanoae.data.text_format import TextFormat
from nanoae.data.text_table import open_table


def read_parts(
    parts: TableParts, random_state: int | None, label: str | None, encoder: TableEncoder
) -> Dataset:
    """`read_mixed` of a table that does not fit in memory, whose columns are then all encoded."""
    left_out = [*parts.format.ignore]
    y = None
    if label is not None:
        left_out.append(label)
        cells = []
        for table in parts:
            at = table.names.index(label)
            cells.append(table.text_column(at).spelled_plainly())
        y = read_labels(list(itertools.chain.from_iterable(cells)))
    rows: Any = parts.encoded(left_out, encoder)
    places = np.arange(len(rows))[:, None]
    data = Dataset.split(parts.path.name, places, y, random_state)
    train = rows[data.x_train[:, 0]]
    test = rows[data.x_test[:, 0]]
    names = tuple(encoder.get_feature_names_out().tolist())
    return replace(data, x_train=train, x_test=test, maximum=None, columns=names, encoder=encoder)


def read_mixed(
    path: Path,
    random_state: int | None,
    label: str | None,
    columns: Sequence[str] | None,
    written: TextFormat,
    limit: int = UNPACK_LIMIT,
    encoder: TableEncoder | None = None,
) -> Dataset:
    """A text table whose cells may hold words, or be empty; `load_data` says what the arguments mean.

    Words are encoded by `encoder`, which learns the training rows if it is not fitted; the data set keeps it. Of
    numbers alone NaN stands where a cell is empty, and there is no encoder.
    """
    encoder = TableEncoder() if encoder is None else encoder
    if is_large(path):
        return read_parts(TableParts(path, limit, **vars(written)), random_state, label, encoder)
    with open_table(path, written, limit) as text:
        features = find_features(text, label, None if encoder.fitted else columns)
        whole = next(tables_of(text))
    table = replace(
        whole,
        names=[whole.names[at] for at in features],
        cells=[whole.cells[at] for at in features],
    )
    y = None
    if label is not None:
        at = whole.names.index(label)
        y = read_labels(whole.text_column(at).spelled_plainly())
    places = np.arange(len(table))[:, None]
    data = Dataset.split(path.name, places, y, random_state)
    train = data.x_train[:, 0]
    test = data.x_test[:, 0]
    if not encoder.fitted and not table.has_words:
        x = table.numbers()
        if columns is None:
            tell_of_ids("load_data", x.T, table.names)
        units = tuple(table.unit(i) for i in range(len(table.names)))
        names = tuple(table.names) if table.named else None
        return replace(
            data, x_train=x[train], x_test=x[test], maximum=None, columns=names, units=units
        )
    if not encoder.fitted:
        encoder.fit(table.taken(np.sort(train)))
    x = np.asarray(encoder.transform(table))
    names = tuple(encoder.get_feature_names_out().tolist())
    return replace(
        data, x_train=x[train], x_test=x[test], maximum=None, columns=names, encoder=encoder
    )
