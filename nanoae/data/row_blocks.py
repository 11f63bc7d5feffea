"""RowBlocks: a table that is larger than the memory, read a block of rows at a time, the next one ahead on a thread."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.whole_file import whole_file

UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "B": 1.0}
PARTS = (
    6  # of the limit: a window that is learned from, its order, the next one and what it is made of
)
NUMBERS = ("int", "uint", "halffloat", "float", "double", "bool")  # Arrow's types
TABLES = (".parquet", ".arrow", ".feather")


def bytes_of(memory: str | float) -> int:
    """1e9 of "1GB"; ValueError for what is no amount of memory."""
    text = str(memory).strip().upper()
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        amount = float(text.removesuffix(unit)) * UNITS.get(unit, 1.0)
    except ValueError:
        amount = 0.0
    if not 1e6 <= amount < float("inf"):
        raise ValueError(f'memory: expected an amount of 1MB or more, as "1GB", got {memory!r}.')
    return int(amount)


class RowBlocks:
    """Rows (N, ...) of numbers, of which a few are in memory at any time.

    source   a .npy file, which is read and never mapped; a .parquet, .arrow or .feather file, or a folder of them
             (pyarrow); a .csv of numbers; what has a `shape` and slices, as an array of Zarr or HDF5; a list of blocks,
             or a function that gives an iterator over them, which is called anew for each pass
    memory   about what blocks may take in all, as "1GB": beside what Python, NumPy and the model take
    """

    def __init__(self, source: Any, memory: str | float = "1GB"):
        self.source, self.memory = source, bytes_of(memory)
        self.starts: list[int] | None = None  # of blocks that can be read in any order
        self.columns: list[str] | None = None
        self.rows = 1 << 16  # a block
        path = Path(source) if isinstance(source, (str, Path)) else None
        if path is not None and path.suffix == ".npy":
            self.open_npy(path)
        elif path is not None and path.suffix == ".csv":
            self.read = lambda _: csv_blocks(path, self.rows)
        elif path is not None and (path.is_dir() or path.suffix in TABLES):
            self.read = lambda _: arrow_blocks(path, self.rows)
        elif path is not None:
            raise ValueError(
                f"{path}: expected .npy, .csv, {', '.join(TABLES)} or a folder, got {path.suffix!r}."
            )
        elif hasattr(source, "shape"):
            self.cut(source.shape, source.dtype, lambda start, stop: np.asarray(source[start:stop]))
        elif callable(source) or isinstance(source, (list, tuple)):
            self.read = lambda _: iter(source() if callable(source) else source)
        else:
            raise ValueError(
                f"RowBlocks: expected a file, an array, a list of blocks or a function that gives them, got "
                f"{source!r:.60}. "
                "An iterator can be gone through only once, and learning takes several passes."
            )

    def open_npy(self, path: Path) -> None:
        mapped = np.lib.format.open_memmap(path, mode="r")
        if not mapped.flags.c_contiguous:
            raise ValueError(
                f"{path}: expected rows one after the other, got columns (Fortran order)."
            )
        shape, dtype, offset = mapped.shape, mapped.dtype, mapped.offset
        width = int(np.prod(shape[1:]))

        def part(start: int, stop: int) -> np.ndarray:
            at = offset + start * width * dtype.itemsize
            return np.fromfile(path, dtype, (stop - start) * width, offset=at).reshape(
                -1, *shape[1:]
            )

        self.cut(shape, dtype, part)

    def cut(
        self, shape: tuple[int, ...], dtype: Any, part: Callable[[int, int], np.ndarray]
    ) -> None:
        """Read by `part(start, stop)`, in any order, a twentieth of the memory at a time."""
        width = max(1, int(np.prod(shape[1:]))) * max(np.dtype(dtype).itemsize, 4)
        self.rows = max(1, min(self.memory // PARTS // 4 // width, shape[0]))
        self.starts = list(range(0, shape[0], self.rows))
        self.read = lambda starts: (
            part(start, min(start + self.rows, shape[0])) for start in starts
        )

    def passes(self, order: np.random.Generator | None = None) -> Iterator[np.ndarray]:
        """All blocks, in random order if they can be read so."""
        starts = self.starts
        if starts is not None and order is not None:
            starts = order.permutation(starts).tolist()
        return ahead(self.read(starts))

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.passes()

    def map(
        self, function: Callable[[np.ndarray], np.ndarray], out: str | Path | None = None
    ) -> Any:
        """function(block) of all blocks: one after the other in an array, or written to `out`, a .npy, as they come,
        and its number of rows.

        >>> RowBlocks("rows.npy").map(model.transform, "codes.npy")
        """
        if out is None:
            return np.concatenate([function(block) for block in self])
        n, shape, dtype = 0, (), np.dtype(float)
        with whole_file(Path(out)) as file:
            header = 128
            file.write(b" " * header)
            for block in self:
                result = np.ascontiguousarray(function(block))
                n, shape, dtype = n + len(result), result.shape[1:], result.dtype
                file.write(result.data)
            file.seek(0)
            described = repr(
                {"descr": dtype.str, "fortran_order": False, "shape": (n, *shape)}
            ).encode()
            file.write(b"\x93NUMPY\x01\x00" + (header - 10).to_bytes(2, "little"))
            file.write(described.ljust(header - 11) + b"\n")
        return n


class Windows:
    """What a trainer learns from, of the blocks of a table: windows of several blocks, in random order, and in each of
    them the rows in random order. Each `held`-th row is left out.

    shape, dtype   of the whole
    """

    def __init__(
        self,
        blocks: RowBlocks,
        shape: tuple[int, ...],
        check: Callable[[Any], np.ndarray],
        held: int = 0,
    ):
        self.blocks, self.shape, self.check, self.held = blocks, shape, check, held
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def kept(self, block: np.ndarray) -> np.ndarray:
        """The rows of a block that are learned from."""
        if not self.held:
            return block
        return block[np.arange(len(block)) % self.held != 0]

    def windows(self, order: np.random.Generator, batch_size: int) -> Iterator[np.ndarray]:
        return ahead(self.gathered(order, batch_size))

    def gathered(self, order: np.random.Generator, batch_size: int) -> Iterator[np.ndarray]:
        seed = int(order.integers(2**31))
        waiting: list[np.ndarray] = []
        for block in self.blocks.passes(np.random.default_rng(seed)):
            waiting.append(self.kept(self.check(block)))
            n, width = sum(map(len, waiting)), waiting[0][:1].nbytes
            most = max(1, self.blocks.memory // PARTS // max(width, 1) // batch_size) * batch_size
            if n >= most:
                joined = np.concatenate(waiting)
                yield joined[:most]
                waiting = [joined[most:].copy()] if n > most else []
        if waiting and sum(map(len, waiting)):
            yield np.concatenate(waiting)


def ahead(source: Iterator[Any]) -> Iterator[Any]:
    """The same, one of them made ahead by a thread."""
    done = object()
    ready: queue.Queue = queue.Queue(maxsize=1)
    ended = threading.Event()

    def put(item: Any) -> bool:
        while not ended.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in source:
                if not put((item, None)):
                    return
            put((done, None))
        except BaseException as error:
            put((done, error))

    thread = threading.Thread(target=work, name="blocks", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is done:
                return
            yield item
    finally:
        ended.set()


def arrow_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    """Blocks of the numbers of Parquet or Arrow files, a folder's in the order of their names."""
    try:
        from pyarrow import dataset
    except ImportError as error:
        raise ImportError(
            f'{path}: Parquet and Arrow files need pyarrow: pip install "nanoae[arrow]"'
        ) from error
    there = {path.suffix} if path.is_file() else {file.suffix for file in path.iterdir()}
    kind = next((kind for kind in TABLES if kind in there), None)
    if kind is None:
        raise ValueError(f"{path}: expected {', '.join(TABLES)} files in it, got none.")
    table = dataset.dataset(path, format=kind.removeprefix(".").replace("arrow", "ipc"))
    text = [field.name for field in table.schema if not str(field.type).startswith(NUMBERS)]
    if text:
        raise ValueError(
            f"{path}: expected columns of numbers, got {', '.join(text[:5])}. Encode them first."
        )
    for batch in table.to_batches(batch_size=rows, batch_readahead=1, fragment_readahead=1):
        if batch.num_rows:
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            yield np.column_stack(columns)


def csv_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    """Blocks of the numbers of a .csv; a first line that holds none names the columns."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        lines: Iterator[str] = file
        with suppress(ValueError):
            [float(cell or "nan") for cell in first.split(",")]
            lines = itertools.chain([first], file)
        while taken := list(itertools.islice(lines, rows)):
            yield np.genfromtxt(taken, delimiter=",", ndmin=2)
