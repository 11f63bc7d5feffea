"""Is what a user puts in the place of a part of a fitted network seen by what trains it on and what saves it?"""

import pickle

import numpy as np
import pytest

import nanoae

X = np.random.default_rng(0).uniform(-0.9, 0.9, size=(80, 6)).astype(np.float32)


def fitted(**more):
    given = {"epochs": 2, "batch_size": 16, "random_state": 0, "scaling": "none", **more}
    return nanoae.Autoencoder(2, (8,), **given).fit(X)


def put(model, at, kind, **settings):
    """A new layer, in place of number `at`, or behind the last one."""
    layers = model.network_.layers
    beside = layers[at - 1]
    layer = kind(**settings)
    layer.build(beside.ops, beside.out_shape, beside.dtype)
    layers[at : at + 1] = [layer]


CHANGES = {
    "another activation": lambda model: put(model, 1, nanoae.Tanh),
    "one of the same kind": lambda model: put(model, 1, nanoae.LeakyReLU, slope=0.5),
    "one behind the last": lambda model: put(model, 8, nanoae.Tanh),
    "another network": lambda model: setattr(
        model, "network_", pickle.loads(pickle.dumps(model.network_))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_training_goes_on_with_the_layers_that_are_there(change):
    """As a copy does, which has no trainer yet."""
    model = fitted(activation="leaky_relu")
    CHANGES[change](model)
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.partial_fit(X)
    assert model.history_["loss"] == copy.history_["loss"]
    np.testing.assert_array_equal(model.reconstruct(X), copy.reconstruct(X))


def test_a_trainer_refuses_layers_that_a_callback_puts_there():
    def callback(trainer, row):
        put(trainer.model, 1, nanoae.Tanh)

    with pytest.raises(ValueError, match=r"Trainer: expected the layers it was made for"):
        fitted(callbacks=[callback])


def test_what_is_assigned_to_theta_is_what_the_layers_have():
    model = fitted()
    before = model.reconstruct(X)
    model.network_.theta = np.zeros_like(model.network_.theta)
    assert not model.reconstruct(X).any() and before.any()
    model.network_.theta += 0.125
    assert (model.network_.layers[0].params["W"] == 0.125).all()
    moved = model.reconstruct(X)
    assert np.abs(model.partial_fit(X).reconstruct(X) - moved).max() > 0


def another_layer(model):
    put(model, 2, nanoae.Linear, n_out=2)
    layer = model.network_.layers[2]
    layer.params |= {"W": np.ones((8, 2), np.float32), "b": np.zeros(2, np.float32)}


def another_array(model):
    layer = model.network_.layers[0]
    layer.params["W"] = layer.params["W"] * 2


def another_gradient(model):
    layer = model.network_.layers[0]
    layer.grads["W"] = np.zeros_like(layer.grads["W"])


@pytest.mark.parametrize("change", [another_layer, another_array, another_gradient])
def test_parameters_outside_theta_are_neither_trained_nor_saved(change, tmp_path):
    model = fitted()
    change(model)
    path = tmp_path / "model.npz"
    for ask in (
        lambda: model.partial_fit(X),
        lambda: model.save(path),
        lambda: pickle.dumps(model),
    ):
        with pytest.raises(
            ValueError, match=r"Linear\(.*expected parameters that are views of theta"
        ):
            ask()
    assert not path.exists()


def another_slope(model):
    model.network_.layers[1].slope = 0.9


@pytest.mark.parametrize("change", [another_slope, CHANGES["another activation"]])
def test_a_file_holds_what_the_parameters_make(change, tmp_path):
    """So other layers are refused; what they are in training alone may change, as the weight of KL does."""
    model = fitted(activation="leaky_relu", bottleneck=nanoae.Gaussian())
    path = tmp_path / "model.npz"
    next(x for x in model.network_.layers if isinstance(x, nanoae.Gaussian)).weight = 0.5
    model.save(path)
    assert (nanoae.load(path).transform(X) == model.transform(X)).all()
    path.unlink()
    change(model)
    for again in (model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match=r"Autoencoder: expected layers as its parameters ma"):
            again.save(path)
    assert not path.exists()
