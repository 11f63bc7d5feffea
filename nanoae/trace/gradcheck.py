"""Gradient checks of whole networks: `check_gradients`, and its report as a table.

The comparison itself is in `engine/gradcheck.py`.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanoae.backend import Array, Shape
from nanoae.columns import columns
from nanoae.engine import losses
from nanoae.engine.gradcheck import GradientCheck, MisplacedGradient
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential

ROUNDING = 1e-15  # of L, relative


@dataclass
class GradientRow:
    """One comparison: the derivative along a direction, by backward and by finite differences."""

    layer: str
    parameter: str
    analytic: float
    numeric: float
    scale: float  # the typical size of a derivative of this parameter
    tolerance: float

    @property
    def error(self) -> float:
        """|analytic - numeric| / max(|analytic|, |numeric|, scale); the scale keeps tiny derivatives from failing."""
        size = max(abs(self.analytic), abs(self.numeric), self.scale, 1e-12)
        return abs(self.analytic - self.numeric) / size

    @property
    def ok(self) -> bool:
        return self.error < self.tolerance  # False for NaN, too


@dataclass
class GradientReport:
    """The result of `check_gradients`: `ok`, `rows`, `first_wrong`, and a table when printed."""

    rows: list[GradientRow] = field(default_factory=list)
    wrong: str = ""  # or which gradient is in the wrong array, or has the wrong shape

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row.ok for row in self.rows) and not self.wrong

    @property
    def first_wrong(self) -> str:
        """The first wrong gradient in the order of backward, e.g. "layer 3, BadTanh: dx"; "" if there is none."""
        failed = [row for row in self.rows if not row.ok]
        if self.wrong or not failed:
            return self.wrong
        of_layers = [row for row in failed if row.layer != "network"] or failed
        last = of_layers[-1].layer
        first = next(row for row in failed if row.layer == last)
        where = re.sub(r"^(\d+) (\w+).*", r"layer \1, \2", last, flags=re.DOTALL)
        return f"{where}: {first.parameter}"

    def __str__(self) -> str:
        lines = [("layer", "parameter", "analytic", "numeric", "rel. error", "verdict")]
        for row in self.rows:
            numbers = f"{row.analytic:+.9e}", f"{row.numeric:+.9e}", f"{row.error:.1e}"
            verdict = "ok" if row.ok else "FAIL"
            lines.append((row.layer, row.parameter, *numbers, verdict))
        table = "\n".join(columns(lines))
        return table if self.ok else f"{table}\nfirst wrong: {self.first_wrong}"


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

    net           a built Sequential, a single layer, or a fitted estimator; a float64 copy of it is checked
    x             (N, ...) inputs; a few rows are enough. Keep them away from kinks (ReLU, L1, max-pool: |x| >= 0.1)
    loss, t       a loss and its targets; without a loss, L = Σ R · y with a random R
    directions    random unit directions per parameter; the row shown is the worst
    elementwise   every single element instead of directions (for small layers); the row shown is the worst element

    Errors are relative to the derivative, or to its typical size if that is larger: ‖g‖ / sqrt(P) along a random unit
    direction of P parameters, max |g| for single elements. Differences below the rounding error of L, about
    1e-15 |L| / eps, pass. For a layer's dx the tolerance is ten times larger, since its x may be small relative to eps.

    Returns a GradientReport: `report.ok`, and `print(report)`.
    """
    if (loss is None) != (t is None) or directions < 1:
        expected = "loss and t together, or neither, and directions >= 1"
        raise ValueError(f"check_gradients: expected {expected}.")
    rng = np.random.default_rng(random_state)
    criterion = None if loss is None else losses.get(loss)
    check = GradientCheck(in_float64(net, np.shape(x)[1:]), x, t, criterion, rng, eps)
    try:
        return GradientReport(Comparison(check, directions, tolerance, elementwise).rows())
    except MisplacedGradient as error:
        return GradientReport([], str(error))


def in_float64(net: Any, shape: Shape) -> Sequential:
    """A float64 copy of `net`, on the same device."""
    network = Sequential([net]) if isinstance(net, Layer) else getattr(net, "network_", net)
    if not isinstance(network, Sequential):
        wanted = "a Sequential, a Layer or a fitted estimator"
        raise TypeError(f"check_gradients: expected {wanted}, got {type(net).__name__}.")
    if hasattr(network, "theta"):
        return network.to(network.ops, "float64")
    return copy.deepcopy(network).build(shape, "numpy", "float64", random_state=0)


@dataclass
class Comparison:
    """Compares the gradients of a GradientCheck with finite differences; settings as in `check_gradients`."""

    check: GradientCheck
    directions: int
    tolerance: float
    elementwise: bool

    def rows(self) -> list[GradientRow]:
        """One row for each layer's parameters and dx, the loss's dy, and the whole network's theta and x."""
        check = self.check
        net = check.net
        x = check.inputs[0]
        dx = check.gradient(x)
        grad = net.ops.to_numpy(net.grad).copy()
        rows = []
        for i, layer in enumerate(net.layers):
            where = f"{i} {layer}"
            for (number, name), place in net.parameters.slices.items():
                if number == i:
                    theta = net.theta[place]
                    rows.append(self.worst(where, name, theta, grad[place], self.elementwise))
            rows.append(self.input_row(where, "dx", i))
        if check.loss is not None:
            rows.append(self.input_row(f"loss {check.loss}", "dy", len(net.layers)))
        if grad.size:
            rows.append(self.worst("network", "theta", net.theta, grad))
        rows.append(self.worst("network", "x", x, dx, self.elementwise))
        return rows

    def input_row(self, where: str, name: str, i: int) -> GradientRow:
        """The row for the input of layer i, or of the loss. If the check fails there, it is repeated at a random nearby
        point, because the input may be at a kink, as when the zeros of a ReLU tie in the max-pool that follows."""
        check = self.check
        x = check.inputs[i]
        row = self.worst(where, name, x, check.gradient(x, i), start=i)
        if row.ok or not 0 < i < len(check.net.layers):
            return row
        noise = 0.1 * check.rng.standard_normal(x.shape)
        x = x + check.net.ops.to_device(noise, x.dtype)
        near = self.worst(where, name, x, check.gradient(x, i), start=i)
        return near if near.ok else row

    def worst(
        self,
        where: str,
        name: str,
        array: Array,
        gradient: Array,
        elementwise: bool = False,
        start: int | None = None,
    ) -> GradientRow:
        """The worst comparison along unit directions: random ones, or all axes.

        array, start   as in `GradientCheck.both_sides`
        """
        check = self.check
        g = check.net.ops.to_numpy(gradient).ravel()
        if elementwise:
            units = np.eye(g.size)
            typical = np.abs(g).max()
        else:
            units = check.rng.standard_normal((self.directions, g.size))
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            typical = np.linalg.norm(g) / np.sqrt(g.size)
        rounding = ROUNDING * abs(check.value()) / check.eps
        scale = max(float(typical), rounding / self.tolerance)
        tolerance = 10 * self.tolerance if name == "dx" else self.tolerance
        rows = []
        for d, (left, right) in zip(units, check.both_sides(array, units, start), strict=True):
            numeric = (right - left) / (2 * check.eps)
            rows.append(GradientRow(where, name, float(g @ d), numeric, scale, tolerance))
        return max(rows, key=lambda row: (not row.ok, row.error))
