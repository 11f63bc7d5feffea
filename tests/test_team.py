"""Does a team of processes learn what one process learns?"""

import gc
import os
import pickle
import platform
import warnings
import weakref

import numpy as np
import pytest

import nanoae
from nanoae.training.team import Team, TeamError, TeamTrainer

here = hasattr(os, "fork") and platform.machine() in ("x86_64", "AMD64")
pytestmark = pytest.mark.skipif(not here, reason="needs fork and an x86")

X = np.random.default_rng(0).random((203, 12)).astype(np.float32)
NETWORKS = {
    "deep": lambda: [
        nanoae.Linear(9),
        nanoae.ReLU(),
        nanoae.Linear(5),
        nanoae.Linear(7),
        nanoae.Tanh(),
        nanoae.Linear(12),
    ],
    "one layer": lambda: [nanoae.Linear(12)],
    "wide code": lambda: [nanoae.Linear(40), nanoae.Sigmoid(), nanoae.Linear(12), nanoae.Sigmoid()],
    "penalty": lambda: [nanoae.Linear(6), nanoae.ReLU(), nanoae.L1Sparsity(0.01), nanoae.Linear(12)],
    "top k": lambda: [nanoae.Linear(6), nanoae.TopK(2), nanoae.Linear(12)],
}
OPTIMIZERS = {
    "sgd": lambda: nanoae.SGD(0.1, momentum=0.9),
    "adam": lambda: nanoae.Adam(1e-2, weight_decay=1e-3),
    "adamw": lambda: nanoae.AdamW(nanoae.Cosine(1e-2)),
}


def small(**settings):
    return nanoae.Autoencoder(3, (8,), epochs=3, batch_size=64, backend="numpy", random_state=0, **settings)


def train(layers, loss, optimizer, processes, batch_size=50, **settings):
    network = nanoae.Sequential(layers()).build(12, dtype="float64", random_state=0)
    shape = {"batch_size": batch_size, "epochs": 3, "rows": len(X), "seed": 1, **settings}
    if processes == 1:
        trainer = nanoae.Trainer(network, loss, optimizer(), **shape)
    else:
        trainer = TeamTrainer(network, loss, optimizer(), processes=processes, **shape)
    history = trainer.fit(X.astype(np.float64), validation=(X[:20].astype(np.float64), None))
    return trainer, history


@pytest.fixture(autouse=True)
def enough_cpus(monkeypatch):
    """What is asked here is what they compute, on however many CPUs."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_as_one(layers, processes):
    """203 rows in batches of 50: the last batch has 3, which is one or two for each."""
    alone, before = train(layers, nanoae.MSE(), OPTIMIZERS["adam"], 1)
    team, history = train(layers, nanoae.MSE(), OPTIMIZERS["adam"], processes)
    for quantity in ("loss", "val_loss"):
        np.testing.assert_allclose(history[quantity], before[quantity], rtol=1e-12)
    np.testing.assert_allclose(team.network.theta, alone.network.theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("loss", [nanoae.BCE(), nanoae.L1(reduction="batch"), nanoae.MSE("sum", 0.01)], ids=repr)
def test_losses_and_optimizers(loss, optimizer):
    alone, before = train(NETWORKS["deep"], loss, optimizer, 1)
    team, history = train(NETWORKS["deep"], loss, optimizer, 2)
    np.testing.assert_allclose(history["loss"], before["loss"], rtol=1e-12)
    np.testing.assert_allclose(team.network.theta, alone.network.theta, rtol=1e-9, atol=1e-12)


def test_more_members_than_rows():
    _, before = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 1, batch_size=101)
    _, history = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 3, batch_size=101)  # the last batch: one row
    np.testing.assert_allclose(history["loss"], before["loss"], rtol=1e-12)


def test_goes_on_alone_after_fit():
    """The moments of all members are the leader's, so an epoch more is what it would have been."""
    alone, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 1)
    team, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 2)
    x = X.astype(np.float64)
    assert team.epoch(x) == pytest.approx(alone.epoch(x), rel=1e-12)
    np.testing.assert_allclose(team.network.theta, alone.network.theta, rtol=1e-9, atol=1e-12)


def test_two_fits_of_a_trainer():
    """The second team starts where the first one ended, moments and all."""
    alone, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 1)
    team, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 2)
    x = X.astype(np.float64)
    np.testing.assert_allclose(team.fit(x)["loss"], alone.fit(x)["loss"], rtol=1e-12)


@pytest.mark.parametrize(
    "model", [small, lambda **k: pickle.loads(pickle.dumps(small(**k).fit(X)))], ids=["new", "kept"]
)
def test_partial_fit_is_done_alone(model):
    theta = [model(processes=processes).partial_fit(X).network_.theta for processes in (1, 2)]
    np.testing.assert_allclose(*theta, rtol=1e-3, atol=1e-5)


def test_a_fitted_model_is_its_own_process_s():
    """A worker that is forked later cannot change it, nor the results that another one is computing."""
    model = small(processes=2).fit(X)
    before = model.network_.theta.copy()
    child = os.fork()
    if not child:
        model.partial_fit(X)
        os._exit(0)
    os.waitpid(child, 0)
    np.testing.assert_array_equal(model.network_.theta, before)


def test_a_callback_changes_the_rate_for_all():
    kept = []

    def freeze(trainer, row):
        trainer.optimizer.lr = 0.0
        kept.append(trainer.network.theta.copy())

    train(NETWORKS["deep"], nanoae.MSE(), lambda: nanoae.SGD(0.1), 2, callbacks=(freeze,))
    assert len(kept) == 3
    np.testing.assert_array_equal(kept[0], kept[2])


def test_interrupted_within_a_step():
    """Ctrl-C while the loss is computed: it has its own weight again, and what was learned is kept."""
    network = nanoae.Sequential(NETWORKS["deep"]()).build(12, random_state=0)
    shape = {"batch_size": 50, "epochs": 3, "rows": len(X), "patience": 5}
    trainer = TeamTrainer(network, nanoae.MSE(), nanoae.Adam(), processes=2, **shape)
    value, leader, calls = trainer.loss.value, os.getpid(), []

    def interrupted(*arguments):
        calls.append(1)
        if os.getpid() == leader and len(calls) == 8:  # in the second epoch, after one validation
            raise KeyboardInterrupt
        return value(*arguments)

    trainer.loss.value = interrupted
    with pytest.warns(UserWarning, match="epoch 2 of 3"):
        history = trainer.fit(X, validation=(X, None))
    assert trainer.interrupted and trainer.loss.weight == 1.0
    assert trainer.evaluate(X) == pytest.approx(history["val_loss"][0])  # the best weights


@pytest.mark.parametrize("block", [30, 400_000])
@pytest.mark.parametrize(
    "trainable",
    [None, [slice(117, None)], [slice(0, 108), slice(167, 209)], [slice(108, 117), slice(117, 162)], [slice(18, 45)]],
    ids=["all", "upper layers", "W without b", "b", "some rows of W"],
)
def test_frozen_stays_to_the_byte(monkeypatch, trainable, block):
    """Linear(12, 9) has its W in 0:108 and its b in 108:117, the next one in 117:162 and 162:167."""
    monkeypatch.setattr("nanoae.training.team.BLOCK", block)
    alone, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 1, trainable=trainable)
    team, _ = train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 2, trainable=trainable)
    before = nanoae.Sequential(NETWORKS["deep"]()).build(12, dtype="float64", random_state=0).theta
    learns = np.zeros(len(before), bool)
    for part in trainable or [slice(None)]:
        learns[part] = True
    assert team.network.theta[~learns].tobytes() == before[~learns].tobytes()
    assert (team.network.theta != before).any()
    np.testing.assert_allclose(team.network.theta, alone.network.theta, rtol=1e-9, atol=1e-12)


def test_a_slice_that_cuts_a_row_is_refused():
    with pytest.raises(ValueError, match="between rows of W, got 60"):
        train(NETWORKS["deep"], nanoae.MSE(), OPTIMIZERS["adam"], 2, trainable=[slice(9, 60)])


def test_noise_repeats_with_the_seed():
    def fit():
        noisy = nanoae.Autoencoder(
            3, (8,), corruption=nanoae.GaussianNoise(0.3), epochs=3, batch_size=64, random_state=0
        )
        return noisy.set_params(processes=2, backend="numpy").fit(X)

    first, again = fit(), fit()
    assert first.network_.theta.tobytes() == again.network_.theta.tobytes()
    assert first.history_["loss"] == again.history_["loss"]


def test_estimator_saves_and_pickles(tmp_path):
    model = nanoae.Autoencoder(3, (8,), epochs=3, processes=2, backend="numpy", random_state=0).fit(X)
    model.save(tmp_path / "model.npz")
    for other in (nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.transform(X), model.transform(X))
    model.partial_fit(X)


STACKED = {
    "autoencoder": (nanoae.StackedAutoencoder, {}),
    "classifier": (nanoae.StackedClassifier, {"freeze": 1}),
    "regressor": (nanoae.StackedRegressor, {"freeze": 2, "penalty": nanoae.L1Sparsity(0.01)}),
}


@pytest.mark.parametrize(("kind", "settings"), STACKED.values(), ids=STACKED)
def test_stacked_estimators(kind, settings):
    """In the pretraining and after it, also where the first layers are frozen and the last batch is a single row."""
    rows = X[:201].astype(np.float64)
    models = [
        kind((9, 6), **settings, pretrain_epochs=2, epochs=2, batch_size=50, dtype="float64", random_state=0)
        .set_params(processes=processes, backend="numpy")
        .fit(rows, (rows[:, 0] > 0.5).astype(int))
        for processes in (1, 2)
    ]
    alone, team = (model.network_.theta for model in models)
    np.testing.assert_allclose(team, alone, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("labels", [None, np.arange(201) % 3], ids=["plain", "conditional"])
def test_variational_learns_as_well(labels):
    """Other noise, so other weights; but the same bound, and the same weights again with the same seed. The last batch
    is a single row; whoever has none still counts the step of the warm-up."""
    settings = {"epochs": 20, "batch_size": 50, "warm_up": 20, "backend": "numpy", "random_state": 0}
    first, again, alone = (
        nanoae.VariationalAutoencoder(3, (16,), **settings, processes=processes).fit(X[:201], condition=labels)
        for processes in (2, 2, 1)
    )
    assert first.network_.theta.tobytes() == again.network_.theta.tobytes()
    assert first.history_["loss"][-1] == pytest.approx(alone.history_["loss"][-1], rel=0.01)
    (_, steps), (_, expected) = first.network_.state(), alone.network_.state()
    assert steps == expected == 100


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_fit_frees_the_memory_of_the_first(processes):
    model = small(processes=processes).fit(X)
    gc.collect()
    gc.disable()
    try:
        first = weakref.ref(model._trainer)
        model.fit(X)
        assert first() is None
    finally:
        gc.enable()


def test_divergence_is_told_once(capfd):
    with pytest.raises(nanoae.NotFiniteError, match="epoch"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(NETWORKS["deep"], nanoae.MSE(), lambda: nanoae.SGD(1e200), 2)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": [nanoae.Linear(4), nanoae.BatchNorm()], "decoder": [nanoae.Linear(12)]}, "BatchNorm"),
        ({"tied_weights": True}, "Linear.*, which is tied or has a contractive penalty"),
        ({"code_activation": "sigmoid", "penalty": nanoae.KLSparsity()}, "row by row"),
        ({"optimizer": nanoae.Adam(clip_norm=1.0)}, "clip_norm"),
        ({"bottleneck": nanoae.Adversarial()}, "row by row"),
        ({"missing": "mask"}, "Masked"),
        ({"processes": 0}, "whole number"),
        ({"processes": 9999}, "the CPUs of this machine"),
        ({"processes": "2"}, "whole number"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        nanoae.Autoencoder(4, (), backend="numpy", **{"processes": 2, **settings}).fit(X)


def test_a_member_that_dies_is_noticed():
    team = Team(2)
    team.fork(lambda: None)  # ends at once, and never comes to the meeting
    with pytest.raises(TeamError, match="ended"):
        team.meet()
    team.dismiss()
