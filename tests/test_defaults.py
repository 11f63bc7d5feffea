"""Do estimators learn enough where nothing is said, and say so where they did not?"""

from types import SimpleNamespace

import numpy as np
import pytest

import nanoae
from nanoae.autoencoders import model_file
from nanoae.autoencoders.plan import LinesPlan, Plan, heavy_tailed
from nanoae.autoencoders.saved import Saved

DATA = nanoae.load_data("digits")
LEARNED, TESTED = DATA.flat()


def test_the_default_beats_pca_on_digits():
    model = nanoae.Autoencoder(8, random_state=0).fit(LEARNED)
    pca = nanoae.PCA(8).fit(LEARNED)
    assert model.evaluate(TESTED)["mse"] < 0.75 * pca.reconstruction_error(TESTED).mean()
    assert model.get_params()["epochs"] == model.get_params()["batch_size"] == "auto"


def blobs(rows, channels, height, width):
    """Images of one Gaussian blob each: where, how wide, and how bright in each channel follows from chance."""
    random = np.random.default_rng(1)
    y = np.arange(height)[:, None] - random.uniform(0, height, (rows, 1, 1, 1))
    x = np.arange(width) - random.uniform(0, width, (rows, 1, 1, 1))
    spread = min(height, width) * random.uniform(0.1, 0.3, (rows, 1, 1, 1))
    bright = random.uniform(0.3, 1, (rows, channels, 1, 1))
    return (bright * np.exp(-(x**2 + y**2) / (2 * spread**2))).astype(np.float32)


def test_the_default_convolutions_beat_pca_on_blobs():
    images = blobs(1200, 1, 8, 8)
    rows = images.reshape(1200, -1)
    pca = nanoae.PCA(12).fit(rows[:1000]).reconstruction_error(rows[1000:]).mean()

    def good_enough(trainer, row):
        return row["val_loss"] < 0.5 * pca

    model = nanoae.ConvAutoencoder(12, callbacks=[good_enough], random_state=0).fit(images[:1000])
    assert model.reconstruction_error(images[1000:]).mean() < 0.8 * pca


@pytest.mark.parametrize(
    "shape, said, decay",
    [
        ((3, 8, 8), {}, 3e-4),
        ((9, 9, 3), {}, 3e-4),
        ((1, 28, 28), {}, 3e-4),
        ((3, 8, 8), {"epochs": 1}, 1e-5),
        ((3, 8, 8), {"weight_decay": 0.0}, 0.0),
        ((3, 8, 8), {"weight_decay": 1e-5}, 1e-5),
    ],
)
def test_default_convolutions_do_not_learn_few_images_by_heart(shape, said, decay):
    found = []

    def stop(trainer, row):
        found.append(trainer.optimizer.weight_decay)
        return True

    images = np.random.default_rng(0).random((60, *shape), np.float32)
    model = nanoae.ConvAutoencoder(2, callbacks=[stop], random_state=0, **said).fit(images)
    assert found == [decay]
    assert model.get_params()["weight_decay"] == said.get("weight_decay", "auto")


@pytest.mark.parametrize(
    ("shape", "said", "schedule"),
    [
        ((3, 72, 72), {}, nanoae.WarmUp),
        ((3, 16, 16), {}, nanoae.Cosine),
        ((3, 20, 20), {"epochs": 1}, float),
        ((3, 20, 20), {"learning_rate": nanoae.StepDecay(1e-2, 9)}, nanoae.StepDecay),
    ],
)
def test_the_rate_of_deep_convolutions_climbs(shape, said, schedule):
    found = []

    def stop(trainer, row):
        found.append(trainer.optimizer.lr)
        return True

    images = np.random.default_rng(0).random((60, *shape), np.float32)
    model = nanoae.ConvAutoencoder(2, callbacks=[stop], random_state=0, **said).fit(images)
    model.partial_fit(images)
    assert isinstance(found[0], schedule)
    assert model.get_params()["learning_rate"] == said.get("learning_rate", 1e-2)


def test_the_default_classifier_learns_from_few_labels():
    y = np.full(len(LEARNED), -1)
    y[:200] = DATA.y_train[:200]
    assert (
        nanoae.StackedClassifier((64, 32), random_state=0)
        .fit(LEARNED, y)
        .score(TESTED, DATA.y_test)
        > 0.85
    )


def test_the_default_says_lines_of_known_words():
    ends = ("now", "again", "alone", "here", "there")
    starts = ("the cat sits", "a dog runs", "we drink coffee", "she reads a book")
    lines = [f"{start} {end}" for start in starts for end in ends]
    model = nanoae.TextVAE(random_state=0).fit(lines)
    told = model.generate(10, random_state=0)
    assert set(" ".join(told).split()) <= set(" ".join(lines).split()) and sum(map(len, told)) > 50
    assert sum(line in lines for line in told) >= 5


def plan_of(rows, columns=10, **said):
    settings = {
        "batch_size": "auto",
        "epochs": "auto",
        "validation_fraction": "auto",
        "patience": "auto",
    }
    return Plan().settings(SimpleNamespace(**settings | said), rows, columns, watched=False)


@pytest.mark.parametrize("rows", [1, 2, 49, 50, 1000, 60_000, 10_000_000])
def test_there_are_enough_steps_for_the_rows(rows):
    found = plan_of(rows)
    steps = found["epochs"] * -(-rows // found["batch_size"])
    assert 16 <= found["batch_size"] <= 256 and steps >= min(max(1000, 50 * rows), 20_000)
    assert steps <= 20_000 + 3 * -(-rows // found["batch_size"])
    assert bool(found["patience"]) == bool(found["validation_fraction"]) == (rows >= 50)


def test_what_is_said_counts():
    unwatched = {"validation_fraction": 0.0, "patience": None}
    assert plan_of(100, epochs=3) == {"batch_size": 256, **unwatched}
    assert plan_of(100, epochs=3, batch_size=7) == unwatched
    assert plan_of(100, batch_size=100)["epochs"] == 5000
    assert plan_of(100, **unwatched) == {"batch_size": 16, "epochs": 715}
    assert "patience" not in plan_of(100, patience=2)
    assert LinesPlan().epochs(20, 30, 8) == 300
    model = nanoae.Autoencoder(2, epochs=3, batch_size=100, random_state=0).fit(LEARNED)
    assert len(model.history_["loss"]) == 3 and "val_loss" not in model.history_


@pytest.mark.parametrize(("columns", "epochs"), [(10, 500), (400, 500), (784, 306), (24_000, 10)])
def test_wide_tables_are_read_less_often(columns, epochs):
    """At most 1.2e9 numbers: 306 epochs of 5,000 images of 28 x 28 pixels."""
    assert plan_of(5000, columns)["epochs"] == epochs


@pytest.mark.parametrize(
    ("kind", "rows", "said", "rate"),
    [
        (nanoae.Autoencoder, 4500, {}, 2e-3),
        (nanoae.Autoencoder, 4000, {}, 1e-3),
        (nanoae.Autoencoder, 4500, {"learning_rate": 5e-4}, 5e-4),
        (nanoae.Autoencoder, 4500, {"learning_rate": nanoae.Cosine(0.1)}, 0.1),
        (nanoae.Autoencoder, 4500, {"epochs": 2}, 1e-3),
        (nanoae.ConvAutoencoder, 4500, {}, 1e-2),
    ],
)
def test_many_rows_are_learned_at_twice_the_rate_which_falls(kind, rows, said, rate):
    found = []

    def stop(trainer, row):
        found.append(trainer.updates.rate_at(1))
        return True

    images = np.random.default_rng(0).random((rows, 1, 8, 8), np.float32)
    X = images if kind is nanoae.ConvAutoencoder else images.reshape(rows, 64)
    kind(2, callbacks=[stop], random_state=0, **said).fit(X)
    assert found == [rate]


def test_loaded_it_shows_the_users_words(tmp_path):
    model = nanoae.Autoencoder(2, (4,), random_state=0).fit(LEARNED[:60])
    model.save(tmp_path / "m.npz")
    loaded = nanoae.load(tmp_path / "m.npz")
    assert loaded.get_params() == model.get_params() and loaded.get_params()["activation"] == "auto"
    assert loaded.best_epoch_ == model.best_epoch_ is not None
    np.testing.assert_array_equal(loaded.transform(TESTED), model.transform(TESTED))


def test_to_go_on_starts_from_the_whole_rate():
    model = nanoae.Autoencoder(2, (4,), random_state=0).fit(LEARNED[:60])
    before = model.transform(TESTED)
    model.partial_fit(LEARNED[60:200])
    assert np.abs(model.transform(TESTED) - before).max() > 1e-3


@pytest.mark.filterwarnings("default::nanoae.UnderfitWarning")
def test_what_is_worse_than_pca_is_told():
    with pytest.warns(
        nanoae.UnderfitWarning, match=r'where PCA with 8 components has 0\.0.*Leave epochs="auto"'
    ) as told:
        nanoae.Autoencoder(8, epochs=1, random_state=0).fit(LEARNED)
    assert told[0].filename == __file__


@pytest.mark.filterwarnings("default::nanoae.UnderfitWarning")
def test_images_are_compared_too():
    images = 2 * LEARNED[:400].reshape(-1, 8, 8, 1) - 1
    with pytest.warns(nanoae.UnderfitWarning, match="ConvAutoencoder: .* PCA with 8 components"):
        nanoae.ConvAutoencoder(8, epochs=1, random_state=0).fit(images)


@pytest.mark.filterwarnings("error::nanoae.UnderfitWarning")
@pytest.mark.parametrize(
    "parts",
    [{"penalty": nanoae.L1Sparsity(1e-3)}, {"bottleneck": nanoae.TopK(2)}, {"code_size": 64}],
    ids=["penalty", "bottleneck", "no smaller"],
)
def test_nothing_is_told_where_the_two_do_not_compare(parts):
    nanoae.Autoencoder(**{"code_size": 8, **parts}, epochs=1, random_state=0).fit(LEARNED)


@pytest.mark.filterwarnings("error::nanoae.UnderfitWarning")
def test_nothing_is_told_of_the_parts_of_others():
    nanoae.AnomalyDetector(nanoae.Autoencoder(8, epochs=1), random_state=0).fit(LEARNED[:300])


def test_heavy_tails_are_learned_by_tanh():
    random = np.random.default_rng(0)
    normal, heavy = random.normal(size=(1000, 3)), random.standard_cauchy((1000, 3))
    heavy[0, 0] = np.nan
    assert heavy_tailed(heavy) and not heavy_tailed(normal) and not heavy_tailed(heavy[:999])
    settings = dict(batch_size=1000, patience=1, missing="mask", random_state=0)
    stop = [lambda trainer, row: True]
    for rows, activation in ((normal, "elu"), (heavy, "tanh")):
        model = nanoae.Autoencoder(2, (4,), callbacks=stop, validation_fraction=0.1, **settings)
        assert model.fit(rows).hidden_activation == activation
        assert model.get_params()["activation"] == "auto"


@pytest.mark.parametrize(
    "rows, said, low, high",
    [
        ("table", {}, -1, 2),
        ("table", {"epochs": 1}, 0, 0),
        ("table", {"activation": "elu"}, 0, 0),
        ("table", {"bias_initializer": "ones"}, 1, 1),
        ("table", {"bias_initializer": "zeros"}, 0, 0),
        ("images", {}, 0, 0),
    ],
)
def test_hidden_layers_start_all_but_linear_for_a_table_alone(rows, said, low, high):
    X = {"table": np.random.default_rng(0).normal(size=(60, 5)), "images": LEARNED[:60]}[rows]
    still = {"learning_rate": 0.0, "callbacks": [lambda trainer, row: True], "random_state": 0}
    model = nanoae.Autoencoder(2, (4,), **still, **said).fit(X)
    first, code, again, last = [
        layer.params["b"] for layer in model.network_.layers if layer.params
    ]
    for hidden in (first, again):
        assert low <= hidden.min() <= hidden.max() <= high
        assert len(np.unique(hidden)) == (1 if low == high else 4)
    ends = said.get("bias_initializer") == "ones"
    assert (code == ends).all() and (last == ends).all()
    assert model.get_params()["bias_initializer"] == said.get("bias_initializer", "auto")


@pytest.mark.filterwarnings("default::nanoae.UnderfitWarning")
def test_what_is_known_of_rows_with_gaps_is_compared_too():
    gaps = np.random.default_rng(0).random(LEARNED.shape) < 0.02
    rows = np.where(gaps, np.nan, LEARNED)
    with pytest.warns(nanoae.UnderfitWarning, match="where PCA with 8 components has 0.0"):
        nanoae.Autoencoder(8, epochs=1, missing="mask", random_state=0).fit(rows)


def test_large_images_are_compared_with_pca_too():
    X = np.random.default_rng(0).normal(size=(60, 2)) @ np.random.default_rng(1).normal(
        size=(2, 1200)
    )
    with pytest.warns(nanoae.UnderfitWarning, match="PCA with 2 components"):
        nanoae.Autoencoder(2, (2,), epochs=1, random_state=0).fit(X)


def test_long_trainings_on_28_pixels_have_wider_layers_which_a_file_keeps(tmp_path):
    X = np.random.default_rng(0).random((40, 28, 28))
    model = nanoae.ConvAutoencoder(4, random_state=0).build((1, 28, 28))
    assert (32, 7, 7) in [layer.out_shape for layer in model.network_.layers]
    model.partial_fit(X[:, None])
    model.save(tmp_path / "model.npz")
    again = nanoae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.transform(X[:, None]), model.transform(X[:, None]))
    short = nanoae.ConvAutoencoder(4, epochs=1).build((1, 28, 28))
    assert (32, 2, 2) in [layer.out_shape for layer in short.network_.layers]


@pytest.mark.parametrize(
    "said, last", [({}, "Identity()"), ({"code_activation": "tanh"}, "Tanh()")]
)
def test_a_tanh_that_is_named_is_kept_whatever_the_size_of_the_images(said, last, tmp_path):
    images = np.random.default_rng(0).random((4, 1, 40, 40), np.float32)
    model = nanoae.ConvAutoencoder(2, hidden=(1, 1, 1), random_state=0, **said).build((1, 40, 40))
    assert repr(model.network_.layers[model.n_code_layers_ - 1]) == last
    model.save(tmp_path / "model.npz")
    again = nanoae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.transform(images), model.transform(images))
    assert again.get_params() == model.get_params()


def test_what_a_default_said_in_files_of_before_is_left_to_auto(tmp_path):
    """Then a model of large images had no tanh, whose file says "tanh"."""
    model = nanoae.ConvAutoencoder(2, hidden=(1, 1, 1), random_state=0).build((1, 40, 40))
    header, arrays = model_file.pack(model)
    del header["says_auto"]
    header["params"] |= model_file.FORMER
    again = model_file.unpack(header, Saved(arrays))
    assert repr(again.network_) == repr(model.network_)
    assert again.get_params() == model.get_params()


def test_rows_are_held_out_only_where_that_is_left_open():
    stop = [lambda trainer, row: True]
    for said, watched in (({}, True), ({"validation_fraction": 0.0}, False)):
        model = nanoae.Autoencoder(2, (4,), callbacks=stop, random_state=0, **said)
        assert ("val_loss" in model.fit(LEARNED[:60]).history_) == watched
    model = nanoae.Autoencoder(2, (4,), callbacks=stop, patience=None).fit(LEARNED[:60])
    assert "val_loss" in model.history_ and model.best_epoch_ is None


def faint(images):
    return (0.05 * images).astype(np.float32)


NOISE = np.random.default_rng(0).normal(size=(60, 3, 8, 8)) / 5
TWO_GREYS = np.where(NOISE > 0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("images", "said", "scaling", "end", "inside", "decay"),
    [
        (TWO_GREYS, {}, "none", "Tanh()", "leaky_relu", 3e-4),
        (faint(TWO_GREYS), {}, "standard", "Identity()", "leaky_relu", 3e-4),
        ((TWO_GREYS + 1) / 4, {}, "standard", "Identity()", "leaky_relu", 3e-4),
        (NOISE.clip(-1, 1), {}, "standard", "Identity()", "elu", 3e-3),
        (faint(NOISE), {"weight_decay": 1e-5}, "standard", "Identity()", "elu", 1e-5),
        (faint(NOISE), {"activation": "leaky_relu"}, "standard", "Identity()", "leaky_relu", 3e-4),
        (faint(NOISE), {"output_activation": "tanh"}, "none", "Tanh()", "leaky_relu", 3e-4),
        (faint(NOISE), {"scaling": "none"}, "none", "Tanh()", "leaky_relu", 3e-4),
        (faint(NOISE), {"epochs": 1}, "none", "Tanh()", "leaky_relu", 1e-5),
    ],
)
def test_images_of_low_contrast_are_standardised(
    images, said, scaling, end, inside, decay, tmp_path
):
    found = []

    def stop(trainer, row):
        found.append(trainer.optimizer.weight_decay)
        return True

    model = nanoae.ConvAutoencoder(2, hidden=(4, 4, 4), random_state=0, callbacks=[stop], **said)
    last = model.fit(images).network_.layers[-1]
    assert (model.scaling_, repr(last), model.hidden_activation, found) == (
        scaling,
        end,
        inside,
        [decay],
    )
    assert model.scaler_.center_.shape == (1,) if scaling == "standard" else True
    model.set_params(callbacks=()).save(tmp_path / "model.npz")
    again = nanoae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.reconstruct(images), model.reconstruct(images))
    assert again.get_params() == model.get_params()
    again.set_params(warm_start=True).fit(images, epochs=1)
    assert repr(again.network_.layers[-1]) == end and again.hidden_activation == inside


def test_low_contrast_does_not_make_default_convolutions_worse_than_pca():
    images = faint(2 * LEARNED[:600].reshape(-1, 1, 8, 8) - 1)
    rows = images.reshape(600, -1)
    pca = nanoae.PCA(8).fit(rows[:500]).reconstruction_error(rows[500:]).mean()
    model = nanoae.ConvAutoencoder(8, random_state=0).fit(images[:500])
    assert model.reconstruction_error(images[500:]).mean() < 0.9 * pca
