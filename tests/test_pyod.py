"""Do the detectors with PyOD's interface give PyOD's numbers, by the published formulas?"""

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import nanoae
from nanoae.pyod import VAE, AutoEncoder

SMALL = nanoae.Autoencoder(2, (8,), epochs=3, batch_size=8)
SMALL_VAE = nanoae.VariationalAutoencoder(2, (8,), likelihood="gaussian", epochs=3, batch_size=8)
KINDS = {"AutoEncoder": (AutoEncoder, SMALL), "VAE": (VAE, SMALL_VAE)}
ROWS = np.random.default_rng(0).standard_normal((60, 4)) @ np.diag([3, 1, 1, 0.2])
NEW = np.random.default_rng(1).standard_normal((60, 4)) * np.linspace(0, 3, 60)[:, None]


@pytest.fixture(scope="module", params=KINDS)
def detector(request):
    kind, autoencoder = KINDS[request.param]
    return kind(autoencoder, contamination=0.15, random_state=0).fit(ROWS)


def exceed(score, learned, abnormal):
    """Perini et al. 2020, equations 1 and 2, in exact fractions: the probability to be called abnormal."""
    n = len(learned)
    p = Fraction(1 + int((learned <= score).sum()), 2 + n)
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n - abnormal + 1, n + 1))


def test_confidence_is_the_published_formula(detector):
    scores, labels = detector.decision_function(NEW), detector.predict(NEW)
    abnormal = [float(exceed(score, detector.decision_scores_, int(60 * 0.15))) for score in scores]
    want = np.where(labels == 1, abnormal, 1 - np.array(abnormal))
    np.testing.assert_allclose(detector.predict_confidence(NEW), want, rtol=1e-9)
    assert want.min() < 0.95 and want.max() > 0.999 and 0 < labels.mean() < 1


def test_confidence_where_the_threshold_is_not_the_contamination():
    detector = AutoEncoder(SMALL, threshold=nanoae.MAD(2.0), random_state=0).fit(ROWS)
    scores, labels = detector.decision_function(NEW), detector.predict(NEW)
    abnormal = np.array(
        [float(exceed(s, detector.decision_scores_, int(detector.labels_.sum()))) for s in scores]
    )
    np.testing.assert_allclose(
        detector.predict_confidence(NEW), np.where(labels, abnormal, 1 - abnormal), rtol=1e-9
    )


def test_unify_is_the_published_formula(detector):
    scores, learned = detector.decision_function(NEW), detector.decision_scores_
    z = (scores - learned.mean()) / (math.sqrt(2) * learned.std())
    want = [max(0.0, math.erf(value)) for value in z]
    got = detector.predict_proba(NEW, method="unify")
    np.testing.assert_allclose(got[:, 1], want, rtol=1e-12)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    assert min(want) == 0 and max(want) > 0.9


def test_linear_is_between_the_lowest_and_the_highest(detector):
    scores, learned = detector.decision_function(NEW), detector.decision_scores_
    want = ((scores - learned.min()) / (learned.max() - learned.min())).clip(0, 1)
    np.testing.assert_allclose(detector.predict_proba(NEW)[:, 1], want)
    np.testing.assert_array_equal(
        detector.predict_proba(NEW, method="linear"), detector.predict_proba(NEW)
    )
    with pytest.raises(ValueError, match="method: expected one of linear, unify, got 'lineer'"):
        detector.predict_proba(NEW, method="lineer")


def test_return_confidence(detector):
    confidence = detector.predict_confidence(NEW)
    labels, sure = detector.predict(NEW, return_confidence=True)
    np.testing.assert_array_equal(labels, detector.predict(NEW))
    np.testing.assert_array_equal(sure, confidence)
    for method in ("linear", "unify"):
        p, sure = detector.predict_proba(NEW, method=method, return_confidence=True)
        np.testing.assert_array_equal(p, detector.predict_proba(NEW, method=method))
        np.testing.assert_array_equal(sure, confidence)


@pytest.mark.parametrize("T", [1, 4, 32])
def test_what_is_too_uncertain_is_rejected(detector, T):
    labels, confidence = detector.predict(NEW, return_confidence=True)
    want = [
        -2 if 2 * abs(sure - 0.5) <= 1 - 2 * math.exp(-T) else label
        for label, sure in zip(labels, confidence, strict=True)
    ]
    assert detector.predict_with_rejection(NEW, T).tolist() == want


def test_confidence_of_many_rows():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 2))
    detector = AutoEncoder(
        nanoae.Autoencoder(1, (), epochs=1), "reconstruction", random_state=0
    ).fit(rows)
    confidence = detector.predict_confidence(rows)
    assert confidence.min() > 0.45 and confidence.mean() > 0.99 and np.isfinite(confidence).all()
    at = np.argsort(np.abs(detector.decision_function(rows) - detector.threshold_))[0]
    # at the threshold it might be called either
    assert confidence[at] == pytest.approx(0.5, abs=0.02)


def test_equal_scores_have_a_probability():
    detector = AutoEncoder(SMALL, "mahalanobis", random_state=0).fit(ROWS)
    detector.decision_scores_ = np.ones(60)
    for method in ("linear", "unify"):
        assert np.isfinite(detector.predict_proba(NEW, method=method)).all()


def test_a_row_of_gaps_alone_is_abnormal_and_takes_no_row_with_it():
    rows = np.vstack([ROWS[:40], np.full(ROWS.shape[1], np.nan)])
    found = AutoEncoder(SMALL, missing="mask", random_state=0)
    with pytest.warns(UserWarning, match="row 40 has missing values only"):
        found.fit(rows)
        for method in ("linear", "unify"):
            p = found.predict_proba(rows, method)
            np.testing.assert_array_equal(p[-1], [0, 1])
            assert np.isfinite(p).all() and p[:-1, 1].min() == 0


@pytest.mark.parametrize("T", [-1000, "32", np.nan, None])
def test_a_rejection_by_what_is_no_number_is_refused(detector, T):
    with pytest.raises(ValueError, match="predict_with_rejection: expected T, a number >= 0, got"):
        detector.predict_with_rejection(ROWS[:2], T=T)


def test_methods_before_fit_say_so():
    for method in ("predict", "predict_proba", "predict_confidence", "predict_with_rejection"):
        with pytest.raises(ValueError, match="not fitted yet"):
            getattr(AutoEncoder(), method)(NEW)


def test_a_saved_one_is_opened_by_who_knows_nothing_of_pyod(tmp_path):
    """In a process that never imports nanoae.pyod."""
    path = tmp_path / "model.npz"
    AutoEncoder(nanoae.Autoencoder(2, epochs=1), random_state=0).fit(ROWS).save(path)
    code = f"import nanoae; print(type(nanoae.load({str(path)!r})).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "AutoEncoder\n", done.stderr
