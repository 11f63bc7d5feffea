"""Reach: the range of possible reconstructions, and checks for data outside it."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from nanoae.autoencoders.bottleneck import TopK
from nanoae.autoencoders.corruption import GaussianNoise, SaltAndPepper
from nanoae.autoencoders.penalty import Penalty
from nanoae.autoencoders.table_losses import Masked, Mixed, Weighted
from nanoae.data.maximum import scale_hint
from nanoae.engine import losses
from nanoae.engine.activations import (
    ELU,
    GELU,
    Elementwise,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from nanoae.engine.layers import Dropout, Layer
from nanoae.engine.losses import BCE, Loss
from nanoae.engine.network import Sequential
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import LastTimestep, TimeDistributed
from nanoae.engine.shape import Reshape
from nanoae.survey import extremes

Range = tuple[Any, Any]  # (minimum, maximum): numbers, or arrays with one per feature
UNBOUNDED: Range = (-math.inf, math.inf)
# Values beyond the range by less than this, relative to the largest one, are rounding errors.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


def output_range(network: Sequential) -> Range:
    """Return the range of a network's outputs."""
    ends = UNBOUNDED
    for layer in network.layers:
        ends = range_of(layer, *ends)
    return ends


def bounding_layer(network: Sequential) -> Layer:
    """Return the last layer that does not merely pass values on, or the last layer if there is none."""
    return next(
        (layer for layer in reversed(network.layers) if not isinstance(layer, PASSED_ON)),
        network.layers[-1],
    )


@functools.singledispatch
def range_of(layer: Layer, low: float, high: float) -> Range:
    """Return the range of a layer's outputs for inputs in [low, high]: unbounded by default. Layers of your own can be
    added with nanoae.autoencoders.reach.range_of.register."""
    return UNBOUNDED


PASSED_ON = (
    Identity,
    Dropout,
    GaussianNoise,
    SaltAndPepper,
    Penalty,
    Reshape,
    LastTimestep,
    MaxPool2d,
    AvgPool2d,
    Upsample,
)


def same(layer: Any, low: Any, high: Any) -> Range:
    return low, high


def with_zero(layer: Any, low: Any, high: Any) -> Range:
    return min(low, 0), max(high, 0)


for passed in PASSED_ON:
    range_of.register(passed, same)
range_of.register(TopK, with_zero)
range_of.register(
    AvgPool2d, lambda layer, *ends: with_zero(layer, *ends) if any(layer.window.padding) else ends
)
range_of.register(TimeDistributed, lambda layer, *ends: range_of(layer.layer, *ends))
range_of.register(GRU, lambda layer, *ends: (-1, 1))  # h[t] lies between h[t-1] and a tanh


ENDS: dict[type, Any] = {  # (minimum, maximum) of y
    ReLU: lambda layer: (0.0, math.inf),
    LeakyReLU: lambda layer: (-math.inf if layer.slope else 0.0, math.inf),
    ELU: lambda layer: (-layer.alpha, math.inf),
    Sigmoid: lambda layer: (0.0, 1.0),
    Tanh: lambda layer: (-1.0, 1.0),
    Softplus: lambda layer: (0.0, math.inf),
    Elementwise: lambda layer: getattr(layer, "ends", None),  # a user's class may define `ends`
    GELU: lambda layer: (-0.170041, math.inf),
    SiLU: lambda layer: (-0.278465, math.inf),
}
FALLING = GELU, SiLU  # fall to their minimum and rise from there; all others rise everywhere


def between(ends: Any, layer: Elementwise, low: float, high: float) -> Range:
    found = ends(layer)
    if found is None:
        return UNBOUNDED
    least, most = found
    at_high = value(layer, high, most)
    if isinstance(layer, FALLING) or not getattr(layer, "rises", True):
        return least, max(value(layer, low, most), at_high)
    return value(layer, low, least), at_high


for kind, ends in ENDS.items():
    range_of.register(kind, functools.partial(between, ends))


def value(layer: Elementwise, x: float, end: float) -> float:
    """Return f(x), or `end` if x is infinite."""
    if not math.isfinite(x):
        return end
    one = layer.ops.to_device([x], layer.dtype)
    y = layer.f(one, out=layer.ops.empty(1, layer.dtype))
    return float(layer.ops.to_numpy(y).tolist()[0])


@functools.singledispatch
def predicted_range(loss: Loss, low: float, high: float) -> Range:
    """Return the range of `loss.predict` for outputs in [low, high]."""
    return low, high


@predicted_range.register
def _(loss: BCE, low: float, high: float) -> Range:
    # sigmoid(low), sigmoid(high)
    least = (1 + math.tanh(low / 2)) / 2
    most = (1 + math.tanh(high / 2)) / 2
    return least, most


@predicted_range.register
def _(loss: Mixed, low: float, high: float) -> Range:
    k = np.repeat(loss.blocks, loss.blocks)
    # other classes, whose logits are at one end while this class's is at the other
    others = np.maximum(k - 1, 1)
    with np.errstate(over="ignore"):
        least = 1 / (1 + others * np.exp(high - low))
        most = 1 / (1 + others * np.exp(low - high))
    return np.where(k == 1, low, least), np.where(k == 1, high, most)


@predicted_range.register(Masked)
@predicted_range.register(Weighted)
def _(loss: Any, low: float, high: float) -> Range:
    return predicted_range(losses.get(loss.loss), low, high)


def check_one_sigmoid(who: str, network: Sequential, loss: Loss, words: str, remedy: str) -> None:
    """Raise ValueError if a network ends in a Sigmoid and the loss includes another one. words: the loss as the user
    specified it; remedy: another loss."""
    last = bounding_layer(network)
    last = getattr(last, "layer", last)
    loss = getattr(loss, "inner", loss)
    if isinstance(loss, BCE) and isinstance(last, Sigmoid):
        raise ValueError(
            f"{who}: expected a decoder that ends in logits with {words}, which includes a sigmoid, got one that "
            f"ends in {last}: a sigmoid of a sigmoid. Remove the last {last}, or {remedy}."
        )


class OutOfReach(ValueError):
    """Data outside the range of all possible reconstructions, so that the loss cannot approach 0.

    finding   what was expected and what was found
    remedy    what to do
    """

    def __init__(self, who: str, finding: str, remedy: str) -> None:
        super().__init__(who, finding, remedy)
        self.finding = finding

    def __str__(self) -> str:
        who, finding, remedy = self.args
        return f"{who}: {finding}. {remedy}."


def check_reach(
    who: str, X: np.ndarray, reach: tuple[Any, ...], cause: str, remedy: str, scaling: str
) -> None:
    """Raise OutOfReach if X (N, ...) has a value outside `reach`; NaN is ignored.

    reach    (low, high): numbers, or arrays with one per feature
    cause    the reason for these limits: 'with loss="bce"'
    remedy   what to do instead of scaling the data
    scaling  the scaling that was applied to the user's data
    """
    low, high = reach
    if np.isinf(reach).all():
        return
    least, most = extremes(X)
    slack = ROUNDING * np.fmax.reduce(np.abs([least, most]), axis=None)
    outside = (least < low - slack) | (most > high + slack)
    if not outside.any():
        return
    where = ""
    if np.ndim(low):
        at = int(outside.argmax())
        low, high, least, most = (ends[at] for ends in (low, high, least, most))
        where = f" in column {at}"
    least = np.fmin.reduce(least, axis=None)
    most = np.fmax.reduce(most, axis=None)
    got = f"[{shown(least)}, {shown(most)}]{where}"
    way = f"Scale the data{scale_hint(low, high, least, most)}"
    if scaling != "none":
        got = f"{got} after scaling={scaling!r}"
        way = 'Use another scaling ("minmax", "none")'
    raise OutOfReach(
        who, f"expected values in [{low:g}, {high:g}] {cause}, got {got}", f"{way}, or {remedy}"
    )


def shown(x: np.floating) -> str:
    """Format a number with as few digits as identify it."""
    return f"{x:g}" if type(x)(f"{x:g}") == x else str(x)
