"""Are new examples drawn from where the codes are, and is the mixture that says where the right one?"""

import numpy as np
import pytest

import nanoae
from nanoae import Mixture

rng = np.random.default_rng(0)
TRUE = Mixture(
    [0.5, 0.3, 0.2],
    [[-3, 0], [3, 1], [0, 4]],
    [[[1, 0.6], [0.6, 1]], np.eye(2) * 0.3, [[0.2, 0], [0, 2]]],
)


# ---------------------------------------------------------------- the mixture


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_ring_is_even(n):
    ring = Mixture.ring(n, radius=3.0, std=0.25)
    np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), 3.0)
    to_the_next = np.linalg.norm(ring.means - np.roll(ring.means, 1, axis=0), axis=1)
    np.testing.assert_allclose(to_the_next, 2 * 3.0 * np.sin(np.pi / n))
    np.testing.assert_allclose(
        ring.sample(20_000, 0).var(axis=0).sum(), 9.0 + 2 * 0.25**2, rtol=0.05
    )


def test_density_is_one_in_all_and_that_of_its_samples():
    x, y = np.meshgrid(np.linspace(-9, 9, 301), np.linspace(-7, 11, 301))
    p = np.exp(TRUE.score_samples(np.stack([x.ravel(), y.ravel()], axis=1)))
    assert p.sum() * (18 / 300) ** 2 == pytest.approx(1, abs=1e-3)
    z = TRUE.sample(40_000, 0)
    mean, std = TRUE.moments()
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(z.std(axis=0), std, rtol=0.02)
    inside = (abs(z[:, 0]) < 1) & (abs(z[:, 1] - 4) < 1)
    box = (abs(x) < 1) & (abs(y - 4) < 1)
    assert inside.mean() == pytest.approx(p[box.ravel()].sum() * (18 / 300) ** 2, abs=0.01)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_em_agrees_with_scikit_learn(covariance):
    """From the same start: the same likelihood and components, up to when each thinks it has converged."""
    mixture = pytest.importorskip("sklearn.mixture")
    z = TRUE.sample(2000, 1)
    ours = Mixture.fit(z, 3, covariance, tolerance=1e-8, random_state=0)
    w, m, s = ours.arrays()
    precisions = np.linalg.inv(s)
    theirs = mixture.GaussianMixture(
        3, covariance_type=covariance, tol=1e-8, reg_covar=1e-6, max_iter=500, weights_init=w, means_init=m,
        precisions_init=precisions if covariance == "full" else np.diagonal(precisions, axis1=1, axis2=2),
    ).fit(z)  # fmt: skip
    np.testing.assert_allclose(ours.score_samples(z).mean(), theirs.score(z), rtol=1e-6)
    np.testing.assert_allclose(m, theirs.means_, atol=1e-2)
    if covariance == "full":
        assert ours.score_samples(z).mean() == pytest.approx(TRUE.score_samples(z).mean(), abs=0.01)
        np.testing.assert_allclose(np.sort(w), [0.2, 0.3, 0.5], atol=0.05)
    else:
        assert (s[:, 0, 1] == 0).all()


def test_each_round_of_em_gains():
    z, ops = TRUE.sample(500, 2), nanoae.get_ops("numpy")
    mixture, scores = Mixture.fit(z, 4, max_iter=0), []
    for _ in range(8):
        scores.append(mixture.score_samples(z).mean())
        mixture = mixture.improved(z, ops, np.ones((2, 2)), 1, 0)
    assert (np.diff(scores) > -1e-6).all() and scores[-1] > scores[0] + 0.1


def test_devices_agree(ops):
    z = TRUE.sample(300, 3)
    ours, theirs = (Mixture.fit(z, 3, ops=each) for each in (nanoae.get_ops("numpy"), ops))
    np.testing.assert_allclose(ours.means, theirs.means, rtol=1e-8)


@pytest.mark.parametrize(
    "z", [np.zeros((20, 2)), np.repeat([[0.0, 1], [5, 5]], 10, axis=0), rng.standard_normal((5, 4))]
)
def test_degenerate_rows(z):
    mixture = Mixture.fit(z, 3)
    assert np.isfinite(mixture.score_samples(z)).all() and np.isfinite(mixture.sample(10, 0)).all()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: Mixture([1], [[0, 0]], np.eye(2)),
            r"expected positive weights \(C,\), means \(C, K\)",
        ),
        (lambda: Mixture.fit(np.zeros((3, 2)), 4), "1 to N components, got .* and 4"),
        (
            lambda: Mixture.fit(np.zeros((3, 2)), 2, "spherical"),
            "covariance: expected one of full, diag, got 'spherical'",
        ),
    ],
)
def test_errors(act, message):
    with pytest.raises(ValueError, match=message):
        act()


# ---------------------------------------------------------------- examples


@pytest.fixture(scope="module")
def plain(digits):
    return nanoae.Autoencoder(
        4, (32,), loss="bce", epochs=15, batch_size=32, backend="numpy", random_state=0
    ).fit(digits[0])


def test_a_plain_autoencoder_draws_from_a_mixture_of_its_codes(plain, digits, tmp_path):
    """Its samples are nearer to real images than decoded codes of N(0, 1), or of the codes' mean and spread."""

    def distance(x):
        return np.sqrt(((x[:, None] - digits[0][None]) ** 2).sum(axis=2)).min(axis=1).mean()

    plain.fit_prior(digits[0], 10)
    drawn = plain.sample(100, 0)
    codes = plain.transform(digits[0])
    blind = plain.inverse_transform(rng.normal(codes.mean(axis=0), codes.std(axis=0), (100, 4)))
    assert distance(drawn) < distance(blind)
    plain.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        nanoae.load(tmp_path / "model.npz", backend="numpy").sample(100, 0), drawn
    )


def test_temperature_zero_draws_the_means(plain, digits):
    plain.fit_prior(digits[0], 3)
    drawn = plain.sample(50, 0, temperature=0)
    means = plain.inverse_transform(np.array(plain.prior_.means))
    assert (((drawn[:, None] - means[None]) ** 2).sum(axis=2).min(axis=1) < 1e-8).all()


def test_interpolation_goes_from_one_reconstruction_to_the_other(plain, digits):
    a, b = digits[1][:3], digits[1][3:6]
    way = plain.interpolate(a, b, steps=5)
    assert way.shape == (3, 5, 64)
    np.testing.assert_allclose(way[:, 0], plain.reconstruct(a), atol=1e-6)
    np.testing.assert_allclose(way[:, -1], plain.reconstruct(b), atol=1e-6)
    middle = plain.inverse_transform((plain.transform(a) + plain.transform(b)) / 2)
    np.testing.assert_allclose(way[:, 2], middle, atol=1e-5)
    np.testing.assert_allclose(plain.interpolate(a[0], b[0], 5), way[0], atol=1e-6)


def test_traversal_changes_one_number_of_the_code(plain, digits):
    plain.fit_prior(digits[0], 10)
    mean, std = plain.prior_.moments()
    x = digits[1][0]
    codes = np.tile(plain.transform(x[None]), (3, 1))
    codes[:, 2] = mean[2] + std[2] * np.array([-2, 0, 2])
    np.testing.assert_allclose(
        plain.traverse(2, x, span=2, steps=3), plain.inverse_transform(codes), atol=1e-6
    )
    middle = plain.inverse_transform(mean[None])[0]
    np.testing.assert_allclose(plain.traverse(0, steps=3)[1], middle, atol=1e-6)


def test_the_manifold_is_at_the_quantiles_of_the_normal_distribution(digits):
    vae = nanoae.VariationalAutoencoder(2, (8,), epochs=1, backend="numpy", random_state=0).fit(
        digits[0]
    )
    q = 0.6744897501960817  # of 3/4
    corners = vae.inverse_transform(np.array([[-q, q], [q, q], [-q, -q], [q, -q]]))
    np.testing.assert_allclose(vae.manifold(2), corners, atol=1e-6)


def test_a_new_fit_forgets_the_prior(digits):
    ae = (
        nanoae.Autoencoder(2, (8,), epochs=1, backend="numpy")
        .fit(digits[0])
        .fit_prior(digits[0], 2)
    )
    assert ae.sample(3).shape == (3, 64)
    with pytest.raises(ValueError, match="expected a prior"):
        ae.fit(digits[0]).sample(3)
