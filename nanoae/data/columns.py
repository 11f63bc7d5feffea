"""Columns: read data frames, arrays, masked arrays and lists column by column.

A data frame is recognised by its methods; pandas, polars and Arrow are never imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nanoae.data.cell import objects
from nanoae.data.dataset import BadFile
from nanoae.data.times import TIMES, no_number, not_real

DECLARED = {  # by library: prefixes of the type names of categories
    "pandas": ("category", "dictionary"),
    "polars": ("Categorical", "Enum"),
    "arrow": ("dictionary",),
}
PLAIN = ("int", "uint", "float", "double", "halffloat")  # Arrow's number types


def library(X: Any) -> str | None:
    """Return the library of a data frame: "pandas" (or one with its methods), "polars" or "arrow"; else None."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return "pandas"
    if hasattr(X, "get_columns"):
        return "polars"
    if hasattr(X, "itercolumns") and hasattr(X, "column_names"):
        return "arrow"
    return None


def labels(X: Any, who: str) -> list | None:
    """Return the column names of a data frame, or None for other objects. Raise ValueError for a duplicate name."""
    kind = library(X)
    if kind is None:
        return None
    found = list(X.column_names if kind == "arrow" else X.columns)
    check_names(found, who)
    return found


def check_names(names: Iterable, who: str) -> None:
    """Raise BadFile for a duplicate name."""
    counts = Counter(map(str, names))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise BadFile(
            who, "columns with distinct names", f"{twice[0]!r} twice", "Rename one of them."
        )


def check_learned(
    source: str, learned: Sequence[str], here: Sequence[str], who: str, hint: str
) -> None:
    """Raise BadFile unless these columns are the ones that `who` learned, in any order.

    hint   remedy for additional columns
    """
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
    """Return the cells (N,) of a data frame's columns, numbers with NaN or objects, and the names of the columns whose
    type marks them as categories. Raise ValueError, naming it, for a column of neither numbers nor text."""
    if hasattr(type(X), "compute"):  # checked on the type: a pandas column may have this name
        raise TypeError(
            f"{who}: expected a data frame in memory, got a lazy one of {type(X).__module__}. Use X.compute()."
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
        numbers = series.to_numpy(np.float64, na_value=np.nan)
        if not _rounded(numbers):
            return numbers
    cells = series.astype(object).to_numpy(copy=True)
    cells[series.isna().to_numpy(dtype=bool)] = None
    return cells


def _of_polars(series: Any, declared: bool) -> np.ndarray:
    # NumPy has no 128-bit integers
    if not series.dtype.is_numeric() or "128" in str(series.dtype):
        return objects(series.to_list())
    numbers = series.to_numpy()
    return objects(series.to_list()) if _rounded(numbers) else numbers


def _of_arrow(array: Any, declared: bool) -> np.ndarray:
    if not str(array.type).startswith(PLAIN):
        return objects(array.to_pylist())
    numbers = array.to_numpy(zero_copy_only=False)
    return objects(array.to_pylist()) if _rounded(numbers) else numbers


def _rounded(numbers: np.ndarray) -> bool:
    """Return True for floats that may be rounded whole numbers, as of a column with gaps."""
    return numbers.dtype.kind == "f" and (np.abs(numbers) > 2.0**53).any()


CELLS = {"pandas": _of_pandas, "polars": _of_polars, "arrow": _of_arrow}


def _declared(dtype: Any, kind: str, name: Any, who: str) -> bool:
    """Return True if a column's type marks categories. Raise ValueError for dates, times and complex numbers."""
    type_name = str(dtype)
    if type_name.lower().startswith(TIMES):
        raise no_number(who, type_name, kind, name)
    if type_name.startswith("complex"):
        raise not_real(who, type_name, f" in column {name!r}")
    return type_name.startswith(DECLARED[kind])


# ---------------------------------------------------------------- arrays


def dense(X: Any, who: str) -> np.ndarray:
    """Return anything but a data frame as an array of any shape; masked values become NaN, or None among objects.

    Raise TypeError for sparse, lazy and GPU arrays; ValueError for dates, structured arrays, complex numbers and ragged
    rows.
    """
    kind = f"{type(X).__module__}.{type(X).__name__}"
    if hasattr(X, "toarray"):
        raise TypeError(
            f"{who}: expected a dense array, got a sparse {type(X).__name__}. Use X.toarray()."
        )
    if hasattr(X, "__cuda_array_interface__"):
        raise TypeError(
            f"{who}: expected an array in host memory, got a {kind} on the GPU. Use X.get(), or X.cpu()."
        )
    if not hasattr(X, "__array__"):
        for method in ("to_pandas", "toPandas", "collect"):
            if hasattr(X, method):
                raise TypeError(
                    f"{who}: expected a data frame in memory, got a {kind}. Use X.{method}()."
                )
    if isinstance(X, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in X):
        X = np.ma.array(X)
    try:
        array = X if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"{who}: expected rows of equal length, got data that form no array: {error}."
        ) from error
    if array.dtype.names is not None:
        raise ValueError(
            f"{who}: expected a 2D array or a data frame, got a structured array with fields {array.dtype.names[:5]}. "
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
    """Return a masked array with its masked values replaced by NaN among numbers and None among objects."""
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
