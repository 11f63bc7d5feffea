"""Does every column come to one scale, and rounding, jitter and wild rows to one that leaves the others their say?"""

import warnings

import numpy as np
import pytest

import nanoae
from nanoae.anomaly.scores import Mahalanobis, StandardisedError
from nanoae.data import scaling

N = 1000
Z = np.random.default_rng(0).normal(size=N)
SCALINGS = ("robust", "standard", "gaussian")


def single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def fitted(name, column):
    return scaling.get(name).fit(np.asarray(column, np.float64)[:, None])


def scaled(scaler, values):
    return scaler.transform(np.atleast_1d(np.asarray(values, np.float64))[:, None])[:, 0]


ROUNDED = {  # a column that is constant but for rounding, and a new value of it
    "decimals": (np.where(Z > 0, 0.1 + 0.2, 0.3), 0.3 + 4e-16),
    "decimals, one row in a hundred": (np.where(Z > 2.3, 0.1 + 0.2, 0.3), 0.3 - 4e-16),
    "constant": (np.full(N, 0.3), 0.1 + 0.2),
    "sums": (1e6 + 1e-9 * np.round(Z / 9), 1e6 + 1e-9),
    "float32": (single(np.where(Z > 0, 0.3, 0.3 + 3e-8)), single(0.3 + 6e-8)),
    "seconds in float32": (single(1.7e9 + 128 * (Z > 2)), 1.7e9 - 128),
    "nanoseconds": (np.full(N, 1.7e18), 1.7e18 + 256),
    "tiny": (np.where(Z > 0, 3e-20, 3e-20 * (1 + 2e-16)), 3e-20 * (1 - 2e-16)),
}


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("kind", ROUNDED)
def test_rounding_is_no_difference(kind, name):
    column, new = ROUNDED[kind]
    scaler = fitted(name, column)
    z = scaled(scaler, column)
    assert np.ptp(z) < 0.1 and abs(scaled(scaler, new)[0] - np.median(z)) < 0.2


@pytest.mark.parametrize("name", SCALINGS)
def test_rounding_of_most_values_is_not_the_scale_of_the_others(name):
    """99 % are 0.3 but for rounding, 1 % are 1: what is 0.3 by yet another rounding stands among the 0.3."""
    column = np.where(Z > 2.3, 1.0, np.where(np.arange(N) % 97 == 0, 0.1 + 0.2, 0.3))
    column[:20] = 0.3
    z = scaled(fitted(name, column), [0.3, 0.1 + 0.2, 0.3 + 4e-16, 1.0])
    assert np.ptp(z[:3]) < 1e-6 and z[3] - z[0] > 1


LEGITIMATE = {
    "tiny": 1e-20 * Z,
    "tiniest": 1e-300 * Z,
    "huge": 1e300 * Z,
    "a huge offset": 1e9 + Z,
    "a huge offset, a small spread": 1e9 + 0.01 * Z,
    "seconds": 1.7e9 + 3600 * Z,
    "seconds in float32": single(1.7e9 + 36000 * Z),
    "pixels in float32": single(np.round(128 + 30 * Z) / 255),
    "whole numbers that float32 counts": 16_000_000 + np.round(4 * Z),
    "whole numbers that float64 counts": 9e15 + np.round(4 * Z),
    "negative": -1e5 + Z,
}


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("kind", LEGITIMATE)
def test_a_column_of_any_size_comes_to_one_scale(kind, name):
    z = scaled(fitted(name, LEGITIMATE[kind]), LEGITIMATE[kind])
    assert z.std() == pytest.approx(1, abs=0.15) and abs(np.median(z)) < 0.15
    order = np.argsort(LEGITIMATE[kind], kind="stable")
    assert (np.diff(z[order]) >= 0).all()


@pytest.mark.parametrize(
    ("value", "new", "z"),
    [(0, 1, 1), (42, 43, 1), (2024, 2025, 1), (0.3, 0.6, 1), (1e-20, 3e-20, 2), (1e12, 3e12, 100)],
)
def test_the_scale_of_a_constant_column(value, new, z):
    """1, or what is nearest to it between 1e-6 |c| and |c|."""
    size = abs(value) or 1
    expected = (new - value) / np.clip(1, 1e-6 * size, size)
    expected = np.sign(expected) * min(abs(expected), 100 + np.log1p(max(abs(expected) - 100, 0)))
    for name in ("robust", "standard"):
        assert scaled(fitted(name, np.full(N, float(value))), new)[0] == pytest.approx(
            expected, rel=1e-6
        )
    assert abs(expected) >= z


@pytest.mark.parametrize("share", [0.15, 0.05, 0.02])
@pytest.mark.parametrize("jitter", [0, 1e-18, 1e-12, 1e-8])
def test_jitter_around_one_value_is_as_the_value(share, jitter):
    rng = np.random.default_rng(1)
    flags = (rng.random(N) < share).astype(float)
    plain, noisy = fitted("robust", flags), fitted("robust", flags + jitter * rng.normal(size=N))
    np.testing.assert_allclose(noisy.scale_, plain.scale_, rtol=1e-6)
    assert plain.scale_[0] == pytest.approx(np.sqrt(share * (1 - share)), rel=0.2)


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("wild", [1e6, 1e38, 1e300, -1.7e308])
def test_one_wild_row_is_far_away_and_finite(name, wild):
    column = Z.copy()
    column[7] = wild
    scaler = fitted(name, column)
    z = scaled(scaler, column)
    assert np.isfinite(z).all() and np.isfinite(scaled(scaler, [1.7e308, -1.7e308])).all()
    assert np.argmax(np.abs(z)) == 7 and np.abs(z).max() < 1000
    rest = np.delete(z, 7)
    np.testing.assert_allclose(rest.std(), 1, atol=0.1)
    assert scaled(scaler, -np.sign(wild) * 1e6)[0] * -np.sign(wild) > 10


def test_a_standard_deviation_is_of_all_values_unless_wild_ones_made_it():
    for column in (Z, np.exp(2 * Z), np.where(Z > 2.5, 1.0, 0.0), np.where(Z > 1.5, 50.0, Z)):
        scaler = fitted("standard", column)
        np.testing.assert_allclose(
            [scaler.center_[0], scaler.scale_[0]], [column.mean(), column.std()]
        )


def test_tails_are_drawn_in_and_keep_their_order():
    scaler = fitted("robust", Z)
    x = scaler.center_[0] + scaler.scale_[0] * np.array(
        [-1e4, -100, -3, 0, 99, 100.5, 101, 1e4, 1e100]
    )
    far = [100 + np.log1p(a - 100) for a in (1e4, 100.5, 101, 1e4, 1e100)]
    np.testing.assert_allclose(
        scaled(scaler, x), [-far[0], -100, -3, 0, 99, *far[1:]], rtol=1e-5, atol=1e-6
    )


def test_tails_of_many_are_drawn_in_sooner():
    flags = Z * 1e-4 + (np.random.default_rng(1).random(N) < 0.1)
    scaler = fitted("robust", flags)
    far = 1 / scaler.scale_[0]
    assert scaled(scaler, scaler.center_[0] + 1)[0] == pytest.approx(
        20 + np.log1p(far - 20), rel=1e-5
    )


def test_images_with_gaps_are_scaled_pixel_by_pixel():
    images = np.random.default_rng(0).normal(np.arange(12).reshape(1, 3, 4), 2, size=(500, 1, 3, 4))
    images[::5, 0, 1, 2] = np.nan
    scaler = scaling.fit_known(scaling.RobustScaler(), images)
    z = scaler.transform(images)
    assert z.shape == images.shape and np.isnan(z).sum() == 100
    np.testing.assert_allclose(np.nanstd(z, axis=0), 1, atol=0.15)


# ---------------------------------------------------------------- the scores


class Codes:
    """A model whose codes are the rows, and which gives back what it is told to."""

    def __init__(self, error=0.0):
        self.error = error

    def transform(self, Z):
        return Z

    def reconstruct(self, Z):
        return Z - self.error


def test_a_feature_of_large_errors_hides_no_other():
    """In columns as they stand, one of a million: an error of ten standard deviations in a small one is seen."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N, 3)) * [1e6, 1, 1e-6]
    error = rng.normal(size=rows.shape) * [1e5, 0.1, 1e-7]
    score = StandardisedError().fit(Codes(error), rows)
    np.testing.assert_allclose(score.spread_, [1e5, 0.1, 1e-7], rtol=0.1)


def test_a_constant_feature_is_not_judged_by_its_rounding():
    rows = np.column_stack([Z, np.where(Z > 0, 0.3, 0.1 + 0.2), np.zeros(N)])
    error = np.column_stack([0.1 * Z, np.where(Z > 0, 0, 5e-17), np.zeros(N)])
    score = StandardisedError().fit(Codes(error), rows)
    assert score.score(Codes(np.full((1, 3), [0, 4e-16, 0])), rows[:1])[0] < 1e-10
    with_gaps = np.where(np.arange(N)[:, None] % 7 == np.arange(3), np.nan, rows)
    assert np.isfinite(StandardisedError().fit(Codes(error), with_gaps).spread_).all()


def test_a_wide_code_hides_no_narrow_one():
    codes = np.random.default_rng(0).normal(size=(N, 3)) * [1e8, 1, 1e-8]
    score = Mahalanobis().fit(Codes(), codes)
    far = score.mean_ + np.diag([6e8, 6, 6e-8])
    np.testing.assert_allclose(score.score(Codes(), far), 36, rtol=0.2)


# ---------------------------------------------------------------- without a scaler


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_pca_of_numbers_of_any_size(size):
    X = np.random.default_rng(0).normal(size=(50, 4))
    plain, other = nanoae.PCA(2).fit(X), nanoae.PCA(2).fit(size * X)
    np.testing.assert_allclose(other.components_, plain.components_, atol=1e-9)
    np.testing.assert_allclose(other.explained_variance_ratio_, plain.explained_variance_ratio_)


def test_what_float32_does_not_hold_is_told():
    """Columns are scaled in float64: without that an autoencoder takes them as they are."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    far = np.add(X, [0, 1e9, 0])
    ae = nanoae.Autoencoder(1, (4,), epochs=1, scaling="none", backend="numpy", random_state=0)
    with pytest.warns(
        UserWarning,
        match=r'column 1, 99999999\d.* to 100000000\d.*, are \(nearly\) equal in float32.*"float64"',
    ):
        ae.fit(far)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", nanoae.UnderfitWarning)
        ae.fit(np.add(X, [0, 1e4, 0])).transform(np.add(X, [0, 1e4 + 0.1, 0]))
        ae.fit(np.c_[X, np.full(60, 1e9)])
        nanoae.PCA(1).fit(far)
        nanoae.AnomalyDetector(ae, holdout=0.0).fit(far)


# ---------------------------------------------------------------- the detector


def quick(**settings):
    epochs = 60
    ae = nanoae.Autoencoder(8, (32,), activation="tanh", corruption=nanoae.GaussianNoise(0.2), learning_rate=3e-3,
                            batch_size=64, epochs=epochs, backend="numpy")  # fmt: skip
    return nanoae.AnomalyDetector(ae, random_state=0, contamination=0.05, holdout=0.2, **settings)


def rows(n, seed, column):
    """Three columns that hang together, and beside them another: column(rng, n)."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    three = np.column_stack([a, 2 * a + rng.normal(0, 0.1, n), -a + rng.normal(0, 0.1, n)])
    return np.column_stack([three, column(rng, n)])


def with_wild(rng, n):
    column = rng.normal(size=n)
    column[0] = 1e300
    return column


BESIDE = {
    "flags": lambda rng, n: (rng.random(n) < 0.15).astype(float),
    "flags with jitter of 1e-12": lambda rng, n: (rng.random(n) < 0.15) + rng.normal(0, 1e-12, n),
    "flags with jitter of 1e-6": lambda rng, n: (rng.random(n) < 0.15) + rng.normal(0, 1e-6, n),
    "flags with jitter of 1e-2": lambda rng, n: (rng.random(n) < 0.15) + rng.normal(0, 1e-2, n),
    "rare flags with jitter of 1e-6": lambda rng, n: (
        (rng.random(n) < 0.004) + rng.normal(0, 1e-6, n)
    ),
    "0.3 but for rounding": lambda rng, n: np.where(rng.random(n) < 0.5, 0.3, 0.1 + 0.2),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "one wild row": with_wild,
}


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("kind", BESIDE)
def test_no_column_blinds_the_others(kind, name):
    learned, normal, odd = (
        rows(n, seed, BESIDE[kind]) for n, seed in ((600, 0), (300, 1), (300, 2))
    )
    odd[:, 1] += 3
    detector = quick(scaling=name).fit(learned)
    assert (detector.predict(odd) < 0).mean() > 0.95
    assert (detector.predict(normal) < 0).mean() < 0.15
    if "rounding" in kind:
        normal[:, 3] = 0.3 + 4e-16
        assert (detector.predict(normal) < 0).mean() < 0.15


def test_a_detector_from_before_the_tails_were_drawn_in_answers_as_it_did(tmp_path):
    learned = rows(200, 0, BESIDE["heavy tails"])
    detector = quick().fit(learned)
    del detector.members_[0].scaler.limit_  # as a file of an older version has it
    detector.save(tmp_path / "old.npz")
    z = nanoae.load(tmp_path / "old.npz", backend="numpy").members_[0].scaler.transform(learned)
    scaler = detector.members_[0].scaler
    np.testing.assert_allclose(z, (learned - scaler.center_) / scaler.scale_, rtol=1e-6)


@pytest.mark.parametrize("name", SCALINGS)
def test_a_column_without_values_counts_for_nothing(name, tmp_path):
    learned, new = np.random.default_rng(0).normal(50, 3, size=(2, 120, 3))
    learned[:, 1] = np.nan
    with pytest.warns(
        UserWarning, match="column 1 holds no value, so its values in new rows are ignored"
    ):
        quick(scaling=name, missing="mask").fit(learned).save(tmp_path / "detector.npz")
    detector = nanoae.load(tmp_path / "detector.npz", backend="numpy")
    scores = detector.score_samples(new)
    new[:, 1] = np.nan
    np.testing.assert_array_equal(scores, detector.score_samples(new))
    with pytest.warns(UserWarning, match="column '1' holds no value"):
        encoder = nanoae.TableEncoder().fit(learned)
    assert np.isnan(encoder.transform(np.ones((2, 3)))[:, 1]).all()


@pytest.mark.parametrize("name", SCALINGS)
def test_rounding_is_not_the_tail_of_a_column(name):
    learned, new = np.random.default_rng(0).normal(size=(2, 60, 2))
    learned[:, 1] = new[:, 1] = 0.3
    detector = nanoae.AnomalyDetector(
        nanoae.Autoencoder(1, (), epochs=1), scores="tails", scaling=name
    ).fit(learned)
    scores = detector.score_samples(new)
    new[:, 1] = 0.1 + 0.2
    np.testing.assert_allclose(detector.score_samples(new), scores, rtol=1e-9)
    new[:, 1] = 0.31
    assert (detector.score_samples(new) < scores - 0.1).all()


@pytest.mark.parametrize(
    "kind", ["StandardScaler", "RobustScaler", "MinMaxScaler", "GaussianScaler"]
)
def test_rows_and_lists_are_scaled_as_arrays_are(kind):
    X = np.random.default_rng(0).normal(size=(50, 3))
    scaler = getattr(scaling, kind)().fit(X)
    for given in (X.tolist(), nanoae.open_rows(X)):
        np.testing.assert_array_equal(scaler.transform(given), scaler.transform(X))
        np.testing.assert_array_equal(scaler.inverse_transform(given), scaler.inverse_transform(X))
