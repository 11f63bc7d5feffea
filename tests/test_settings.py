"""Does what is fitted answer as it was built, whatever is set, or changed within a parameter, afterwards?"""

import copy
import pickle

import numpy as np
import pytest

import nanoae
from nanoae.pyod import AutoEncoder

X = np.random.default_rng(0).random((40, 6), np.float32)
NEW = np.random.default_rng(1).random((9, 6), np.float32)
GAPS = np.where(np.arange(6) == 1, np.nan, NEW)
CODES = np.random.default_rng(2).standard_normal((5, 2))
LABELS = np.arange(40) % 3
LINES = ["a red fox", "a blue fox", "the red hen", "the old hen sings"] * 5
SMALL = {"epochs": 2, "batch_size": 16, "backend": "numpy", "random_state": 3}
VAE = {"likelihood": "gaussian", "variance": 0.2, "beta": 0.5, "warm_up": 1.0, **SMALL}
OF_ROWS = {
    "transform": lambda m: m.transform(NEW),
    "inverse_transform": lambda m: m.inverse_transform(CODES),
    "reconstruct": lambda m: m.reconstruct(NEW),
    "reconstruction_error": lambda m: m.reconstruction_error(NEW),
    "evaluate": lambda m: list(m.evaluate(NEW).values()),
    "score": lambda m: m.score(NEW),
    "sample": lambda m: m.fit_prior(X, 2).sample(4, random_state=0),
    "interpolate": lambda m: m.interpolate(NEW[0], NEW[1], 3),
    # whose optimiser starts afresh
    "partial_fit": lambda m: copy.deepcopy(m).partial_fit(X).network_.theta,
}
OF_LABELS = {
    "predict": lambda m: m.predict(NEW),
    "evaluate": lambda m: list(m.evaluate(X, LABELS).values()),
    "score": lambda m: m.score(X, LABELS),
    "transform": lambda m: m.transform(NEW),
}
OF_OUTLIERS = {
    "score_samples": lambda m: m.score_samples(NEW),
    "decision_function": lambda m: m.decision_function(NEW),
    "predict": lambda m: m.predict(NEW),
    "transform": lambda m: m.transform(NEW),
}
OF_DETECTORS = {
    "p_values": lambda m: m.p_values(NEW),
    "explain": lambda m: m.explain(NEW),
    "explanation": lambda m: np.array(m.explanation(NEW)[1:], float),
}
CASES = {  # name -> (how it is fitted, what it is asked)
    "Autoencoder": (
        lambda: nanoae.Autoencoder(
            2,
            [4],
            loss=nanoae.Huber(0.7, reduction="sum"),
            optimizer=nanoae.SGD(0.01),
            corruption=nanoae.MaskingNoise(0.3),
            penalty=nanoae.L1Sparsity(1e-3),
            dtype="float64",
            **SMALL,
        ).fit(X),
        OF_ROWS,
    ),
    "own layers": (
        lambda: nanoae.Autoencoder(
            encoder=[nanoae.Linear(4), nanoae.BatchNorm(), nanoae.Linear(2)],
            decoder=[nanoae.Dropout(0.2), nanoae.Linear(6), nanoae.Sigmoid()],
            bottleneck=nanoae.TopK(1, 2.0),
            **SMALL,
        ).fit(X),
        OF_ROWS,
    ),
    "with gaps": (
        lambda: nanoae.Autoencoder(2, (4,), missing="mask", loss="bce", **SMALL).fit(
            np.vstack([X, GAPS])
        ),
        {
            **OF_ROWS,
            "gaps": lambda m: m.reconstruct(GAPS),
            "their errors": lambda m: m.reconstruction_error(GAPS),
        },
    ),
    "VariationalAutoencoder": (
        lambda: nanoae.VariationalAutoencoder(2, (4,), **VAE).fit(X),
        {
            **OF_ROWS,
            "score_samples": lambda m: m.score_samples(NEW),
            "bound": lambda m: m.score_samples(NEW, importance_samples=3),
            "traverse": lambda m: m.traverse(1, steps=3),
        },
    ),
    "conditional": (
        lambda: nanoae.VariationalAutoencoder(2, (4,), **VAE).fit(X, condition=LABELS),
        {
            "transform": lambda m: m.transform(NEW, 1),
            "reconstruct": lambda m: m.reconstruct(NEW, 2),
            "inverse_transform": lambda m: m.inverse_transform(CODES, 1),
            "reconstruction_error": lambda m: m.reconstruction_error(NEW, "feature", condition=1),
            "evaluate": lambda m: list(m.evaluate(NEW, 0).values()),
            "score_samples": lambda m: m.score_samples(NEW, LABELS[:9]),
            "interpolate": lambda m: m.interpolate(NEW[0], NEW[1], 3, condition=2),
            "traverse": lambda m: m.traverse(0, steps=3, condition=0),
            "sample": lambda m: m.sample(3, 0, condition=1),
            "partial_fit": lambda m: (
                copy.deepcopy(m).partial_fit(X, condition=LABELS).network_.theta
            ),
        },
    ),
    "ConvAutoencoder": (
        lambda: nanoae.ConvAutoencoder(
            encoder=[nanoae.Conv2d(2, 2), nanoae.Flatten(), nanoae.Linear(2)],
            decoder=[nanoae.Linear(6), nanoae.Reshape((1, 2, 3))],
            **SMALL,
        ).fit(X.reshape(-1, 1, 2, 3)),
        {"reconstruct": lambda m: m.reconstruct(NEW.reshape(-1, 1, 2, 3))},
    ),
    "StackedAutoencoder": (
        lambda: nanoae.StackedAutoencoder([4, 2], pretrain_epochs=[1, 2], loss="bce", **SMALL).fit(
            X
        ),
        OF_ROWS,
    ),
    "StackedClassifier": (
        lambda: nanoae.StackedClassifier(
            (4, 2), pretrain_epochs=1, dropout=[0.1, 0.2], freeze=1, **SMALL
        ).fit(X, LABELS),
        {**OF_LABELS, "predict_proba": lambda m: m.predict_proba(NEW)},
    ),
    "StackedRegressor": (
        lambda: nanoae.StackedRegressor((4, 2), pretrain_epochs=1, **SMALL).fit(X, LABELS),
        OF_LABELS,
    ),
    "TextVAE": (
        lambda: nanoae.TextVAE(2, 8, 4, **SMALL).fit(LINES),
        {
            "transform": lambda m: m.transform(LINES),
            "inverse_transform": lambda m: m.inverse_transform(CODES),
            "score_samples": lambda m: m.score_samples(LINES),
            "evaluate": lambda m: list(m.evaluate(LINES).values()),
            "generate": lambda m: m.generate(5, random_state=0),
            "reconstruct": lambda m: m.reconstruct(LINES),
        },
    ),
    "PCA": (
        lambda: nanoae.PCA(2).fit(X),
        {
            name: ask
            for name, ask in OF_ROWS.items()
            if name not in ("sample", "interpolate", "partial_fit")
        },
    ),
    "AnomalyDetector": (
        lambda: nanoae.AnomalyDetector(
            nanoae.Autoencoder(2, (4,), **SMALL),
            scores=["codes", nanoae.StandardisedError()],
            scaling=["robust", "gaussian"],
            missing="mask",
            threshold=nanoae.Quantile(0.8),
            holdout=0.25,
            random_state=0,
        ).fit(X),
        {
            **OF_OUTLIERS,
            **OF_DETECTORS,
            "gaps": lambda m: m.score_samples(GAPS),
        },
    ),
    "pyod": (
        lambda: AutoEncoder(
            nanoae.Autoencoder(2, (4,), **SMALL), contamination=0.3, random_state=0
        ).fit(X),
        {
            **OF_OUTLIERS,
            "predict_proba": lambda m: m.predict_proba(NEW, method="unify"),
            "predict_confidence": lambda m: m.predict_confidence(NEW),
            "predict_with_rejection": lambda m: m.predict_with_rejection(NEW),
            **OF_DETECTORS,
        },
    ),
    "ClusterLabelDetector": (
        lambda: nanoae.ClusterLabelDetector(
            nanoae.PCA(2), n_clusters=12, n_neighbors=3, random_state=0
        ).fit(X),
        {
            "query": lambda m: m.query(4),
            "label": lambda m: m.label(m.query(4), [0, 1, 0, 1]).abnormality_,
            "query again": lambda m: m.query(4),
            **OF_OUTLIERS,
        },
    ),
}


@pytest.fixture(scope="module")
def fitted():
    """name -> (the fitted estimator, all its answers); fitted once."""
    made = {}

    def get(name):
        if name not in made:
            fit, asked = CASES[name]
            model = fit()
            made[name] = model, answers(again(model), asked)
        return copy.deepcopy(made[name][0]), made[name][1]

    return get


def again(model):
    return pickle.loads(pickle.dumps(model))


def answers(model, asked):
    return {name: np.array(ask(model)) for name, ask in asked.items()}


def same(found, expected):
    for name, answer in expected.items():
        np.testing.assert_array_equal(found[name], answer, err_msg=name)


NONSENSE = "nonsense"  # as every parameter at once: a method that reads one of them fails, or gives something else


@pytest.mark.parametrize("name", CASES)
def test_every_method_answers_as_before(fitted, name, tmp_path):
    model, expected = fitted(name)
    asked = CASES[name][1]
    params = {key: NONSENSE for key in model.get_params(deep=False) if key != "callbacks"}
    model.set_params(**params)
    model.save(tmp_path / "model.npz")
    same(answers(again(model), asked), expected)
    same(answers(copy.deepcopy(model), asked), expected)
    same(answers(nanoae.load(tmp_path / "model.npz"), asked), expected)
    same(answers(model, asked), expected)
    # what was set is shown
    assert model.get_params(deep=False) == model.get_params(deep=False) | params


@pytest.mark.parametrize("name", CASES)
def test_what_is_set_counts_at_the_next_fit(fitted, name):
    model, _ = fitted(name)
    clone = type(model)(**model.get_params(deep=False))
    assert not clone.__sklearn_is_fitted__() and clone.as_built is clone
    parameter = "n_components" if name == "PCA" else "random_state"
    wrong = model.set_params(**{parameter: NONSENSE})
    with pytest.raises(ValueError, match=f"{parameter}.*{NONSENSE}"):
        wrong.fit(LINES if name == "TextVAE" else X, *([LABELS] if "Stacked" in name else []))
    assert type(model)(**model.get_params(deep=False)).get_params()[parameter] == NONSENSE


def tied():
    first = nanoae.Linear(2)
    return {"encoder": [first], "decoder": [nanoae.TiedLinear(first)]}


CHANGES = {  # (how it is fitted, what is changed within a parameter)
    "a list of widths": ("Autoencoder", lambda m: m.hidden.append(3)),
    "a loss": ("Autoencoder", lambda m: vars(m.loss).update(delta=0.01, reduction="mean")),
    "an optimizer": ("Autoencoder", lambda m: vars(m.optimizer).update(lr=9.0)),
    "corruption": ("Autoencoder", lambda m: vars(m.corruption).update(p=0.9)),
    "penalty": ("Autoencoder", lambda m: vars(m.penalty).update(weight=1e6)),
    "bottleneck": ("own layers", lambda m: vars(m.bottleneck).update(k=2, alpha=1.0)),
    "a list of layers": ("own layers", lambda m: m.encoder.clear()),
    "a layer": ("own layers", lambda m: vars(m.encoder[1]).update(momentum=1.0, eps=3.0)),
    "a list of dropouts": ("StackedClassifier", lambda m: m.dropout.clear()),
    "a list of epochs": ("StackedAutoencoder", lambda m: m.pretrain_epochs.clear()),
    "a detector's autoencoder": (
        "AnomalyDetector",
        lambda m: m.autoencoder.set_params(hidden=(9,), dtype="float64"),
    ),
    "a detector's autoencoder, fitted": ("AnomalyDetector", lambda m: m.autoencoder.fit(X[:5])),
    "a list of scores": ("AnomalyDetector", lambda m: m.scores.clear()),
    "a score": ("AnomalyDetector", lambda m: vars(m.scores[1]).update(spread_=0.0)),
    "a list of scalings": ("AnomalyDetector", lambda m: m.scaling.clear()),
    "a threshold": ("AnomalyDetector", lambda m: vars(m.threshold).update(q=0.1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_within_a_parameter_changes_nothing(what, tmp_path):
    name, change = CHANGES[what]
    fit, asked = CASES[name]
    model = fit()
    expected = answers(again(model), asked)
    change(model)
    model.save(tmp_path / "model.npz")
    same(answers(again(model), asked), expected)
    same(answers(nanoae.load(tmp_path / "model.npz"), asked), expected)
    same(answers(model, asked), expected)


@pytest.mark.parametrize(
    "random_state", [None, np.random.default_rng(5), np.random.RandomState(5)], ids=type
)
def test_a_detector_asks_the_same_whatever_seed_it_had(random_state, tmp_path):
    detector = nanoae.ClusterLabelDetector(
        nanoae.PCA(2), n_clusters=30, random_state=random_state
    ).fit(X)
    expected = detector.query(9)
    detector.save(tmp_path / "model.npz")
    for copied in (
        detector,
        again(detector),
        copy.deepcopy(detector),
        nanoae.load(tmp_path / "model.npz"),
    ):
        np.testing.assert_array_equal(copied.query(9), expected)


def test_layers_tied_across_two_parameters_stay_tied():
    ae = nanoae.Autoencoder(**tied(), **SMALL).fit(X)
    expected = ae.reconstruct(NEW)
    ae.encoder[0].n_out = 3
    np.testing.assert_array_equal(again(ae).reconstruct(NEW), expected)
    assert ae.as_built.decoder[0].source is ae.as_built.encoder[0]


def test_rows_with_gaps_are_refused_by_what_learned_without(fitted):
    ae, expected = fitted("Autoencoder")
    ae.set_params(missing="mask", loss="bce")
    with pytest.raises(
        ValueError, match=r"got NaN in row 0, column 1 .*built with missing=\"error\": call fit"
    ):
        ae.reconstruct(GAPS)
    assert "with gaps" in CASES and not np.isnan(expected["reconstruct"]).any()


def test_a_fit_that_fails_leaves_the_settings_of_the_one_before(fitted):
    ae, expected = fitted("Autoencoder")
    with pytest.raises(ValueError, match="batch_size"):
        ae.set_params(batch_size=0, dtype="float32").fit(X)
    same(answers(ae, OF_ROWS), expected)


def test_partial_fit_goes_on_as_it_began():
    """Also where its first call began it."""
    ae = nanoae.Autoencoder(2, (4,), **SMALL).partial_fit(X)
    other = copy.deepcopy(ae)
    other.set_params(batch_size=1, learning_rate=1.0, optimizer="sgd")
    np.testing.assert_array_equal(
        other.partial_fit(X).network_.theta, copy.deepcopy(ae).partial_fit(X).network_.theta
    )


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: nanoae.Autoencoder(2, (4,), **SMALL), {"X": np.zeros((4, 6, 1))}),
        (lambda: nanoae.Autoencoder(2, (4,), loss="bce", **SMALL), {"X": X + 3}),
        (
            lambda: nanoae.Autoencoder(2, (4,), **SMALL),
            {"X": X, "sample_weight": np.full(40, -1.0)},
        ),
        (lambda: nanoae.VariationalAutoencoder(2, (4,), **VAE), {"X": X, "condition": LABELS[:7]}),
    ],
)
def test_a_first_partial_fit_that_fails_leaves_nothing(make, wrong):
    model = make()
    before = {**vars(model)}
    with pytest.raises(ValueError, match="expected"):
        model.partial_fit(**wrong)
    assert vars(model) == before and not model.__sklearn_is_fitted__()


def test_callbacks_are_called_by_fit_as_they_are_and_are_no_part_of_the_settings():
    seen = []
    ae = nanoae.Autoencoder(
        2, (4,), callbacks=[lambda trainer, row: seen.append(row["epoch"])], **SMALL
    ).fit(X)
    assert seen == [1, 2] and ae.as_built.callbacks == ()
