"""Threads: eight threads send 1,000 requests each, of 1 to 300 rows, to one fitted estimator.

Claim: the results are bitwise those of a single thread, for every public estimator, detector and encoder and all their
methods; also under dask's threaded scheduler. The test suite does the same with a few requests.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options
from nanoae import (
    PCA,
    Adversarial,
    AnomalyDetector,
    Autoencoder,
    AvgPool2d,
    BatchNorm,
    ClusterLabelDetector,
    Conv2d,
    ConvAutoencoder,
    ConvTranspose2d,
    Flatten,
    GaussianScaler,
    LayerNorm,
    Linear,
    MaxPool2d,
    MinMaxScaler,
    ReLU,
    Reshape,
    RobustScaler,
    StackedAutoencoder,
    StackedClassifier,
    StackedRegressor,
    StandardScaler,
    TableEncoder,
    TextVAE,
    TopK,
    Upsample,
    VariationalAutoencoder,
)
from nanoae.autoencoders.estimator import Estimator
from nanoae.pyod import VAE, AutoEncoder

THREADS, REQUESTS = 8, 1000  # of each thread
TABLE = np.random.default_rng(0).random((600, 8)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(TABLE.shape) < 0.1, np.nan, TABLE)
IMAGES = np.random.default_rng(2).random((400, 1, 6, 6)).astype(np.float32)
LABELS = np.arange(600) % 3
FEW = {"epochs": 1, "random_state": 0}
WORDS = ("tea", "milk", "for", "a", "long", "day", "and", "night")
LINES = [" ".join(np.random.default_rng(i).choice(WORDS, 5)) for i in range(300)]
KEYWORDS = [WORDS[label % 2] for label in LABELS[:300]]
# of (what answers a request, their numbers)
Run = Callable[[Callable[[int], Any], range], list[Any]]
METHODS = (
    "transform", "reconstruct", "reconstruction_error", "evaluate", "score", "predict", "predict_proba",
    "decision_function", "score_samples", "p_values", "explain",
)  # fmt: skip


def dense(**options):
    return Autoencoder(3, **{"hidden": (16,), **FEW, **options}).fit(TABLE).fit_prior(TABLE, 2)


def convolutional(**options):
    encoder = [
        Conv2d(4, 3, 1, 1),
        BatchNorm(),
        ReLU(),
        MaxPool2d(2),
        AvgPool2d(3),
        Flatten(),
        Linear(3),
    ]
    decoder = [
        Linear(16),
        LayerNorm(),
        Reshape((4, 2, 2)),
        Upsample(3),
        ConvTranspose2d(1, 3, 1, 1),
    ]
    return ConvAutoencoder(encoder=encoder, decoder=decoder, **FEW, **options).fit(IMAGES)


def conditional_images():
    encoder = [Conv2d(2, 3, 1, 1), ReLU(), Flatten(), Linear(4)]
    decoder = [Linear(36), Reshape((1, 6, 6))]
    vae = VariationalAutoencoder(2, encoder=encoder, decoder=decoder, **FEW)
    return vae.fit(IMAGES, condition=LABELS[: len(IMAGES)])


def detector(**options):
    return AnomalyDetector(Autoencoder(3, (16,), epochs=1), random_state=0, **options).fit(TABLE)


def labelled():
    found = ClusterLabelDetector(Autoencoder(3, (16,), **FEW), n_clusters=20, random_state=0).fit(
        TABLE
    )
    return found.label(found.query(6), [0, 1, 0, 1, 0, 0])


MODELS = {  # name -> a fitted estimator, and what it is asked about
    "dense": (dense, TABLE),
    "tied, of logits": (
        lambda: dense(loss="bce", tied_weights=True, activation="elu", hidden=(16, 8)),
        TABLE,
    ),
    "with gaps": (lambda: dense(missing="mask", activation="softplus").fit(GAPS), GAPS),
    "top k": (lambda: dense(bottleneck=TopK(2, alpha=1.5), activation="leaky_relu"), TABLE),
    "adversarial": (lambda: dense(bottleneck=Adversarial(hidden=(4,))), TABLE),
    "float64": (lambda: dense(dtype="float64", activation="tanh"), TABLE),
    "convolutional": (convolutional, IMAGES),
    "convolutional, batch-normed twice": (
        lambda: convolutional(output_activation="sigmoid", loss="huber"),
        IMAGES,
    ),
    "stacked": (lambda: StackedAutoencoder((8, 3), pretrain_epochs=1, **FEW).fit(TABLE), TABLE),
    "classifier": (
        lambda: StackedClassifier((8, 4), pretrain_epochs=1, **FEW).fit(TABLE, LABELS),
        TABLE,
    ),
    "regressor": (
        lambda: StackedRegressor((8, 4), pretrain_epochs=1, **FEW).fit(TABLE, TABLE[:, 0]),
        TABLE,
    ),
    "variational": (lambda: VariationalAutoencoder(2, (16,), **FEW).fit(TABLE), TABLE),
    "conditional": (
        lambda: VariationalAutoencoder(2, (16,), **FEW).fit(TABLE, condition=LABELS),
        TABLE,
    ),
    "conditional images": (conditional_images, IMAGES),
    "PCA": (lambda: PCA(3).fit(TABLE), TABLE),
    "detector": (lambda: detector(holdout=0.2), TABLE),
    "detector of many": (
        lambda: detector(
            scores=["standardised", "mahalanobis"], scaling=["gaussian", "none"], holdout=0.2
        ),
        TABLE,
    ),
    "cluster labels": (labelled, TABLE),
    "PyOD's AutoEncoder": (
        lambda: AutoEncoder(Autoencoder(3, (16,), epochs=1), random_state=0).fit(TABLE),
        TABLE,
    ),
    "PyOD's VAE": (
        lambda: VAE(VariationalAutoencoder(2, (8,), likelihood="gaussian", epochs=1)).fit(TABLE),
        TABLE,
    ),
    "encoder of tables": (lambda: TableEncoder().fit(GAPS), GAPS),
    "robust scaler": (lambda: RobustScaler().fit(TABLE), TABLE),
    "gaussian scaler": (lambda: GaussianScaler().fit(TABLE), TABLE),
    "standard scaler": (lambda: StandardScaler().fit(TABLE), TABLE),
    "minmax scaler": (lambda: MinMaxScaler().fit(TABLE), TABLE),
    "text": (lambda: TextVAE(4, 8, 4, max_words=200, **FEW).fit(LINES, KEYWORDS), LINES),
}


@functools.cache
def fitted(name):
    """(the model, the rows it is asked about)"""
    make, rows = MODELS[name]
    return make(), rows


def bits(result):
    """To compare results by."""
    parts = result.values() if isinstance(result, dict) else [result]
    return [hashlib.sha256(np.asarray(part).tobytes()).digest() for part in parts]


def saved(model, path):
    model.save(path)
    return np.frombuffer(path.read_bytes(), np.uint8)


def requests(model, rows, labels, path):
    """What may be asked of a model, about rows and their labels: name -> a call."""
    n, one, told, y = len(rows), {}, {}, {}
    if isinstance(model, VariationalAutoencoder) and model.classes_ is not None:
        one, told = {"condition": labels[0]}, {"condition": labels}
    if isinstance(model, TextVAE):
        told = {"keywords": [WORDS[label % 2] for label in labels]}
    if isinstance(model, (StackedClassifier, StackedRegressor)):
        y = {"y": labels}

    found = {
        name: partial(getattr(model, name), rows, **told)
        for name in METHODS
        if hasattr(model, name)
    }
    found |= {
        name: partial(getattr(model, name), rows, **told, **y)
        for name in ("evaluate", "score")
        if name in found
    }
    found["pickled"] = lambda: pickle.loads(pickle.dumps(model)).transform(rows, **told)
    if hasattr(model, "save"):
        found["saved"] = lambda: saved(model, path)
    if isinstance(model, Autoencoder):
        found["codes"] = lambda: model.inverse_transform(model.transform(rows, **told), **told)
        found["interpolate"] = lambda: model.interpolate(rows[:1], rows[-1:], 20, **one)
        if model.prior_ is not None:
            found["sample"] = lambda: model.sample(n, random_state=n, **one)
            found["traverse"] = lambda: model.traverse(0, steps=n, **one)
            if model.code_size == 2:
                found["manifold"] = lambda: model.manifold(8, **one)
    if isinstance(model, VariationalAutoencoder):
        found["bound"] = lambda: model.score_samples(rows, **told, importance_samples=3)
    if isinstance(model, TextVAE):
        found["generate"] = lambda: model.generate(min(n, 20), random_state=n)
    if isinstance(model, ClusterLabelDetector):
        found["query"] = lambda: model.query(5)
    return found


def asked(model, rows, number, folder):
    """The answer to request number so and so, about 1 to 300 rows."""
    random = np.random.default_rng(number)
    n = int(random.integers(1, 301))
    first = int(random.integers(0, len(rows) - n + 1))
    known = requests(
        model,
        rows[first : first + n],
        LABELS[first : first + n],
        folder / f"{threading.get_ident()}.npz",
    )
    return bits(known[sorted(known)[number % len(known)]]())


def forgotten() -> list[str]:
    """The public estimators, and others that are fitted and then transform rows, of which MODELS has none."""
    public = [getattr(nanoae, name) for name in nanoae.__all__]
    kinds = [thing for thing in public if inspect.isclass(thing)]
    used = [kind for kind in kinds if issubclass(kind, Estimator) or hasattr(kind, "fit_transform")]
    there = {type(fitted(name)[0]) for name in MODELS} | {nanoae.Scaler}  # the base of three
    return [kind.__name__ for kind in used if kind not in there]


@contextlib.contextmanager
def restless() -> Iterator[None]:
    """Threads take turns a thousand times as often as they do of themselves."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def alone(name: str, requests: int, folder: Path) -> list[Any]:
    """What one thread gets, of as many requests as all threads ask."""
    model, rows = fitted(name)
    return [asked(model, rows, number, folder) for number in range(THREADS * requests)]


def together(name: str, wanted: list[Any], run: Run, folder: Path) -> int:
    """How many of the answers that threads get at once are others than those `wanted`."""
    model, rows = fitted(name)
    fresh = pickle.loads(pickle.dumps(model))  # no thread has used this one yet
    with restless():
        got = run(lambda number: asked(fresh, rows, number, folder), range(len(wanted)))
    return sum(answer != right for answer, right in zip(got, wanted, strict=True))


def by_threads(ask: Callable[[int], Any], numbers: range) -> list[Any]:
    """Each thread every eighth request, all from the same moment on."""
    start = threading.Barrier(THREADS)

    def thread(which: int) -> list[Any]:
        start.wait()
        return list(map(ask, numbers[which::THREADS]))

    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(thread, range(THREADS)))
    return [parts[number % THREADS][number // THREADS] for number in numbers]


def by_dask(ask: Callable[[int], Any], numbers: range) -> list[Any]:
    import dask

    tasks = map(dask.delayed(ask), numbers)
    return list(dask.compute(*tasks, scheduler="threads", num_workers=THREADS))


SCHEDULERS: dict[str, Run] = {f"{THREADS} threads": by_threads, "dask": by_dask}


def main() -> int:
    args = options(__doc__, seeds=1).parse_args()
    requests = 3 if args.quick else REQUESTS
    columns = {"estimator": "", "class": "", "by": "", "requests": ",d", "different": ",d"}
    claims = Claims("threads", {**columns, "seconds": ".0f", "of one thread": ".0f"})
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            kind = type(fitted(name)[0]).__name__
            began = time.perf_counter()
            wanted = alone(name, requests, Path(folder))
            before = time.perf_counter() - began
            for by, run in SCHEDULERS.items():
                began = time.perf_counter()
                different = together(name, wanted, run, Path(folder))
                seconds = time.perf_counter() - began
                claims.add(
                    name, kind, by, len(wanted), different, seconds, before, holds=not different
                )
    for kind in forgotten():
        claims.add("none", kind, "-", 0, 0, None, None, holds=False)
    return claims.finish(
        args,
        "Each request has 1 to 300 rows and cycles through every reading method, saving and pickling. "
        "Threads switch every 5 microseconds, a thousand times as often as by default.",
    )


if __name__ == "__main__":
    sys.exit(main())
