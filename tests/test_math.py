"""Is forward the mathematics? Everything against the loops and one-line definitions of reference.py."""

import inspect
import math

import numpy as np
import pytest
import reference
from conftest import everything

from nanoae import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Dropout,
    Linear,
    RMSprop,
    Sequential,
    StepDecay,
    WarmUp,
)
from nanoae.autoencoders.table_losses import Weighted
from nanoae.backend import Ops
from nanoae.engine import losses
from nanoae.engine.init import INITIALIZERS

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2, 7, 5))
W, B = rng.standard_normal((5, 3)), rng.standard_normal(5)
BYTES = rng.integers(0, 256, (9, 4), np.uint8)
ROWS = np.array([3, 0, 6, 3])

# name -> (arguments, the definition); with a buffer `out`, or written to the first argument (_inplace), or returned
PRIMITIVES = {
    "copy": ((X,), lambda x: x),
    "take_rows": ((X, ROWS), reference.take_rows),
    "matmul": ((X, W), reference.matmul),
    "multiply": ((X, Y), lambda x, y: reference.each(lambda a, b: a * b, x, y)),
    "minimum": ((X, Y), lambda x, y: reference.each(min, x, y)),
    "sum_rows": ((X,), reference.sum_rows),
    "sum": ((X,), lambda x: sum(x.ravel())),
    "sum_squares": ((X,), reference.sum_squares),
    "sum_products": (
        (X, Y),
        lambda x, y: sum(a * b for a, b in zip(x.ravel(), y.ravel(), strict=True)),
    ),
    "softmax": ((X,), reference.softmax),
    "log_sum_exp": (
        (X,),
        lambda x: np.array([math.log(sum(math.exp(value) for value in row)) for row in x]),
    ),
    "affine_activation": ((X, W, B[:3], "leaky_relu", (0.2,)), reference.affine_activation),
    "clip": (
        (X, -0.5, 0.8),
        lambda x, low, high: reference.each(lambda a: min(max(a, low), high), x),
    ),
    "add_bias_inplace": (
        (X, B),
        lambda x, b: np.array([[x[n, d] + b[d] for d in range(5)] for n in range(7)]),
    ),
    "add_inplace": ((X, Y), lambda x, y: reference.each(lambda a, b: a + b, x, y)),
    "axpby_inplace": (
        (X, 0.3, Y, 0.7),
        lambda y, a, x, b: reference.each(lambda y, x: a * x + b * y, y, x),
    ),
    "scale_inplace": ((X, 0.3), lambda x, factor: reference.each(lambda a: a * factor, x)),
    "clip_norm_inplace": ((X, 0.5), reference.clip_norm),
}
TESTED_AS = {  # the primitives that have tests of their own, below
    "activations": {name + end for name in reference.ACTIVATIONS for end in ("", "_backward")},
    "clipping, sparsity": {"clip_backward", "l1_norm", "bernoulli_kl", "top_k_mask"},
    "losses": {"mse", "bce", "l1", "huber", "softmax_cross_entropy"},
    "an activation and the bias before it": {"activation_backward_bias"},
    "of GELU": {"gelu_tanh"},
    "optimisers": {"sgd_inplace", "adam_inplace", "decay_inplace", "flush_inplace"},
    "the start of a step (test_capture)": {"next_batch"},
    "randomness": {"uniform", "normal", "permutation", "keep_mask"},
    "tables (test_tables)": {"present", "fill_missing", "cross_entropy"},
    "clusters (test_cluster_labels)": {"squared_distances", "nearest", "sum_clusters", "draw_rows"},
}
NOT_MATHEMATICS = {"empty", "zeros", "to_device", "to_numpy", "check_device", "synchronize", "peek", "scratch", "ones",
                   "zeros_row", "dataset", "repeated", "training_stream", "threads_for", "identity", "generator",
                   "generator_state", "set_generator_state",
                   "describe", "call", "check_numbers"}  # fmt: skip


def test_every_primitive_has_a_definition():
    primitives = {
        name
        for name in vars(Ops)
        if inspect.isfunction(vars(Ops)[name]) and not name.startswith("_")
    }
    untested = primitives - set(PRIMITIVES) - set().union(*TESTED_AS.values()) - NOT_MATHEMATICS
    assert not untested, (
        f"give {sorted(untested)} a definition in reference.py and a line in PRIMITIVES"
    )


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(ops, device, close, name):
    arguments, definition = PRIMITIVES[name]
    mine = [device(a).copy() if isinstance(a, np.ndarray) else a for a in arguments]
    expected = definition(*arguments)
    primitive = getattr(ops, name)
    if name.endswith("_inplace"):
        assert primitive(*mine) is mine[0]
        close(mine[0], expected, scale=5)
        return
    if "out" in inspect.signature(primitive).parameters:
        out = device(np.full(expected.shape, np.nan))
        assert primitive(*mine, out=out) is out
        close(out, expected, scale=5)
    else:
        close(primitive(*mine), expected, scale=5)
    for array, before in zip(mine, arguments, strict=True):
        if isinstance(before, np.ndarray):
            close(array, before)  # read only


def test_activation_backward_and_bias(ops, device, close):
    db, dz = device(np.zeros(5)), device(np.zeros(X.shape))
    ops.activation_backward_bias(device(X), device(Y), "leaky_relu", (0.2,), db=db, out=dz)
    expected = reference.each(lambda dy, y: dy if y > 0 else 0.2 * dy, X, Y)
    close(dz, expected)
    close(db, reference.sum_rows(expected), scale=5)


def test_take_rows_scales_and_converts(ops, device, close):
    for table in (BYTES, X):
        out = device(np.zeros((len(ROWS), table.shape[1])))
        close(ops.take_rows(device(table), device(ROWS), out=out, scale=1 / 255),
              reference.take_rows(table, ROWS, 1 / 255))  # fmt: skip


@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clip_norm(ops, device, close, max_norm):
    clipped = ops.to_numpy(ops.clip_norm_inplace(device(X).copy(), max_norm))
    assert math.sqrt(reference.sum_squares(clipped)) == pytest.approx(
        min(max_norm, np.linalg.norm(X)), rel=1e-5
    )
    close(clipped, reference.clip_norm(X, max_norm))


@pytest.mark.parametrize("other", ["contiguous", "strided", "of another precision"])
def test_axpby_of_any_layout(ops, device, close, other):
    """BLAS gets bare addresses: what it would misread must not reach it."""
    y, x = device(np.zeros((7, 10)))[:, ::2], device(np.repeat(X, 2, axis=1))[:, ::2]
    if other != "strided":
        y, x = (
            device(np.zeros((7, 5))).copy(),
            ops.to_device(X, np.float64 if other != "contiguous" else y.dtype),
        )
    close(ops.axpby_inplace(y, 2.0, x, 0.5), 2 * X)
    # nothing beside it was written
    assert not ops.to_numpy(y.base[:, 1::2]).any() if other == "strided" else True


@pytest.mark.parametrize("n", [1, 131_071, 131_073, 300_001])
def test_adam_meets_every_element_once(n):
    theta, m, v = (np.zeros(n, np.float32) for _ in range(3))
    Ops().adam_inplace(theta, np.ones(n, np.float32), m, v, 1, 0.5, 0.9, 0.999, 0.0)
    assert (m == 1).all() and (v == 1).all()
    np.testing.assert_allclose(theta, -0.5, rtol=1e-6)


# ---------------------------------------------------------------- activations


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_activation_and_its_derivative(ops, device, close, name):
    settings, f, df = reference.ACTIVATIONS[name]
    x, dy = 4 * X, Y
    y = getattr(ops, name)(device(x), *settings)
    close(y, reference.each(f, x))
    kept = device(x) if name in reference.OF_X else y
    dx = getattr(ops, name + "_backward")(device(dy), kept, *settings)
    close(dx, dy * reference.each(df, x), scale=3)
    x, dy = device(x).copy(), device(dy).copy()
    kept = x.copy() if name in reference.OF_X else y
    in_place = (
        getattr(ops, name)(x, *settings, out=x),
        getattr(ops, name + "_backward")(dy, kept, *settings, out=dy),
    )
    assert in_place[0] is x and in_place[1] is dy
    close(x, ops.to_numpy(y))
    close(dy, ops.to_numpy(dx))


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("sigmoid", (), [0, 0.5, 1]),
        ("tanh", (), [-1, 0, 1]),
        ("softplus", (), [0, math.log(2), 1000]),
        ("elu", (0.7,), [-0.7, 0, 1000]),
        ("relu", (), [0, 0, 1000]),
        ("leaky_relu", (0.2,), [-200, 0, 1000]),
        ("gelu", (), [0, 0, 1000]),
        ("silu", (), [0, 0, 1000]),
    ],
)
def test_extreme_inputs_neither_overflow_nor_warn(ops, device, close, name, settings, expected):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x = device(np.array([-1000.0, 0.0, 1000.0]))
        y = getattr(ops, name)(x, *settings)
        dx = getattr(ops, name + "_backward")(
            device(np.ones(3)), x if name in reference.OF_X else y, *settings
        )
    close(y, expected)
    assert np.isfinite(ops.to_numpy(dx)).all()


def test_gelu_is_nearly_x_times_the_normal_distributions_function(ops, device):
    x = np.linspace(-6, 6, 401)
    exact = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x]
    np.testing.assert_allclose(ops.to_numpy(ops.gelu(device(x))), exact, atol=5e-4)


def test_softmax_of_extreme_logits(ops, device, close):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        close(ops.softmax(device(np.array([[1000.0, -1000.0, 1000.0], [-1e4, -1e4, -1e4]]))),
              [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])  # fmt: skip


# ---------------------------------------------------------------- clipping, sparsity


def test_clip_backward_is_0_where_it_clipped(ops, device, close):
    y = ops.clip(device(X), -0.5, 0.8)
    close(
        ops.clip_backward(device(Y), y, -0.5, 0.8), Y * reference.each(lambda a: -0.5 < a < 0.8, X)
    )


def test_l1_norm(ops, device, close):
    dx = device(np.zeros(X.shape))
    close(ops.l1_norm(device(X), 0.3, out=dx), 0.3 * sum(abs(X.ravel())), scale=5)
    close(dx, 0.3 * reference.each(lambda a: (a > 0) - (a < 0), X))


def test_bernoulli_kl(ops, device, close):
    q, dq = rng.uniform(0.01, 0.99, 9), device(np.zeros(9))
    value = ops.bernoulli_kl(device(q), 0.05, 0.3, out=dq)
    close(value, 0.3 * reference.each(lambda q: reference.bernoulli_kl(q, 0.05), q).sum(), scale=5)
    h = 1e-6
    slope = reference.each(
        lambda q: (
            (reference.bernoulli_kl(q + h, 0.05) - reference.bernoulli_kl(q - h, 0.05)) / (2 * h)
        ),
        q,
    )
    np.testing.assert_allclose(ops.to_numpy(dq), 0.3 * slope, rtol=1e-4)
    assert np.isfinite(
        float(ops.bernoulli_kl(device(np.array([0.0, 1.0])), 0.05, 1.0, out=device(np.zeros(2))))
    )


def test_top_k_mask(ops, device, close):
    expected = [[1.0 if sum(b > a for b in row) < 2 else 0.0 for a in row] for row in X]
    close(ops.top_k_mask(device(X), 2, out=device(np.full(X.shape, np.nan))), expected)
    # all are equal
    close(ops.top_k_mask(device(np.ones((3, 5))), 2, out=device(np.zeros((3, 5)))).sum(axis=1), 2)


# ---------------------------------------------------------------- losses


def elementwise_loss(name, *settings):
    """(loss object, y, t): logits and targets in (0, 1) for BCE, two real tables for the rest."""
    own = {"Huber": [reference.DELTA], "GaussianNLL": [1.0]}.get(name, [])
    loss = getattr(losses, name)(*own, *settings)
    return loss, 2 * X, rng.random(X.shape) if name == "BCE" else Y


def test_every_loss_has_a_definition():
    elsewhere = {"SoftmaxCrossEntropy", "Mixed", "Masked", "Weighted"}  # below, and in test_tables
    untested = {cls.__name__ for cls in everything(losses.Loss)} - set(reference.LOSSES) - elsewhere
    assert not untested, f"define {sorted(untested)} in reference.LOSSES"


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_loss_with_its_exact_factor(ops, dtype, device, close, name, reduction):
    for weight in (1.0, 0.5):
        loss, y, t = elementwise_loss(name, reduction, weight)
        f, df = reference.LOSSES[name]
        factor = weight * reference.FACTORS[reduction](*y.shape)
        value = loss.build(ops, dtype).forward(device(y), device(t))
        assert value.shape == ()  # 0-d, on the device: not yet read
        total = reference.each(f, y, t).sum()
        close(value, factor * total, scale=factor * total)
        close(loss.backward(), factor * reference.each(df, y, t), scale=factor)


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_weighted_loss(ops, dtype, device, close, name, reduction):
    """Each row w[n] times what it costs, and its derivative likewise; the factor is that of all rows."""
    loss, y, t = elementwise_loss(name, reduction, 0.5)
    f, df = reference.LOSSES[name]
    factor, w = (
        0.5 * reference.FACTORS[reduction](*y.shape),
        np.array([0.0, 0.5, 3.0, 1.0, 1.0, 2.0, 0.1]),
    )
    costs = np.array([w[n] * reference.each(f, y[n], t[n]).sum() for n in range(len(y))])
    weighted = Weighted(loss).build(ops, dtype)
    close(
        weighted.forward(device(y), device(np.column_stack([t, w]))),
        factor * costs.sum(),
        scale=factor * costs.sum(),
    )
    slopes = np.array([w[n] * reference.each(df, y[n], t[n]) for n in range(len(y))])
    close(weighted.backward(), factor * slopes, scale=3 * factor)


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1 / 7), ("batch", 1 / 7), ("sum", 1)])
def test_softmax_cross_entropy(ops, dtype, device, close, reduction, factor):
    classes = np.array([0, 4, 2, 2, 1, 3, 0])
    loss = losses.SoftmaxCrossEntropy(reduction).build(ops, dtype)
    total, dz = reference.cross_entropy(X, classes)
    close(loss.forward(device(X), device(classes)), factor * total, scale=total)
    close(loss.backward(), factor * dz)
    shifted = loss.forward(device(X + 1000), device(classes))  # the same probabilities
    np.testing.assert_allclose(float(shifted), factor * total, rtol=1e-4)


def test_bce_of_extreme_logits_is_finite(ops, dtype, device, close):
    z, t = np.array([[500.0, -500.0, 500.0, -500.0]]), np.array([[1.0, 0.0, 0.0, 1.0]])
    loss = losses.BCE("sum").build(ops, dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        close(loss.forward(device(z), device(t)), 1000.0)  # two are right, two are wrong by 500
    close(loss.backward(), [[0, 0, 1, -1]])


def test_the_loss_says_what_an_output_means(ops, dtype, device, close):
    """A network trained on logits gives probabilities."""
    for name, f in {"BCE": lambda z: reference.each(reference.sigma, z), "SoftmaxCrossEntropy": reference.softmax,
                    "MSE": lambda y: y}.items():  # fmt: skip
        y = device(X).copy()
        close(getattr(losses, name)().build(ops, dtype).predict(y, out=y), f(X))


# ---------------------------------------------------------------- optimisers

THETA = rng.standard_normal(6)
GRADS = rng.standard_normal((5, 6)) * [1, 1e-8, 1e-8, 1e4, 0, 1]  # some near eps, some zero


def run(ops, device, optimizer, theta, grads):
    theta = device(theta).copy()
    optimizer.build(ops, theta)
    for g in grads:
        optimizer.step(theta, device(g).copy())
    return theta


@pytest.mark.parametrize(
    ("optimizer", "definition", "settings"),
    [
        (SGD, reference.sgd, {"lr": 0.1}),
        (SGD, reference.sgd, {"lr": 0.1, "weight_decay": 0.2}),
        (SGD, reference.sgd, {"lr": 0.1, "momentum": 0.9}),
        (SGD, reference.sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2}),
        (Adam, reference.adam, {"lr": 0.1}),
        (Adam, reference.adam, {"lr": 0.1, "beta1": 0.5, "beta2": 0.6, "eps": 1e-2}),
        (Adam, reference.adam, {"lr": 0.1, "weight_decay": 0.2}),
        (AdamW, reference.adam, {"lr": 0.1, "weight_decay": 0.2}),
        (RMSprop, reference.rmsprop, {"lr": 0.1}),
        (RMSprop, reference.rmsprop, {"lr": 0.1, "rho": 0.6, "eps": 1e-2, "weight_decay": 0.2}),
    ],
)
def test_optimizer_by_hand(ops, device, close, optimizer, definition, settings):
    theta = run(ops, device, optimizer(**settings), THETA, GRADS)
    extra = {"decoupled": True} if optimizer is AdamW else {}
    close(
        theta,
        definition(THETA, GRADS, **settings, **extra),
        scale=max(1, np.abs(GRADS).max() * (definition is reference.sgd)),
    )


def test_adam_adds_eps_after_the_bias_correction(ops, device):
    """One step with g = eps: m̂ = g, sqrt(v̂) = g, so theta moves by lr · g / (g + eps) = lr / 2."""
    theta = run(ops, device, Adam(lr=1.0, eps=1e-8), np.zeros(1), np.full((1, 1), 1e-8))
    assert float(theta[0]) == pytest.approx(-0.5, rel=1e-6)


def test_first_adam_step_is_lr_whatever_the_gradient(ops, device, close):
    """The bias correction: m̂ / sqrt(v̂) = sign(g) at t = 1."""
    theta = run(ops, device, Adam(lr=0.01), np.zeros(3), np.array([[1e-3, -1.0, 1e3]]))
    np.testing.assert_allclose(ops.to_numpy(theta), [-0.01, 0.01, -0.01], rtol=2e-5)


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, 0.9), Adam(0.1, weight_decay=0.1), AdamW(0.1)], ids=repr
)
def test_large_theta_is_many_small_ones(ops, device, close, optimizer):
    """Fast paths cut a large theta into blocks: no element may be lost or updated twice at their edges."""
    copies = 180_001  # times 6 elements
    small = ops.to_numpy(run(ops, device, optimizer, THETA, GRADS))
    large = ops.to_numpy(
        run(ops, device, optimizer, np.tile(THETA, copies), np.tile(GRADS, (1, copies)))
    )
    close(large, np.tile(small, copies), scale=1e4 if isinstance(optimizer, SGD) else 1)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), Adam()], ids=repr)
def test_dying_moments_end_in_zero(ops, device, dtype, optimizer):
    """0.9ᵗ ends in subnormal numbers, over which a CPU takes ten times as long."""
    small = {"float32": 1e-28, "float64": 1e-298}[dtype.name]  # which 0.9³⁰⁰ makes subnormal
    run(ops, device, optimizer, THETA, [small * THETA, *np.zeros((300, 6))])
    assert not ops.to_numpy(optimizer.moments[0]).any()


def test_small_gradients_do_not_die(ops, device, dtype):
    """Adam without eps moves by lr whatever their size, down to squares that are no numbers any more."""
    small = {"float32": 1e-15, "float64": 1e-120}[dtype.name]
    theta = run(ops, device, Adam(lr=0.01, eps=0.0), np.zeros(3), np.full((4, 3), small))
    np.testing.assert_allclose(ops.to_numpy(theta), -0.04, rtol=1e-5)


def test_clip_norm_acts_before_the_update(ops, device, close):
    theta = run(ops, device, SGD(lr=1.0, clip_norm=0.5), THETA, GRADS[:1])
    close(theta, THETA - reference.clip_norm(GRADS[0], 0.5))


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(0.1), {1: 0.1, 100: 0.1}),
        (StepDecay(0.1, every=10, factor=0.5), {1: 0.1, 10: 0.1, 11: 0.05, 20: 0.05, 21: 0.025}),
        (
            Cosine(0.1, final=0.02),
            {1: 0.1, 26: 0.06 + 0.04 * math.cos(math.pi / 4), 51: 0.06, 101: 0.02, 999: 0.02},
        ),
        (WarmUp(Constant(0.1), steps=4), {1: 0.025, 2: 0.05, 4: 0.1, 5: 0.1}),
        (WarmUp(StepDecay(0.1, every=2), steps=4), {1: 0.025, 3: 0.0075, 4: 0.01}),
    ],
    ids=repr,
)
def test_schedule_values(schedule, expected):
    assert {t: pytest.approx(schedule(t, 100), rel=1e-12) for t in expected} == expected


def test_optimizer_follows_its_schedule(ops, device, close):
    theta = run(
        ops, device, SGD(lr=StepDecay(0.1, every=1, factor=0.1)), np.zeros(1), np.ones((3, 1))
    )
    close(theta, [-0.111])


# ---------------------------------------------------------------- initialisers, and what is drawn


def weights(ops, name, n_in=300, n_out=200):
    net = Sequential([Linear(n_out, init=name)]).build(n_in, ops, "float64", random_state=0)
    return ops.to_numpy(net.layers[0].params["W"])


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("family", reference.VARIANCES)
def test_initializer_variance_and_bounds(ops, family, kind):
    drawn = weights(ops, f"{family}_{kind}")
    variance = reference.VARIANCES[family](300, 200)
    assert drawn.var() == pytest.approx(variance, rel=0.03)
    assert abs(drawn.mean()) < 4 * math.sqrt(variance / drawn.size)
    bound = math.sqrt(3 * variance)
    beyond = np.abs(drawn).max() / bound
    assert 0.999 < beyond <= 1 if kind == "uniform" else beyond > 1.5


def test_truncated_normal_never_goes_beyond_two_stddev(ops):
    drawn = weights(ops, "truncated_normal")
    assert 0.199 < np.abs(drawn).max() <= 0.2
    # of a normal cut at two standard deviations
    assert drawn.std() == pytest.approx(0.1 * 0.8796, rel=0.02)


def test_small_normal_is_small_whatever_the_fans(ops):
    assert weights(ops, "small_normal").std() == pytest.approx(0.01, rel=0.02)


def test_shifted_uniform_lies_between_minus_1_and_2(ops):
    drawn = weights(ops, "shifted_uniform")
    assert -1 <= drawn.min() < -0.99 and 1.99 < drawn.max() < 2
    assert drawn.mean() == pytest.approx(0.5, rel=0.05)


def test_every_initializer_is_tested():
    drawn = {f"{family}_{kind}" for family in reference.VARIANCES for kind in ("uniform", "normal")}
    others = {"truncated_normal", "shifted_uniform", "small_normal", "zeros", "ones"}
    assert set(INITIALIZERS) == drawn | others


def test_uniform_normal_and_permutation(ops, device):
    generator, out = ops.generator(0), device(np.zeros((300, 200)))
    u = ops.to_numpy(ops.uniform(generator, out)).copy()
    assert 0 <= u.min() < 1e-3 and 0.999 < u.max() < 1 and u.mean() == pytest.approx(0.5, abs=0.005)
    z = ops.to_numpy(ops.normal(generator, out)).copy()
    assert (
        abs(z.mean()) < 0.02 and z.std() == pytest.approx(1, rel=0.02) and 3.5 < np.abs(z).max() < 6
    )
    order = ops.to_numpy(ops.permutation(generator, 1000))
    assert (np.sort(order) == np.arange(1000)).all() and not (order == np.arange(1000)).all()


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout_keeps_the_mean(ops, dtype, device, close, p):
    net = Sequential([Dropout(p)]).build(200, ops, dtype, random_state=0)
    ones = device(np.ones((400, 200)))
    y = ops.to_numpy(net.forward(ones, train=True)).copy()
    kept = y != 0
    close(y[kept], 1 / (1 - p))
    assert kept.mean() == pytest.approx(1 - p, abs=4 * math.sqrt(p * (1 - p) / y.size) + 1e-12)
    assert not p or (ops.to_numpy(net.forward(ones, train=True)) != y).any()  # drawn anew
    close(net.forward(ones), 1.0)  # nothing is dropped where nothing is learned


def test_bce_of_right_and_sure_logits_is_small_and_not_negative(ops):
    t = np.random.default_rng(0).integers(0, 2, (256, 784)).astype(np.float32)
    for size in (10, 20, 200):
        z = ((2 * t - 1) * size).astype(np.float32)
        truth = np.logaddexp(0, -float(size))
        loss = float(
            ops.bce(
                ops.to_device(z), ops.to_device(t), 1 / z.size, out=ops.empty(z.shape, np.float32)
            )
        )
        assert loss >= 0 and abs(loss - truth) <= 1e-3 * truth + 1e-7


@pytest.mark.parametrize(
    "settings", [{"beta1": 1.0}, {"beta2": 1.0}, {"beta2": -0.1}, {"eps": -1e-8}]
)
def test_adam_refuses_betas_that_divide_by_zero(settings):
    with pytest.raises(ValueError, match=r"Adam: expected (beta[12] in \[0, 1\)|eps >= 0)"):
        Adam(**settings)
