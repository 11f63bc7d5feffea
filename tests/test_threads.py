"""May many threads read one fitted estimator at once, and does what cannot go together say so?

`python -m benchmarks.reproduce.threads` has each of eight threads ask 1,000 times; here it is a few times.
"""

import contextlib
import copy
import inspect
import os
import pickle
import sys
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import everything
from sklearn.base import clone

from nanoae import (
    PCA,
    AnomalyDetector,
    Autoencoder,
    ClusterLabelDetector,
    Identity,
    Linear,
    ReLU,
    Sequential,
    TableEncoder,
    guard,
)
from nanoae.autoencoders.estimator import Estimator
from nanoae.guard import RUNNING, guarded

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.reproduce.threads import (
    FEW,
    LABELS,
    MODELS,
    TABLE,
    THREADS,
    alone,
    by_dask,
    by_threads,
    fitted,
    forgotten,
    requests,
    together,
)

REQUESTS = 3  # of each thread


@pytest.mark.parametrize("name", MODELS)
def test_threads_get_what_one_thread_gets(name, tmp_path):
    wanted = alone(name, REQUESTS, tmp_path)
    assert together(name, wanted, by_threads, tmp_path) == 0
    assert not RUNNING


@pytest.mark.parametrize("name", ["dense", "conditional", "detector", "text"])
def test_dask_gets_what_one_thread_gets(name, tmp_path):
    pytest.importorskip("dask")
    assert together(name, alone(name, REQUESTS, tmp_path), by_dask, tmp_path) == 0


def test_dask_maps_blocks_of_an_array():
    blocks = pytest.importorskip("dask.array")
    model, rows = fitted("dense")
    wanted = np.concatenate([model.transform(part) for part in np.split(rows, 12)])
    parts = blocks.from_array(rows, chunks=(50, 8)).map_blocks(
        model.transform, chunks=(50, 3), dtype=wanted.dtype, meta=wanted[:0]
    )
    assert (parts.compute(scheduler="threads", num_workers=THREADS) == wanted).all()


def test_no_estimator_is_forgotten():
    assert forgotten() == []


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
        # of ColumnRanges, once computed
        own += ("_limits", "_inner", "_wide", "_floor_and_ceiling")
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


def test_a_detector_waits_for_its_turn_but_not_for_ever(monkeypatch):
    detector = AnomalyDetector(random_state=0).fit(TABLE)
    expected = detector.score_samples(TABLE[:3])
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    with guard.in_turn(1), ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(detector.score_samples(TABLE[:3]), expected)
        other = pool.submit(detector.score_samples, TABLE[:3])
        np.testing.assert_array_equal(other.result(10), expected)


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
