"""Are the CPU's kernels NumPy's equals in every number, on any number of threads, and loaded only where they may be?

That they compute what `Ops` computes is in test_kernels.py.
"""

import copy
import itertools
import os
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from test_capture import MODELS, Swish

import nanoae
from nanoae import MSE, SGD, Adam, Linear, ReLU, Sequential, Sigmoid, Tanh, TiedLinear, Trainer
from nanoae.backend import NoKernels, Ops, get_ops, lapack, mkl, native
from nanoae.backend.blas import openblas
from nanoae.backend.native_ops import NativeOps
from nanoae.cli import main
from nanoae.engine.losses import get as get_loss
from nanoae.engine.sequences import TimeDistributed
from nanoae.training.loop import NotFiniteError
from nanoae.training.schedules import Cosine, WarmUp


@pytest.fixture(scope="module")
def fast(small_arrays_too):
    try:
        return NativeOps()
    except NoKernels as error:
        pytest.skip(str(error))


# ---------------------------------------------------------------- every number


def specials(dtype):
    """NaN, infinities, zeros, the largest and the smallest numbers, subnormal ones, and some in between; a row of each
    length that the loops end in."""
    facts = np.finfo(dtype)
    ends = [
        np.nan,
        np.inf,
        0.0,
        facts.max,
        facts.tiny,
        facts.smallest_subnormal,
        7.3 * facts.smallest_subnormal,
        1.0,
    ]
    grid = np.concatenate(
        [
            ends,
            np.geomspace(facts.tiny, 1e3, 400),
            np.linspace(80, 110, 61),
            np.linspace(700, 750, 51),
        ]
    )
    return np.concatenate([grid, -grid]).astype(dtype)


FUNCTIONS = {
    "relu": (), "leaky_relu": (0.2,), "elu": (0.7,), "sigmoid": (), "tanh": (), "softplus": (), "gelu": (), "silu": (),
    "clip": (-1.0, 2.0),
}  # fmt: skip


def same(actual, expected, digits=8):
    """Equal to `digits` units in the last place, and where NaN, an infinity or a sign is, the same."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    known = ~np.isnan(expected)
    actual, expected = actual[known], expected[known].astype(actual.dtype)
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))
    finite = np.isfinite(expected)
    spacing = np.spacing(np.abs(expected[finite]))
    assert (np.abs(actual[finite] - expected[finite]) <= digits * spacing).all()
    np.testing.assert_array_equal(actual[~finite], expected[~finite])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_numbers_are_numpys(fast, dtype, name):
    x = specials(dtype)
    expected = getattr(Ops(), name)(x, *FUNCTIONS[name], out=np.empty_like(x))
    # where NumPy subtracts nearly equal numbers it loses what the kernels keep: sigmoid near 0, and what it is part of
    lost = 1e-7 if dtype == np.float32 else 1e-15
    actual = getattr(fast, name)(x, *FUNCTIONS[name], out=np.empty_like(x))
    by_sigmoid = name in ("sigmoid", "gelu", "silu")
    near = (
        np.abs(actual - expected) <= lost * np.maximum(1, np.abs(x))
        if by_sigmoid
        else np.zeros(len(x), bool)
    )
    same(np.where(near, expected, actual), expected)


def test_functions_are_right_to_a_few_units_in_the_last_place(fast):
    """Of float32, against float64."""
    x = np.concatenate([np.geomspace(1e-30, 80, 20_000), -np.geomspace(1e-30, 80, 20_000)]).astype(
        "f"
    )
    wide = x.astype("d")
    for name, exact in {
        "tanh": np.tanh(wide),
        "elu": np.where(wide > 0, wide, np.expm1(wide)),
        "softplus": np.logaddexp(wide, 0),
    }.items():
        y = getattr(fast, name)(x, *((1.0,) if name == "elu" else ()), out=np.empty_like(x))
        units = np.abs(y - exact) / np.spacing(np.abs(exact).astype("f"))
        assert units.max() < 4, name


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["mse", "bce", "l1"])
def test_a_special_number_is_seen_in_the_loss(fast, dtype, name):
    for number in (np.nan, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal):
        y, t = np.full((3, 50), 0.5, dtype), np.full((3, 50), 0.25, dtype)
        y[1, 7] = number
        mine, theirs = np.empty_like(y), np.empty_like(y)
        losses = [
            getattr(ops, name)(y, t, 0.1, out=dy) for ops, dy in ((fast, mine), (Ops(), theirs))
        ]
        same(*map(np.array, losses), 50)
        same(mine, theirs, 50)


def test_uniform_numbers_are_numpys_and_its_generator_goes_on_from_there(fast, dtype):
    """Odd numbers of floats leave half a word behind, for the next."""
    mine, numpys = fast.generator(3), Ops().generator(3)
    for n in (9000, 9001, 8193, 3, 20_000):
        drawn = fast.uniform(mine, fast.empty(n, dtype))
        np.testing.assert_array_equal(drawn, Ops().uniform(numpys, np.empty(n, dtype)))
    assert fast.generator_state(mine) == Ops().generator_state(numpys)


def test_subnormal_numbers_are_not_flushed(fast, dtype):
    tiny = np.full(1000, np.finfo(dtype).smallest_subnormal * 6, dtype)
    assert (fast.axpby_inplace(tiny.copy(), 0.5, tiny, 0.0) == tiny / 2).all()
    assert float(fast.sum(tiny)) == pytest.approx(float(tiny.astype("d").sum()), rel=1e-6)


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 1, 2)])
def test_copies_of_axes_in_any_order(fast, dtype, order):
    stored = np.arange(30 * 7 * 41, dtype=dtype).reshape(30, 7, 41)
    for x in (
        stored,
        stored[:, ::-2],
        stored[::3, :, 5:],
        stored[:1],
        stored[:, 1, 2:9][:, :, None],
    ):
        x = x.transpose(order)
        out = np.full(x.shape, np.nan, dtype)
        assert fast.copy(x, out=out) is out
        np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("shape", [(1, 1), (1, 784), (37, 5), (300, 400)])
def test_one_look_has_the_sum_and_both_ends(fast, dtype, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    for array in (x, x.T, x[::2]):
        total, least, most = fast.survey(array, out=np.empty(3, dtype))
        assert total == pytest.approx(array.sum(dtype="d"), rel=1e-4, abs=1e-3)
        assert (least, most) == (array.min(), array.max())
    for odd in (np.nan, np.inf, -np.inf):
        for place in {0, x.size // 2, x.size - 1}:
            y = x.copy()
            y.flat[place] = odd
            assert not np.isfinite(fast.survey(y, out=np.empty(3, dtype))[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 130), (40, 3), (500, 70)])
def test_columns_on_one_scale_and_beyond_their_limits(fast, dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 30, shape).astype(dtype)
    x[rng.random(shape) < 0.05] = np.nan
    center, scale = rng.normal(size=shape[1]), rng.uniform(0.5, 2, shape[1])
    limit = np.where(np.arange(shape[1]) % 2, np.inf, 20.0)
    for odd in (np.inf, -np.finfo(dtype).max, 0):
        x.flat[-1] = odd
        with np.errstate(over="ignore"):
            z, expected = (
                ops.standardize(x, center, scale, limit, out=np.empty(shape, "f"))
                for ops in (fast, Ops())
            )
        np.testing.assert_allclose(z, expected, rtol=3e-7)
        ends = np.fmin.reduce(x), np.fmax.reduce(x)
        least, most = (np.nan_to_num(end, posinf=1e30, neginf=-1e30) for end in ends)
        around = np.array([least - 1, least + 1, most - 1, most + 1], dtype)
        for i, beyond in itertools.product(range(4), (-2, 0, 2)):
            limits = around.copy()
            limits[i, ::3] += beyond
            counts = [
                ops.columns_outside(x, limits, out=np.empty(1, dtype))[0] for ops in (fast, Ops())
            ]
            assert counts[0] == counts[1]


# ---------------------------------------------------------------- any number of threads


def work(ops, dtype=np.float32):
    """Some of everything, large enough for several blocks; the bits of what came out."""
    rng = np.random.default_rng(0)
    x, t, W = (rng.random(shape).astype(dtype) for shape in ((500, 300), (500, 300), (300, 400)))
    out, db = np.empty_like(x), np.empty(300, dtype)
    loss = ops.bce(x, t, 0.1, out=out)
    dz = ops.activation_backward_bias(out, x, "relu", (), db=db, out=np.empty_like(x))
    y = ops.affine_activation(x, W, W[0], "tanh", (), out=np.empty((500, 400), dtype))
    total = ops.sum(ops.softmax(y, out=y))
    return b"".join(
        np.ascontiguousarray(array).tobytes()
        for array in (loss, out, dz, db, y, total, ops.sum_rows(x))
    )


@pytest.fixture
def threads():
    """threads(n): let products and loops take n threads."""
    blas = openblas()
    if blas is None:
        pytest.skip("NumPy has no OpenBLAS")
    before = blas.use_threads(0)
    yield blas.use_threads
    blas.use_threads(before)


def test_the_same_bits_on_any_number_of_threads_and_each_time(fast, dtype, threads):
    results = set()
    for number in (1, 2, 2, 4, 3, 2):
        threads(number)
        results.add(work(fast, dtype))
        assert threads(0) == number  # as many as before
    assert len(results) == 1


def test_threads_of_the_program_may_compute_at_the_same_time(fast, threads):
    threads(2)
    expected = work(fast)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: work(NativeOps()), range(40))) == {expected}
    assert threads(0) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_computes_as_well(fast, threads):
    threads(2)
    expected, (reader, writer) = work(fast), os.pipe()  # the pool is running by now
    child = os.fork()
    if child == 0:
        os.write(writer, b"same" if work(fast) == expected else b"else")
        os._exit(0)
    killer = threading.Timer(30, os.kill, (child, 9))
    killer.start()
    os.waitpid(child, 0)
    killer.cancel()
    os.close(writer)
    assert os.read(reader, 4) == b"same"


def test_products_are_numpys_in_every_order_of_memory(fast, dtype):
    rng = np.random.default_rng(0)
    for m, k, n in (
        (1, 1, 1),
        (3, 4, 5),
        (300, 200, 33),
        (33, 200, 300),
        (1, 700, 900),
        (900, 700, 1),
        (0, 3, 2),
        (3, 0, 2),
    ):
        a, b = rng.random((m, k)).astype(dtype), rng.random((k, n)).astype(dtype)
        for left in (a, np.asfortranarray(a), np.repeat(a, 2, axis=0)[::2], a[::-1]):
            for right in (b, np.asfortranarray(b), np.repeat(b, 2, axis=1)[:, ::2]):
                for out in (
                    None,
                    np.empty((n, m), dtype).T,
                    np.empty((m, 3 * n), dtype)[:, n : 2 * n],
                ):
                    got = fast.matmul(left, right, out=out)
                    np.testing.assert_allclose(
                        got, np.matmul(left, right), rtol=1e-4 if dtype == np.float32 else 1e-12
                    )
                    assert out is None or got is out
    with pytest.raises(ValueError, match="matmul"):
        fast.matmul(a, b[:-1] if len(b) else b.T)


# ---------------------------------------------------------------- the library of products


@pytest.mark.parametrize(
    "speeds, used", [((100.0, 110.0), True), ((100.0, 101.0), False), ((100.0, 90.0), False)]
)
def test_the_faster_library_is_taken_and_stays(tmp_path, monkeypatch, speeds, used):
    """Here NumPy's own stands in for MKL."""
    if openblas() is None:
        pytest.skip("NumPy has no OpenBLAS")
    times = iter(speeds)
    monkeypatch.setattr(mkl, "installed", lambda: openblas().path)
    monkeypatch.setattr(mkl, "MKL", lambda path: ("MKL", path))
    monkeypatch.setattr(mkl, "gflops", lambda blas: next(times))
    for _ in range(2):  # the second time it is not measured
        assert mkl.faster_mkl(tmp_path) == (("MKL", openblas().path) if used else None)
        assert mkl.measured(tmp_path) == dict(zip(("OpenBLAS", "MKL"), speeds, strict=True))


def test_without_mkl_or_a_place_to_keep_the_choice_numpys_own_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(mkl, "installed", lambda: None)
    assert mkl.faster_mkl(tmp_path) is None and mkl.measured(tmp_path) == {}
    monkeypatch.setattr(mkl, "installed", lambda: tmp_path / "no library")
    assert mkl.faster_mkl(tmp_path) is None
    monkeypatch.setattr(mkl, "gflops", lambda blas: 1.0)
    monkeypatch.setattr(mkl, "MKL", lambda path: None)
    assert mkl.faster_mkl(tmp_path / "no folder") is None


def test_a_speed_is_a_number(fast):
    if openblas() is None:
        pytest.skip("NumPy has no OpenBLAS")
    assert 0.1 < mkl.gflops(openblas()) < 1e5


# ---------------------------------------------------------------- recorded steps


X = np.random.default_rng(0).random((70, 12))  # 70 rows in batches of 16: the last one has 6
MISSING = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
CLASSES = np.random.default_rng(2).integers(0, 3, 70)
SHARES = np.concatenate([X[:, :8], np.eye(4)[CLASSES]], axis=1)


def plain(ops):
    """The same primitives, called step by step."""
    ops.repeats = ""
    return ops


def train(
    ops, layers, loss=None, optimizer=None, x=X, t=None, epochs=20, callback=None, **settings
):
    """(trainer, theta) after training."""
    net = Sequential(layers()).build(12, ops, "float64", random_state=0)
    trainer = Trainer(
        net, loss or MSE(), copy.copy(optimizer or Adam(WarmUp(Cosine(1e-2), 9))), batch_size=16, epochs=epochs,
        rows=len(x), **settings
    )  # fmt: skip
    trainer.callbacks = [callback] if callback else []
    t = None if t is None else ops.to_device(t)
    trainer.fit(ops.to_device(x), t, validation=(ops.to_device(x[:40]), t if t is None else t[:40]))
    return trainer, net.theta


def recordings(trainer):
    """rows of a step -> how many calls of Python's are left in it"""
    found = trainer.runner.repeated.recordings
    return {
        rows: sum(not hasattr(part, "launches") for part in kept.parts)
        for rows, (kept, _) in found.items()
    }


def dense(*code):
    return lambda: [Linear(9), ReLU(), *copy.deepcopy(code), Linear(9), Tanh(), Linear(12)]


RECORDED = {  # what is trained, beside MODELS
    "masked": {"layers": lambda: [nanoae.FillMissing(), Linear(12)], "loss": nanoae.Masked("mse"), "x": MISSING},
    "masked, batch": {"layers": lambda: [nanoae.FillMissing(), Linear(12)], "loss": nanoae.Masked(nanoae.L1("batch")),
                      "x": MISSING},
    "mixed": {"layers": dense(Linear(4)), "loss": nanoae.Mixed((1,) * 8 + (4,)), "x": SHARES},
    "masked, mixed": {"layers": lambda: [nanoae.FillMissing(), Linear(12)],
                      "loss": nanoae.Masked(nanoae.Mixed((1,) * 8 + (4,))), "x": SHARES + 0 * MISSING},
    "weighted": {"layers": dense(Linear(4)), "loss": nanoae.Weighted("huber"),
                 "t": np.concatenate([X, 1 + X[:, :1]], axis=1)},
    "nll": {"layers": dense(Linear(4)), "loss": nanoae.GaussianNLL(0.2)},
    "classes": {"layers": lambda: [Linear(9), ReLU(), Linear(3)], "loss": nanoae.SoftmaxCrossEntropy(), "t": CLASSES},
    "some classes": {"layers": lambda: [Linear(3)], "loss": nanoae.SoftmaxCrossEntropy(ignore=0), "t": CLASSES},
    "tied": {"layers": lambda: [(first := Linear(4)), Sigmoid(), TiedLinear(first)]},
    "contractive": {"layers": lambda: [(first := Linear(4)), Sigmoid(), nanoae.Contractive(0.1, first), Linear(12)]},
    "dropout": {"layers": dense(nanoae.Dropout(0.3), Linear(4), nanoae.LayerNorm())},
    "nesterov": {"layers": dense(Linear(4)), "optimizer": SGD(0.1, 0.9, True, weight_decay=0.1, clip_norm=0.1)},
    "frozen": {"layers": dense(Linear(4)), "trainable": [slice(10, 60)]},
    "two penalties": {"layers": dense(nanoae.L1Sparsity(0.1), Linear(4), Sigmoid(), nanoae.KLSparsity(0.1))},
    **{name: {"layers": layers, "loss": get_loss(loss), "optimizer": optimizer}
       for name, (layers, loss, optimizer) in MODELS.items() if name != "a layer of one's own"},
    **{cls.__name__: {"layers": lambda make=make: [Linear(5), *make(), nanoae.Flatten(), Linear(12)]}
       for cls, make in EXAMPLES.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_step_is_the_step_to_the_bit(fast, name):
    """130 steps: the optimiser's 128th looks after its moments, too."""
    settings = {"epochs": 26, **RECORDED[name]}
    mine, theta = train(NativeOps(), **settings)
    other, expected = train(plain(NativeOps()), **settings)
    assert recordings(mine).keys() == {16, 6} and not other.repeatable()
    np.testing.assert_array_equal(theta, expected)
    for here, there in zip(mine.network.state(), other.network.state(), strict=True):
        np.testing.assert_array_equal(here, there)
    assert mine.history["loss"] == pytest.approx(other.history["loss"], rel=1e-12)
    assert mine.history["val_loss"] == other.history["val_loss"]
    assert (
        mine.optimizer.t == other.optimizer.t == 130 and mine.optimizer.rate == other.optimizer.rate
    )


def test_a_dense_step_is_launches_alone(fast):
    for name in ("rectified", "AdamW, clipped", "bce", "tied", "schedule"):
        assert set(recordings(train(NativeOps(), **RECORDED[name])[0]).values()) == {0}, name


def test_a_layer_of_ones_own_runs_step_by_step(fast):
    """It may do anything to its arrays, and count on the host."""

    class Counting(Swish):
        count = 0

        def forward(self, x, train=False):
            self.count += train
            return super().forward(x, train) * (1 if self.count < 40 else 2)

    for own in (
        lambda: [Counting()],
        lambda: [nanoae.Reshape((3, 3)), TimeDistributed(Counting()), nanoae.Flatten()],
    ):
        mine, theta = train(NativeOps(), lambda own=own: [Linear(9), *own(), Linear(12)])
        _, expected = train(plain(NativeOps()), lambda own=own: [Linear(9), *own(), Linear(12)])
        assert not mine.repeatable()
        np.testing.assert_array_equal(theta, expected)


CHANGES = {  # of what a callback may change from one epoch to the next
    "lr": lambda trainer: setattr(trainer.optimizer, "lr", 1e-4),
    "beta1": lambda trainer: setattr(trainer.optimizer, "beta1", 0.5),
    "noise": lambda trainer: setattr(trainer.network.layers[0], "std", 0.0),
    "frozen noise": lambda trainer: trainer.network.freeze_noise(True),
    "weight": lambda trainer: setattr(trainer.loss, "weight", 3.0),
    "validate more": lambda trainer: trainer.evaluate(np.repeat(X, 40, axis=0)),
    "gone buffers": lambda trainer: [layer.buffers.clear() for layer in trainer.network.layers],
    "new weights": lambda trainer: trainer.network.set_state(
        [np.ones_like(a) for a in trainer.network.state()]
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_epochs_is_seen(fast, change):
    def callback(trainer, row):
        if row["epoch"] == 7:
            CHANGES[change](trainer)

    def layers():
        return [nanoae.GaussianNoise(0.3), *dense(Linear(4))()]

    (mine, theta), (_, expected) = (
        train(ops, layers, callback=callback) for ops in (NativeOps(), plain(NativeOps()))
    )
    assert recordings(mine)
    np.testing.assert_array_equal(theta, expected)


def test_other_data_loss_and_thread_are_recorded_anew(fast):
    (mine, theta), (other, expected) = (
        train(ops, dense(Linear(4))) for ops in (NativeOps(), plain(NativeOps()))
    )
    more = np.random.default_rng(5).random((140, 12))
    for trainer in (mine, other):
        for x in (more[:70], more[::2], more[:30], more):
            trainer.epoch(x)
            trainer.epoch(x)
        trainer.loss = nanoae.L1().build(trainer.ops, trainer.network.dtype)
        trainer.epoch(more)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(trainer.epoch, more).result()
    np.testing.assert_array_equal(theta, expected)


@pytest.mark.parametrize("before", [0, 3])
def test_a_loss_that_is_not_finite_stops_before_its_update(fast, before):
    """In the step that is recorded, and in one that is repeated."""
    bad = X.copy()
    bad[33, 4] = np.nan

    def fit(ops):
        trainer, theta = train(ops, dense(Linear(4)), epochs=1)
        x = X.copy()
        for _ in range(before):
            trainer.epoch(x)
        x[:] = bad  # the array is the same
        with pytest.raises(NotFiniteError) as error:
            trainer.epoch(x)
        return str(error.value), theta.copy()

    (mine, theta), (other, expected) = fit(NativeOps()), fit(plain(NativeOps()))
    assert mine == other and "step" in mine
    np.testing.assert_array_equal(theta, expected)


def test_numbers_that_are_no_words_or_classes_are_seen_in_a_repeated_step(fast):
    """Not only in the step that was recorded."""

    def words():
        return [nanoae.Embedding(3, 2), nanoae.Flatten(), Linear(3)]

    x = np.random.default_rng(0).integers(0, 3, (70, 12)).astype(float)
    t = CLASSES.copy()
    trainer, _ = train(NativeOps(), words, nanoae.SoftmaxCrossEntropy(), x=x, t=t)
    x[3, 3], t[4] = 5, 0
    with pytest.raises(ValueError, match=r"token ids 0 \.\. 2, got 0 \.\. 5"):
        trainer.epoch(x, t)
    x[3, 3], t[4] = 1, -1
    with pytest.raises(ValueError, match=r"classes 0 \.\. 2, got -1 \.\. 2"):
        trainer.epoch(x, t)


def test_ctrl_c_between_steps_that_are_repeated(fast):
    """What was done is counted."""
    trainer, _ = train(NativeOps(), dense(Linear(4)))
    once, done = trainer.runner.repeated.run, []

    def interrupted(kind, work, times):
        done.append(once(kind, work, times))
        raise KeyboardInterrupt

    trainer.runner.repeated.run = interrupted
    before = trainer.optimizer.t
    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(X)
    assert trainer.optimizer.t in (before + 4, before + sum(done)) and isinstance(
        trainer.optimizer.t, int
    )


@pytest.mark.parametrize("place", range(6))
def test_ctrl_c_while_the_first_step_is_prepared(fast, monkeypatch, place):
    net = Sequential(dense(Linear(4))()).build(12, fast, "float64", random_state=0)
    trainer = Trainer(net, MSE(), Adam(), batch_size=16, epochs=2, rows=len(X))
    zeros, made = fast.zeros, []

    def interrupted(*arguments):
        made.append(arguments)
        if len(made) > place:
            raise KeyboardInterrupt
        return zeros(*arguments)

    monkeypatch.setattr(fast, "zeros", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(X)
    monkeypatch.setattr(fast, "zeros", zeros)
    assert np.isfinite(trainer.epoch(X)) and trainer.optimizer.t == 5


# ---------------------------------------------------------------- there, or not there


def test_what_runs_is_chosen_by_name_and_by_the_environment(fast, monkeypatch):
    assert isinstance(get_ops("numpy"), NativeOps) and type(get_ops("numpy:plain")) is Ops
    assert fast.name == fast.backend == "numpy"
    assert isinstance(pickle.loads(pickle.dumps(fast)), NativeOps)
    monkeypatch.setattr(native, "library", lambda: (_ for _ in ()).throw(NoKernels("none")))
    assert (
        type(get_ops("numpy"))
        is type(get_ops("auto"))
        is type(pickle.loads(pickle.dumps(fast)))
        is Ops
    )


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip(), done.stderr


SAY = "import nanoae; print(type(nanoae.get_ops('numpy')).__name__)"


def test_switched_off_by_the_environment():
    assert run(SAY, NANOAE_KERNELS="0") == ("Ops", "")


@pytest.fixture
def compiler(fast, tmp_path):
    """A PATH with a compiler that takes no time: it gives out the library that there is, without its checksum."""
    library, folder = tmp_path / "library.so", tmp_path / "bin"
    library.write_bytes(native.library().path.read_bytes()[:-32])
    folder.mkdir()
    script = f"""#!/bin/sh
case "$*" in
    *--version*) echo "quick++ 1.0" ;;
    *broken*) exit 1 ;;
    *-shared*) cat {library} > library ;;
esac
"""
    (folder / "c++").write_text(script)
    (folder / "c++").chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "NANOAE_KERNELS": "1",
    }


def test_compiled_once_with_a_word_and_kept_for_the_user_alone(compiler, tmp_path):
    name, told = run(SAY, **compiler)
    assert (
        name == "NativeOps"
        and told.count("\n") == 1
        and "compiling" in told
        and "quick++ 1.0" in told
    )
    assert run(SAY, **compiler) == ("NativeOps", "")
    (kept,) = (tmp_path / "cache" / "nanoae" / "kernels").iterdir()  # and nothing else is left
    assert kept.stat().st_mode & 0o077 == 0 and kept.parent.stat().st_mode & 0o077 == 0


def test_a_library_that_is_not_what_was_kept_is_made_anew(compiler, tmp_path):
    """Cut, changed, or another's to write to; and nothing is loaded from a folder that others may write to."""
    run(SAY, **compiler)
    folder = tmp_path / "cache" / "nanoae" / "kernels"
    (kept,) = folder.iterdir()
    content = kept.read_bytes()
    harms = [
        lambda: kept.write_bytes(content[: len(content) // 2]),
        lambda: kept.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]),
        lambda: kept.chmod(0o666),
    ]
    for harm in harms:
        harm()
        name, told = run(SAY, **compiler)
        assert name == "NativeOps" and "compiling" in told and kept.read_bytes() == content
    folder.chmod(0o777)
    assert run(SAY, **compiler) == ("Ops", "")
    folder.chmod(0o700)


@pytest.mark.parametrize("compiler_is", ["missing", "failing", "making something else"])
def test_without_a_compiler_that_works_numpy_does_it(compiler, tmp_path, compiler_is):
    script = tmp_path / "bin" / "c++"
    if compiler_is == "missing":
        script.unlink()
        compiler["PATH"] = str(tmp_path / "bin")
    else:
        result = "exit 1" if compiler_is == "failing" else "echo no library > library"
        script.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo bad ;; *) {result} ;; esac\n')
    code = f"{SAY}\nfrom nanoae.cli import main; main(['info'])"
    out, told = run(code, **compiler)
    assert out.splitlines()[0] == "Ops"
    assert ("NANOAE_KERNELS=0" in told) == (compiler_is == "failing")
    line = next(line for line in out.splitlines() if line.startswith("kernels"))
    assert "NumPy" in line and ("no C++ compiler" in line or "failed" in line)


def test_info_tells_what_computes(fast, capsys):
    main(["info"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("kernels"))
    assert native.library().compiler in line and "threads" in line


class Matrix:
    """NumPy's functions of it say how many threads they would take."""

    def __init__(self, threads):
        self.threads = threads

    def __array_function__(self, function, types, args, kwargs):
        return self.threads(0)


@pytest.mark.parametrize("name", ["cholesky", "eigh", "inverse", "solve", "svd"])
def test_a_factorisation_takes_one_thread_and_afterwards_as_many_as_before(threads, name):
    threads(2)
    matrix = Matrix(threads)
    columns = [matrix] if name == "solve" else []
    assert getattr(lapack, name)(matrix, *columns) == 1
    assert threads(0) == 2


def test_factorisations_are_made_in_one_place():
    found = {
        path.name
        for path in Path(nanoae.__file__).parent.rglob("*.py")
        if re.search(r"linalg\.(?!norm\b|LinAlgError\b)", path.read_text())
    }
    assert found == {"lapack.py"}


def test_small_products_take_one_thread_and_afterwards_as_many_as_before(threads):
    threads(2)
    plain = Ops()
    with plain.threads_for(1000), plain.threads_for(1000):
        assert threads(0) == 1
        with plain.threads_for(1 << 30):
            assert threads(0) == 1
    assert threads(0) == 2
    with plain.threads_for(1 << 30):
        assert threads(0) == 2
