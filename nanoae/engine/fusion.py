"""Fusion: a built network rewritten into fewer passes over memory, with the same parameters and the same results.

The plain layers stay as they are; `fuse(network)` is what the training loop runs, unless told fuse=False, and
`divide(network, rows, team)` what each of several processes runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from nanoae.backend import Array
from nanoae.backend.blas import address
from nanoae.engine.conv import Convolution
from nanoae.engine.layers import ACTIVATIONS, Elementwise, Identity, Layer, Linear, TiedLinear
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm


class InPlace(Layer):
    """A layer and the activation behind it, in one buffer:  y = f(layer(x)).

    f overwrites the layer's own output, which that layer does not need again (a Linear's backward needs its input), and
    backward overwrites dy, which is a buffer of the layer above.
    """

    def __init__(self, layer: Layer, activation: Elementwise):
        self.layer, self.activation = layer, activation

    def forward(self, x, train=False):
        z = self.layer.forward(x, train)
        y = self.activation.f(z, out=z)
        self.cache = y if train else None
        return y

    def backward(self, dy):
        return self.layer.backward(self.activation.df(dy, self.take_cache(), out=dy))

    def __repr__(self):
        return f"{self.layer} + {self.activation}"


class LinearActivation(InPlace):
    """y = f(x W + b) of a Linear, where a device may add the bias and apply f in one pass over memory, or at the end of
    the product, and likewise make dz = dy · f'(z) and db = Σ_n dz[n].

    below   the LinearActivation whose ReLU made x, if one did. What this one's backward gives is then already its dz,
            and its db is written:  dz_below = (dz Wᵀ) · [x > 0],  db_below = Σ_n dz_below[n]
    """

    layer: Linear
    below: LinearActivation | None = None

    def __init__(self, layer: Linear, activation: Any):
        super().__init__(layer, activation)
        name = next(name for name, cls in ACTIVATIONS.items() if cls is type(activation))
        self.f = name, tuple(activation.config().values())
        self.kept: dict[str, Any] | None = None  # what the device keeps of its ReLU for the layer above

    def put_on(self, below: Layer) -> None:
        """Have `below` as the layer before this one, and undo its ReLU for it."""
        if isinstance(below, LinearActivation) and below.f[0] == "relu":
            self.below, below.kept = below, {}

    def forward(self, x, train=False):
        linear, ops = self.layer, self.layer.ops
        linear.check_input(x)
        W, b = linear.params.values()
        out, kept = linear.buffer("y", (len(x), *linear.out_shape)), self.kept if train else None
        y = ops.affine_activation(x, W, b, *self.f, out=out, kept=kept)
        self.cache = (x, y) if train else None
        return y

    def backward(self, dy):
        linear, ops, (x, y) = self.layer, self.layer.ops, self.take_cache()
        W, (dW, db) = linear.params["W"], linear.grads.values()
        dz = dy
        if self.f[0] == "identity":
            ops.affine_gradients(x, dz, db=db, out=dW)
        else:
            if self.kept is None:  # else the layer above was so kind
                dz = ops.activation_backward_bias(dy, y, *self.f, db=db, out=dy)
            ops.matmul(x.T, dz, out=dW)
        for term in linear.also:
            ops.add_inplace(dW, term)
        if not linear.need_dx:
            return None
        dx, below = linear.buffer("dx", x.shape), self.below
        if below is None:
            return ops.matmul(dz, W.T, out=dx)
        return ops.affine_relu_backward(dz, W, x, below.kept, db=below.layer.grads["b"], out=dx)

    def __repr__(self):
        return repr(self.layer) if self.f[0] == "identity" else super().__repr__()


class Divided(Layer):
    """A Linear whose rows are divided among the members of a team, and then its gradients.

    Each member has its own rows of x and dy in memory that all share. Once all have been there, each computes out of
    all rows its own columns a:b of dx, and the same rows of dW, below which db is one more:

        dx[:, a:b] = dy W[a:b]ᵀ        dW[a:b] = x[:, a:b]ᵀ dy        db = Σ_n dy[n]

    So nobody else looks at W[a:b] again before the next forward, and its owner may update it while dx is on its way.
    (Own rows of dx would need all of Wᵀ, which BLAS packs before it multiplies: 4 to 8 % of case C's step.)

    turn   who has the last rows, with db: that takes longer, so it is another member from layer to layer
    """

    def __init__(self, linear: Linear, where: dict[str, slice], rows: int, team: Any, turn: int):
        self.linear, self.where, self.team, self.ops, self.turn = linear, where, team, linear.ops, turn
        self.x = team.shared((rows, linear.n_in), linear.dtype)
        self.dy = team.shared((rows, linear.n_out), linear.dtype)
        self.dx: Array = None  # `divide` tells where

    def forward(self, x, train=False):
        if train:
            self.show(x, self.x)
        return self.linear.forward(x, train)

    def backward(self, dy):
        """dy and dx are this member's rows, dy None where the batch has none for it. dx is there after the team's next
        `wait`."""
        linear, team, mine = self.linear, self.team, self.mine()
        self.show(dy, self.dy)
        n = 0 if dy is None else len(linear.take_cache())
        team.meet()
        if not linear.need_dx:
            return None
        self.ops.matmul(self.dy, linear.params["W"][mine].T, out=self.dx[:, mine])
        team.arrive()
        return self.dx[team.region][:n] if n else None

    def mine(self) -> slice:
        """The rows of W, and b below it, that this member owns."""
        return self.team.part(self.linear.n_in + 1, self.turn)

    def show(self, mine: Array | None, everyones: Array) -> None:
        """Put this member's rows where all can see them, if they are not there already; zeros where it has fewer."""
        own, n = everyones[self.team.region], 0 if mine is None else len(mine)
        if mine is not None and address(mine) != address(own):
            self.ops.copy(mine, out=own[:n])
        if n < len(own):
            self.ops.copy(0, out=own[n:])

    def gradient(self, rows: slice, out: Array) -> Array:
        """The gradient of these rows of W, and b below it, flat."""
        n_in, n_out = self.linear.n_in, self.linear.n_out
        if rows.start < n_in:
            x = self.x[:, rows]
            self.ops.matmul(x.T, self.dy, out=out[: x.shape[1] * n_out].reshape(-1, n_out))
        if rows.stop > n_in:
            self.ops.sum_rows(self.dy, out=out[-n_out:])
        return out

    def __repr__(self):
        return f"{self.linear}, divided"


class Weighed(Layer):
    """A layer with a penalty that is a mean over a member's rows: in the whole batch's it has the weight of its share.

    What comes from the loss has that weight already:  dx = share · layer.backward(dy / share).
    """

    def __init__(self, layer: Layer, team: Any):
        self.layer, self.team = layer, team

    def forward(self, x, train=False):
        return self.layer.forward(x, train)

    def backward(self, dy):
        ops, share = self.layer.ops, self.team.share
        own = ops.multiply(dy, 1 / share, out=self.layer.buffer("weighed", dy.shape))
        return ops.scale_inplace(self.layer.backward(own), share)

    def __repr__(self):
        return repr(self.layer)


NEED_NO_OUTPUT = (Linear, TiedLinear, Convolution, BatchNorm, Divided)  # whose backward does not look at their y


def fuse(network: Sequential, layers: list[Layer] | None = None) -> Sequential:
    """`network`, or these layers of it, with every activation behind one of NEED_NO_OUTPUT in place, and every Linear
    as a LinearActivation; theta, grad and all views are shared."""
    fused: list[Layer] = []
    for layer in network.layers if layers is None else layers:
        before = fused[-1] if fused else None
        if isinstance(layer, Elementwise) and type(before) is Linear and type(layer) in ACTIVATIONS.values():
            fused[-1] = LinearActivation(before, layer)
        elif isinstance(layer, Elementwise) and isinstance(before, NEED_NO_OUTPUT):
            fused[-1] = InPlace(before, layer)
        else:
            fused.append(layer)
    fused = [LinearActivation(layer, Identity()) if type(layer) is Linear else layer for layer in fused]
    for below, above in pairwise(fused):
        if isinstance(above, LinearActivation):
            above.put_on(below)
    return network.rewritten(fused)


def divide(network: Sequential, rows: int, team: Any) -> tuple[Sequential, list[Divided]]:
    """(the network for a member of `team`, fused, whose backward is the team's; its layers that learn), for `rows` rows
    in all.

    ValueError for a network with other parameters than Linear's, or whose rows depend on each other.
    """
    layers: list[Layer] = []
    divided: list[Divided] = []
    for i, layer in enumerate(network.layers):
        if isinstance(layer, Linear) and not layer.also:
            where = {name: network.parameters.slices[i, name] for name in layer.params}
            divided.append(Divided(layer, where, rows, team, turn=len(divided)))
            layers.append(divided[-1])
        elif layer.params or not layer.by_row:
            also = ", which is tied or has a contractive penalty" if isinstance(layer, Linear) else ""
            raise ValueError(
                "processes: expected layers that work row by row and parameters of Linear alone, got "
                f"{layer}{also}. Use processes=1."
            )
        else:
            layers.append(layer if isinstance(layer, (Elementwise, Identity)) else Weighed(layer, team))
    result = fuse(network, layers)
    for below, above in neighbours(result):
        above.dx = below.dy
    for layer in divided:
        if layer.linear.need_dx and layer.dx is None:
            layer.dx = team.shared((rows, layer.linear.n_in), layer.linear.dtype)
    return result, divided


def neighbours(network: Sequential) -> Iterator[tuple[Divided, Divided]]:
    """Those between which nothing happens but in place."""
    plain = [layer.layer if isinstance(layer, InPlace) else layer for layer in network.layers]
    for below, above in pairwise(plain):
        if isinstance(below, Divided) and isinstance(above, Divided):
            yield below, above


def link(network: Sequential, team: Any) -> None:
    """Let the Linear layers of a divided network write straight into what the next one shows."""
    for below, above in neighbours(network):
        below.linear.buffers["y"] = above.x[team.region]
