"""Do corruption, penalty and bottleneck do what their papers say, and change nothing else about an autoencoder?"""

import copy
import math
import pickle

import numpy as np
import pytest

import nanoae
from nanoae import (
    MSE,
    Autoencoder,
    Contractive,
    Dropout,
    Gaussian,
    GaussianNoise,
    Identity,
    KLSparsity,
    L1Sparsity,
    Linear,
    MaskingNoise,
    SaltAndPepper,
    Sequential,
    Sigmoid,
    TopK,
    check_gradients,
)

rng = np.random.default_rng(0)
X = rng.random((40, 8)).astype(np.float32)

SIGMOID = {"code_activation": "sigmoid"}
SETTINGS = {  # name -> the settings of an autoencoder with that part
    "gaussian": {"corruption": GaussianNoise(0.3)},
    "gaussian, clipped": {"corruption": GaussianNoise(0.3, clip=(0, 1))},
    "masking": {"corruption": MaskingNoise(0.3)},
    "salt and pepper": {"corruption": SaltAndPepper(0.4, -1, 2)},
    "l1": {"penalty": L1Sparsity(0.3)},
    "kl": {"penalty": KLSparsity(0.1, 0.5), **SIGMOID},
    "contractive": {"penalty": Contractive(0.3), "hidden": (), **SIGMOID},
    "contractive, tied": {
        "penalty": Contractive(0.3),
        "hidden": (),
        "tied_weights": True,
        **SIGMOID,
    },
    "top k": {"bottleneck": TopK(2)},
    "variational": {"bottleneck": Gaussian(0.7, warm_up=4, free_bits=0.01)},
    "all but one": {
        "corruption": MaskingNoise(0.3),
        "bottleneck": TopK(2),
        "penalty": L1Sparsity(0.3),
    },
    "another": {
        "corruption": GaussianNoise(0.3, (0, 1)),
        "hidden": (),
        "penalty": Contractive(0.3),
        **SIGMOID,
    },
}


def make(name, **settings):
    return Autoencoder(4, **{"hidden": (6,), "activation": "tanh", "epochs": 3, "batch_size": 16, "random_state": 0,
                             **SETTINGS.get(name, {}), **settings})  # fmt: skip


def forward(part, x, *before):
    """(the network [*before, part], what it gives in training for x), in float64."""
    net = Sequential([*before, part]).build(x.shape[1:], "numpy", "float64", random_state=3)
    return net, net.forward(np.asarray(x, np.float64), train=True)


# ---------------------------------------------------------------- is backward the derivative of forward?


@pytest.mark.parametrize("elementwise", [False, True], ids=["directions", "elementwise"])
@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_of_the_whole_network(ops, name, elementwise):
    ae = make(name, backend=ops).build(8)
    x = rng.uniform(0.1, 0.9, (7, 8))
    report = check_gradients(ae, x, x, MSE("batch"), elementwise=elementwise)
    assert report.ok, f"\n{report}"
    assert any(row.parameter == "x" for row in report.rows)


@pytest.mark.parametrize(
    "noise", [GaussianNoise(0.3, (0, 1)), SaltAndPepper(0.4), MaskingNoise(0.4)], ids=repr
)
def test_gradients_of_noise_inside_a_network(ops, noise):
    """Behind a layer that learns, what comes back through the noise matters."""
    net = Sequential([Linear(6), noise, Linear(3)]).build(8, ops, "float64", random_state=0)
    report = check_gradients(net, X[:5], elementwise=True, tolerance=1e-7)
    assert report.ok, f"\n{report}"


def test_the_kinks_own_slopes():
    net, _ = forward(GaussianNoise(0.0, (0, 1)), np.array([[-0.5, 0.0, 0.5, 1.0, 1.5]]), Identity())
    assert net.backward(np.ones((1, 5))).tolist() == [[0, 0, 1, 0, 0]]
    net, _ = forward(L1Sparsity(0.5), np.array([[-2.0, 0.0, 3.0]]))
    assert net.backward(np.ones((1, 3))).tolist() == [[0.5, 1, 1.5]]


# ---------------------------------------------------------------- corruption: the definitions, by statistics

N = 400_000  # elements; the mean of N Bernoullis is within 5 / (2 sqrt(N)) = 0.004 of its expectation, but for 1 in 10⁶


def test_gaussian_noise(ops, dtype):
    x = np.full((1000, N // 1000), 0.3)
    net = Sequential([GaussianNoise(0.5)]).build(x.shape[1:], ops, dtype, random_state=0)
    noise = ops.to_numpy(net.forward(ops.to_device(x, dtype), train=True)).astype(float) - 0.3
    assert abs(noise.mean()) < 5 * 0.5 / math.sqrt(N)
    assert noise.var() == pytest.approx(0.25, abs=5 * 0.25 * math.sqrt(2 / N))  # Var[s²] = 2 σ⁴ / N
    # and normal
    assert np.mean(np.abs(noise) < 0.5) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.004)
    assert np.mean((noise / 0.5) ** 4) == pytest.approx(3, abs=0.1)
    columns = np.corrcoef(noise[:, :50].T) - np.eye(50)
    assert np.abs(columns).max() < 5 / math.sqrt(1000)  # independent


def test_gaussian_noise_is_cut_and_not_more():
    x = rng.random((50, 40))
    plain, cut = forward(GaussianNoise(0.5), x)[1], forward(GaussianNoise(0.5, (0.1, 0.8)), x)[1]
    assert (
        np.array_equal(cut, np.minimum(np.maximum(plain, 0.1), 0.8))
        and (plain < 0.1).any()
        and (plain > 0.8).any()
    )


@pytest.mark.parametrize("p", [0.0, 0.1, 0.7])
def test_masking_noise(ops, dtype, p):
    x = rng.uniform(0.5, 1, (1000, N // 1000)).astype(dtype)
    net = Sequential([MaskingNoise(p)]).build(x.shape[1:], ops, dtype, random_state=0)
    y = ops.to_numpy(net.forward(ops.to_device(x), train=True))
    assert np.mean(y == 0) == pytest.approx(p, abs=0.004)
    assert (y == x)[y != 0].all()  # to the bit: unlike Dropout, nothing is scaled


@pytest.mark.parametrize("p", [0.0, 0.1, 0.7])
def test_salt_and_pepper(ops, dtype, p):
    x = rng.uniform(0.5, 1, (1000, N // 1000)).astype(dtype)
    net = Sequential([SaltAndPepper(p, low=-1, high=2)]).build(
        x.shape[1:], ops, dtype, random_state=0
    )
    y = ops.to_numpy(net.forward(ops.to_device(x), train=True))
    assert np.mean(y == -1) == pytest.approx(p / 2, abs=0.004) and np.mean(y == 2) == pytest.approx(
        p / 2, abs=0.004
    )
    assert (y == x)[(y != -1) & (y != 2)].all()


CORRUPTIONS = [
    GaussianNoise(0.5),
    GaussianNoise(0.5, (0, 1)),
    MaskingNoise(0.4),
    SaltAndPepper(0.4),
]


@pytest.mark.parametrize("noise", CORRUPTIONS, ids=repr)
def test_noise_is_fresh_every_step_and_off_outside_training(ops, noise):
    noise = copy.deepcopy(noise)
    net = Sequential([noise]).build(8, ops, "float32", random_state=0)
    x = ops.to_device(X)
    steps = [ops.to_numpy(net.forward(x, train=True)).copy() for _ in range(3)]
    assert not (steps[0] == steps[1]).all() and not (steps[1] == steps[2]).all()
    short = ops.to_numpy(net.forward(x[:5], train=True)).copy()  # the last batch of an epoch
    assert short.shape == (5, 8) and not (short == steps[2][:5]).all()
    assert (ops.to_numpy(net.forward(x)) == X).all()
    assert (ops.to_numpy(x) == X).all()  # and x itself was never written
    again = Sequential([copy.deepcopy(noise)]).build(8, ops, "float32", random_state=0)
    assert (ops.to_numpy(again.forward(x, train=True)) == steps[0]).all()


class Seen(MSE):
    """MSE that keeps what it was shown."""

    batches = []  # noqa: RUF012

    def value(self, y, t, scale, out):
        self.batches.append((self.ops.to_numpy(y).copy(), self.ops.to_numpy(t).copy()))
        return super().value(y, t, scale, out)


# it reads what is computed
@pytest.mark.filterwarnings("default:backend .cupy.. this model:UserWarning")
@pytest.mark.parametrize("noise", CORRUPTIONS, ids=repr)
def test_the_target_stays_clean(ops, noise):
    """An autoencoder that passes its input on shows both sides: the corrupted input, and the rows it is held to."""
    Seen.batches.clear()
    ae = Autoencoder(encoder=[Identity()], decoder=[Identity()], corruption=noise, loss=Seen(), backend=ops,
                     epochs=2, batch_size=16, random_state=0).fit(X)  # fmt: skip
    assert len(Seen.batches) == 6
    for y, t in Seen.batches:
        assert not (y == t).all() and {row.tobytes() for row in t} <= {row.tobytes() for row in X}
    assert (ae.transform(X) == X).all() and (ae.reconstruct(X) == X).all()
    assert ae.history_["loss"][-1] > 0.01 and ae.evaluate(X)["loss"] == 0


# ---------------------------------------------------------------- penalties: the definitions, by loops


def test_l1_by_hand():
    h = rng.standard_normal((6, 4))
    net, y = forward(L1Sparsity(0.3), h)
    assert np.array_equal(y, h)  # passed through
    assert net.penalty() == pytest.approx(
        0.3 * sum(sum(abs(value) for value in row) for row in h) / 6
    )


def test_kl_by_hand():
    h = rng.uniform(0.02, 0.98, (6, 4))
    net, y = forward(KLSparsity(0.2, 0.3), h)
    assert np.array_equal(y, h)
    expected = 0.0
    for j in range(4):
        q = sum(h[n, j] for n in range(6)) / 6
        expected += 0.3 * (0.2 * math.log(0.2 / q) + 0.8 * math.log(0.8 / (1 - q)))
    assert net.penalty() == pytest.approx(expected)
    # on target: nothing
    assert forward(KLSparsity(0.2, 0.3), np.full((6, 4), 0.2))[0].penalty() == pytest.approx(0)


def test_kl_of_dead_and_of_saturated_units_is_finite():
    net, _ = forward(KLSparsity(0.2, 0.3), np.array([[0.0, 1.0]] * 3))
    assert np.isfinite(net.penalty()) and np.isfinite(net.backward(np.zeros((3, 2)))).all()
    assert (np.sign(net.forward(np.array([[0.0, 1.0]] * 3), train=True)[0] - 0.5) == [-1, 1]).all()


def test_contractive_is_the_norm_of_the_jacobian():
    """The closed form against a Jacobian by finite differences, which knows nothing of sigmoids."""
    x, eps = rng.standard_normal((5, 8)), 1e-6
    source = Linear(4, bias_init="he_normal")
    net, _ = forward(Contractive(0.3, source), x, source, Sigmoid())
    norms = 0.0
    for row in x:
        for i in range(8):
            up, down = (
                net.forward(row[None] + sign * eps * np.eye(8)[i]).copy() for sign in (1, -1)
            )
            norms += (((up - down) / (2 * eps)) ** 2).sum()
    assert net.penalty() == pytest.approx(0.3 * norms / 5, rel=1e-7)


PENALTIES = {"l1": L1Sparsity(0.3), "kl": KLSparsity(0.1, 0.5), "contractive": Contractive(0.3)}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_penalty_is_part_of_the_training_loss_only(ops, name):
    """One batch, all rows: loss with the penalty = loss without + P; what is evaluated is the loss without."""
    settings = {
        "hidden": (),
        "batch_size": 40,
        "epochs": 1,
        "dtype": "float64",
        "backend": ops,
        **SIGMOID,
    }
    plain, penal = make("", **settings).fit(X), make("", penalty=PENALTIES[name], **settings)
    penal.fit(X)
    assert penal.history_["loss"][0] - plain.history_["loss"][0] == pytest.approx(
        float(penal.network_.penalty())
    )
    assert penal.evaluate(X)["loss"] == pytest.approx(
        ((penal.reconstruct(X) - X) ** 2).mean(), rel=1e-4
    )


def test_weight_zero_is_no_penalty(ops):
    settings = {"hidden": (), "backend": ops, **SIGMOID}
    plain = make("", **settings).fit(X)
    for penalty in (L1Sparsity(0), KLSparsity(0.1, 0), Contractive(0)):
        assert (
            make("", penalty=penalty, **settings).fit(X).transform(X) == plain.transform(X)
        ).all()


# ---------------------------------------------------------------- bottleneck


@pytest.mark.parametrize("k", [1, 3, 5])
def test_exactly_the_k_largest_stay(ops, dtype, k):
    x = rng.standard_normal((30, 5)).astype(dtype)
    net = Sequential([TopK(k)]).build(5, ops, dtype)
    for train in (False, True):
        y = ops.to_numpy(net.forward(ops.to_device(x), train=train))
        for row, given in zip(y, x, strict=True):
            best = sorted(range(5), key=lambda j: -given[j])[:k]
            assert row.tolist() == [given[j] if j in best else 0 for j in range(5)]
    dx = ops.to_numpy(net.backward(ops.to_device(np.ones_like(x))))
    assert (dx == (y != 0)).all()


def test_equals_do_not_make_it_more(ops):
    net = Sequential([TopK(2)]).build(5, ops)
    assert (
        ops.to_numpy(net.forward(ops.to_device(np.ones((3, 5), np.float32)))).sum(axis=1) == 2
    ).all()


def test_alpha_keeps_more_outside_training(ops):
    net, x = Sequential([TopK(2, alpha=1.5)]).build(5, ops), ops.to_device(X[:, :5])
    active = [
        (ops.to_numpy(net.forward(x, train=train)) != 0).sum(axis=1) for train in (True, False)
    ]
    assert (active[0] == 2).all() and (active[1] == 3).all()
    assert np.count_nonzero(
        ops.to_numpy(Sequential([TopK(4, alpha=9)]).build(5, ops).forward(x))
    ) == 5 * len(X)


# ---------------------------------------------------------------- each as one swapped part


def test_where_the_parts_stand():
    ae = make("all but one").build(8)
    kinds = [type(layer).__name__ for layer in ae.network_.layers]
    assert kinds == ["MaskingNoise", "Linear", "Tanh", "Linear", "Identity", "TopK", "L1Sparsity",
                     "Linear", "Tanh", "Linear", "Identity"]  # fmt: skip
    assert ae.summary().splitlines()[7].endswith("<- code") and ae.code_size_ == 4


@pytest.mark.parametrize("name", SETTINGS)
def test_the_parts_given_are_copied_and_left_alone(name):
    ae = make(name)
    parts = [part for part in (ae.corruption, ae.bottleneck, ae.penalty) if part is not None]
    before = [dict(vars(part)) for part in parts]
    ae.fit(X)
    assert [vars(part) for part in parts] == before
    assert not {id(part) for part in parts} & {id(layer) for layer in ae.network_.layers}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_seed_decides_the_noise_too(ops, name):
    one, two = (make(name, backend=ops).fit(X) for _ in range(2))
    assert ops.to_numpy(one.network_.theta).tobytes() == ops.to_numpy(two.network_.theta).tobytes()
    assert one.history_["loss"] == two.history_["loss"]
    assert make(name, backend=ops, random_state=1).fit(X).history_["loss"] != one.history_["loss"]


def test_the_noise_changes_nothing_else():
    """Same seed, same initial weights, with and without corruption: only the inputs of the training differ."""
    assert (make("gaussian").build(8).network_.theta == make("").build(8).network_.theta).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_save_load_pickle_and_clone(ops, tmp_path, name):
    ae = make(name, backend=ops.name).fit(X)
    ae.save(tmp_path / "model.npz")
    for twin in (
        nanoae.load(tmp_path / "model.npz"),
        pickle.loads(pickle.dumps(ae)),
        copy.deepcopy(ae),
    ):
        assert (twin.transform(X) == ae.transform(X)).all() and (
            twin.reconstruct(X) == ae.reconstruct(X)
        ).all()
        # JSON has no tuples
        assert repr(twin.network_).replace("[0, 1]", "(0, 1)") == repr(ae.network_)
        for part in ("corruption", "bottleneck", "penalty"):
            assert type(getattr(twin, part)) is type(getattr(ae, part))
        twin.partial_fit(X)  # it can go on
    clone = Autoencoder(**ae.get_params()).fit(X)
    assert (clone.transform(X) == ae.transform(X)).all()


def test_the_contractive_penalty_finds_its_layer_in_copies():
    ae = pickle.loads(pickle.dumps(make("contractive").fit(X)))
    penalty, linear = ae.network_.layers[2], ae.network_.layers[0]
    assert penalty.source is linear and linear.extra_grads[0] is penalty.dW


def test_dropout_is_a_corruption_too():
    assert isinstance(make("", corruption=Dropout(0.2)).build(8).network_.layers[0], Dropout)


# ---------------------------------------------------------------- bad arguments

WRONG = [
    (lambda: GaussianNoise(-1), r"GaussianNoise: expected std >= 0, got -1"),
    (lambda: GaussianNoise(math.nan), r"GaussianNoise: expected std >= 0, got nan"),
    (
        lambda: GaussianNoise(1, clip=(1, 0)),
        r"GaussianNoise: expected clip=\(low, high\) .* got \(1, 0\)",
    ),
    (lambda: GaussianNoise(1, clip=(1, 2, 3)), r"GaussianNoise: expected clip=\(low, high\)"),
    (lambda: MaskingNoise(1), r"MaskingNoise: expected p in \[0, 1\), got 1"),
    (lambda: SaltAndPepper(-0.1), r"SaltAndPepper: expected p in \[0, 1\), got -0.1"),
    (lambda: SaltAndPepper(0.1, 1, 0), r"SaltAndPepper: expected low < high, got 1 and 0"),
    (lambda: L1Sparsity(-1), r"L1Sparsity: expected weight >= 0, got -1"),
    (lambda: KLSparsity(0, 1), r"KLSparsity: expected target in \(0, 1\), got 0"),
    (lambda: KLSparsity(0.1, math.nan), r"KLSparsity: expected weight >= 0, got nan"),
    (lambda: Contractive(-1), r"Contractive: expected weight >= 0, got -1"),
    (lambda: TopK(0), r"TopK: expected k >= 1, got 0"),
    (lambda: TopK(1.5), r"TopK: expected k, a whole number, got 1.5"),
    (lambda: TopK(2, alpha=0.5), r"TopK: expected alpha >= 1, got 0.5"),
    (
        lambda: make("", bottleneck=TopK(5)).fit(X),
        r"TopK\(k=5\): expected a code \(N, K\) with K >= 5, got \(N, 4\)",
    ),
    (
        lambda: make("kl", code_activation="relu").fit(X),
        r'KLSparsity: .* code_activation="sigmoid", got .* ReLU\(\)',
    ),
    (
        lambda: make("contractive", hidden=(6,)).fit(X),
        r"Contractive: expected an encoder of one layer.*hidden=\(\)",
    ),
    (
        lambda: make("contractive", code_activation="tanh").fit(X),
        r"Contractive: .*\[Linear, Sigmoid\].* Tanh\(\)",
    ),
    (
        lambda: make("contractive", bottleneck=TopK(2)).fit(X),
        r"Contractive: expected .* got .*TopK",
    ),
    (
        lambda: Sequential([Linear(3), Sigmoid(), Contractive(1)]).build(4),
        r"Contractive.*: expected source=",
    ),
    (
        lambda: make("", corruption="gaussian").fit(X),
        r"Autoencoder: corruption: expected gaussian:STD, numbers, got 'gaussian'",
    ),
    (
        lambda: make("", corruption=TopK(2)).fit(X),
        r"Autoencoder: expected corruption=None or one like GaussianNoise",
    ),
    (
        lambda: make("", penalty=GaussianNoise(1)).fit(X),
        r"Autoencoder: expected penalty=None or one like L1Sparsity",
    ),
    (
        lambda: make("", bottleneck=3).fit(X),
        r"Autoencoder: expected bottleneck=None or one like TopK\(10\), got 3",
    ),
]


@pytest.mark.parametrize(
    ("wrong", "message"), WRONG, ids=[message.split(":")[0] for _, message in WRONG]
)
def test_bad_arguments_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


# ---------------------------------------------------------------- what each is for, on real digits


def trained(digits, **settings):
    defaults = {
        "code_size": 16,
        "hidden": (48,),
        "loss": "bce",
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 5e-3,
    }
    return Autoencoder(**{**defaults, "random_state": 0, **settings}).fit(digits[0])


def test_denoising_cleans_better_than_what_never_saw_noise(digits):
    x = digits[1]
    noisy = x + 0.4 * np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    error = {name: ((trained(digits, corruption=noise).reconstruct(noisy) - x) ** 2).mean()
             for name, noise in [("plain", None), ("denoising", GaussianNoise(0.4))]}  # fmt: skip
    assert (
        error["denoising"] < 0.8 * error["plain"]
        and error["denoising"] < ((noisy - x) ** 2).mean() / 3
    )


def test_l1_makes_a_code_small_at_little_cost(digits):
    plain, sparse = (
        trained(digits, code_activation="relu", penalty=penalty)
        for penalty in (None, L1Sparsity(1e-3))
    )
    assert sparse.transform(digits[1]).mean() < plain.transform(digits[1]).mean() / 3
    assert sparse.evaluate(digits[1])["loss"] < plain.evaluate(digits[1])["loss"] + 0.02


def test_kl_brings_the_mean_activation_to_its_target(digits):
    mean = {weight: trained(digits, penalty=KLSparsity(0.1, weight), **SIGMOID).transform(digits[1]).mean()
            for weight in (0, 0.05)}  # fmt: skip
    assert mean[0] > 0.2 and mean[0.05] == pytest.approx(0.1, rel=0.2)


def test_contraction_makes_the_jacobian_smaller(digits):
    def norm(ae):
        h, W = ae.transform(digits[1]), ae.network_.ops.to_numpy(ae.network_.layers[0].params["W"])
        return np.sqrt((((h * (1 - h)) ** 2) @ (W**2).sum(axis=0)).mean())

    free, tight = (
        trained(digits, hidden=(), penalty=Contractive(weight), **SIGMOID) for weight in (0, 1e-2)
    )
    assert norm(tight) < 0.7 * norm(free)


def test_k_sparse_codes_still_tell_the_images(digits):
    ae = trained(digits, hidden=(), code_size=64, bottleneck=TopK(8))
    assert ((ae.transform(digits[1]) != 0).sum(axis=1) == 8).all()
    mean = ((digits[1] - digits[0].mean(axis=0)) ** 2).mean()
    assert ae.evaluate(digits[1])["mse"] < mean / 2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nanoae.GaussianNoise("a"), "GaussianNoise: expected std, a number, got 'a'"),
        (lambda: nanoae.MaskingNoise(None), "MaskingNoise: expected p, a number, got None"),
        (lambda: nanoae.L1Sparsity([1]), r"L1Sparsity: expected \w+, a number, got \[1\]"),
        (lambda: nanoae.TopK("3"), "TopK: expected k, a whole number, got '3'"),
        (lambda: nanoae.Gaussian(beta="1"), "Gaussian: expected beta, a number, got '1'"),
        (lambda: nanoae.Linear(2.5), r"Linear: expected n_out, a whole number, got 2\.5"),
        (lambda: nanoae.Linear(True), "Linear: expected n_out, a whole number, got True"),
        (lambda: nanoae.LeakyReLU("x"), "LeakyReLU: expected slope, a number, got 'x'"),
        (lambda: nanoae.Huber(delta=None), "Huber: expected delta, a number, got None"),
        (lambda: nanoae.Quantile("a"), "Quantile: expected q, a number, got 'a'"),
        (
            lambda: nanoae.NearestCodes("three"),
            "NearestCodes: expected k, a whole number, got 'three'",
        ),
        (
            lambda: nanoae.TableEncoder("many"),
            r"TableEncoder: expected max_categories, a whole number, got 'many'",
        ),
        (lambda: nanoae.Adam(beta1="b"), "Adam: expected beta1, a number, got 'b'"),
    ],
)
def test_a_part_says_which_argument_is_no_number(make, told):
    with pytest.raises(ValueError, match=told):
        make()


# ---------------------------------------------------------------- classes, and functions that make a part


@pytest.mark.parametrize(
    ("name", "as_class", "as_text"),
    [
        ("activation", nanoae.SiLU, "silu"),
        ("code_activation", nanoae.Tanh, "tanh"),
        ("loss", nanoae.Huber, "huber"),
        ("optimizer", nanoae.RMSprop, "rmsprop"),
        ("activation", lambda: nanoae.LeakyReLU(0.2), nanoae.LeakyReLU(0.2)),
        ("loss", lambda: nanoae.Huber(0.5), nanoae.Huber(0.5)),
        ("scaling", nanoae.RobustScaler, "robust"),
    ],
)
def test_a_class_is_what_its_name_is(tmp_path, name, as_class, as_text):
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    settings = {"code_size": 2, "hidden": (4,), "epochs": 2, "random_state": 0}
    one, other = (
        nanoae.Autoencoder(**settings, **{name: part}).fit(X) for part in (as_class, as_text)
    )
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    assert one.get_params()[name] is as_class
    one.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(nanoae.load(tmp_path / "m.npz").transform(X), one.transform(X))


@pytest.mark.parametrize("name", ["activation", "loss"])
def test_a_function_without_a_derivative_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected one of .*got <ufunc 'tanh'>"):
        nanoae.Autoencoder(epochs=1, **{name: np.tanh}).fit(np.zeros((4, 3)))


def test_a_scaler_is_a_step_of_a_pipeline():
    pipeline, base = pytest.importorskip("sklearn.pipeline"), pytest.importorskip("sklearn.base")
    X = 50 + 9 * np.random.default_rng(0).normal(size=(60, 5))
    for kind in (nanoae.StandardScaler, nanoae.RobustScaler, nanoae.GaussianScaler):
        steps = base.clone(kind()), nanoae.PCA(2)
        codes = pipeline.make_pipeline(*steps).fit_transform(X, np.arange(60) % 2)
        np.testing.assert_allclose(codes, nanoae.PCA(2).fit_transform(kind().fit(X).transform(X)))
        assert kind().fit_transform(X.tolist()).shape == X.shape
