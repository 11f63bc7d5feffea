"""Tables larger than one machine: a fitted model processes Dask arrays and data frames, block by block.

A model that was fitted on a sample is applied to each block where it is stored; nanoae itself does not depend on Dask.
Rows are independent, so the blocks together give the result for the whole table. dask-ml's wrappers do the same without
`map_blocks`: ParallelPostFit applies a fitted model, Incremental trains one, block by block.

Here the cluster is this machine; on a real one, only `Client("tcp://scheduler:8786")` changes.
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

# ---- six columns that depend on two numbers, which also determine a class; one row in a thousand is random
random = np.random.default_rng(0)
hidden = random.normal(size=(rows, 2))
X = (hidden @ random.normal(size=(2, 6)) + 0.1 * random.normal(size=(rows, 6))).astype(np.float32)
y = (hidden[:, 0] > 0).astype(int)
X[::1000] = 5 * random.normal(size=X[::1000].shape)
table = pd.DataFrame(X, columns=list("abcdef"))

# ---- learn from a sample
sample = table.sample(1000, random_state=0)
encoder = Autoencoder(2, (16,), **fit).fit(sample).set_output(transform="pandas")
detector = AnomalyDetector(Autoencoder(2, (16,), **fit), random_state=0).fit(sample)
classifier = StackedClassifier((8, 4), pretrain_epochs=1, **fit).fit(sample.to_numpy(), y[sample.index])


def scored(part):
    """The scores of a partition of the table, with its index."""
    return pd.Series(detector.score_samples(part), part.index, name="score")


if __name__ == "__main__":  # worker processes import this file
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
    with cluster, Client(cluster):
        array = dask.array.from_array(X, chunks=(block, 6))
        frame = dask.dataframe.from_pandas(table, npartitions=rows // block)
        print(f"{rows:,} rows in {frame.npartitions} blocks, on {len(cluster.workers)} workers")

        # ---- an encoder and a detector on a data frame: `meta` describes the output
        codes = frame.map_partitions(encoder.transform, meta=encoder.transform(sample.head(2)).head(0))
        same = np.allclose(codes.compute(), encoder.transform(table), atol=1e-5)
        print(f"codes     {', '.join(codes.columns)} of a data frame, same as for the whole table: {same}")
        named = frame.map_partitions(scored, meta=("score", float)).compute()

        # ---- a detector on an array
        scores = array.map_blocks(detector.score_samples, drop_axis=1, dtype=float).compute()
        print(f"scores    same for array and data frame: {np.allclose(named, scores)}")
        lowest = np.argsort(scores)[: len(X[::1000])]
        print(f"          {np.mean(lowest % 1000 == 0):.0%} of the lowest scores belong to random rows")

        # ---- a fitted classifier, applied by dask-ml block by block
        classes = ParallelPostFit(classifier).predict(array)
        print(f"classes   {np.mean(classes.compute() == y):.0%} right, {classes.dtype}")

        # ---- an autoencoder that learns from all blocks, one after another
        learned = Incremental(Autoencoder(2, (16,), **fit)).fit(array).estimator_
        print(f"learned   block by block: mean squared error {learned.evaluate(X)['mse']:.2f}, from a sample "
              f"{encoder.evaluate(table)['mse']:.2f}; the variance of the columns is {X.var():.2f}")  # fmt: skip
