"""Is a step of K-FAC the natural gradient, and does it learn?"""

import copy
import gc
import math
import pickle
import weakref

import numpy as np
import pytest

import nanoae
from nanoae.training.kfac import KFACTrainer

RNG = np.random.default_rng(0)
X = RNG.random((64, 6))


def trainer(layers, loss=None, n_in=6, rows=64, dtype="float64", optimizer=None, **settings):
    network = nanoae.Sequential(layers).build(n_in, "numpy", dtype, random_state=0)
    shape = {"batch_size": rows, "epochs": 1, "rows": rows, "seed": 0}
    return KFACTrainer(
        network, loss or nanoae.MSE("batch"), optimizer or nanoae.KFAC(**settings), **shape
    )


def deep(wide=5):
    return [
        nanoae.Linear(wide),
        nanoae.Tanh(),
        nanoae.Linear(2),
        nanoae.Linear(wide),
        nanoae.ReLU(),
        nanoae.Linear(6),
    ]


# ---------------------------------------------------------------- is it the mathematics?


@pytest.mark.parametrize("reduction", ["batch", "mean", "sum"])
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_one_step_solves_least_squares(reduction, weight, rng):
    """Of a linear map the Fisher matrix is the Hessian, 2 A ⊗ I: one step is Newton's, and that is the solution."""
    x, noise = rng.standard_normal((4000, 3)), rng.standard_normal((4000, 2))
    t = x @ [[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]] + [0.3, -0.2] + 0.1 * noise
    one = trainer(
        [nanoae.Linear(2)],
        nanoae.MSE(reduction, weight),
        3,
        4000,
        momentum=0,
        damping=1e-9,
        kl_clip=1e9,
    )
    before, solution = (
        np.mean((one.network.forward(x) - t) ** 2),
        np.linalg.lstsq(np.c_[x, np.ones(4000)], t, rcond=None)[0],
    )
    least = np.mean((np.c_[x, np.ones(4000)] @ solution - t) ** 2)
    one.step(x, t)
    after = np.mean((one.network.forward(x) - t) ** 2)
    assert after - least < 0.01 * (before - least), (
        "but for the sampled G, within some per cent of 2 I"
    )


def test_the_direction_is_the_inverse_of_the_kronecker_product_times_the_gradient():
    net = trainer(deep(), damping=0.3, kl_clip=1e9, momentum=0)
    theta = net.network.theta.copy()
    net.step(X, X)
    moved = theta - net.network.theta
    for layer in net.taps:
        plain = nanoae.Sequential(deep()).build(6, "numpy", "float64", random_state=0)
        loss = nanoae.MSE("batch").build(plain.ops, plain.dtype)
        loss.forward(plain.forward(X, train=True), X)
        plain.backward(loss.backward())
        k = next(i for i, other in enumerate(net.network.layers) if other is layer.linear)
        gradient = np.vstack(list(plain.layers[k].grads.values()))
        A, G = layer.A, layer.G
        pi = math.sqrt((np.trace(A) / len(A)) / (np.trace(G) / len(G)))
        A = A + pi * math.sqrt(0.3) * np.eye(len(A))
        G = G + math.sqrt(0.3) / pi * np.eye(len(G))
        expected = np.linalg.solve(np.kron(A, G), gradient.ravel()).reshape(gradient.shape)
        where = [net.network.parameters.slices[k, name] for name in ("W", "b")]
        np.testing.assert_allclose(
            np.concatenate([moved[s] for s in where]), expected.ravel(), rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize(
    ("loss", "G"),
    [
        (nanoae.MSE("batch"), lambda y: 2.0),  # (2 noise / √2)²
        (nanoae.MSE("mean"), lambda y: 2.0),
        (nanoae.MSE("sum", weight=3.0), lambda y: 6.0),
        (nanoae.GaussianNLL(0.25), lambda y: 4.0),  # 1 / variance
        (nanoae.BCE("batch"), lambda z: 1 / (2 + 2 * np.cosh(z))),  # s (1 - s), s = sigmoid(z)
        (nanoae.BCE("mean", weight=3.0), lambda z: 3 / (2 + 2 * np.cosh(z))),
    ],
    ids=["mse", "mean", "weight", "gaussian", "bce", "bce weight"],
)
def test_the_factors_are_the_means_that_they_should_be(loss, G, rng):
    x = np.tile(rng.standard_normal((1, 3)), (40_000, 1))  # one row, many samples
    net = trainer([nanoae.Linear(2)], loss, 3, 40_000)
    net.measure_factors(x)
    (layer,) = net.taps
    with_one = np.r_[x[0], 1.0]
    np.testing.assert_allclose(layer.A, np.outer(with_one, with_one), rtol=1e-9)
    y = net.network.forward(x[:1])[0]
    np.testing.assert_allclose(layer.G, np.diag(np.broadcast_to(G(y), 2)), atol=0.03 * np.max(G(y)))


def test_the_factors_are_running_means():
    net = trainer(deep(), ema_decay=0.5)
    seen = []
    for scale in (1.0, 2.0, 3.0):
        net.measure_factors(scale * X)
        x = np.c_[scale * X, np.ones(len(X))]
        seen.append(x.T @ x / len(x))
    np.testing.assert_allclose(net.taps[0].A, (seen[0] / 2 + seen[1] / 2) / 2 + seen[2] / 2)


def test_a_step_is_held_to_kl_clip():
    net = trainer(deep(), kl_clip=1e-4, momentum=0, lr=10.0)
    theta = net.network.theta.copy()
    net.step(X, X)
    change = 0.0
    for layer in net.taps:
        k = next(i for i, other in enumerate(net.network.layers) if other is layer.linear)
        step = np.concatenate(
            [(theta - net.network.theta)[net.network.parameters.slices[k, n]] for n in ("W", "b")]
        )
        A, G = (np.linalg.inv(inverse) for inverse in layer.inverses)
        change += step @ np.kron(A, G) @ step
    np.testing.assert_allclose(change, 1e-4, rtol=1e-6)


def test_factors_are_measured_and_inverted_in_their_rhythm(monkeypatch):
    done = {"update": [], "invert": []}
    net = trainer([nanoae.Linear(6)], factor_every=15, inverse_every=20)
    for name, steps in done.items():
        real = getattr(net.taps[0], name)
        monkeypatch.setattr(
            net.taps[0],
            name,
            lambda *a, steps=steps, real=real: (steps.append(net.optimizer.t), real(*a)),
        )
    for _ in range(41):
        net.step(X, X)
    assert done == {"update": [*range(10), 15, 30], "invert": [*range(10), 20, 40]}


def test_a_short_batch_is_not_measured():
    net = trainer([nanoae.Linear(6)], factor_every=1)
    net.step(X, X)
    A = net.taps[0].A.copy()
    net.step(X[:1], X[:1])
    np.testing.assert_array_equal(net.taps[0].A, A)


def test_weight_decay_shrinks_theta_by_itself():
    plain, decaying = trainer(deep()), trainer(deep(), weight_decay=0.1)
    theta = plain.network.theta.copy()
    plain.step(X, X)
    decaying.step(X, X)
    np.testing.assert_allclose(decaying.network.theta, plain.network.theta - 0.1 * theta)


# ---------------------------------------------------------------- does it learn?


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_it_gets_further_than_adam_in_as_many_steps(loss):
    x = nanoae.load_data("digits").flat()[0][:512]
    settings = {
        "code_size": 8,
        "hidden": (32, 16),
        "loss": loss,
        "batch_size": 256,
        "epochs": 20,
        "random_state": 0,
    }
    ours = nanoae.Autoencoder(**settings, optimizer=nanoae.KFAC(nanoae.Cosine(1.0))).fit(x)
    adam = nanoae.Autoencoder(**settings, learning_rate=nanoae.Cosine(1e-2)).fit(x)
    assert ours.history_["loss"][-1] < adam.history_["loss"][-1]


def test_the_same_seed_gives_the_same_weights():
    thetas = []
    for _ in range(2):
        net = trainer(deep(), dtype="float32")
        for _ in range(7):
            net.step(X.astype(np.float32), X.astype(np.float32))
        thetas.append(net.network.theta.copy())
    np.testing.assert_array_equal(*thetas)


def test_noise_codes_and_a_ragged_last_batch(rng):
    x = rng.random((70, 6)).astype(np.float32)
    model = nanoae.Autoencoder(
        2,
        (5,),
        optimizer=nanoae.KFAC(),
        corruption=nanoae.GaussianNoise(0.1),
        batch_size=32,
        epochs=4,
        random_state=0,
        validation_fraction=0.2,
        patience=3,
    ).fit(x)
    assert (
        np.isfinite(model.history_["loss"]).all()
        and model.history_["loss"][-1] < model.history_["loss"][0]
    )


def test_a_saved_model_keeps_the_optimiser(tmp_path):
    model = nanoae.Autoencoder(2, optimizer=nanoae.KFAC(0.5, kl_clip=0.01), epochs=1).fit(X)
    model.save(tmp_path / "m.npz")
    again = nanoae.load(tmp_path / "m.npz")
    assert (again.optimizer.lr, again.optimizer.kl_clip) == (0.5, 0.01)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_a_used_optimiser_is_as_good_as_new():
    first = trainer(deep(), optimizer=(used := nanoae.KFAC()))
    first.step(X, X)
    for again in (copy.deepcopy(used), pickle.loads(pickle.dumps(used)), used):
        assert again.config() == used.config()
        trainer(deep(), optimizer=again).step(X, X)
    grad = first.network.grad.copy()
    network = nanoae.Sequential([nanoae.Linear(6)]).build(6)
    with pytest.raises(RuntimeError, match="KFACTrainer"):
        nanoae.Trainer(network, nanoae.MSE(), used, batch_size=8, epochs=1, rows=8).step(
            X[:8], X[:8]
        )
    np.testing.assert_array_equal(first.network.grad, grad)


def test_a_trainer_goes_when_nobody_holds_it():
    gc.disable()
    try:
        model = nanoae.Autoencoder(2, optimizer=nanoae.KFAC(), epochs=1).fit(X)
        kept = weakref.ref(model._trainer)
        del model
        assert kept() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- what it cannot do, said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"damping": 0.0}, "expected damping > 0"),
        ({"kl_clip": -1.0}, "expected kl_clip"),
        ({"damping": math.inf}, "expected damping > 0"),
        ({"ema_decay": 1.0}, r"ema_decay in \[0, 1\)"),
        ({"momentum": 1.5}, r"momentum in \[0, 1\)"),
        ({"inverse_every": 0}, "expected inverse_every >= 1, got 0"),
        ({"factor_every": 2.5}, "expected factor_every, a whole number"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        nanoae.KFAC(**settings)


def test_other_losses_and_layers_are_refused():
    with pytest.raises(
        ValueError, match="KFAC: expected MSE, GaussianNLL or BCE, with weight > 0, got L1"
    ):
        trainer(deep(), nanoae.L1())
    with pytest.raises(ValueError, match=r"Linear layers only, got BatchNorm.*Use Adam"):
        trainer([nanoae.Linear(6), nanoae.BatchNorm()])
    network = nanoae.Sequential([nanoae.Linear(6)]).build(6)
    with pytest.raises(RuntimeError, match=r"expected nanoae\.training\.kfac\.KFACTrainer"):
        nanoae.Trainer(network, nanoae.MSE(), nanoae.KFAC(), batch_size=8, epochs=1, rows=8).step(
            X[:8], X[:8]
        )


@pytest.mark.parametrize(
    "settings",
    [{"penalty": nanoae.L1Sparsity(0.1)}, {"bottleneck": nanoae.Adversarial()}],
    ids=["penalty", "bottleneck"],
)
def test_losses_of_layers_are_refused_before_anything_is_learned(settings):
    with pytest.raises(ValueError, match="KFAC: expected layers without a loss of their own, got"):
        nanoae.Autoencoder(2, optimizer=nanoae.KFAC(), **settings).fit(X)


def test_frozen_layers_are_refused_and_none_frozen_is_not():
    settings = {"sizes": (4, 2), "optimizer": nanoae.KFAC(), "pretrain": False, "epochs": 1}
    nanoae.StackedRegressor(**settings, freeze=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="KFAC: expected all layers to be trained"):
        nanoae.StackedRegressor(**settings, freeze=1).fit(X, X[:, 0])


def test_numbers_too_large_are_said():
    x = np.column_stack([np.arange(64) * 1e15 + 1.7e18, *X.T])
    with (
        np.errstate(all="ignore"),
        pytest.raises(nanoae.NotFiniteError, match=r"(?i)scale the inputs"),
    ):
        nanoae.Autoencoder(2, (4,), optimizer=nanoae.KFAC(), epochs=2, scaling="none").fit(x)


def test_a_factor_whose_trace_is_too_large_is_said():
    tap = trainer(deep(), dtype="float32").taps[0]
    tap.G[...] = 3e38
    with np.errstate(over="ignore"), pytest.raises(nanoae.NotFiniteError, match="Scale the inputs"):
        tap.invert(damping=1.0)
