"""Gradient checks: is backward the derivative of forward?

For a unit direction d,  (L(p + eps d) - L(p - eps d)) / (2 eps)  is the derivative of L along d up to O(eps²); backward
says it is  grad · d. In float64 with eps = 1e-5 a right backward agrees to about nine digits. L is R · y with a random
R: an all-ones upstream gradient would be nearly blind (a softmax's rows sum to 1 whatever happens).

A check like this cannot see a forward that is the wrong mathematics: that takes a second test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from nanoae.backend import Array, Shape
from nanoae.engine import losses
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential

Value = Callable[[], float]


@dataclass
class GradientRow:
    """One comparison: the derivative along a direction, by backward and by finite differences."""

    layer: str
    parameter: str
    analytic: float
    numeric: float
    scale: float  # the size that a derivative of this parameter typically has
    tolerance: float

    @property
    def error(self) -> float:
        """|analytic - numeric| / max(|analytic|, |numeric|, scale): an unluckily small derivative is no failure."""
        size = max(abs(self.analytic), abs(self.numeric), self.scale, 1e-12)
        return abs(self.analytic - self.numeric) / size

    @property
    def ok(self) -> bool:
        return self.error < self.tolerance  # False for NaN, too


@dataclass
class GradientReport:
    """The result of `check_gradients`: `ok`, `rows`, `first_wrong`, and a table when printed."""

    rows: list[GradientRow] = field(default_factory=list)
    wrong: str = ""  # or which gradient is at another place, or of another shape, than it has to be

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row.ok for row in self.rows) and not self.wrong

    @property
    def first_wrong(self) -> str:
        """Where backward, which begins at the last layer, first went wrong: "layer 3, BadTanh: dx"; "" if nowhere."""
        failed = [row for row in self.rows if not row.ok]
        if self.wrong or not failed:
            return self.wrong
        of_layers = [row for row in failed if row.layer != "network"] or failed
        last = of_layers[-1]
        first = next(row for row in failed if row.layer == last.layer)
        layer, _, _ = first.layer.partition("(")
        number, _, name = layer.partition(" ")
        where = f"layer {number}, {name}" if number.isdigit() else first.layer
        return f"{where}: {first.parameter}"

    def __str__(self) -> str:
        cells = [("layer", "parameter", "analytic", "numeric", "rel. error", "verdict")]
        for row in self.rows:
            numbers = f"{row.analytic:+.9e}", f"{row.numeric:+.9e}", f"{row.error:.1e}"
            verdict = "ok" if row.ok else "FAIL"
            cells.append((row.layer, row.parameter, *numbers, verdict))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        if not self.ok:
            table.append(f"first wrong: {self.first_wrong}")
        return "\n".join(table)


def check_gradients(
    net: Any,
    x: Array,
    t: Array | None = None,
    loss: Loss | str | None = None,
    *,
    directions: int = 3,
    eps: float = 1e-5,
    tolerance: float = 1e-6,
    elementwise: bool = False,
    random_state: int = 0,
) -> GradientReport:
    """Check every parameter's gradient, all of theta's, and the input's, against central differences in float64.

    net           a built Sequential, a single layer, or a fitted estimator; a float64 twin of it is checked
    x             (N, ...) inputs; a few rows are enough. Keep them away from kinks (ReLU, L1, max-pool: |x| >= 0.1)
    loss, t       a loss and its targets; without a loss, L = Σ R · y with a random R
    directions    random unit directions per parameter; the row shown is the worst
    elementwise   every single element instead of directions (for small layers); the row shown is the worst element

    An error is relative to the derivative, or to its typical size where that is larger: ‖g‖ / sqrt(P) along a random
    unit direction of P parameters, max |g| for single elements. What the rounding of L alone makes of a difference,
    about 1e-15 |L| / eps, is no failure. For a layer's dx ten times `tolerance` do: its x may be small beside eps.

    Returns a GradientReport: `report.ok`, and `print(report)`.
    """
    if (loss is None) != (t is None) or directions < 1:
        expected = "loss and t together, or neither, and directions >= 1"
        raise ValueError(f"check_gradients: expected {expected}.")
    chosen = None if loss is None else losses.get(loss)
    twin = _twin(net, np.shape(x)[1:])
    rng = np.random.default_rng(random_state)
    check = _Check(twin, x, t, chosen, rng, directions, eps, tolerance)
    return check.run(elementwise)


def _twin(net: Any, shape: Shape) -> Sequential:
    """`net` in float64, on its own device."""
    network = Sequential([net]) if isinstance(net, Layer) else getattr(net, "network_", net)
    if not isinstance(network, Sequential):
        raise TypeError(
            f"check_gradients: expected a Sequential, a Layer or a fitted estimator, got {type(net).__name__}."
        )
    if hasattr(network, "theta"):
        return network.to(network.ops, "float64")
    return copy.deepcopy(network).build(shape, "numpy", "float64", random_state=0)


@dataclass
class _Check:
    """The scalar L, its gradient by backward, and its differences."""

    net: Sequential
    x: Array
    t: Array | None
    loss: Loss | None
    rng: np.random.Generator
    directions: int
    eps: float
    tolerance: float

    def __post_init__(self) -> None:
        self.ops = ops = self.net.ops
        self.x = ops.to_device(self.x, self.net.dtype).copy()
        self.t = None if self.t is None else ops.to_device(self.t)
        if self.loss is not None:
            self.loss.build(ops, self.net.dtype)
        for layer in self.net.layers:
            layer.need_dx = True
        y = self.net.forward(self.x, train=True)  # draws the noise that is then kept
        self.net.freeze_noise(True)
        upstream = self.rng.standard_normal(y.shape)
        self.upstream = ops.to_device(upstream, self.net.dtype)
        self.rounding = 1e-15 * abs(self.value()) / self.eps  # of L alone, in a difference

    def value(self, x: Array | None = None, start: int = 0) -> float:
        """L, where layer `start` and those behind it are given x."""
        y = self.net.forward(self.x if x is None else x, train=True, start=start)
        if self.loss is None:
            loss = float(self.ops.sum_products(self.upstream, y))
        else:
            loss = float(self.loss.forward(y, self.t))
        return loss + float(self.net.penalty())

    def dy(self) -> Array:
        """dL/dy at the last `value`."""
        return self.upstream if self.loss is None else self.loss.backward()

    def gradients(self) -> tuple[list[Array], list[Array], str]:
        """(what each layer was given, its dx, both copied; what is wrong with a gradient's place or shape, if it is).

        The last are of the loss: y, and dy. Layers before one whose dx has another shape are not reached: None.
        """
        self.value()
        x = self.x
        inputs = []
        layers = self.net.layers
        for layer in layers:
            inputs.append(x.copy())
            x = layer.forward(x, train=True)
        inputs.append(x.copy())
        views = [dict(layer.grads) for layer in layers]
        dy = self.dy()
        wrong = ""
        dxs = [None] * len(layers) + [dy.copy()]
        for i, layer in reversed(list(enumerate(layers))):
            dy = layer.backward(dy)
            who = f"layer {i}, {type(layer).__name__}"
            for name, view in views[i].items():
                if layer.grads[name] is not view and not wrong:
                    hint = f'Write into it: self.grads["{name}"][...] = ...'
                    wrong = f'{who}: self.grads["{name}"] is another array than before. {hint}'
            if dy is None or dy.shape != inputs[i].shape:
                got = "None" if dy is None else f"of shape {dy.shape}"
                wrong = wrong or f"{who}: dx, expected of shape {inputs[i].shape}, got {got}"
                break
            dxs[i] = dy.copy()
        return inputs, dxs, wrong

    def beside(self, x: Array, i: int) -> tuple[Array, Array]:
        """A random place near x, the input of layer i, and its dx there: x may be on a kink, as the zeros of a ReLU tie
        in the max-pool behind it, and a mistake is one there, too."""
        noise = 0.1 * self.rng.standard_normal(x.shape)
        x = x + self.ops.to_device(noise, self.net.dtype)
        self.value(x, i)
        dx = self.dy()
        for layer in reversed(self.net.layers[i:]):
            dx = layer.backward(dx)
        return x, dx.copy()

    def difference(self, array: Array, d: Array, value: Value) -> float:
        """(L(array + eps d) - L(array - eps d)) / (2 eps), in place and restored to the bit; value() gives L."""
        before = array.copy()
        d = self.ops.to_device(d.reshape(array.shape), array.dtype)
        values: list[float] = []
        for sign in (1.0, -1.0):
            self.ops.copy(before + sign * self.eps * d, out=array)
            values.append(value())
        self.ops.copy(before, out=array)
        return (values[0] - values[1]) / (2 * self.eps)

    def worst(
        self,
        where: str,
        name: str,
        array: Array,
        gradient: Array,
        value: Value,
        elementwise: bool,
    ) -> GradientRow:
        """The worst comparison along unit directions: random ones, or all the axes."""
        g = self.ops.to_numpy(gradient).ravel()
        if elementwise:
            units = np.eye(g.size)
            scale = np.abs(g).max()
        else:
            units = self.rng.standard_normal((self.directions, g.size))
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            scale = np.linalg.norm(g) / np.sqrt(g.size)
        scale = max(float(scale), self.rounding / self.tolerance)
        tolerance = 10 * self.tolerance if name == "dx" else self.tolerance
        rows = []
        for d in units:
            numeric = self.difference(array, d, value)
            rows.append(GradientRow(where, name, float(g @ d), numeric, scale, tolerance))
        return max(rows, key=lambda row: (not row.ok, row.error))

    def input_row(self, i: int, where: str, x: Array, dx: Array) -> GradientRow:
        """Of what layer i is given; of what the loss is, behind the last."""
        last = len(self.net.layers)
        name = "dx" if i < last else "dy"
        row = self.worst(where, name, x, dx, partial(self.value, x, i), False)
        if row.ok or not 0 < i < last:
            return row
        x, dx = self.beside(x, i)
        beside = self.worst(where, name, x, dx, partial(self.value, x, i), False)
        return beside if beside.ok else row

    def run(self, elementwise: bool) -> GradientReport:
        net = self.net
        last = len(self.net.layers)
        inputs, dxs, wrong = self.gradients()
        grad = self.ops.to_numpy(net.grad).copy()
        rows: list[GradientRow] = []
        for i in range(last + 1):
            where = f"{i} {net.layers[i]}" if i < last else f"loss {self.loss}"
            for (number, name), place in net.parameters.slices.items():
                if number == i and dxs[i + 1] is not None:
                    theta = net.theta[place]
                    g = grad[place]
                    rows.append(self.worst(where, name, theta, g, self.value, elementwise))
            if dxs[i] is not None and (i < last or self.loss is not None):
                rows.append(self.input_row(i, where, inputs[i], dxs[i]))
        if dxs[0] is not None:
            if grad.size:
                rows.append(self.worst("network", "theta", net.theta, grad, self.value, False))
            rows.append(self.worst("network", "x", self.x, dxs[0], self.value, elementwise))
        return GradientReport(rows, wrong)
