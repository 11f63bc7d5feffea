"""Is backward the derivative of forward? Central differences in float64, and proof that they notice when it is not."""

import re

import numpy as np
import pytest
from conftest import EXAMPLES, everything

import nanoae
from nanoae import (
    BCE,
    ELU,
    GELU,
    L1,
    MSE,
    Conv2d,
    Dropout,
    Flatten,
    Huber,
    Identity,
    LeakyReLU,
    Linear,
    Masked,
    MaxPool2d,
    Mixed,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    Softplus,
    Tanh,
    TiedLinear,
    check_gradients,
)
from nanoae.autoencoders.penalty import Penalty
from nanoae.autoencoders.table_losses import Weighted
from nanoae.engine import losses
from nanoae.engine.activations import Elementwise
from nanoae.engine.conv import Convolution
from nanoae.engine.image import ImageLayer
from nanoae.engine.layers import Layer, Noisy
from nanoae.engine.pool import Pooling, Summing
from nanoae.training.fusion import InPlace, LinearActivation
from nanoae.training.kfac import FactorTap

rng = np.random.default_rng(0)


def away_from_zero(*shape):
    """Random numbers with |x| >= 0.1: finite differences must not step over the kink of a ReLU."""
    x = rng.standard_normal(shape)
    return x + 0.1 * np.sign(x)


# InPlace and LinearActivation come out of fusion, which test_training compares; FactorTap out of K-FAC.
FUSED = {InPlace, LinearActivation, FactorTap}
NOT_BUILT_ALONE = {Elementwise, Noisy, Penalty, ImageLayer, Convolution, Pooling, Summing} | FUSED
NETWORKS = {
    "all smooth activations": lambda: [
        Linear(7),
        Tanh(),
        Linear(6),
        Sigmoid(),
        Linear(5),
        Softplus(),
        Linear(3),
        ELU(),
        Linear(4),
        GELU(),
        Linear(3),
        SiLU(),
    ],
    "kinked": lambda: [Linear(7), ReLU(), Linear(6), LeakyReLU(), Linear(4)],
    "tied twice": lambda: (
        a := Linear(6),
        b := Linear(3),
        [a, Tanh(), b, TiedLinear(b), Tanh(), TiedLinear(a)],
    )[-1],
    "one source, two tied": lambda: (
        a := Linear(6),
        [a, Tanh(), TiedLinear(a), Linear(6), Tanh(), TiedLinear(a)],
    )[-1],
    "dropout, its noise frozen": lambda: [Dropout(0.2), Linear(7), Tanh(), Dropout(0.5), Linear(4)],
    "activations first": lambda: [Tanh(), Softplus(), SiLU(), GELU(), Linear(4), Sigmoid()],
}
LOSSES = {  # residuals |r| >= 0.1, and away from Huber's delta
    **{loss: lambda y: y - away_from_zero(*y.shape) for loss in everything(losses.Loss)},
    Huber: lambda y: y - rng.choice([-2, -0.5, 0.2, 0.7, 1.5], y.shape),
    BCE: lambda y: rng.random(y.shape),
    SoftmaxCrossEntropy: lambda y: rng.integers(0, y.shape[1], len(y)),
    Masked: lambda y: np.where(rng.random(y.shape) < 0.3, np.nan, y - away_from_zero(*y.shape)),
    Weighted: lambda y: np.column_stack([y - away_from_zero(*y.shape), rng.random(len(y)) * 3]),
}
MAKE = {  # those that take more than their reduction and weight, for rows of `width` numbers
    Mixed: lambda width, **settings: Mixed((1, width - 1), **settings),
    Masked: lambda width, **settings: Masked(Mixed((1,) * width, **settings)),
    Weighted: lambda width, **settings: Weighted(Huber(delta=9.0, **settings)),
}


def make(loss, width, **settings):
    return MAKE.get(loss, lambda width, **settings: loss(**settings))(width, **settings)


def build(layers, n_in, ops, dtype="float64"):
    return Sequential(layers).build(n_in, ops, dtype, random_state=1)


# ---------------------------------------------------------------- right ones pass


@pytest.mark.parametrize(
    "layer", sorted(set(everything(Layer)) - NOT_BUILT_ALONE, key=lambda layer: layer.__name__)
)
def test_every_element_of_every_layer(ops, layer):
    assert layer in EXAMPLES, (
        f"add a network with a {layer.__name__} to LAYERS in nanoae/cli/smallest.py"
    )
    net = build(EXAMPLES[layer](), 5, ops)
    assert any(type(part) is layer for part in net.layers)
    report = check_gradients(net, away_from_zero(4, 5), elementwise=True, tolerance=1e-7)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("loss", everything(losses.Loss))
def test_every_element_of_every_loss(ops, loss, reduction):
    y = rng.standard_normal((4, 3))
    net, t = build([Identity()], 3, ops), LOSSES[loss](y)
    criterion = make(loss, 3, reduction=reduction, weight=0.7)
    report = check_gradients(net, y, t, criterion, elementwise=True, tolerance=1e-7)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if loss is not Weighted], ids=lambda loss: loss.__name__
)
def test_every_element_of_every_weighted_loss(ops, loss, reduction):
    y = rng.standard_normal((4, 3))
    net, t = build([Identity()], 3, ops), LOSSES[loss](y)
    criterion, w = make(loss, 3, reduction=reduction, weight=0.7), np.array([0.3, 2.0, 0.0, 1.7])
    report = check_gradients(
        net, y, np.column_stack([t, w]), Weighted(criterion), elementwise=True, tolerance=1e-7
    )
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_network(ops, name):
    net, x = build(NETWORKS[name](), 8, ops), np.random.default_rng(0).standard_normal((5, 8))
    report = check_gradients(net, x)
    assert report.ok, f"\n{report}"
    learned = [row.parameter for row in report.rows if row.layer != "network"]
    assert learned == [parameter for layer in net.layers for parameter in (*layer.params, "dx")]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_whole_network_with_its_loss(ops, loss):
    net, x = build([Linear(6), Tanh(), Linear(4)], 8, ops), away_from_zero(5, 8)
    t = LOSSES[loss](ops.to_numpy(net.forward(ops.to_device(x))).copy())
    report = check_gradients(net, x, t, make(loss, 4))
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize(
    "settings", [{}, {"tied_weights": True}, {"loss": "bce", "activation": "elu"}], ids=str
)
def test_fitted_autoencoder(ops, digits, settings):
    ae = nanoae.Autoencoder(
        5, (12,), epochs=1, backend=ops, random_state=0, **{"activation": "tanh", **settings}
    )
    x = digits[1][:6]
    report = check_gradients(ae.fit(digits[0]), x, x, losses.get(ae.loss))
    assert report.ok, f"\n{report}"


def test_float32_gradients_are_the_rounded_float64_ones(ops):
    net = build([Linear(16), ReLU(), Linear(6), Sigmoid(), Linear(8)], 8, ops, "float32")
    twin = net.to(ops, "float64")
    x, dy = rng.standard_normal((2, 9, 8))
    for each in (net, twin):
        each.forward(ops.to_device(x, each.dtype), train=True)
        each.backward(ops.to_device(dy, each.dtype))
    np.testing.assert_allclose(
        ops.to_numpy(net.grad), ops.to_numpy(twin.grad), rtol=1e-4, atol=1e-5
    )


def test_a_network_built_anew_forgets_old_ties(ops):
    """The check looks at a twin built from scratch: what a layer drags along from another network, only this sees."""
    gradients, x = [], ops.to_device(rng.standard_normal((4, 5)))
    source = Linear(3)
    for layers in ([source, TiedLinear(source)], [source, Linear(5)], [Linear(3), Linear(5)]):
        net = build(layers, 5, ops)
        net.forward(x, train=True)
        net.backward(x)
        gradients.append(ops.to_numpy(net.grad).copy())
    assert (gradients[1] == gradients[2]).all()


# ---------------------------------------------------------------- a kink's own value


@pytest.mark.parametrize(
    ("layer", "slope"), [(ReLU(), 0), (LeakyReLU(0.2), 0.2), (ELU(0.7), 0.7)], ids=repr
)
def test_slope_at_the_kink(ops, dtype, device, close, layer, slope):
    net = build([Identity(), layer], 3, ops, dtype)
    close(net.forward(device(np.zeros((2, 3))), train=True), 0)
    close(net.backward(device(np.ones((2, 3)))), slope)


@pytest.mark.parametrize(("loss", "r", "slope"), [(L1("sum"), 0.0, 0), (Huber(0.5, "sum"), 0.5, 0.5),
                                                  (Huber(0.5, "sum"), -0.5, -0.5)])  # fmt: skip
def test_slope_at_the_kink_of_a_loss(ops, dtype, device, close, loss, r, slope):
    loss.build(ops, dtype).forward(device(np.full((2, 3), r)), device(np.zeros((2, 3))))
    close(loss.backward(), slope)


# ---------------------------------------------------------------- wrong ones are caught


class WrongSign(Tanh):
    def df(self, dy, y, out):
        return self.ops.scale_inplace(super().df(dy, y, out), -1)


class WrongDerivative(Sigmoid):
    """y instead of y (1 - y)."""

    def df(self, dy, y, out):
        return self.ops.multiply(dy, y, out=out)


class LostBiasSum(Linear):
    """db = dy[0] instead of the sum over the batch."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"][...] = dy[0]
        return dx


class TransposedWeight(Linear):
    """dx = dy W instead of dy Wᵀ: the shapes agree when the layer is square."""

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.params["W"]


class TransposedGradient(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"][...] = self.grads["W"].T.copy()
        return dx


class ForgottenTerm(TiedLinear):
    """The second use of the tied matrix adds nothing to its gradient."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[...] = 0
        return dx


class LostMask(Dropout):
    def backward(self, dy):
        return dy


class LostFactor(MSE):
    """dy = (y - t) / (N D), without the 2."""

    def value(self, y, t, scale, out):
        loss = super().value(y, t, scale, out)
        self.ops.scale_inplace(out, 0.5)
        return loss


def forgotten():
    source = Linear(4)
    return [source, Tanh(), ForgottenTerm(source)]


BROKEN = {  # name -> (layers, loss, the first thing that must fail)
    "wrong sign": (lambda: [Linear(4), WrongSign(), Linear(4)], None, "W"),
    "wrong derivative": (lambda: [Linear(4), WrongDerivative()], None, "W"),
    "lost bias sum": (lambda: [LostBiasSum(4)], None, "b"),
    "transposed weight": (lambda: [TransposedWeight(4)], None, "dx"),
    "transposed gradient": (lambda: [TransposedGradient(4)], None, "W"),
    "forgotten tied term": (forgotten, None, "W"),
    "lost mask": (lambda: [Linear(4), LostMask(0.5)], None, "W"),
    "lost factor 2": (lambda: [Linear(4)], LostFactor(), "W"),
}


@pytest.mark.parametrize("elementwise", [False, True], ids=["directions", "elementwise"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backward_is_caught(ops, name, elementwise):
    layers, loss, culprit = BROKEN[name]
    x, t = away_from_zero(5, 4), rng.standard_normal((5, 4))
    report = check_gradients(
        build(layers(), 4, ops), x, None if loss is None else t, loss, elementwise=elementwise
    )
    failed = [row.parameter for row in report.rows if not row.ok]
    assert not report.ok and failed[0] == culprit, f"\n{report}"
    assert "FAIL" in str(report)


def test_nan_and_nothing_are_no_success():
    assert not nanoae.GradientReport().ok
    net = Sequential([Linear(3)]).build(4, random_state=0)
    net.theta[0] = np.nan
    assert not check_gradients(net, away_from_zero(2, 4)).ok


# ---------------------------------------------------------------- the check itself


def test_printed_table(ops):
    net = build([Linear(3), Tanh()], 5, ops)
    lines = str(check_gradients(net, away_from_zero(4, 5))).splitlines()
    assert lines[0].split() == [
        "layer",
        "parameter",
        "analytic",
        "numeric",
        "rel.",
        "error",
        "verdict",
    ]
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["0", "Linear(5,", "3)", name] for name in ("W", "b", "dx")
    ]
    assert [line.split()[:3] for line in lines[4:5]] == [["1", "Tanh()", "dx"]]
    assert [line.split()[:2] for line in lines[5:]] == [["network", "theta"], ["network", "x"]]
    assert all(line.endswith("ok") for line in lines[1:])


@pytest.mark.parametrize("of", ["network", "layer in it", "with its loss"])
def test_the_check_leaves_its_arguments_alone(ops, of):
    net, x = build([Linear(3), Tanh()], 5, ops, "float32"), away_from_zero(4, 5).astype(np.float32)
    theta, before, loss = ops.to_numpy(net.theta).copy(), x.copy(), MSE().build(ops, net.dtype)
    subject = net.layers[0] if of == "layer in it" else net
    check_gradients(subject, x, *((np.zeros((4, 3)), loss) if of == "with its loss" else ()))
    assert (ops.to_numpy(net.theta) == theta).all() and (x == before).all()
    assert net.dtype == loss.dtype == np.float32 and net.layers[1].need_dx
    net.theta[...] = 0
    assert not net.layers[0].params["W"].any()  # its weights are still views of theta


def test_a_single_layer_and_an_unbuilt_network_can_be_checked():
    x = away_from_zero(4, 5)
    assert check_gradients(Linear(3), x).ok
    assert check_gradients(Sequential([Linear(3), Tanh()]), x).ok
    with pytest.raises(
        TypeError, match="expected a Sequential, a Layer or a fitted estimator, got list"
    ):
        check_gradients([Linear(3)], x)


def test_a_users_layer_is_checked_itself_whatever_its_name():
    class ReLU(nanoae.Layer):  # the name of one of ours, and wrong
        def forward(self, x, train=False):
            self.cache = x
            return x

        def backward(self, dy):
            return 3 * dy

    x = np.random.default_rng(0).standard_normal((3, 4))
    assert not check_gradients(ReLU(), x).ok
    assert check_gradients(nanoae.ReLU(), x).ok


# ---------------------------------------------------------------- the culprit is named


class BadTanh(Tanh):
    def df(self, dy, y, out):
        return self.ops.multiply(dy, y, out=out)


class Shortened(Tanh):
    def df(self, dy, y, out):
        return super().df(dy, y, out)[:, :-1]


class Rebinding(Linear):
    def backward(self, dy):
        x = self.take_cache()
        self.grads["W"] = x.T @ dy
        self.ops.sum_rows(dy, out=self.grads["b"])
        return dy @ self.params["W"].T


class FirstRowOnly(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"][...] = dy[0]
        return dx


class Halved(MSE):
    def value(self, y, t, scale, out):
        loss = super().value(y, t, scale, out)
        out *= 0.5
        return loss


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([Linear(4), Tanh(), Linear(4), BadTanh(), Linear(3), Sigmoid()], "layer 3, BadTanh: dx"),
        ([BadTanh()], "layer 0, BadTanh: dx"),
        ([Linear(4), FirstRowOnly(3), Tanh()], "layer 1, FirstRowOnly: b"),
        ([Linear(4), Shortened(), Linear(3)], r"layer 1, Shortened: expected dx of shape \(6, 4\), got .* \(6, 3\)"),
        ([Linear(4), Rebinding(3)], r'layer 1, Rebinding: self.grads\["W"\] was rebound to another array. Write into'),
        ([BadTanh(), Linear(4), BadTanh()], "layer 2, BadTanh: dx"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_first_wrong_gradient_is_named(layers, told):
    report = check_gradients(Sequential(layers), away_from_zero(6, 5))
    last = str(report).splitlines()[-1]
    assert not report.ok and re.match(f"first wrong: {told}", last), last


def test_a_wrong_loss_is_named_and_what_is_right_is_not():
    x, t = away_from_zero(6, 5), away_from_zero(6, 5)
    net = Sequential([FirstRowOnly(5), Tanh(), Linear(5)])
    assert (
        check_gradients(Sequential([Linear(5), Tanh()]), x, t, Halved()).first_wrong
        == "loss Halved(): dy"
    )
    right = check_gradients(Sequential([Linear(5), Tanh()]), x, t, "mse")
    assert right.ok and right.first_wrong == "" and "first wrong" not in str(right)
    assert [(row.layer, row.parameter) for row in right.rows if row.parameter == "dx"] == [
        ("0 Linear(5, 5)", "dx"),
        ("1 Tanh()", "dx"),
    ]
    assert "0 FirstRowOnly(5, 5)" in str(check_gradients(net, x))


# ---------------------------------------------------------------- kinks within a network


class TwiceTooLarge(ReLU):
    def df(self, dy, y, out):
        return super().df(2 * dy, y, out)


@pytest.mark.parametrize(
    ("activation", "wrong"), [(ReLU, ""), (TwiceTooLarge, "layer 1, TwiceTooLarge: dx")]
)
def test_ties_in_a_max_pool_are_no_mistake_and_hide_none(activation, wrong):
    layers = [Conv2d(3, 3, padding=1), activation(), MaxPool2d(2), Flatten(), Linear(4)]
    net = Sequential(layers).build((1, 8, 8), dtype="float64", random_state=0)
    report = check_gradients(net, np.random.default_rng(1).standard_normal((4, 1, 8, 8)))
    assert report.first_wrong == wrong, f"\n{report}"
