"""Is what a recording gives for a few rows what the layers give, to the bit, whatever came before?"""

import copy
import pickle

import numpy as np
import pytest

import nanoae
from nanoae import Autoencoder, ConvAutoencoder, Linear, StackedClassifier, VariationalAutoencoder
from nanoae.backend import native_ops
from nanoae.training.inference import INFERENCES, MOST, Inference

TABLE = np.random.default_rng(0).random((200, 8)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(TABLE.shape) < 0.1, np.nan, TABLE)
IMAGES = np.random.default_rng(2).random((200, 1, 8, 8)).astype(np.float32)
LABELS = np.arange(200) % 3
FEW = {"epochs": 1, "random_state": 0}


class Doubling(Linear):
    """A layer of one's own."""

    def forward(self, x, train=False):
        return super().forward(x, train) * 2


def own():
    return Autoencoder(encoder=[Doubling(3)], decoder=[Linear(8)], **FEW).fit(TABLE)


class Knowing(nanoae.Tanh):
    """A layer that knows another one, which knows it."""

    def __init__(self, other=None):
        self.other = other


def circle():
    one, two = Knowing(), Knowing()
    one.other, two.other = two, one
    network = nanoae.Sequential([Linear(3), one, two]).build(8, random_state=0)
    return Inference(network, 0, None, None)


def test_layers_that_know_each_other_or_wrap_ones_own_run_as_they_come():
    steps = nanoae.TimeDistributed(Doubling(3))
    network = nanoae.Sequential([nanoae.Reshape((2, 4)), steps]).build(8, random_state=0)
    for infer in (circle(), Inference(network, 0, None, None)):
        out = np.empty((5, *infer.layers[-1].out_shape), np.float32)
        infer(TABLE[:5], out=out)
        assert not infer.recordable and np.isfinite(out).all()


MODELS = {  # a fitted model, rows, whether its inference is recorded
    "dense": (lambda: Autoencoder(3, (16,), **FEW).fit(TABLE), TABLE, True),
    "tied, of logits": (
        lambda: Autoencoder(3, (16,), loss="bce", tied_weights=True, **FEW).fit(TABLE),
        TABLE,
        True,
    ),
    "with gaps": (lambda: Autoencoder(3, (16,), missing="mask", **FEW).fit(GAPS), GAPS, True),
    "float64": (lambda: Autoencoder(3, dtype="float64", **FEW).fit(TABLE), TABLE, True),
    "convolutional": (lambda: ConvAutoencoder(**FEW).fit(IMAGES), IMAGES, True),
    "variational": (lambda: VariationalAutoencoder(2, (16,), **FEW).fit(TABLE), TABLE, True),
    "classifier": (
        lambda: StackedClassifier((8, 4), pretrain_epochs=1, **FEW).fit(TABLE, LABELS),
        TABLE,
        True,
    ),
    "a layer of one's own": (own, TABLE, False),
}


def ask(model, rows):
    return (model.predict_proba if hasattr(model, "predict_proba") else model.reconstruct)(rows)


def recordings(model):
    """How many this thread keeps, of each part of the network that it has used."""
    return [len(inference.recordings) for inference in INFERENCES[model.network_].values()]


@pytest.fixture(params=MODELS)
def made(request):
    make, rows, recorded = MODELS[request.param]
    model = make()
    return model, rows, recorded and isinstance(model.network_.ops, native_ops.NativeOps)


def test_a_recording_gives_what_was_never_recorded(made):
    model, rows, recorded = made
    plain = model.network_.to("numpy:plain", "float64")
    for start, n in ((0, 5), (20, 5), (40, 9), (60, 5), (100, 9), (0, 70), (80, 5), (90, 9)):
        part = rows[start : start + n]
        got = ask(model, part)
        fresh = pickle.loads(pickle.dumps(model))
        assert got.tobytes() == ask(fresh, part).tobytes()
        wanted = plain.forward(np.asarray(model.scaled(part), np.float64))
        loss = copy.copy(model.loss_).build(plain.ops, plain.dtype)
        wanted = loss.predict(wanted, out=None)
        got = got if hasattr(model, "predict_proba") else model.scaled(got)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    found = recordings(model)
    assert found and all((n >= 3) is recorded for n in found)


def test_what_is_kept_has_a_bound(made):
    model, rows, recorded = made
    for n in range(1, 1 + 2 * MOST):
        ask(model, rows[:n])
    found = recordings(model)
    assert found and all(n <= MOST and bool(n) is recorded for n in found)


def test_what_changes_is_seen():
    model = Autoencoder(3, (16,), activation="leaky_relu", **FEW).fit(TABLE)
    part = TABLE[:5]
    before = [model.reconstruct(part) for _ in range(3)][-1]
    hidden = model.network_.layers[1]
    hidden.slope = 0.9
    changed = model.reconstruct(part)
    assert not np.allclose(before, changed)
    assert (changed == pickle.loads(pickle.dumps(model)).reconstruct(part)).all()
    model.partial_fit(TABLE)
    trained = model.reconstruct(part)
    assert not np.allclose(trained, changed)
    assert (trained == pickle.loads(pickle.dumps(model)).reconstruct(part)).all()


def another_layer(network):
    network.layers[1] = tanh = nanoae.Tanh()
    tanh.build(network.ops, (16,), network.dtype)


def own_forward(network):
    network.layers[1].forward = lambda x, train=False: x * 0.5


def own_function(network):
    network.layers[1].f = lambda x, out: np.multiply(x, 0.5, out=out)


def another_mean(network):
    layer = network.layers[2]
    layer.state["mean"] = layer.state["mean"] + 1


@pytest.mark.parametrize("change", [another_layer, own_forward, own_function, another_mean])
def test_what_is_put_in_the_place_of_something_is_seen(change):
    layers = [Linear(16), nanoae.ELU(), nanoae.BatchNorm(), Linear(3)]
    model = Autoencoder(encoder=layers, decoder=[Linear(8)], scaling="none", **FEW).fit(TABLE)
    part = TABLE[:5]
    before = [model.reconstruct(part) for _ in range(3)][-1]
    change(model.network_)
    again = [model.reconstruct(part) for _ in range(3)][-1]
    wanted = model.network_.forward(part)
    assert not np.allclose(before, wanted)
    np.testing.assert_allclose(again, wanted, rtol=1e-5, atol=1e-6)


def test_training_goes_on_with_a_setting_as_it_is_now():
    """One step over all rows, by the trainer of `fit` and by a new one."""
    numbers = {"activation": "leaky_relu", "optimizer": nanoae.SGD(0.1), "batch_size": 200}
    model = Autoencoder(3, (16,), **numbers, **FEW).fit(TABLE)
    fresh = pickle.loads(pickle.dumps(model))
    before = model.network_.theta.copy()
    for one in (model, fresh):
        one.network_.layers[1].slope = 0.9
        one.partial_fit(TABLE)
    assert not np.allclose(before, model.network_.theta, atol=1e-3)
    np.testing.assert_allclose(model.network_.theta, fresh.network_.theta, atol=1e-5)


@pytest.mark.parametrize("hidden", [(np.int64(16),), [16]])
def test_numbers_of_numpy_are_recorded_as_a_file_has_them(hidden, tmp_path):
    """Plain and recorded inference may differ in the last bit: a model that was saved has to take the same."""
    model = Autoencoder(np.int64(3), hidden, activation="elu", dtype="float64", **FEW).fit(TABLE)
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    assert (model.reconstruct(TABLE[:9]) == loaded.reconstruct(TABLE[:9])).all()


def test_a_recording_leaves_no_backward_behind():
    """It writes to the layers' buffers, as a forward does."""
    model = Autoencoder(3, (16,), **FEW).fit(TABLE)
    for _ in range(2):
        y = model.network_.forward(TABLE[:5], train=True)
        model.reconstruct(TABLE[:5])
        with pytest.raises(RuntimeError, match="nothing cached"):
            model.network_.backward(y)


def test_results_are_the_callers():
    model = Autoencoder(3, (16,), **FEW).fit(TABLE)
    first = model.transform(TABLE[:5])
    kept = first.copy()
    model.transform(TABLE[5:10])
    assert (first == kept).all()
    assert nanoae.PCA(2).fit(TABLE).transform(TABLE[:5]).shape == (5, 2)
