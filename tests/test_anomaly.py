"""Do the detectors find what is abnormal, and keep what they promise about scores, thresholds and explanations?"""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae.anomaly.detector import Surprise
from nanoae.anomaly.scores import NearestCodes, NegativeELBO, ReconstructionError
from nanoae.anomaly.thresholds import (
    MAD,
    PeaksOverThreshold,
    Quantile,
    Tail,
    fit_generalised_pareto,
)
from nanoae.data import scaling

RNG = np.random.default_rng(0)
PLANE = RNG.normal(size=(2, 6))


def normal_rows(n, rng):
    return rng.normal(size=(n, 2)) @ PLANE + 0.05 * rng.normal(size=(n, 6))


X = normal_rows(200, RNG)
STRANGE = 4 * RNG.normal(size=(50, 6))
SMALL = nanoae.Autoencoder(2, (8,), epochs=30, batch_size=32, learning_rate=0.01, backend="numpy")
VAE = nanoae.VariationalAutoencoder(
    2,
    (8,),
    likelihood="gaussian",
    variance=0.1,
    epochs=30,
    batch_size=32,
    learning_rate=0.01,
    backend="numpy",
)


def detector(**settings):
    return nanoae.AnomalyDetector(**{"autoencoder": SMALL, "random_state": 0, **settings})


def auroc(normal, abnormal):
    """The chance that an abnormal row scores higher than a normal one."""
    return (normal[:, None] < abnormal).mean()


# ---------------------------------------------------------------- the whole detector

SETTINGS = {
    "default scores": {},
    "reconstruction": {"scores": "reconstruction"},
    "standardised": {"scores": "standardised"},
    "mahalanobis": {"scores": "mahalanobis"},
    "codes": {"scores": "codes"},
    "three scores": {"scores": ["codes", "mahalanobis", ReconstructionError()]},
    "elbo": {"autoencoder": VAE, "scores": "elbo"},
    "iwae": {"autoencoder": VAE, "scores": NegativeELBO(5)},
    "gaussian": {"scaling": "gaussian"},
    "views": {"scaling": ["robust", "gaussian", "standard", "none"]},
    "seeds": {"members": 2},
    "depths": {
        "autoencoder": [
            SMALL,
            nanoae.Autoencoder(2, (8, 4), epochs=20, batch_size=32, backend="numpy"),
        ]
    },
    "pca": {
        "autoencoder": nanoae.StackedAutoencoder(
            (4, 2), pretrain_epochs=1, epochs=5, backend="numpy"
        )
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_what_is_abnormal_scores_higher(settings, tmp_path, rng):
    found = detector(**settings).fit(X)
    new = normal_rows(100, rng)
    assert auroc(-found.score_samples(new), -found.score_samples(STRANGE)) > 0.8
    shares = found.explain(STRANGE)
    assert shares.shape == STRANGE.shape
    np.testing.assert_allclose(np.abs(shares).sum(axis=1), np.abs(found.score_samples(STRANGE)))
    found.save(tmp_path / "detector.npz")
    again = nanoae.load(tmp_path / "detector.npz")
    for method in ("score_samples", "predict", "p_values", "transform"):
        assert np.array_equal(getattr(again, method)(STRANGE), getattr(found, method)(STRANGE)), (
            method
        )


@pytest.mark.parametrize("name", ["three scores", "iwae", "depths", "pca"])
def test_the_same_seed_gives_the_same_scores_to_the_bit(name):
    first, second = (detector(**SETTINGS[name]).fit(X).score_samples(STRANGE) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_two_vocabularies_for_one_thing():
    found = detector(contamination=0.15).fit(X)
    assert found.labels_.sum() == 30 and set(found.labels_) == {0, 1}  # 15 % of 200 rows
    assert np.array_equal(found.predict(X) == -1, found.labels_ == 1)
    assert np.array_equal(found.fit_predict(X), np.where(found.labels_ == 1, -1, 1))
    np.testing.assert_allclose(-found.score_samples(X), found.decision_scores_)
    np.testing.assert_allclose(found.decision_function(X), found.score_samples(X) - found.offset_)
    assert found.threshold_ == -found.offset_


def test_a_row_scores_the_same_in_any_company():
    found = detector(autoencoder=nanoae.Autoencoder(64, (256,), epochs=3, backend="numpy")).fit(X)
    alone = np.concatenate([found.score_samples(row[None]) for row in STRANGE])
    np.testing.assert_allclose(alone, found.score_samples(STRANGE), rtol=1e-9)


def test_a_generator_as_seed_can_be_saved(tmp_path):
    found = detector(random_state=np.random.default_rng(0)).fit(X)
    found.save(tmp_path / "detector.npz")
    assert np.array_equal(
        nanoae.load(tmp_path / "detector.npz").score_samples(X), found.score_samples(X)
    )


def test_explanations_point_at_what_was_changed(rng):
    changed = normal_rows(40, rng)
    changed[:, 3] += 6 * np.where(np.arange(40) % 2, 1, -1)
    shares = detector(scores="reconstruction").fit(X).explain(changed)
    assert (np.abs(shares).argmax(axis=1) == 3).mean() > 0.8
    assert (
        np.sign(shares[:, 3]) == np.sign(changed[:, 3] - normal_rows(1, rng)[:, 3].mean())
    ).mean() > 0.8


ODD = {
    "20 rows": (normal_rows(20, RNG), 6),
    "a constant column": (np.hstack([X, np.full((200, 1), 7.0)]), 7),
    "more columns than rows": (RNG.normal(size=(40, 60)), 60),
    "2 rows": (normal_rows(2, RNG), 6),
    "all rows alike": (np.ones((30, 4)), 4),
    "huge numbers": (X * 1e30, 6),
}


@odd_tables
@pytest.mark.parametrize("table, width", ODD.values(), ids=ODD)
@pytest.mark.parametrize("view", ["robust", "gaussian", "standard"])
def test_odd_tables(table, width, view):
    found = detector(
        scaling=view, scores=["codes", "reconstruction", "standardised", "mahalanobis"]
    ).fit(table)
    for rows in (table, table + table.std() + 1):
        scores = found.score_samples(rows)
        assert scores.shape == (len(rows),) and np.isfinite(scores).all()
        assert ((found.p_values(rows) > 0) & (found.p_values(rows) <= 1)).all()


def test_ctrl_c_leaves_no_half_learned_detector():
    def stop(trainer, row):
        raise KeyboardInterrupt

    found = nanoae.AnomalyDetector(SMALL).fit(X)
    before = found.score_samples(X)
    found.set_params(autoencoder=nanoae.Autoencoder(2, (8,), backend="numpy", callbacks=[stop]))
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("error")
        found.fit(2 * X)
    np.testing.assert_array_equal(found.score_samples(X), before)


def test_the_default_learns_twenty_rows(rng):
    found = nanoae.AnomalyDetector(random_state=0).fit(normal_rows(20, rng))
    assert auroc(-found.score_samples(normal_rows(50, rng)), -found.score_samples(STRANGE)) > 0.8


BAD = {
    "contamination": [0, 0.6, "auto", True],
    "holdout": [-0.1, 1, None],
    "members": [0, 1.5, True],
    "scores": ["unknown", 3],
    "scaling": ["unknown"],
    "threshold": [0.99, "mad"],
}


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, values in BAD.items() for value in values]
)
def test_bad_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}.*expected|expected.*{name}"):
        detector(**{name: value}).fit(X)


def test_only_a_variational_autoencoder_has_an_elbo():
    with pytest.raises(ValueError, match="VariationalAutoencoder"):
        detector(scores="elbo").fit(X)


# ---------------------------------------------------------------- scores by their definitions


@pytest.fixture(scope="module")
def fitted():
    model = nanoae.Autoencoder(**{**SMALL.get_params(), "random_state": 1, "dtype": "float64"}).fit(
        X
    )
    return model, X, STRANGE, model.transform, model.reconstruct


def test_reconstruction_and_standardised_error(fitted):
    model, rows, new, _, reconstruct = fitted
    error = (new - reconstruct(new)) ** 2
    spread = ((rows - reconstruct(rows)) ** 2).mean(axis=0)
    by_name = nanoae.anomaly.scores.get
    np.testing.assert_allclose(
        by_name("reconstruction").fit(model, rows).score(model, new), error.mean(axis=1)
    )
    np.testing.assert_allclose(
        by_name("standardised").fit(model, rows).score(model, new), (error / spread).mean(axis=1)
    )


def test_mahalanobis(fitted):
    model, rows, new, encode, _ = fitted
    away = encode(new) - encode(rows).mean(axis=0)
    want = [a @ np.linalg.solve(np.cov(encode(rows).T), a) for a in away]
    np.testing.assert_allclose(
        nanoae.anomaly.scores.get("mahalanobis").fit(model, rows).score(model, new), want, rtol=1e-4
    )


@pytest.mark.parametrize("references", [4000, 50])
def test_nearest_codes(fitted, references):
    model, rows, new, encode, _ = fitted
    score = NearestCodes(3, references).fit(model, rows)
    assert len(score.references_) == min(references, len(rows))
    distance = np.sqrt(((encode(new)[:, None] - score.references_) ** 2).sum(axis=2))
    np.testing.assert_allclose(
        score.score(model, new), np.sort(distance, axis=1)[:, :3].mean(axis=1)
    )
    if references > len(rows):  # a training row is not its own neighbour
        distance = np.sqrt(((encode(rows)[:, None] - encode(rows)) ** 2).sum(axis=2))
        np.testing.assert_allclose(
            score.score(model, rows), np.sort(distance, axis=1)[:, 1:4].mean(axis=1)
        )


def test_negative_elbo_and_its_tighter_bound():
    model = nanoae.VariationalAutoencoder(**{**VAE.get_params(), "random_state": 0}).fit(X)
    assert np.array_equal(
        NegativeELBO().score(model, STRANGE), -model.score_samples(STRANGE).astype(float)
    )
    bounds = [NegativeELBO(k).score(model, X).mean() for k in (1, 50)]
    assert bounds[1] < bounds[0]  # more samples, a tighter bound of -log p


def test_surprise_is_the_normal_score_of_the_tail(rng):
    usual = rng.pareto(2.0, size=20_000) + 1  # p(s) = s⁻²
    s = np.array([1.5, 3.0, 10.0, 1e3, 1e6])
    np.testing.assert_allclose(Surprise().fit(usual)(s), np.sqrt(-2 * np.log(s**-2.0)), rtol=0.06)
    assert (np.diff(Surprise().fit(-usual)(np.sort(-usual))) >= 0).all()  # scores below 0, too
    # of few rows, each counts half on either side of it
    found = Surprise().fit(np.arange(1.0, 101))(np.array([1.0, 50.0]))
    np.testing.assert_allclose(found, np.sqrt(-2 * np.log(1 - np.array([0.005, 0.495]))), rtol=1e-5)


# ---------------------------------------------------------------- scaling


def test_robust_scaling_is_blind_to_wild_rows(rng):
    rows = rng.normal(5, 2, size=(2000, 1))
    wild = np.vstack([rows, np.full((100, 1), 1e6)])
    scaler = scaling.RobustScaler().fit(wild)
    np.testing.assert_allclose([scaler.center_[0], scaler.scale_[0]], [5, 2], rtol=0.1)


def test_gaussian_scaling_makes_normal_and_goes_on_in_a_line(rng):
    rows = np.exp(rng.normal(size=(5000, 2)))
    scaler = scaling.GaussianScaler().fit(rows)
    z = scaler.transform(rows)
    np.testing.assert_allclose(
        np.quantile(z, (0.025, 0.5, 0.975), axis=0)[:, 0], (-1.96, 0, 1.96), atol=0.05
    )
    high = rows.max(axis=0)
    step = scaler.transform(high + rows.std(axis=0) * [[1], [2]])
    np.testing.assert_allclose(step[1] - step[0], 1, rtol=1e-5)
    assert (np.diff(scaler.transform(np.sort(rows, axis=0)), axis=0) >= 0).all()


# ---------------------------------------------------------------- thresholds and p-values


def test_quantile_and_mad(rng):
    scores = rng.normal(3, 2, size=50_000)
    assert Quantile(0.9).fit(scores) == pytest.approx(np.quantile(scores, 0.9), rel=1e-4)
    assert MAD(3.0).fit(scores) == pytest.approx(3 + 3 * 2, rel=0.02)


@pytest.mark.parametrize("gamma", [-0.3, 0.0, 0.2, 0.7])
def test_generalised_pareto(gamma, rng):
    u = rng.random(20_000)
    y = 2 * (-np.log(u) if gamma == 0 else (u**-gamma - 1) / gamma)
    np.testing.assert_allclose(fit_generalised_pareto(y), (gamma, 2), atol=0.06)


def test_fewest_excesses():
    for y in ([0.0, 0.0], [1.0], [1.0, 1.0, 1.0]):
        gamma, sigma = fit_generalised_pareto(np.array(y))
        assert -0.5 <= gamma < 1 and sigma > 0


@pytest.mark.parametrize("rate", [0.2, 0.01, 1e-4])
def test_peaks_over_threshold_keeps_the_wished_rate(rate, rng):
    scores = rng.exponential(size=(20, 5000))
    found = [PeaksOverThreshold(rate).fit(each) for each in scores]
    assert np.mean(found) == pytest.approx(-np.log(rate), rel=0.1)  # P(score > s) = e^-s
    heavy = [PeaksOverThreshold(rate).fit(np.exp(each / 4)) for each in scores]
    assert np.median(heavy) == pytest.approx(rate**-0.25, rel=0.15)


def test_the_tail_of_an_exponential_distribution(rng):
    tail = Tail(rng.exponential(size=3000))
    for p in (0.05, 1e-3):
        assert tail.exceeded(np.array([-np.log(p)]))[0] == pytest.approx(p, rel=0.3)
    s = np.sort(rng.exponential(3, size=500))
    assert (np.diff(tail.exceeded(s)) <= 1e-12).all()


def test_p_values_are_uniform_on_normal_rows():
    rng = np.random.default_rng(5)
    found = detector(holdout=0.5).fit(normal_rows(3000, rng))
    p = found.p_values(normal_rows(3000, rng))
    for level in (0.01, 0.05, 0.2, 0.5, 0.8):
        assert (p <= level).mean() == pytest.approx(
            level, abs=4 * np.sqrt(level * (1 - level) / 1500)
        )
    assert np.median(found.p_values(STRANGE)) < 0.01
    assert len(found.tested_scores_) == 1500


def test_rows_held_out_keep_the_rate_where_learned_ones_do_not():
    rng = np.random.default_rng(6)
    rows, new = rng.normal(size=(100, 6)), rng.normal(size=(4000, 6))
    wide = nanoae.Autoencoder(
        6, (64,), epochs=300, batch_size=25, learning_rate=0.003, backend="numpy"
    )
    found = detector(autoencoder=wide, scores="codes", holdout=0.5).fit(rows)
    assert (found.p_values(new) <= 0.2).mean() == pytest.approx(0.2, abs=0.15)


@pytest.mark.parametrize(
    "threshold", [Quantile(0.95), MAD(4.0), PeaksOverThreshold(0.02)], ids=repr
)
def test_thresholds_in_a_detector(threshold, rng):
    found = detector(threshold=threshold).fit(X)
    assert found.threshold_ == threshold.fit(found.decision_scores_)
    assert (found.predict(STRANGE) == -1).mean() > (
        found.predict(normal_rows(100, rng)) == -1
    ).mean() + 0.3


@pytest.mark.parametrize(
    "make", [lambda: Quantile(1.0), lambda: MAD(0), lambda: PeaksOverThreshold(0)]
)
def test_bad_thresholds_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


# ---------------------------------------------------------------- PyOD


def test_the_adapters_speak_pyods_language(rng):
    from nanoae import pyod

    for cls, autoencoder in ((pyod.AutoEncoder, SMALL), (pyod.VAE, VAE)):
        found = cls(autoencoder, contamination=0.1, random_state=0).fit(X)
        assert np.array_equal(found.labels_, found.predict(X)) and found.labels_.sum() == 20
        np.testing.assert_allclose(found.decision_function(X), found.decision_scores_)
        assert (
            auroc(found.decision_function(normal_rows(100, rng)), found.decision_function(STRANGE))
            > 0.8
        )
        p = found.predict_proba(STRANGE)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert p.min() >= 0


def test_in_pyods_own_functions(rng):
    pytest.importorskip("pyod")
    from pyod.models.combination import aom, average, maximization, moa
    from pyod.models.feature_bagging import FeatureBagging
    from pyod.models.knn import KNN
    from pyod.utils.data import evaluate_print
    from pyod.utils.utility import standardizer

    from nanoae import pyod

    y = np.repeat([0, 1], [100, 50])
    new = np.vstack([normal_rows(100, rng), STRANGE])
    team = [pyod.AutoEncoder(SMALL, random_state=0), pyod.VAE(VAE, random_state=0), KNN()]
    for member in team:
        member.fit(X)
        evaluate_print(type(member).__name__, y, member.decision_function(new))
    learned = np.column_stack([member.decision_scores_ for member in team])
    _, scores = standardizer(
        learned, np.column_stack([member.decision_function(new) for member in team])
    )
    for combine in (average, maximization, lambda s: aom(s, 3), lambda s: moa(s, 3)):
        assert auroc(combine(scores)[:100], combine(scores)[100:]) > 0.8
    bagging = FeatureBagging(
        pyod.AutoEncoder(SMALL, random_state=0), n_estimators=2, random_state=0
    ).fit(X)
    assert auroc(bagging.decision_function(new)[:100], bagging.decision_function(new)[100:]) > 0.7


# ---------------------------------------------------------------- the benchmark


@pytest.fixture
def benchmark(monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("threadpoolctl")
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    from benchmarks import anomaly

    return anomaly


def test_the_protocol_learns_from_half_of_the_normal_rows(benchmark):
    y = (np.arange(101) % 4 == 0).astype(int)
    rows = np.arange(101.0)[:, None]
    train, test, abnormal = benchmark.split(rows, y, seed=1)
    assert len(train) == (y == 0).sum() // 2 and not y[train[:, 0].astype(int)].any()
    assert sorted(np.concatenate([train, test])[:, 0]) == list(range(101))  # each row once
    assert np.array_equal(abnormal, y[test[:, 0].astype(int)] == 1) and abnormal.sum() == y.sum()
    assert not np.array_equal(train, benchmark.split(rows, y, seed=2)[0])


def test_a_broken_run_goes_on(benchmark, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        np.savez(
            tmp_path / name,
            X=np.vstack([normal_rows(60, rng), STRANGE[:20]]),
            y=np.repeat([0, 1], [60, 20]),
        )
    monkeypatch.setattr(benchmark, "OURS", {"nanoae": {"autoencoder": SMALL}})
    line = ["anomaly", f"--data-dir={tmp_path}", "--seeds=2", f"--json={tmp_path / 'kept.json'}"]
    monkeypatch.setattr("sys.argv", line)
    benchmark.main()
    first = capsys.readouterr().out
    assert first.count("auroc") == 4 and "| mean" in first
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert all(80 < result["auroc"] <= 100 for result in kept.values())
    del kept["two | 1 | nanoae"]
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    benchmark.main()
    assert capsys.readouterr().out.count("auroc") == 1
