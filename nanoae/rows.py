"""Rows: a table that need not fit in memory. Its rows stay where they are, in a file, until they are asked for."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nanoae.blocks import blocks

LARGE = 64 << 20  # bytes of a table, from which on it is read by blocks
BLOCK = 8 << 20  # bytes of rows that are looked at together
ALIGNED = 1024  # rows
SCATTERED = (
    32  # rows read before their pages are let go of: around each of them the system maps 2 MB
)
SAMPLED = 1 << 16  # rows, and
SAMPLE = 64 << 20  # bytes in float64, of a `sample` at most


class Rows:
    """Rows (N, ...) of what has `shape`, `dtype` and slices: a memory-mapped .npy file, a data set of HDF5 or Zarr.

    As an array it has shape, dtype, ndim, nbytes and len; a slice, or an array of row numbers, of it is Rows again, so
    that a table is shuffled and split by its numbers alone. `numpy.asarray` reads it.

    numbers   of the rows of `source`, in which order; None: all of them
    made      what becomes of the rows (n, ...) once they are read, each by itself; None: they are as they are
    """

    def __init__(
        self,
        source: Any,
        numbers: range | np.ndarray | None = None,
        made: Callable[[np.ndarray], np.ndarray] | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ):
        self.source, self.made = source, made
        self.numbers = range(source.shape[0]) if numbers is None else numbers
        self.shape = (len(self.numbers), *(source.shape[1:] if shape is None else shape))
        self.dtype = np.dtype(source.dtype if dtype is None else dtype)

    names: tuple[str, ...] | None = None  # of its columns, where whoever read it knows them
    __array_ufunc__ = (
        None  # a sum or a difference would read all of them: `by_blocks` does it in parts
    )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Rows:
        """The rows of a slice, of an array of numbers, or of one of bool."""
        if not isinstance(key, slice):
            key = np.asarray(key)
            key = np.flatnonzero(key) if key.dtype == bool else key
        numbers = self.numbers
        if isinstance(numbers, range) and not isinstance(key, slice):
            numbers = numbers.start + numbers.step * key
        else:
            numbers = numbers[key]
        return Rows(self.source, numbers, self.made, self.shape[1:], self.dtype)

    def map(
        self, made: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dtype: Any
    ) -> Rows:
        """What `made`, a function of rows (n, ...) each by itself, makes of them: of this shape, of dtype."""
        return Rows(self, None, made, shape, dtype)

    def reshape(self, *shape: int) -> Rows:
        """The same rows, each in another shape."""
        return self.map(lambda x: x.reshape(len(x), *shape[1:]), shape[1:], self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> Rows:
        return (
            self
            if self.dtype == dtype
            else self.map(lambda x: x.astype(dtype), self.shape[1:], dtype)
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, read: a new array."""
        found = taken(self.source, self.numbers)
        if self.made is not None:
            with np.errstate(over="ignore"):
                found = self.made(found)
        return found.astype(self.dtype if dtype is None else dtype, copy=False)

    def min(self) -> Any:
        return min(block.min() for block in by_blocks(self))

    def max(self) -> Any:
        return max(block.max() for block in by_blocks(self))


def taken(source: Any, numbers: range | np.ndarray) -> np.ndarray:
    """Those rows of the source, a copy. Of a mapped file no page stays in memory for it."""
    if isinstance(source, Rows):
        return np.asarray(source[slice_of(numbers) if isinstance(numbers, range) else numbers])
    if isinstance(numbers, range):
        found = np.array(source[slice_of(numbers)])
    elif isinstance(source, np.ndarray):
        found = np.empty((len(numbers), *source.shape[1:]), source.dtype)
        for block in blocks(len(numbers), SCATTERED):
            found[block] = source[numbers[block]]
            release(source)
    else:  # HDF5 wants them in rising order, each once
        once, place = np.unique(numbers, return_inverse=True)
        found = np.asarray(source[once])[place]
    release(source)
    return found


def slice_of(numbers: range) -> slice:
    """The same numbers as a slice."""
    stop = numbers.stop if numbers.stop >= 0 else None
    return slice(numbers.start, stop, numbers.step)


def release(source: Any) -> None:
    """Let go of the pages of a mapped file that were read: the system keeps them as long as nobody needs the memory."""
    while isinstance(source, np.ndarray):
        if isinstance(source, np.memmap) and source.mode != "r":
            return  # what was written to it must not be lost
        source = source.base
    if isinstance(source, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        source.madvise(mmap.MADV_DONTNEED)


def large(X: Any) -> bool:
    """Whether X is a table that is read by blocks: Rows, a large file that is mapped, or what has shape, dtype and
    slices and is no array (HDF5, Zarr)."""
    if isinstance(X, Rows):
        return True
    if isinstance(X, np.memmap):
        return X.mode == "r" and X.nbytes >= LARGE and X.dtype.kind in "buif"
    kind = type(X).__module__.partition(".")[0]
    return kind in ("h5py", "zarr") and len(X.shape) > 1


def rows_of(X: Any) -> Any:
    """X, as Rows where it is to be read by blocks; an iterator of blocks (n, ...) is read once, and `stored`."""
    if isinstance(X, Iterator):
        return stored(map(np.asarray, X))
    return Rows(X) if large(X) and not isinstance(X, Rows) else X


def by_blocks(x: Any) -> Iterator[np.ndarray]:
    """x (N, ...), an array or Rows, in arrays of some rows, of BLOCK bytes or so."""
    if not math.prod(x.shape):
        return
    each = max(1, BLOCK // (math.prod(x.shape[1:]) * x.dtype.itemsize))
    each = (
        each // ALIGNED * ALIGNED or each
    )  # so that what goes on in blocks of 1024 meets the same ones
    for block in blocks(len(x), each):
        yield np.asarray(x[block])


class Chain:
    """Tables (N, ...) of rows of one shape, one after the other: a source of Rows."""

    def __init__(self, parts: Sequence[Any]):
        self.parts, self.starts = parts, np.cumsum([0, *map(len, parts)])
        self.shape, self.dtype = (
            (int(self.starts[-1]), *parts[0].shape[1:]),
            np.result_type(*(p.dtype for p in parts)),
        )

    def __getitem__(self, numbers: slice | np.ndarray) -> np.ndarray:
        wanted = np.arange(self.shape[0])[numbers] if isinstance(numbers, slice) else numbers
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for part, start in zip(self.parts, self.starts, strict=False):
            inside = np.flatnonzero((wanted >= start) & (wanted < start + len(part)))
            if len(inside):
                found[inside] = part[wanted[inside] - start]
        return found


def concatenated(parts: Sequence[Any]) -> Any:
    """Tables (N, ...) one after the other, as Rows where some are."""
    if len(parts) == 1:
        return parts[0]
    return (
        Rows(Chain(parts))
        if any(isinstance(part, Rows) for part in parts)
        else np.concatenate(parts)
    )


def stored(parts: Iterable[np.ndarray]) -> Rows:
    """The rows that come in parts (n, ...), all of one shape and dtype, in a temporary file of their own: what is only
    read in a row, a Parquet file or a generator, is so read in any order. The file goes with the last who reads it."""
    import tempfile  # here, for `import nanoae` would pay for it

    rows, first = 0, None
    with tempfile.TemporaryFile(prefix="nanoae-") as file:
        for part in parts:
            first = part[:0] if first is None else first
            if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"expected blocks of rows {first.shape[1:]} of {first.dtype} as the first one's, got "
                    f"{part.shape[1:]} of {part.dtype}."
                )
            file.write(np.ascontiguousarray(part).data)
            rows += len(part)
        if first is None or not rows:
            raise ValueError("expected blocks of rows, got none.")
        file.flush()
        return Rows(np.memmap(file, first.dtype, "r", shape=(rows, *first.shape[1:])))


def extremes(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of each feature of x (N, ...), an array or Rows; NaN counts for nothing."""
    least = most = None
    for block in by_blocks(x):
        low, high = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
        least = low if least is None else np.fmin(least, low)
        most = high if most is None else np.fmax(most, high)
    return least, most  # type: ignore[return-value]


def sample(x: Any) -> np.ndarray:
    """x (N, ...) as it is where it is in memory. Of Rows a random sample in their order: 65,536, or as many as take 64
    MB in float64.

    A share of n sampled rows is within sqrt(ln(2 / p) / (2 n)) of that of all rows, with probability 1 - p, in all
    places of a distribution at once (Massart 1990): 1.1 % at n = 65,536 and p = 1e-6.
    """
    if not isinstance(x, Rows):
        return x
    n = min(SAMPLED, max(2, SAMPLE // (8 * math.prod(x.shape[1:]))))
    if n < len(x):
        x = x[np.sort(np.random.default_rng(0).choice(len(x), n, replace=False, shuffle=False))]
    return np.asarray(x)
