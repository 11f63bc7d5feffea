"""Is a table that is read a block of rows at a time learned from, and used, as one in memory is?"""

import copy
import functools
import math
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

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


def hdf5(folder):
    file = pytest.importorskip("h5py").File(folder / "x.h5", "w")
    return file.create_dataset("x", data=X, chunks=(64, 6), compression="gzip")


def zarr(folder):
    pytest.importorskip("zarr").save(str(folder / "x.zarr"), X)
    return sys.modules["zarr"].open(str(folder / "x.zarr"), mode="r")


class Slices:
    """What others give, that have a shape and slices."""

    shape, dtype = X.shape, X.dtype

    def __getitem__(self, rows):
        return X[rows]


SOURCES = {
    "npy": npy,
    "parquet": parquet,
    "csv": csv,
    "hdf5": hdf5,
    "zarr": zarr,
    "slices": lambda _: Slices(),
    "blocks": lambda _: [X[:300], X[300:]],
    "function": lambda _: lambda: iter([X[:300], X[300:]]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_its_rows(source, tmp_path):
    blocks = nanoae.open_rows(SOURCES[source](tmp_path), "1MB")
    np.testing.assert_array_equal(blocks.map(lambda block: block.astype(np.float32)), X)


@pytest.mark.parametrize("source", SOURCES)
def test_what_fits_is_learned_from_as_in_memory_to_the_bit(source, tmp_path):
    rows = nanoae.open_rows(SOURCES[source](tmp_path), "1MB")
    model, whole = nanoae.Autoencoder(**FIT).fit(rows), nanoae.Autoencoder(**FIT).fit(X)
    assert model.history_["loss"] == whole.history_["loss"]
    np.testing.assert_array_equal(model.transform(rows), whole.transform(X))


def test_codes_are_written_block_by_block_to_the_bit(tmp_path):
    model = nanoae.Autoencoder(**FIT).fit(X)
    assert nanoae.open_rows(npy(tmp_path), "1MB").map(
        model.transform, tmp_path / "codes.npy"
    ) == len(X)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(X))


@pytest.mark.parametrize("batch_size", [1, 48, 64, 1000])
def test_each_epoch_meets_each_row_once_in_whole_batches(batch_size):
    table = np.arange(100_003)[:, None].repeat(40, axis=1).astype(np.float32)  # 16 MB
    windows = list(nanoae.open_rows(table, "16MB").windows(np.random.default_rng(0), batch_size))
    assert len(windows) > 4 and all(len(rows) % batch_size == 0 for _, rows in windows[:-1])
    assert all(np.array_equal(rows, table[numbers]) for numbers, rows in windows)
    assert np.array_equal(np.sort(np.concatenate([n for n, _ in windows])), np.arange(100_003))
    assert max(rows.nbytes for _, rows in windows) < 5e6


def test_windows_learn_with_weights_targets_and_gaps():
    table = np.random.default_rng(0).random((10_000, 20), np.float32)
    labels, weights = (table[:, 0] > 0.5).astype(int), np.arange(10_000.0)
    gaps = np.where(table < 0.05, np.nan, table)
    for rows, whole, given in (
        (
            table,
            nanoae.StackedClassifier(
                (8,), epochs=2, pretrain_epochs=1, batch_size=50, random_state=0
            ),
            (labels,),
        ),
        (gaps, nanoae.Autoencoder(**FIT, missing="mask"), ()),
        (table, nanoae.Autoencoder(**FIT, optimizer=nanoae.KFAC(1e-2)), ()),
    ):
        beside = {} if given else {"sample_weight": weights}
        losses = [
            copy.deepcopy(whole).fit(x, *given, **beside).history_["loss"]
            for x in (rows, nanoae.open_rows(rows, "1MB"))
        ]
        assert losses[1] != losses[0] and losses[1] == pytest.approx(losses[0], rel=0.2)


def test_early_stopping_watches_rows_that_are_not_learned_from():
    model = nanoae.Autoencoder(**{**FIT, "epochs": 5}, validation_fraction=0.2, patience=2).fit(
        nanoae.open_rows(X)
    )
    assert len(model.history_["val_loss"]) == len(model.history_["loss"])


def frames(*columns):
    """Data frames whose columns have these letters."""
    pandas = pytest.importorskip("pandas")
    return [pandas.DataFrame(X[:50], columns=list(names)) for names in columns]


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: nanoae.open_rows("x.xlsx"), "x.xlsx: expected a .npy, .csv"),
        (lambda: nanoae.open_rows(X, "much"), "expected an amount"),
        (lambda: nanoae.open_rows(X, "1kB"), "memory of at least 1MB"),
        (lambda: nanoae.open_rows(iter([])), "got none"),
        (lambda: nanoae.open_rows([]), "got none"),
        (lambda: nanoae.open_rows(7), "open_rows: expected a file"),
        (lambda: nanoae.open_rows([X, X[:, :3]]), "blocks of rows"),
        (
            lambda: nanoae.open_rows(SimpleNamespace(shape=(math.nan, 6))),
            r"known shape, got \(nan, 6\)",
        ),
        (
            lambda: nanoae.Autoencoder(**FIT).fit(nanoae.open_rows(np.ma.masked_less(X, 0.1))),
            "got NaN in row",
        ),
        (lambda: nanoae.open_rows(iter([None])), r"blocks of rows \(n, ...\), got NoneType"),
        (
            lambda: nanoae.open_rows(frames("abcdef", "abcdfe")),
            r"columns \['a', .*'f'\], got \['a'",
        ),
        (lambda: nanoae.Autoencoder(**FIT).fit(iter(frames("abcdef", "abcdfe"))), "columns"),
        (
            lambda: nanoae.Autoencoder(**FIT).fit(iter([X, np.ma.masked_less(X, 0.1)])),
            "got NaN in row 100",
        ),
        (
            lambda: nanoae.Autoencoder(**FIT).fit(nanoae.open_rows([X, np.full((3, 6), np.nan)])),
            "got NaN in row 1000",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rows")]


def test_memory_stays_under_the_limit(tmp_path):
    pytest.importorskip("resource")
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (800_000, 32))[0] = (
        1  # 102 MB, most of it a hole
    )
    script = f"""
import resource, nanoae
model = nanoae.Autoencoder(2, (4,), epochs=1, batch_size=4096, random_state=0, backend="numpy")
blocks = nanoae.open_rows({str(tmp_path / "x.npy")!r}, "30MB")
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


@pytest.mark.parametrize("name", ["standard", "minmax"])
def test_scales_are_those_of_all_rows(name):
    from nanoae.data.scaling import fit_known, fit_rows, get

    table = np.random.default_rng(0).standard_normal((70_000, 3)) * (1, 5, 1e-3) + (0, 1e4, 0)
    table[5, 0], table[::7, 2], table[77, 2] = 50, np.nan, 9
    of_rows, whole = (
        fit_rows(get(name), nanoae.open_rows(table, "1MB")),
        fit_known(get(name), table),
    )
    np.testing.assert_allclose(of_rows.center_[:2], whole.center_[:2], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(of_rows.scale_[:2], whole.scale_[:2], rtol=1e-9)
    np.testing.assert_allclose(of_rows.scale_[2], whole.scale_[2], rtol=0.05)  # one is wild
    model = nanoae.Autoencoder(
        **{**FIT, "epochs": 1}, scaling="minmax", output_activation="sigmoid"
    )
    assert model.fit(nanoae.open_rows(table[:, :2], "1MB")).scaling_ == "minmax"


def test_a_fit_that_is_stopped_within_a_window_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    table = nanoae.open_rows(np.random.default_rng(0).random((20_000, 20), np.float32), "1MB")
    fit = {**FIT, "epochs": 2, "batch_size": 500}
    whole = nanoae.Autoencoder(**fit).fit(table)
    steps, between = [], nanoae.Trainer.between_steps

    def counted(self, *arguments):
        between(self, *arguments)
        steps.append(self.at.step)
        if len(steps) == 57:
            raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(nanoae.Trainer, "between_steps", counted)
        beside = nanoae.Checkpoints(tmp_path, steps=1)
        nanoae.Autoencoder(**fit).fit(table, checkpoint_dir=beside)
    assert steps == [*range(1, 41), *range(1, 18)]
    resumed = nanoae.Autoencoder(**fit).fit(table, checkpoint_dir=tmp_path, resume=True)
    assert resumed.history_["loss"] == whole.history_["loss"]
    np.testing.assert_array_equal(resumed.network_.theta, whole.network_.theta)


def test_numbers_beyond_the_rows_are_refused():
    table = nanoae.open_rows(X)[:10]
    assert np.array_equal(np.asarray(table[[-1, 3]]), X[[9, 3]])
    assert np.array_equal(np.asarray(table[4]), X[4:5])
    for wrong in ([10], [-11], np.ones(9, bool)):
        with pytest.raises(IndexError, match="expected"):
            table[wrong]


def test_blocks_meet_the_rows_that_the_whole_table_meets_together(tmp_path):
    wide = np.random.default_rng(0).random((3000, 1500), np.float32)
    model = nanoae.Autoencoder(2, (4,), epochs=1, random_state=0, backend="numpy").fit(wide[:100])
    rows = nanoae.open_rows(wide, "400MB")  # of which a block of 128 would be 500 rows
    assert np.array_equal(rows.map(model.transform), model.transform(wide))


def test_the_index_of_a_frame_is_no_column(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    for name in (None, "id"):
        index = pandas.Index(np.random.default_rng(0).permutation(len(X)), name=name)
        frame.set_index(index).to_parquet(tmp_path / "x.parquet")
        rows = nanoae.open_rows(tmp_path / "x.parquet")
        assert rows.names == tuple("abcdef") and np.array_equal(np.asarray(rows), X)
        assert nanoae.load_data(tmp_path / "x.parquet").columns == tuple("abcdef")


def test_a_frame_gives_its_rows():
    (frame,) = frames("abcdef")
    assert np.array_equal(np.asarray(nanoae.open_rows(frame)), X[:50])


def test_files_of_a_folder_have_the_same_columns(tmp_path):
    pytest.importorskip("pyarrow")
    (first,) = frames("abcdef")
    first.astype({"a": "float64"}).to_parquet(tmp_path / "1.parquet")
    first[::-1].assign(a=1)[[*"fedcba"]].to_parquet(tmp_path / "0.parquet")
    rows = nanoae.open_rows(tmp_path, columns=list("abcdef"))
    assert np.array_equal(np.asarray(rows)[:, 1:], np.vstack([X[49::-1], X[:50]])[:, 1:])
    assert np.array_equal(np.asarray(rows)[:, 0], np.append(np.ones(50), X[:50, 0]))
    first.drop(columns="c").to_parquet(tmp_path / "2.parquet")
    with pytest.raises(ValueError, match=r"2.parquet: expected the columns of 0.parquet, \['f'"):
        nanoae.open_rows(tmp_path)


@pytest.mark.parametrize("columns", [None, ["d", "b", "a", "c", "e", "f"]])
def test_a_large_table_of_numbers_with_gaps_is_read_as_a_small_one(columns, tmp_path, monkeypatch):
    path = csv(tmp_path)
    path.write_text(re.sub(r",0\.1\d*", ",", path.read_text()))
    read = functools.partial(nanoae.load_data, path, columns=columns)
    small = read(encoder=nanoae.TableEncoder())
    monkeypatch.setattr(nanoae.rows.Rows, "memory", 10**5)
    large = read(encoder=nanoae.TableEncoder())
    assert isinstance(large.x_train, nanoae.rows.Rows) and large.encoder is None
    assert np.isnan(small.x_train).any() and large.columns == small.columns
    np.testing.assert_array_equal(np.asarray(large.x_train), small.x_train)
    if columns is None:
        assert main(["train", "--data", str(path), "--memory", "1MB", "--epochs", "1", "--quiet",
                     "--no-figures", "--out", str(tmp_path / "run")]) == 0  # fmt: skip
        assert nanoae.load(tmp_path / "run" / "model.npz").missing == "mask"
