"""Does PyTorch get the same? Forward, every gradient and the running statistics, in float64, within 1e-9."""

import numpy as np
import pytest
from test_layers import IMAGES, NETWORKS, VARIANTS, build, published

from nanoae import (
    GRU,
    MSE,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    Flatten,
    Gaussian,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Reshape,
    SoftmaxCrossEntropy,
    Tanh,
    TiedConvTranspose2d,
    Trainer,
    Upsample,
    VariationalAutoencoder,
)
from nanoae.engine.sequences import TimeDistributed

torch = pytest.importorskip("torch")
nn = torch.nn
rng = np.random.default_rng(0)


class StatesOnly(nn.GRU):
    """The states alone, or the last one, of what PyTorch's GRU returns."""

    def forward(self, x, h=None):
        states, last = super().forward(x, h)
        return last[0] if self.last else states


class Adjoint(nn.Module):
    """A transposed convolution with the weights of a convolution, to the size of that one's inputs."""

    def __init__(self, source, size, channels):
        super().__init__()
        self.source, self.size, self.bias = (
            source,
            size,
            nn.Parameter(torch.empty(channels, dtype=torch.float64)),
        )

    def forward(self, x):
        lost = [(m + 2 * p - k) % s for m, p, k, s in zip(self.size, self.source.padding, self.source.kernel_size,
                                                         self.source.stride, strict=True)]  # fmt: skip
        return nn.functional.conv_transpose2d(
            x, self.source.weight, self.bias, self.source.stride, self.source.padding, lost
        )


def gru(layer):
    module = StatesOnly(layer.in_shape[1], layer.n_out, batch_first=True)
    module.last = layer.last
    return module


MODULES = {  # layer -> PyTorch's
    Linear: lambda layer: nn.Linear(layer.n_in, layer.n_out),
    Tanh: lambda layer: nn.Tanh(),
    LeakyReLU: lambda layer: nn.LeakyReLU(layer.slope),
    Flatten: lambda layer: nn.Flatten(),
    Reshape: lambda layer: nn.Unflatten(1, layer.out_shape),
    Conv2d: lambda layer: nn.Conv2d(layer.in_shape[0], layer.n_out, *layer.window),
    ConvTranspose2d: lambda layer: nn.ConvTranspose2d(layer.in_shape[0], layer.n_out, *layer.window, layer.extra),
    MaxPool2d: lambda layer: nn.MaxPool2d(*layer.window),
    AvgPool2d: lambda layer: nn.AvgPool2d(*layer.window),
    Upsample: lambda layer: nn.Upsample(scale_factor=layer.window.kernel),
    BatchNorm: lambda layer: [nn.BatchNorm1d, None, nn.BatchNorm2d][len(layer.in_shape) - 1](
        layer.in_shape[0], layer.eps, layer.momentum),
    LayerNorm: lambda layer: nn.LayerNorm(layer.in_shape[-layer.axes :], layer.eps),
    GRU: gru,
    Embedding: lambda layer: nn.Embedding(layer.n_tokens, layer.n_out),
    TimeDistributed: lambda layer: MODULES[type(layer.layer)](layer.layer),
}  # fmt: skip
NAMES = {
    "W": "weight", "b": "bias", "gamma": "weight", "beta": "bias",
    ("GRU", "W"): "weight_ih_l0", ("GRU", "U"): "weight_hh_l0", ("GRU", "b"): "bias_ih_l0", ("GRU", "c"): "bias_hh_l0",
}  # fmt: skip


def theirs(net):
    """`net` in PyTorch with the same numbers, and the pairs of (our gradient, their parameter, whether transposed)."""
    modules, pairs = {}, []
    for layer in net.layers:
        if isinstance(layer, TiedConvTranspose2d):
            module = Adjoint(modules[layer.source], layer.out_shape[1:], layer.out_shape[0])
        else:
            module = MODULES[type(layer)](layer).double()
        modules[layer] = module
        for name, values in layer.params.items():
            parameter = getattr(module, NAMES.get((type(layer).__name__, name)) or NAMES[name])
            transposed = isinstance(layer, Linear | GRU | TimeDistributed) and values.ndim == 2
            values = net.ops.to_numpy(values)
            parameter.data = torch.tensor((values.T if transposed else values).copy())
            pairs.append((layer.grads[name], parameter, transposed))
    return nn.Sequential(*modules.values()), pairs


def agree(ours, expected):
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=1e-9, atol=1e-9)


def compare(net, x):
    """Two forwards and backwards in training, then one outside it."""
    ops = net.ops
    module, pairs = theirs(net)
    for layer in net.layers:
        layer.need_dx = True
    for batch in (x, x[::-1].copy()):
        t, dy = (
            torch.tensor(batch, requires_grad=batch.dtype.kind == "f"),
            rng.standard_normal((len(x), *net.output_shape)),
        )
        agree(ops.to_numpy(net.forward(ops.to_device(batch), train=True)), y := module(t))
        module.zero_grad()
        y.backward(torch.tensor(dy))
        dx = net.backward(ops.to_device(dy))
        if t.requires_grad:
            agree(ops.to_numpy(dx), t.grad)
        for grad, parameter, transposed in pairs:
            agree(ops.to_numpy(grad), parameter.grad.T if transposed else parameter.grad)
    module.eval()
    agree(ops.to_numpy(net.forward(ops.to_device(x))), module(torch.tensor(x)))
    for layer, twin in zip(net.layers, module, strict=True):
        for name, array in layer.state.items():
            agree(ops.to_numpy(array), getattr(twin, f"running_{name}"))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_layer(ops, name):
    (layer, *arguments), shape = VARIANTS[name]
    parts = [layer(*([4] if layer in (Conv2d, ConvTranspose2d) else []), *arguments)]
    compare(build(parts, shape, ops), rng.standard_normal(shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(ops, name):
    parts, shape = NETWORKS[name]
    compare(build(parts, shape, ops), rng.standard_normal(shape))


def test_words(ops):
    compare(
        build([Embedding(6, 3), GRU(4), Flatten(), Linear(2)], (4, 5), ops),
        rng.integers(0, 6, (4, 5)),
    )


@pytest.mark.parametrize("reduction", ["mean", "batch"])
def test_a_decoder_of_padded_lines(ops, reduction):
    """Words before -> scores at each step -> cross-entropy without the padding: the loss, and every gradient."""
    lines = np.array([[2, 3, 4, 1, 0, 0], [2, 5, 1, 0, 0, 0], [3, 0, 4, 5, 3, 1]])
    net = build([Embedding(6, 3), GRU(4), TimeDistributed(Linear(6))], (3, 5), ops)
    loss = SoftmaxCrossEntropy(reduction, ignore=0).build(ops, "float64")
    value = loss.forward(
        net.forward(ops.to_device(lines[:, :-1]), train=True), ops.to_device(lines[:, 1:])
    )
    net.backward(loss.backward())
    module, pairs = theirs(net)
    scores = module(torch.tensor(lines[:, :-1]))
    expected = nn.functional.cross_entropy(
        scores.flatten(0, 1), torch.tensor(lines[:, 1:].ravel()), ignore_index=0,
        reduction="mean" if reduction == "mean" else "sum",
    )  # fmt: skip
    expected = expected / (3 if reduction == "batch" else 1)
    expected.backward()
    agree(float(value), expected)
    for grad, parameter, transposed in pairs:
        agree(ops.to_numpy(grad), parameter.grad.T if transposed else parameter.grad)


def test_equal_maxima(ops):
    """Whole numbers from 0 to 2: most windows have several largest."""
    compare(build([MaxPool2d(3, 2, 1)], IMAGES, ops), rng.integers(0, 3, IMAGES).astype(np.float64))


def test_the_initial_state_of_a_gru(ops):
    net, x, h, dy = (
        build([GRU(3)], (2, 4, 2), ops),
        *(rng.standard_normal(shape) for shape in ((2, 4, 2), (2, 3), (2, 4, 3))),
    )
    module, _ = theirs(net)
    start = torch.tensor(h[None], requires_grad=True)
    y = module[0](torch.tensor(x), start)
    y.backward(torch.tensor(dy))
    agree(ops.to_numpy(net.layers[0].forward(ops.to_device(x), train=True, h=ops.to_device(h))), y)
    net.layers[0].backward(ops.to_device(dy))
    agree(ops.to_numpy(net.layers[0].dh), start.grad[0])


@pytest.mark.parametrize("fuse", [True, False])
def test_training_of_the_published_autoencoder(ops, fuse):
    """Ten steps of Adam with weight decay from the same weights, forward and backward through 28 layers."""
    net = build(published(3), (1, 1, 28, 28), ops)
    net.theta *= 0.1
    module, _ = theirs(net)
    trainer = Trainer(
        net, MSE(), Adam(1e-2, weight_decay=1e-5), batch_size=20, epochs=1, rows=200, fuse=fuse
    )
    optimizer = torch.optim.Adam(module.parameters(), 1e-2, weight_decay=1e-5)
    for x in rng.uniform(-1, 1, (10, 20, 1, 28, 28)):
        loss = nn.functional.mse_loss(module(torch.tensor(x)), torch.tensor(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(trainer.step(ops.to_device(x), ops.to_device(x))) == pytest.approx(
            loss.item(), rel=1e-9
        )


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_training_of_a_conditional_variational_autoencoder(ops, likelihood):
    """Ten steps of Adam with the same noise: loss, every gradient and every weight, all of the ELBO in nats."""
    x, labels = rng.random((30, 12)), rng.integers(0, 3, 30)
    vae = VariationalAutoencoder(
        4, (9,), likelihood=likelihood, variance=0.3, beta=0.7, activation="tanh", backend=ops, dtype="float64",
        epochs=1, random_state=0,
    ).fit(x, condition=labels)  # fmt: skip
    net, c = vae.network_, torch.eye(3, dtype=torch.float64)[labels]
    linears = [layer for layer in net.layers if isinstance(layer, Linear)]
    twins = [MODULES[Linear](layer).double() for layer in linears]
    for layer, twin in zip(linears, twins, strict=True):
        twin.weight.data = torch.tensor(ops.to_numpy(layer.params["W"]).T.copy())
        twin.bias.data = torch.tensor(ops.to_numpy(layer.params["b"]).copy())
    encode, decode = [nn.Sequential(twins[i], nn.Tanh(), twins[i + 1]) for i in (0, 2)]
    optimizer = torch.optim.Adam([p for twin in twins for p in twin.parameters()], 1e-3)
    trainer = Trainer(net, vae.loss, Adam(1e-3), batch_size=30, epochs=1, rows=30)
    gaussian = next(layer for layer in net.layers if isinstance(layer, Gaussian))
    t = torch.tensor(x)
    for _ in range(10):
        inputs = ops.to_device(np.hstack([x, c.numpy()]))
        loss = float(trainer.step(inputs, ops.to_device(x)))
        q = torch.distributions.Normal(
            *((s := encode(torch.hstack([t, c])).chunk(2, 1))[0], (s[1] / 2).exp())
        )
        y = decode(
            torch.hstack(
                [q.mean + q.stddev * torch.tensor(ops.to_numpy(gaussian.buffers["noise"])), c]
            )
        )
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
        if likelihood == "gaussian":
            log_p = torch.distributions.Normal(y, 0.3**0.5).log_prob(t)
        else:
            log_p = -nn.functional.binary_cross_entropy_with_logits(y, t, reduction="none")
        expected = (0.7 * kl.sum(1) - log_p.sum(1)).mean()
        optimizer.zero_grad()
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-9)
        for layer, twin in zip(linears, twins, strict=True):
            agree(ops.to_numpy(layer.grads["W"]), twin.weight.grad.T)
            agree(ops.to_numpy(layer.grads["b"]), twin.bias.grad)
        optimizer.step()
    for layer, twin in zip(linears, twins, strict=True):
        agree(ops.to_numpy(layer.params["W"]), twin.weight.data.T)
