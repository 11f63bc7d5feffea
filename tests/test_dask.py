"""Do estimators work on Dask's arrays and data frames, block by block, and `nanoae tune` in several processes?"""

import contextlib
import csv

import numpy as np
import pytest

import nanoae
import nanoae.cli

dask_array = pytest.importorskip("dask.array")
X = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
FIT = {"epochs": 2, "batch_size": 50, "random_state": 0, "backend": "numpy"}
MODEL = nanoae.Autoencoder(2, (4,), **FIT).fit(X)
DETECTOR = nanoae.AnomalyDetector(nanoae.Autoencoder(2, (4,), **FIT), random_state=0).fit(X)
CLASSIFIER = nanoae.StackedClassifier((4, 3), pretrain_epochs=1, **FIT).fit(X, np.arange(400) % 2)


@pytest.mark.parametrize(
    "name, function, shape",
    [
        ("codes", MODEL.transform, (400, 2)),
        ("scores", DETECTOR.score_samples, (400,)),
        ("labels", DETECTOR.predict, (400,)),
        ("classes", CLASSIFIER.predict, (400,)),
        ("probabilities", CLASSIFIER.predict_proba, (400, 2)),
    ],
)
def test_blocks_of_an_array_give_what_the_whole_gives(name, function, shape):
    whole = function(X)
    beside = {"drop_axis": 1} if len(shape) == 1 else {"chunks": (100, shape[1])}
    blocks = dask_array.from_array(X, chunks=(100, 5)).map_blocks(
        function, dtype=whole.dtype, **beside
    )
    found = blocks.compute(scheduler="threads")
    assert blocks.shape == found.shape == shape and found.dtype == whole.dtype
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)


def test_partitions_of_a_frame_give_a_frame():
    pandas, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = pandas.DataFrame(X, columns=list("abcde"))
    encoder = nanoae.Autoencoder(2, (4,), **FIT).fit(table).set_output(transform="pandas")
    whole = encoder.transform(table)
    parts = frames.from_pandas(table, npartitions=40).map_partitions(
        encoder.transform, meta=whole.head(0)
    )
    found = parts.compute(scheduler="threads")
    assert list(parts.columns) == list(found.columns) == ["autoencoder0", "autoencoder1"]
    pandas.testing.assert_frame_equal(found, whole, rtol=1e-5, atol=1e-6)


def test_what_dask_ml_wraps():
    wrappers = pytest.importorskip("dask_ml.wrappers")
    blocks = dask_array.from_array(X, chunks=(100, 5))
    found = wrappers.ParallelPostFit(CLASSIFIER).predict(blocks)
    np.testing.assert_array_equal(found.compute(scheduler="threads"), CLASSIFIER.predict(X))
    assert found.dtype == CLASSIFIER.predict(X).dtype
    learned = wrappers.Incremental(nanoae.Autoencoder(2, (4,), **FIT), shuffle_blocks=False)
    by_hand = nanoae.Autoencoder(2, (4,), **FIT)
    for start in range(0, 400, 100):
        by_hand.partial_fit(X[start : start + 100])
    codes = learned.fit(blocks).estimator_.transform(X)
    np.testing.assert_array_equal(codes, by_hand.transform(X))


@pytest.fixture
def parallel(request):
    """joblib's jobs in one of its backends; Dask's is a cluster of two workers."""
    joblib = pytest.importorskip("joblib")
    with contextlib.ExitStack() as open_ones:
        if request.param == "dask":
            distributed = pytest.importorskip("distributed")
            workers = {"n_workers": 2, "threads_per_worker": 1, "processes": False}
            cluster = distributed.LocalCluster(**workers, dashboard_address=":0")
            open_ones.enter_context(cluster)
            open_ones.enter_context(distributed.Client(cluster))
        open_ones.enter_context(joblib.parallel_config(request.param))
        yield


@pytest.mark.parametrize("parallel", ["loky", "dask"], indirect=True)
def test_tune_in_several_processes_finds_what_one_finds(tmp_path, parallel):
    options = ["--grid", "code_size=2,4", "--epochs", "1", "--no-figures", "--quiet", "--seed", "0"]
    for jobs in "12":
        command = ["tune", *options, "--jobs", jobs, "--out", str(tmp_path / jobs)]
        assert nanoae.cli.main(command) == 0
    losses = []
    for jobs in "12":
        with open(tmp_path / jobs / "tuning.csv", newline="") as file:
            losses.append([row["validation_loss"] for row in csv.DictReader(file)])
    assert losses[0] == losses[1] and len(losses[0]) == 2
