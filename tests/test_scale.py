"""Are columns on any scale learned as those on one are, and given back in their units, wherever a model goes?"""

import json
import re
import warnings

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae import (
    PCA,
    AnomalyDetector,
    Autoencoder,
    ClusterLabelDetector,
    ConvAutoencoder,
    StackedAutoencoder,
    StackedClassifier,
    StandardScaler,
    VariationalAutoencoder,
)
from nanoae.cli import main

rng = np.random.default_rng(0)
FLAT = np.tanh(rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6)))
UNIT, ZERO = np.array([0.02, 1, 1e4, 5, 30, 100]), np.array([0, 0, 1e4, -50, 1e9, 3.0])
X = FLAT * UNIT + ZERO
SETTINGS = {
    "code_size": 2,
    "hidden": (32,),
    "epochs": 40,
    "batch_size": 32,
    "learning_rate": 5e-3,
    "random_state": 0,
}
SCALINGS = ["auto", "standard", "robust", "minmax", "gaussian", StandardScaler()]


def unexplained(model, rows, **beside):
    """Of each column, the share of its variance that is not given back."""
    return ((model.reconstruct(rows, **beside) - rows) ** 2).mean(axis=0) / rows.var(axis=0)


@pytest.fixture(scope="module")
def fitted():
    return Autoencoder(**SETTINGS).fit(X)


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_every_column_is_learned(scaling):
    """1e9 + 30 among them, of which float32 would leave nothing."""
    assert unexplained(Autoencoder(**SETTINGS, scaling=scaling).fit(X), X).max() < 0.15


def test_without_a_scale_only_the_largest_is_seen():
    with pytest.warns(UserWarning, match="nearly"):
        model = Autoencoder(**SETTINGS, scaling="none").fit(X)
    assert unexplained(model, X).max() > 1


@pytest.mark.parametrize(
    ("name", "rows", "settings"),
    [
        ("standard", X, {}),
        ("standard", FLAT * 1e-3, {}),
        ("standard", FLAT + 2000, {}),
        ("none", FLAT, {}),
        ("none", FLAT / 2 + 0.5, {}),
        ("none", rng.normal(size=(100, 6)), {}),
        ("none", FLAT * 1e4, {"scaling": "none"}),
        ("none", (X.mean(axis=0) < X).astype(np.float32), {"loss": "bce"}),
    ],
)
def test_auto_scales_what_needs_it(name, rows, settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Autoencoder(**{**SETTINGS, "epochs": 1, **settings}).fit(rows)
    assert model.scaling_ == name and (settings or model.as_built.scaling == name)


def test_what_lies_on_one_scale_is_learned_as_before():
    """To the bit."""
    as_it_is = Autoencoder(**{**SETTINGS, "epochs": 2}, scaling="none").fit(FLAT)
    assert (
        Autoencoder(**{**SETTINGS, "epochs": 2}).fit(FLAT).history_["loss"]
        == as_it_is.history_["loss"]
    )


@odd_tables
def test_data_beyond_the_ends_of_a_loss_are_refused_as_before():
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\] with loss=\"bce\""):
        Autoencoder(**SETTINGS, loss="bce").fit(X)
    with pytest.raises(ValueError, match=r"\] after scaling='standard'"):
        Autoencoder(**SETTINGS, loss="bce", scaling="standard").fit(X)
    assert unexplained(Autoencoder(**SETTINGS, loss="bce", scaling="minmax").fit(X), X).max() < 0.5


def test_errors_are_told_on_both_scales(fitted):
    found, again = fitted.evaluate(X), fitted.reconstruct(X)
    z, back = (X - X.mean(axis=0)) / X.std(axis=0), (again - X.mean(axis=0)) / X.std(axis=0)
    assert found["mse"] == pytest.approx(((X - again) ** 2).mean())
    assert found["scaled_mse"] == pytest.approx(((z - back) ** 2).mean(), rel=1e-4)
    assert found["loss"] == pytest.approx(found["scaled_mse"], rel=1e-4)
    assert fitted.reconstruction_error(X).mean() == pytest.approx(found["mse"])
    assert set(Autoencoder(**{**SETTINGS, "epochs": 1}).fit(FLAT).evaluate(FLAT)) == {"loss", "mse"}


def test_what_is_drawn_is_in_the_units(fitted):
    drawn = [
        fitted.fit_prior(X, 2).sample(50, 0),
        fitted.interpolate(X[0], X[1]),
        fitted.traverse(0, X[0], 1.0),
    ]
    for rows in drawn:
        assert (np.abs(rows - ZERO) < 3 * UNIT + 1e-9).all()


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_a_file_holds_the_scale(tmp_path, scaling, ending):
    model = Autoencoder(**{**SETTINGS, "epochs": 1}, scaling=scaling).fit(X)
    path = tmp_path / f"model.{ending}"
    model.save(path) if ending == "npz" else model.export(path)
    again = nanoae.load(path)
    assert (again.reconstruct(X) == model.reconstruct(X)).all() and again.scaling_ == model.scaling_


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder, PCA])
def test_onnx_graphs_hold_the_scale(tmp_path, kind, scaling):
    onnxruntime = pytest.importorskip("onnxruntime")
    settings = {**SETTINGS, "epochs": 1} | (
        {"likelihood": "gaussian"} if kind is VariationalAutoencoder else {}
    )
    model = PCA(2, scaling=scaling) if kind is PCA else kind(**settings, scaling=scaling)
    model.fit(X).export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    rows = np.vstack([X[:20], X[:1] + 1e3 * UNIT])
    found = dict(zip(names, session.run(None, {"x": rows}), strict=True))
    np.testing.assert_allclose(
        (found["reconstruction"] - ZERO) / UNIT, (model.reconstruct(rows) - ZERO) / UNIT, 1e-3, 1e-4
    )
    np.testing.assert_allclose(found["error"], model.reconstruction_error(rows), 1e-3)


def test_pytorch_has_no_place_for_it(fitted):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="expected a model with scaling='none', got 'standard'"):
        nanoae.to_torch(fitted)


@pytest.mark.parametrize("weights", [np.arange(300) % 3, (np.arange(300) % 3) / 3])
def test_a_weight_is_so_many_copies_in_the_scale_too(weights):
    weighted = Autoencoder(**{**SETTINGS, "epochs": 1}).fit(X, sample_weight=weights)
    copied = Autoencoder(**{**SETTINGS, "epochs": 1}).fit(X.repeat(np.arange(300) % 3, axis=0))
    np.testing.assert_allclose(weighted.scaler_.scale_, copied.scaler_.scale_, 1e-3)


def test_gaps_stay_gaps():
    holes = X.copy()
    holes[::7, 2] = np.nan
    model = Autoencoder(**SETTINGS, missing="mask").fit(holes)
    assert (
        model.scaling_ == "standard"
        and np.abs(model.reconstruct(holes) - X)[::7, 2].mean() < 0.6 * UNIT[2]
    )


def test_the_scale_of_the_first_call_stays():
    model = Autoencoder(**SETTINGS).partial_fit(X)
    center = model.scaler_.center_
    assert model.partial_fit(X[:100] + UNIT).scaler_.center_ is center
    built = Autoencoder(**SETTINGS).build(6).partial_fit(X)
    assert (built.scaler_.center_ == center).all() and built.build(6).scaling_ == "none"


@pytest.mark.parametrize("fit", [
    lambda: StackedAutoencoder((32, 2), activation="tanh", epochs=40, pretrain_epochs=5, batch_size=32,
                               random_state=0).fit(X),
    lambda: VariationalAutoencoder(2, (32,), likelihood="gaussian", variance=0.05, epochs=60, batch_size=32,
                                   learning_rate=5e-3, random_state=0).fit(X, validation_data=X[:50]),
])  # fmt: skip
def test_every_autoencoder_has_it(fit):
    model = fit()
    assert model.scaling_ == "standard" and unexplained(model, X).max() < 0.5


def test_predictors_and_detectors_have_it():
    y = FLAT[:, 0] > 0
    model = StackedClassifier(
        (16,), epochs=60, pretrain_epochs=5, learning_rate=1e-2, random_state=0
    ).fit(X, y)
    assert model.scaling_ == "standard" and model.score(X, y) > 0.95
    clusters = ClusterLabelDetector(n_clusters=20, random_state=0).fit(X)
    assert clusters.autoencoder_.scaling_ == "standard"
    detector = AnomalyDetector(
        Autoencoder(2, (8,), epochs=1), scaling="robust", random_state=0
    ).fit(X)
    assert {member.model.scaling_ for member in detector.members_} == {"none"}


def test_images_have_a_scale_for_each_channel():
    images = rng.random((60, 3, 28, 28)).mean(axis=1, keepdims=True) * 200 + 1000
    model = ConvAutoencoder(2, scaling="minmax", epochs=1).fit(images)
    assert (
        model.scaler_.center_.shape == (1,)
        and (np.abs(model.reconstruct(images) - 1100) <= 300).all()
    )
    assert ConvAutoencoder(2, scaling="minmax", epochs=1).fit(
        images.reshape(60, 784)
    ).scaler_.center_.shape == (1,)


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("scale") / "table.csv"
    np.savetxt(path, X, delimiter=",", header="a,b,c,d,e,f", comments="", fmt="%.9g")
    return path


def test_the_command_scales_and_says_so(table, tmp_path, capsys):
    out = tmp_path / "run"
    main(
        [
            "train",
            "--data",
            str(table),
            "--code-size",
            "2",
            "--epochs",
            "60",
            "--no-figures",
            "--out",
            str(out),
        ]
    )
    told = capsys.readouterr().out
    assert "scaling standard: the standard deviations of the columns range from 0.01" in told
    mine, pca = map(
        float,
        re.search(r"test scaled mse (\S+)   PCA-2 mse (\S+)   in original units", told).groups(),
    )
    assert mine < pca < 0.2
    assert json.loads((out / "config.json").read_text())["scaling"] == "standard"
    main(["reconstruct", str(out), "--data", str(table), "--out", str(tmp_path / "again.csv")])
    again = np.loadtxt(tmp_path / "again.csv", delimiter=",", skiprows=1)
    assert (((again - X) ** 2).mean(axis=0) / X.var(axis=0)).max() < 0.1


def test_the_page_undoes_the_scale(fitted, tmp_path):
    nanoae.write_report(
        tmp_path / "report.html", fitted, X, baseline=PCA(2, scaling="standard").fit(X)
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"scale": {"center": [' in text or '"scale":{"center":[' in text
    assert "mean squared error, scaled columns" in text
