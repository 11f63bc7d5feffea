"""Layers as ONNX nodes: for each layer, a function of one or a few lines that mirrors its forward.

`translate(layer, x)` returns a layer's output y for the Value x, both with the batch axis first. For your own layer:

>>> @nanoae.interchange.layers.translate.register
... def _(layer: MyLayer, x):
...     return x * layer.factor
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.autoencoders.bottleneck import Adversarial, Gaussian, TopK
from nanoae.autoencoders.concat_label import ConcatLabel, ConcatSharedLabel
from nanoae.autoencoders.corruption import GaussianNoise, SaltAndPepper
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.penalty import Penalty
from nanoae.autoencoders.table_losses import Mixed, Wrapping
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.engine import activations, losses
from nanoae.engine import layers as engine
from nanoae.engine.conv import Conv2d, ConvTranspose2d, TiedConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import LastTimestep, TimeDistributed
from nanoae.engine.shape import Reshape
from nanoae.interchange.elementwise import elementwise
from nanoae.interchange.graph import Formulas, Value


def forward(network: Sequential, x: Value, start: int = 0, stop: int | None = None) -> Value:
    """Apply layers start .. stop-1 of a network to x (N, *shape)."""
    for layer in on_host(network).layers[start:stop]:
        x = translate(layer, x)
    return x


def on_host(network: Sequential) -> Sequential:
    """The network with NumPy weights."""
    return network if isinstance(network.theta, np.ndarray) else network.to("numpy", network.dtype)


@Formulas
def translate(layer: Any, x: Value) -> Value:
    """The output y of a layer for x."""
    raise NotImplementedError


# ---------------------------------------------------------------- dense layers

FORMULAS: dict[type, Callable[[Any, Value], Value]] = {
    engine.Linear: lambda layer, x: x @ layer.params["W"] + layer.params["b"],
    engine.TiedLinear: lambda layer, x: x.apply(
        "Gemm", layer.source.params["W"], layer.params["b"], transB=1
    ),
    BatchNorm: lambda layer, x: x.apply(
        "BatchNormalization", *layer.params.values(), *layer.state.values(), epsilon=layer.eps
    ),
    LayerNorm: lambda layer, x: x.apply(
        "LayerNormalization", *layer.params.values(), axis=-layer.axes, epsilon=layer.eps
    ),
    activations.ReLU: lambda layer, x: x.apply("Relu"),
    activations.LeakyReLU: lambda layer, x: x.apply("LeakyRelu", alpha=layer.slope),
    activations.ELU: lambda layer, x: x.apply("Elu", alpha=layer.alpha),
    activations.Sigmoid: lambda layer, x: x.apply("Sigmoid"),
    activations.Tanh: lambda layer, x: x.apply("Tanh"),
    activations.Softplus: lambda layer, x: x.apply("Softplus"),
    activations.GELU: lambda layer, x: x.apply("Gelu", approximate="tanh"),
    activations.Elementwise: elementwise,
    Gaussian: lambda layer, x: x.part(0, layer.out_shape[0]),  # z = mu
    FillMissing: lambda layer, x: x.is_nan().where(layer.state["center"], x),
    Reshape: lambda layer, x: x.reshape(-1, *layer.out_shape),
    Conv2d: lambda layer, x: x.apply("Conv", *layer.params.values(), **window(layer)),
    ConvTranspose2d: lambda layer, x: adjoint(layer, x, layer.params["W"]),
    TiedConvTranspose2d: lambda layer, x: adjoint(layer, x, layer.source.params["W"]),
    MaxPool2d: lambda layer, x: x.apply("MaxPool", **window(layer)),
    AvgPool2d: lambda layer, x: x.apply("AveragePool", count_include_pad=1, **window(layer)),
    GRU: lambda layer, x: gru(layer, x, None),
    ConcatSharedLabel: lambda layer, x: x.graph.concat([x, x.graph.remembered[layer.source]]),
}
IN_TRAINING = (activations.Identity, engine.Dropout, GaussianNoise, SaltAndPepper, Penalty)
FORMULAS |= dict.fromkeys((*IN_TRAINING, Adversarial), lambda layer, x: x)
for kind, formula in FORMULAS.items():
    translate.register(kind, formula)


@translate.register
def _(layer: TopK, x: Value) -> Value:
    """The k largest values of each row in place, 0 elsewhere."""
    k = min(round(layer.alpha * layer.k), layer.in_shape[0])
    places = x.apply("TopK", [k], output=1, dtype=np.int64)
    zeros = x * 0.0
    largest = x.apply("GatherElements", places, axis=1)
    return zeros.apply("ScatterElements", places, largest, axis=1)


# ---------------------------------------------------------------- images


def adjoint(layer: ConvTranspose2d, x: Value, W: np.ndarray) -> Value:
    """The adjoint of a convolution, with the layer's output size."""
    kernel, stride, padding = map(np.array, layer.window)
    least = (np.array(layer.in_shape[1:]) - 1) * stride - 2 * padding + kernel
    more = layer.out_shape[1:] - least
    b = layer.params["b"]
    return x.apply("ConvTranspose", W, b, output_padding=more.tolist(), **window(layer))


@translate.register
def _(layer: Upsample, x: Value) -> Value:
    """Repeat each pixel [c, h, w] as (c, h, rows, w, columns)."""
    channels, height, width = layer.in_shape
    rows, columns = layer.window.kernel
    pixels = x.reshape(-1, channels, height, 1, width, 1)
    copies = pixels.apply("Expand", [1, channels, height, rows, width, columns])
    return copies.reshape(-1, *layer.out_shape)


def window(layer: Any) -> dict[str, Any]:
    kernel, stride, padding = layer.window
    return {"kernel_shape": kernel, "strides": stride, "pads": [*padding, *padding]}


# ---------------------------------------------------------------- sequences


@translate.register
def _(layer: Embedding, x: Value) -> Value:
    tokens = x if x.kind == "i" else x.apply("Round").cast(np.int64)
    x.graph.remembered[layer] = tokens
    vectors = x.graph.constant(layer.params["W"])
    return vectors.take(tokens)


def gru(layer: GRU, x: Value, h: Value | None) -> Value:
    """The states (N, T, O), or the last one (N, O), starting from the state h (N, O); None: 0.

    ONNX orders the gates as z, r, n and transposes the matrices, one for each direction.
    """
    o = layer.n_out
    order = np.r_[o : 2 * o, :o, 2 * o : 3 * o]
    W, U, b, c = (array[..., order] for array in layer.params.values())
    biases = np.concatenate([b, c])
    start = None if h is None else h.reshape(1, -1, o)
    steps = x.transpose(1, 0, 2)
    states = steps.apply(
        "GRU",
        W.T[None],
        U.T[None],
        biases[None],
        None,
        start,
        hidden_size=o,
        linear_before_reset=1,
        output=int(layer.last),
    )
    if layer.last:
        return states.reshape(-1, o)
    return states.apply("Squeeze", [1]).transpose(1, 0, 2)  # of (T, 1, N, O)


@translate.register
def _(layer: TimeDistributed, x: Value) -> Value:
    inside = x.reshape(-1, *layer.in_shape[1:])
    y = translate(layer.layer, inside)
    return y.reshape(-1, *layer.out_shape)


@translate.register
def _(layer: LastTimestep, x: Value) -> Value:
    """x[n, t] at the last t whose token is not 0; if there is none, at -1, the last time step."""
    tokens = x.graph.remembered[layer.source]
    places = tokens.equal(0).where(-1, np.arange(layer.in_shape[0]))
    last = places.apply("ReduceMax", [1], keepdims=1)
    return x.apply("GatherND", last, batch_dims=1)


@translate.register
def _(layer: TeacherForcing, x: Value) -> Value:
    tokens = x.graph.remembered[layer.source]
    steps = layer.out_shape[0]
    return with_teacher(layer, x, tokens.part(0, steps), tokens.part(0, 1))


def with_teacher(layer: TeacherForcing, z: Value, tokens: Value, first: Value) -> Value:
    """[W[tokens[n, t]], W[first[n]], z[n]] (N, T, 2 E + K) of tokens (N, T) and first tokens (N, 1)."""
    table = z.graph.constant(layer.params["W"])
    each = (tokens * 0).apply("Unsqueeze", [2])
    same_for_all = (table.take(first), z.apply("Unsqueeze", [1]))
    repeated = [part + each.cast(z.dtype) for part in same_for_all]
    return z.graph.concat([table.take(tokens), *repeated], axis=2)


# ---------------------------------------------------------------- conditions


@translate.register
def _(layer: ConcatLabel, x: Value) -> Value:
    c = x.part(layer.size, layer.size + layer.n)
    x.graph.remembered[layer] = c
    if len(layer.shape) == 1:
        return x
    _, *size = layer.shape
    image = x.part(0, layer.size).reshape(-1, *layer.shape)
    pixel = [1] * len(size)
    planes = c.reshape(-1, layer.n, *pixel)
    planes = planes.apply("Expand", [1, layer.n, *size])
    return x.graph.concat([image, planes])


# ---------------------------------------------------------------- predictions from a network's output, by loss


@Formulas
def meaning(loss: Any, y: Value) -> Value:
    """The prediction of a network trained with this loss, from its output y."""
    raise NotImplementedError


meaning.register(losses.Loss, lambda loss, y: y)
meaning.register(losses.BCE, lambda loss, y: y.apply("Sigmoid"))
meaning.register(losses.SoftmaxCrossEntropy, lambda loss, y: y.apply("Softmax", axis=-1))
meaning.register(Wrapping, lambda loss, y: meaning(losses.get(loss.loss), y))


@meaning.register
def _(loss: Mixed, y: Value) -> Value:
    """A softmax over each category's places; numbers unchanged. Adjacent blocks of equal width are combined."""
    parts = []
    start = 0
    for width, run in itertools.groupby(loss.blocks):
        n = len(list(run))
        stop = start + width * n
        block = y.part(start, stop)
        if width > 1:
            columns = block.reshape(-1, n, width)
            block = columns.apply("Softmax", axis=-1).reshape(-1, width * n)
        parts.append(block)
        start = stop
    return y.graph.concat(parts)


@Formulas
def costs(loss: Any, y: Value, t: Value) -> Value:
    """-log p(t | y) for each number."""
    raise NotImplementedError


costs.register(losses.BCE, lambda loss, y, t: y.apply("Softplus") - t * y)


@costs.register
def _(loss: losses.GaussianNLL, y: Value, t: Value) -> Value:
    """(y - t)² / 2v + log(2πv) / 2"""
    v = loss.variance
    error = y - t
    return error * error * (0.5 / v) + 0.5 * math.log(2 * math.pi * v)
