"""Dataset: training and test examples with their labels, checked once, whatever they were read from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nanoae.data.maximum import check_maximum, find_maximum, to_one_unit
from nanoae.rows import Rows, rows_of
from nanoae.survey import bad_values

# Most bytes that a compressed file may unpack to; larger data belong in a memory-mapped .npy file
UNPACK_LIMIT = 4 << 30

# Bytes of a table from which a split keeps the rows' order, since random reads from disk are slow
IN_ORDER = 1 << 30


class BadFile(ValueError):
    """A file whose content is not what was expected. The message names the file, the expectation and the finding."""

    def __init__(
        self, path: str | os.PathLike[str], expected: str, got: object, hint: str = ""
    ) -> None:
        super().__init__(
            f"{os.fspath(path)}: expected {expected}, got {got}. {hint.strip()}".rstrip()
        )


class Examples(NamedTuple):
    """The content of a file: x (N, ...) and labels y (N,), with a separate test part if the file has one.

    The other fields are those of Dataset.
    """

    x: Any
    y: np.ndarray | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    maximum: float | None = None
    columns: tuple[str, ...] | None = None
    units: tuple[str | None, ...] | None = None


@dataclass
class Dataset:
    """Training and test examples.

    x_train (N, *shape), x_test (M, *shape)    as stored: uint8 images stay uint8, a quarter of the bytes of float32
    y_train (N,), y_test (M,)                  labels, or None
    maximum     the stored value that stands for 1.0: 255 for uint8 images, 1 for black-and-white ones and floats in
                [0, 1], 16 for `digits`; None for real-valued data, which are not scaled
    columns     names of the D features of a table, or None
    official    True if the data set defines its own test rows; False if they were drawn by `split`
    units       unit written next to the numbers of each column of a text table, and then of its label: "%", "€", ""
                (no unit), None (unknown)
    encoder     the TableEncoder that made x from a text table with words, or None

    Raise ValueError, naming the array, if one is empty, not numeric, or does not fit the others.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    maximum: float | None = None
    columns: tuple[str, ...] | None = None
    official: bool = True
    units: tuple[str | None, ...] | None = None
    encoder: Any = None

    def __post_init__(self) -> None:
        parts = (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test))
        for part, x, y in parts:
            if x.dtype.kind not in "buif":
                raise ValueError(
                    f"{self.name}: expected x_{part} of real numbers, got dtype {x.dtype}."
                )
            filled = x.shape if part == "train" else x.shape[1:]
            if x.ndim < 2 or 0 in filled:
                raise ValueError(
                    f"{self.name}: expected x_{part} of shape (N, ...) with no axis of length 0, got {x.shape}."
                )
            if y is not None and y.shape[:1] != x.shape[:1]:
                raise ValueError(
                    f"{self.name}: expected y_{part} of {len(x)} labels, one per example, got {y.shape}."
                )
        if self.x_test.shape[1:] != self.shape:
            raise ValueError(
                f"{self.name}: expected x_test with examples of shape {self.shape}, as in x_train, "
                f"got {self.x_test.shape}."
            )

    def __repr__(self) -> str:
        rows = f"{len(self.x_train):,} training and {len(self.x_test):,} test rows of "
        rows += " x ".join(map(str, self.shape))
        rows += f", {self.x_train.dtype}"
        return f"Dataset({self.name}: {rows}{'' if self.y_train is None else ', labels'})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: (28, 28) for MNIST, (D,) for a table."""
        return self.x_train.shape[1:]

    def flat(self, black: float = 0.0, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return x_train (N, D) and x_test (M, D) as float32; if `maximum` is set, 0 becomes `black` and it becomes 1.

        The range is then [0, 1] by default, and [-1, 1] for black=-1. Unscaled float32 data are not copied.

        wide    True: unscaled data of a type wider than float32 become float64, for scalers that need the precision
        """
        train = self._flat(self.x_train, black, wide)
        test = self._flat(self.x_test, black, wide)
        return train, test

    def _flat(self, x: np.ndarray, black: float, wide: bool) -> np.ndarray:
        width = math.prod(self.shape)
        exact = wide and self.maximum is None
        if isinstance(x, Rows):
            kind = np.result_type(x.dtype, np.float32) if exact else np.float32
            return x.then(lambda block: self._flat(block, black, wide), (width,), kind)  # type: ignore[return-value]
        rows = x.reshape(len(x), width)
        if self.maximum is None or (self.maximum == 1 and not black):
            kind = np.result_type(x.dtype, np.float32) if exact else np.float32
            return rows.astype(kind, copy=False)
        # In one pass, without a float64 copy
        x = np.divide(rows, self.maximum / (1 - black), dtype=np.float32)
        return np.add(x, black, out=x) if black else x

    @classmethod
    def split(
        cls,
        name: str,
        x: np.ndarray,
        y: np.ndarray | None = None,
        random_state: int | None = 0,
        columns: tuple[str, ...] | None = None,
        maximum: float | None = None,
    ) -> Dataset:
        """Split x (N, ...) and y (N,) or None without an official split: 80 % training and 20 % test rows.

        The rows are shuffled with the seed `random_state`. For a table of 1 GB or more, which stays in its file
        (`Rows`), the rows are drawn at random but kept in file order. With random_state=None nothing is shuffled and
        the parts are slices, not copies; a single row is then a training row, otherwise N >= 2. maximum=None means
        `find_maximum`. Raise ValueError with the row and column of the first NaN or infinity in x.
        """
        if y is not None and y.shape[:1] != x.shape[:1]:
            raise ValueError(
                f"{name}: expected y of {len(x)} labels, one per example, got {y.shape}."
            )
        x = rows_of(x)
        check_float32(name, x)
        if maximum is None:
            maximum = find_maximum(x)
        else:
            check_maximum(name, maximum, x)
        train, test = split_rows(name, x.shape, random_state)
        if isinstance(x, Rows) and x.nbytes >= IN_ORDER and random_state is not None:
            train.sort()
            test.sort()
        return cls.of_rows(name, x, y, train, test, maximum=maximum, columns=columns)

    @classmethod
    def of_rows(cls, name: str, x: Any, y: Any, train: Any, test: Any, **more: Any) -> Dataset:
        """Build a data set from x (N, ...), y (N,) or None, and the row numbers of its training and test parts."""
        y_train = None if y is None else y[train]
        y_test = None if y is None else y[test]
        return cls(name, x[train], y_train, x[test], y_test, official=False, **more)

    @classmethod
    def of_parts(
        cls,
        name: str,
        x_train: np.ndarray,
        y_train: np.ndarray | None,
        x_test: np.ndarray,
        y_test: np.ndarray | None,
        maximum: float | None = None,
    ) -> Dataset:
        """Build a data set from given training and test parts. With maximum=None both are brought to one unit."""
        for part, x in (("x_train", x_train), ("x_test", x_test)):
            check_float32(f"{name}, {part}", x)
        if maximum is None:
            x_train, x_test, maximum = to_one_unit(name, x_train, x_test)
        else:
            check_maximum(name, maximum, x_train, x_test)
        return cls(name, x_train, y_train, x_test, y_test, maximum)

    @classmethod
    def of(cls, name: str, found: Examples, seed: int | None, maximum: float | None) -> Dataset:
        """Build a data set from the content of a file; `split` it if the file defines no test part."""
        x, y, x_test, y_test, of_file, columns, units = found
        maximum = of_file if maximum is None else maximum
        if x_test is not None:
            return cls.of_parts(name, x, y, x_test, y_test, maximum)
        return replace(cls.split(name, x, y, seed, columns, maximum), units=units)


def split_rows(name: str, shape: tuple[int, ...], random_state: int | None) -> tuple[Any, Any]:
    """Return the training and test rows of x (N, ...), as in `Dataset.split`. Raise ValueError if there are too few."""
    n = shape[0] if len(shape) > 1 else 0
    if n < (1 if random_state is None else 2):
        raise ValueError(
            f"{name}: expected x of shape (N, ...) with N >= 2 examples to split, got {shape}."
        )
    cut = max(n * 4 // 5, 1)
    if random_state is None:
        return slice(cut), slice(cut, None)
    order = np.random.default_rng(random_state).permutation(n)
    return order[:cut], order[cut:]


def check_float32(name: str, x: np.ndarray) -> None:
    """Raise ValueError, naming its place, for the first value in x (N, ...) that is NaN or not finite in float32."""
    if x.dtype.kind != "f" or 0 in x.shape:
        return
    limit = np.finfo(np.float32).max
    row, place, value, count = bad_values(x, lambda block: ~(np.abs(block) <= limit))
    if count:
        column = np.ravel_multi_index(place, x.shape[1:])
        raise ValueError(
            f"{name}: expected finite float32 numbers, got {value} in row {row + 1}, "
            f"column {column + 1} (counted from 1). Remove such rows, or fill in the values."
        )
