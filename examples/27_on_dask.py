"""Tables that no machine holds: a fitted model works on Dask's arrays and data frames, a block at a time.

What was learned from a sample is asked of every block where that lies: nanoae has no Dask in it, and needs none. Each
block gives what it gives alone, so many of them give what the whole table would have. dask-ml's wrappers do the same
without `map_blocks`: ParallelPostFit asks a fitted model, Incremental teaches one, a block after the other.

Here the cluster is this machine; on a real one `Client("tcp://scheduler:8786")` is all that changes.
"""

import argparse

import numpy as np

from nanoae import AnomalyDetector, Autoencoder, StackedClassifier

try:
    import dask.array
    import dask.dataframe
    import pandas as pd
    from dask.distributed import Client, LocalCluster
    from dask_ml.wrappers import Incremental, ParallelPostFit
except ImportError:
    raise SystemExit('this example needs Dask: pip install "dask[array,dataframe,distributed]" dask-ml') from None

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="fewer rows, for tests")
args = parser.parse_args()
rows, block = (2_000, 100) if args.quick else (200_000, 500)
fit = {"epochs": 20 if args.quick else 60, "batch_size": 32, "backend": "numpy", "random_state": 0}

# ---- six columns that follow from two numbers, which a class follows from, too; one row in a thousand is another's
random = np.random.default_rng(0)
hidden = random.normal(size=(rows, 2))
X = (hidden @ random.normal(size=(2, 6)) + 0.1 * random.normal(size=(rows, 6))).astype(np.float32)
y = (hidden[:, 0] > 0).astype(int)
X[::1000] = 5 * random.normal(size=X[::1000].shape)
table = pd.DataFrame(X, columns=list("abcdef"))

# ---- what is learned, from a sample
sample = table.sample(1000, random_state=0)
encoder = Autoencoder(2, (16,), **fit).fit(sample).set_output(transform="pandas")
detector = AnomalyDetector(Autoencoder(2, (16,), **fit), random_state=0).fit(sample)
classifier = StackedClassifier((8, 4), pretrain_epochs=1, **fit).fit(sample.to_numpy(), y[sample.index])


def scored(part):
    """The scores of a part of the table, with its index."""
    return pd.Series(detector.score_samples(part), part.index, name="score")


if __name__ == "__main__":  # a worker that is a process imports this file
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
    with cluster, Client(cluster):
        array = dask.array.from_array(X, chunks=(block, 6))
        frame = dask.dataframe.from_pandas(table, npartitions=rows // block)
        print(f"{rows:,} rows in {frame.npartitions} blocks, on {len(cluster.workers)} workers")

        # ---- an encoder and a detector over a data frame: `meta` says what comes out
        codes = frame.map_partitions(encoder.transform, meta=encoder.transform(sample.head(2)).head(0))
        same = np.allclose(codes.compute(), encoder.transform(table), atol=1e-5)
        print(f"codes     {', '.join(codes.columns)} of a data frame, those of the whole: {same}")
        named = frame.map_partitions(scored, meta=("score", float)).compute()

        # ---- a detector over an array
        scores = array.map_blocks(detector.score_samples, drop_axis=1, dtype=float).compute()
        print(f"scores    of array and data frame alike: {np.allclose(named, scores)}")
        lowest = np.argsort(scores)[: len(X[::1000])]
        print(f"          {np.mean(lowest % 1000 == 0):.0%} of the lowest are of rows that are another's")

        # ---- a classifier, by dask-ml: what was fitted is asked, block by block
        classes = ParallelPostFit(classifier).predict(array)
        print(f"classes   {np.mean(classes.compute() == y):.0%} right, {classes.dtype}")

        # ---- an autoencoder that learns from all blocks, one after the other
        learned = Incremental(Autoencoder(2, (16,), **fit)).fit(array).estimator_
        print(f"learned   block by block: a mean squared error of {learned.evaluate(X)['mse']:.2f}, and from a sample "
              f"{encoder.evaluate(table)['mse']:.2f}; the variance of the columns is {X.var():.2f}")  # fmt: skip
