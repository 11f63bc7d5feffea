"""Embedding: a table that maps word indices to vectors."""

from __future__ import annotations

from nanoae.backend import Array, Shape, ThreadLocal
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer


@configurable
class Embedding(Layer):
    """y[n, t] = W[x[n, t]]: look up the row of each word.

    n_words   V, vocabulary size: x holds indices 0 .. V - 1, as integers or floats (a Trainer's batches are floats).
              Others raise ValueError; on a GPU, where that would stall the host, forward clips and backward skips them
    n_out     O, length of a word's vector

    Shapes    x (N, T), any T    y, dy (N, T, O)    W, dW (V, O)

    Backward  y = onehot(x) W, so dW = onehot(x)ᵀ dy: each dy is added to the row of its word. dx = 0: y is constant
              between the integers.

    W is drawn from N(0, 1): y is one row of W, so Var[y] = Var[W].

    words   (N, T) int64, the last x: later layers read it to find the padding
    """

    words = ThreadLocal()

    n_words: int
    n_out: int

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(len(in_shape) == 1, "word numbers of shape (N, T)")
        return (*in_shape, self.n_out)

    def parameters(self) -> dict[str, Parameter]:
        return {"W": ((self.n_words, self.n_out), init.normal(lambda fan_in, fan_out: 1.0))}

    def check_input(self, x: Array) -> None:
        if x.ndim != 2:
            raise self.mistake("word numbers of shape (N, T)", x.shape)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        words = self.memory("words", x.shape, "int64")
        self.words = self.ops.round_words(x, out=words)
        words = self.words.reshape(-1)
        self.ops.check_numbers(words, self.n_words, f"{self}: expected word numbers")
        y = self.ops.take_rows(self.params["W"], words, out=self.buffer("y", (x.size, self.n_out)))
        self.cache = words if train else None
        return y.reshape(*x.shape, self.n_out)

    def backward(self, dy: Array) -> Array | None:
        words = self.take_cache()
        rows = self.contiguous(dy, "dy").reshape(-1, self.n_out)
        self.ops.add_rows(rows, words, out=self.grads["W"])
        if not self.need_dx:
            return None
        return self.ops.copy(0, out=self.buffer("dx", dy.shape[:2]))
