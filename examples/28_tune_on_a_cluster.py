"""Hyperparameter search on many machines: `nanoae tune --jobs N` runs wherever joblib runs.

By default joblib runs its jobs in processes of this machine. One line moves them to a Dask cluster; the seed and the
table of results stay the same. On a real cluster, replace the two local workers by `Client("tcp://scheduler:8786")`.
"""

import argparse
import csv
import sys
from pathlib import Path

from nanoae.cli import main

try:
    import joblib
    from dask.distributed import Client, LocalCluster
except ImportError:
    raise SystemExit('this example needs joblib and Dask: pip install joblib "dask[distributed]"') from None

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="parent of the run's folder")
parser.add_argument("--quick", action="store_true", help="fewer epochs, for tests")
args = parser.parse_args()
run = args.out / "28_tune"
epochs = "1" if args.quick else "10"
command = ["tune", "--grid", "code_size=2,8", "--grid", "learning_rate=0.001,0.01", "--epochs", epochs, "--jobs", "2",
           "--seed", "0", "--no-figures", "--quiet", "--out", str(run)]  # fmt: skip

if __name__ == "__main__":  # worker processes import this file
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        code = main(command)
    if code:
        sys.exit(code)
    with open(run / "tuning.csv", newline="") as file:
        for row in csv.DictReader(file):
            print("  ".join(f"{name} {value}" for name, value in row.items()))
