"""Does onnxruntime compute what nanoae computes, of every layer and every model? To 1e-5 of the largest number."""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import HealthCheck, given, settings

import nanoae
from nanoae.autoencoders.vocabulary import Vocabulary
from nanoae.cli import main
from nanoae.interchange.layers import translate

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pd = pytest.importorskip("pandas")
sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.interchange import BOUND, apart, networks  # noqa: E402

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 6)).astype(np.float32)
UNIT = (X - X.min()) / np.ptp(X)
IMAGES = rng.uniform(-1, 1, (30, 2, 6, 5)).astype(np.float32)
COLOURS = np.array(["red", "green", "blue"])[np.arange(60) % 3]


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(path, **inputs):
    """The outputs by name."""
    opened = session(path)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, inputs), strict=True))


def near(found, wanted):
    assert found.shape == wanted.shape
    if wanted.dtype.kind not in "fc":
        return np.testing.assert_array_equal(found, wanted)
    scale = max(1.0, np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    return np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_every_layer(kind, dtype, tmp_path):
    net = nanoae.Sequential(EXAMPLES[kind]()).build(5, dtype=dtype, random_state=0)
    draw = np.random.default_rng(1)
    for layer in net.layers:  # running statistics as after a training
        for array in layer.state.values():
            array += draw.uniform(0, 0.5, array.shape)
    words = any(isinstance(layer, nanoae.Embedding) for layer in net.layers)
    x = (draw.integers(0, 3, (7, 5)) if words else draw.normal(size=(7, 5))).astype(dtype)
    nanoae.export(net, tmp_path / "net.onnx")
    for rows in (7, 1):  # the batch is free
        near(run(tmp_path / "net.onnx", x=x[:rows])["y"], net.forward(x[:rows]))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=networks())
def test_random_networks(drawn, tmp_path_factory):
    assert apart(*drawn, tmp_path_factory.mktemp("onnx") / "network.onnx") <= BOUND


class Doubled(nanoae.Layer):
    def forward(self, x, train=False):
        return 2 * x


def test_a_layer_of_ones_own_is_refused_by_name_until_it_is_translated(tmp_path):
    net = nanoae.Sequential([nanoae.Linear(3), Doubled()]).build(4, random_state=0)
    with pytest.raises(
        ValueError, match=r"export: expected a part with an ONNX formula, got Doubled\(\)"
    ):
        nanoae.export(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
    translate.register(Doubled, lambda layer, x: 2 * x)
    nanoae.export(net, tmp_path / "net.onnx")
    near(run(tmp_path / "net.onnx", x=X[:, :4])["y"], net.forward(X[:, :4]))


# ---------------------------------------------------------------- autoencoders

SMALL = {"epochs": 2, "batch_size": 16, "random_state": 0, "backend": "numpy"}
GAPS = np.where(rng.random(X.shape) < 0.2, np.nan, X)
LAYERS = {
    "encoder": [
        nanoae.Conv2d(4, 3, 2, 1),
        nanoae.ELU(),
        nanoae.BatchNorm(),
        nanoae.Flatten(),
        nanoae.Linear(3),
    ],
    "decoder": [
        nanoae.Linear(36),
        nanoae.Reshape((4, 3, 3)),
        nanoae.ConvTranspose2d(2, 3, 2, 1, (1, 0)),
        nanoae.Tanh(),
    ],
}
AUTOENCODERS = {
    "dense": lambda: nanoae.Autoencoder(2, (5,), **SMALL).fit(X),
    "bce": lambda: nanoae.Autoencoder(2, (5,), loss="bce", **SMALL).fit(UNIT),
    "float64": lambda: nanoae.Autoencoder(2, (5,), activation="elu", dtype="float64", **SMALL).fit(
        X
    ),
    "tied": lambda: nanoae.Autoencoder(2, (5,), tied_weights=True, **SMALL).fit(X),
    "masked": lambda: nanoae.Autoencoder(2, (5,), missing="mask", **SMALL).fit(GAPS),
    "mixed": lambda: nanoae.Autoencoder(2, (5,), loss=nanoae.Mixed((1, 3, 2)), **SMALL).fit(
        np.abs(UNIT)
    ),
    "top_k": lambda: nanoae.Autoencoder(4, (5,), bottleneck=nanoae.TopK(2), **SMALL).fit(X),
    "adversarial": lambda: nanoae.Autoencoder(2, bottleneck=nanoae.Adversarial(), **SMALL).fit(X),
    "denoising": lambda: nanoae.Autoencoder(2, corruption=nanoae.MaskingNoise(0.3), **SMALL).fit(X),
    "stacked": lambda: nanoae.StackedAutoencoder((5, 3), pretrain_epochs=1, **SMALL).fit(X),
    "variational": lambda: nanoae.VariationalAutoencoder(2, (5,), **SMALL).fit(UNIT),
    "gaussian": lambda: nanoae.VariationalAutoencoder(2, (5,), likelihood="gaussian", **SMALL).fit(
        X
    ),
    "images": lambda: nanoae.Autoencoder(**LAYERS, **SMALL).fit(IMAGES),
    "conv": lambda: nanoae.ConvAutoencoder(3, **SMALL).fit(
        rng.uniform(-1, 1, (20, 784)).astype(np.float32)
    ),
    "channels last": lambda: nanoae.ConvAutoencoder(
        3, output_activation="identity", scaling="standard", **SMALL
    ).fit(200 * rng.uniform(0, 1, (20, 9, 8, 3))),
    "scaled": lambda: nanoae.Autoencoder(2, (5,), scaling="robust", **SMALL).fit(1e3 * X),
    "pca": lambda: nanoae.PCA(3).fit(X),
}


@functools.cache
def fitted(name):
    return AUTOENCODERS[name]()


def rows_for(model, n=9):
    draw = np.random.default_rng(3)
    rows = draw.uniform(0, 1, (n, *model.input_shape_)).astype(np.float32)
    if getattr(model, "missing", None) == "mask":
        rows[draw.random(rows.shape) < 0.3] = np.nan
    wide = isinstance(model, nanoae.PCA) or model.scaling_ != "none"
    return rows.astype(np.float64 if wide else model.dtype)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_autoencoder(name, tmp_path):
    model = fitted(name)
    rows = rows_for(model)
    model.export(tmp_path / "whole.onnx")
    found = run(tmp_path / "whole.onnx", x=rows)
    assert list(found) == ["code", "reconstruction", "error"]
    near(found["code"], model.transform(rows))
    near(found["reconstruction"], model.reconstruct(rows))
    near(found["error"], model.reconstruction_error(rows))
    model.export(tmp_path / "decoder.onnx", what="decoder")
    codes = model.transform(rows)
    near(
        run(tmp_path / "decoder.onnx", code=codes)["reconstruction"], model.inverse_transform(codes)
    )


@pytest.mark.parametrize("name", ["scaled", "channels last", "pca", "float64"])
def test_float32_outside_where_it_is_float64_inside(name, tmp_path):
    model = fitted(name)
    rows = rows_for(model).astype(np.float32)
    assert "float64" not in model.export(tmp_path / "whole.onnx", dtype="float32")
    found = run(tmp_path / "whole.onnx", x=rows)
    near(found["code"], model.transform(rows))
    near(found["reconstruction"], model.reconstruct(rows))
    near(found["error"], model.reconstruction_error(rows))


@pytest.mark.parametrize("name", ["variational", "gaussian"])
def test_the_bound_of_a_variational_one(name, tmp_path):
    model = fitted(name)
    rows = rows_for(model)
    model.export(tmp_path / "bound.onnx", what="bound")
    found = run(tmp_path / "bound.onnx", x=rows, noise=np.zeros((len(rows), 2), np.float32))
    again = model.reconstruct(rows).astype(np.float64)  # from the mean code: there noise is 0
    log_p = -((rows - again) ** 2) / 2 - np.log(2 * np.pi) / 2
    if name == "variational":
        log_p = rows * np.log(again) + (1 - rows) * np.log(1 - again)
    near(found["elbo"] + found["kl"], log_p.sum(axis=1))
    near(found["kl"].mean(), np.array(model.evaluate(rows)["kl"]))
    drawn = rng.standard_normal((2000, 2)).astype(np.float32)
    many = run(tmp_path / "bound.onnx", x=rows[:1].repeat(2000, axis=0), noise=drawn)["elbo"]
    score = model.score_samples(rows[:1].repeat(2000, axis=0))[0]
    assert abs(many.mean() - score) < 6 * many.std()


@pytest.mark.parametrize(
    "labels", [COLOURS, np.arange(60) % 3, np.arange(60) % 2 == 0], ids=["texts", "ints", "bools"]
)
def test_a_conditional_one(labels, tmp_path):
    model = nanoae.VariationalAutoencoder(2, (5,), **SMALL).fit(UNIT, condition=labels)
    model.export(tmp_path / "whole.onnx")
    said = labels.astype(object) if labels.dtype.kind == "U" else labels
    found = run(tmp_path / "whole.onnx", x=UNIT, condition=said)
    near(found["code"], model.transform(UNIT, labels))
    near(found["reconstruction"], model.reconstruct(UNIT, labels))
    model.export(tmp_path / "decoder.onnx", what="decoder")
    again = run(tmp_path / "decoder.onnx", code=found["code"], condition=said)["reconstruction"]
    near(again, model.reconstruct(UNIT, labels))


def test_what_a_model_refuses_comes_out_as_nan(tmp_path):
    # with ReLUs, which lose NaN
    model = nanoae.VariationalAutoencoder(2, (5,), **SMALL).fit(UNIT, condition=COLOURS)
    rows = UNIT[:4].copy()
    rows[0, 1], rows[1, 2] = np.nan, np.inf
    model.export(tmp_path / "whole.onnx")
    found = run(
        tmp_path / "whole.onnx", x=rows, condition=np.array(["red", "red", "purple", "red"], object)
    )
    for name, values in found.items():
        finite = np.isfinite(values.reshape(4, -1))
        assert not finite[:3].any() and finite[3].all(), name


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_table_with_words(missing, tmp_path):
    """Its cells go in; numbers come out in their units, words as probabilities; infinity as NaN."""
    table = pd.DataFrame({"a": 1e3 + X[:, 0] * 10, "colour": COLOURS, "b": X[:, 1]})
    if missing == "mask":
        table.loc[3, "a"], table.loc[4, "colour"] = np.nan, None
    model = nanoae.Autoencoder(2, (5,), missing=missing, **SMALL).fit(table)
    model.export(tmp_path / "whole.onnx")
    cells = {
        "numbers": table[["a", "b"]].to_numpy(float, copy=True),
        "categories": table[["colour"]].fillna("").to_numpy(object),
    }
    found = run(tmp_path / "whole.onnx", **cells)
    again = model.reconstruct(table)
    columns = json.loads(onnx.load(tmp_path / "whole.onnx").metadata_props[0].value)["columns"]
    assert columns == ["a", "colour=blue", "colour=green", "colour=red", "colour=other", "b"]
    near(found["code"], model.transform(table))
    near(found["reconstruction"][:, [0, -1]], again[:, [0, -1]].astype(float))
    words = np.array(columns[1:5])[found["reconstruction"][:, 1:5].argmax(axis=1)]
    assert [f"colour={word}" for word in again[:, 1]] == words.tolist()
    near(found["error"], model.reconstruction_error(table))
    cells["numbers"][0, 1] = np.inf
    found = run(tmp_path / "whole.onnx", **cells)
    assert np.isnan(found["code"]).any(axis=1).tolist() == [True] + [False] * 59


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels",
    [COLOURS, np.arange(60) % 3, np.arange(60) % 2 == 0, np.arange(60) % 2.0],
    ids=["texts", "ints", "bools", "floats"],
)
def test_a_classifier(labels, tmp_path):
    model = nanoae.StackedClassifier((5,), pretrain_epochs=1, dropout=0.2, **SMALL).fit(X, labels)
    model.export(tmp_path / "model.onnx")
    found = run(tmp_path / "model.onnx", x=X)
    near(found["probability"], model.predict_proba(X))
    near(found["label"].astype(labels.dtype), model.predict(X))


def test_a_regressor(tmp_path):
    model = nanoae.StackedRegressor((5,), pretrain_epochs=1, **SMALL).fit(
        X, 1e6 + X[:, 0].astype(float)
    )
    model.export(tmp_path / "model.onnx")
    near(run(tmp_path / "model.onnx", x=X)["prediction"], model.predict(X))


# ---------------------------------------------------------------- lines of text


@pytest.mark.parametrize(
    "keywords", [["tea", "coffee", "tea", "coffee"] * 3, None], ids=["keywords", "no keywords"]
)
def test_a_model_of_text(keywords, tmp_path):
    lines = ["tea is good", "drink coffee", "we like tea now", "coffee"] * 3
    model = nanoae.TextVAE(4, 16, 8, **{**SMALL, "epochs": 30}).fit(lines, keywords)
    x = model.vocabulary_.encode(lines, keywords, model.n_features_in_).astype(np.int64)
    model.export(tmp_path / "whole.onnx")
    found = run(tmp_path / "whole.onnx", x=x)
    near(found["code"], model.transform(lines, keywords))
    assert model.vocabulary_.decode(found["words"]) == model.reconstruct(lines, keywords)
    model.export(tmp_path / "decoder.onnx", what="decoder")
    near(run(tmp_path / "decoder.onnx", code=found["code"], start=x[:, 0])["words"], found["words"])
    noted = json.loads(onnx.load(tmp_path / "whole.onnx").metadata_props[0].value)["vocabulary"]
    assert Vocabulary(*noted.values()).decode(found["words"]) == model.reconstruct(lines, keywords)


# ---------------------------------------------------------------- what cannot be, and the command


@pytest.mark.parametrize(
    ("wrong", "what", "told"),
    [
        ("model.pkl", None, "the file's ending: expected one of .onnx"),
        (
            "model.onnx",
            "score",
            "what, of Autoencoder: expected one of encoder, reconstruction, scores, decoder",
        ),
    ],
)
def test_what_is_no_file_of_others(wrong, what, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        fitted("dense").export(tmp_path / wrong, what)
    assert not list(tmp_path.iterdir())


def test_what_is_not_fitted_or_no_model(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        nanoae.Autoencoder().export(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="a built Sequential"):
        nanoae.export(nanoae.Sequential([nanoae.Linear(2)]), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="expected a part with an ONNX formula, got"):
        nanoae.export({"no": "model"}, tmp_path / "model.onnx")


def test_the_command(tmp_path, capsys):
    fitted("dense").save(tmp_path / "model.npz")
    assert main(["export", str(tmp_path / "model.npz"), "--out", str(tmp_path / "model.onnx")]) == 0
    assert "output  reconstruction  (N, 6)  float32" in capsys.readouterr().out
    near(run(tmp_path / "model.onnx", x=X)["reconstruction"], fitted("dense").reconstruct(X))
    wrong = [
        "export",
        str(tmp_path / "model.npz"),
        "--out",
        str(tmp_path / "model.onnx"),
        "--what",
        "all",
    ]
    assert main(wrong) == 2 and "expected one of encoder" in capsys.readouterr().err
