"""Rows: a table that need not fit in memory. Its rows stay in their file until they are needed.

Operations on the whole table read it in blocks, one of them ahead in a background thread (`by_blocks`). Training visits
each row once per epoch in random order. A table of at most an eighth of the memory is read once and shuffled like an
array. A larger one is read in windows of an eighth of the memory (`Rows.windows`): each window joins sixteen pieces
from random places of the table and is then shuffled. With several ranks, each reads only the rows it processes.
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

LARGE = 64 << 20  # bytes; larger tables are read in blocks
BLOCK = 8 << 20  # bytes of rows processed together
ALIGNED = 2048  # rows; block lengths are multiples of it
PARTS, PIECES = 8, 16  # a window is 1/PARTS of the memory, in PIECES pieces
REGION = 2 << 20  # bytes of a mapped file in memory at a time, to pick rows from
# Average run length above which runs are read one by one, rather than all rows by index
SCATTERED = 32
DENSE = 4  # a range of up to DENSE times the wanted rows is read whole

OfRows = Callable[[np.ndarray], np.ndarray]  # a row-wise function of rows (n, ...)


class Rows:
    """Rows (N, ...) of anything with `shape`, `dtype` and slicing: a memory-mapped .npy file, an HDF5 or Zarr data set.

    Like an array it has shape, dtype, ndim, nbytes and len. Indexing with a slice or an array of row numbers returns
    Rows again, so a table is shuffled and split without being read. `numpy.asarray` reads it; iteration yields blocks.

    numbers   row numbers of `source`, in order; None: all rows
    made      row-wise function applied to rows (n, ...) after they are read; None: no function
    memory    bytes that training may use for rows
    """

    memory: int = 10**9
    names: tuple[str, ...] | None = None  # column names, if known
    encoder: Any = None  # the encoder that made the rows from a table, if any
    __array_ufunc__ = None  # NumPy would read all rows at once: use `by_blocks`

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
        """Return the rows given by a slice, an array of row numbers, or a boolean mask."""
        numbers = self.numbers
        if isinstance(key, slice):
            return self._with(numbers[key])
        key = np.atleast_1d(key)
        if key.dtype == bool:
            if len(key) != len(self):
                raise IndexError(f"expected a mask of {len(self)} rows, got {len(key)}.")
            key = np.flatnonzero(key)
        key = np.where(key < 0, key + len(self), key)
        if len(key) and not 0 <= key.min() <= key.max() < len(self):
            got = f"{key.min()} .. {key.max()}"
            raise IndexError(f"expected row numbers below {len(self)}, got {got}.")
        if isinstance(numbers, range):
            return self._with(numbers.start + numbers.step * key)
        return self._with(numbers[key])

    def _with(self, numbers: Any) -> Rows:
        found = Rows(self.source, numbers, self.made, self.shape[1:], self.dtype)
        found.memory = self.memory
        return found

    def then(self, made: OfRows, shape: tuple[int, ...], dtype: Any) -> Rows:
        """Return Rows whose rows, of the given shape and dtype, are `made` applied to these."""
        return Rows(self, None, made, shape, dtype)

    def reshape(self, *shape: int) -> Rows:
        """Return the same rows, each in another shape."""
        of_one = shape[1:]
        return self.then(lambda x: x.reshape(len(x), *of_one), of_one, self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> Rows:
        if self.dtype == dtype:
            return self
        return self.then(lambda x: x.astype(dtype), self.shape[1:], dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all rows into a new array."""
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
        """Return the number of rows that training may hold in memory."""
        return max(1, self.memory // PARTS * len(self) // max(1, self.nbytes))

    @property
    def fits(self) -> bool:
        return len(self) <= self.most

    def windows(
        self, order: np.random.Generator, batch_size: int
    ) -> Iterator[tuple[np.ndarray, Rows]]:
        """Yield (numbers, rows) of one window after another in random order; all but the last hold whole batches."""
        divisor = batch_size // math.gcd(batch_size, PIECES)
        length = max(1, self.most // PIECES // divisor) * divisor  # rows of a piece
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
        """Apply a function to all blocks. Return the concatenated results, or write them to `out`, a .npy file, as they
        come and return the number of rows.

            open_rows("rows.npy").map(model.transform, "codes.npy")
        """
        found = map(function, self)
        if out is None:
            return np.concatenate(list(found))
        return write_npy(out, len(self), found)[0]


class Chain:
    """Tables (N, ...) with rows of one shape, concatenated: a source of Rows."""

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
    """Return a copy of the given rows of the source. No page of a mapped file stays in memory."""
    check_whole(source)
    if isinstance(numbers, range):
        stop = numbers.stop if numbers.stop >= 0 else None
        found = np.array(source[numbers.start : stop : numbers.step])
    elif isinstance(source, Rows):
        found = np.asarray(source[numbers])
    elif not len(numbers) or np.ptp(numbers) < DENSE * len(numbers):
        found = span(source, numbers)
    else:  # sorted, each row read once
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
    """Return a copy of the given rows, read together with all rows between the first and the last."""
    first = numbers.min() if len(numbers) else 0
    last = numbers.max() if len(numbers) else -1
    part = source[first : last + 1]
    read_ahead(part, len(numbers))
    found = np.asarray(part)[numbers - first]
    release(source)
    return found


def at_once(x: Any) -> int:
    """Return the number of rows of x (N, ...) in a block, aligned with batches of 2,048 where possible."""
    size = min(BLOCK, getattr(x, "memory", Rows.memory) // 128)
    of_one = math.prod(x.shape[1:]) * x.dtype.itemsize
    each = max(1, size // max(1, of_one))
    if each < ALIGNED <= DENSE * each:
        return ALIGNED
    return each // ALIGNED * ALIGNED or each


def by_blocks(x: Any) -> Iterator[np.ndarray]:
    """Yield x (N, ...), an array or Rows, as arrays of about BLOCK bytes each."""
    return (block for _, block in numbered_blocks(x))


def numbered_blocks(x: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (slice, block) for each block of `by_blocks`; the slice gives its rows."""
    parts = blocks(len(x), at_once(x)) if math.prod(x.shape) else []
    found = ((part, np.asarray(x[part])) for part in parts)
    return ahead(found) if isinstance(x, Rows) and len(parts) > 1 else found


def large(X: Any) -> bool:
    """Return True if X is read in blocks: Rows, a large memory-mapped file, or an HDF5 or Zarr data set."""
    if isinstance(X, Rows):
        return True
    if isinstance(X, np.memmap):
        return X.mode == "r" and X.nbytes >= most_in_memory() and X.dtype.kind in "buif"
    kind = type(X).__module__.partition(".")[0]
    return kind in ("h5py", "zarr") and len(X.shape) > 1


def rows_of(X: Any) -> Any:
    """Return X, wrapped in Rows if it is read in blocks."""
    return Rows(X) if large(X) and not isinstance(X, Rows) else X


def gathered(parts: Iterator[np.ndarray]) -> Any:
    """Concatenate parts (n, ...) into an array, or into a temporary file (`stored`) if they are large."""
    few: list[np.ndarray] = []
    size = 0
    for part in parts:
        few.append(part)
        size += part.nbytes
        if size >= most_in_memory():
            return stored(itertools.chain(few, parts))
    return np.concatenate(few)


def most_in_memory() -> int:
    """Return the size in bytes from which a table is read in blocks."""
    return min(LARGE, Rows.memory // PIECES)


def concatenated(parts: Sequence[Any]) -> Any:
    """Concatenate tables (N, ...); the result is Rows if any of them is."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Rows) for part in parts):
        return Rows(Chain(parts))
    return np.concatenate(parts)


def stored(parts: Iterable[np.ndarray]) -> Rows:
    """Write parts (n, ...) of one shape and dtype to a temporary file and return it as Rows.

    This gives random access to sequential sources such as a Parquet file or a generator. The file is deleted with the
    last object that reads it.
    """
    import tempfile  # imported here to keep `import nanoae` fast

    rows = 0
    first = None
    with tempfile.TemporaryFile(prefix="nanoae-") as file:
        for part in parts:
            first = part[:0] if first is None else first
            if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"expected blocks of rows {first.shape[1:]} of {first.dtype}, like the first block, got "
                    f"{part.shape[1:]} of {part.dtype}."
                )
            file.write(np.ascontiguousarray(part).data)
            rows += len(part)
        if first is None or not rows:
            raise ValueError("expected blocks of rows, got none.")
        file.flush()
        return Rows(np.memmap(file, first.dtype, "r", shape=(rows, *first.shape[1:])))
