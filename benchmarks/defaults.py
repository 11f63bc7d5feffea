"""Do defaults beat PCA? `python -m benchmarks.defaults [--data-dir DIR] [--seeds 3] [--sets wine,digits] [--save]`.

`Autoencoder(k).fit(X)` with nothing else said, beside PCA with k components: the mean squared error of the fifth of the
rows that neither has seen, for k = 2, D / 4 and D / 2 (of images 8, D / 8 at most 32, and 32). Columns of tables are
standardised by the rows learned from, for both. Tables: digits, 5,000 rows of MNIST, the .npz of a folder with an X,
scikit-learn's wine, breast cancer and diabetes, and drawn ones: houses as those of California, waves, factors with
noise, Friedman's. Every result is kept in JSON as soon as it is measured. Seconds are of the CPU, all
threads together, so that they say on a busy machine, too, what a fit costs: those of MNIST keep two cores busy. BLAS is
to have one thread, OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import nanoae
from benchmarks.anomaly import Result, Results
from benchmarks.machine import machine
from benchmarks.table import RESULTS, markdown, save, where

AS_GOOD = 1.02  # times PCA's error: where the data are linear, nothing is to be gained
MOST_ROWS = 10_000


def houses(rng: np.random.Generator, n: int = 5000) -> np.ndarray:
    """Columns with the kinds of distributions that the houses of California have."""
    income = rng.gamma(2, 2, n)
    rooms = 3 + 0.5 * income + rng.normal(0, 0.7, n)
    latitude = rng.choice([34.0, 37.5], n) + rng.normal(0, 0.6, n)
    columns = [
        income,
        rng.integers(1, 52, n),
        rooms,
        0.2 * rooms + rng.normal(0, 0.1, n),
        rng.lognormal(7, 0.7, n),
        np.exp(rng.normal(1, 0.3, n)),
        latitude,
        -86 - 0.95 * latitude + rng.normal(0, 0.5, n),
        0.4 * income + rng.normal(0, 0.5, n),
    ]
    return np.stack(columns, axis=1)


def waves(rng: np.random.Generator) -> np.ndarray:
    """20 sines of two hidden numbers, with noise."""
    hidden = 6 * rng.random((3000, 2))
    return np.sin(hidden @ rng.normal(size=(2, 20))) + 0.1 * rng.normal(size=(3000, 20))


def factors(rng: np.random.Generator) -> np.ndarray:
    """30 columns of 5 hidden ones, with noise: nothing but PCA's own model."""
    return rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 30)) + 0.3 * rng.normal(size=(3000, 30))


def tables(folder: str | None) -> Iterator[tuple[str, np.ndarray, bool]]:
    """(name, X, whether these are images)."""
    from sklearn import datasets

    yield "digits", np.concatenate(nanoae.load_data("digits").flat()), True
    if folder:
        mnist = nanoae.load_data("mnist", data_dir=Path(folder) / "mnist").flat()[0]
        yield "mnist", mnist[np.random.default_rng(0).permutation(len(mnist))[:6250]], True
        for path in sorted(Path(folder).glob("**/*.npz")):
            with np.load(path) as file:
                if "X" in file:
                    yield path.stem, file["X"], False
    yield "wine", datasets.load_wine().data, False
    yield "breast cancer", datasets.load_breast_cancer().data, False
    yield "diabetes", datasets.load_diabetes().data, False
    for make in (houses, waves, factors):
        yield make.__name__, make(np.random.default_rng(0)), False
    yield "friedman", datasets.make_friedman1(2000, random_state=0)[0], False


def sizes(columns: int, images: bool) -> list[int]:
    found = (8, min(32, columns // 8), 32) if images else (2, columns // 4, columns // 2)
    return sorted({max(2, k) for k in found if max(2, k) < columns})


def measure(X: np.ndarray, k: int, seed: int, images: bool) -> Result:
    order = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    split = len(order) * 4 // 5
    train, test = X[order[:split]].astype(float), X[order[split:]].astype(float)
    if not images:
        mean, std = train.mean(axis=0), train.std(axis=0)
        train, test = ((rows - mean) / np.where(std > 0, std, 1) for rows in (train, test))
    started = time.process_time()
    ae = nanoae.Autoencoder(k, random_state=seed).fit(train)
    seconds = time.process_time() - started
    pca = nanoae.PCA(k).fit(train)
    errors = {
        "autoencoder": ae.reconstruct(test),
        "PCA": pca.inverse_transform(pca.transform(test)),
    }
    return {name: float(((rows - test) ** 2).mean()) for name, rows in errors.items()} | {
        "seconds": seconds
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.defaults", description=(__doc__ or "")
    )
    parser.add_argument(
        "--data-dir",
        default=os.environ.get("NANOAE_DATA"),
        help="a folder with mnist/ and .npz files",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--json", type=Path, help="where results are kept as they come")
    parser.add_argument("--kept", action="store_true", help="the table of these alone, as they are")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    options = parser.parse_args()
    results = Results(
        options.json or (RESULTS / "defaults.json" if options.save else Path("defaults.json"))
    )
    rows: list[list[str]] = []
    ratios: list[float] = []
    for name, X, images in tables(options.data_dir):
        if options.sets and name not in options.sets:
            continue
        for k in sizes(X.shape[1], images):
            found = []
            for seed in range(options.seeds):
                key = name, k, seed
                if options.kept and not results.has(*key):
                    continue
                found.append(results.get(key, functools.partial(measure, X, k, seed, images)))
            if not found:
                continue
            own = [each["autoencoder"] / each["PCA"] for each in found]
            ratios += own
            seconds = max(each["seconds"] for each in found)
            cells = [name, f"{len(X)} x {X.shape[1]}", str(k), f"{found[0]['PCA']:.4f}"]
            rows.append([*cells, " ".join(f"{ratio:.2f}" for ratio in own), f"{seconds:.1f}"])
            print(*rows[-1], file=sys.stderr, flush=True)
    below = sum(ratio < 1 for ratio in ratios)
    as_good = sum(ratio <= AS_GOOD for ratio in ratios)
    whole = len(ratios)
    head = [
        "set",
        "rows x columns",
        "k",
        "PCA's error, seed 0",
        "autoencoder / PCA, each seed",
        "most CPU seconds",
    ]
    text = "\n\n".join(
        [
            "# Defaults beside PCA",
            f"Of {whole} fits {below} ({below / whole:.1%}) have a held-out error below PCA's, and {as_good} "
            f"({as_good / whole:.1%}) one below 1.02 times PCA's.",
            markdown(head, rows),
            where(machine()),
        ]
    )
    if options.save:
        save("defaults", text)
    print(text)


if __name__ == "__main__":
    main()
