"""May many threads read one fitted estimator at once, and does what cannot go together say so?

NANOAE_REQUESTS=1000 pytest tests/test_threads.py has each of eight threads ask so often; here it is a few times.
"""

import contextlib
import copy
import functools
import inspect
import os
import pickle
import sys
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from conftest import everything
from sklearn.base import clone

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
    Identity,
    LayerNorm,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Sequential,
    StackedAutoencoder,
    StackedClassifier,
    StackedRegressor,
    TableEncoder,
    TextVAE,
    TopK,
    Upsample,
    VariationalAutoencoder,
)
from nanoae.autoencoders.estimator import Estimator
from nanoae.guard import RUNNING, guarded
from nanoae.pyod import VAE, AutoEncoder

THREADS, REQUESTS = 8, int(os.environ.get("NANOAE_REQUESTS", 3))  # of each thread
TABLE = np.random.default_rng(0).random((600, 8)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(TABLE.shape) < 0.1, np.nan, TABLE)
IMAGES = np.random.default_rng(2).random((400, 1, 6, 6)).astype(np.float32)
LABELS = np.arange(600) % 3
FEW = {"epochs": 1, "random_state": 0}
WORDS = ("tea", "milk", "for", "a", "long", "day", "and", "night")
LINES = [" ".join(np.random.default_rng(i).choice(WORDS, 5)) for i in range(300)]
KEYWORDS = [WORDS[label % 2] for label in LABELS[:300]]

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
        lambda: detector(scores=["standardised", "mahalanobis"], scaling=["gaussian", "none"]),
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
    return [np.asarray(part).tobytes() for part in parts]


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


@pytest.fixture
def restless():
    """Threads take turns a thousand times as often as they do of themselves."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("name", MODELS)
def test_threads_get_what_one_thread_gets(name, tmp_path, restless):
    (model, rows), numbers = fitted(name), range(THREADS * REQUESTS)
    wanted = [asked(model, rows, number, tmp_path) for number in numbers]
    fresh = pickle.loads(pickle.dumps(model))  # no thread has used this one yet
    start = threading.Barrier(THREADS)

    def thread(which):
        start.wait()
        return [asked(fresh, rows, number, tmp_path) for number in numbers[which::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        for which, got in enumerate(pool.map(thread, range(THREADS))):
            assert got == wanted[which::THREADS]
    assert not RUNNING


@pytest.mark.parametrize("name", ["dense", "variational", "detector"])
def test_dask_gets_what_one_thread_gets(name, restless):
    blocks = pytest.importorskip("dask.array")
    model, rows = fitted(name)
    method = model.transform
    wanted = np.concatenate([method(rows[start : start + 37]) for start in range(0, len(rows), 37)])
    parts = blocks.from_array(rows, chunks=(37, rows.shape[1]))
    for _ in range(REQUESTS):
        got = parts.map_blocks(
            method, chunks=(37, wanted.shape[1]), dtype=wanted.dtype, meta=wanted[:0]
        )
        assert (got.compute(scheduler="threads", num_workers=THREADS) == wanted).all()


# ---------------------------------------------------------------- nothing is shared


def belongings(thing, path="", found=None):
    """The attributes of a thing and of nanoae's things among them, however deep: path -> value."""
    found = {} if found is None else found
    if isinstance(thing, dict):
        inside = thing.items()
    elif isinstance(thing, (list, tuple)):
        inside = enumerate(thing)
    elif type(thing).__module__.startswith(("nanoae", "test_threads")) and hasattr(
        thing, "__dict__"
    ):
        own = ("thread", "cache", "runner")  # each thread's, and training's
        inside = [(name, value) for name, value in vars(thing).items() if name not in own]
    else:
        return found
    for key, value in inside:
        where = f"{path}.{key}"
        known = any(value is other for other in found.values())
        found[where] = value
        if not known:
            belongings(value, where, found)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_reading_changes_nothing(name, tmp_path):
    """What a race would show one time in a thousand: no attribute is another one afterwards, and no array changed."""
    model, rows = fitted(name)
    before = belongings(model)
    numbers = {
        where: value.tobytes() for where, value in before.items() if isinstance(value, np.ndarray)
    }
    for call in requests(model, rows[:20], LABELS[:20], tmp_path / "model.npz").values():
        call()
    after = belongings(model)
    assert [where for where in before | after if before.get(where) is not after.get(where)] == []
    assert [where for where in numbers if after[where].tobytes() != numbers[where]] == []


def test_two_threads_have_two_buffers(ops):
    net = Sequential([Linear(4), ReLU(), Linear(2)]).build(3, ops, random_state=0)
    x = ops.to_device(np.eye(3, dtype=np.float32))
    mine = net.forward(x)
    kept = ops.to_numpy(mine).copy()
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(net.forward, -x).result()
    assert theirs is not mine
    assert (ops.to_numpy(mine) == kept).all() and (ops.to_numpy(theirs) != kept).any()


def test_a_thread_takes_its_buffers_along_when_it_ends():
    net = Sequential([Linear(4), ReLU()]).build(3, random_state=0)
    x, kept = np.zeros((5, 3), np.float32), []
    thread = threading.Thread(target=lambda: kept.append(weakref.ref(net.forward(x))))
    thread.start()
    thread.join()
    assert kept[0]() is None


# ---------------------------------------------------------------- what cannot go together


class Gate(Identity):
    """A layer that keeps the first who comes through waiting, while it is shut."""

    waiting, opened = threading.Event(), threading.Event()

    def forward(self, x, train=False):
        if not self.waiting.is_set():
            self.waiting.set()
            assert self.opened.wait(30)
        return super().forward(x, train)


@contextlib.contextmanager
def under_way(call, *arguments):
    """While another thread is in call(*arguments), at the gate."""
    Gate.opened.clear()
    Gate.waiting.clear()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(call, *arguments)
        try:
            assert Gate.waiting.wait(30)
            yield result
        finally:
            Gate.waiting.set()
            Gate.opened.set()
        result.result()


@pytest.fixture
def gated():
    """An autoencoder that stops at the gate; open now."""
    Gate.waiting.set()
    return Autoencoder(encoder=[Linear(3), Gate()], decoder=[Linear(8)], **FEW).fit(TABLE)


CHANGES = {
    "fit": lambda model: model.fit(TABLE),
    "partial_fit": lambda model: model.partial_fit(TABLE),
    "fit_transform": lambda model: model.fit_transform(TABLE),
    "fit_prior": lambda model: model.fit_prior(TABLE),
    "build": lambda model: model.build(8),
}
READS = {
    "transform": lambda model: model.transform(TABLE),
    "reconstruct": lambda model: model.reconstruct(TABLE),
    "score": lambda model: model.score(TABLE),
    "summary": lambda model: model.summary(),
    "pickle": pickle.dumps,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_read_cannot_be_changed(gated, change):
    wanted, theta = gated.reconstruct(TABLE), gated.network_.theta.copy()
    with under_way(gated.reconstruct, TABLE) as result:
        with pytest.raises(
            RuntimeError,
            match=rf"Autoencoder.{change}: expected an estimator that no other thread uses",
        ):
            CHANGES[change](gated)
        assert (gated.reconstruct(TABLE) == wanted).all()  # any number may read
    assert (result.result() == wanted).all() and (gated.network_.theta == theta).all()
    CHANGES[change](gated)


@pytest.mark.parametrize("name", [*READS, *CHANGES])
@pytest.mark.parametrize("change", ["fit", "partial_fit", "fit_prior"])
def test_what_is_changed_cannot_be_used(gated, change, name):
    with (
        under_way(CHANGES[change], gated),
        pytest.raises(
            RuntimeError,
            match=rf"Autoencoder\.\w+: expected an estimator that no other thread .*`{change}`",
        ),
    ):
        (READS | CHANGES)[name](gated)
    READS["reconstruct"](gated)


def test_detectors_are_guarded(gated):
    detector = AnomalyDetector(gated).fit(TABLE)
    with (
        under_way(detector.predict, TABLE),
        pytest.raises(RuntimeError, match=r"AnomalyDetector.fit: .*`predict`"),
    ):
        detector.fit(TABLE)
    with (
        under_way(detector.fit, TABLE),
        pytest.raises(RuntimeError, match=r"AnomalyDetector.p_values: .*`fit`"),
    ):
        detector.p_values(TABLE)
    clusters = ClusterLabelDetector(gated, n_clusters=9).fit(TABLE)
    with (
        under_way(clusters.score_samples, TABLE),
        pytest.raises(RuntimeError, match=r"ClusterLabelDetector.label: "),
    ):
        clusters.label([0], [1])
    assert clusters.given_ == {}


def test_every_public_method_of_every_estimator_is_guarded():
    for kind in everything(Estimator):
        for name, method in vars(kind).items():
            if inspect.isfunction(method) and not name.startswith(("_", "get_", "set_")):
                assert method.__code__ is guarded(len).__code__, (kind, name)


def test_the_thread_that_fits_may_use_its_estimator():
    seen = []
    model = Autoencoder(3, (16,), epochs=2, random_state=0)
    model.callbacks = [
        lambda trainer, row: seen.append(
            (model.score(TABLE), pickle.loads(pickle.dumps(model.network_)))
        )
    ]
    model.fit(TABLE)
    assert (
        len(seen) == 2
        and seen[1][0] == model.score(TABLE)
        and (seen[1][1].theta == model.network_.theta).all()
    )


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_raises_leaves_nothing_locked(error):
    def refuse(trainer, row):
        raise error

    model = Autoencoder(3, (16,), **FEW).fit(TABLE)
    model.callbacks = [refuse]
    with contextlib.suppress(error), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "training was interrupted"
        model.fit(TABLE)
    with pytest.raises(ValueError):
        model.reconstruct(TABLE[:, :3])
    assert not RUNNING
    with ThreadPoolExecutor(1) as pool:
        pool.submit(model.reconstruct, TABLE).result()
        pool.submit(model.set_params(callbacks=()).fit, TABLE).result()


def test_copies_are_estimators_of_their_own(gated):
    with under_way(gated.reconstruct, TABLE):
        for other in (clone(gated), copy.deepcopy(gated), pickle.loads(pickle.dumps(gated))):
            other.fit(TABLE)


def test_different_estimators_fit_side_by_side():
    models = [Autoencoder(3, (16,), epochs=3, random_state=seed) for seed in range(4)]
    wanted = [clone(model).fit(TABLE).network_.theta for model in models]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda model: model.fit(TABLE).network_.theta, models))
    assert all((a == b).all() for a, b in zip(got, wanted, strict=True))


def test_what_pickle_is_handed_does_not_change_any_more(gated):
    """It writes the numbers down after the estimator's __getstate__ has returned: another thread may train by then."""
    state, theta = gated.__getstate__(), gated.network_.theta.copy()
    gated.partial_fit(TABLE)
    assert (gated.network_.theta != theta).any() and len(gated.history_["loss"]) == 2
    assert (state["network_"].theta == theta).all() and len(state["history_"]["loss"]) == 1


def test_a_detector_fits_in_a_thread_beside_others():
    """The filters of warnings are the whole process's, too."""
    before, seen = warnings.filters, []
    watch = Autoencoder(
        2, (4,), epochs=1, callbacks=[lambda trainer, row: seen.append(warnings.filters is before)]
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(AnomalyDetector(watch).fit, TABLE).result()
    assert seen and all(seen)


def test_saving_changes_nothing_that_is_the_whole_process_own(tmp_path, monkeypatch):
    model = PCA(2).fit(TABLE)
    monkeypatch.setattr(
        os, "umask", lambda mask: pytest.fail("two threads could leave another one than there was")
    )
    model.save(tmp_path / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_training_goes_on_in_another_thread():
    mine, theirs = (Autoencoder(3, (16,), **FEW).fit(TABLE) for _ in range(2))
    mine.partial_fit(TABLE)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(theirs.partial_fit, TABLE).result()
    assert (mine.network_.theta == theirs.network_.theta).all()


def test_an_encoder_of_tables_is_not_fitted_while_another_thread_uses_it():
    encoder, table = TableEncoder().fit([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 5.0]]
    inside, done = threading.Event(), threading.Event()

    def use():
        with contextlib.suppress(Exception):
            encoder.transform(Slow(table, inside, done))

    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(
        RuntimeError, match=r"TableEncoder\.fit: expected an estimator that no other thread uses"
    ):
        encoder.fit(table)
    done.set()
    thread.join()
    assert encoder.transform(table).shape == (2, 2)


class Slow(list):
    """Rows that are looked at only once somebody lets them."""

    def __init__(self, rows, inside, done):
        super().__init__(rows)
        self.inside, self.done = inside, done

    def __iter__(self):
        self.inside.set()
        self.done.wait(10)
        return super().__iter__()
