"""Does the adversarial bottleneck play the game it says, and do codes come out as the prior?"""

import math

import numpy as np
import pytest

import nanoae
from nanoae import BCE, Adversarial, Autoencoder, Linear, Mixture, Sequential, check_gradients

rng = np.random.default_rng(0)


def energy_distance(x, y):
    """2 E|x - y| - E|x - x'| - E|y - y'|: 0 where the two are from one distribution (Szekely & Rizzo 2013)."""

    def mean(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)).mean()

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def game(ops, **settings):
    """(network, its adversarial layer) in float64, after one forward."""
    net = Sequential([Linear(2), Adversarial(weight=0.7, **settings)]).build(
        5, ops, "float64", random_state=0
    )
    return net, net.layers[1]


def logits(layer, x):
    """The discriminator by loops over its layers, on the host."""
    to_numpy = layer.ops.to_numpy
    linears = [part for part in layer.discriminator.layers if isinstance(part, Linear)]
    for i, linear in enumerate(linears):
        x = x @ to_numpy(linear.params["W"]) + to_numpy(linear.params["b"])
        x = x if i == len(linears) - 1 else np.where(x > 0, x, 0.2 * x)
    return x


def test_the_price_is_how_sure_the_discriminator_is(ops):
    net, layer = game(ops)
    h = ops.to_numpy(net.forward(ops.to_device(rng.standard_normal((9, 5))), train=True))
    assert float(net.penalty()) == pytest.approx(0.7 * np.log1p(np.exp(-logits(layer, h))).mean())


def test_the_encoder_gets_the_reversed_gradient_of_the_discriminator(ops):
    """dP/dh is along dd/dh as -dV/dh is; of the two forms, ours is the steeper where the discriminator is sure."""
    net, layer = game(ops)
    x = ops.to_device(rng.standard_normal((1, 5)))
    h = ops.to_numpy(net.forward(x, train=True)).copy()
    net.freeze_noise(True)
    dh = ops.to_numpy(layer.backward(ops.zeros((1, 2), net.dtype)))
    eps, d = 1e-6, float(logits(layer, h)[0, 0])
    slope = np.array(
        [
            (logits(layer, h + eps * e) - logits(layer, h - eps * e))[0, 0] / (2 * eps)
            for e in np.eye(2)
        ]
    )
    s = 1 / (1 + math.exp(-d))
    np.testing.assert_allclose(dh[0], 0.7 * (s - 1) * slope, rtol=1e-6)


def test_the_discriminator_has_a_right_gradient(ops):
    _, layer = game(ops)
    report = check_gradients(
        layer.discriminator, rng.standard_normal((6, 2)), np.ones((6, 1)), BCE()
    )
    assert report.ok, f"\n{report}"


def test_it_learns_to_tell_codes_from_the_prior_only_when_the_noise_is_not_frozen(ops):
    net, layer = game(ops, learning_rate=0.03)
    ops.copy(6.0, out=net.layers[0].params["b"])  # codes far from the prior
    x = ops.to_device(rng.standard_normal((64, 5)))
    dy = ops.zeros((64, 2), net.dtype)

    def steps(n):
        for _ in range(n):
            net.forward(x, train=True)
            layer.backward(dy)
            net.layers[0].take_cache()
        return ops.to_numpy(layer.discriminator.theta).copy()

    before = steps(1)
    after = steps(100)
    codes, prior = ops.to_numpy(net.forward(x)), rng.standard_normal((500, 2))
    told = np.concatenate([logits(layer, codes) < 0, logits(layer, prior) > 0])
    assert not np.array_equal(before, after) and told.mean() > 0.9
    net.forward(x, train=True)
    net.freeze_noise(True)
    assert np.array_equal(steps(3), steps(3))


@pytest.mark.parametrize("prior", [None, Mixture.ring(3)], ids=["normal", "ring"])
def test_draws_of_the_layer_are_the_priors(ops, dtype, prior):
    net = Sequential([nanoae.Identity(), Adversarial(prior)]).build(2, ops, dtype, random_state=0)
    drawn = ops.to_numpy(net.layers[1].noise((4000, 2))).astype(np.float64)
    expected = (prior or Mixture.standard(2)).sample(500, 1)
    again = (prior or Mixture.standard(2)).sample(500, 2)
    assert energy_distance(drawn[:500], expected) < 3 * energy_distance(again, expected) + 0.01
    mean, std = (prior or Mixture.standard(2)).moments()
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=5 * std.max() / math.sqrt(4000))


@pytest.fixture(scope="module")
def trained(digits):
    def fit(bottleneck):
        return Autoencoder(
            2, (64,), loss="bce", bottleneck=bottleneck, optimizer=nanoae.Adam(1e-3, beta1=0.5), epochs=40,
            batch_size=32, backend="numpy", random_state=0,
        ).fit(digits[0])  # fmt: skip

    return fit(None), fit(Adversarial(weight=0.03))


def test_codes_are_closer_to_the_prior_than_a_plain_autoencoders(trained, digits):
    prior = rng.standard_normal((len(digits[0]), 2))
    plain, adversarial = (energy_distance(model.transform(digits[0]), prior) for model in trained)
    z = trained[0].transform(digits[0])
    standardised = energy_distance((z - z.mean(axis=0)) / z.std(axis=0), prior)
    assert adversarial < standardised and adversarial < plain / 10


def test_it_draws_and_can_be_saved_and_goes_on(trained, digits, tmp_path):
    model = trained[1]
    model.save(tmp_path / "model.npz")
    twin = nanoae.load(tmp_path / "model.npz", backend="numpy")
    np.testing.assert_array_equal(twin.sample(5, 0), model.sample(5, 0))
    discriminators = [
        each.network_.layers[each._n_encoder - 1].discriminator.theta for each in (model, twin)
    ]
    np.testing.assert_array_equal(*discriminators)
    twin.partial_fit(digits[0])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: Adversarial("swiss roll"),
            r"expected prior=None, for N\(0, I\), or a Mixture, got 'swiss roll'",
        ),
        (lambda: Adversarial(weight=-1), "expected weight >= 0, got -1"),
        (
            lambda: Sequential([Adversarial(Mixture.ring())]).build(3),
            r"expected codes of shape \(N, 2\).* got \(N, 3\)",
        ),
    ],
)
def test_errors(act, message):
    with pytest.raises(ValueError, match=message):
        act()
