"""TeacherForcing: the input of a text decoder at each time step."""

from __future__ import annotations

from typing import ClassVar

from nanoae.backend import Array, Shape, ThreadLocal
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.embedding import Embedding
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Noisy


@configurable
class TeacherForcing(Noisy):
    """Teacher forcing: at time step t the decoder reads the previous token, the line's first token, and the code z.

        y[n, t] = [W[w[n, t]], W[w[n, 0]], z[n]]        with tokens w[n, 0] .. w[n, T - 1] of `source`, without the last

    The first token is the line's keyword, or the same in every line. Word dropout (Bowman et al. 2016): in training
    each previous token becomes 0, UNK, with probability `dropout`, so that the decoder has to use the code.

    source   the Embedding that reads the lines (N, T + 1)
    n_out    E, length of a token's vector; the decoder has its own table W

    Shapes    z, dz (N, K)    y, dy (N, T, 2 E + K)    W, dW (V, E)

    Backward  dz = Σ_t of its part of dy; dW as in Embedding, where the first token is used at all T time steps
    """

    ids = ThreadLocal()  # (N, T + 1) the token ids looked up in the last forward
    bounds: ClassVar = {"dropout": "[0, 1)"}

    source: Embedding
    n_out: int
    dropout: float = 0.0

    def infer_shape(self, in_shape: Shape) -> Shape:
        lines = self.source.in_shape
        right = len(in_shape) == 1 and len(lines) == 1 and lines[0] >= 2
        self.check_shape(right, "codes (N, K) of lines of two tokens or more")
        return (lines[0] - 1, 2 * self.n_out + in_shape[0])

    def parameters(self) -> dict[str, Parameter]:
        return {"W": ((self.source.n_tokens, self.n_out), init.standard_normal)}

    def draw(self, noise: Array) -> Array:
        return self.ops.keep_mask(self.generator, 1 - self.dropout, 1.0, out=noise)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        tokens = self.source.ids
        previous = tokens[:, :-1]
        if train and self.dropout:
            n, t = previous.shape
            mask = self.noise((n, t))
            memory = self.buffer("previous", (n, t))
            previous = self.ops.multiply(previous, mask, out=memory)
        self.cache = True if train else None
        return self.join(x, previous, tokens[:, 0])

    def join(self, z: Array, tokens: Array, first: Array) -> Array:
        """Return y (N, T, 2 E + K) for codes (N, K), previous tokens (N, T) and first tokens (N,)."""
        ops = self.ops
        n, t = tokens.shape
        e = self.n_out
        self.ids = ids = self.memory("ids", (n, t + 1), "int64")
        ops.round_to_integers(tokens, out=ids[:, :t])
        ops.copy(first, out=ids[:, t])
        vectors = self.memory("vectors", (n, t + 1, e))
        ops.take_rows(self.params["W"], ids.reshape(-1), out=vectors.reshape(-1, e))
        width = 2 * e + z.shape[1]
        y = self.memory("y", (n, t, width))
        ops.copy(vectors[:, :t], out=y[:, :, :e])
        ops.copy(vectors[:, t:], out=y[:, :, e : 2 * e])
        ops.copy(z[:, None], out=y[:, :, 2 * e :])
        return y

    def backward(self, dy: Array) -> Array | None:
        self.take_cache()
        ops = self.ops
        n, t, _ = dy.shape
        e = self.n_out
        dvectors = self.buffer("dvectors", (n * (t + 1), e))
        parts = dvectors.reshape(n, t + 1, e)
        ops.copy(dy[:, :, :e], out=parts[:, :t])
        ops.sum_steps(dy[:, :, e : 2 * e], out=parts[:, t])
        ops.add_rows(dvectors, self.ids.reshape(-1), out=self.grads["W"])
        dz = self.buffer("dz", (n, *self.in_shape))
        return ops.sum_steps(dy[:, :, 2 * e :], out=dz)
