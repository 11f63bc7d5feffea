"""Do rows that stay in a file give what they give in memory, to the bit, and do they stay there?"""

import os
import subprocess
import sys

import numpy as np
import pytest

import nanoae
from nanoae import cli, rows
from nanoae.rows import Chain, Rows, concatenated, stored

X = np.random.default_rng(0).random((3000, 20), np.float32)
KINDS = {
    "dense": lambda: nanoae.Autoencoder(4, (8,), epochs=2, validation_fraction=0.1, random_state=0),
    "bce, denoising": lambda: nanoae.Autoencoder(
        4, (8,), epochs=2, loss="bce", corruption=nanoae.MaskingNoise(0.3), random_state=0
    ),
    "K-FAC": lambda: nanoae.Autoencoder(
        4, (8,), epochs=1, optimizer=nanoae.KFAC(1e-2), random_state=0
    ),
    "stacked": lambda: nanoae.StackedAutoencoder(
        (8, 4), epochs=1, pretrain_epochs=1, random_state=0
    ),
    "variational": lambda: nanoae.VariationalAutoencoder(4, (8,), epochs=1, random_state=0),
    "PCA": lambda: nanoae.PCA(4),
}


@pytest.fixture
def small(monkeypatch):
    """Every mapped file is large, and blocks are small."""
    monkeypatch.setattr(rows, "LARGE", 0)
    monkeypatch.setattr(rows, "BLOCK", 1 << 17)


def mapped(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.filterwarnings("ignore::nanoae.UnderfitWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_estimators_learn_and_give_the_same(kind, tmp_path, small):
    file = mapped(tmp_path, X.astype(np.float64))
    inside, outside = KINDS[kind]().fit(X), KINDS[kind]().fit(file)
    assert getattr(inside, "history_", {}).get("loss") == getattr(outside, "history_", {}).get(
        "loss"
    )
    for method in ("transform", "reconstruct", "reconstruction_error"):
        assert np.array_equal(getattr(inside, method)(X), getattr(outside, method)(file)), method
    assert inside.evaluate(X) == outside.evaluate(file)


def test_gaps_are_filled_with_the_same_means(tmp_path, small):
    x = X.copy()
    x[::3, 2] = np.nan
    models = [
        nanoae.Autoencoder(4, (8,), epochs=1, missing="mask", random_state=0).fit(table)
        for table in (x, mapped(tmp_path, x))
    ]
    assert np.array_equal(models[0].reconstruct(x), models[1].reconstruct(x))


@pytest.mark.parametrize("n", [500, 6000])  # rows: in folds, and with some held out
def test_detectors_score_the_same(n, tmp_path, small):
    x = np.random.default_rng(1).standard_normal((n, 5))
    inside, outside = (
        nanoae.AnomalyDetector(nanoae.Autoencoder(2, (8,), epochs=1), random_state=0).fit(table)
        for table in (x, mapped(tmp_path, x))
    )
    assert inside.threshold_ == outside.threshold_
    assert np.array_equal(inside.decision_scores_, outside.decision_scores_)
    assert np.array_equal(inside.predict(x), outside.predict(mapped(tmp_path, x)))


def test_the_command_line_writes_the_same_files(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    common = [
        "--epochs",
        "1",
        "--code-size",
        "4",
        "--hidden",
        "8",
        "--no-figures",
        "--quiet",
        "--seed",
        "0",
    ]

    def run(folder):
        assert cli.main(["train", "--data", "x.npy", "--out", folder, *common]) == 0
        for command in ("encode", "reconstruct"):
            for suffix in ("npy", "csv"):
                out = f"{folder}/{command}.{suffix}"
                assert cli.main([command, folder, "--data", "x.npy", "--out", out]) == 0
        assert cli.main(["evaluate", folder, "--data", "x.npy", "--split", "all", "--json"]) == 0

    run("inside")
    monkeypatch.setattr(rows, "LARGE", 0)
    run("outside")
    for name in ("encode.npy", "encode.csv", "reconstruct.npy", "reconstruct.csv"):
        assert (tmp_path / "inside" / name).read_bytes() == (
            tmp_path / "outside" / name
        ).read_bytes(), name
    assert np.load(tmp_path / "inside/encode.npy").shape == (3000, 4)


def test_what_is_wrong_is_told_with_its_place(tmp_path, small):
    x = X.astype(np.float64)
    x[2500, 3] = np.nan
    with pytest.raises(ValueError, match=r"got NaN in row 2500, column 3 \(1 such values"):
        nanoae.PCA(2).fit(mapped(tmp_path, x))
    x[2500, 3] = 1e300
    with pytest.raises(ValueError, match=r"got 1e\+300, too large for float32, in row 2500"):
        nanoae.Autoencoder(2).fit(mapped(tmp_path, x))
    with pytest.raises(ValueError, match=r"got 1e\+300 in row 2501, column 4 \(counted from 1\)"):
        nanoae.load_data(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="rows in memory with condition="):
        nanoae.VariationalAutoencoder(2).fit(mapped(tmp_path, X), condition=np.zeros(len(X), int))


@pytest.mark.parametrize(
    "key",
    [slice(10, 900, 7), slice(None, None, -1), np.array([5, 5, 2999, 0]), np.arange(3000) % 2 == 0],
)
def test_rows_of_rows_are_those_of_the_array(key):
    sources = X, Chain([X[:1000], X[1000:]])
    for table in map(Rows, sources):
        part = table[::2][np.arange(1500)[::-1]].then(lambda x: x[:, :3] * 2, (3,), np.float32)
        expected = X[::2][::-1][:, :3] * 2
        assert part.shape == expected.shape and np.array_equal(np.asarray(part), expected)
        assert np.array_equal(np.asarray(table[key]), X[key])
    assert np.array_equal(np.asarray(concatenated([Rows(X[:5]), Rows(X[5:])])), X)


def test_a_generator_of_blocks_is_learned_from_in_any_order():
    model, again = (
        KINDS["dense"]().fit(X[i : i + 100] for i in range(0, 3000, 100)),
        KINDS["dense"]().fit(X),
    )
    assert model.history_["loss"] == again.history_["loss"]
    assert np.array_equal(model.transform(iter([X[:5], X[5:7]])), again.transform(X[:7]))
    with pytest.raises(ValueError, match="expected blocks of rows, got none"):
        model.transform(iter([]))
    with pytest.raises(ValueError, match=r"expected blocks of rows \(20,\) of float32"):
        stored([X, X[:, :5]])


def test_a_file_of_100_mb_is_not_resident(tmp_path):
    np.lib.format.open_memmap(
        tmp_path / "x.npy", "w+", np.float32, (100_000, 256)
    ).flush()  # sparse
    code = """if True:
        import resource, sys, numpy as np, nanoae
        x = np.load(sys.argv[1], mmap_mode="r")
        model = nanoae.Autoencoder(2, (4,), backend="numpy", random_state=0).build(256)
        model.transform(np.zeros((2048, 256), np.float32))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        model.transform(x)
        nanoae.PCA(2).fit(x[:20_000])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.npy"], capture_output=True, text=True
    )
    assert int(done.stdout) < 50 << 10, done.stderr  # kB


@pytest.fixture
def parquet(tmp_path):
    """A folder of three Parquet files: 20 columns of numbers, the last a label."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "rows").mkdir()
    for i in range(3):
        part = {f"c{j}": X[1000 * i :][:1000, j] for j in range(20)}
        part["kind"] = np.arange(1000) % 3
        parquet.write_table(arrow.table(part), tmp_path / "rows" / f"{i}.parquet")
    return tmp_path / "rows"


def test_a_folder_of_parquet_files_is_a_data_set(parquet):
    data = nanoae.load_data(parquet, label="kind", ignore=["c3"], random_state=None)
    kept = np.delete(X, 3, axis=1)
    assert np.array_equal(np.concatenate([np.asarray(data.x_train), np.asarray(data.x_test)]), kept)
    assert data.x_train.dtype == np.float32
    assert data.columns == tuple(f"c{j}" for j in range(20) if j != 3)
    assert np.array_equal(data.y_train, np.arange(2400) % 1000 % 3)
    model = KINDS["PCA"]().fit(data.x_train)
    assert np.array_equal(model.components_, KINDS["PCA"]().fit(kept[:2400]).components_)


def test_what_is_no_column_of_numbers_is_told(parquet, tmp_path):
    with pytest.raises(
        ValueError, match=r"rows: expected a column 'kin', got .* Did you mean 'kind'"
    ):
        nanoae.load_data(parquet, label="kin")
    with pytest.raises(ValueError, match=r"at most 1000 bytes when unpacked, got"):
        nanoae.load_data(parquet, limit=1000)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ValueError, match=r"bad.parquet: expected a valid Parquet or Arrow file"):
        nanoae.load_data(tmp_path / "bad.parquet")


def test_detect_judges_files_of_numbers(parquet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pq.read_table("rows").slice(0, 200), "few.parquet")
    options = ["--score", "rows", "--out", "scores.csv", "--ignore", "kind"]
    assert cli.main(["detect", "--train", "few.parquet", "--save", "d.npz", *options]) == 0
    whole = (tmp_path / "scores.csv").read_text()
    lines = whole.splitlines()
    assert lines[0] == "row,score,p_value,abnormal" and len(lines) == 3001
    detector = nanoae.load("d.npz")
    scores = [float(line.split(",")[1]) for line in lines[1:]]
    assert np.allclose(scores, -detector.score_samples(X), rtol=1e-5)
    assert cli.main(["detect", "--model", "d.npz", *options[:4]]) == 0
    assert (tmp_path / "scores.csv").read_text() == whole
    assert cli.main(["detect", "--model", "d.npz", "--score", "x.npy", "--out", "scores.csv"]) == 0
    assert (tmp_path / "scores.csv").read_text() == whole


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((5000, 20), np.float32))
    rows = nanoae.open_rows(tmp_path / "rows.npy", "1MB")
    model = nanoae.Autoencoder(2, epochs=1).build(20)
    before = model.transform(rows)
    os.truncate(tmp_path / "rows.npy", 10_000)
    with pytest.raises(
        OSError, match="expected a file of 400128 bytes, as it was opened, got 10000"
    ):
        model.transform(rows)
    (tmp_path / "rows.npy").unlink()
    np.save(tmp_path / "other.npy", np.ones((5000, 20), np.float32))
    rows = nanoae.open_rows(tmp_path / "other.npy", "1MB")
    (tmp_path / "other.npy").unlink()  # what is mapped is there until nobody reads it
    np.testing.assert_array_equal(model.transform(rows), before)
