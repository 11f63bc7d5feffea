"""Do scores, scalers and thresholds of a user's own work as nanoae's do?"""

import numpy as np
import pytest

import nanoae

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 5)) * [1, 10, 1, 1, 1]
NEW = np.concatenate([X[:20], X[:5] + 30])
SMALL = nanoae.Autoencoder(2, (8,), epochs=3, batch_size=16)

NAMES = {
    "scores": {
        "reconstruction": nanoae.ReconstructionError,
        "standardised": nanoae.StandardisedError,
        "mahalanobis": nanoae.Mahalanobis,
        "codes": nanoae.NearestCodes,
    },
    "scaling": {
        "robust": nanoae.RobustScaler,
        "gaussian": nanoae.GaussianScaler,
        "standard": nanoae.StandardScaler,
        "none": nanoae.Scaler,
    },
}


class LargestError(nanoae.Score):
    """The largest error of a row, over a scale that it learns."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, model, Z):
        self.usual_ = np.abs(Z - model.reconstruct(Z)).max(axis=1).mean(dtype=np.float64)
        return self

    def score(self, model, Z):
        return (np.abs(Z - model.reconstruct(Z)).max(axis=1) / self.usual_) ** self.power


class AbsoluteError(nanoae.FeatureScore):
    def terms(self, model, Z):
        return np.abs(Z - model.reconstruct(Z)) / Z.shape[1]


class MinMax(nanoae.Scaler):
    def fit(self, X):
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        return self

    def transform(self, X):
        return ((X - self.low_) / (self.high_ - self.low_)).astype(np.float32)


class TopTen(nanoae.Threshold):
    def fit(self, scores):
        return float(np.sort(scores)[-11])


def fitted(**settings):
    return nanoae.AnomalyDetector(SMALL, random_state=0, **settings).fit(X)


@pytest.mark.parametrize(("setting", "name"), [(setting, name) for setting in NAMES for name in NAMES[setting]])
def test_a_name_and_its_class_are_the_same(setting, name):
    by_name, by_class = (fitted(**{setting: each}) for each in (name, NAMES[setting][name]()))
    np.testing.assert_array_equal(by_name.score_samples(NEW), by_class.score_samples(NEW))


@pytest.mark.parametrize(
    "settings",
    [
        {"scores": LargestError(2.0)},
        {"scores": [AbsoluteError(), "codes"]},
        {"scores": AbsoluteError(), "scaling": [MinMax(), "robust"]},
        {"threshold": TopTen()},
    ],
    ids=str,
)
def test_ones_own(tmp_path, settings):
    detector = fitted(**settings)
    flags = detector.predict(NEW)
    assert (flags[-5:] == -1).all() and flags[:20].mean() > 0
    if "scores" in settings:
        shares = detector.explain(NEW)
        np.testing.assert_allclose(np.abs(shares).sum(axis=1), -detector.score_samples(NEW), rtol=1e-4)
    detector.save(tmp_path / "detector.npz")
    again = nanoae.load(tmp_path / "detector.npz")
    np.testing.assert_array_equal(again.score_samples(NEW), detector.score_samples(NEW))
    np.testing.assert_array_equal(again.predict(NEW), flags)


def test_ones_own_score_is_what_it_says():
    detector = fitted(scores=LargestError(), scaling=MinMax(), holdout=0.2)  # one training, on 64 rows
    member = detector.members_[0]
    z = ((NEW - member.scaler.low_) / (member.scaler.high_ - member.scaler.low_)).astype(np.float32)
    want = np.abs(z - member.model.reconstruct(z)).max(axis=1) / member.scores[0].usual_
    np.testing.assert_allclose(-detector.score_samples(NEW), want)


def test_what_was_passed_stays_unfitted():
    score, scaler = LargestError(), MinMax()
    fitted(scores=score, scaling=[scaler, scaler])
    assert not hasattr(score, "usual_") and not hasattr(scaler, "low_")


class Columns(nanoae.Score):
    def score(self, model, Z):
        return Z


def test_a_score_that_is_none_of_rows_is_told():
    with pytest.raises(ValueError, match=r"Columns.score: expected shape \(\d+,\), a number .* got \(\d+, 5\)"):
        fitted(scores=Columns())


def test_a_saved_detector_keeps_tied_layers(tmp_path):
    layer = nanoae.Linear(3)
    tied = nanoae.Autoencoder(encoder=[layer], decoder=[nanoae.TiedLinear(layer)], epochs=2)
    detector = nanoae.AnomalyDetector(tied, random_state=0).fit(X)
    detector.save(tmp_path / "tied.npz")
    again = nanoae.load(tmp_path / "tied.npz")
    np.testing.assert_array_equal(again.score_samples(NEW), detector.score_samples(NEW))
    np.testing.assert_array_equal(again.fit(X).score_samples(NEW), detector.score_samples(NEW))
