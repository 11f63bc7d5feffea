"""Gradient checks: is backward the derivative of forward?

For a unit direction d,  (L(p + eps d) - L(p - eps d)) / (2 eps)  is the derivative of L along d up to O(eps²); backward
says it is  grad · d. In float64 with eps = 1e-5 a right backward agrees to about nine digits. L is R · y with a random
R: an all-ones upstream gradient would be nearly blind (a softmax's rows sum to 1 whatever happens).

A check like this cannot see a forward that is the wrong mathematics: that takes a second test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from nanoae.backend import Array, Shape
from nanoae.configurable import from_configs, to_configs
from nanoae.engine import losses
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential


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
        failed = [row for row in reversed(self.rows) if not row.ok]
        culprits = [row for row in failed if row.layer != "network"] or failed
        if self.wrong or not culprits:
            return self.wrong
        first = next(row for row in self.rows if row.layer == culprits[0].layer and not row.ok)
        number, _, name = first.layer.partition("(")[0].partition(" ")
        return (
            f"layer {number}, {name}: {first.parameter}"
            if number.isdigit()
            else f"{first.layer}: {first.parameter}"
        )

    def __str__(self) -> str:
        cells = [("layer", "parameter", "analytic", "numeric", "rel. error", "verdict")]
        for row in self.rows:
            numbers = f"{row.analytic:+.9e}", f"{row.numeric:+.9e}", f"{row.error:.1e}"
            cells.append((row.layer, row.parameter, *numbers, "ok" if row.ok else "FAIL"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        return "\n".join([*table, *([] if self.ok else [f"first wrong: {self.first_wrong}"])])


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
        raise ValueError(
            "check_gradients: expected loss and t together, or neither, and directions >= 1."
        )
    loss = None if loss is None else losses.get(loss)
    twin = _twin(net, np.shape(x)[1:])
    return _Check(twin, x, t, loss, eps, np.random.default_rng(random_state)).run(
        directions, tolerance, elementwise
    )


def _twin(net: Any, shape: Shape) -> Sequential:
    """`net` in float64, on its own device."""
    network = Sequential([net]) if isinstance(net, Layer) else getattr(net, "network_", net)
    if not isinstance(network, Sequential):
        raise TypeError(
            f"check_gradients: expected a Sequential, a Layer or a fitted estimator, got {type(net).__name__}."
        )
    if hasattr(network, "theta"):
        return network.to(network.ops, "float64")
    return Sequential(from_configs(to_configs(network.layers))).build(
        shape, "numpy", "float64", random_state=0
    )


Value = Callable[[], float]


class _Check:
    """The scalar L, its gradient by backward, and its differences."""

    def __init__(
        self,
        net: Sequential,
        x: Array,
        t: Array | None,
        loss: Loss | None,
        eps: float,
        rng: np.random.Generator,
    ):
        ops = net.ops
        self.net, self.ops, self.eps, self.rng = net, ops, eps, rng
        self.x, self.t = ops.to_device(x, net.dtype).copy(), None if t is None else ops.to_device(t)
        self.loss = None if loss is None else loss.build(ops, net.dtype)
        for layer in net.layers:
            layer.need_dx = True
        y = net.forward(self.x, train=True)  # draws the noise that is then kept
        net.freeze_noise(True)
        self.upstream = ops.to_device(rng.standard_normal(y.shape), net.dtype)

    def value(self, x: Array | None = None, start: int = 0) -> float:
        """L, where layer `start` and those behind it are given x."""
        y = self.net.forward(self.x if x is None else x, train=True, start=start)
        value = (
            self.ops.sum_products(self.upstream, y)
            if self.loss is None
            else self.loss.forward(y, self.t)
        )
        return float(value) + float(self.net.penalty())

    def gradients(self) -> tuple[list[Array], list[Array], str]:
        """(what each layer was given, its dx, both copied; what is wrong with a gradient's place or shape, if it is).

        The last are of the loss: y, and dy. Layers before one whose dx has another shape are not reached: None.
        """
        x, inputs, self.size = self.x, [], abs(self.value())
        for layer in self.net.layers:
            inputs.append(x.copy())
            x = layer.forward(x, train=True)
        inputs.append(x.copy())
        views = [dict(layer.grads) for layer in self.net.layers]
        dy = self.upstream if self.loss is None else self.loss.backward()
        dxs, wrong = [None] * len(self.net.layers) + [dy.copy()], ""
        for i, layer in reversed(list(enumerate(self.net.layers))):
            dy, who = layer.backward(dy), f"layer {i}, {type(layer).__name__}"
            for name, view in views[i].items():
                if layer.grads[name] is not view and not wrong:
                    hint = f'Write into it: self.grads["{name}"][...] = ...'
                    wrong = f'{who}: self.grads["{name}"] is another array than before. {hint}'
            if dy is None or dy.shape != inputs[i].shape:
                got = "None" if dy is None else f"of shape {dy.shape}"
                return (
                    inputs,
                    dxs,
                    wrong or f"{who}: dx, expected of shape {inputs[i].shape}, got {got}",
                )
            dxs[i] = dy.copy()
        return inputs, dxs, wrong

    def beside(self, x: Array, i: int) -> tuple[Array, Array]:
        """A random place near x, the input of layer i, and its dx there: x may be on a kink, as the zeros of a ReLU tie
        in the max-pool behind it, and a mistake is one there, too."""
        x = x + self.ops.to_device(0.1 * self.rng.standard_normal(x.shape), self.net.dtype)
        self.value(x, i)
        dx = self.upstream if self.loss is None else self.loss.backward()
        for layer in reversed(self.net.layers[i:]):
            dx = layer.backward(dx)
        return x, dx.copy()

    def difference(self, array: Array, d: Array, value: Value) -> float:
        """(L(array + eps d) - L(array - eps d)) / (2 eps), in place and restored to the bit; value() gives L."""
        before, d = array.copy(), self.ops.to_device(d.reshape(array.shape), array.dtype)
        values: list[float] = []
        for sign in (1.0, -1.0):
            self.ops.copy(before + sign * self.eps * d, out=array)
            values.append(value())
        self.ops.copy(before, out=array)
        return (values[0] - values[1]) / (2 * self.eps)

    def compare(
        self, array: Array, gradient: Array, value: Value, directions: int, elementwise: bool
    ) -> tuple[float, list[tuple[float, float]]]:
        """(scale, [(analytic, numeric), ...]) along unit directions: random ones, or all the axes."""
        g = gradient.ravel()
        if elementwise:
            units, scale = np.eye(g.size), np.abs(g).max()
        else:
            units = self.rng.standard_normal((directions, g.size))
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            scale = np.linalg.norm(g) / np.sqrt(g.size)
        return float(scale), [(float(g @ d), self.difference(array, d, value)) for d in units]

    def run(self, directions: int, tolerance: float, elementwise: bool) -> GradientReport:
        net, last = self.net, len(self.net.layers)
        inputs, dxs, wrong = self.gradients()
        grad, rounding = self.ops.to_numpy(net.grad).copy(), 1e-15 * self.size / self.eps
        report = GradientReport(wrong=wrong)

        def worst(
            where: str,
            name: str,
            array: Array,
            gradient: Array,
            value: Value = self.value,
            every: bool = elementwise,
        ) -> GradientRow:
            scale, pairs = self.compare(
                array, self.ops.to_numpy(gradient), value, directions, every
            )
            scale = max(
                scale, rounding / tolerance
            )  # where the true derivative is 0, all that differs is rounding
            rows = [
                GradientRow(where, name, a, n, scale, (10 if name == "dx" else 1) * tolerance)
                for a, n in pairs
            ]
            return max(rows, key=lambda row: (not row.ok, row.error))

        for i in range(last + 1):
            where = f"{i} {net.layers[i]}" if i < last else f"loss {self.loss}"
            for (number, name), place in net.parameters.slices.items():
                if number == i and dxs[i + 1] is not None:
                    report.rows.append(worst(where, name, net.theta[place], grad[place]))
            if dxs[i] is None or (i == last and self.loss is None):
                continue
            x, name = inputs[i], "dx" if i < last else "dy"
            row = worst(where, name, x, dxs[i], partial(self.value, x, i), False)
            if not row.ok and 0 < i < last:
                x, dx = self.beside(x, i)
                beside = worst(where, name, x, dx, partial(self.value, x, i), False)
                row = beside if beside.ok else row
            report.rows.append(row)
        if grad.size and dxs[0] is not None:
            report.rows.append(worst("network", "theta", net.theta, grad, every=False))
        if dxs[0] is not None:
            report.rows.append(worst("network", "x", self.x, dxs[0]))
        return report
