"""Breakages: common mistakes in a backward pass that raise no error. The forward is unchanged.

`breakages(layers)` lists the mistakes that are possible in a list of layers; `apply` inserts one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from nanoae.engine.activations import Elementwise
from nanoae.engine.layers import Layer, Linear
from nanoae.engine.losses import Loss


def forgotten_transpose(layer: Any, dy: Any) -> Any:
    """dx = dy W.reshape(O, I)"""
    dx = type(layer).backward(layer, dy)
    W = layer.params["W"]
    # the shape of Wᵀ, but not its values
    return layer.ops.matmul(dy, W.reshape(W.shape[::-1]), out=dx)


def missing_sum(layer: Any, dy: Any) -> Any:
    """db = dy[0]"""
    dx = type(layer).backward(layer, dy)
    layer.ops.copy(dy[0], out=layer.grads["b"])  # the first row instead of the sum of all rows
    return dx


def wrong_derivative(layer: Any, dy: Any) -> Any:
    """dx = dy · y"""
    y = layer.take_cache()
    return layer.ops.multiply(dy, y, out=layer.buffer("dx", y.shape))


def wrong_sign(loss: Any) -> Any:
    """dy = -(the correct dy)"""
    return loss.ops.scale_inplace(loss.dy, -1.0)


@dataclass(frozen=True)
class Breakage:
    """One mistake in one layer, or in the loss.

    kind      "transpose", "bias", "derivative" or "sign"
    layer     the index of the layer; the number of layers stands for the loss
    wrong     the first gradient that becomes wrong: "dx", "db" or "dy"
    backward  replaces the backward of the layer or the loss
    """

    kind: str
    layer: int
    wrong: str
    title: str
    backward: Callable[..., Any]

    @property
    def formula(self) -> str:
        return str(self.backward.__doc__)

    def apply(self, layers: list[Layer], loss: Loss) -> None:
        """Replace the backward of the layer, or of the loss, by the wrong one."""
        broken: Any = [*layers, loss][self.layer]
        broken.backward = MethodType(self.backward, broken)


KINDS = {
    "transpose": "a forgotten transpose",
    "bias": "a missing bias sum",
    "derivative": "the wrong derivative",
    "sign": "the wrong sign",
}


def breakages(layers: list[Layer]) -> list[Breakage]:
    """The mistakes that are possible in these layers and in the loss. The dx of the first layer is not used."""
    found = []
    for i, layer in enumerate(layers):
        where = f"in layer {i}"
        if type(layer) is Linear and i > 0:
            found.append(broken("transpose", i, "dx", where, forgotten_transpose))
        if type(layer) is Linear:
            found.append(broken("bias", i, "db", where, missing_sum))
        if isinstance(layer, Elementwise):
            found.append(broken("derivative", i, "dx", where, wrong_derivative))
    return [*found, broken("sign", len(layers), "dy", "in the loss", wrong_sign)]


def broken(kind: str, layer: int, wrong: str, where: str, backward: Callable[..., Any]) -> Breakage:
    return Breakage(kind, layer, wrong, f"{KINDS[kind]} {where}", backward)
