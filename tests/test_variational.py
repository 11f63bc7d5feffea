"""Is the variational autoencoder the mathematics of its papers? Its code first, then the whole."""

import gc
import math
import weakref

import numpy as np
import pytest

import nanoae
from nanoae import Gaussian, Identity, Linear, Sequential, VariationalAutoencoder, check_gradients
from nanoae.autoencoders.concat_label import ConcatLabel, ConcatSharedLabel

rng = np.random.default_rng(0)
MU, LOGVAR = np.array([-2.0, 0.0, 0.5]), np.array([1.2, -3.0, 0.4])


def code(ops, dtype="float64", **settings):
    """A Gaussian for codes of three units, behind a layer that changes nothing."""
    return Sequential([Identity(), Gaussian(**settings)]).build(6, ops, dtype, random_state=1)


def rows(ops, n, dtype="float64"):
    """n rows of [MU, LOGVAR]."""
    return ops.to_device(np.tile(np.concatenate([MU, LOGVAR]), (n, 1)), dtype)


def kl(mu, logvar):
    """KL(N(mu, e^logvar) ‖ N(0, 1)) in nats."""
    return (mu**2 + np.exp(logvar) - 1 - logvar) / 2


# ---------------------------------------------------------------- the Gaussian code


def test_mean_and_variance_of_the_samples(ops, dtype):
    """logvar is the log of the variance: a sample with e^logvar for its standard deviation passes a gradient check."""
    net = code(ops, dtype)
    z = ops.to_numpy(net.forward(rows(ops, 20_000, dtype), train=True)).astype(np.float64)
    np.testing.assert_allclose(
        z.mean(axis=0), MU, atol=5 * np.exp(LOGVAR / 2).max() / math.sqrt(len(z))
    )
    np.testing.assert_allclose(z.var(axis=0), np.exp(LOGVAR), rtol=0.05)
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.05


def test_the_divergence_is_what_monte_carlo_finds(ops):
    """E_q[log q(z) - log p(z)] over the layer's own samples, against its closed form."""
    net, n = code(ops), 50_000
    z = ops.to_numpy(net.forward(rows(ops, n), train=True))
    log_q = -0.5 * (LOGVAR + (z - MU) ** 2 / np.exp(LOGVAR))
    differences = (log_q + 0.5 * z**2).sum(axis=1)
    error = differences.std() / math.sqrt(n)
    assert float(net.penalty()) == pytest.approx(kl(MU, LOGVAR).sum(), rel=1e-12)
    assert abs(differences.mean() - kl(MU, LOGVAR).sum()) < 5 * error


def test_it_is_the_mean_and_draws_nothing_outside_training(ops, dtype, device, close):
    net, x = code(ops, dtype), device(rng.standard_normal((7, 6)))
    for _ in range(2):
        close(net.forward(x), ops.to_numpy(x)[:, :3])


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_price_is_beta_times_the_mean_over_the_batch(ops, dtype, device, close, beta):
    net, x = code(ops, dtype, beta=beta), rng.standard_normal((7, 6))
    net.forward(device(x), train=True)
    close(net.penalty(), beta * kl(x[:, :3], x[:, 3:]).sum(axis=1).mean())


def test_warm_up_is_linear_in_the_steps_and_stays_at_beta(ops, dtype):
    net, x = code(ops, dtype, beta=2.0, warm_up=4), rows(ops, 5, dtype)
    prices = [float((net.forward(x, train=True), net.penalty())[1]) for _ in range(6)]
    np.testing.assert_allclose(
        prices, kl(MU, LOGVAR).sum() * np.array([0.5, 1, 1.5, 2, 2, 2]), rtol=1e-5
    )


def test_warm_up_goes_on_where_a_saved_network_stopped(ops):
    net, x = code(ops, warm_up=4), rows(ops, 5)
    for _ in range(2):
        net.forward(x, train=True)
    twin = net.to(ops, "float64")
    twin.forward(x, train=True)
    assert float(twin.penalty()) == pytest.approx(kl(MU, LOGVAR).sum() * 3 / 4)


def test_free_bits_are_per_unit_on_the_mean_of_the_batch(ops, dtype, device, close):
    """Units 0 and 2 pay what they cost; unit 1 is below the free 0.5 nats on the mean, though not in every row."""
    x = np.array([[2.0, 0.9, 1.5, 0, 0, 0.7], [-2.0, -0.1, 2.5, 0.2, 0, -0.7]])
    per_unit = kl(x[:, :3], x[:, 3:]).mean(axis=0)
    assert kl(0.9, 0) < 0.5 < 1 and per_unit[1] < 0.5 < per_unit[[0, 2]].min()
    net = code(ops, dtype, beta=3.0, free_bits=0.5)
    net.layers[0].need_dx = net.layers[1].need_dx = True
    net.forward(device(x), train=True)
    close(net.penalty(), 3 * (per_unit[0] + 0.5 + per_unit[2]))
    dx = ops.to_numpy(net.backward(device(np.zeros((2, 3)))))
    gradient = 3 / 2 * np.hstack([x[:, :3], (np.exp(x[:, 3:]) - 1) / 2])
    gradient[:, [1, 4]] = 0
    close(dx, gradient)


def test_a_huge_variance_neither_overflows_nor_stays(ops):
    """Above 20 logvar counts as 20 for z, and the price goes on along its tangent, which pulls it back."""
    x = np.array([[0.5, 1.0, -1.0, 19.0, 20.5, 300.0]] * 3) + 0.1 * rng.random((3, 6))
    report = check_gradients(code(ops), x, tolerance=1e-5)
    assert report.ok, f"\n{report}"
    net = code(ops, "float32")
    for layer in net.layers:
        layer.need_dx = True
    z = ops.to_numpy(net.forward(ops.to_device(x, np.dtype("float32")), train=True))
    dx = ops.to_numpy(net.backward(ops.zeros(z.shape, net.dtype)))
    assert np.isfinite(z).all() and np.isfinite(float(net.penalty()))
    np.testing.assert_allclose(dx[:, 4:], np.exp(20) / 6, rtol=1e-5)


@pytest.mark.parametrize(
    "settings", [{}, {"beta": 4.0, "warm_up": 10}, {"free_bits": 0.3}], ids=str
)
def test_gradients(ops, settings):
    net = Sequential([Linear(8), Gaussian(**settings), Linear(5)]).build(
        5, ops, "float64", random_state=0
    )
    report = check_gradients(net, rng.standard_normal((6, 5)), elementwise=True, tolerance=1e-7)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(beta=-1), "Gaussian: expected beta >= 0, got -1"),
        (lambda: Gaussian(warm_up=-1), "Gaussian: expected warm_up >= 0, got -1"),
        (lambda: Gaussian(free_bits=-1), "Gaussian: expected free_bits >= 0, got -1"),
        (
            lambda: Sequential([Gaussian()]).build(5),
            r"\[mu, logvar\] of shape \(N, 2 K\), got \(N, 5\).*Linear\(2 K\)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------- the whole


def make(**settings):
    return VariationalAutoencoder(
        **{"code_size": 3, "hidden": (16,), "epochs": 3, "batch_size": 32, "backend": "numpy", "random_state": 0,
           **settings}
    )  # fmt: skip


@pytest.fixture(scope="module")
def labels():
    data = nanoae.load_data("digits")
    return data.y_train, data.y_test


@pytest.fixture(scope="module")
def vae(digits):
    return make(epochs=20).fit(digits[0])


@pytest.fixture(scope="module")
def conditional(digits, labels):
    return make(epochs=20).fit(digits[0], condition=labels[0])


def test_its_loss_is_minus_the_elbo(digits, ops):
    """The training loss of one pass over one batch, at frozen weights, and `evaluate` differ by their noise only."""
    model = make(batch_size=2000, learning_rate=0.0, epochs=1, backend=ops).fit(digits[0])
    found = model.evaluate(digits[0])
    assert found["elbo"] == pytest.approx(found["reconstruction"] - found["kl"], rel=1e-6)
    assert found["loss"] == -found["elbo"] and model.score(digits[0]) == found["elbo"]
    assert model.history_["loss"][0] == pytest.approx(found["loss"], rel=0.01)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_likelihood_and_divergence_by_their_definitions(digits, likelihood):
    """log p(x|z) and KL of each row, from the network's own outputs, in float64."""
    x = digits[1][:7].astype(np.float64)
    model = make(likelihood=likelihood, variance=0.2, dtype="float64").fit(digits[0])
    net, noise = model.network_, model._noise(x, 1)[:, 0]
    stats = net.forward(x, stop=model._n_encoder - 1)
    mu, logvar = stats[:, :3].copy(), stats[:, 3:].copy()
    y = model.inverse_transform(mu + np.exp(logvar / 2) * noise)
    if likelihood == "bernoulli":
        log_p = x * np.log(y) + (1 - x) * np.log(1 - y)
    else:
        log_p = -((x - y) ** 2) / 0.4 - np.log(2 * np.pi * 0.2) / 2
    np.testing.assert_allclose(
        model.score_samples(x), log_p.sum(axis=1) - kl(mu, logvar).sum(axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(model.transform(x), mu, rtol=1e-12)


def test_the_bound_of_one_sample_is_the_elbo_in_the_mean_and_more_samples_tighten_it(vae, digits):
    elbo = vae.score_samples(digits[1])
    one, five, fifty = (vae.score_samples(digits[1], importance_samples=k) for k in (1, 5, 50))
    error = (one - elbo).std() / math.sqrt(len(elbo))
    assert abs((one - elbo).mean()) < 4 * error
    assert elbo.mean() < five.mean() < fifty.mean()


def test_the_bound_reaches_the_true_likelihood(ops):
    """A linear Gaussian decoder has p(x) in closed form: N(b, W Wᵀ + variance I). 2,000 samples come within 1 %."""
    model = make(
        code_size=2, hidden=(), likelihood="gaussian", variance=0.5, dtype="float64", backend=ops, epochs=300,
        learning_rate=0.01,
    )  # fmt: skip
    x = rng.standard_normal((20, 3))
    model.fit(x)
    W = ops.to_numpy(model.network_.layers[-2].params["W"])
    covariance = W.T @ W + 0.5 * np.eye(3)
    b = ops.to_numpy(model.network_.layers[-2].params["b"])
    inverse, logdet = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]
    log_p = -0.5 * (
        np.einsum("ni,ij,nj->n", x - b, inverse, x - b) + logdet + 3 * math.log(2 * math.pi)
    )
    for k, tolerance in ((20, 0.03), (2000, 0.01)):
        assert model.score_samples(x, importance_samples=k).mean() == pytest.approx(
            log_p.mean(), rel=tolerance
        )


def test_scores_are_of_the_row_alone(vae, digits):
    x = digits[1][:40]
    for settings in ({}, {"importance_samples": 3}):
        scores = vae.score_samples(x, **settings)
        np.testing.assert_array_equal(scores, vae.score_samples(x, **settings))
        np.testing.assert_allclose(scores[::-1], vae.score_samples(x[::-1], **settings), rtol=1e-5)
        np.testing.assert_allclose(scores[5:6], vae.score_samples(x[5:6], **settings), rtol=1e-5)


def test_beta_and_free_bits_move_the_divergence_as_they_should(vae, digits):
    free = make(epochs=20, free_bits=2.0).fit(digits[0]).evaluate(digits[1])
    strong = make(epochs=20, beta=20.0).fit(digits[0]).evaluate(digits[1])
    own = vae.evaluate(digits[1])
    assert strong["kl"] < own["kl"] < free["kl"] and free["kl"] > 5
    assert strong["active_units"] < own["active_units"] == 3


def test_warm_up_counts_epochs(digits):
    model = make(epochs=2, warm_up=4.0).fit(digits[0])
    gaussian = model._gaussian
    assert gaussian.warm_up == 4 * math.ceil(len(digits[0]) / 32) and float(
        gaussian.beta_t
    ) == pytest.approx(0.5)
    model.partial_fit(digits[0])
    assert float(gaussian.beta_t) == pytest.approx(0.75)


def test_validation_and_early_stopping_watch_minus_the_elbo(digits):
    model = make(epochs=4, patience=1).fit(digits[0], validation_data=digits[1])
    best = min(model.history_["val_loss"])
    assert model.evaluate(digits[1])["loss"] == pytest.approx(best, rel=1e-6)


def test_a_saved_model_scores_and_draws_the_same(vae, conditional, digits, labels, tmp_path):
    for model, condition in ((vae, {}), (conditional, {"condition": labels[1]})):
        model.save(tmp_path / "model.npz")
        twin = nanoae.load(tmp_path / "model.npz", backend="numpy")
        np.testing.assert_array_equal(
            twin.score_samples(digits[1], **condition), model.score_samples(digits[1], **condition)
        )
        one = {"condition": 3} if condition else {}
        np.testing.assert_array_equal(twin.sample(5, 1, **one), model.sample(5, 1, **one))


# ---------------------------------------------------------------- conditional


def test_the_code_need_not_tell_what_the_condition_tells(vae, conditional, digits, labels):
    assert (
        conditional.evaluate(digits[1], labels[1])["elbo"] > vae.evaluate(digits[1])["elbo"] + 0.5
    )
    wrong = conditional.score_samples(digits[1], (labels[1] + 1) % 10)
    assert (conditional.score_samples(digits[1], labels[1]) > wrong).mean() > 0.8


def test_it_draws_the_digit_asked_for(conditional, digits, labels):
    """Its nearest training image has that label; chance is 1 in 10."""
    wanted = np.repeat(np.arange(10), 20)
    drawn = conditional.sample(200, 0, 0.7, condition=wanted)
    nearest = ((drawn[:, None] - digits[0][None, :600]) ** 2).sum(axis=2).argmin(axis=1)
    assert (labels[0][nearest] == wanted).mean() > 0.7


@pytest.mark.parametrize("names", [("cat", "dog"), (3, 7), (True, False)], ids=str)
def test_any_labels(digits, names):
    y = np.array(names)[(np.arange(len(digits[0])) % 2)]
    model = make().fit(digits[0], condition=y, validation_data=(digits[0], y))
    assert model.sample(2, condition=[names[0], names[1]]).shape == (2, 64)
    np.testing.assert_allclose(
        model.history_["val_loss"][-1], -model.score(digits[0], condition=y), rtol=1e-5
    )
    assert model.partial_fit(digits[0], condition=y).fit_transform(
        digits[0], condition=y
    ).shape == (len(y), 3)


def test_images_and_layers_of_your_own(digits, labels):
    """A convolutional VAE, with and without a condition, whose channels it becomes."""
    x, y = digits[0].reshape(-1, 1, 8, 8)[:64], labels[0][:64]
    parts = {
        "encoder": [nanoae.Conv2d(4, 3, 2, 1), nanoae.ReLU(), nanoae.Flatten(), Linear(4)],
        "decoder": [
            Linear(64),
            nanoae.ReLU(),
            nanoae.Reshape((4, 4, 4)),
            nanoae.ConvTranspose2d(1, 2, 2),
        ],
    }
    for condition, drawn in (({}, {}), ({"condition": y}, {"condition": 3})):
        model = make(**parts).fit(x, **condition)
        assert model.transform(x, **condition).shape == (64, 2)
        assert model.score_samples(x, **condition, importance_samples=3).shape == (64,)
        assert model.sample(5, **drawn).shape == (5, 1, 8, 8)
        assert model.interpolate(x[0], x[1], 4, **drawn).shape == (4, 1, 8, 8)
        ways = model.interpolate(x[:3], x[3:6], 4, **drawn)
        assert ways.shape == (3, 4, 1, 8, 8)
        if drawn:  # a label for each row is that of its whole way
            same = [drawn["condition"]] * 3
            np.testing.assert_array_equal(model.interpolate(x[:3], x[3:6], 4, condition=same), ways)
        assert model.traverse(1, x[0], steps=4, **drawn).shape == (4, 1, 8, 8)
        assert model.manifold(3, **drawn).shape == (9, 1, 8, 8)


def test_gradients_of_a_condition_of_images():
    source = ConcatLabel((2, 3, 4), 2)
    layers = [
        source,
        nanoae.Conv2d(2, 2),
        nanoae.Flatten(),
        Linear(4),
        Gaussian(),
        ConcatSharedLabel(source),
        Linear(3),
    ]
    net = Sequential(layers).build(26, "numpy", "float64", random_state=0)
    report = check_gradients(net, rng.standard_normal((3, 26)), elementwise=True, tolerance=1e-7)
    assert report.ok, f"\n{report}"


def test_a_model_that_nobody_needs_is_gone():
    model = make().fit(X)
    gc.collect()
    gc.disable()
    try:
        network = weakref.ref(model.network_)
        del model
        assert network() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- errors


X = rng.random((30, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: make(likelihood="poisson").fit(X), 'likelihood: expected one of bernoulli, gaussian, got \'poisson\''),
        (lambda: make(likelihood="gaussian", variance=0).fit(X), "expected variance > 0, got 0"),
        (lambda: make(warm_up=-1).fit(X), "expected warm_up to be a number >= 0, got -1"),
        (lambda: make(beta=-1).fit(X), "expected beta to be a number >= 0, got -1"),
        (lambda: make(beta="high").fit(X), "expected beta to be a number >= 0, got 'high'"),
        (lambda: make().fit(X, None, X, condition=np.arange(30) % 3), r"validation_data=\(rows, their labels\)"),
        (lambda: make().fit(X).interpolate(X[:2], X[:3]), "as many rows in a as in b, got 2 and 3"),
        (lambda: make().fit(X * 3), r"expected values in \[0, 1\]"),
        (lambda: make().fit(X, condition=[1, 2]), r"a label or 30, one for each row, got \(2,\)"),
        (lambda: make().fit(X, condition=[1.0, np.nan] * 15), "a label for each row, got nan in row 1"),
        (lambda: make().fit(X).transform(X, 3), "expected no condition, got one, but fit had none"),
        (lambda: make().fit(X, condition=X[:, 0] > 0.5).sample(2), "condition=, a label .* from False, True, got"),
        (lambda: make().fit(X, condition=np.arange(30) % 3).sample(2, condition=7), "labels from 0, 1, 2, got 7"),
        (lambda: make().fit(X, condition=["a", "1"] * 15).sample(2, condition=2), "labels from .*'1', 'a'.*, got 2"),
        (lambda: make().fit(X).score_samples(X, importance_samples=0), "importance_samples to be a whole number >= 1"),
        (lambda: make().fit(X).score_samples(X, importance_samples="5"), "importance_samples to be a whole .* got '5'"),
        (lambda: make().fit(X).sample(0), "expected n to be a whole number >= 1, got 0"),
        (lambda: make().fit(X).sample(1.5), "expected n to be a whole number >= 1, got 1.5"),
        (lambda: make().fit(X).sample(temperature=np.nan), "temperature to be a number >= 0, got nan"),
        (lambda: make().fit(X).interpolate(X[0], X[1], 0), "expected steps to be a whole number >= 1, got 0"),
        (lambda: make().fit(X).traverse(1.5), "expected dimension to be a whole number >= 0, got 1.5"),
        (lambda: make().fit(X).traverse(3), r"expected a dimension in 0 \.\. 2, got 3"),
        (lambda: make().fit(X).manifold(), "expected codes of 2 numbers for a plane, got 3"),
        (lambda: nanoae.Autoencoder(2, (4,), epochs=1).fit(X).sample(), r"expected a prior .* Call fit_prior\(X\)"),
        (lambda: make(encoder=[Linear(3)]).fit(X), r"expected \[mu, logvar\] of shape \(N, 2 K\), got \(N, 3\)"),
    ],
)  # fmt: skip
def test_errors_of_the_estimator(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_build_that_is_refused_changes_nothing():
    model = make().fit(X)
    with pytest.raises(ValueError, match="batch_size"):
        model.set_params(batch_size=0).build(6, condition=[0, 1])
    assert model.transform(X).shape == (30, 3)
