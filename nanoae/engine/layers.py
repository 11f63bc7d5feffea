"""Layers: a forward and a backward, nothing else. Read `Linear` first; every other layer follows its pattern.

The contract of all layers:

1. `forward(x, train=False) -> y` and `backward(dy) -> dx`; dx is None if `need_dx` is False (the first layer).
2. `params` and `grads` have the same keys; their values are views of the network's flat `theta` and `grad`: write into
   them, never rebind them.
3. `backward` overwrites the gradients. A second layer that uses the same weights adds its term through `extra_grads`.
4. With `train=True` forward caches what backward needs, preferably its own output. Each backward consumes the cache.
5. Returned arrays are buffers, valid until the layer's next call in the same thread. Buffers, and values that forward
   leaves for other layers (ThreadLocal), are per thread: any number of threads may run a network that is not being
   trained. Arguments are never modified.
"""

from __future__ import annotations

from typing import Any, ClassVar

from nanoae.backend import Array, Ops, Reused, Shape, ThreadState
from nanoae.configurable import Configurable, configurable
from nanoae.engine.init import Parameter

FLATTEN = "Flatten the images first."


class Layer(Reused, Configurable):
    """Base of all layers: shapes, buffers and the cache. `build` is called once, before the first forward."""

    ops: Ops
    in_shape: Shape = ()  # of one example, without the batch: (784,) or (16, 10, 10)
    out_shape: Shape = ()
    dtype: Any = None
    need_dx = True  # False up to the first layer with parameters: no gradient of the data is needed
    generator: Any = None  # the network's generator, for noise
    cache: Any = None  # what forward keeps for backward
    penalty: Any = None  # the layer's own term of the training loss, a 0-d array

    def build(self, ops: Ops, in_shape: Shape, dtype: Any) -> Shape:
        """Infer the shapes for inputs (N, *in_shape); return out_shape."""
        self.thread = ThreadState()
        self.cache = None
        self.ops = ops
        self.in_shape = tuple(in_shape)
        self.dtype = dtype
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.state: dict[str, Array] = {}  # learned without a gradient: running statistics
        self.out_shape = self.infer_shape(self.in_shape)
        return self.out_shape

    def infer_shape(self, in_shape: Shape) -> Shape:
        """Return the output shape for an input shape (both without the batch)."""
        return in_shape

    def parameters(self) -> dict[str, Parameter]:
        """Return {name: (shape, initialiser)} of the layer's parameters."""
        return {}

    def forward(self, x: Array, train: bool = False) -> Array:
        """Return y (N, *out_shape) for x (N, *in_shape)."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        """Return dx (N, *in_shape) for dy = dLoss/dy (N, *out_shape); write dLoss/dW of each parameter W to `grads`."""
        raise NotImplementedError

    def contiguous(self, x: Array, name: str) -> Array:
        """Return x if it is C-contiguous, else a copy in buffer `name`."""
        if x.flags.c_contiguous:
            return x
        copy = self.memory(name, x.shape)
        return self.ops.copy(x, out=copy)

    def take_cache(self) -> Any:
        cache = self.cache
        self.cache = None
        if cache is None:
            wanted = "forward(x, train=True) before backward"
            hint = "Each backward uses up one forward."
            raise RuntimeError(f"{self}: expected {wanted}, got nothing cached. {hint}")
        return cache

    def check_shape(self, right: bool, expected: str, hint: str = "") -> None:
        """Raise a ValueError about `in_shape` unless `right`."""
        if not right:
            raise self.mistake(expected, batch_of(self.in_shape), hint)

    def check_source(self, source: Layer) -> None:
        """Raise a ValueError unless inputs have the output shape of `source`, whose weights this layer shares."""
        hint = "" if source.in_shape else "Put the source before it, in the same list of layers."
        expected = f"inputs of shape {batch_of(source.out_shape)}, the output shape of its source"
        self.check_shape(self.in_shape == source.out_shape, expected, hint)

    def check_input(self, x: Array) -> None:
        if x.shape[1:] != self.in_shape:
            hint = ""
            if len(self.in_shape) == 1:
                hint = FLATTEN if x.ndim > 2 else "Is this the table the network was built for?"
            raise self.mistake(f"x of shape {batch_of(self.in_shape)}", x.shape, hint)


def batch_of(shape: Shape) -> str:
    """Return the shape of a batch as text: "(N, 16, 10, 10)"."""
    return f"({', '.join(['N', *map(str, shape)])})"


@configurable
class Linear(Layer):
    """Affine map  y = x W + b.

    Shapes    x, dx (N, I)    y, dy (N, O)    W, dW (I, O)    b, db (O,)

    Backward  dW = xᵀ dy          ∂y[n, o] / ∂W[i, o] = x[n, i], summed over n
              db = Σ_n dy[n]      b is broadcast over the batch, so its gradient sums over it
              dx = dy Wᵀ
    """

    n_in = 0  # set by build
    n_out: int
    init: str = "he_uniform"
    bias_init: str = "zeros"

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.extra_grads: list[Array] = []  # further terms of dW: from tied weights or a penalty
        self.check_shape(len(in_shape) == 1, "inputs of shape (N, I)", FLATTEN)
        self.n_in = in_shape[0]
        return (self.n_out,)

    def parameters(self) -> dict[str, Parameter]:
        return {
            "W": ((self.n_in, self.n_out), self.init),
            "b": ((self.n_out,), self.bias_init),
        }

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        W, b = self.params.values()
        y = self.buffer("y", (len(x), self.n_out))
        self.ops.matmul(x, W, out=y)
        self.ops.add_bias_inplace(y, b)
        self.cache = x if train else None
        return y

    def backward(self, dy: Array) -> Array | None:
        x = self.take_cache()
        dW, db = self.grads.values()
        self.ops.matmul(x.T, dy, out=dW)  # dW = xᵀ dy
        self.ops.sum_rows(dy, out=db)  # db = Σ_n dy[n]
        for term in self.extra_grads:
            self.ops.add_inplace(dW, term)
        if not self.need_dx:
            return None
        W = self.params["W"]
        dx = self.buffer("dx", x.shape)
        return self.ops.matmul(dy, W.T, out=dx)  # dx = dy Wᵀ

    def __repr__(self) -> str:
        sizes = f"{self.n_in}, {self.n_out}" if self.n_in else f"{self.n_out}"
        return f"{type(self).__name__}({sizes})"


@configurable
class TiedLinear(Layer):
    """Affine map with the transposed weights of another layer:  y = x Wᵀ + b,  W (O, I) of `source`.

    Shapes    x, dx (N, I)    y, dy (N, O)    b, db (O,)

    Backward  dW = (xᵀ dy)ᵀ = dyᵀ x  (O, I),  which `source` adds to its own dW: its backward runs later.
    """

    source: Linear
    bias_init: str = "zeros"

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_source(self.source)
        shape = self.source.n_in, self.source.n_out
        self.dW = self.ops.empty(shape, self.dtype)
        self.source.extra_grads.append(self.dW)
        return self.source.in_shape

    def parameters(self) -> dict[str, Parameter]:
        return {"b": (self.out_shape, self.bias_init)}

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        W = self.source.params["W"]
        y = self.buffer("y", (len(x), *self.out_shape))
        self.ops.matmul(x, W.T, out=y)
        self.ops.add_bias_inplace(y, self.params["b"])
        self.cache = x if train else None
        return y

    def backward(self, dy: Array) -> Array | None:
        x = self.take_cache()
        self.ops.matmul(dy.T, x, out=self.dW)  # dW = dyᵀ x
        self.ops.sum_rows(dy, out=self.grads["b"])
        W = self.source.params["W"]
        dx = self.buffer("dx", x.shape)
        return self.ops.matmul(dy, W, out=dx)  # dx = dy W

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source})"


class Noisy(Layer):
    """Base of layers that draw noise in training, or where `frozen` reuse the last, as finite differences require."""

    frozen = False

    def draw(self, noise: Array) -> Array:
        """Fill `noise` with fresh random numbers."""
        raise NotImplementedError

    def noise(self, shape: Shape) -> Array:
        drawn = "noise" in self.buffers
        noise = self.buffer("noise", shape)
        if self.frozen and drawn:
            return noise
        return self.draw(noise)


@configurable
class Dropout(Noisy):
    """In training y = x · mask, mask = 1 / (1 - p) with probability 1 - p, else 0;  dx = dy · mask. Otherwise y = x.

    Srivastava 2014, as inverted dropout: the factor is applied in training, so E[y] = x and inference needs none.
    """

    bounds: ClassVar = {"p": "[0, 1)"}
    p: float = 0.5

    def draw(self, noise: Array) -> Array:
        keep = 1 - self.p
        return self.ops.keep_mask(self.generator, keep, 1 / keep, out=noise)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = None
        if not train:
            return x
        self.cache = mask = self.noise(x.shape)
        y = self.buffer("y", x.shape)
        return self.ops.multiply(x, mask, out=y)

    def backward(self, dy: Array) -> Array | None:
        mask = self.take_cache()
        if not self.need_dx:
            return None
        dx = self.buffer("dx", dy.shape)
        return self.ops.multiply(dy, mask, out=dx)
