"""Is a captured training step the step? Whole models, on CuPy's stand-in: replayed, plain, and NumPy's."""

import copy
import gc
import math
import pickle
import threading
import warnings

import cupy_standin
import numpy as np
import pytest
from cupy_standin import DEVICE, CUDARuntimeError, standin_ops

import nanoae
from nanoae import Adam, Linear, ReLU, Sequential, Tanh, Trainer
from nanoae.backend import BackendError, Ops
from nanoae.backend.host_dataset import HostDataset
from nanoae.engine import losses, optim
from nanoae.training.schedules import Cosine, WarmUp

ROWS, D = 53, 12  # batches of 8, the last one of 5
X = np.random.default_rng(0).random((ROWS, D))


class PhiloxOps(Ops):
    """NumPy with the noise of the kernels: draw number k is numpy.random.Philox(key=key, counter=[0, k, 0, 0])."""

    def generator(self, seed):
        return {"key": int(seed.generate_state(1, np.uint64)[0]), "draws": 0}

    def uniform(self, generator, out):
        philox = np.random.Philox(key=generator["key"], counter=[0, generator["draws"], 0, 0])
        generator["draws"] += 1
        out[...] = np.random.Generator(philox).random(out.shape, out.dtype)
        return out

    def normal(self, generator, out):
        per_index = 32 // out.itemsize  # Box & Muller 1958, on pairs
        pairs = np.empty((-(-out.size // per_index) * per_index // 2, 2), out.dtype)
        u, v = self.uniform(generator, pairs).T
        radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * math.pi * v
        out[...] = (
            np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
            .reshape(-1)[: out.size]
            .reshape(out.shape)
        )
        return out


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def real_ops(**options):
    return nanoae.backend._cupy_ops(**options)


@pytest.fixture(params=["standin", pytest.param("cupy", marks=pytest.mark.gpu)])
def cupy_ops(request, monkeypatch):
    """cupy_ops(graph=False, ...): a CupyOps, of the stand-in and of CuPy; get_ops("cupy") gives the same."""
    make = standin_ops if request.param == "standin" else real_ops
    try:
        make()
    except BackendError as error:
        pytest.skip(str(error))
    if make is standin_ops:
        monkeypatch.setattr(nanoae.backend, "_cupy_ops", standin_ops)
    return make


@pytest.fixture
def on_standin():
    """The same, of the stand-in only: for tests that look into it."""
    try:
        standin_ops()
    except BackendError as error:
        pytest.skip(str(error))
    return standin_ops


def dense(code):
    return lambda: [Linear(9), ReLU(), *code(), Linear(9), Tanh(), Linear(D)]


def convolutional():
    layers = [
        nanoae.Reshape((1, 3, 4)),
        nanoae.Conv2d(3, 3, 1, 1),
        ReLU(),
        nanoae.MaxPool2d(2, 1),
        nanoae.BatchNorm(),
    ]
    return [*layers, nanoae.ConvTranspose2d(2, 2, 1, 0), nanoae.Flatten(), Linear(D)]


def sequences():
    return [nanoae.Reshape((4, 3)), nanoae.GRU(5), nanoae.Flatten(), Linear(D)]


class Swish(nanoae.Layer):
    """The README's: it allocates at every step."""

    def forward(self, x, train=False):
        s = self.ops.sigmoid(x)
        self.cache = x, s
        return x * s

    def backward(self, dy):
        x, s = self.take_cache()
        return dy * (s + x * s * (1 - s))


def rectified():
    """Each ReLU's mask is undone by the product above it; the first has more columns than a mask's least row."""
    return [Linear(130), ReLU(), Linear(9), ReLU(), Linear(1), ReLU(), Linear(9), ReLU(), Linear(D)]


MODELS = {
    "rectified": (rectified, "mse", Adam(1e-2)),
    "dense": (dense(lambda: [Linear(4)]), "mse", Adam(1e-2)),
    "bce": (dense(lambda: [Linear(4)]), "bce", optim.SGD(0.5, 0.9, nesterov=True)),
    "schedule": (
        dense(lambda: [Linear(4)]),
        "huber",
        Adam(WarmUp(Cosine(1e-2), 9), weight_decay=0.01),
    ),
    "AdamW, clipped": (
        dense(lambda: [Linear(4)]),
        "l1",
        optim.AdamW(1e-2, weight_decay=0.1, clip_norm=0.5),
    ),
    "plain SGD": (dense(lambda: [Linear(4)]), "mse", optim.SGD(0.1)),
    "masking": (
        lambda: [nanoae.MaskingNoise(0.3), *dense(lambda: [Linear(4)])()],
        "mse",
        Adam(1e-2),
    ),
    "gaussian noise": (
        lambda: [nanoae.GaussianNoise(0.3, (0, 1)), Linear(5), Linear(D)],
        "mse",
        Adam(1e-2),
    ),
    "salt and pepper": (
        lambda: [nanoae.SaltAndPepper(0.3), Linear(5), Linear(D)],
        "mse",
        Adam(1e-2),
    ),
    "sparse": (dense(lambda: [Linear(4), nanoae.L1Sparsity(0.01)]), "mse", Adam(1e-2)),
    "KL": (
        dense(lambda: [Linear(4), nanoae.Sigmoid(), nanoae.KLSparsity(0.1, 0.1)]),
        "mse",
        Adam(1e-2),
    ),
    "k-sparse": (dense(lambda: [Linear(6), nanoae.TopK(2)]), "mse", Adam(1e-2)),
    "variational": (
        dense(lambda: [Linear(6), nanoae.Gaussian(0.5, warm_up=10)]),
        "mse",
        Adam(1e-2),
    ),
    "free bits": (
        dense(lambda: [Linear(6), nanoae.Gaussian(0.5, free_bits=0.1)]),
        "mse",
        Adam(1e-2),
    ),
    "adversarial": (
        dense(lambda: [Linear(2), nanoae.Adversarial(None, 0.5, (5,), 1e-2)]),
        "mse",
        Adam(1e-2),
    ),
    "mixture": (
        dense(lambda: [Linear(2), nanoae.Adversarial(nanoae.Mixture.ring(3), 0.5, (5,))]),
        "mse",
        Adam(1e-2),
    ),
    "convolutional": (convolutional, "mse", Adam(1e-2)),
    "a layer of one's own": (lambda: [Linear(9), Swish(), Linear(D)], "mse", Adam(1e-2)),
    "recurrent": (sequences, "mse", Adam(1e-2)),
}


def train(ops, model, dtype, epochs=4, x=X, t=None, validation=True, batch_size=8, scale=1.0):
    layers, loss, optimizer = MODELS[model]
    net = Sequential(layers()).build(D, ops, dtype, random_state=0)
    criterion = losses.get(loss)
    trainer = Trainer(
        net,
        criterion,
        copy.copy(optimizer),
        batch_size=batch_size,
        epochs=epochs,
        rows=len(x),
        seed=1,
    )
    x = x if x.dtype == np.uint8 else x.astype(dtype)
    data = ops.dataset(x), None if t is None else ops.dataset(t.astype(dtype))
    history = trainer.fit(
        *data, validation=(ops.to_device(x[:40]), None) if validation else None, scale=scale
    )
    curves = [history[name] for name in ("loss", "val_loss") if name in history]
    return np.array(curves), ops.to_numpy(net.theta), trainer


@pytest.mark.parametrize("model", MODELS)
def test_replayed_and_plain_steps_agree_to_the_bit_and_with_numpy(cupy_ops, model, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that cannot be captured warns
        curves, theta, trainer = train(cupy_ops(), model, dtype)
    assert set(trainer.runner.repeated.recordings) == {8, 5}
    plain_curves, plain_theta, plain = train(cupy_ops(graph=False), model, dtype)
    assert not plain.runner.repeated.recordings
    np.testing.assert_array_equal(curves, plain_curves)
    np.testing.assert_array_equal(theta, plain_theta)
    numpy_curves, numpy_theta, _ = train(PhiloxOps(), model, dtype)
    tolerance = {"float32": 1e-3, "float64": 1e-9}[dtype.name]
    np.testing.assert_allclose(curves, numpy_curves, rtol=tolerance)
    np.testing.assert_allclose(theta, numpy_theta, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- what changes between steps and between epochs


def test_targets_bytes_and_a_scale(cupy_ops, dtype):
    bytes_, t = (X * 255).astype(np.uint8), np.random.default_rng(1).random((ROWS, D))
    settings = {"x": bytes_, "t": t, "scale": 1 / 255, "validation": False}
    curves, theta, trainer = train(cupy_ops(), "dense", dtype, **settings)
    assert set(trainer.runner.repeated.recordings) == {8, 5}
    numpy_curves, numpy_theta, _ = train(Ops(), "dense", dtype, **settings)
    np.testing.assert_allclose(curves, numpy_curves, rtol=1e-4)
    np.testing.assert_allclose(theta, numpy_theta, rtol=1e-3, atol=1e-4)


def test_rows_that_do_not_fit_are_streamed(cupy_ops, monkeypatch, dtype):
    resident, theta, _ = train(cupy_ops(), "dense", dtype, t=X, validation=False)
    ops = cupy_ops()
    monkeypatch.setattr(ops, "dataset", lambda x: HostDataset(ops, x))
    streamed, streamed_theta, trainer = train(ops, "dense", dtype, t=X, validation=False)
    assert trainer.runner.repeated.recordings
    np.testing.assert_array_equal(streamed, resident)
    np.testing.assert_array_equal(streamed_theta, theta)


def test_a_data_set_larger_than_the_free_memory_stays_on_the_host(on_standin, monkeypatch):
    ops = on_standin()
    monkeypatch.setattr(DEVICE, "total", DEVICE.used + 10_000)
    assert type(ops.dataset(np.zeros((10, 100), np.float32))).__name__ == "ndarray"
    large = ops.dataset(np.arange(5000.0, dtype=np.float32).reshape(50, 100))
    assert (
        type(large).__name__ == "HostDataset"
        and large.shape == (50, 100)
        and ops.check_device(large) is large
    )
    np.testing.assert_array_equal(ops.to_numpy(large[3:5]), large.host[3:5])


def test_out_of_memory_says_what_to_do(on_standin, monkeypatch):
    ops = on_standin()
    monkeypatch.setattr(DEVICE, "total", DEVICE.used + (5 << 20))
    with pytest.raises(
        MemoryError,
        match=r"expected 38\.1 MiB of GPU memory .*\(10000, 1000\).*got 5\.0 MiB free.*Lower b",
    ):
        ops.empty((10_000, 1000), np.float32)
    with pytest.raises(MemoryError, match=r"data \(1000, 1000\)"):
        ops.to_device(np.zeros((1000, 1000)))


@pytest.mark.parametrize("make", [nanoae.Autoencoder, nanoae.VariationalAutoencoder])
def test_an_estimator_streams_its_rows_wherever_it_reads_them(cupy_ops, monkeypatch, make):
    """In fit, as validation rows, and in evaluate."""
    settings = {"epochs": 4, "batch_size": 8, "validation_fraction": 0.2, "random_state": 0}
    ops = cupy_ops()
    resident = make(3, (5,), backend=cupy_ops(), **settings).fit(X)
    monkeypatch.setattr(ops, "dataset", lambda x: HostDataset(ops, x))
    streamed = make(3, (5,), backend=ops, **settings).fit(X)
    assert streamed.history_["val_loss"] == resident.history_["val_loss"]
    assert streamed.evaluate(X) == resident.evaluate(X)


def test_free_memory_in_pieces_is_not_enough(on_standin, monkeypatch):
    ops = on_standin()

    def refused(x, dtype=None):
        raise MemoryError

    monkeypatch.setattr(ops, "to_device", refused)
    assert isinstance(ops.dataset(X), HostDataset)


def test_a_second_fit_and_other_data_are_captured_anew(cupy_ops, dtype):
    ops = cupy_ops()
    trainer = train(ops, "dense", dtype, validation=False)[2]
    other = ops.to_device(np.random.default_rng(5).random((ROWS, D)).astype(dtype))
    twin = train(Ops(), "dense", dtype, validation=False)[2]
    for epoch in range(3):
        again = trainer.epoch(other)
        assert again == pytest.approx(twin.epoch(ops.to_numpy(other)), rel=1e-4), epoch
    wide = ops.to_device(np.random.default_rng(6).random((2 * ROWS, D)).astype(dtype))
    assert wide.data.ptr == wide[::2].data.ptr
    for rows in (
        other[:20],
        wide[:ROWS],
        wide[:ROWS],
        wide[:ROWS],
        wide[::2],
        wide.view("i4").reshape(-1, D)[:ROWS],
    ):
        assert trainer.epoch(rows) == pytest.approx(twin.epoch(ops.to_numpy(rows)), rel=1e-4)


CHANGES = {  # of what a callback may change from one epoch to the next
    "penalty": lambda trainer: setattr(trainer.network.layers[3], "weight", 0.5),
    "noise": lambda trainer: setattr(trainer.network.layers[0], "std", 0.0),
    "frozen noise": lambda trainer: trainer.network.freeze_noise(True),
    "loss": lambda trainer: setattr(trainer.loss, "weight", 2.0),
    "weight decay": lambda trainer: setattr(trainer.optimizer, "weight_decay", 0.1),
    "momentum": lambda trainer: setattr(trainer.optimizer, "momentum", 0.1),
    "clipping": lambda trainer: setattr(trainer.optimizer, "clip_norm", 0.01),
    "frozen layers": lambda trainer: setattr(trainer.updates, "slices", [slice(0, 60)]),
    "rate": lambda trainer: setattr(trainer.optimizer, "lr", 0.01),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_callback_changes_counts_from_the_next_epoch(cupy_ops, name):
    def curve(ops, change):
        layers = [nanoae.GaussianNoise(0.3), Linear(9), Tanh(), nanoae.L1Sparsity(0.01), Linear(D)]
        net = Sequential(layers).build(D, ops, random_state=0)
        trainer = Trainer(
            net, nanoae.MSE(), optim.SGD(0.1, 0.9), batch_size=8, epochs=6, rows=ROWS,
            callbacks=(lambda trainer, row: row["epoch"] == 3 and change(trainer),)
        )  # fmt: skip
        return trainer.fit(ops.to_device(X, net.dtype))["loss"], trainer.runner.repeated.recordings

    mine, graphs = curve(cupy_ops(), CHANGES[name])
    assert graphs and mine == curve(cupy_ops(graph=False), CHANGES[name])[0]
    untouched = curve(cupy_ops(), lambda trainer: None)[0]
    assert mine[:3] == untouched[:3] and mine[3:] != untouched[3:]


def test_a_graph_is_kept_while_nothing_changes(on_standin):
    for model in (
        "masking",
        "variational",
        "convolutional",
        "recurrent",
        "schedule",
        "AdamW, clipped",
    ):
        trainer = train(on_standin(), model, np.dtype("float32"), epochs=6, validation=False)[2]
        x = trainer.ops.to_device(X, np.dtype("float32"))
        trainer.evaluate(x[:9])
        for _ in range(4):
            trainer.epoch(x)
        graphs = dict(trainer.runner.repeated.recordings)
        trainer.evaluate(x[:9])
        trainer.epoch(x)
        assert graphs.keys() == {5, 8} and trainer.runner.repeated.recordings == graphs, model


def test_layers_that_know_each_other_are_captured(on_standin, monkeypatch):
    """Settings are looked for in them, and each is looked at once."""

    class Knowing(Tanh):
        def __init__(self, other=None):
            self.other = other

    def circle():
        one, two = Knowing(), Knowing()
        one.other, two.other = two, one
        return [Linear(3), one, two, Linear(D)]

    monkeypatch.setitem(MODELS, "circle", (circle, "mse", Adam(1e-2)))
    trainer = train(on_standin(), "circle", np.dtype("float32"))[2]
    assert set(trainer.runner.repeated.recordings) == {8, 5}


@pytest.mark.parametrize("non_blocking", [False, True])
def test_steps_are_in_the_order_of_the_callers_stream(cupy_ops, non_blocking):
    """Which need not be the null stream, and waits for nothing that it is not told to."""
    ops = cupy_ops()
    expected, theta, _ = train(ops, "dense", np.dtype("float32"))
    with ops.xp.cuda.Stream(non_blocking=non_blocking):
        curves, mine, trainer = train(cupy_ops(), "dense", np.dtype("float32"))
        x = ops.to_device(X, np.dtype("float32"))
        before = trainer.epoch(x)
        for _ in range(9):
            ops.axpby_inplace(x, 2.0, x, 0.0)  # a long way: who does not wait sees less
        after = trainer.epoch(x)
    np.testing.assert_array_equal(curves, expected)
    np.testing.assert_array_equal(mine, theta)
    assert after > 1000 * before


def test_another_thread_captures_with_a_workspace_of_its_own(cupy_ops):
    """The first one's is free for others once that thread has ended."""
    ops = cupy_ops()
    trainer = train(ops, "rectified", np.dtype("float32"), validation=False)[2]
    twin = train(cupy_ops(graph=False), "rectified", np.dtype("float32"), validation=False)[2]
    x, losses = ops.to_device(X, np.dtype("float32")), []

    def own():
        return {id(graph.own) for graph, _ in trainer.runner.repeated.recordings.values()}

    mine = own()
    thread = threading.Thread(target=lambda: losses.extend([trainer.epoch(x) for _ in range(3)]))
    thread.start()
    thread.join()
    theirs = own()
    losses.extend([trainer.epoch(x) for _ in range(3)])
    assert len(mine) == len(theirs) == 1 and theirs != mine and own() == mine
    assert losses == [twin.epoch(x) for _ in range(6)]


def test_handles_end_with_their_thread(on_standin):
    ops, libraries = on_standin(), []
    thread = threading.Thread(target=lambda: libraries.append(ops._own.blas.library))
    thread.start()
    thread.join()
    gc.collect()
    assert [library.calls for library in libraries] == [[("destroyed",)]]


def no_gpu(**options):
    raise BackendError


def test_copies_keep_the_backends_options_where_there_is_a_gpu(cupy_ops, monkeypatch):
    ae = nanoae.Autoencoder(3, (5,), epochs=1, backend="cupy:tf32,nograph", random_state=0).fit(X)
    for twin in (copy.deepcopy(ae), pickle.loads(pickle.dumps(ae))):
        assert (
            twin.network_.ops.backend == "cupy:tf32,nograph"
            and twin.network_.ops.precision == "tf32"
        )
    assert cupy_ops().backend == "cupy"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(nanoae.backend, "_cupy_ops", no_gpu)
        elsewhere.delenv("NANOAE_BACKEND", raising=False)
        assert pickle.loads(pickle.dumps(ae)).transform(X).shape == (ROWS, 3)


def test_the_host_reads_a_loss_once_an_epoch(on_standin, monkeypatch):
    ops, reads = on_standin(), []
    net = Sequential([Linear(3), Tanh(), Linear(D)]).build(D, ops, random_state=0)
    trainer = Trainer(net, nanoae.MSE(), Adam(), batch_size=8, epochs=1, rows=ROWS)
    x = ops.to_device(X, net.dtype)
    get = cupy_standin.ndarray.get
    monkeypatch.setattr(
        cupy_standin.ndarray,
        "get",
        lambda self, *a, **k: (reads.append(self), get(self, *a, **k))[1],
    )
    for epoch in range(3):
        trainer.epoch(x)
        assert len(reads) == 2 * (epoch + 1)  # the loss, and ‖theta‖² to see whether it is finite


# ---------------------------------------------------------------- what goes wrong


class Peeping(Tanh):
    """A layer that reads its numbers, as one of a user's own may."""

    def f(self, x, out):
        assert math.isfinite(float(self.ops.sum(x)))
        return super().f(x, out)


def test_what_cannot_be_captured_runs_plainly_and_says_so(cupy_ops, dtype, monkeypatch):
    layers = [Linear(6), Peeping(), Linear(D)]
    monkeypatch.setitem(
        MODELS,
        "peeping",
        (lambda: [type(layer)(*layer.config().values()) for layer in layers], "mse", Adam(1e-2)),
    )
    with pytest.warns(
        UserWarning, match=r"cannot be captured as a CUDA graph \(.*step by step"
    ) as told:
        curves, _, trainer = train(cupy_ops(), "peeping", dtype)
    assert len(told) == 1 and not trainer.runner.repeated.recordings
    np.testing.assert_allclose(curves, train(Ops(), "peeping", dtype)[0], rtol=1e-4)


class Drifting(Tanh):
    """A layer with an optimiser within, whose steps the host counts."""

    def infer_shape(self, in_shape):
        self.place, self.pull = self.ops.zeros(3, self.dtype), self.ops.zeros(3, self.dtype)
        self.optimizer = Adam().build(self.ops, self.place)
        return in_shape

    def df(self, dy, y, out):
        self.optimizer.step(self.place, self.pull)
        return super().df(dy, y, out)


def test_an_optimiser_that_counts_on_the_host_is_not_captured(on_standin, monkeypatch):
    """Its step number would stay what it was in the capture, and nobody would notice."""
    monkeypatch.setitem(
        MODELS, "drifting", (lambda: [Linear(3), Drifting(), Linear(D)], "mse", Adam(1e-2))
    )
    with pytest.warns(UserWarning, match="counts its steps on the host"):
        trainer = train(on_standin(), "drifting", np.dtype("float32"))[2]
    assert (
        not trainer.runner.repeated.recordings
        and trainer.network.layers[1].optimizer.t - trainer.optimizer.t in (0, 1)  # that in vain
    )


def test_without_a_cublas_of_its_own_it_runs_plainly(on_standin, monkeypatch, dtype):
    expected, theta, _ = train(on_standin(), "dense", dtype)
    monkeypatch.setattr(on_standin()._own, "blas", None)
    curves, plain_theta, trainer = train(on_standin(), "dense", dtype)
    assert not trainer.runner.repeated.recordings
    np.testing.assert_allclose(curves, expected, rtol=1e-5)
    np.testing.assert_allclose(plain_theta, theta, rtol=1e-3, atol=1e-5)


def test_ctrl_c_between_replays_leaves_a_consistent_optimiser(on_standin, monkeypatch):
    ops = on_standin()
    _, _, trainer = train(ops, "dense", np.dtype("float32"), validation=False)
    before, launches, launch = trainer.optimizer.t, [], cupy_standin.Graph.launch

    def stop(graph, stream=None):
        launches.append(graph)
        if len(launches) == 4:
            raise KeyboardInterrupt
        launch(graph, stream)

    monkeypatch.setattr(cupy_standin.Graph, "launch", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(ops.to_device(X, trainer.network.dtype))
    assert isinstance(trainer.optimizer.t, int) and before < trainer.optimizer.t <= before + 7
    monkeypatch.undo()
    assert math.isfinite(trainer.epoch(ops.to_device(X, trainer.network.dtype)))


def test_divergence_names_the_epoch_and_a_layer(cupy_ops):
    ops = cupy_ops()
    net = Sequential([Linear(9), ReLU(), Linear(D)]).build(D, ops, random_state=0)
    trainer = Trainer(net, nanoae.MSE(), optim.SGD(1e30), batch_size=8, epochs=9, rows=ROWS)
    with pytest.raises(nanoae.NotFiniteError, match=r"epoch \d: .*layer \d, Linear.*learning rate"):
        trainer.fit(ops.to_device(X, net.dtype))


@pytest.mark.parametrize(
    "backend", ["cupy:tf32", "cupy:nograph", "cupy:tf32,nograph", "cupy:noepilogues", "cupy"]
)
def test_the_backends_options(cupy_ops, monkeypatch, backend):
    ae = nanoae.Autoencoder(3, (5,), epochs=4, batch_size=8, backend=backend, random_state=0).fit(X)
    ops = ae.network_.ops
    assert ops.precision == ("tf32" if "tf32" in backend else "float32") and ops.graph == (
        "nograph" not in backend
    )
    assert bool(ae._trainer.runner.repeated.recordings) == ops.graph
    with pytest.raises(ValueError, match="backend: expected"):
        nanoae.get_ops(backend + ",fp8" if ":" in backend else "cupy:fp8")


def test_saved_on_one_device_loaded_on_the_other(cupy_ops, monkeypatch, tmp_path):
    for here, there in (("cupy", "numpy"), ("numpy", "cupy")):
        monkeypatch.setenv("NANOAE_BACKEND", here)
        ae = nanoae.Autoencoder(
            3, (5,), epochs=4, batch_size=8, backend="auto", random_state=0
        ).fit(X)
        ae.save(tmp_path / "model.npz")
        monkeypatch.setenv("NANOAE_BACKEND", there)
        again = nanoae.load(tmp_path / "model.npz")
        assert (ae.network_.ops.name, again.network_.ops.name) == (here, there)
        np.testing.assert_allclose(again.reconstruct(X), ae.reconstruct(X), rtol=1e-4, atol=1e-6)
        assert math.isfinite(again.partial_fit(X).history_["loss"][-1])


def test_what_only_the_cpu_does_goes_there_by_itself(cupy_ops, monkeypatch):
    monkeypatch.setenv("NANOAE_BACKEND", "cupy")
    ae = nanoae.Autoencoder(3, (5,), epochs=1, backend="auto", optimizer=nanoae.KFAC())
    assert ae.fit(X).network_.ops.name == "numpy"
    with pytest.raises(ValueError, match=r'expected backend "numpy", got "cupy"'):
        ae.set_params(backend="cupy").fit(X)


# ---------------------------------------------------------------- the matrix products


@pytest.mark.parametrize("turned", ["", "a", "b", "ab", "out", "a out", "ab out"])
def test_matrix_products_read_transposed_views_as_they_are(cupy_ops, dtype, turned):
    ops = cupy_ops()
    for m, k, n in [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (1, 1, 1)]:
        a = np.random.default_rng(0).random((m, k)).astype(dtype)
        b = np.random.default_rng(1).random((k, n)).astype(dtype)
        mine = [ops.to_device(x.T.copy()).T if name in turned.split(" ")[0] and turned != "out" else ops.to_device(x)
                for name, x in (("a", a), ("b", b))]  # fmt: skip
        out = ops.empty((n, m), dtype).T if "out" in turned else ops.empty((m, n), dtype)
        allocated = ops.allocations
        assert ops.matmul(*mine, out=out) is out and ops.allocations == allocated
        np.testing.assert_allclose(ops.to_numpy(out), a @ b, rtol=1e-5)


def test_matrix_products_of_vectors_slices_and_nothing(cupy_ops, dtype):
    ops, numbers = cupy_ops(), np.random.default_rng(0).random((8, 6)).astype(dtype)
    x = ops.to_device(numbers)
    for a, b in [
        (lambda x: x[0], lambda x: x.T),
        (lambda x: x, lambda x: x[1]),
        (lambda x: x[0], lambda x: x[1]),
        (lambda x: x[:, ::2], lambda x: x[::2, :3].T[:, :3]),
        (lambda x: x[2:5, 1:4], lambda x: x[:3, 2:]),
        (lambda x: x[:, :0], lambda x: x[:0]),
        (lambda x: x[:0], lambda x: x.T),
    ]:
        try:
            expected = a(numbers) @ b(numbers)
        except ValueError:
            continue
        np.testing.assert_allclose(ops.to_numpy(ops.matmul(a(x), b(x))), expected, rtol=1e-5)
    wide = ops.zeros((8, 12), dtype)
    ops.matmul(x, ops.to_device(np.eye(6, dtype=dtype)), out=wide[:, ::2])
    np.testing.assert_array_equal(ops.to_numpy(wide[:, ::2]), numbers)
    assert not ops.to_numpy(wide[:, 1::2]).any()
    with pytest.raises(ValueError):
        ops.matmul(x, x)


# ---------------------------------------------------------------- does the stand-in refuse what it should?


def test_the_stand_in_refuses_what_a_captured_stream_refuses(on_standin):
    ops = on_standin()
    xp, x = ops.xp, ops.to_device(np.ones((2, 3), np.float32))
    stream, pool = xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()
    refused = {
        "a read-back": lambda: float(x[0, 0]),
        "a copy from the host": lambda: ops.to_device(np.ones(3)),
        "synchronisation": ops.synchronize,
        "currently unsupported": lambda: xp.matmul(x, x.T),
        "loading the kernel": lambda: (
            xp.arctan2(x, x) if hasattr(xp, "arctan2") else xp.square(x, out=x)
        ),
    }
    with stream, xp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        for message, call in refused.items():
            with pytest.raises((CUDARuntimeError, NotImplementedError), match=message):
                call()
        stream.end_capture()
    with stream:
        xp.add(x, x, out=x)
        stream.begin_capture()
        with pytest.raises(AssertionError, match="common pool"):
            xp.empty(3)
        xp.add(x, x, out=x)
        graph = stream.end_capture()
    stream.synchronize()
    assert ops.to_numpy(x).tolist() == [[2.0] * 3] * 2  # captured, not computed
    graph.launch()
    assert ops.to_numpy(x).tolist() == [[4.0] * 3] * 2
    y = xp.empty(3)
    with stream:
        y.fill(1)
        stream.begin_capture()
        y.fill(1)
        graph = stream.end_capture()
    del y
    with pytest.raises(CUDARuntimeError, match="freed"):
        graph.launch()
    with pytest.raises(TypeError, match="Unsupported type"):
        x + np.ones(3, np.float32)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(x)
    with pytest.raises(RuntimeError, match="legacy"):
        DEVICE.null.begin_capture()


def test_the_stand_in_has_nothing_that_cupy_has_not():
    cupy = pytest.importorskip("cupy")
    for mine, theirs in (
        (cupy_standin.MODULES["cupy"], cupy),
        (cupy_standin.MODULES["cupy.cuda"], cupy.cuda),
        (cupy_standin.MODULES["cupy"].cuda.runtime, cupy.cuda.runtime),
        (cupy_standin.ndarray, cupy.ndarray),
        (cupy_standin.Stream, cupy.cuda.Stream),
        (cupy_standin.Event, cupy.cuda.Event),
        (cupy_standin.Graph, cupy.cuda.Graph),
    ):
        own = {
            "captured",
            "flush",
            "host",
            "memory",
            "outer",
            "pending",
            "switch",
            "view_of",
            "work",
        }
        assert not [
            name
            for name in vars(mine)
            if not name.startswith("_") and name not in own and not hasattr(theirs, name)
        ]
