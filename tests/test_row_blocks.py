"""Is a table that is read a block of rows at a time learned from, and used, as one in memory is?"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import nanoae

X = np.random.default_rng(0).random((1000, 6), np.float32)
FIT = {
    "code_size": 2,
    "hidden": (5,),
    "epochs": 2,
    "batch_size": 50,
    "random_state": 0,
    "backend": "numpy",
}


def parquet(folder):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = folder / "parts"
    folder.mkdir()
    for i in range(4):
        part = {f"x{j}": X[250 * i : 250 * (i + 1), j] for j in range(6)}
        parquet.write_table(pyarrow.table(part), folder / f"{i}.parquet")
    return folder


def csv(folder):
    np.savetxt(folder / "x.csv", X, delimiter=",", header="a,b,c,d,e,f", comments="", fmt="%.9g")
    return folder / "x.csv"


def npy(folder):
    np.save(folder / "x.npy", X)
    return folder / "x.npy"


class Slices:
    """What Zarr and h5py give."""

    shape, dtype = X.shape, X.dtype

    def __getitem__(self, rows):
        return X[rows]


SOURCES = {
    "npy": npy,
    "parquet": parquet,
    "csv": csv,
    "slices": lambda _: Slices(),
    "blocks": lambda _: [X[:300], X[300:]],
    "function": lambda _: lambda: iter([X[:300], X[300:]]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_its_rows(source, tmp_path):
    blocks = nanoae.RowBlocks(SOURCES[source](tmp_path), "1MB")
    np.testing.assert_array_equal(blocks.map(lambda block: block.astype(np.float32)), X)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_learned_is_near_what_is_learned_in_memory(source, tmp_path):
    blocks = nanoae.RowBlocks(SOURCES[source](tmp_path), "1MB")
    model, whole = nanoae.Autoencoder(**FIT).fit(blocks), nanoae.Autoencoder(**FIT).fit(X)
    assert model.history_["loss"] == pytest.approx(whole.history_["loss"], rel=0.05)
    again = nanoae.Autoencoder(**FIT).fit(blocks)
    assert again.history_["loss"] == model.history_["loss"]


def test_codes_are_written_block_by_block_to_the_bit(tmp_path):
    model = nanoae.Autoencoder(**FIT).fit(X)
    assert nanoae.RowBlocks(npy(tmp_path), "1MB").map(
        model.transform, tmp_path / "codes.npy"
    ) == len(X)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(X))


def test_each_epoch_meets_each_row_once():
    met = []
    windows = nanoae.data.row_blocks.Windows(
        nanoae.RowBlocks(X, "1MB"), X.shape, np.asarray, held=10
    )
    for window in windows.windows(np.random.default_rng(0), 64):
        met.append(window)
    held = np.concatenate(
        [block[np.arange(len(block)) % 10 != 0] for block in nanoae.RowBlocks(X, "1MB")]
    )
    assert sorted(map(tuple, np.concatenate(met))) == sorted(map(tuple, held))


def test_early_stopping_watches_rows_that_are_not_learned_from():
    model = nanoae.Autoencoder(**{**FIT, "epochs": 5}, validation_fraction=0.2, patience=2).fit(
        nanoae.RowBlocks(X)
    )
    assert len(model.history_["val_loss"]) == len(model.history_["loss"])


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: nanoae.RowBlocks("x.xlsx"), "expected .npy"),
        (lambda: nanoae.RowBlocks(iter([X])), "only once"),
        (lambda: nanoae.RowBlocks(X, "much"), "expected an amount"),
        (lambda: nanoae.Autoencoder(**FIT).fit(nanoae.RowBlocks([])), "got none"),
        (lambda: nanoae.Autoencoder(**FIT).fit(nanoae.RowBlocks([X, X[:, :3]])), "features"),
        (
            lambda: nanoae.StackedAutoencoder((4, 2)).fit(nanoae.RowBlocks(X)),
            "which pretraining does not take",
        ),
        (
            lambda: nanoae.Autoencoder(**FIT).fit(nanoae.RowBlocks([X, np.full((3, 6), np.nan)])),
            "finite",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
    assert not [
        thread for thread in threading.enumerate() if thread.name == "blocks" and not thread.daemon
    ]


def test_memory_stays_under_the_limit(tmp_path):
    pytest.importorskip("resource")
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1_500_000, 32))[0] = (
        1  # 192 MB, most of it a hole
    )
    script = f"""
import resource, nanoae
model = nanoae.Autoencoder(2, (4,), epochs=1, batch_size=4096, random_state=0, backend="numpy")
blocks = nanoae.RowBlocks({str(tmp_path / "x.npy")!r}, "30MB")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
model.fit(next(iter(blocks)))
before = peak()
model.fit(blocks)
blocks.map(model.transform, {str(tmp_path / "codes.npy")!r})
print(peak() - before)
"""
    environment = os.environ | {
        "PYTHONPATH": str(Path(nanoae.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40
