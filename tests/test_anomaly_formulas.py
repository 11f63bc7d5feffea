"""Do the detectors compute the formulas of their docstrings, factor by factor, also where tables seldom come?"""

import math

import numpy as np
import pytest

import nanoae
from nanoae import AnomalyDetector
from nanoae.anomaly import default_autoencoder
from nanoae.anomaly.calibration import Conformal, SeenRows, benjamini_hochberg, deal
from nanoae.anomaly.confidence import probability_abnormal
from nanoae.anomaly.explanation import Explanation
from nanoae.anomaly.neighbours import near_cells
from nanoae.anomaly.scores import ColumnTails, NearestJointCodes
from nanoae.anomaly.surprise import Standing, Surprise
from nanoae.anomaly.thresholds import PeaksOverThreshold, Tail, fit_generalised_pareto

# ---------------------------------------------------------------- p-values and folds


@pytest.mark.parametrize("sign", [1, -1])
def test_ties_but_for_rounding_count_against_a_row_whatever_its_sign(sign):
    scores = sign * np.array([1.0, 2, 3])
    p = Conformal(scores).exceeded(2 * sign + np.array([-1e-7, 0, 1e-7, 1e-3]))
    np.testing.assert_array_equal(p, np.array([3, 3, 3, 2]) / 4)


def test_a_p_value_at_the_allowed_share_is_a_discovery_whatever_rounding_makes_of_it():
    for n in range(1, 200):
        k = np.arange(1, n + 1)
        assert benjamini_hochberg(k / (10 * n), 0.1).all()
        assert not benjamini_hochberg((k + 1e-6) / (10 * n), 0.1).any()


def test_a_row_kept_out_of_a_fold_twice_is_judged_by_it_twice():
    seen = SeenRows.of(np.array([[1.0], [1], [1], [2]]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(seen.of_folds(np.array([[1.0], [2]])), [[2 / 3, 0], [1 / 3, 1]])


def test_of_many_rows_some_are_held_out_at_random():
    found = deal(200_000, 0.0, np.random.default_rng(0))
    held = np.flatnonzero(found == 0)
    assert len(held) == 20_000 and set(found) == {-1, 0}
    assert abs(held.mean() / 100_000 - 1) < 0.02


# ---------------------------------------------------------------- beyond what was seen


def test_the_tail_begins_below_the_ten_highest():
    tail = Tail(np.arange(30.0))
    p = tail.exceeded(np.array([0, 10, 19, 19 + 1e-9, 1000]))
    np.testing.assert_allclose(p[:4], [1, 21 / 31, 12 / 31, 10 / 30])
    assert 0 < p[4] < 1e-3


@pytest.mark.parametrize("power", [0.5, 1, 4])
def test_a_threshold_for_what_is_rarer_than_one_of_n_and_a_new_row(power):
    y = np.random.default_rng(0).exponential(size=200) ** power
    top = np.sort(y)[-20:]
    t = np.sort(y)[-21]
    gamma, sigma = fit_generalised_pareto(top - t)
    larger = max(gamma, 0) + 3 / 20
    want = t + sigma / larger * ((21 / 201 / 1e-4) ** larger - 1)
    assert PeaksOverThreshold(1e-4).fit(y) == pytest.approx(max(want, y.max()))


def test_no_such_threshold_lies_below_a_score_that_was_seen():
    scores = np.append(np.arange(200.0), 1e6)
    assert PeaksOverThreshold(0.0049).fit(scores) >= 1e6


# ---------------------------------------------------------------- scores of several kinds together


def standing(scores, new):
    height = scores - min(scores.min(), 0)
    floor = 1e-3 * (np.median(height) or height.mean())
    logs = np.log(height + floor)
    m = np.median(logs)
    d = np.quantile(logs, 0.8413) - m or logs.std()
    z = (np.log(np.maximum(new - min(scores.min(), 0), 0) + floor) - m) / d
    return (z + np.sqrt(z**2 + 4)) / 2


USUAL = {
    "above 0": np.random.default_rng(0).chisquare(4, size=50),
    "below 0": np.random.default_rng(1).normal(-5, 2, size=50),
    "0 and more": np.append(0, np.random.default_rng(2).chisquare(1, size=50)),
    "mostly equal": np.append(np.full(90, 2.0), np.linspace(1, 9, 10)),
    "mostly 0": np.append(np.zeros(40), np.linspace(0, 9, 10)),
}


@pytest.mark.parametrize("usual", USUAL.values(), ids=USUAL)
def test_a_standing_is_the_deviations_above_the_usual(usual):
    new = np.append(usual, [usual.min() - 1, usual.max() + 10])
    np.testing.assert_allclose(Standing().fit(usual)(new), standing(usual, new))


@pytest.mark.parametrize("holdout", [0.5, 0.0])
def test_scores_count_by_their_weights_in_the_root_of_the_mean_square(holdout, ten_folds):
    """Each beside its usual height in all folds' rows that were kept out; a new row's score is the folds' mean."""
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    new = random.normal(size=(20, 3))
    model = nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy")
    scores = ("joint", "reconstruction", "tails", "codes", "whitened")
    found = AnomalyDetector(model, scores, holdout=holdout, random_state=0).fit(X)
    folds = deal(60, holdout, np.random.default_rng(np.random.SeedSequence(0)))
    kept_out = [member.raw(X[folds == fold]) for fold, member in enumerate(found.members_)]
    usual = np.concatenate(kept_out, axis=1)
    of_folds = []
    for member in found.members_:
        views = [standing(*each) for each in zip(usual, member.raw(new), strict=True)]
        mean = np.average(np.square(views), axis=0, weights=[2, 0.5, 0.5, 2, 1])
        of_folds.append(np.sqrt(mean))
    assert len(of_folds) == (1 if holdout else 10)
    np.testing.assert_allclose(-found.score_samples(new), np.mean(of_folds, axis=0))


def test_a_surprise_goes_on_above_the_tenth_from_above():
    usual = np.random.default_rng(0).pareto(2.0, size=500) + 1
    t = np.sort(usual)[-50]
    slope = np.log(np.sort(usual)[-50:] / t).mean()
    found = Surprise().fit(usual)(np.array([20.0, 100.0])) ** 2 / 2
    assert np.diff(found) == pytest.approx(np.log(5) / slope, rel=1e-4)


# ---------------------------------------------------------------- single scores


def test_values_that_differ_by_rounding_are_equal_in_the_tails():
    score = ColumnTails().fit(None, np.arange(9.0)[:, None])
    for value, p in ((1, 0.6), (7, 0.6), (8, 0.4), (4, 1)):
        for off in (-1e-9, 0, 1e-9):
            assert score.score(None, np.array([[value + off]])) == pytest.approx(-np.log(p))


def test_what_is_missing_has_no_share_of_a_score_of_nothing():
    score = ColumnTails().fit(None, np.arange(18.0).reshape(9, 2))
    shares = score.shares(None, np.array([[8, np.nan], [8, 9], [np.nan, np.nan]]))
    np.testing.assert_allclose(shares, [[1, 0], [0.5, 0.5], [0.5, 0.5]])


def test_cells_of_few_rows_are_looked_at_until_there_are_four_times_as_many_as_wanted():
    near = near_cells(np.arange(101), np.arange(100.0)[:, None], 10)
    assert near[0].tolist() == [True] * 40 + [False] * 60
    assert near[50].sum() == 40 and near[50, 31:70].all()


@pytest.mark.parametrize("given_back, factor", [(1, 100), (0.9, 1), (0.5, 0.2)])
def test_errors_are_a_tenth_of_the_codes_beside_them(given_back, factor):
    class Lossy:
        transform = staticmethod(np.asarray)

        def reconstruct(self, Z):
            return given_back * Z

    rows = np.array([[-1.0, 2], [1, -2], [3, 1], [-3, -1]])
    score = NearestJointCodes(k=1).fit(Lossy(), rows)
    assert score.factor_ == pytest.approx(factor)  # of no error at all 0.1 / a thousandth
    far = np.array([[9.0, 9]])
    nearest = np.array([3.0, 1])
    away = np.append(far - nearest, factor * (1 - given_back) * (far - nearest))
    assert score.score(Lossy(), far) == pytest.approx(np.linalg.norm(away))


class Falls(nanoae.Score):
    def score(self, model, Z):
        return 3 * np.abs(Z[:, 0]) + np.abs(Z[:, 1]) - np.abs(Z[:, 2])


def test_a_feature_that_lowers_the_score_has_no_share_of_it():
    class Zero:
        reconstruct = staticmethod(np.zeros_like)

    np.testing.assert_allclose(Falls().shares(Zero, np.array([[1.0, -2, 0.5]])), [[0.6, 0.4, 0]])


# ---------------------------------------------------------------- what is told of a row


def test_what_two_autoencoders_expect_is_their_mean():
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1, 10, 100] + [5, 0, -3]
    model = nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy")
    found = AnomalyDetector(model, members=2, holdout=0.5, random_state=0).fit(X)
    mean, scale = (getattr(found.members_[0].scaler, name) for name in ("center_", "scale_"))
    Z = ((X - mean) / scale).astype(np.float32)
    given_back = [member.model.reconstruct(Z) for member in found.members_]
    expected = np.mean(given_back, axis=0) * scale + mean
    np.testing.assert_allclose(found.explanation(X).expected, expected, rtol=1e-5)


def test_a_column_that_always_comes_back_is_not_unusual_by_its_rounding():
    X = np.random.default_rng(0).normal([0, 1e6, -1e9], size=(40, 3))
    model = nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy")
    found = AnomalyDetector(model, holdout=0.5, random_state=0).fit(X)
    found.ensemble_.deviation[:] = 0
    why = found.explanation(X)
    rounding = 1e-6 * np.abs(X) + 1e-12
    np.testing.assert_allclose(why.unusual, (X - why.expected) / rounding)


def test_reasons_are_shares_of_the_score():
    shares = np.array([[3.0, -1.0, 0.1]])
    values = np.array([[1.0, 2.0, 3.0]])
    found = Explanation(["a", "b", "c"], values, values + 0.5, values, shares)
    assert found.reasons(0) == ["a high (73%: 1, expected 1.5)", "b low (24%: 2, expected 2.5)"]


class Constant(nanoae.anomaly.thresholds.Threshold):
    def __init__(self, score):
        self.score = score

    def fit(self, scores):
        return self.score


def test_a_score_at_the_threshold_is_normal():
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy")
    settings = {"scores": "reconstruction", "holdout": 0.5, "random_state": 0}
    found = AnomalyDetector(model, **settings).fit(X)
    learned = ~np.isin(found.decision_scores_, found.tested_scores_)
    row = np.flatnonzero(learned)[0]
    score = found.decision_scores_[row]
    for place, label in ((score, 1), (np.nextafter(score, 0), -1)):
        found = AnomalyDetector(model, threshold=Constant(float(place)), **settings).fit(X)
        assert found.predict(X)[row] == label == 1 - 2 * found.labels_[row]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tie_but_for_rounding_is_as_surely_abnormal(sign):
    learned = np.sort(sign * np.arange(1.0, 21))
    found = probability_abnormal(learned[10] + np.array([-1e-7, 0, 1e-7]), learned, 8)
    assert found[0] == found[1] == found[2] > probability_abnormal(learned[9:10], learned, 8)[0]


def test_equal_rows_of_score_0_count_as_lower():
    learned = np.append(np.zeros(10), np.arange(1.0, 11))
    p = 11 / 22
    more_than_12_are_lower = sum(
        math.comb(20, i) * p**i * (1 - p) ** (20 - i) for i in range(13, 21)
    )
    found = probability_abnormal(np.zeros(1), learned, 8)
    np.testing.assert_allclose(found, more_than_12_are_lower)


# ---------------------------------------------------------------- how long the default learns


@pytest.mark.parametrize(
    "rows, epochs", [(20, 200), (128, 200), (256, 100), (1000, 62), (1920, 64), (10_000, 13)]
)
def test_a_step_for_every_second_row_within_bounds(rows, epochs, monkeypatch):
    monkeypatch.setattr(default_autoencoder, "STEPS", (200, 1000))  # in most tests fewer
    assert default_autoencoder.epochs(rows) == epochs


def test_the_rows_that_a_fold_learns_from_say_how_long(monkeypatch):
    monkeypatch.setattr(default_autoencoder, "STEPS", (10, 40))
    X = np.random.default_rng(0).normal(size=(300, 2))
    found = AnomalyDetector(scores="reconstruction", holdout=0.2, random_state=0).fit(X)
    assert found.members_[0].model.epochs == default_autoencoder.epochs(240) == 20
