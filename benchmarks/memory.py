"""Memory: peak resident memory of commands and Python calls on tables larger than memory.

>>> python -m benchmarks.memory file 4096        # train, evaluate, encode, detect for a .npy file of so many MB
>>> python -m benchmarks.memory hole 20480       # fit and score_samples of a sparse file of so many MB
>>> python -m benchmarks.memory parquet 10       # nanoae detect of a Parquet folder of so many million rows of 20
>>> python -m benchmarks.memory default 10       # the same with the default detector, which learns from the folder
>>> python -m benchmarks.memory csv 1            # nanoae train and detect of a .csv of so many million rows of 8
>>> python -m benchmarks.memory dask 4000        # scores of so many Dask partitions, against those of the whole table
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.table import markdown

WIDTH = 256  # of a file's rows
NANOAE = [sys.executable, "-m", "nanoae"]
SMALL = [
    "--epochs",
    "1",
    "--code-size",
    "8",
    "--hidden",
    "32",
    "--batch-size",
    "1024",
    "--no-figures",
]
CHEAP = (  # a detector whose scores take a product of matrices: what is measured is the reading
    "nanoae.AnomalyDetector(nanoae.Autoencoder(4, (8,), epochs=1, batch_size=4096, random_state=0), "
    'scores="reconstruction", random_state=0, missing="mask")'
)
EQUAL = """
part = nanoae.open_rows(X[:20_000])
whole = np.asarray(part)
detector = {cheap}.fit(whole)
assert np.array_equal(detector.score_samples(part), detector.score_samples(whole))
one, other = (nanoae.Autoencoder(4, (8,), epochs=1, random_state=0).fit(x) for x in (part, whole))
assert np.array_equal(one.transform(part), other.transform(whole)) and one.history_["loss"] == other.history_["loss"]
print("equal to the bit", file=sys.stderr)
"""
PARTITIONS = """
import dask.array, dask.dataframe, pandas
X = np.asarray(X)
detector = nanoae.AnomalyDetector(random_state=0).fit(X[:5000])
whole = detector.score_samples(X)
array = dask.array.from_array(X, chunks=(25, 20))
frame = dask.dataframe.from_pandas(pandas.DataFrame(X), npartitions=len(X) // 25)
scores = {
    "map_blocks": array.map_blocks(detector.score_samples, dtype=whole.dtype, drop_axis=1),
    "map_partitions": frame.map_partitions(
        lambda part: pandas.Series(detector.score_samples(part.to_numpy())), meta=(None, whole.dtype)
    ),
}
for name, lazy in scores.items():
    found = np.asarray(lazy.compute(scheduler="threads"))
    parts = lazy.npartitions
    same = np.mean(found == whole)
    furthest = np.max(np.abs(found - whole) / np.maximum(np.abs(whole), 1e-12))
    told = f"{name}: {parts:,} partitions, {same:.2%} of the scores equal to the bit, others within {furthest:.1e}"
    print(told, file=sys.stderr)
"""
START = "import sys, numpy as np, nanoae\nX = nanoae.open_rows('big.npy', '500MB')\n"


def peak(command: list[str], folder: str) -> tuple[int, float]:
    """(the most memory that a command had resident, MB; its seconds)."""
    code = "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=2); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10); sys.exit(done.returncode)"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True
    )
    print(done.stderr, file=sys.stderr)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1]), time.perf_counter() - started


def python(code: str) -> list[str]:
    return [sys.executable, "-c", START + code.format(cheap=CHEAP)]


def of_file(folder: str, size: int) -> Iterator[tuple[str, list[str]]]:
    """Every command for a .npy file of random rows."""
    rows = (size << 20) // (4 * WIDTH)
    x = np.lib.format.open_memmap(Path(folder, "big.npy"), "w+", np.float32, (rows, WIDTH))
    for start in range(0, rows, 4096):
        block = x[start : start + 4096]
        block[...] = np.random.default_rng(start).random(block.shape, np.float32)
    x.flush()
    read = ["run/model.npz", "--data", "big.npy"]
    yield "train", [*NANOAE, "train", "--data", "big.npy", *SMALL, "--out", "run"]
    yield "evaluate", [*NANOAE, "evaluate", *read]
    yield "encode", [*NANOAE, "encode", *read, "--out", "codes.npy"]
    yield "reconstruct", [*NANOAE, "reconstruct", *read, "--out", "again.npy"]
    Path(folder, "again.npy").unlink()
    yield "a detector's fit", python("{cheap}.fit(X).save('detector.npz')")
    judged = ["--model", "detector.npz", "--score", "big.npy", "--out", "scores.csv"]
    yield "detect --score", [*NANOAE, "detect", *judged]


def of_hole(folder: str, size: int) -> Iterator[tuple[str, list[str]]]:
    """fit and score_samples of a file that is a hole but for some rows."""
    rows, width = (size << 20) // 4096, 1024
    x = np.lib.format.open_memmap(Path(folder, "big.npy"), "w+", np.float32, (rows, width))
    rng = np.random.default_rng(0)
    for row in rng.integers(0, rows, 1000):
        x[row] = rng.random(width, np.float32)
    x[:20_000:10] = 1
    x.flush()
    yield (
        "Autoencoder.fit",
        python("nanoae.Autoencoder(4, (), epochs=1, batch_size=8192, scaling='none').fit(X)"),
    )
    yield "AnomalyDetector.fit", python("{cheap}.fit(X).save('detector.npz')")
    scores = "X.map(nanoae.load('detector.npz').score_samples, 'scores.npy')"
    yield "score_samples, written by blocks", python(scores)
    yield "score_samples", python("nanoae.load('detector.npz').score_samples(X)")
    yield "a part of it, twice", python(EQUAL)


def write_parquet(folder: str, millions: int) -> None:
    """Ten files in a folder, and the last one's rows as big.npy."""
    import pyarrow
    from pyarrow import parquet

    Path(folder, "rows").mkdir()
    for i in range(10):
        x = np.random.default_rng(i).standard_normal((millions * 100_000, 20)).astype(np.float32)
        np.save(Path(folder, "big.npy"), x)
        table = pyarrow.table({f"x{j}": x[:, j] for j in range(20)})
        parquet.write_table(table, Path(folder, "rows", f"{i}.parquet"))


def of_parquet(folder: str, millions: int) -> Iterator[tuple[str, list[str]]]:
    """nanoae detect, of ten files in a folder."""
    write_parquet(folder, millions)
    yield (
        "a detector's fit",
        python("X = nanoae.open_rows('rows')\n{cheap}.fit(X).save('detector.npz')"),
    )
    judged = ["--model", "detector.npz", "--score", "rows", "--out", "scores.csv"]
    yield "detect --score", [*NANOAE, "detect", *judged]


def of_default(folder: str, millions: int) -> Iterator[tuple[str, list[str]]]:
    """nanoae detect with nothing set."""
    write_parquet(folder, millions)
    yield "detect --train", [*NANOAE, "detect", "--train", "rows", "--save", "detector.npz"]
    judged = ["--model", "detector.npz", "--score", "rows", "--out", "scores.csv"]
    yield "detect --score", [*NANOAE, "detect", *judged]


def of_dask(folder: str, partitions: int) -> Iterator[tuple[str, list[str]]]:
    """The default detector's scores of partitions of 25 rows."""
    X = np.random.default_rng(0).standard_normal((25 * partitions, 20)).astype(np.float32)
    np.save(Path(folder, "big.npy"), X)
    yield "map_blocks and map_partitions", [sys.executable, "-c", START + PARTITIONS]


def of_csv(folder: str, millions: int) -> Iterator[tuple[str, list[str]]]:
    """Text tables of numbers, and of a category."""
    with (
        open(Path(folder, "numbers.csv"), "w") as numbers,
        open(Path(folder, "t.csv"), "w") as table,
    ):
        numbers.write(",".join("abcdefgh") + "\n")
        table.write(",".join("abcdefgh") + ",colour\n")
        for i in range(100):
            x = np.random.default_rng(i).standard_normal((millions * 10_000, 8))
            lines = [",".join(f"{cell:.6f}" for cell in row) for row in x]
            numbers.writelines(line + "\n" for line in lines)
            table.writelines(f"{line},{('red', 'blue')[j % 2]}\n" for j, line in enumerate(lines))
    yield "train", [*NANOAE, "train", "--data", "numbers.csv", *SMALL, "--out", "run"]
    code = ["run/model.npz", "--data", "numbers.csv", "--out", "codes.csv"]
    yield "encode", [*NANOAE, "encode", *code]
    yield "detect --train", [*NANOAE, "detect", "--train", "t.csv", "--save", "detector.npz"]


CASES = {
    "file": of_file,
    "hole": of_hole,
    "parquet": of_parquet,
    "default": of_default,
    "csv": of_csv,
    "dask": of_dask,
}


def main() -> int:
    case = sys.argv[1] if len(sys.argv) > 1 else "file"
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, command in CASES[case](folder, size):
            mb, seconds = peak(command, folder)
            rows.append([name, f"{mb:,}", f"{seconds:,.0f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    print(markdown([f"{case} {size}", "most resident, MB", "seconds"], rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
