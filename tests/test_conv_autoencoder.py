"""Does ConvAutoencoder do with images what Autoencoder does with rows, in exactly the published layers?"""

import pickle

import numpy as np
import pytest
from test_layers import published

import nanoae
from nanoae import (
    Autoencoder,
    Conv2d,
    ConvAutoencoder,
    ConvTranspose2d,
    Flatten,
    Linear,
    ReLU,
    Reshape,
    Tanh,
)

rng = np.random.default_rng(0)
IMAGES = rng.uniform(-1, 1, (24, 1, 28, 28)).astype(np.float32)
COLOUR = rng.uniform(-1, 1, (24, 3, 6, 5)).astype(np.float32)


def small(code_size=2, **settings):
    """The published layers with few channels."""
    return ConvAutoencoder(
        code_size,
        **{"hidden": (2, 3, 4), "epochs": 2, "batch_size": 8, "random_state": 0, **settings},
    )


def coloured(**settings):
    """Layers for COLOUR."""
    return ConvAutoencoder(
        encoder=[Conv2d(4, 3, 2, 1), ReLU(), Flatten(), Linear(5)],
        decoder=[Linear(36), ReLU(), Reshape((4, 3, 3)), ConvTranspose2d(3, (4, 3), 2, 1), Tanh()],
        **{"epochs": 2, "batch_size": 8, "random_state": 0, **settings},
    )


MODELS = {"published": (small, IMAGES), "own layers": (coloured, COLOUR)}


@pytest.fixture(params=MODELS)
def model_and_x(request):
    make, x = MODELS[request.param]
    return make, x


# ---------------------------------------------------------------- the layers


@pytest.mark.parametrize("code_size", [2, 3])
def test_the_default_layers_are_the_published_ones(code_size):
    model = ConvAutoencoder(code_size, epochs=20).build((1, 28, 28))
    assert [repr(layer) for layer in model.network_.layers] == [
        repr(layer) for layer in nanoae.Sequential(published(code_size)).build((1, 28, 28)).layers
    ]
    assert (
        model.code_size_ == code_size
        and "Tanh()" in model.summary().split("<- code")[0].splitlines()[-1]
    )


@pytest.mark.parametrize("shape", [(1, 28, 28), (28, 28), (784,)], ids=str)
def test_one_grey_image_may_come_in_any_shape(shape):
    x = IMAGES.reshape(-1, *shape)
    model, reference = small().fit(x), small().fit(IMAGES)
    assert model.input_shape_ == shape and model.n_features_in_ == 784
    np.testing.assert_array_equal(model.transform(x), reference.transform(IMAGES))
    assert model.reconstruct(x).shape == x.shape
    np.testing.assert_array_equal(
        model.reconstruct(x).ravel(), reference.reconstruct(IMAGES).ravel()
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"activation": "elu", "loss": "bce", "output_activation": "identity"}],
    ids=str,
)
def test_gradients_of_the_whole_network(settings):
    model = small(**settings).build((1, 28, 28))
    x = np.random.default_rng(0).uniform(0.1, 0.9, (6, 1, 28, 28))
    report = nanoae.check_gradients(model, x, x, nanoae.engine.losses.get(model.loss))
    assert report.ok, str(report)


# ---------------------------------------------------------------- using it


def test_codes_and_reconstructions(model_and_x, ops, dtype):
    make, x = model_and_x
    model = make(backend=ops, dtype=dtype.name).fit(x)
    codes = model.transform(x)
    assert codes.shape == (len(x), model.code_size_) and codes.dtype == dtype
    again = model.inverse_transform(codes)
    assert again.shape == x.shape and np.abs(again).max() <= 1
    np.testing.assert_allclose(again, model.reconstruct(x), rtol=1e-5, atol=1e-6)
    error = (x - again) ** 2
    for per, expected in (
        ("element", error),
        ("row", error.mean((1, 2, 3))),
        ("feature", error.mean(0)),
    ):
        np.testing.assert_allclose(
            model.reconstruction_error(x, per), expected, rtol=1e-4, atol=1e-5
        )
    assert model.evaluate(x)["mse"] == pytest.approx(error.mean(), rel=1e-5) == -model.score(x)
    assert list(model.get_feature_names_out()) == [
        f"convautoencoder{i}" for i in range(model.code_size_)
    ]


def test_a_seed_decides_everything(model_and_x):
    make, x = model_and_x
    first, again, other = (make(random_state=seed).fit(x).network_.theta for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_saved_model_is_the_same_model(model_and_x, tmp_path):
    make, x = model_and_x
    model = make().fit(x)
    model.save(tmp_path / "model.npz")
    for twin in (nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert (
            type(twin) is ConvAutoencoder and twin.get_params().keys() == model.get_params().keys()
        )
        assert twin.reconstruct(x).tobytes() == model.reconstruct(x).tobytes()
        assert twin.input_shape_ == x.shape[1:] and twin.history_ == model.history_
        twin.partial_fit(x)
        assert len(twin.history_["loss"]) == 3


@pytest.mark.parametrize(
    "part",
    [
        {"corruption": nanoae.MaskingNoise(0.3)},
        {"penalty": nanoae.L1Sparsity(1e-2)},
        {"bottleneck": nanoae.TopK(1)},
        {"bottleneck": nanoae.Gaussian(1e-3), "code_activation": "identity"},
        {"validation_fraction": 0.25, "patience": 1},
        {"optimizer": nanoae.SGD(1e-3)},
        {"code_activation": "sigmoid", "penalty": nanoae.KLSparsity(0.1, 0.1)},
    ],
    ids=lambda part: "-".join(part),
)
def test_parts_are_swapped_as_in_any_autoencoder(part):
    model = small(**part).fit(IMAGES)
    assert np.isfinite(model.history_["loss"]).all()
    if part.get("bottleneck", None).__class__ is nanoae.TopK:
        assert (np.count_nonzero(model.transform(IMAGES), axis=1) <= 1).all()
    assert (
        model.history_["loss"] != small().fit(IMAGES).history_["loss"]
    ) or "validation_fraction" in part


def test_it_learns_digits():
    large = np.kron(nanoae.load_data("digits").x_train[:600] / 8 - 1, np.ones((3, 3)))
    x = np.pad(large, ((0, 0), (2, 2), (2, 2)), constant_values=-1)
    model = ConvAutoencoder(3, epochs=8, batch_size=30, random_state=0).fit(x)
    # the mean image has all of the variance
    assert model.evaluate(x)["mse"] < 0.85 * x.var(axis=0).mean()


def test_fit_partial_fit_and_validation():
    model = small().fit(IMAGES, validation_data=IMAGES[:7])
    assert len(model.history_["val_loss"]) == 2
    fresh = small().partial_fit(IMAGES).partial_fit(IMAGES)
    assert len(fresh.history_["loss"]) == 2 and fresh.transform(IMAGES).shape == (24, 2)


def test_images_are_left_as_they_are_and_may_lie_in_memory_as_they_like():
    kept = IMAGES.copy()
    model = small().fit(IMAGES)
    np.testing.assert_array_equal(IMAGES, kept)
    other = np.asfortranarray(IMAGES)[::-1][::-1]
    np.testing.assert_array_equal(model.transform(other), model.transform(IMAGES))
    np.testing.assert_allclose(
        model.transform(IMAGES[:1]), model.transform(IMAGES)[:1], rtol=1e-4, atol=1e-5
    )


def test_parameters_are_scikit_learns():
    base = pytest.importorskip("sklearn.base")
    model = base.clone(ConvAutoencoder(3, hidden=(4, 4, 4)))
    assert model.get_params()["code_size"] == 3 and model.get_params()["learning_rate"] == 1e-2
    assert model.set_params(activation="relu").activation == "relu"
    assert (
        repr(ConvAutoencoder(3)) == "ConvAutoencoder(code_size=3)"
        and ConvAutoencoder().batch_size == "auto"
    )


# ---------------------------------------------------------------- what it says to a mistake


BAD = {
    "another size": (small(), np.zeros((9, 3, 32, 200)), r"\(C, H, W\) of 8 to 128.*encoder=.*decoder="),
    "no images": (small(), np.zeros(9), r"expected images \(N, C, H, W\) or a 2D array \(N, D\), got 1D"),
    "no pixels": (small(), np.zeros((9, 1, 0, 28)), r"0 feature\(s\)"),
    "one image": (small(), IMAGES[:1], "at least 2 rows"),
    "two widths": (small(hidden=(2, 3)), IMAGES, r"channels of three convolutions, got \(2, 3\)"),
    "tied": (small(tied_weights=True), IMAGES, "expected tied_weights=False"),
    "bce and tanh": (small(loss="bce"), IMAGES, 'expected output_activation "sigmoid"'),
    "another end": (coloured(), np.zeros((9, 3, 8, 5)), r"a decoder that ends in the input's shape \(3, 8, 5\)"),
    "own encoder, size of others": (
        ConvAutoencoder(encoder=[Flatten(), Linear(2)]), COLOUR, r"expected images \(C, H, W\) of 8 to 128"
    ),
    "too small for a kernel": (
        ConvAutoencoder(encoder=[Conv2d(2, 9), Flatten(), Linear(2)], decoder=[Linear(2)]), COLOUR, "kernel that fits"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_clear_error_and_leaves_nothing(name):
    model, x, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        model.fit(x)
    assert not hasattr(model, "network_") and not hasattr(model, "n_features_in_")


def test_a_bad_pixel_is_told_with_its_place():
    bad = IMAGES.copy()
    bad[7, 0, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"got NaN in row 7, place \(0, 3, 4\)"):
        small().fit(bad)


def test_images_after_fit_are_of_the_shape_of_fit():
    model = small().fit(IMAGES)
    with pytest.raises(
        ValueError, match=r"expected X of shape \(N, 1, 28, 28\), as in fit, got \(24, 784\)"
    ):
        model.transform(IMAGES.reshape(24, 784))
    with pytest.raises(
        ValueError, match=r"expected X of shape \(N, 1, 28, 28\), got \(24, 3, 6, 5\)"
    ):
        model.transform(COLOUR)
    with pytest.raises(
        ValueError, match=r"expected codes of shape \(N, 2\), got \(24, 1, 28, 28\)"
    ):
        model.inverse_transform(IMAGES)


def test_a_dense_autoencoder_takes_images_where_its_own_layers_do():
    own = Autoencoder(
        encoder=[Flatten(), Linear(4)], decoder=[Linear(90), Reshape((3, 6, 5))], epochs=1
    ).fit(COLOUR)
    assert own.reconstruct(COLOUR).shape == COLOUR.shape
    with pytest.raises(ValueError, match="Flatten the images first"):
        Autoencoder(epochs=1).fit(COLOUR)


def test_a_code_may_be_a_map():
    model = ConvAutoencoder(
        encoder=[Conv2d(2, 3, 3)],
        decoder=[ConvTranspose2d(3, 3, 3, 0, (0, 2))],
        epochs=1,
        batch_size=8,
    ).fit(COLOUR)
    codes = model.transform(COLOUR)
    assert codes.shape == (24, 2, 2, 1) and model.inverse_transform(codes).shape == COLOUR.shape


def test_a_decoder_may_be_tied_to_the_encoder(tmp_path):
    first, last = Conv2d(4, 3, 2, 1), Linear(5)
    layers = [first, ReLU(), Flatten(), last]
    mirrored = [nanoae.TiedLinear(last), Reshape((4, 3, 3)), nanoae.TiedConvTranspose2d(first)]
    x = COLOUR[:, :, :5]  # (24, 3, 5, 5)
    model = ConvAutoencoder(
        encoder=layers, decoder=mirrored, epochs=2, batch_size=8, random_state=0
    ).fit(x)
    mine = model.network_.layers
    assert mine[-1].source is mine[0] and mine[-3].source is mine[3] and mine[0] is not first
    model.save(tmp_path / "model.npz")
    twin = nanoae.load(tmp_path / "model.npz")
    assert twin.reconstruct(x).tobytes() == model.reconstruct(x).tobytes()
    # and the tie is kept in training
    assert twin.partial_fit(x).network_.theta.size == model.network_.theta.size
    assert twin.network_.layers[-1].source is twin.network_.layers[0]


def test_a_thread_keeps_no_more_memory_than_a_hundred_images_need():
    images = np.random.default_rng(0).uniform(-1, 1, (1000, 784)).astype(np.float32)
    few = nanoae.ConvAutoencoder(3, epochs=1, random_state=0, backend="numpy").build(784)
    many = nanoae.ConvAutoencoder(3, epochs=1, random_state=0, backend="numpy").build(784)
    few.reconstruct(images[:100])
    np.testing.assert_array_equal(many.reconstruct(images)[:100], few.reconstruct(images[:100]))
    kept = [
        sum(b.nbytes for layer in model.network_.layers for b in layer.buffers.values())
        for model in (few, many)
    ]
    assert kept[0] == kept[1] < 16e6


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 32), (4, 128, 100)])
def test_images_of_other_sizes_have_default_layers_too(shape, tmp_path):
    """Channels last are the same images, as rows, too."""
    images = np.random.default_rng(0).random((8, *shape), np.float32)
    settings = {"epochs": 1, "batch_size": 4, "random_state": 0}
    first = ConvAutoencoder(3, **settings).fit(images)
    assert (
        first.transform(images).shape == (8, 3) and first.reconstruct(images).shape == images.shape
    )
    if shape[0] == 1:
        return
    last = np.moveaxis(images, 1, -1)
    model = ConvAutoencoder(3, **settings).fit(last)
    assert (np.moveaxis(model.reconstruct(last), -1, 1) == first.reconstruct(images)).all()
    rows = ConvAutoencoder(3, **settings, image_shape=last.shape[1:]).fit(last.reshape(8, -1))
    assert (rows.reconstruct(last.reshape(8, -1)) == model.reconstruct(last).reshape(8, -1)).all()
    model.save(tmp_path / "model.npz")
    assert (nanoae.load(tmp_path / "model.npz").reconstruct(last) == model.reconstruct(last)).all()
