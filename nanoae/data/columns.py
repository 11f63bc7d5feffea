"""Columns: data frames, arrays, masked arrays and lists as people hand them over, a column at a time.

A frame is known by its methods: pandas, polars and Arrow are never imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nanoae.data.cell import objects
from nanoae.data.dataset import BadFile
from nanoae.data.times import TIMES, no_number, not_real

DECLARED = {  # by library: how the types of a column of categories begin
    "pandas": ("category", "dictionary"),
    "polars": ("Categorical", "Enum"),
    "arrow": ("dictionary",),
}
PLAIN = ("int", "uint", "float", "double", "halffloat")  # Arrow's types of numbers


def library(X: Any) -> str | None:
    """Whose data frame it is: "pandas" (or one with its methods), "polars" or "arrow"; None for what is no frame."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return "pandas"
    if hasattr(X, "get_columns"):
        return "polars"
    if hasattr(X, "itercolumns") and hasattr(X, "column_names"):
        return "arrow"
    return None


def labels(X: Any, who: str) -> list | None:
    """The names of a frame's columns, None for what is no frame; ValueError where one stands twice."""
    kind = library(X)
    if kind is None:
        return None
    found = list(X.column_names if kind == "arrow" else X.columns)
    check_names(found, who)
    return found


def check_names(names: Iterable, who: str) -> None:
    """ValueError for a name that stands twice."""
    counts = Counter(map(str, names))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise BadFile(
            who, "columns of different names", f"{twice[0]!r} twice", "Rename one of them."
        )


def check_learned(
    source: str,
    learned: Sequence[str],
    here: Sequence[str],
    who: str,
    hint: str,
) -> None:
    """BadFile where these columns are not those that `who` learned, in any order. hint: for columns too many."""
    known = set(learned)
    found = set(here)
    missing = [name for name in learned if name not in found]
    unknown = [name for name in here if name not in known]
    if missing or unknown:
        got = f"{len(here)}: {missing[:5] or 'none'} missing, {unknown[:5] or 'none'} unknown"
        raise BadFile(
            source, f"the {len(learned)} columns that {who}", got, hint if unknown else ""
        )


def frame_columns(X: Any, who: str) -> tuple[list[np.ndarray], frozenset[str]]:
    """The cells (N,) of a data frame's columns, numbers with NaN or objects, and the names of those whose type says
    that they are categories; ValueError names one that is neither numbers nor text."""
    if hasattr(type(X), "compute"):  # of the type: pandas' columns are attributes, too
        raise TypeError(
            f"{who}: expected a data frame in memory, got one of {type(X).__module__}. Use X.compute()."
        )
    kind = library(X) or "pandas"
    if kind == "pandas":
        columns = [X.iloc[:, i] for i in range(X.shape[1])]
    else:
        columns = X.get_columns() if kind == "polars" else X.itercolumns()
    cells: list[np.ndarray] = []
    declared: set[str] = set()
    for name, column in zip(labels(X, who) or [], columns, strict=True):
        declared_type = column.type if kind == "arrow" else column.dtype
        if _declared(declared_type, kind, name, who):
            declared.add(str(name))
        cells.append(CELLS[kind](column, str(name) in declared))
    return cells, frozenset(declared)


def _of_pandas(series: Any, declared: bool) -> np.ndarray:
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, np.dtype) and kind != "O":
        return series.to_numpy()
    if kind in "uif" and not declared:
        # Nullable, Arrow's and sparse columns
        return series.to_numpy(np.float64, na_value=np.nan)
    cells = series.astype(object).to_numpy(copy=True)
    cells[series.isna().to_numpy(dtype=bool)] = None
    return cells


def _of_polars(series: Any, declared: bool) -> np.ndarray:
    number = series.dtype.is_numeric() and "128" not in str(series.dtype)  # which NumPy has not
    return series.to_numpy() if number else objects(series.to_list())


def _of_arrow(array: Any, declared: bool) -> np.ndarray:
    number = str(array.type).startswith(PLAIN)
    return array.to_numpy(zero_copy_only=False) if number else objects(array.to_pylist())


CELLS = {"pandas": _of_pandas, "polars": _of_polars, "arrow": _of_arrow}


def _declared(dtype: Any, kind: str, name: Any, who: str) -> bool:
    """Whether a column's type says that it holds categories; ValueError where it says dates, times or complex."""
    type_name = str(dtype)
    if type_name.lower().startswith(TIMES):
        raise no_number(who, type_name, kind, name)
    if type_name.startswith("complex"):
        raise not_real(who, type_name, f" in column {name!r}")
    return type_name.startswith(DECLARED[kind])


# ---------------------------------------------------------------- arrays


def dense(X: Any, who: str) -> np.ndarray:
    """What is no frame as an array of any shape; masked values are NaN, or None among objects.

    TypeError for what is sparse, lazy or on a GPU; ValueError for dates, fields, complex numbers and ragged rows.
    """
    kind = f"{type(X).__module__}.{type(X).__name__}"
    if hasattr(X, "toarray") or kind.startswith("scipy.sparse"):
        raise TypeError(
            f"{who}: expected a dense array, got a sparse {type(X).__name__}. Use X.toarray()."
        )
    if hasattr(X, "__cuda_array_interface__"):
        raise TypeError(
            f"{who}: expected an array of the host, got a {kind} on the GPU. Use X.get(), or X.cpu()."
        )
    if not hasattr(X, "__array__"):
        for method in ("to_pandas", "toPandas", "collect"):
            if hasattr(X, method):
                raise TypeError(
                    f"{who}: expected a data frame in memory, got a {kind}. Use X.{method}()."
                )
    if isinstance(X, (list, tuple)):
        masked = any(isinstance(row, np.ma.MaskedArray) for row in X)
        X = np.ma.array(X) if masked else X
    try:
        array = X if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"{who}: expected rows of one length, got what makes no array: {error}."
        ) from error
    if array.dtype.names is not None:
        raise ValueError(
            f"{who}: expected a 2D array or a data frame, got a structured array of fields {array.dtype.names[:5]}. "
            "Use pandas.DataFrame(X), or numpy.lib.recfunctions.structured_to_unstructured(X)."
        )
    if array.dtype.kind in "mM":
        raise no_number(who, str(array.dtype), "numpy")
    if array.dtype.kind == "c":
        raise not_real(who, str(array.dtype))
    if array.dtype.kind not in "buifOUST":
        raise ValueError(f"{who}: expected numbers, got dtype {array.dtype}.")
    return unmasked(array) if isinstance(array, np.ma.MaskedArray) else array


def unmasked(array: np.ma.MaskedArray) -> np.ndarray:
    """A masked array with gaps where it is masked: NaN among numbers, None among objects."""
    data = np.asarray(array.data)
    mask = np.ma.getmaskarray(array)
    if not mask.any():
        return data
    if data.dtype.kind in "bui":
        data = data.astype(np.float64)
    if data.dtype.kind == "f":
        return np.where(mask, np.nan, data)
    cells = data.astype(object)
    cells[mask] = None
    return cells
