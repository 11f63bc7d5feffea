"""Labels: the class or value of each row, and which rows have none. The same rules hold for files, frames and arrays.

A row has no label if its label is

    masked (numpy.ma), None, NaN, pandas' NA or NaT, or an empty text;
    among texts one of GAPS ("NA", "null" and the like) or "unlabelled", with a warning;
    among classes -1, with a warning if it may be a class: beside 0 and 1, or among numbers in half of the rows or
    fewer. Beside 1 alone it is a class, also with a warning; beside other negative numbers it is refused.

Labels are numbers, booleans or texts, all of one kind.
"""

from __future__ import annotations

import numbers
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np

from nanoae.data.cell import are_codes, category, objects, rounded, twins
from nanoae.data.cell import is_nothing as is_no_value
from nanoae.data.missing import NUMBER_GAPS, is_gap
from nanoae.warning import warn

# How NumPy and pandas print missing values
NEVER_A_CLASS = {"", "nan", "-nan", "<na>", "nat"}
UNLABELLED = "unlabelled", "unlabeled", "not labelled", "not labeled", "no label"
KINDS = {
    "truth value": (bool, np.bool_),
    "number": (numbers.Real, np.number, Decimal),
    "text": (str,),
}
FILLED = re.compile(r"-9{2,}(\.0)?")
ONE = "If they mean the same, use one spelling."
HINT = "-1 stands for no label. If it is a class: y = np.where(y == -1, np.nanmax(y) + 1, y)."


def read_labels(cells: Sequence[str]) -> np.ndarray:
    """Return the labels of a file's column (N,): int64 if all are whole numbers, float64 if all are numbers, else
    texts; a masked array if some are missing."""
    texts = np.array([cell.strip() for cell in cells], dtype=str)
    missing = np.array([is_gap(cell) for cell in cells], dtype=bool)
    known: np.ndarray = texts[~missing]
    kinds = () if are_codes(set(known.tolist())) else (np.int64, np.float64)
    for dtype in kinds:
        with suppress(ValueError, OverflowError):
            known = np.asarray(known.astype(dtype))
            break
    else:  # texts, which the caller interprets
        missing = texts == ""
        known = texts[~missing]
    return _masked(known, missing) if missing.any() else known


def class_labels(y: Any, who: str, classes: np.ndarray | None) -> np.ma.MaskedArray:
    """Return y (N,) as class labels, masked where missing. Raise ValueError for values that cannot be labels.

    classes   the known classes: -1 is a label only if it is one of them, and each label is mapped to the class with
              the same meaning, such as 1 to "1.0". None: determined by y
    """
    labels = _of_one_kind(y, who)
    known = labels.compressed()
    if known.dtype.kind == "f":
        if not (np.isfinite(known) & (known == np.floor(known))).all():
            raise ValueError(
                f"{who}: expected class labels, got continuous numbers (Unknown label type: continuous)."
            )
        # Integers that became floats because of NaN
        if len(known) < len(labels) and (np.abs(known) < 2**53).all():
            labels = _masked(known.astype(np.int64), np.ma.getmaskarray(labels))
    elif known.dtype.kind == "U":
        _check_spelling(known, who, classes)
    if classes is not None:
        return _of_classes(labels, who, classes)
    _warn_about_marks(known, who)
    minus = _minus_one(labels)
    if minus.any() and _stands_for_none(labels, minus, who):
        return np.ma.MaskedArray(labels.data, labels.mask | minus)
    return labels


def numeric_labels(y: Any, who: str) -> np.ma.MaskedArray:
    """Return y (N,) as regression targets, float64, masked where missing. Raise ValueError for other values."""
    labels = _of_one_kind(y, who)
    known = labels.compressed()
    if known.dtype.kind not in "buif":
        raise ValueError(
            f"{who}: expected numbers, got text ({known[0].item()!r}). Convert y first."
        )
    lost = rounded(known.tolist())
    if lost is not None:
        raise ValueError(
            f"{who}: expected y that float64 can represent, got {lost}. Subtract its mean first."
        )
    if np.isinf(known.astype(np.float64)).any():
        raise ValueError(f"{who}: expected finite y, or NaN where there is no label, got infinity.")
    return np.ma.MaskedArray(labels.data.astype(np.float64), labels.mask)


def as_array(y: Any) -> np.ndarray:
    """Return y as an array, masked if it was. A list becomes an object array: numbers among texts stay numbers."""
    if isinstance(y, np.ma.MaskedArray):
        return y
    if isinstance(y, (list, tuple)):
        return np.array(y, dtype=object)
    return np.asarray(y)


def one_column(y: Any, name: str = "y") -> np.ndarray:
    """Return y as an array; a column (N, 1) becomes (N,), with a warning."""
    y = as_array(y)
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    sklearn = sys.modules.get("sklearn.exceptions")
    category = sklearn.DataConversionWarning if sklearn else UserWarning
    message = f"A column-vector {name} was passed when a 1d array was expected: {name}.ravel()."
    warn(message, category)
    return y.ravel()


def _of_one_kind(y: Any, who: str) -> np.ma.MaskedArray:
    """Return y as numbers, booleans or texts, masked where missing. Raise ValueError for a mixture or other values."""
    y = as_array(y)
    values = np.ma.getdata(y)
    missing = np.ma.getmaskarray(y)
    if values.dtype.kind in "OSTU":
        return _unpacked(values.astype(object), missing, who)
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"{who}: expected class labels, numbers or text, got an array of {values.dtype}."
        )
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    return np.ma.MaskedArray(values, missing)


def _unpacked(cells: np.ndarray, missing: np.ndarray, who: str) -> np.ma.MaskedArray:
    """Return `_of_one_kind` of an array of Python objects (N,)."""
    listed = [cell.decode() if isinstance(cell, bytes) else cell for cell in cells.tolist()]
    known = [cell for cell, gone in zip(listed, missing, strict=True) if not gone]
    _warn_about_gaps([cell for cell in known if isinstance(cell, str) and is_nothing(cell)], who)
    each = iter(known)
    kinds = np.array(["" if gone else _kind(next(each), who) for gone in missing], dtype="U11")
    cells = objects(listed)
    are_numbers = kinds == "number"
    if {*kinds} - {""} == {"number", "text"} and (cells[are_numbers] == -1).all():
        kinds[are_numbers] = ""  # -1 among texts
    different = sorted({*kinds} - {""})
    if len(different) > 1:
        examples = " and ".join(repr(cells[kinds == kind][0]) for kind in different)
        raise ValueError(
            f"{who}: expected labels of one kind, numbers, booleans or texts, got {examples}. "
            "Convert all of them to one kind."
        )
    same = np.array(cells[kinds != ""].tolist())
    if same.dtype.kind == "O":
        same = same.astype(np.float64)
    return _masked(same, kinds == "")


def is_nothing(cell: Any) -> bool:
    """Return True if an object stands for no label: None, NaN, pandas' NA or NaT, or a text such as "unlabelled"."""
    if not isinstance(cell, str):
        return is_no_value(cell)
    return is_gap(cell) or cell.strip().casefold() in UNLABELLED


def _warn_about_gaps(gaps: Sequence[str], who: str) -> None:
    """Warn if a text that was taken for no label could be a class."""
    named_gaps = sorted({gap for gap in gaps if gap.strip().lower() not in NEVER_A_CLASS})
    if named_gaps:
        listed = str(named_gaps)[1:-1]
        warn(f"{who}: taking {listed} for no label. If it is a class, rename it.")


def _kind(cell: Any, who: str) -> str:
    """Return the kind of a label, or "" for none. Raise ValueError for other values."""
    if is_nothing(cell):
        return ""
    for kind, types in KINDS.items():
        if isinstance(cell, types):
            return kind
    raise ValueError(
        f"{who}: expected class labels, numbers or text, got a {type(cell).__name__}, {cell!r:.60}."
    )


def _masked(known: np.ndarray, missing: np.ndarray) -> np.ma.MaskedArray:
    """Return a masked array (N,) with the known values in order."""
    values = np.zeros(len(missing), known.dtype)
    values[~missing] = known
    return np.ma.MaskedArray(values, missing)


def _check_spelling(known: np.ndarray, who: str, classes: np.ndarray | None) -> None:
    """Raise ValueError for texts that mean the same: "1" and "1.0", "TRUE" and "True", "a" and "a ". Warn of those that
    may mean the same as each other or as one of the classes: "Yes" and "yes"."""
    labels = np.unique(known).tolist()
    pair = twins(labels, _meaning)
    if pair:
        raise ValueError(f"{who}: expected each label in one spelling, got {pair}.")
    others: Iterable[Any] = [] if classes is None else classes
    pair = twins(map(_meaning, [*others, *labels]))
    if pair:
        warn(f"{who}: {pair} are two classes. {ONE}")


def _warn_about_marks(known: np.ndarray, who: str) -> None:
    """Warn if a class may mark missing labels: "-" or "missing" among words, -99 among numbers."""
    classes = [str(label).strip().casefold() for label in np.unique(known).tolist()]
    marks = [label for label in classes if label in NUMBER_GAPS or FILLED.fullmatch(label)]
    if marks and max(map(len, classes)) > 1:  # "+" and "-" may be the two classes
        warn(f"{who}: taking {marks[0]!r} for a class. If it stands for no label, leave it empty.")


def _meaning(label: Any) -> str:
    """Return the canonical spelling of a label, without surrounding blanks."""
    return category(str(label).strip())


def _minus_one(labels: np.ma.MaskedArray) -> np.ndarray:
    """Return a mask (N,) of the labels that are -1, also as text."""
    same = [label for label in np.unique(labels.compressed()).tolist() if _meaning(label) == "-1"]
    return ~labels.mask & np.isin(labels.data, same)


def _of_classes(labels: np.ma.MaskedArray, who: str, classes: np.ndarray) -> np.ma.MaskedArray:
    """Return the labels in the spelling of the known classes. Raise ValueError for a label of another kind."""
    known = classes.tolist()
    meant = {_meaning(label): label for label in known}
    if "-1" not in meant:
        labels = np.ma.MaskedArray(labels.data, labels.mask | _minus_one(labels))
    found = labels.compressed().tolist()
    spelled = {label: meant.get(_meaning(label), label) for label in dict.fromkeys(found)}
    for label in spelled.values():
        if isinstance(label, str) != isinstance(known[0], str):
            raise ValueError(f"{who}: expected labels from {known}, got {label!r}.")
    if all(label == same for label, same in spelled.items()):
        return labels
    own = np.array([spelled[label] for label in found])
    return _masked(own, np.ma.getmaskarray(labels))


def _stands_for_none(labels: np.ma.MaskedArray, minus: np.ndarray, who: str) -> bool:
    """Return True if the labels -1 stand for no label. Raise ValueError if that is ambiguous."""
    marked = bool(labels.mask.any())
    others = [_meaning(label) for label in np.unique(labels.data[~labels.mask & ~minus]).tolist()]
    if others == ["1"]:
        if not marked:
            warn(f"{who}: taking -1 and 1 for two classes. Otherwise {HINT}")
        return False
    if others and re.match(r"-\d", others[0]):
        raise ValueError(f"{who}: expected no class below 0 next to -1, got {others[0]}. {HINT}")
    if marked and labels.dtype.kind != "U":
        raise ValueError(
            f"{who}: expected one marker of missing labels, got -1 and empty labels. {HINT}"
        )
    n = minus.sum()
    if others == ["0", "1"] or ("".join(others).isdecimal() and 2 * n <= len(labels)):
        warn(f"{who}: {n} of {len(labels)} labels are -1. {HINT}")
    return True
