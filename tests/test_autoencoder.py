"""Does the estimator do what its users were told? Shapes, reports, settings, bad tables, and PCA beside it."""

import gc
import itertools
import re
import weakref

import numpy as np
import pytest

import nanoae
from nanoae import (
    BCE,
    MSE,
    PCA,
    SGD,
    Autoencoder,
    Constant,
    Cosine,
    Dropout,
    Linear,
    NotFiniteError,
    Tanh,
    TiedLinear,
)
from nanoae.autoencoders.estimator import Estimator
from nanoae.engine.activations import ACTIVATIONS

X = np.random.default_rng(0).random((60, 9)).astype(np.float32)


def small(**settings):
    return Autoencoder(
        **{"code_size": 3, "hidden": (6,), "epochs": 2, "random_state": 0, **settings}
    )


# ---------------------------------------------------------------- shapes and reports


# 20 is wider than the input
@pytest.mark.parametrize("code_size", [1, 3, 20], ids="{} codes".format)
@pytest.mark.parametrize("hidden", [(), (6,), (30, 6)], ids=str)
@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
def test_shapes(ops, dtype, code_size, hidden, tied):
    ae = small(
        code_size=code_size, hidden=hidden, tied_weights=tied, dtype=dtype.name, backend=ops
    ).fit(X)
    codes = ae.transform(X[:5])
    assert codes.shape == (5, code_size) and codes.dtype == dtype and isinstance(codes, np.ndarray)
    assert ae.inverse_transform(codes).shape == ae.reconstruct(X[:5]).shape == (5, 9)
    assert (ae.n_features_in_, ae.code_size_) == (9, code_size)
    assert list(ae.get_feature_names_out()) == [f"autoencoder{i}" for i in range(code_size)]
    assert ae.transform(X[:1]).shape == (1, code_size)  # a single row, once fitted
    widths = (9, *hidden, code_size)
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    biases = sum(widths[1:]) + sum(widths[:-1])
    assert ae.network_.theta.size == weights * (1 if tied else 2) + biases


def test_reconstruct_is_inverse_transform_of_transform(ops, close, dtype):
    for settings in (
        {},
        {"loss": "bce"},
        {"output_activation": "tanh"},
        {"loss": BCE("sum"), "tied_weights": True},
    ):
        ae = small(dtype=dtype.name, backend=ops, **settings).fit(X)
        close(ae.reconstruct(X), ae.inverse_transform(ae.transform(X)))
        if ae._logits:
            # probabilities, not logits
            assert 0 < ae.reconstruct(X).min() < ae.reconstruct(X).max() < 1


def test_transform_in_blocks_is_transform_at_once(ops):
    ae, many = small(backend=ops, dtype="float64").fit(X), np.tile(X, (50, 1))
    np.testing.assert_allclose(ae.transform(many), np.tile(ae.transform(X), (50, 1)), rtol=1e-12)


def test_errors_and_scores(ops):
    ae = small(backend=ops, dtype="float64").fit(X)
    error = (X.astype(np.float64) - ae.reconstruct(X)) ** 2
    np.testing.assert_allclose(ae.reconstruction_error(X), error.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        ae.reconstruction_error(X, per="row"), error.mean(axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        ae.reconstruction_error(X, per="feature"), error.mean(axis=0), rtol=1e-12
    )
    np.testing.assert_allclose(ae.reconstruction_error(X, per="element"), error, rtol=1e-12)
    assert ae.evaluate(X) == {
        "loss": pytest.approx(error.mean()),
        "mse": pytest.approx(error.mean()),
    }
    assert ae.score(X) == -ae.evaluate(X)["loss"]
    with pytest.raises(ValueError, match="per: expected one of row, feature, element, got 'pixel'"):
        ae.reconstruction_error(X, per="pixel")


@pytest.mark.parametrize("loss", ["mse", "bce", "l1", "huber", "batch", "sum"])
def test_the_score_is_the_loss_of_training(ops, loss):
    """At lr = 0 they agree: for a loss that sums over a batch, because it is measured in batches of the same size."""
    if loss in ("batch", "sum"):
        loss = MSE(loss, 0.5)
    ae = small(loss=loss, optimizer=SGD(0.0), backend=ops, batch_size=20).fit(X, validation_data=X)
    assert ae.history_["val_loss"] == pytest.approx(ae.history_["loss"], rel=1e-5)
    assert ae.score(X) == pytest.approx(-ae.history_["loss"][-1], rel=1e-5)


def test_summary():
    lines = small(hidden=(6, 4), backend="numpy").fit(X).summary().splitlines()
    lines, plan = lines[:14], lines[14:]
    assert [line.split()[0] for line in plan] == ["training", "scaling"]
    assert [line.split()[0] for line in lines] == [
        "layer", "Linear(9,", "ReLU()", "Linear(6,", "ReLU()", "Linear(4,", "Identity()",
        "Linear(3,", "ReLU()", "Linear(4,", "ReLU()", "Linear(6,", "Identity()", "total"]  # fmt: skip
    assert re.fullmatch(r"Linear\(9, 6\) +\(N, 6\) +60", lines[1])
    assert [i for i, line in enumerate(lines) if "<- code" in line] == [6]
    counts = [int(re.search(r"(\d+)(  <- code)?$", line)[1]) for line in lines[1:]]
    assert counts[-1] == sum(counts[:-1]) == 60 + 28 + 15 + 16 + 30 + 63


def test_a_summary_before_fit_tells_what_is_known():
    ae = small(hidden=(6, 4), backend="numpy", batch_size="auto")
    known = dict(re.split(" +", line, maxsplit=1) for line in ae.summary().splitlines())
    assert known["hidden"] == "(6, 4)" and known["code_size"] == "3"
    assert known["layers"] == "not built yet: call build(shape) or fit"
    assert known["training"] == 'batch_size: "auto", chosen from the number of rows'
    assert not hasattr(ae, "network_")
    assert "Linear(9, 6)" in ae.build(9).summary()


def test_a_summary_names_the_scaling_once_it_is_chosen(tmp_path):
    ae = small(epochs=1, scaling="auto").build(9)
    assert ae.summary().endswith("scaling   auto")  # the rows decide
    assert ae.fit(X * 10.0 ** np.arange(9)).summary().endswith("scaling   standard")
    ae.save(tmp_path / "model.npz")
    assert nanoae.load(tmp_path / "model.npz").summary().endswith("scaling   standard")


def test_repr_shows_what_was_changed():
    assert repr(Autoencoder(16, loss="bce")) == "Autoencoder(code_size=16, loss='bce')"
    assert (
        repr(Autoencoder(learning_rate=Cosine(0.1))) == "Autoencoder(learning_rate=Cosine(lr=0.1))"
    )


# ---------------------------------------------------------------- tied weights and layers of one's own


def test_tied_weights_are_one_matrix(ops):
    ae = small(tied_weights=True, backend=ops).fit(X)
    layers = ae.network_.layers
    tied = [layer for layer in layers if isinstance(layer, TiedLinear)]
    assert [layer.source for layer in tied] == [layers[2], layers[0]]
    assert all("W" not in layer.params for layer in tied)


def test_layers_of_ones_own(ops):
    encoder, decoder = (
        [Linear(12), Tanh(), Dropout(0.1), Linear(4)],
        [Linear(12), Tanh(), Linear(9)],
    )
    ae = Autoencoder(encoder=encoder, decoder=decoder, epochs=2, backend=ops, random_state=0).fit(X)
    assert ae.code_size_ == 4 and ae.transform(X).shape == (60, 4)
    # the user's own lists stay unbuilt
    assert not any(hasattr(layer, "ops") for layer in encoder + decoder)
    assert ae.fit(X).history_["loss"] == ae.fit(X).history_["loss"]


def test_only_an_encoder_of_ones_own_is_mirrored(ops):
    ae = Autoencoder(encoder=[Linear(12), Tanh(), Linear(4)], epochs=1, backend=ops).fit(X)
    assert [layer.n_out for layer in ae.network_.layers if isinstance(layer, Linear)] == [
        12,
        4,
        12,
        9,
    ]


def test_a_decoder_must_end_in_the_input():
    with pytest.raises(
        ValueError, match=r"expected a decoder that ends in the input's shape \(9,\), got \(8,\)"
    ):
        Autoencoder(encoder=[Linear(4)], decoder=[Linear(8)]).fit(X)


# ---------------------------------------------------------------- settings

BAD_SETTINGS = [
    ({"code_size": 0}, "expected code_size to be a whole number >= 1, got 0"),
    ({"code_size": 2.5}, "expected code_size to be a whole number >= 1, got 2.5"),
    ({"hidden": (6, -1)}, r"expected hidden\[1\] to be a whole number >= 1, got -1"),
    ({"batch_size": 0}, "expected batch_size to be a whole number >= 1, got 0"),
    ({"epochs": 0}, "expected epochs to be a whole number >= 1, got 0"),
    ({"patience": 0}, "expected patience to be a whole number >= 1, got 0"),
    ({"validation_fraction": 1.0}, r"expected validation_fraction in \[0, 1\), got 1.0"),
    ({"validation_fraction": 0.999}, "validation_fraction leaves no rows to learn from"),
    ({"learning_rate": -1}, "expected learning_rate to be a number >= 0, got -1"),
    ({"weight_decay": -1}, "expected weight_decay to be a number >= 0, got -1"),
    ({"activation": "swish"}, "activation: expected one of identity, .*, got 'swish'"),
    ({"code_activation": "swish"}, "activation: expected one of"),
    ({"output_activation": "swish"}, "activation: expected one of"),
    ({"loss": "hinge"}, "loss: expected one of mse, .*, got 'hinge'"),
    ({"optimizer": "lion"}, "optimizer: expected one of sgd, .*, got 'lion'"),
    ({"initializer": "magic"}, "initializer: expected one of .*, got 'magic'"),
    ({"bias_initializer": "magic"}, "initializer: expected one of .*, got 'magic'"),
    ({"backend": "tpu"}, "backend: expected one of numpy, cupy, auto, got 'tpu'"),
    ({"dtype": "float16"}, "dtype: expected one of float32, float64, got 'float16'"),
    ({"random_state": "lucky"}, "random_state: expected None, an int, .*, got 'lucky'"),
    ({"loss": "bce", "output_activation": "tanh"}, "The sigmoid is part of that loss"),
    (
        {"tied_weights": True, "decoder": [Linear(9)]},
        r"expected tied_weights or decoder=\[...\], got both",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS, ids=lambda value: str(value)[:40])
def test_bad_settings_are_one_clear_error(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(X)


TYPE_ERRORS = [
    {"hidden": 6},
    {"hidden": None},
    {"code_size": True},
    {"learning_rate": "fast"},
    {"dtype": "float" * 2},
    {"loss": ["mse"]},
    {"validation_fraction": "some"},
    {"callbacks": print},
]


@pytest.mark.parametrize("settings", TYPE_ERRORS, ids=str)
def test_settings_of_a_wrong_type_are_one_clear_error(settings):
    with pytest.raises(ValueError, match="expected"):
        small(**settings).fit(X)


def test_patience_without_validation_is_no_silent_nothing():
    with pytest.raises(ValueError, match="patience"):
        small(patience=2).fit(X)


def test_after_a_failed_fit_it_is_not_fitted():
    ae = small(code_size=0)
    with pytest.raises(ValueError, match="code_size"):
        ae.fit(X)
    with pytest.raises(ValueError, match="not fitted yet"):
        ae.transform(X)


def test_a_failed_fit_leaves_the_old_model_whole():
    ae = small().fit(X)
    before = ae.transform(X)
    with pytest.raises(ValueError, match="NaN"):
        ae.fit(np.full((10, 4), np.nan))
    assert (ae.transform(X) == before).all()


METHODS = {"get_feature_names_out": 0, "save": 1, "transform": 1, "inverse_transform": 1,
           "reconstruct": 1, "score": 1, "evaluate": 1, "reconstruction_error": 1}  # fmt: skip


@pytest.mark.parametrize(("cls", "method"), [
    (cls, method) for cls in (Autoencoder, PCA) for method in METHODS if hasattr(cls, method)])  # fmt: skip
def test_before_fit_there_is_nothing(cls, method, tmp_path):
    with pytest.raises(ValueError, match=r"is not fitted yet. Call fit"):
        getattr(cls(), method)(
            *[tmp_path / "model.npz" if method == "save" else X] * METHODS[method]
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [
    {"activation": a, "code_activation": a} for a in ACTIVATIONS
] + [{"optimizer": o} for o in ("sgd", "adam", "adamw", "rmsprop")]
  + [{"loss": loss} for loss in ("bce", "l1", "mae", "huber")]
  + [{"initializer": f"{f}_{k}"} for f in ("lecun", "glorot", "he") for k in ("uniform", "normal")]
  + [{"initializer": "truncated_normal", "bias_initializer": "truncated_normal"}, {"weight_decay": 1e-4},
     {"learning_rate": Cosine(3e-3)}, {"optimizer": nanoae.Adam(Constant(3e-3))}], ids=str)  # fmt: skip
def test_every_setting_learns(ops, digits, settings):
    if settings.get("optimizer") == "sgd":
        settings = {**settings, "learning_rate": 0.5}
    ae = small(**{"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, "backend": ops, **settings})
    history = ae.fit(digits[0][:500]).history_["loss"]
    assert history[2] < history[0]


# ---------------------------------------------------------------- bad tables


def with_cell(value, row=7, column=2):
    x = X.copy()
    x[row, column] = value
    return x


BAD_TABLES = {
    "NaN": (
        with_cell(np.nan),
        "expected finite numbers, got NaN in row 7, column 2 .*Remove those rows",
    ),
    "infinity": (with_cell(np.inf), "expected finite numbers, got infinity in row 7, column 2"),
    "minus infinity": (with_cell(-np.inf), "got infinity in row 7, column 2"),
    "too large for float32": (
        with_cell(0) + 1e300 * np.eye(60, 9),
        r"got 1e\+300, too large for float32, in row 0, column 0 ",
    ),
    "one row": (X[:1], "expected at least 2 rows"),
    "no rows": (X[:0], r"0 sample\(s\)"),
    "no columns": (X[:, :0], r"0 feature\(s\)"),
    "one dimension": (X[0], r"expected 2D array \(N, D\), got 1D array of shape \(9,\). Reshape"),
    "images": (
        X.reshape(60, 3, 3),
        r"expected 2D array .* got 3D array of shape \(60, 3, 3\). Flatten the images",
    ),
    "strings": ([["a", "b"], ["c", "d"]], "expected numbers, got text"),
    "complex": (X + 1j, "expected real numbers, got complex"),
    "dates": (X.astype("M8[s]"), "expected numbers, got dtype datetime64"),
    "ragged": ([[1, 2], [3]], "inhomogeneous"),
    "None": (None, "expected"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
@pytest.mark.parametrize("estimator", [small(), PCA(2)], ids=["Autoencoder", "PCA"])
def test_a_bad_table_is_one_clear_error(estimator, name):
    table, message = BAD_TABLES[name]
    if isinstance(estimator, PCA) and "float32" in name:
        pytest.skip("PCA computes in float64")
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(table)


@pytest.mark.parametrize("estimator", [small(), PCA(2)], ids=["Autoencoder", "PCA"])
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "evaluate"])
def test_a_bad_table_after_fit(estimator, method):
    estimator.fit(X)
    with pytest.raises(
        ValueError,
        match=r"expected X of shape \(N, 9\), got \(60, 4\). Pass the same columns as in fit",
    ):
        getattr(estimator, method)(X[:, :4])
    with pytest.raises(ValueError, match="NaN in row 7, column 2"):
        getattr(estimator, method)(with_cell(np.nan))
    with pytest.raises(ValueError, match=r"expected codes of shape \(N, \d\), got \(60, 9\)"):
        estimator.inverse_transform(X)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", ["both infinities", "1e308"])
def test_checking_a_table_does_not_warn(value):
    if value == "1e308":
        small(dtype="float64", learning_rate=0.0).check_table(
            np.full((60, 9), 1e308), reset=True, dtype=np.float64
        )
        return
    with pytest.raises(ValueError, match="got infinity in row 0, column 0"):
        small().fit(np.vstack([with_cell(np.inf, 0, 0), with_cell(-np.inf, 0, 0)]))


def test_values_outside_0_1_with_bce():
    told = r'expected values in \[0, 1\] with loss="bce", got .*Scale the data'
    with pytest.raises(ValueError, match=told + r" \(images: X / 255\)"):
        small(loss="bce").fit(2 * X)
    with pytest.raises(ValueError, match=told + ", or"):  # no pixels: some are negative
        small(loss="bce").fit(X - 0.5)
    with pytest.raises(ValueError, match="expected values in"):
        small(loss="bce").fit(X, validation_data=2 * X)
    ae = small(loss="bce").fit(X)
    for method in (ae.partial_fit, ae.evaluate, ae.score):
        with pytest.raises(ValueError, match="expected values in"):
            method(2 * X)


def test_a_batch_larger_than_the_set_is_the_set(ops):
    whole, larger = (small(batch_size=size, backend=ops).fit(X) for size in (60, 10_000))
    assert whole.history_["loss"] == larger.history_["loss"]


def test_divergence_is_one_clear_error(ops):
    with (
        np.errstate(all="ignore"),
        pytest.raises(NotFiniteError, match=r"epoch \d+, .*layer|no layer"),
    ):
        small(optimizer=SGD(1e30), epochs=5, backend=ops).fit(X)


# ---------------------------------------------------------------- fit, partial_fit, validation


def test_fit_starts_afresh_and_partial_fit_goes_on(ops):
    ae = small(epochs=3, backend=ops)
    first = ae.fit(X).transform(X)
    assert (ae.fit(X).transform(X) == first).all() and len(ae.history_["loss"]) == 3
    ae.partial_fit(X)
    assert len(ae.history_["loss"]) == 4 and (ae.transform(X) != first).any()


def test_partial_fit_thrice_is_fit_with_three_epochs(ops):
    at_once, in_turn = small(epochs=3, backend=ops), small(epochs=3, backend=ops)
    for _ in range(3):
        assert in_turn.partial_fit(X) is in_turn
    assert in_turn.history_["loss"] == at_once.fit(X).history_["loss"]
    assert (in_turn.transform(X) == at_once.transform(X)).all()


def test_partial_fit_takes_any_number_of_rows_of_the_same_width(ops):
    ae = small(backend=ops).fit(X)
    ae.partial_fit(X[:1]).partial_fit(np.tile(X, (3, 1)))
    with pytest.raises(ValueError, match=r"expected X of shape \(N, 9\)"):
        ae.partial_fit(X[:, :4])


def test_validation(ops):
    ae = small(epochs=3, backend=ops, validation_fraction=0.25, batch_size=50).fit(X)
    assert len(ae.history_["val_loss"]) == 3
    given = small(epochs=3, backend=ops).fit(X[:50], validation_data=X[50:])
    assert given.history_["val_loss"][-1] == pytest.approx(-given.score(X[50:]), rel=1e-5)
    assert "val_loss" not in small(backend=ops).fit(X).history_
    with pytest.raises(ValueError, match=r"expected X of shape \(N, 9\), got \(60, 4\)"):
        small(backend=ops).fit(X, validation_data=X[:, :4])


def test_patience(ops):
    """Noise cannot be learned for long: it stops, and the weights are those of the best epoch."""
    x = np.random.default_rng(1).standard_normal((60, 9))
    ae = small(
        code_size=8,
        hidden=(64,),
        epochs=500,
        learning_rate=0.02,
        validation_fraction=0.5,
        patience=5,
        backend=ops,
    )
    losses = ae.fit(x).history_["val_loss"]
    assert len(losses) < 500 and int(np.argmin(losses)) == len(losses) - 6
    ae.set_params(epochs=len(losses) - 5, patience=None)
    theta = ae.network_.theta.copy()
    assert (ae.fit(x).network_.theta == theta).all()


# ---------------------------------------------------------------- randomness


def test_random_state_decides_everything(ops):
    def theta(state):
        return ops.to_numpy(small(random_state=state, backend=ops).fit(X).network_.theta).tobytes()

    assert theta(1) == theta(1) == theta(np.int64(1))
    assert theta(1) != theta(2) and theta(None) != theta(None)
    assert theta(np.random.default_rng(1)) == theta(np.random.default_rng(1)) != theta(1)
    assert theta(np.random.RandomState(1)) == theta(np.random.RandomState(1))


def test_no_global_seed_is_touched():
    np.random.seed(5)
    before = np.random.get_state()
    small(encoder=[Linear(4), Dropout(0.5)], validation_fraction=0.2).fit(X).transform(X)
    PCA(2).fit(X)
    after = np.random.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_parameters_are_stored_as_given():
    """What `clone`, grid search and `set_params` rest on. (scikit-learn's own checks are in test_contract.)"""
    hidden, callbacks = [5], (print,)
    ae = Autoencoder(3, hidden, callbacks=callbacks)
    assert ae.get_params()["hidden"] is hidden and ae.get_params()["callbacks"] is callbacks
    assert ae.set_params(code_size=7) is ae and ae.code_size == 7
    with pytest.raises(
        ValueError, match=r"parameter: expected one of .*code_size.*, got 'codesize'"
    ):
        ae.set_params(codesize=7)
    assert isinstance(ae, Estimator)


# ---------------------------------------------------------------- PCA


@pytest.mark.parametrize("shape", [(40, 9), (6, 9), (9, 9)], ids=str)
@pytest.mark.parametrize("k", [1, 4, 100])
def test_pca_is_the_svd(shape, k):
    x = np.random.default_rng(0).standard_normal(shape) * np.linspace(1, 3, 9) + 5
    pca, centred = PCA(k).fit(x), x - x.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    k = min(k, *shape)
    rank = np.minimum(k, np.linalg.matrix_rank(centred))
    np.testing.assert_allclose(
        pca.reconstruct(x), x.mean(axis=0) + (u[:, :k] * s[:k]) @ vt[:k], atol=1e-10
    )
    np.testing.assert_allclose(
        np.abs(pca.transform(x)[:, :rank]), np.abs(u * s)[:, :rank], atol=1e-7
    )
    np.testing.assert_allclose(pca.explained_variance_, s[:k] ** 2 / (shape[0] - 1), atol=1e-10)
    np.testing.assert_allclose(pca.explained_variance_ratio_, (s**2 / (s**2).sum())[:k], atol=1e-10)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(k), atol=1e-10)
    assert (
        pca.components_[np.arange(k), np.abs(pca.components_).argmax(axis=1)] > 0
    ).all()  # the sign is settled


def test_pca_is_scikit_learns(digits):
    theirs = pytest.importorskip("sklearn.decomposition").PCA(10).fit(digits[0])
    mine = PCA(10).fit(digits[0])
    np.testing.assert_allclose(
        mine.reconstruct(digits[1]),
        theirs.inverse_transform(theirs.transform(digits[1])),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        mine.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-4
    )
    assert mine.evaluate(digits[1])["mse"] == pytest.approx(-mine.score(digits[1]))


@pytest.mark.parametrize("n_components", [0, -1, 2.5, "all", None])
def test_pca_settings(n_components):
    with pytest.raises(ValueError, match="expected n_components to be a whole number >= 1, got"):
        PCA(n_components).fit(X)


def test_pca_of_a_constant_table():
    pca = PCA(2).fit(np.full((5, 3), 4.0))
    np.testing.assert_allclose(pca.reconstruct([[4.0, 4.0, 4.0]]), [[4.0, 4.0, 4.0]])
    assert np.isfinite(pca.explained_variance_ratio_).all()


@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
def test_a_linear_autoencoder_finds_pcas_subspace(ops, tied):
    """Without activations the best autoencoder is PCA (Baldi & Hornik 1989): the same error from above, never less."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 10)) + 0.3 * rng.standard_normal(
        (300, 10)
    )
    best = PCA(3).fit(x).evaluate(x)["mse"]
    ae = Autoencoder(3, (), tied_weights=tied, learning_rate=Cosine(0.02), epochs=150, batch_size=30, backend=ops,
                     dtype="float64", random_state=0)  # fmt: skip
    error = ae.fit(x).evaluate(x)["mse"]
    assert best <= error * (1 + 1e-9) and error < 1.01 * best


def test_an_autoencoder_beats_pca_on_a_curve(ops):
    """A parabola has one dimension; PCA needs two."""
    t = np.linspace(-1, 1, 200)[:, None]
    x = np.hstack([t, t**2])
    ae = Autoencoder(1, (16,), activation="tanh", learning_rate=Cosine(0.03), epochs=100, batch_size=50, backend=ops,
                     random_state=0)  # fmt: skip
    assert ae.fit(x).evaluate(x)["mse"] < 0.1 * PCA(1).fit(x).evaluate(x)["mse"]


# ---------------------------------------------------------------- what is refused leaves no trace


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"patience": 3}, {}),
        ({"optimizer": "sdg"}, {}),
        ({"decoder": [Linear(7)]}, {}),
        ({"learning_rate": 1e30}, {}),
        ({}, {"validation_data": X[:, :5]}),
        ({"encoder": []}, {}),
        ({"random_state": -1}, {}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_refused_fit_leaves_the_estimator_as_it_was(settings, arguments):
    fresh = small(**settings)
    with pytest.raises((ValueError, nanoae.NotFiniteError)):
        fresh.fit(X, **arguments)
    with pytest.raises(ValueError, match="not fitted yet"):
        fresh.transform(X)
    ae = small().fit(X)
    before = ae.transform(X)
    with pytest.raises((ValueError, nanoae.NotFiniteError)):
        ae.set_params(**settings).fit(X, **arguments)
    assert (ae.transform(X) == before).all()


def test_partial_fit_keeps_its_batch_size():
    ae = small(batch_size=16).partial_fit(X[:4])
    assert ae._trainer.batch_size == 16


def test_numeric_text_is_numbers_and_other_text_is_refused():
    np.testing.assert_array_equal(
        small().fit(X.astype(str)).transform(X), small().fit(X).transform(X)
    )
    with pytest.raises(ValueError, match="got text in column '0', such as 'a'"):
        small().fit(np.full(X.shape, "a"))


def test_a_second_fit_frees_the_memory_of_the_first():
    model = small().fit(X)
    gc.collect()
    gc.disable()
    try:
        first = weakref.ref(model._trainer)
        model.fit(X)
        assert first() is None
    finally:
        gc.enable()
