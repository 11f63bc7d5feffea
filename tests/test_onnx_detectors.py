"""Is a detector one ONNX graph, scaling, scores, folds and threshold included?"""

import json

import numpy as np
import pandas as pd
import pytest
from test_onnx import near, run

import nanoae
from nanoae.interchange.keys import bits_of, keys
from nanoae.pyod import AutoEncoder

onnx = pytest.importorskip("onnx")
rng = np.random.default_rng(0)
LEARNED = rng.normal(size=(120, 5))
LEARNED[:, 2] = np.round(np.abs(LEARNED[:, 2]) * 3)  # ties
LEARNED[5, 0], LEARNED[7, 1] = 40, 1e5  # beyond the limit of the scalers
# those learned from have folds of their own
NEW = np.vstack([LEARNED, LEARNED[:20] * 1.01, rng.normal(size=(30, 5)) * 3])
GAPS = np.where(rng.random(NEW.shape) < 0.2, np.nan, NEW)


def small(**kwargs):
    return nanoae.Autoencoder(3, (8,), epochs=1, backend="numpy", **kwargs)


def same(detector, path, rows, rtol=1e-9, **inputs):
    detector.export(path)
    found = run(path, **inputs)
    # each by itself: one is thousands of times as large as most
    np.testing.assert_allclose(found["score"], -detector.score_samples(rows), rtol, 1e-9)
    near(found["label"], detector.predict(rows))
    if hasattr(detector, "p_values"):
        near(found["p_value"], detector.p_values(rows))


DETECTORS = {
    **{
        f"scaled by {name}": {"scaling": name}
        for name in ("standard", "robust", "gaussian", "none")
    },
    **{
        f"scored by {name}": {"scores": name}
        for name in (
            "codes",
            "whitened",
            "joint",
            "tails",
            "reconstruction",
            "standardised",
            "mahalanobis",
        )
    },
    "a list of each": {
        "autoencoder": [
            small(),
            nanoae.VariationalAutoencoder(2, (4,), likelihood="gaussian", epochs=1),
        ],
        "scaling": ["robust", "none"],
        "members": 2,
        "holdout": 0.3,
    },
    "a rule of its own": {"threshold": nanoae.MAD(2.0)},
    "one training": {"holdout": 0.3},
}


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector(name, tmp_path):
    detector = nanoae.AnomalyDetector(**{"autoencoder": small(), **DETECTORS[name]}, random_state=0)
    same(detector.fit(LEARNED), tmp_path / "detector.onnx", NEW, x=NEW)


def test_float32_rows(tmp_path):
    detector = nanoae.AnomalyDetector(small(), holdout=0.3, random_state=0).fit(LEARNED)
    rows, path = NEW[120:].astype(np.float32), tmp_path / "detector.onnx"
    detector.export(path, dtype="float32")
    found = run(path, x=rows)
    near(found["score"], -detector.score_samples(rows))
    near(found["p_value"], detector.p_values(rows))


def test_the_default_one_and_its_codes(tmp_path):
    detector = nanoae.AnomalyDetector(holdout=0.3, random_state=0).fit(LEARNED)
    same(detector, tmp_path / "detector.onnx", NEW, x=NEW)
    detector.export(tmp_path / "codes.onnx", what="encoder")
    near(run(tmp_path / "codes.onnx", x=NEW)["code"], detector.transform(NEW))


def test_gaps(tmp_path):
    scores = [
        "codes",
        "whitened",
        "joint",
        "tails",
        "reconstruction",
        "standardised",
        "mahalanobis",
    ]
    detector = nanoae.AnomalyDetector(
        small(), scores, missing="mask", holdout=0.3, random_state=0
    ).fit(GAPS[:120])
    same(detector, tmp_path / "detector.onnx", GAPS, x=GAPS)
    found = run(tmp_path / "detector.onnx", x=np.full((1, 5), np.nan))
    assert np.isnan(found["score"]).all() and found["label"] == -1


@pytest.mark.filterwarnings("ignore:TableEncoder")
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_table_with_words(missing, tmp_path):
    table = pd.DataFrame(NEW.copy(), columns=list("abcde"))
    table.insert(
        2, "colour", np.where(NEW[:, 0] > 0, "red", np.where(NEW[:, 1] > 0, "blue", "grey"))
    )
    table["only"] = [f"word {i}" for i in range(len(table))]  # a column of "other" alone
    table.loc[3, "colour"] = "purple"
    if missing == "mask":
        table.loc[4, "colour"], table.loc[5, "a"] = None, np.nan
    detector = nanoae.AnomalyDetector(small(), missing=missing, holdout=0.3, random_state=0).fit(
        table[:120]
    )
    words = table[["colour", "only"]].fillna("").to_numpy(object)
    same(
        detector,
        tmp_path / "detector.onnx",
        table,
        numbers=table[list("abcde")].to_numpy(float),
        categories=words,
    )
    infinite = table[list("abcde")].to_numpy(float, copy=True)[:2]
    infinite[1, 0] = np.inf
    found = run(tmp_path / "detector.onnx", numbers=infinite, categories=words[:2])
    assert np.isnan(found["score"]).tolist() == [False, True] and found["label"][1] == -1
    notes = json.loads(onnx.load(tmp_path / "detector.onnx").metadata_props[0].value)
    assert notes["numbers"] == list("abcde") and notes["categories"]["colour"] == [
        "blue",
        "grey",
        "purple",
        "red",
    ]


def test_rows_that_are_many(tmp_path, monkeypatch):
    rows = rng.normal(size=(5400, 3))  # of which 4,320 are references: in cells
    detector = nanoae.AnomalyDetector(small(), random_state=0).fit(rows)
    same(detector, tmp_path / "detector.onnx", rows[::20], x=rows[::20])


def test_images(tmp_path):
    images = rng.normal(size=(40, 1, 6, 6))
    layers = {
        "encoder": [nanoae.Conv2d(2, 3), nanoae.ReLU(), nanoae.Flatten(), nanoae.Linear(3)],
        "decoder": [nanoae.Linear(36), nanoae.Reshape((1, 6, 6))],
    }
    detector = nanoae.AnomalyDetector(
        nanoae.Autoencoder(**layers, epochs=1), holdout=0.3, random_state=0
    ).fit(images)
    same(detector, tmp_path / "detector.onnx", images, 1e-3, x=images)  # of float32


def test_in_pyods_words(tmp_path):
    detector = AutoEncoder(small(), random_state=0).fit(LEARNED)
    detector.export(tmp_path / "detector.onnx")
    found = run(tmp_path / "detector.onnx", x=NEW)
    near(found["score"], detector.decision_function(NEW))
    near(found["label"], detector.predict(NEW))


def test_clusters_with_labels(tmp_path):
    detector = nanoae.ClusterLabelDetector(
        small(random_state=0), n_clusters=20, random_state=0
    ).fit(LEARNED)
    detector.label(np.arange(20), np.arange(20) % 5 == 0)
    # float64, in which the columns are scaled
    same(detector, tmp_path / "detector.onnx", LEARNED, 1e-3, x=LEARNED)  # of float32


def test_what_is_not_finite_is_abnormal(tmp_path):
    detector = nanoae.AnomalyDetector(small(), random_state=0).fit(LEARNED)
    rows = LEARNED[:3].copy()
    rows[0, 1], rows[1, 2] = np.nan, -np.inf
    detector.export(tmp_path / "detector.onnx")
    found = run(tmp_path / "detector.onnx", x=rows)
    assert (
        np.isnan(found["score"]).tolist() == [True, True, False]
        and (found["label"][:2] == -1).all()
    )


class Largest(nanoae.Score):
    def score(self, model, Z):
        return np.abs(Z - model.reconstruct(Z)).max(axis=1)


def test_what_has_no_formula_is_told_by_name(tmp_path):
    fitted = nanoae.AnomalyDetector(small(), Largest()).fit(LEARNED)
    with pytest.raises(ValueError, match="expected a part with an ONNX formula, got Largest"):
        fitted.export(tmp_path / "detector.onnx")
    fitted.export(tmp_path / "codes.onnx", what="encoder")
    near(run(tmp_path / "codes.onnx", x=NEW)["code"], fitted.transform(NEW))


@pytest.mark.parametrize("samples", [None, 3])
def test_a_bound_whose_noise_is_an_input(samples, tmp_path):
    """Any numbers of N(0, 1); with those that the detector draws for each row the scores are its own."""
    vae = nanoae.VariationalAutoencoder(2, (4,), likelihood="gaussian", epochs=1)
    detector = nanoae.AnomalyDetector(vae, nanoae.NegativeELBO(samples), random_state=0)
    detector.fit(LEARNED)
    drawn = [m.model._noise(m.scaled(NEW).astype(float), samples or 1) for m in detector.members_]
    noise = np.hstack([each.reshape(len(NEW), -1) for each in drawn])
    same(detector, tmp_path / "detector.onnx", NEW, x=NEW, noise=noise)
    new = rng.normal(size=(400, 5))
    new[:, 2] = np.round(np.abs(new[:, 2]) * 3)
    fresh = rng.standard_normal((400, noise.shape[1]))
    p = run(tmp_path / "detector.onnx", x=new, noise=fresh)["p_value"]
    assert 0.1 < (p <= 0.2).mean() < 0.3  # the promise is kept with any noise


def test_rows_are_known_again_to_the_bit(tmp_path):
    from nanoae.anomaly.calibration import row_keys
    from nanoae.interchange.graph import Graph

    sizes = rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)
    edges = [0, -0.0, 1, 0.5, 4, np.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 2.2e-308, 1.7976931348623157e308,
             1 - 2**-53, 3, 7, 2**53, -1]  # fmt: skip
    rows = np.concatenate([sizes, edges]).reshape(-1, 4)
    graph = Graph()
    x = graph.input("x", np.float64, (4,))
    graph.output("bits", bits_of(x), (4,))
    graph.output("keys", keys(x, 4), (1,))
    (tmp_path / "keys.onnx").write_bytes(graph.file({}))
    found = run(tmp_path / "keys.onnx", x=rows)
    np.testing.assert_array_equal(
        found["bits"], np.where(np.isnan(rows), np.nan, rows + 0.0).view(np.int64)
    )
    np.testing.assert_array_equal(found["keys"][:, 0].view(np.uint64), row_keys(rows))
