"""The data set: four arrays that belong together, checked once, whatever they were read from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nanoae.data.maximum import check_maximum, find_maximum, in_one_unit
from nanoae.rows import Rows, rows_of
from nanoae.survey import bad_values

# bytes that one compressed file may unpack to; a larger set belongs in a memory-mapped .npy
UNPACK_LIMIT = 4 << 30

# bytes of a table from which on a split keeps the rows' order: on a disk others are far apart
IN_ORDER = 1 << 30


class BadFile(ValueError):
    """A file that does not hold what its name promises: the message names it, what was expected, and what came."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        expected: str,
        got: object,
        hint: str = "",
    ) -> None:
        super().__init__(
            f"{os.fspath(path)}: expected {expected}, got {got}. {hint.strip()}".rstrip()
        )


class Examples(NamedTuple):
    """What a file holds, (N, ...), and its labels (N,); more of both to test on, where the file says so; the rest is as
    in Dataset."""

    x: Any
    y: np.ndarray | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    maximum: float | None = None
    columns: tuple[str, ...] | None = None
    units: tuple[str | None, ...] | None = None


@dataclass
class Dataset:
    """Examples to train on and examples to judge by.

    x_train (N, *shape), x_test (M, *shape)    as stored: uint8 images stay uint8, a quarter of the bytes of float32
    y_train (N,), y_test (M,)                  labels, or None
    maximum     the stored value that stands for 1.0: 255 for uint8 images, 1 for black-and-white ones and floats in
                [0, 1], 16 for `digits`; None for real-valued data, which are taken as they are
    columns     names of the D features of a table, or None
    official    whether the set itself says which rows are to test on; else they were drawn (`split`)
    units       what a text table writes beside the numbers of each column: "%", "€", "" (nothing), None (nobody knows)
    encoder     the TableEncoder that made x of a text table with words, or None

    A ValueError says which array is empty, not numeric, or does not fit the others.
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
                    f"{self.name}: expected x_{part} of shape (N, ...), none of them 0, got {x.shape}."
                )
            if y is not None and y.shape[:1] != x.shape[:1]:
                raise ValueError(
                    f"{self.name}: expected y_{part} of {len(x)} labels, one an example, got {y.shape}."
                )
        if self.x_test.shape[1:] != self.shape:
            raise ValueError(
                f"{self.name}: expected x_test of examples {self.shape} as in x_train, got {self.x_test.shape}."
            )

    def __repr__(self) -> str:
        of = " x ".join(map(str, self.shape))
        rows = f"{len(self.x_train):,} training and {len(self.x_test):,} test rows of {of}"
        labels = "" if self.y_train is None else ", labels"
        return f"Dataset({self.name}: {rows}, {self.x_train.dtype}{labels})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: (28, 28) for MNIST, (D,) for a table."""
        return self.x_train.shape[1:]

    def flat(self, black: float = 0.0, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """x_train (N, D) and x_test (M, D) as float32; where `maximum` is set, 0 becomes `black` and `maximum` 1.

        So they are in [0, 1], or with black=-1 in [-1, 1]. Data that are float32 already are not copied. wide: real
        values whose type holds more than float32 are float64, for what scales them.
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
        # in one pass, with no float64 between
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
        """Splits x (N, ...), y (N,) or None, that have no official split: 80 % to train on, 20 % to test, N >= 2.

        The rows are shuffled by the seed `random_state`; of a table of 1 GB or more, which stays in its file (`Rows`),
        the parts are drawn, but each is in the file's order. With None the rows keep their order and are sliced, not
        copied; a single row is one to train on. maximum=None:
        `find_maximum`. A ValueError tells the row and column, in x, of the first NaN or infinity.
        """
        if y is not None and y.shape[:1] != x.shape[:1]:
            raise ValueError(
                f"{name}: expected y of {len(x)} labels, one an example, got {y.shape}."
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
        """x (N, ...), y (N,) or None, of which these rows are to train and to test on."""
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
        """Parts that were split before; as in `split`, but with maximum=None both are brought to one unit."""
        for part, x in (("x_train", x_train), ("x_test", x_test)):
            check_float32(f"{name}, {part}", x)
        if maximum is None:
            x_train, x_test, maximum = in_one_unit(name, x_train, x_test)
        else:
            check_maximum(name, maximum, x_train, x_test)
        return cls(name, x_train, y_train, x_test, y_test, maximum)

    @classmethod
    def of(cls, name: str, found: Examples, seed: int | None, maximum: float | None) -> Dataset:
        """What a file of this name holds: a `split` where that does not say what is to test on."""
        x, y, x_test, y_test, of_file, columns, units = found
        maximum = of_file if maximum is None else maximum
        if x_test is not None:
            return cls.of_parts(name, x, y, x_test, y_test, maximum)
        return replace(cls.split(name, x, y, seed, columns, maximum), units=units)


def split_rows(name: str, shape: tuple[int, ...], random_state: int | None) -> tuple[Any, Any]:
    """The rows of x (N, ...) to train and to test on, as in `Dataset.split`; ValueError where they are too few."""
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
    """ValueError with the place of the first value in x (N, ...) that is NaN, infinite, or so in float32."""
    if x.dtype.kind != "f" or 0 in x.shape:
        return
    limit = np.finfo(np.float32).max
    row, place, value, count = bad_values(x, lambda block: ~(np.abs(block) <= limit))
    if count:
        column = np.ravel_multi_index(place, x.shape[1:])
        raise ValueError(
            f"{name}: expected finite numbers of float32, got {value} in row {row + 1}, "
            f"column {column + 1} (counted from 1). Remove such rows, or fill the values in."
        )
