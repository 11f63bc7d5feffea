"""Is a training that diverges stopped, told where, and are the best weights kept?"""

import warnings

import numpy as np
import pytest

import nanoae
from nanoae import Autoencoder, NotFiniteError

X = np.random.default_rng(0).random((64, 6), np.float32)
SMALL = {"code_size": 2, "hidden": (5,), "batch_size": 16, "epochs": 6, "random_state": 0}
STEPS = 4  # an epoch


class Explodes:
    """A schedule whose rate is far too large at one step."""

    def __init__(self, at):
        self.at = at

    def __call__(self, t, total):
        return 1e30 if t == self.at else 1e-3


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.mark.parametrize("backend", ["numpy", "numpy:plain"])
@pytest.mark.parametrize(
    ("at", "where"), [(1, "epoch 1, step 2"), (9, "epoch 3, step 2"), (24, "epoch 6, step 5")]
)
def test_the_step_the_layer_and_the_last_loss_are_told(backend, at, where):
    """The update spoils the weights, and the next step's loss tells it, or where there is none, the epoch's end."""
    model = Autoencoder(**SMALL, learning_rate=Explodes(at), backend=backend, optimizer="sgd")
    culprit = r"layer \d, " if at < 24 else "no layer, but the sum of the weights' squares"
    with pytest.raises(
        NotFiniteError, match=rf"{where}: .* is in {culprit}.*The last finite loss was 0\.\d+\."
    ):
        model.fit(X)


@pytest.mark.parametrize("backend", ["numpy", "numpy:plain"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_gradient_whose_square_overflows_is_no_silent_end_of_learning(backend, optimizer):
    model = Autoencoder(**SMALL, scaling="none", optimizer=optimizer, backend=backend)
    with pytest.raises(
        NotFiniteError,
        match=r"epoch 1, step 1: expected gradients whose squares are finite in float32",
    ):
        model.fit(X * np.float32(1e17))


def test_no_large_gradient_is_called_too_large():
    Autoencoder(**SMALL).fit(X * np.float32(1e6))


@pytest.mark.parametrize("watched", [{}, {"validation_fraction": 0.25, "patience": 9}])
def test_the_best_weights_are_kept(watched, tmp_path):
    params = {**SMALL, **watched, "optimizer": "sgd"}
    steps = 3 if watched else STEPS
    with pytest.raises(NotFiniteError) as error:
        Autoencoder(**params, learning_rate=Explodes(4 * steps + 1)).fit(X, checkpoint_dir=tmp_path)
    kept = error.value.model
    before = Autoencoder(**{**params, "epochs": 4}, learning_rate=Explodes(999)).fit(X)
    assert len(kept.history_["loss"]) == 4 and kept.history_["loss"] == before.history_["loss"]
    np.testing.assert_array_equal(kept.reconstruct(X), before.reconstruct(X))


def test_where_nothing_was_learned_nothing_is_kept(tmp_path):
    model = Autoencoder(**SMALL, learning_rate=Explodes(1), optimizer="sgd")
    with pytest.raises(NotFiniteError) as error:
        model.fit(X, checkpoint_dir=tmp_path)
    assert error.value.model is None and not hasattr(model, "network_")


def test_going_back_at_half_the_rate():
    model = Autoencoder(**SMALL, learning_rate=16.0, optimizer="sgd", on_divergence="restore")
    with pytest.warns(
        UserWarning, match=r"epoch 1, .* Going back to the end of epoch 0, at 0\.\d+ of the"
    ) as told:
        model.fit(X)
    back = [str(each.message) for each in told if "Going back" in str(each.message)]
    assert [float(message.split()[-5]) for message in back] == [0.5, 0.25]
    same = Autoencoder(**SMALL, learning_rate=4.0, optimizer="sgd").fit(X)
    np.testing.assert_array_equal(model.network_.theta, same.network_.theta)


def test_going_back_has_an_end():
    model = Autoencoder(**SMALL, learning_rate=1e30, optimizer="sgd", on_divergence="restore")
    with pytest.warns(UserWarning, match="Going back"), pytest.raises(NotFiniteError):
        model.fit(X)


def test_what_went_back_goes_on_alike(tmp_path):
    """After each step of a fit that goes back, stopped and resumed."""
    params = {
        **SMALL,
        "epochs": 2,
        "learning_rate": 16.0,
        "optimizer": "sgd",
        "on_divergence": "restore",
    }

    class Stopped(Exception):
        pass

    def fit(last, **beside):
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            between, steps = nanoae.Trainer.between_steps, []

            def counted(self, *arguments):
                between(self, *arguments)
                steps.append(1)
                if len(steps) == last:
                    raise Stopped

            patch.setattr(nanoae.Trainer, "between_steps", counted)
            return Autoencoder(**params).fit(X, **beside), len(steps)

    whole, n = fit(None, checkpoint_dir=nanoae.Checkpoints(tmp_path / "whole", steps=1))
    for last in range(1, n):
        folder = tmp_path / f"{last}"
        with pytest.raises(Stopped):
            fit(last, checkpoint_dir=nanoae.Checkpoints(folder, steps=1))
        resumed, _ = fit(None, checkpoint_dir=folder, resume=True)
        np.testing.assert_array_equal(resumed.network_.theta, whole.network_.theta)
