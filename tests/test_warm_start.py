"""Does `fit` go on where it is told to, and for as many epochs as it is told?"""

import json
import tracemalloc

import numpy as np
import pytest

import nanoae

X = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
SETTINGS = {"epochs": 4, "batch_size": 16, "random_state": 0}


def made(**more):
    return nanoae.Autoencoder(2, (8,), **SETTINGS | more)


def test_without_it_a_second_fit_is_the_first():
    model = made()
    first = model.fit(X).transform(X)
    np.testing.assert_array_equal(model.fit(X).transform(X), first)


def test_with_it_the_loss_goes_on_where_it_was():
    model = made(warm_start=True).fit(X)
    before, loss = model.transform(X), model.evaluate(X)["loss"]
    model.fit(X)
    assert model.history_["loss"][0] < made().fit(X).history_["loss"][0]
    assert model.evaluate(X)["loss"] < loss and len(model.history_["loss"]) == 4
    assert np.abs(model.transform(X) - before).max() > 0


def test_a_rate_of_0_keeps_what_was_learned_to_the_bit():
    model = made(warm_start=True, scaling="standard").fit(100 * X)
    before = model.transform(100 * X)
    model.set_params(learning_rate=0.0).fit(X + 3)  # other rows, by the scale of the first
    np.testing.assert_array_equal(model.transform(100 * X), before)


@pytest.mark.parametrize("kind", [nanoae.Autoencoder, nanoae.VariationalAutoencoder])
def test_epochs_of_one_fit(kind):
    more = {} if kind is nanoae.Autoencoder else {"likelihood": "gaussian"}
    model = kind(2, (8,), **SETTINGS, **more)
    assert len(model.fit(X, epochs=7).history_["loss"]) == 7
    assert model.get_params()["epochs"] == 4 and len(model.fit(X).history_["loss"]) == 4
    with pytest.raises(ValueError, match="expected epochs to be a whole number >= 1, got 0"):
        model.fit(X, epochs=0)


def test_what_auto_has_chosen_stays(tmp_path):
    model = nanoae.Autoencoder(2, (8,), warm_start=True, random_state=0).fit(X)
    assert model.hidden_activation == "elu"
    loss = model.evaluate(X)["loss"]
    model.fit(X, epochs=3)
    assert model.hidden_activation == "elu" and model.evaluate(X)["loss"] < 1.2 * loss
    model.save(tmp_path / "m.npz")
    loaded = nanoae.load(tmp_path / "m.npz")
    assert loaded.get_params() == model.get_params() and loaded.get_params()["epochs"] == "auto"
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.fit(X, epochs=1).evaluate(X)["loss"] < 1.2 * loss


def test_other_columns_are_refused():
    model = made(warm_start=True).fit(X)
    with pytest.raises(ValueError, match="X has 5 features, but Autoencoder is expecting 6"):
        model.fit(X[:, :5])
    assert made(warm_start=True).fit(X[:, :5]).n_features_in_ == 5


@pytest.mark.parametrize(
    "other",
    [{"hidden": (4, 8)}, {"hidden": (9,)}, {"missing": "mask"}, {"tied_weights": True}],
    ids=str,
)
def test_weights_of_other_layers_are_refused_and_kept(other):
    model = nanoae.Autoencoder(6, (8, 4), warm_start=True, **SETTINGS).fit(X)
    before = model.transform(X)
    model.set_params(**other)
    with pytest.raises(ValueError, match="expected layers as they were"):
        model.fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize("labels", [[1, 2, 3], [0, 1, 2, 3], None], ids=str)
def test_labels_that_the_weights_do_not_know_are_refused(labels):
    """They would take the numbers of those that were learned."""
    more = {"likelihood": "gaussian", "warm_start": True, **SETTINGS}
    model = nanoae.VariationalAutoencoder(2, (8,), **more)
    model.fit(X, condition=np.arange(120) % 3)
    before = model.transform(X, 1)
    with pytest.raises(ValueError, match="from 0, 1, 2"):
        model.fit(X, condition=None if labels is None else np.resize(labels, 120))
    np.testing.assert_array_equal(model.transform(X, 1), before)
    model.set_params(learning_rate=0.0).fit(X, condition=np.full(120, 2))
    np.testing.assert_array_equal(model.transform(X, 1), before)


# ---------------------------------------------------------------- the optimiser's state in a model file


def going_on(kind, fit, **more):
    model = kind(2, (8,), **{**SETTINGS, **more})
    return model.fit(X[:100]) if fit else model.partial_fit(X[:100])


CASES = {
    "adam": (nanoae.Autoencoder, {}),
    "momentum": (nanoae.Autoencoder, {"optimizer": nanoae.SGD(1e-2, momentum=0.9)}),
    "K-FAC": (nanoae.Autoencoder, {"optimizer": nanoae.KFAC(), "backend": "numpy"}),
    "a schedule": (nanoae.Autoencoder, {"learning_rate": nanoae.Cosine(1e-2), "epochs": 20}),
    "noise": (nanoae.Autoencoder, {"corruption": nanoae.GaussianNoise(0.3)}),
    "noise by chance": (
        nanoae.Autoencoder,
        {"corruption": nanoae.GaussianNoise(0.3), "random_state": None},
    ),
    "auto": (nanoae.Autoencoder, {"epochs": "auto", "batch_size": "auto"}),
    "variational": (nanoae.VariationalAutoencoder, {"likelihood": "gaussian"}),
}


@pytest.mark.parametrize("fit", [True, False], ids=["after fit", "after partial_fit"])
@pytest.mark.parametrize("case", CASES)
def test_a_saved_model_goes_on_to_the_bit(case, fit, tmp_path):
    kind, more = CASES[case]
    model = going_on(kind, fit and case != "auto", **more)
    model.partial_fit(X)
    model.save(tmp_path / "model.npz", optimizer=True)
    other = nanoae.load(tmp_path / "model.npz")
    other.save(tmp_path / "again.npz", optimizer=True)
    again = nanoae.load(tmp_path / "again.npz")
    for one in (model, other, again):
        one.partial_fit(X).partial_fit(X[:50])
    for one in (other, again):
        np.testing.assert_array_equal(one.network_.theta, model.network_.theta)
        assert one.history_["loss"] == model.history_["loss"]
        assert one.get_params()["batch_size"] == model.get_params()["batch_size"]


def test_without_it_the_optimizer_is_a_new_one(tmp_path):
    model = made().fit(X)
    model.save(tmp_path / "model.npz")
    other = nanoae.load(tmp_path / "model.npz")
    assert np.abs(other.partial_fit(X).transform(X) - model.partial_fit(X).transform(X)).max() > 0


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_saved_fit_goes_on_to_the_bit(optimizer, tmp_path):
    model = made(warm_start=True).fit(X)
    model.save(tmp_path / "model.npz", optimizer=optimizer)
    other = nanoae.load(tmp_path / "model.npz").fit(X)
    np.testing.assert_array_equal(other.network_.theta, model.fit(X).network_.theta)


def test_none_is_refused(tmp_path):
    stacked = nanoae.StackedClassifier((4,), epochs=1).fit(X, np.arange(120) % 2)
    for model in (made(epochs="auto").fit(X), stacked):
        with pytest.raises(ValueError, match=r"save: expected a model with an optimizer .*auto"):
            model.save(tmp_path / "model.npz", optimizer=True)
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"noise": {"state": 1}},
        {"seed": {"entropy": "no number"}},
        {"order": None},
        {"rows": 0},
        {"t": -1},
        {"batch_size": 121},
    ],
    ids=repr,
)
def test_a_damaged_state_is_told(change, tmp_path):
    path = saved(made(), tmp_path, **change)
    with pytest.raises(ValueError, match="does not fit"):
        nanoae.load(path).partial_fit(X)


def saved(model, folder, n_updates=None, **change):
    """The file of the model, fitted, with these changes to the optimiser's state."""
    path = folder / "model.npz"
    model.fit(X).save(path, optimizer=True)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    header["training"] |= change
    if n_updates is not None:
        arrays["training.n_updates"] = np.array(n_updates)
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return path


def test_factors_that_were_measured_less_than_never_are_told(tmp_path):
    path = saved(made(optimizer=nanoae.KFAC()), tmp_path, n_updates=-1)
    with pytest.raises(ValueError, match=r"does not fit.*n_updates, counts int64 \(\), got"):
        nanoae.load(path).partial_fit(X)


MANY = 1 << 24  # rows of a batch


@pytest.mark.parametrize("kept", [True, False])
def test_a_batch_of_more_rows_than_there_are_takes_no_more_memory(kept, tmp_path):
    model = made(batch_size=MANY)
    if kept:
        model = nanoae.load(saved(made(), tmp_path, batch_size=MANY, rows=MANY))
    tracemalloc.start()
    model.partial_fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20, f"{peak >> 20} MB"


# ---------------------------------------------------------------- predictors, and lines of text

Y = X[:, 0] + X[:, 1]
LINES = ["a red cat sleeps", "a dog runs", "the red dog sleeps", "the cat runs far"] * 6
FITS = {
    "classifier": (nanoae.StackedClassifier, {"sizes": (8, 4), "pretrain_epochs": 1}, (X, Y > 0)),
    "regressor": (nanoae.StackedRegressor, {"sizes": (8, 4), "pretrain_epochs": 1}, (X, Y)),
    "text": (nanoae.TextVAE, {"code_size": 2, "state_size": 8}, (LINES, ["k", "l"] * 12)),
}


def of_kind(name, **more):
    kind, settings, _ = FITS[name]
    return kind(**SETTINGS | settings | {"warm_start": True, "learning_rate": 0.01} | more)


def learned(model):
    return model.network_.theta.copy()


@pytest.mark.parametrize("name", FITS)
def test_the_others_go_on_too(name, tmp_path):
    data = FITS[name][2]
    cold = of_kind(name).fit(*data).history_["loss"]
    model = of_kind(name).fit(*data, epochs=2)
    assert len(model.history_["loss"]) == 2
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    for one in (model, loaded):
        loss = one.fit(*data, epochs=3).history_["loss"]
        assert len(loss) == 3 and loss[0] < cold[0] and not one.interrupted_
        assert one.get_params()["epochs"] == 4
    np.testing.assert_array_equal(loaded.network_.theta, model.network_.theta)
    before = learned(model)
    model.set_params(learning_rate=0.0).fit(*data)
    np.testing.assert_array_equal(learned(model), before)
    again = model.set_params(warm_start=False, learning_rate=0.01).fit(*data)
    np.testing.assert_array_equal(again.history_["loss"], cold)


@pytest.mark.parametrize("name", FITS)
def test_weights_of_other_layers_are_refused_by_the_others(name):
    data = FITS[name][2]
    model = of_kind(name).fit(*data)
    before = learned(model)
    other = {"state_size": 9} if name == "text" else {"sizes": (4, 8)}
    with pytest.raises(ValueError, match="expected layers as they were"):
        model.set_params(**other).fit(*data)
    np.testing.assert_array_equal(learned(model), before)


def test_the_classes_stay():
    y = np.resize(["a", "b", "c"], 120)
    model = of_kind("classifier", class_weight="balanced", learning_rate=0.0).fit(X, y)
    p = model.predict_proba(X)
    with pytest.raises(ValueError, match=r"from \['a', 'b', 'c'\], got \['d', 'e'\]. Fit with"):
        model.fit(X, np.resize(["a", "e", "d"], 120))
    with pytest.raises(ValueError, match="expected labelled rows, got none"):
        model.fit(X, np.full(120, ""))
    model.fit(X + 0.1, np.resize(["c", "b"], 120))  # fewer: each still is what it was
    assert model.classes_.tolist() == ["a", "b", "c"] and np.isfinite(model.history_["loss"]).all()
    np.testing.assert_array_equal(model.predict_proba(X), p)


def test_the_scales_stay():
    model = of_kind("regressor", learning_rate=0.0, scaling="standard").fit(X, 1e6 + Y)
    before = model.predict(X)
    model.fit(X + 1, 1e6 + 5 * Y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_the_words_stay_and_unknown_ones_are_told():
    model = of_kind("text").fit(LINES)
    words, length = model.vocabulary_.tokens, model.n_features_in_
    with pytest.warns(UserWarning, match="unknown to the vocabulary are masked:  bird,  sings"):
        model.fit(["a bird sings", "a dog"])
    assert (model.vocabulary_.tokens, model.n_features_in_) == (words, length)
    with pytest.raises(ValueError, match="expected no keywords, as in fit"):
        model.fit(LINES, ["k"] * 24)


# ---------------------------------------------------------------- what has learned nothing has nothing to go on from


def test_a_fit_after_build_starts_afresh():
    model = made(warm_start=True, scaling="standard").build(6)
    assert model.fit(100 * X).scaling_ == "standard"
    model = of_kind("classifier").build(6, [0, 1])
    assert len(model.fit(X, Y > 0).pretrain_history_) == 2


def test_a_stack_goes_on_from_a_file_and_from_an_interrupted_fit(tmp_path):
    model = nanoae.StackedAutoencoder((4, 2), pretrain_epochs=1, warm_start=True, **SETTINGS).fit(X)
    model.save(tmp_path / "model.npz")
    assert len(nanoae.load(tmp_path / "model.npz").fit(X).history_["loss"]) == 4
    model.interrupted_ = True  # as Ctrl-C leaves it
    assert len(model.fit(X).history_["loss"]) == 4
