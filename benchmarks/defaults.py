"""Do defaults beat PCA? `python -m benchmarks.defaults [--conv] [--data-dir DIR] [--seeds 3] [--sets wine] [--save]`.

`Autoencoder(k).fit(X)` with default settings against PCA with k components: the mean squared error on a held-out fifth
of the rows, for k = 2, D / 4 and D / 2 (of images 8, D / 8 at most 32, and 32). Columns of tables are
standardised by the rows learned from, for both. Tables: digits, 5,000 rows of MNIST, the .npz of a folder with an X,
scikit-learn's wine, breast cancer and diabetes, and drawn ones: houses as those of California, waves, factors with
noise, Friedman's. With --conv `ConvAutoencoder(k)` of images in [-1, 1], for k = 2, 8 and 32: digits, 2,500 of MNIST,
drawn photographs of simple shapes, and smooth random fields, which are PCA's own model.

Every result is saved to JSON at once. Seconds are CPU seconds over all threads, which are meaningful on a busy machine,
too; fits to MNIST keep two cores busy. Set BLAS to one thread, OPENBLAS_NUM_THREADS=1.
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


def fields(
    rng: np.random.Generator, n: int, shape: tuple[int, int, int], width: float
) -> np.ndarray:
    """Gaussian random fields (n, C, H, W), smoothed over `width` pixels, whose channels depend on each other: PCA's own
    model."""
    channels, height, breadth = shape
    y = np.fft.fftfreq(height)[:, None]
    x = np.fft.fftfreq(breadth)
    kept = np.exp(-2 * width**2 * (y**2 + x**2))
    noise = np.fft.fft2(rng.normal(size=(n, *shape)))
    smooth = np.fft.ifft2(kept * noise).real
    mixed = np.einsum("nchw,cd->ndhw", smooth, rng.normal(size=(channels, channels)))
    return mixed / np.abs(mixed).max()


def photos(rng: np.random.Generator, n: int, side: int) -> np.ndarray:
    """A blob, a square or stripes of one colour on a gradient of another, with noise: (n, side, side, 3) in [-1, 1]."""
    y, x = np.mgrid[0:side, 0:side] / side
    found = np.empty((n, side, side, 3))
    for i in range(n):
        ground, colour = rng.random((2, 1, 1, 3))
        across, down, size = rng.uniform([0.2, 0.2, 0.1], [0.8, 0.8, 0.3])
        shapes = (
            np.exp(-((x - across) ** 2 + (y - down) ** 2) / (2 * size**2)),
            (abs(x - across) < size) & (abs(y - down) < size),
            np.sin(8 * (x * np.cos(9 * size) + y * np.sin(9 * size))) > 0,
        )
        covered = shapes[i % 3].astype(float)[..., None]
        lit = 0.6 * ground * (0.5 + 0.5 * y[..., None])
        found[i] = lit * (1 - covered) + colour * covered
    return 2 * np.clip(found + rng.normal(0, 0.03, found.shape), 0, 1) - 1


def images(folder: str | None) -> Iterator[tuple[str, np.ndarray, bool]]:
    """The same of images in [-1, 1], for convolutions."""
    yield (
        "digits",
        2 * np.concatenate(nanoae.load_data("digits").flat()).reshape(-1, 1, 8, 8) - 1,
        True,
    )
    if folder:
        mnist = nanoae.load_data("mnist", data_dir=Path(folder) / "mnist").flat()[0]
        rows = np.random.default_rng(0).permutation(len(mnist))[:2500]
        yield "mnist", 2 * mnist[rows].reshape(-1, 1, 28, 28) - 1, True
    yield "photos", photos(np.random.default_rng(0), 750, 16), True
    yield "small fields", fields(np.random.default_rng(0), 750, (3, 16, 16), 3), True
    yield "grey fields", fields(np.random.default_rng(0), 750, (1, 28, 28), 5), True


def sizes(columns: int, images: bool) -> list[int]:
    found = (8, min(32, columns // 8), 32) if images else (2, columns // 4, columns // 2)
    return sorted({max(2, k) for k in found if max(2, k) < columns})


def measure(X: np.ndarray, k: int, seed: int, images: bool, conv: bool) -> Result:
    order = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    split = len(order) * 4 // 5
    train, test = X[order[:split]].astype(float), X[order[split:]].astype(float)
    if not images:
        mean, std = train.mean(axis=0), train.std(axis=0)
        train, test = ((rows - mean) / np.where(std > 0, std, 1) for rows in (train, test))
    started = time.process_time()
    kind = nanoae.ConvAutoencoder if conv else nanoae.Autoencoder
    ae = kind(k, random_state=seed).fit(train)
    seconds = time.process_time() - started
    pca = nanoae.PCA(k).fit(train.reshape(len(train), -1))
    rows = test.reshape(len(test), -1)
    errors = {
        "autoencoder": ae.reconstruct(test).reshape(rows.shape),
        "PCA": pca.reconstruct(rows),
    }
    return {name: float(((again - rows) ** 2).mean()) for name, again in errors.items()} | {
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
    parser.add_argument("--conv", action="store_true", help="ConvAutoencoder, of images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--json", type=Path, help="where results are kept as they come")
    parser.add_argument("--kept", action="store_true", help="the table of these alone, as they are")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    options = parser.parse_args()
    name_of_table = "defaults-conv" if options.conv else "defaults"
    kept = f"{name_of_table}.json"
    results = Results(options.json or (RESULTS / kept if options.save else Path(kept)))
    rows: list[list[str]] = []
    ratios: list[float] = []
    sets = images if options.conv else tables
    for name, X, pixels in sets(options.data_dir):
        if options.sets and name not in options.sets:
            continue
        for k in (2, 8, 32) if options.conv else sizes(X.shape[1], pixels):
            found = []
            for seed in range(options.seeds):
                key = name, k, seed
                if options.kept and not results.has(*key):
                    continue
                found.append(
                    results.get(key, functools.partial(measure, X, k, seed, pixels, options.conv))
                )
            if not found:
                continue
            own = [each["autoencoder"] / each["PCA"] for each in found]
            ratios += own
            seconds = max(each["seconds"] for each in found)
            cells = [name, " x ".join(map(str, X.shape)), str(k), f"{found[0]['PCA']:.4f}"]
            rows.append([*cells, " ".join(f"{ratio:.2f}" for ratio in own), f"{seconds:.1f}"])
            print(*rows[-1], file=sys.stderr, flush=True)
    below = sum(ratio < 1 for ratio in ratios)
    as_good = sum(ratio <= AS_GOOD for ratio in ratios)
    whole = len(ratios)
    head = [
        "set",
        "rows x " + ("shape" if options.conv else "columns"),
        "k",
        "PCA's error, seed 0",
        "autoencoder / PCA, each seed",
        "most CPU seconds",
    ]
    text = "\n\n".join(
        [
            "# Defaults of convolutions beside PCA" if options.conv else "# Defaults beside PCA",
            f"Of {whole} fits {below} ({below / whole:.1%}) have a held-out error below PCA's, and {as_good} "
            f"({as_good / whole:.1%}) one below 1.02 times PCA's.",
            markdown(head, rows),
            where(machine()),
        ]
    )
    if options.save:
        save(name_of_table, text)
    print(text)


if __name__ == "__main__":
    main()
