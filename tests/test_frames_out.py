"""Do transformers give a data frame where one is asked for, with the names of its columns and the rows' own index?"""

import pickle

import numpy as np
import pytest

import nanoae

sklearn = pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
checks = pytest.importorskip("sklearn.utils.estimator_checks")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

NETWORK = {"epochs": 1, "backend": "numpy", "random_state": 0}
TRANSFORMERS = {
    "autoencoder": nanoae.Autoencoder(2, (4,), **NETWORK),
    "stacked autoencoder": nanoae.StackedAutoencoder((4, 2), pretrain_epochs=1, **NETWORK),
    "classifier": nanoae.StackedClassifier((4, 2), pretrain_epochs=1, **NETWORK),
    "regressor": nanoae.StackedRegressor((4, 2), pretrain_epochs=1, **NETWORK),
    "variational": nanoae.VariationalAutoencoder(2, (4,), likelihood="gaussian", **NETWORK),
    "PCA": nanoae.PCA(2),
    "detector": nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, (4,), **NETWORK), holdout=0.5, random_state=0
    ),
    "cluster labels": nanoae.ClusterLabelDetector(nanoae.PCA(2), n_clusters=5, random_state=0),
}
CHECKS = [
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_global_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_set_output_transform_polars,
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
]
rng = np.random.default_rng(0)
X = pd.DataFrame(
    rng.normal(size=(30, 3)), columns=["a", "b", "c"], index=[f"row {i}" for i in range(30)]
)
y = np.arange(30) % 2


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_common_checks(name, check):
    check(type(TRANSFORMERS[name]).__name__, TRANSFORMERS[name])


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_what_is_asked_for_changes_nothing_else(name):
    """Only the clothes of `transform`: the same codes, and every method that uses them gives what it gave."""
    plain, framed = (clone(TRANSFORMERS[name]) for _ in range(2))
    plain.fit(X, y)
    with sklearn.config_context(transform_output="pandas"):
        framed.fit(X, y)
        codes = framed.transform(X)
        assert list(codes.index) == list(X.index) and list(codes.columns) == list(
            framed.get_feature_names_out()
        )
        np.testing.assert_array_equal(codes, plain.transform(X).to_numpy())
        for method in ("reconstruct", "score_samples", "predict", "predict_proba"):
            if hasattr(framed, method):
                result = getattr(framed, method)(X)
                assert isinstance(result, np.ndarray)
                with sklearn.config_context(transform_output="default"):
                    np.testing.assert_array_equal(result, getattr(plain, method)(X))
        if hasattr(framed, "inverse_transform"):
            assert isinstance(framed.inverse_transform(codes), np.ndarray)
            np.testing.assert_array_equal(framed.inverse_transform(codes), framed.reconstruct(X))
        if hasattr(framed, "fit_prior"):
            assert framed.fit_prior(X, 2).sample(2, 0).shape == (2, 3)
            assert framed.interpolate(X.to_numpy()[0], X.to_numpy()[1], 3).shape == (3, 3)
            assert np.isfinite(list(framed.evaluate(X).values())).all()


def test_the_request_is_kept():
    model = clone(TRANSFORMERS["autoencoder"]).set_output(transform="pandas")
    for twin in (
        clone(model).fit(X),
        pickle.loads(pickle.dumps(model.fit(X))),
        model.fit(X).fit(X),
    ):
        assert isinstance(twin.transform(X), pd.DataFrame) and isinstance(
            twin.fit_transform(X), pd.DataFrame
        )
    with sklearn.config_context(transform_output="polars"):
        assert isinstance(model.transform(X), pd.DataFrame)  # told, it does not follow the others
        assert isinstance(model.set_output().transform(X), pd.DataFrame)
        assert isinstance(model.set_output(transform="default").transform(X), np.ndarray)


def test_names_through_pipelines():
    model, rest = clone(TRANSFORMERS["autoencoder"]), clone(TRANSFORMERS["PCA"])
    pipeline = make_pipeline(StandardScaler(), model, rest).set_output(transform="pandas")
    codes = pipeline.fit_transform(X)
    assert list(codes.columns) == ["pca0", "pca1"] and list(codes.index) == list(X.index)
    assert list(pipeline.feature_names_in_) == list(model.feature_names_in_) == ["a", "b", "c"]
    assert list(rest.feature_names_in_) == ["autoencoder0", "autoencoder1"]
    assert list(pipeline.get_feature_names_out(["a", "b", "c"])) == ["pca0", "pca1"]
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        model.get_feature_names_out(["a", "c", "b"])
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(X[["b", "a", "c"]])


@pytest.mark.parametrize(
    "model", [clone(TRANSFORMERS["autoencoder"]), nanoae.PCA(2)], ids=["autoencoder", "pca"]
)
def test_codes_are_read_by_name(model):
    codes = model.set_output(transform="pandas").fit_transform(X)
    with pytest.raises(ValueError, match="expected the codes' columns in the order of transform"):
        model.inverse_transform(codes[codes.columns[::-1]])
    renamed = codes.rename(columns=lambda name: f"code__{name}")
    np.testing.assert_array_equal(model.inverse_transform(renamed), model.inverse_transform(codes))


def test_names_through_a_column_transformer():
    columns = ColumnTransformer(
        [("code", clone(TRANSFORMERS["autoencoder"]), ["a", "b"]), ("pca", nanoae.PCA(1), ["c"])],
        remainder="passthrough",
    )
    wide = X.assign(d=1.0)
    codes = columns.set_output(transform="pandas").fit_transform(wide)
    assert list(codes.columns) == [
        "code__autoencoder0",
        "code__autoencoder1",
        "pca__pca0",
        "remainder__d",
    ]
    assert list(codes.index) == list(X.index)
    assert list(columns.named_transformers_["code"].feature_names_in_) == ["a", "b"]


def test_tables_in_a_pipeline():
    table = X.assign(colour=np.where(X["a"] > 0, "red", "blue"))
    encoder = nanoae.TableEncoder().set_output(transform="pandas")
    Z = encoder.fit_transform(table)
    assert list(Z.columns) == ["a", "b", "c", "colour=blue", "colour=red", "colour=other"]
    assert list(Z.index) == list(X.index) and (Z["colour=red"] == (X["a"] > 0)).all()
    pipeline = make_pipeline(nanoae.TableEncoder(), clone(TRANSFORMERS["autoencoder"])).fit(
        table, y
    )
    codes = clone(pipeline).fit(table).set_output(transform="pandas").transform(table)
    np.testing.assert_array_equal(codes, pipeline.transform(table))
    assert (
        list(pipeline.get_feature_names_out(table.columns))
        == list(codes.columns)
        == ["autoencoder0", "autoencoder1"]
    )
    both = ColumnTransformer(
        [("table", nanoae.TableEncoder(), ["colour", "a"]), ("pca", nanoae.PCA(1), ["b", "c"])]
    )
    names = [
        "table__colour=blue",
        "table__colour=red",
        "table__colour=other",
        "table__a",
        "pca__pca0",
    ]
    assert list(both.set_output(transform="pandas").fit_transform(table).columns) == names
    assert pipeline.set_params(tableencoder__max_categories=1)[0].max_categories == 1
    detector = clone(TRANSFORMERS["detector"]).fit(table)
    scores = detector.score_samples(table)
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(detector.fit(table).score_samples(table), scores)
    with pytest.raises(
        ValueError,
        match="TableEncoder: parameter: expected one of max_categories, got 'categories'",
    ):
        encoder.set_params(categories=3)
    with pytest.raises(
        ValueError, match="TableEncoder: expected input_features, the columns that fit saw"
    ):
        encoder.get_feature_names_out(["a", "b"])


def test_lines_of_text_in_a_frame():
    model = nanoae.TextVAE(2, 4, 4, epochs=1, backend="numpy", random_state=0).fit(
        ["a b", "b a", "a a"]
    )
    codes = model.set_output(transform="pandas").transform(["a b"])
    assert (
        list(codes.columns) == ["textvae0", "textvae1"] and model.reconstruct(["a b"]) is not None
    )
    frame = pd.Series(["a b", "b a"], index=[7, 8])
    assert list(model.transform(frame).index) == [7, 8]


def test_what_cannot_be_asked_for(monkeypatch):
    with pytest.raises(
        ValueError,
        match=r"set_output: transform: expected one of default, pandas, polars, got 'panda'",
    ):
        nanoae.PCA().set_output(transform="panda")
    images = rng.normal(size=(4, 1, 6, 6))
    model = nanoae.ConvAutoencoder(
        encoder=[nanoae.Conv2d(2, 3)],
        decoder=[nanoae.ConvTranspose2d(1, 3)],
        epochs=1,
        backend="numpy",
    ).fit(images)
    with pytest.raises(
        ValueError,
        match=r"ConvAutoencoder: expected codes \(N, K\) for a data frame, got \(4, 2, 4, 4\)",
    ):
        model.set_output(transform="pandas").transform(images)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(
        ImportError,
        match="PCA: expected polars for the requested output, got no such package",
    ):
        nanoae.PCA(1).fit(X).set_output(transform="polars").transform(X)
