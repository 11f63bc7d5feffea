"""Rows: a table that need not fit in memory. Its rows stay where they are, in a file, until they are asked for.

What goes over all of them reads blocks, one of them ahead on a thread (`by_blocks`). Training meets each row once an
epoch, in random order: of a table that takes no more than an eighth of the memory, which is then read once, in the same
order as of one in memory; of a larger one in windows of an eighth of it (`Rows.windows`). Each is made of sixteen
pieces that lie anywhere in the table, and within it the rows are shuffled. Of several ranks each reads of a window the
rows that it computes, and no others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.blocks import ahead, blocks, write_npy
from nanoae.mapping import check_whole, read_ahead, release

LARGE = 64 << 20  # bytes of a table, from which on it is read by blocks
BLOCK = 8 << 20  # bytes of rows that are looked at together
ALIGNED = 2048  # rows
PARTS, PIECES = 8, 16  # of the memory a window is such a part, and it has so many pieces
REGION = 2 << 20  # bytes of a mapped file that are in memory for the rows wanted of them
# Rows that are read in one go, on average, where what gives them can give any at once
SCATTERED = 32
DENSE = 4  # times as many rows as are wanted, which are then read in one go

OfRows = Callable[[np.ndarray], np.ndarray]  # a function of rows (n, ...), each by itself


class Rows:
    """Rows (N, ...) of what has `shape`, `dtype` and slices: a memory-mapped .npy file, a data set of HDF5 or Zarr.

    As an array it has shape, dtype, ndim, nbytes and len; a slice, or an array of row numbers, of it is Rows again, so
    that a table is shuffled and split by its numbers alone. `numpy.asarray` reads it; to go through it gives blocks.

    numbers   of the rows of `source`, in which order; None: all of them
    made      what becomes of the rows (n, ...) once they are read, each by itself; None: they are as they are
    memory    bytes that training may take for rows
    """

    memory: int = 10**9
    names: tuple[str, ...] | None = None  # of its columns, where whoever read it knows them
    encoder: Any = None  # what made them of a table, if something did
    __array_ufunc__ = None  # a sum would read all of them: `by_blocks` does it in parts

    def __init__(
        self,
        source: Any,
        numbers: Any = None,
        made: OfRows | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ):
        self.source = source
        self.made = made
        self.numbers = range(source.shape[0]) if numbers is None else numbers
        of_one = source.shape[1:] if shape is None else shape
        self.shape = (len(self.numbers), *of_one)
        self.dtype = np.dtype(source.dtype if dtype is None else dtype)
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize
        if isinstance(source, Rows):
            self.memory = source.memory

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return by_blocks(self)

    def __getitem__(self, key: Any) -> Rows:
        """The rows of a slice, of an array of numbers, or of one of bool."""
        numbers = self.numbers
        if isinstance(key, slice):
            return self._with(numbers[key])
        key = np.atleast_1d(key)
        if key.dtype == bool:
            if len(key) != len(self):
                raise IndexError(f"expected {len(self)} truths, one for each row, got {len(key)}.")
            key = np.flatnonzero(key)
        key = np.where(key < 0, key + len(self), key)
        if len(key) and not 0 <= key.min() <= key.max() < len(self):
            got = f"{key.min()} .. {key.max()}"
            raise IndexError(f"expected numbers of {len(self)} rows, got {got}.")
        if isinstance(numbers, range):
            return self._with(numbers.start + numbers.step * key)
        return self._with(numbers[key])

    def _with(self, numbers: Any) -> Rows:
        found = Rows(self.source, numbers, self.made, self.shape[1:], self.dtype)
        found.memory = self.memory
        return found

    def then(self, made: OfRows, shape: tuple[int, ...], dtype: Any) -> Rows:
        """What `made` makes of them: each of this shape, of dtype."""
        return Rows(self, None, made, shape, dtype)

    def reshape(self, *shape: int) -> Rows:
        """The same rows, each in another shape."""
        of_one = shape[1:]
        return self.then(lambda x: x.reshape(len(x), *of_one), of_one, self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> Rows:
        if self.dtype == dtype:
            return self
        return self.then(lambda x: x.astype(dtype), self.shape[1:], dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, read: a new array."""
        found = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for block in blocks(len(self), at_once(self)):
            found[block] = self._read(self.numbers[block])
        return found

    def _read(self, numbers: Any) -> np.ndarray:
        found = taken(self.source, numbers)
        if self.made is None:
            return found
        with np.errstate(over="ignore"):
            return self.made(found)

    def min(self) -> Any:
        return min(block.min() for block in self)

    def max(self) -> Any:
        return max(block.max() for block in self)

    @property
    def most(self) -> int:
        """So many rows may be in memory while a model learns from them."""
        return max(1, self.memory // PARTS * len(self) // max(1, self.nbytes))

    @property
    def fits(self) -> bool:
        return len(self) <= self.most

    def windows(
        self, order: np.random.Generator, batch_size: int
    ) -> Iterator[tuple[np.ndarray, Rows]]:
        """(numbers, rows) of one window after the other, in random order; but for the last one whole batches."""
        divisor = batch_size // math.gcd(batch_size, PIECES)
        length = max(1, self.most // PIECES // divisor) * divisor  # of a piece
        whole = len(self) // length
        rest = np.arange(whole * length, len(self))
        starts = length * order.permutation(whole)
        groups = [starts[part] for part in blocks(whole, PIECES)]
        if len(groups) > 1:
            last = len(groups[-1]) * length + len(rest)
            if last < batch_size:
                groups[-2:] = [np.concatenate(groups[-2:])]

        for i, group in enumerate(groups, 1):
            numbers = np.concatenate([np.arange(start, start + length) for start in group])
            if i == len(groups):
                numbers = np.append(numbers, rest)
            yield numbers, self[numbers]

    def map(self, function: OfRows, out: str | Path | None = None) -> Any:
        """function(block) of all blocks: one after the other in an array, or written to `out`, a .npy, as they come,
        and its number of rows.

            open_rows("rows.npy").map(model.transform, "codes.npy")
        """
        found = map(function, self)
        if out is None:
            return np.concatenate(list(found))
        return write_npy(out, len(self), found)[0]


class Chain:
    """Tables (N, ...) of rows of one shape, one after the other: a source of Rows."""

    def __init__(self, parts: Sequence[Any]):
        self.parts = parts
        self.starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self.starts[-1]), *parts[0].shape[1:])
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"expected blocks of rows of one shape, got {sorted(shapes)}.")
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        wanted = np.arange(*key.indices(self.shape[0])) if isinstance(key, slice) else key
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for part, start in zip(self.parts, self.starts, strict=False):
            inside = np.flatnonzero((wanted >= start) & (wanted < start + len(part)))
            if len(inside):
                found[inside] = taken(part, wanted[inside] - start)
        return found


# ---------------------------------------------------------------- reading


def taken(source: Any, numbers: range | np.ndarray) -> np.ndarray:
    """Those rows of the source, a copy. Of a mapped file no page stays in memory for it."""
    check_whole(source)
    if isinstance(numbers, range):
        stop = numbers.stop if numbers.stop >= 0 else None
        found = np.array(source[numbers.start : stop : numbers.step])
    elif isinstance(source, Rows):
        found = np.asarray(source[numbers])
    elif not len(numbers) or np.ptp(numbers) < DENSE * len(numbers):
        found = span(source, numbers)
    else:  # from the first one to the last, each once
        once, place = np.unique(numbers, return_inverse=True)
        mapped = isinstance(source, np.ndarray)
        each = max(1, REGION * len(source) // max(1, source.nbytes)) if mapped else 1
        apart = np.diff(once // each) > (0 if mapped else DENSE)
        runs = np.split(once, np.flatnonzero(apart) + 1)
        if mapped or len(once) > SCATTERED * len(runs):
            found = np.concatenate([span(source, run) for run in runs])
        else:
            found = np.asarray(getattr(source, "oindex", source)[once])
        found = found[place]
    release(source)
    return found


def span(source: Any, numbers: np.ndarray) -> np.ndarray:
    """Those rows of the source, a copy, of all from the first to the last."""
    first = numbers.min() if len(numbers) else 0
    last = numbers.max() if len(numbers) else -1
    part = source[first : last + 1]
    read_ahead(part, len(numbers))
    found = np.asarray(part)[numbers - first]
    release(source)
    return found


def at_once(x: Any) -> int:
    """So many rows of x (N, ...) are a block; so many that what goes on in blocks of 2,048 meets them."""
    size = min(BLOCK, getattr(x, "memory", Rows.memory) // 128)
    of_one = math.prod(x.shape[1:]) * x.dtype.itemsize
    each = max(1, size // max(1, of_one))
    if each < ALIGNED <= DENSE * each:
        return ALIGNED
    return each // ALIGNED * ALIGNED or each


def by_blocks(x: Any) -> Iterator[np.ndarray]:
    """x (N, ...), an array or Rows, in arrays of some rows, of BLOCK bytes or so."""
    return (block for _, block in numbered_blocks(x))


def numbered_blocks(x: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """The same, each with the slice of the rows that it is."""
    parts = blocks(len(x), at_once(x)) if math.prod(x.shape) else []
    found = ((part, np.asarray(x[part])) for part in parts)
    return ahead(found) if isinstance(x, Rows) and len(parts) > 1 else found


def large(X: Any) -> bool:
    """Whether X is a table that is read by blocks: Rows, a large file that is mapped, or what has shape, dtype and
    slices and is no array (HDF5, Zarr)."""
    if isinstance(X, Rows):
        return True
    if isinstance(X, np.memmap):
        return X.mode == "r" and X.nbytes >= most_in_memory() and X.dtype.kind in "buif"
    kind = type(X).__module__.partition(".")[0]
    return kind in ("h5py", "zarr") and len(X.shape) > 1


def rows_of(X: Any) -> Any:
    """X, as Rows where it is to be read by blocks."""
    return Rows(X) if large(X) and not isinstance(X, Rows) else X


def gathered(parts: Iterator[np.ndarray]) -> Any:
    """The rows that come in parts (n, ...): an array, or where it would be large `stored`."""
    few: list[np.ndarray] = []
    size = 0
    for part in parts:
        few.append(part)
        size += part.nbytes
        if size >= most_in_memory():
            return stored(itertools.chain(few, parts))
    return np.concatenate(few)


def most_in_memory() -> int:
    """Bytes of a table, from which on it is read by blocks."""
    return min(LARGE, Rows.memory // PIECES)


def concatenated(parts: Sequence[Any]) -> Any:
    """Tables (N, ...) one after the other, as Rows where some are."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Rows) for part in parts):
        return Rows(Chain(parts))
    return np.concatenate(parts)


def stored(parts: Iterable[np.ndarray]) -> Rows:
    """The rows that come in parts (n, ...), all of one shape and dtype, in a temporary file of their own: what is only
    read in a row, a Parquet file or a generator, is so read in any order. The file goes with the last who reads it."""
    import tempfile  # here, for `import nanoae` would pay for it

    rows = 0
    first = None
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
