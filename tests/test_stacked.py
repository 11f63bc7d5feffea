"""Are stacked networks learned one layer at a time, then as a whole, from all rows, and frozen where they are to be?"""

import copy
import json
import math
import pickle

import numpy as np
import pytest

import nanoae
from nanoae import (
    Autoencoder,
    Contractive,
    Dropout,
    GaussianNoise,
    KLSparsity,
    MaskingNoise,
    StackedAutoencoder,
    StackedClassifier,
    StackedRegressor,
    check_gradients,
)
from nanoae.autoencoders import stacked

pytestmark = pytest.mark.filterwarnings("ignore:.*labels are -1")

rng = np.random.default_rng(0)
X = rng.random((60, 8)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(int) + (X[:, 2] > 0.7)  # three classes
Z = 3.0 * X[:, 0].astype(float) - X[:, 1] + 100

SHARED = {
    "pretrain_epochs": 2,
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "random_state": 0,
}
STACKS = {
    "autoencoder": lambda **settings: StackedAutoencoder(
        **{"sizes": (6, 5, 3), **SHARED, **settings}
    ),
    "classifier": lambda **settings: StackedClassifier(
        **{"sizes": (6, 5, 3), **SHARED, **settings}
    ),
    "regressor": lambda **settings: StackedRegressor(**{"sizes": (6, 5, 3), **SHARED, **settings}),
}
TARGETS = {"autoencoder": (), "classifier": (Y,), "regressor": (Z,)}
PREDICTORS = ("classifier", "regressor")


def fitted(kind, **settings):
    return STACKS[kind](**settings).fit(X, *TARGETS[kind])


def theta(model):
    return model.network_.ops.to_numpy(model.network_.theta)


def outputs(model):
    """What the network says of X, before the loss makes probabilities or means of it."""
    ops = model.network_.ops
    return ops.to_numpy(model.network_.forward(ops.to_device(X, model.dtype))).astype(float)


def linears(model):
    return [layer for layer in model.network_.layers if layer.params]


def same(one, two):
    return theta(one).tobytes() == theta(two).tobytes()


@pytest.fixture
def shallow(monkeypatch):
    """The autoencoders that pretrained the layers, in order, as they come."""
    made, original = [], stacked.Stacked._layer_autoencoder

    def keep(self, i, seed):
        made.append(original(self, i, seed))
        return made[-1]

    monkeypatch.setattr(stacked.Stacked, "_layer_autoencoder", keep)
    return made


@pytest.fixture
def before_training(monkeypatch):
    """theta as it was between pretraining and training."""
    kept, original = [], stacked.NetworkEstimator._train

    def keep(self, *arguments):
        if isinstance(self, stacked.Stacked):
            kept.append(theta(self).copy())
        return original(self, *arguments)

    monkeypatch.setattr(stacked.NetworkEstimator, "_train", keep)
    return kept


# ---------------------------------------------------------------- one layer at a time


def test_each_layer_learns_the_codes_below(ops, shallow):
    """Unrolled and not yet trained as a whole, the deep network is the chain of the shallow ones."""
    ae = fitted(
        "autoencoder",
        epochs=0,
        activation="tanh",
        code_activation="elu",
        output_activation="softplus",
        backend=ops,
    )
    one, two, three = shallow
    codes = three.transform(two.transform(one.transform(X)))
    np.testing.assert_allclose(ae.transform(X), codes, atol=1e-6)
    again = one.inverse_transform(two.inverse_transform(three.inverse_transform(codes)))
    np.testing.assert_allclose(ae.reconstruct(X), again, atol=1e-6)
    assert ae.history_ == {"loss": [], "seconds": []}
    # and each learned from the codes of the one below, which is a fit of its own on them
    for model, below in [
        (one, X),
        (two, one.transform(X)),
        (three, two.transform(one.transform(X))),
    ]:
        assert same(Autoencoder(**model.get_params()).fit(below), model)


def test_sigmoid_codes_are_learned_by_cross_entropy(shallow):
    fitted("autoencoder", loss="mse")
    assert [model.loss for model in shallow] == ["mse", "bce", "bce"]
    assert [model.code_activation for model in shallow] == ["sigmoid", "sigmoid", "identity"]
    fitted("classifier", activation="relu", pretrain_loss="bce")
    assert [model.loss for model in shallow[3:]] == ["bce", "mse", "mse"]
    assert [model.code_activation for model in shallow[3:]] == ["relu"] * 3
    for model in shallow[1:3]:
        # the loss that a half for everything has
        assert model.history_["loss"][-1] < math.log(2) * 1.05


@pytest.mark.parametrize("kind", STACKS)
def test_settings_for_each_layer(shallow, kind):
    noises, penalties = (
        [GaussianNoise(0.1), None, MaskingNoise(0.2)],
        [KLSparsity(), Contractive(), None],
    )
    model = fitted(
        kind,
        corruption=noises,
        penalty=penalties,
        pretrain_epochs=(3, 1, 2),
        pretrain_learning_rate=0.02,
    )
    assert [part.corruption for part in shallow] == noises and [
        part.penalty for part in shallow
    ] == penalties
    assert [part.epochs for part in shallow] == [3, 1, 2] and {
        part.learning_rate for part in shallow
    } == {0.02}
    assert [len(history["loss"]) for history in model.pretrain_history_] == [3, 1, 2]
    assert len(model.history_["loss"]) == 2
    assert not any(
        isinstance(layer, (GaussianNoise, MaskingNoise, KLSparsity))
        for layer in model.network_.layers
    )
    fitted(kind, corruption=noises[0], pretrain_epochs=1)
    assert len(shallow) == 6
    assert all(part.corruption is noises[0] and part.epochs == 1 for part in shallow[3:])
    # not the same noise and order in each layer
    assert len({part.random_state for part in shallow[:3]}) == 3


def test_tied_weights(shallow):
    ae = fitted("autoencoder", epochs=0, tied_weights=True)
    codes = X
    for model in shallow:
        assert model.tied_weights
        codes = model.transform(codes)
    np.testing.assert_allclose(ae.transform(X), codes, atol=1e-6)
    for model in reversed(shallow):
        codes = model.inverse_transform(codes)
    np.testing.assert_allclose(ae.reconstruct(X), codes, atol=1e-6)


@pytest.mark.parametrize("kind", STACKS)
def test_without_pretraining_it_starts_at_random(shallow, kind):
    model = fitted(kind, pretrain=False)
    assert not shallow and model.pretrain_history_ == [] and len(model.history_["loss"]) == 2
    assert not same(model, fitted(kind))


def test_without_pretraining_it_is_the_plain_autoencoder(ops):
    """The same mechanism, not a copy of it: every byte agrees."""
    settings = {**SHARED, "backend": ops}
    del settings["pretrain_epochs"]
    plain = Autoencoder(3, (6, 5), activation="sigmoid", **settings).fit(X)
    deep = StackedAutoencoder((6, 5, 3), pretrain=False, **settings).fit(X)
    assert same(plain, deep) and deep.history_["loss"] == plain.history_["loss"]
    assert isinstance(deep, Autoencoder) and deep.code_size_ == 3
    assert deep.get_feature_names_out()[0] == "stackedautoencoder0" and "<- code" in deep.summary()


def test_training_as_a_whole_moves_every_layer(before_training):
    ae = fitted("autoencoder")
    moved = theta(ae) != before_training[0]
    for (i, _), where in ae.network_.parameters.slices.items():
        assert moved[where].any(), ae.network_.layers[i]


def test_pretrained_and_trained_it_beats_the_mean_image_where_random_weights_do_not(digits):
    """What it was invented for: sigmoids, deep, few epochs."""
    settings = {
        "loss": "bce",
        "batch_size": 64,
        "random_state": 0,
        "epochs": 3,
        "initializer": "truncated_normal",
    }
    error = {
        pretrain: StackedAutoencoder(
            (48, 32, 16), pretrain=pretrain, pretrain_learning_rate=1e-2, **settings
        )
        .fit(digits[0][:1000])
        .evaluate(digits[1])["mse"]
        for pretrain in (True, False)
    }
    mean = ((digits[1] - digits[0].mean(axis=0)) ** 2).mean()
    assert error[True] < 0.6 * mean and error[False] > 0.9 * mean, (error, mean)


@pytest.mark.parametrize("kind", STACKS)
def test_the_seed_decides_everything(ops, kind):
    noise = {
        "corruption": MaskingNoise(0.3),
        "backend": ops,
        **({} if kind == "autoencoder" else {"dropout": 0.2}),
    }
    one, two, other = (
        fitted(kind, **noise),
        fitted(kind, **noise),
        fitted(kind, **noise, random_state=1),
    )
    losses = [
        [history["loss"] for history in (*model.pretrain_history_, model.history_)]
        for model in (one, two, other)
    ]
    assert same(one, two) and losses[0] == losses[1]
    assert not same(one, other) and losses[0] != losses[2]


@pytest.mark.parametrize("kind", STACKS)
def test_progress_for_each_layer(monkeypatch, kind):
    shown = []

    def progress(items, label, show):
        shown.append((list(items), label, show))
        return items

    monkeypatch.setattr(stacked, "progress", progress)
    for verbose in (False, True):
        STACKS[kind](verbose=verbose).fit(X, *TARGETS[kind])
    assert shown == [([0, 1, 2], "layers", False), ([0, 1, 2], "layers", True)]


@pytest.mark.parametrize("kind", STACKS)
def test_ctrl_c_in_the_pretraining_ends_it_all(monkeypatch, kind):
    original = nanoae.Trainer.epoch

    def interrupted(self, *arguments):
        if self.network.output_shape == (6,):  # the second layer's autoencoder gives back six codes
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(nanoae.Trainer, "epoch", interrupted)
    with pytest.warns(UserWarning, match="interrupted in epoch 1 of 2"):
        model = fitted(kind)
    assert model.interrupted_ and len(model.pretrain_history_) == 2 and model.history_["loss"] == []
    assert np.isfinite(model.transform(X)).all()


# ---------------------------------------------------------------- frozen is frozen


@pytest.mark.parametrize("freeze", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", PREDICTORS)
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_frozen_layers_keep_their_bytes(ops, before_training, kind, freeze, optimizer):
    model = fitted(kind, freeze=freeze, optimizer=optimizer, weight_decay=0.1, backend=ops)
    before, after = before_training[0], theta(model)
    for number, layer in enumerate(linears(model)):
        i = model.network_.layers.index(layer)
        for name in layer.params:
            where = model.network_.parameters.slices[i, name]
            if number < freeze:
                assert after[where].tobytes() == before[where].tobytes()
            else:
                assert (after[where] != before[where]).any()
    start = model.network_.parameters.slices[
        model.network_.layers.index(linears(model)[freeze]), "W"
    ].start
    assert not ops.to_numpy(model.network_.grad)[
        :start
    ].any()  # nothing was computed for them, either


def test_frozen_codes_are_the_pretrained_ones(shallow):
    model = fitted("classifier", freeze=3)
    codes = X
    for part in shallow:
        codes = part.transform(codes)
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-6)


# ---------------------------------------------------------------- labelled or not

MARKS = {"classifier": -1, "regressor": np.nan}


def unlabelled(kind, rows):
    """The targets with the mark of an unlabelled row from `rows` on."""
    y = TARGETS[kind][0].astype(float if kind == "regressor" else int)
    y[rows:] = MARKS[kind]
    return y


@pytest.mark.parametrize("kind", PREDICTORS)
def test_unlabelled_rows_are_pretrained_on(kind):
    """Marked in y or given beside it: the same rows, so the same network. Without them: another one."""
    y = unlabelled(kind, 40)
    marked = STACKS[kind]().fit(X, y)
    beside = STACKS[kind]().fit(X[:40], y[:40], X_unlabelled=X[40:])
    without = STACKS[kind]().fit(X[:40], y[:40])
    assert same(marked, beside) and not same(marked, without)
    assert marked.pretrain_history_[0]["loss"] == fitted(kind).pretrain_history_[0]["loss"]


@pytest.mark.parametrize("kind", PREDICTORS)
def test_unlabelled_rows_are_not_trained_on(kind):
    y = unlabelled(kind, 40)
    marked = STACKS[kind](pretrain=False).fit(X, y)
    assert same(marked, STACKS[kind](pretrain=False).fit(X[:40], y[:40]))
    if kind == "classifier":
        assert marked.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", PREDICTORS)
def test_labels_are_nothing_to_the_pretraining(before_training, kind):
    y = TARGETS[kind][0]
    for targets in (y, y[::-1].copy()):
        STACKS[kind]().fit(X, targets)
    size = before_training[0].size - linears(fitted(kind))[-1].params["W"].size
    assert (before_training[0][: size - 3] == before_training[1][: size - 3]).all()


@pytest.mark.parametrize("kind", PREDICTORS)
def test_held_out_rows_are_seen_by_neither(monkeypatch, kind):
    seen = []
    monkeypatch.setattr(
        stacked.Stacked,
        "_pretrain",
        lambda self, examples: (
            seen.append(len(examples.inputs)),
            setattr(self, "interrupted_", 0),
        ),
    )
    model = STACKS[kind](validation_fraction=0.25).fit(X, unlabelled(kind, 40))
    # a quarter of the 40 labelled rows
    assert seen == [50] and len(model.history_["val_loss"]) == 2
    trainer = model._trainer
    assert trainer.batch_size == 16 and trainer.optimizer.total_steps == 2 * math.ceil(30 / 16)


def test_validation_data_and_patience():
    model = StackedClassifier((6,), **{**SHARED, "epochs": 200}, patience=2).fit(
        X, Y, validation_data=(X[:20], 2 - Y[:20])
    )
    # wrong labels: the better it learns, the worse they get
    assert len(model.history_["val_loss"]) < 200
    model = StackedRegressor((6,), **SHARED).fit(X, Z, validation_data=(X, Z))
    error = ((model.predict(X) - Z) ** 2).mean() / Z.var()
    assert model.history_["val_loss"][-1] == pytest.approx(error, rel=1e-3)


# ---------------------------------------------------------------- the classifier


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], ["ant", "bee", "cat"], [-1.0, 4.0, 7.0], [3, -7, 12], [True, False, True]]
)
def test_labels_of_all_kinds(labels):
    y = np.array(labels)[Y]
    model = StackedClassifier((6,), **{**SHARED, "epochs": 1}).fit(X, y)
    classes = np.unique(y[y != -1]) if y.dtype.kind == "f" else np.unique(y)
    assert model.classes_.tolist() == classes.tolist() and model.classes_.dtype == classes.dtype
    assert set(model.predict(X)) <= set(classes) and model.predict_proba(X).shape == (
        60,
        len(classes),
    )
    assert (model.predict(X) == model.classes_[model.predict_proba(X).argmax(axis=1)]).all()
    known = y != -1  # where there is a label
    assert model.score(X, y) == np.mean(model.predict(X)[known] == y[known])
    objects = StackedClassifier((6,), **{**SHARED, "epochs": 1}).fit(
        X, np.array(y.tolist(), dtype=object)
    )
    assert same(model, objects)


def test_minus_one_and_one_alone_are_two_classes():
    y = np.where(Y == 0, -1, 1)
    with pytest.warns(UserWarning, match="taking -1 and 1 for two classes. Otherwise"):
        model = StackedClassifier((6,), **SHARED).fit(X, y)
    assert model.classes_.tolist() == [-1, 1] and same(
        model, StackedClassifier((6,), **SHARED).fit(X, np.minimum(Y, 1))
    )


def test_probabilities_are_the_softmax_of_the_logits():
    model = fitted("classifier")
    logits = outputs(model)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    picked = -np.log(expected[np.arange(60), Y]).mean()
    still = fitted("classifier", learning_rate=1e-30, batch_size=60)  # a loss that does not move
    logits = outputs(still)
    expected = -(logits[np.arange(60), Y] - np.log(np.exp(logits).sum(axis=1))).mean()
    assert still.history_["loss"][0] == pytest.approx(expected, rel=1e-5) and picked < expected


def test_it_reads_digits(digits):
    data = nanoae.load_data("digits")
    settings = {
        "pretrain_epochs": 5,
        "epochs": 15,
        "learning_rate": 5e-3,
        "batch_size": 32,
        "pretrain_loss": "bce",
    }
    model = StackedClassifier(
        (64, 32), corruption=MaskingNoise(0.2), dropout=0.1, random_state=0, **settings
    )
    assert model.fit(digits[0], data.y_train).score(digits[1], data.y_test) > 0.93


# ---------------------------------------------------------------- the regressor


def test_it_predicts_in_the_unit_of_y(monkeypatch):
    """predict is mean + std · what the network learned."""
    model, raw = STACKS["regressor"](dtype="float64"), []
    original = stacked.NetworkEstimator._train

    def keep(self, *arguments):
        original(self, *arguments)
        if self is model:
            raw.append(outputs(self)[:, 0])

    monkeypatch.setattr(stacked.NetworkEstimator, "_train", keep)
    model.fit(X, Z)
    np.testing.assert_allclose(model.predict(X), Z.mean() + Z.std() * raw[0], rtol=1e-9)


def test_it_is_equivariant():
    """Another unit and zero point for y change the predictions likewise, and nothing else."""
    one, two = (
        StackedRegressor((6,), **{**SHARED, "dtype": "float64"}).fit(X, y)
        for y in (Z, 1e4 * Z - 5e5)
    )
    np.testing.assert_allclose(two.predict(X), 1e4 * one.predict(X) - 5e5, rtol=1e-9)
    assert one.score(X, Z) == pytest.approx(two.score(X, 1e4 * Z - 5e5), rel=1e-9)


@pytest.mark.parametrize("zero, unit", [(1e9, 1), (-1e12, 1), (0, 1e-8), (0, 1e30), (1e20, 1e14)])
def test_y_may_be_of_any_size(zero, unit, tmp_path):
    """In float32, too, whose numbers near 1e9 lie 64 apart."""
    one, two = (
        StackedRegressor((6,), **SHARED).fit(X, y) for y in (Z, zero + unit * Z.astype(float))
    )
    two.save(tmp_path / "model.npz")
    for model in (two, nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(two))):
        np.testing.assert_allclose((model.predict(X) - zero) / unit, one.predict(X), atol=1e-3)
        assert model.score(X, zero + unit * Z.astype(float)) == pytest.approx(
            one.score(X, Z), abs=1e-3
        )


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_y_whose_variance_is_no_number_is_refused(unit):
    with pytest.raises(
        ValueError, match=r"StackedRegressor: expected y with finite squares, got .* unit"
    ):
        StackedRegressor((6,), **SHARED).fit(X, unit * Z.astype(float))


def test_whole_numbers_that_float64_would_merge_are_refused():
    with pytest.raises(
        ValueError,
        match=r"expected y that float64 can represent, got 1152921504606846977\. Subtract",
    ):
        StackedRegressor((6,), **SHARED).fit(X, 2**60 + np.arange(60))


@pytest.mark.parametrize("kind", PREDICTORS)
def test_what_is_built_answers(kind, tmp_path):
    model = STACKS[kind]().build(8, *TARGETS[kind])
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(model.predict(X), nanoae.load(tmp_path / "model.npz").predict(X))


def test_a_file_whose_head_holds_the_unit_of_y_loads(tmp_path):
    """As files were before `predict` knew it."""
    model = StackedRegressor((6,), **{**SHARED, "dtype": "float64"}).fit(X, 10 + Z)
    expected, head = model.predict(X), model.network_.layers[-1].params
    zero, unit = model._target
    head["W"] *= unit
    head["b"] *= unit
    head["b"] += zero
    model.save(tmp_path / "new.npz")
    arrays = dict(np.load(tmp_path / "new.npz"))
    header = json.loads(bytes(arrays["header"]))
    del header["target"]
    np.savez(
        tmp_path / "old.npz",
        **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)},
    )
    np.testing.assert_allclose(nanoae.load(tmp_path / "old.npz").predict(X), expected, rtol=1e-12)


def test_it_learns_and_scores_by_r2():
    model = StackedRegressor((16,), **{**SHARED, "epochs": 150}).fit(X, Z)
    residual = sum((float(z) - float(p)) ** 2 for z, p in zip(Z, model.predict(X), strict=True))
    total = sum((float(z) - float(np.mean(Z))) ** 2 for z in Z)
    assert model.score(X, Z) == pytest.approx(1 - residual / total) and model.score(X, Z) > 0.9
    assert StackedRegressor((4,), **SHARED).fit(X, np.full(60, 3.0)).predict(X) == pytest.approx(
        3.0, abs=0.5
    )


# ---------------------------------------------------------------- the network around it


@pytest.mark.parametrize("kind", PREDICTORS)
def test_dropout_of_inputs_and_of_units(kind):
    layers = fitted(kind, dropout=(0.1, 0.4)).network_.layers
    assert [layer.p for layer in layers if isinstance(layer, Dropout)] == [0.1, 0.4, 0.4, 0.4]
    assert isinstance(layers[0], Dropout)
    assert [
        layer.p
        for layer in fitted(kind, dropout=(0.1, 0)).network_.layers
        if isinstance(layer, Dropout)
    ] == [0.1]


@pytest.mark.parametrize("kind", PREDICTORS)
def test_the_untrained_network_can_be_built(kind):
    model = STACKS[kind](pretrain=False).build(8, TARGETS[kind][0])
    start = theta(model).copy()
    assert "Linear(8, 6)" in model.summary()
    model.set_params(learning_rate=0.0)
    if kind == "classifier":  # a regressor's head is scaled after the training
        assert theta(model.fit(X, Y)).tobytes() == start.tobytes()


def test_a_classifier_is_evaluated_on_labelled_rows():
    model, some = fitted("classifier"), Y.copy()
    some[::2] = -1
    p = model.predict_proba(X)
    loss = -np.mean([math.log(p[n, Y[n]]) for n in range(1, len(Y), 2)])
    told = model.evaluate(X, some)
    assert told["loss"] == pytest.approx(loss, rel=1e-5) and model.evaluate(X, Y)[
        "error"
    ] == 1 - model.score(X, Y)
    assert told["error"] == np.mean(model.predict(X[1::2]) != Y[1::2])
    with pytest.raises(ValueError, match="StackedClassifier: expected labelled rows, got none"):
        model.evaluate(X, np.full(len(Y), -1))


def test_a_regressor_is_evaluated_on_labelled_rows():
    model, some = fitted("regressor"), Z.copy()
    some[::2] = np.nan
    told = model.evaluate(X, some)
    assert told == {"loss": pytest.approx(((model.predict(X[1::2]) - Z[1::2]) ** 2).mean()),
                    "r2": model.score(X[1::2], Z[1::2])}  # fmt: skip


@pytest.mark.parametrize("kind", STACKS)
def test_callbacks_are_told_of_each_layer(kind):
    told = []
    fitted(kind, callbacks=(lambda trainer, row: told.append((row.get("layer"), row["epoch"])),))
    assert told == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (None, 1), (None, 2)]


@pytest.mark.parametrize("kind", PREDICTORS)
def test_gradients_and_dropout(ops, kind):
    model = fitted(kind, dropout=0.3, backend=ops)
    assert sum(isinstance(layer, Dropout) for layer in model.network_.layers) == 3
    report = check_gradients(model, X[:6])
    assert report.ok, f"\n{report}"
    # off in use
    assert (model.predict(X) == model.predict(X)).all() and model.transform(X).shape == (60, 3)


@pytest.mark.parametrize("kind", STACKS)
def test_save_load_pickle_and_clone(tmp_path, kind):
    model = fitted(kind, corruption=[GaussianNoise(0.1), None, MaskingNoise(0.2)])
    model.save(tmp_path / "model.npz")
    for twin in (
        nanoae.load(tmp_path / "model.npz"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ):
        assert type(twin) is type(model) and (twin.transform(X) == model.transform(X)).all()
        assert twin.pretrain_history_ == model.pretrain_history_ and twin.history_ == model.history_
        assert repr(twin.corruption) == repr(model.corruption)
        if kind in PREDICTORS:
            assert (twin.predict(X) == model.predict(X)).all() and twin.score(
                X, TARGETS[kind][0]
            ) is not None
    assert same(type(model)(**model.get_params()).fit(X, *TARGETS[kind]), model)


@pytest.mark.parametrize("labels", [["ant", "bee", "cat"], [2, 5, 9]])
def test_classes_survive_the_file(tmp_path, labels):
    model = StackedClassifier((6,), **SHARED).fit(X, np.array(labels)[Y])
    model.save(tmp_path / "model.npz")
    twin = nanoae.load(tmp_path / "model.npz")
    assert (twin.classes_ == model.classes_).all() and (twin.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_predictor_has_no_decoder(kind):
    model = fitted(kind)
    assert not any(
        hasattr(model, name) for name in ("reconstruct", "inverse_transform", "partial_fit")
    )


# ---------------------------------------------------------------- bad arguments

WRONG = [
    ("autoencoder", {"sizes": ()}, {}, "StackedAutoencoder: expected sizes, a width for each layer, got none"),
    ("autoencoder", {"sizes": (4, 0)}, {}, r"StackedAutoencoder: expected sizes\[1\] to be a whole number >= 1, got 0"),
    ("autoencoder", {"epochs": -1}, {}, "StackedAutoencoder: expected epochs to be a whole number >= 0, got -1"),
    ("autoencoder", {"pretrain_epochs": (1, 2)}, {}, "expected one pretrain_epochs, or 3, one for each layer, got 2"),
    ("classifier", {"corruption": [None] * 4}, {}, "StackedClassifier: expected one corruption, or 3, .* got 4"),
    ("classifier", {"corruption": 0.3}, {}, "expected corruption=None or one like GaussianNoise"),
    ("classifier", {"epochs": 0}, {}, "StackedClassifier: expected epochs to be a whole number >= 1, got 0"),
    ("classifier", {"freeze": 4}, {}, "StackedClassifier: expected freeze, a number of layers, from 0 to 3, got 4"),
    ("classifier", {"freeze": -1}, {}, "expected freeze to be a whole number >= 0, got -1"),
    ("classifier", {"dropout": (0.1, 0.2, 0.3)}, {}, r"StackedClassifier: expected dropout, a fraction .* got \(0.1,"),
    ("classifier", {"dropout": 1}, {}, r"expected dropout, a fraction in \[0, 1\) .*, got 1"),
    ("classifier", {"pretrain_loss": "bce"}, {"X": 9 * X}, r"expected values in \[0, 1\] with pretrain_loss=\"bce\""),
    ("classifier", {}, {"y": None}, "StackedClassifier requires y to be passed"),
    ("classifier", {}, {"y": Y[:-1]}, r"StackedClassifier: expected y of shape \(60,\), .* got \(59,\)"),
    ("classifier", {}, {"y": X[:, :2]}, r"StackedClassifier: expected y of shape \(60,\), .* got \(60, 2\)"),
    ("classifier", {}, {"y": Z}, "StackedClassifier: expected class labels, got continuous numbers"),
    ("classifier", {}, {"y": np.full(60, np.nan)}, "expected labels of two classes or more, got 0 class"),
    ("classifier", {}, {"y": np.array([None] * 60)}, "expected labels of two classes or more, got 0 class"),
    ("classifier", {}, {"y": np.ones(60)}, r"expected labels of two classes or more, got 1 class\(es\): \[1.0\]"),
    ("classifier", {}, {"y": np.full(60, -1)}, "expected labels of two classes or more, got 0 class"),
    ("classifier", {}, {"X_unlabelled": X[:, :5]}, "X has 5 features, but StackedClassifier is expecting 8"),
    ("classifier", {}, {"validation_data": (X, Y + 1)}, r"expected labels from \[0, 1, 2\], got .*3"),
    ("classifier", {"validation_fraction": 0.9}, {"y": np.append(np.full(58, -1), [0, 1])}, "leaves no rows"),
    ("regressor", {}, {"y": np.full(60, np.nan)}, "StackedRegressor: expected labelled rows, got y with NaN only"),
    ("regressor", {}, {"y": np.full(60, np.inf)}, "StackedRegressor: expected finite y, or NaN .* got infinity"),
    ("regressor", {}, {"y": np.array(["a"] * 60)}, "StackedRegressor: expected numbers, got text"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "data", "message"), WRONG, ids=[w[3][:60] for w in WRONG]
)
def test_bad_arguments_are_told(kind, settings, data, message):
    target = {} if kind == "autoencoder" else {"y": TARGETS[kind][0]}
    with pytest.raises(ValueError, match=message):
        STACKS[kind](**settings).fit(**{"X": X, **target, **data})


def test_a_column_of_labels_is_taken_with_a_warning():
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        model = STACKS["classifier"]().fit(X, Y[:, None])
    assert same(model, fitted("classifier"))
