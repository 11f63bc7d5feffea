"""Do scores, scalers and thresholds of a user's own work as nanoae's do?"""

import gc

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


@pytest.mark.parametrize(
    ("setting", "name"), [(setting, name) for setting in NAMES for name in NAMES[setting]]
)
def test_a_name_and_its_class_are_the_same(setting, name):
    one_training = {"holdout": 0.2}
    by_name, by_class = (
        fitted(**{setting: each}, **one_training) for each in (name, NAMES[setting][name]())
    )
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
        np.testing.assert_allclose(
            np.abs(shares).sum(axis=1), -detector.score_samples(NEW), rtol=1e-4
        )
    detector.save(tmp_path / "detector.npz")
    again = nanoae.load(
        tmp_path / "detector.npz", parts=[LargestError, AbsoluteError, MinMax, TopTen]
    )
    np.testing.assert_array_equal(again.score_samples(NEW), detector.score_samples(NEW))
    np.testing.assert_array_equal(again.predict(NEW), flags)


def with_parts(name):
    """Models with a part of one's own that is called `name`: none may be loaded with nanoae's part of that name."""
    rest = nanoae.Autoencoder
    layer, score, threshold, model = (
        type(name, (base,), {"__module__": "mine"})
        for base in (nanoae.Tanh, LargestError, TopTen, nanoae.Autoencoder)
    )
    return {
        "layer": lambda: rest(2, (3,), activation=layer(), epochs=1).fit(X),
        "score": lambda: fitted(scores=score()),
        "threshold": lambda: fitted(threshold=threshold()),
        "estimator": lambda: model(2, epochs=1).fit(X),
    }


@pytest.mark.parametrize("part", ["layer", "score", "threshold", "estimator"])
@pytest.mark.parametrize("name", ["Sigmoid", "PCA", "Teacher"])  # one is a former name
def test_a_file_takes_no_part_with_a_name_of_nanoaes(tmp_path, name, part):
    model = with_parts(name)[part]()
    with pytest.raises(ValueError, match=f"{name}: expected a class .* with a name of its own"):
        model.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_ones_own_part_is_taken_before_a_later_one_of_nanoae(tmp_path):
    detector = fitted(threshold=TopTen())
    detector.save(tmp_path / "detector.npz")
    later = type("TopTen", (nanoae.Threshold,), {"__module__": "nanoae.later"})
    again = nanoae.load(tmp_path / "detector.npz", parts=[TopTen])
    assert type(again.threshold) is TopTen and again.threshold_ == detector.threshold_
    del later
    gc.collect()  # other tests go through all of nanoae's classes


def test_ones_own_score_is_what_it_says():
    # one training, on 64 rows
    detector = fitted(scores=LargestError(), scaling=MinMax(), holdout=0.2)
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
    with pytest.raises(
        ValueError, match=r"Columns.score: expected shape \(\d+,\), a number .* got \(\d+, 5\)"
    ):
        fitted(scores=Columns())


def test_a_saved_detector_keeps_tied_layers(tmp_path):
    layer = nanoae.Linear(3)
    tied = nanoae.Autoencoder(encoder=[layer], decoder=[nanoae.TiedLinear(layer)], epochs=2)
    detector = nanoae.AnomalyDetector(tied, random_state=0).fit(X)
    detector.save(tmp_path / "tied.npz")
    again = nanoae.load(tmp_path / "tied.npz")
    np.testing.assert_array_equal(again.score_samples(NEW), detector.score_samples(NEW))
    np.testing.assert_array_equal(again.fit(X).score_samples(NEW), detector.score_samples(NEW))


# ---------------------------------------------------------------- what is none


def own(base, name="Own", **methods):
    return type(name, (base,), methods)


def unnamed(self, model, Z):
    self.usual = Z.mean()


def unkept(self, model, Z):
    self.usual_ = {"mean": Z.mean()}


@pytest.mark.parametrize("fit", [unnamed, unkept])
def test_what_a_file_could_not_keep_is_refused(fit, tmp_path):
    """A detector that was read again would know less."""
    score = own(nanoae.Score, fit=fit, score=lambda self, model, Z: np.abs(Z).max(axis=1))
    detector = nanoae.AnomalyDetector(SMALL, score(), random_state=0).fit(X)
    with pytest.raises(
        ValueError,
        match=r"Own: expected fit to store what it learns in numeric arrays .* end in '_'.*got 'usual",
    ):
        detector.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "result, told",
    [
        (
            lambda Z: ["a"] * len(Z),
            r"Own\.score: expected shape \(\d+,\), a number per row, got .* of <U1",
        ),
        (lambda Z: 1j * Z[:, 0], r"Own\.score: expected .* of complex64"),
        (
            lambda Z: np.full(len(Z), np.inf),
            "expected training rows with finite scores, got NaN or infinity",
        ),
    ],
)
def test_a_score_gives_numbers(result, told):
    score = own(nanoae.Score, score=lambda self, model, Z: result(Z))
    with pytest.raises(ValueError, match=told):
        nanoae.AnomalyDetector(SMALL, score(), random_state=0).fit(X)


def test_a_scaler_keeps_the_columns():
    scaler = own(nanoae.Scaler, transform=lambda self, X: X[:, :2].astype(np.float32))
    with pytest.raises(
        ValueError, match=r"Own\.transform: expected shape \(\d+, 5\), that of X, got \(\d+, 2\)"
    ):
        nanoae.AnomalyDetector(SMALL, scaling=scaler(), random_state=0).fit(X)


@pytest.mark.parametrize("found", [np.nan, None, "1"])
def test_a_threshold_is_a_number(found):
    rule = own(nanoae.Threshold, fit=lambda self, scores: found)
    with pytest.raises(ValueError, match=r"Own\.fit: expected a threshold, a number, got"):
        nanoae.AnomalyDetector(SMALL, threshold=rule(), random_state=0).fit(X)


def test_a_constructor_stores_its_arguments():
    def init(self, power=2):
        self.p = power

    with pytest.raises(
        AttributeError, match=r"Own: expected the constructor to store .* self\.power = power"
    ):
        repr(own(nanoae.Score, __init__=init)())


class Mirrored(nanoae.Autoencoder):
    """Gives back what lies on the other side of 0."""

    def reconstruct(self, X):
        return -super().reconstruct(X)


@pytest.mark.parametrize("scores", ["reconstruction", ("codes", "reconstruction")])
def test_an_autoencoders_own_reconstructions_count(scores):
    """Of rows that it gives back upside down all errors are large, also where codes are made before."""
    model, rows = Mirrored(2, (8,), epochs=3, batch_size=16), X[:20].astype(np.float32)
    found = nanoae.AnomalyDetector(model, scores, scaling="none", holdout=0.25, random_state=0)
    member = found.fit(X).members_[0]
    want = ((rows - member.model.reconstruct(rows)) ** 2).mean(axis=1)
    np.testing.assert_allclose(member.raw(rows)[-1], want, rtol=1e-5)
