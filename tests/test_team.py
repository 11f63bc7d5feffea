"""Does a team of processes learn what one process learns?"""

import os
import pickle
import warnings

import numpy as np
import pytest

import nanoae
from nanoae.training.team import Team, TeamError, TeamTrainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

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


def train(layers, loss, optimizer, processes, batch_size=50, **settings):
    network = nanoae.Sequential(layers()).build(12, dtype="float64", random_state=0)
    shape = {"batch_size": batch_size, "epochs": 3, "rows": len(X), "seed": 1, **settings}
    if processes == 1:
        trainer = nanoae.Trainer(network, loss, optimizer(), **shape)
    else:
        trainer = TeamTrainer(network, loss, optimizer(), processes=processes, **shape)
    history = trainer.fit(X.astype(np.float64), validation=(X[:20].astype(np.float64), None))
    return trainer, history


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


def test_frozen_stays_to_the_byte():
    frozen = slice(0, 50)
    network = nanoae.Sequential(NETWORKS["deep"]()).build(12, random_state=0)
    before = network.theta[frozen].tobytes()
    size = len(network.theta)
    trainer = TeamTrainer(
        network,
        nanoae.MSE(),
        nanoae.Adam(),
        processes=2,
        batch_size=50,
        epochs=2,
        rows=203,
        trainable=[slice(117, size)],
    )
    rest = network.theta[117:].copy()
    trainer.fit(X)
    assert network.theta[frozen].tobytes() == before
    assert not np.array_equal(network.theta[117:], rest)


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


def test_divergence_is_told_once(capfd):
    with pytest.raises(nanoae.NotFiniteError, match="epoch"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(NETWORKS["deep"], nanoae.MSE(), lambda: nanoae.SGD(1e200), 2)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": [nanoae.Linear(4), nanoae.BatchNorm()], "decoder": [nanoae.Linear(12)]}, "BatchNorm"),
        ({"tied_weights": True}, "Linear"),
        ({"code_activation": "sigmoid", "penalty": nanoae.KLSparsity()}, "row by row"),
        ({"optimizer": nanoae.Adam(clip_norm=1.0)}, "clip_norm"),
        ({"processes": 0}, "whole number"),
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
