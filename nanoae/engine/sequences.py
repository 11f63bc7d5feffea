"""Layers for the time steps of a sequence: apply a layer to each step, or select the last one before the padding."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine.embedding import Embedding
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer, Noisy


@configurable
class TimeDistributed(Layer):
    """y[n, t] = layer(x[n, t]): the same layer at every time step, applied to N·T inputs as one batch.

    layer   a layer without noise: TimeDistributed(Linear(8)) gives scores of 8 tokens at every step

    Shapes    x, dx (N, T, ...)    y, dy (N, T, ...), any T
    """

    layer: Layer

    def __post_init__(self) -> None:
        if isinstance(self.layer, Layer) and not isinstance(self.layer, Noisy):
            return
        wanted = "a layer without noise"
        hint = "Wrap each layer in a TimeDistributed of its own, and put noise before or after it."
        raise ValueError(f"TimeDistributed: expected {wanted}, got {self.layer!r}. {hint}")

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(len(in_shape) >= 2, "sequences (N, T, ...)")
        out_shape = self.layer.build(self.ops, in_shape[1:], self.dtype)
        self.params = self.layer.params
        self.grads = self.layer.grads
        self.state = self.layer.state
        return (in_shape[0], *out_shape)

    def parameters(self) -> dict[str, Parameter]:
        return self.layer.parameters()

    def rows(self, name: str, x: Array) -> Array:
        """Return x (N, T, ...) as a contiguous (N·T, ...)."""
        return self.contiguous(x, name).reshape(-1, *x.shape[2:])

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = True if train else None
        rows = self.rows("x", x)
        y = self.layer.forward(rows, train)
        if train:
            self.penalty = self.layer.penalty
        return y.reshape(*x.shape[:2], *y.shape[1:])

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        self.layer.need_dx = self.need_dx
        dx = self.layer.backward(self.rows("dy", dy))
        if dx is None:
            return None
        return dx.reshape(*dy.shape[:2], *dx.shape[1:])


@configurable
class LastTimestep(Layer):
    """y[n] = x[n, t] at the last t whose token is not 0: the end of the sequence before its padding.

    source   the Embedding that produced the sequence; its `ids` are checked

    Shapes    x, dx (N, T, I)    y, dy (N, I)

    Backward  dx[n, t] = dy[n] at that t, else 0
    """

    source: Embedding

    def infer_shape(self, in_shape: Shape) -> Shape:
        right = len(in_shape) == 2 and in_shape[:1] == self.source.in_shape
        self.check_shape(right, "sequences (N, T, I) of the tokens of an Embedding before it")
        return in_shape[1:]

    def forward(self, x: Array, train: bool = False) -> Array:
        n, _, width = x.shape
        last = self.buffer("last", (n,), "int64")
        self.ops.last_not_zero(self.source.ids, out=last)
        self.cache = (last, x.shape) if train else None
        y = self.buffer("y", (n, width))
        return self.ops.take_steps(x, last, out=y)

    def backward(self, dy: Array) -> Array | None:
        last, shape = self.take_cache()
        dx = self.memory("dx", shape)
        return self.ops.put_steps(dy, last, out=dx)
