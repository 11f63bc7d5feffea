"""Penalties on the code, for sparse or robust codes.

A penalty is a layer after the code. It passes the code h through unchanged and adds P(h) to the training loss, so that

    dLoss/dh = the decoder's gradient + dP/dh
"""

from __future__ import annotations

from typing import Any, ClassVar

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine.activations import Sigmoid
from nanoae.engine.layers import Layer, Linear, Noisy


class Penalty(Layer):
    """Base of penalties: y = x,  dx = dy + dP/dx. In training `penalty` is P(x), a 0-d array. A subclass has `cost`."""

    bounds: ClassVar = {"weight": "[0, inf)"}

    def __init__(self, weight: float = 1e-3) -> None:
        self.weight = weight

    def attach(self, encoder: list[Layer]) -> None:
        """Find required layers in the encoder; raise ValueError if they are missing."""

    def cost(self, x: Array, out: Array) -> Array:
        """Return P(x); write its gradient dP/dx to `out`."""
        raise NotImplementedError

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = None
        if train:
            self.check_input(x)
            self.cache = dx = self.buffer("dx", x.shape)
            self.penalty = self.cost(x, out=dx)
        return x

    def backward(self, dy: Array) -> Array | None:
        return self.ops.add_inplace(self.take_cache(), dy)  # dx = dP/dx + dy


class L1Sparsity(Penalty):
    """P = weight / N · Σ_n Σ_j |h[n, j]|: summed over the code's units, averaged over the batch.

    weight    >= 0

    Gradient  dP/dh = weight / N · sign(h), 0 at 0. Its size does not depend on |h|, so units that reduce the loss too
              little go to 0 and stay there: a ReLU code becomes sparse.
    """

    def cost(self, x: Array, out: Array) -> Array:
        return self.ops.l1_norm(x, self.weight / len(x), out=out)


@configurable
class KLSparsity(Penalty):
    """P = weight · Σ_j KL(target ‖ q_j),  q_j = 1/N Σ_n h[n, j]: pulls each unit's mean activation towards `target`.

    For sigmoid units in (0, 1):  KL(p ‖ q) = p log(p / q) + (1 - p) log((1 - p) / (1 - q)),  which is 0 at q = p and
    grows without bound towards q = 0 and 1 (Ng 2011, "Sparse autoencoder"; there q is the mean over all examples, here
    over the batch).

    target    p, in (0, 1)
    weight    >= 0

    Gradient  dKL/dq = -p / q + (1 - p) / (1 - q)      since d(-log q) / dq = -1 / q,  d(-log(1 - q)) / dq = 1 / (1 - q)
              dP/dh[n, j] = weight / N · dKL/dq_j      since dq_j / dh[n, j] = 1 / N: the same for every row
    """

    bounds: ClassVar = {"target": "(0, 1)"}

    target: float = 0.05
    weight: float = 1e-3

    def attach(self, encoder: list[Layer]) -> None:
        if not isinstance(encoder[-1], Sigmoid):
            raise ValueError(
                f'KLSparsity: expected a code in (0, 1), with code_activation="sigmoid", got one from {encoder[-1]}. '
                "Use L1Sparsity for other codes."
            )

    def cost(self, x: Array, out: Array) -> Array:
        ops = self.ops
        n = len(x)
        rows = self.contiguous(x, "x").reshape(n, -1)
        q = ops.sum_rows(rows, out=self.buffer("q", (x[0].size,)))
        ops.scale_inplace(q, 1 / n)
        dq = self.buffer("dq", q.shape)
        loss = ops.bernoulli_kl(q, self.target, self.weight, out=dq)
        ops.scale_inplace(dq, 1 / n)
        ops.copy(dq.reshape(x.shape[1:]), out=out)  # the same for every row
        return loss


@configurable
class Contractive(Penalty):
    """P = weight / N · Σ_n ‖J(x[n])‖²,  J = dh/dx of a code h = sigmoid(x W + b): makes the code insensitive to x.

    With g = h (1 - h), the sigmoid's derivative:   J[j, i] = g_j W[i, j],  so  ‖J‖² = Σ_j g_j² Σ_i W[i, j]²
    No Jacobian is formed: K products per row suffice (Rifai 2011, "Contractive auto-encoders").

    weight    >= 0
    source    the Linear before the Sigmoid; an Autoencoder sets it

    Gradient  P depends on W through h and directly. With S_j = Σ_i W[i, j]²:
              dP/dh[n, j] = weight / N · 2 g (1 - 2 h) S_j         since dg/dh = 1 - 2 h
              dP/dW[i, j] = weight / N · 2 W[i, j] Σ_n g[n, j]²    with h fixed: a term of `source.extra_grads`
    """

    weight: float = 0.1
    source: Linear | None = None

    def attach(self, encoder: list[Layer]) -> None:
        layers: list[Any] = encoder[1:] if isinstance(encoder[0], Noisy) else encoder
        if [type(layer) for layer in layers] != [Linear, Sigmoid]:
            raise ValueError(
                "Contractive: expected an encoder of one layer, [Linear, Sigmoid], for which its formula holds: "
                f'hidden=() and code_activation="sigmoid"; got {layers}. A StackedAutoencoder uses it layer by layer.'
            )
        self.source = layers[0]

    def infer_shape(self, in_shape: Shape) -> Shape:
        if self.source is None or in_shape != self.source.out_shape:
            raise self.mistake("source=, the Linear before the code", self.source)
        self.dW = self.ops.empty((self.source.n_in, self.source.n_out), self.dtype)
        self.source.extra_grads.append(self.dW)
        return in_shape

    def cost(self, x: Array, out: Array) -> Array:
        ops = self.ops
        factor = self.weight / len(x)
        W = self.source.params["W"]  # type: ignore[union-attr]
        g = ops.multiply(x, x, out=self.buffer("g", x.shape))
        ops.axpby_inplace(g, 1.0, x, -1.0)  # g = h - h²
        ops.multiply(x, -2.0, out=out)
        ops.add_inplace(out, 1.0)
        ops.scale_inplace(out, g)  # (1 - 2 h) g
        S = self.buffer("S", self.in_shape)
        G = self.buffer("G", self.in_shape)
        squares = ops.multiply(W, W, out=self.dW)
        ops.sum_rows(squares, out=S)  # S_j = Σ_i W[i, j]²
        ops.scale_inplace(g, g)
        ops.sum_rows(g, out=G)  # G_j = Σ_n g[n, j]²
        loss = ops.multiply(ops.sum_products(G, S), factor)
        ops.scale_inplace(S, 2 * factor)
        ops.scale_inplace(G, 2 * factor)
        ops.scale_inplace(out, S)  # dP/dh = weight / N · 2 g (1 - 2 h) S
        ops.multiply(W, G, out=self.dW)  # dP/dW = weight / N · 2 W G
        return loss


PENALTIES: dict[str, type] = {"l1": L1Sparsity, "kl": KLSparsity, "contractive": Contractive}
