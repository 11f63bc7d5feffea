"""Text tables of numbers, words and gaps, as data sets: what a TableEncoder makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.data.dataset import UNPACK_LIMIT, Dataset, split_rows
from nanoae.data.encoder import TableEncoder
from nanoae.data.identity import tell_of_ids
from nanoae.data.labels import read_labels
from nanoae.data.number_table import find_features
from nanoae.data.table_parts import TableParts
from nanoae.data.text_format import TextFormat


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

    Words are encoded by `encoder`, which learns the training rows if it is not fitted, or a sample of a table that does
    not fit in memory; the data set keeps it. Of numbers alone NaN stands where a cell is empty, without an encoder.
    """
    encoder = TableEncoder() if encoder is None else encoder
    parts = TableParts(path, limit, **vars(written))
    features = find_features(parts, label, None if encoder.fitted else columns)
    y = None
    if label is not None:
        at = parts.names.index(label)
        cells = [table.text_column(at).spelled_plainly() for table in parts]
        y = read_labels([*itertools.chain.from_iterable(cells)])
    if parts.large:
        x: Any = parts.encoded(sorted({*parts.names} - {*features}), encoder)
        train, test = split_rows(path.name, x.shape, random_state)
    else:
        table = parts.whole[0].selected(features)
        train, test = split_rows(path.name, (len(table), 1), random_state)
        if not encoder.fitted and not table.has_words:
            x = table.numbers()
            if columns is None:
                tell_of_ids("load_data", x.T, features)
            units = tuple(map(table.unit, range(len(features))))
            names = tuple(features) if parts.named else None
            return Dataset.of_rows(path.name, x, y, train, test, columns=names, units=units)
        if not encoder.fitted:
            encoder.fit(table.taken(np.sort(np.arange(len(table))[train])))
        x = np.asarray(encoder.transform(table))
    names = tuple(encoder.get_feature_names_out().tolist())
    return Dataset.of_rows(path.name, x, y, train, test, columns=names, encoder=encoder)
