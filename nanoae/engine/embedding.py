"""Embedding: a table that maps token ids to vectors."""

from __future__ import annotations

from nanoae.backend import Array, Shape, ThreadLocal
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer


@configurable
class Embedding(Layer):
    """y[n, t] = W[x[n, t]]: look up the row of each token.

    n_tokens  V, vocabulary size: x holds ids 0 .. V - 1, as integers or floats (a Trainer's batches are floats).
              Others raise ValueError; on a GPU, where that would stall the host, forward clips and backward skips them
    n_out     O, length of a token's vector

    Shapes    x (N, T), any T    y, dy (N, T, O)    W, dW (V, O)

    Backward  y = onehot(x) W, so dW = onehot(x)ᵀ dy: each dy is added to the row of its token. dx = 0: y is constant
              between the integers.

    W is drawn from N(0, 1): y is one row of W, so Var[y] = Var[W].

    ids   (N, T) int64, the last x: later layers read it to find the padding
    """

    ids = ThreadLocal()
    n_tokens: int
    n_out: int

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(len(in_shape) == 1, "token ids of shape (N, T)")
        return (*in_shape, self.n_out)

    def parameters(self) -> dict[str, Parameter]:
        return {"W": ((self.n_tokens, self.n_out), init.standard_normal)}

    def check_input(self, x: Array) -> None:
        if x.ndim != 2:
            raise self.mistake("token ids of shape (N, T)", x.shape)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        ids = self.memory("ids", x.shape, "int64")
        self.ids = self.ops.round_to_integers(x, out=ids)
        flat = ids.reshape(-1)
        self.ops.check_numbers(flat, self.n_tokens, f"{self}: expected token ids")
        W = self.params["W"]
        y = self.buffer("y", (x.size, self.n_out))
        self.ops.take_rows(W, flat, out=y)
        self.cache = flat if train else None
        return y.reshape(*x.shape, self.n_out)

    def backward(self, dy: Array) -> Array | None:
        ids = self.take_cache()
        rows = self.contiguous(dy, "dy").reshape(-1, self.n_out)
        self.ops.add_rows(rows, ids, out=self.grads["W"])
        if not self.need_dx:
            return None
        dx = self.buffer("dx", dy.shape[:2])
        return self.ops.copy(0, out=dx)
