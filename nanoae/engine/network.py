"""Sequential: a chain of layers, built once for given shapes, over one flat theta."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from nanoae.backend import Array, Ops, Shape, available, get_ops
from nanoae.backend.array_ops import float_type
from nanoae.configurable import from_configs, to_configs
from nanoae.engine.activations import ACTIVATIONS
from nanoae.engine.layers import Layer, Noisy
from nanoae.engine.params import Parameters
from nanoae.former import former
from nanoae.spelling import did_you_mean


class Sequential:
    """y = f_L(... f_2(f_1(x))); backward applies the chain rule in reverse order.

    >>> net = Sequential([Linear(32), ReLU(), Linear(784)]).build((784,), random_state=0)
    >>> y = net.forward(x, train=True)          # (N, 784), the last layer's buffer
    >>> net.backward(dy)                        # fills net.grad, (P,)

    input_shape   shape of one example: (784,) or (1, 28, 28)
    ops           an Ops object, or the name of a backend ("numpy", "cupy", "auto")
    dtype         "float32" or "float64"
    random_state  int, SeedSequence or None: seed of the initial weights and of the noise
    state         arrays from `state()` of a network of the same shape, used instead of initial weights
    """

    def __init__(self, layers: list[Layer]):
        self.layers = list(layers)
        for layer in self.layers:
            if not isinstance(layer, Layer):
                known = [cls.__name__ for cls in ACTIVATIONS.values()]
                hint = did_you_mean(layer, known)
                raise ValueError(f"Sequential: expected layers like ReLU(), got {layer!r}.{hint}")
        if len({id(layer) for layer in self.layers}) < len(self.layers):
            got = "the same object twice. Create a second one."
            raise ValueError(f"Sequential: expected each layer once, got {got}")

    def build(
        self,
        input_shape: int | Shape,
        ops: Ops | str = "numpy",
        dtype: Any = "float32",
        random_state: int | np.random.SeedSequence | None = None,
        state: list[Array] | None = None,
    ) -> Sequential:
        """Infer the shapes, allocate theta and grad (P,), and draw the weights or copy them from `state`."""
        self.input_shape: Shape = tuple(np.atleast_1d(input_shape).tolist())
        self.ops = get_ops(ops)
        self.dtype = float_type(dtype)
        seed = random_state
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        self.seed = {"entropy": seed.entropy, "spawn_key": seed.spawn_key}
        weights, noise = seed.spawn(2)
        rng = np.random.default_rng(weights)
        generator = self.ops.generator(noise)
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.build(self.ops, shape, self.dtype)
            layer.generator = generator
        self.output_shape = shape
        theta = None if state is None else state[0]
        self.parameters = Parameters(self.ops, self.layers, self.dtype, rng, theta)
        # The gradient of the data is not needed: no dx up to and including the first layer with parameters.
        learning = [i for i, layer in enumerate(self.layers) if layer.params]
        first = learning[0] if learning else 0
        for i, layer in enumerate(self.layers):
            layer.need_dx = i > first
        if state is not None:
            self.set_state(state)
        return self

    @property
    def theta(self) -> Array:
        """All trained parameters, (P,). Assigning copies the values into it, since the layers hold views of it."""
        return self.parameters.theta

    @theta.setter
    def theta(self, values: Array) -> None:
        self.ops.copy(values, out=self.theta)

    @property
    def grad(self) -> Array:
        """dLoss/dtheta (P,), written by `backward`."""
        return self.parameters.grad

    def check_views(self) -> None:
        """Raise ValueError if a layer's parameters are no longer views of theta: they would not be trained or saved."""
        views = set(map(id, self.parameters.views))
        for layer in self.layers:
            arrays = [*layer.params.values(), *layer.grads.values()]
            if not views.issuperset(map(id, arrays)):
                hint = "Write into the arrays made by build: params[name][...] = values."
                raise layer.mistake("parameters that are views of theta", "other arrays", hint)

    def forward(
        self, x: Array, train: bool = False, start: int = 0, stop: int | None = None
    ) -> Array:
        """Apply layers start .. stop-1 to x (N, *shape)."""
        if not hasattr(self, "ops"):
            raise RuntimeError("Sequential: expected build(input_shape) before forward.")
        self.ops.check_device(x)
        for layer in self.layers[start:stop]:
            x = layer.forward(x, train)
        return x

    def backward(self, dy: Array) -> Array | None:
        """Write dLoss/dtheta to `grad`, given dy = dLoss/dy (N, *output_shape). Return dLoss/dx, None if not needed."""
        dx: Array | None = self.ops.check_device(dy)
        if dy.shape[1:] != self.output_shape:
            wanted = f"dy with the output's shape (N, *{self.output_shape})"
            raise ValueError(f"Sequential: expected {wanted}, got {dy.shape}.")
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
            if dx is None:
                break
        return dx

    def with_layers(self, layers: list[Layer]) -> Sequential:
        """Return a network of `layers` that shares this network's theta, grad and views."""
        result = Sequential(layers)
        vars(result).update(vars(self), layers=result.layers)
        return result

    def penalty(self) -> Array | float:
        """Return the sum of the layers' own loss terms (sparsity, KL divergence) in the last training forward."""
        total = 0
        for layer in self.layers:
            if layer.penalty is not None:
                total = self.ops.call(operator.add, total, layer.penalty)
        return total

    def state(self) -> list[Array]:
        """Return everything learned: [theta, *the layers' running statistics]."""
        self.check_views()
        found = [self.theta]
        for layer in self.layers:
            found += layer.state.values()
        return found

    def arrays(self) -> list[np.ndarray]:
        """`state` on the host."""
        return [self.ops.to_numpy(array) for array in self.state()]

    def set_state(self, arrays: list[Any]) -> None:
        """Copy `arrays` (on host or device) into `state()`. Raises ValueError for other shapes."""
        for mine, theirs in zip(self.state(), arrays, strict=True):
            if mine.shape != theirs.shape:
                wanted = f"an array of shape {mine.shape}"
                raise ValueError(f"Sequential: expected {wanted}, got {theirs.shape}.")
            values = self.ops.to_device(theirs, self.dtype)
            self.ops.copy(values, out=mine)

    def to(self, ops: Ops | str = "numpy", dtype: Any = "float64") -> Sequential:
        """Return a copy of the network on another backend or in another precision."""
        network = Sequential(from_configs(to_configs(self.layers)))
        return network.build(self.input_shape, ops, dtype, 0, self.arrays())

    rewritten = former("Sequential.rewritten", with_layers)
    rebuilt = former("Sequential.rebuilt", to)

    def __getstate__(self) -> dict[str, Any]:
        """Return configs and arrays, for pickle and deepcopy: copied as they are, views would detach from theta."""
        layers = to_configs(self.layers)
        if not hasattr(self, "theta"):
            return {"layers": layers}
        build = (self.input_shape, self.ops.backend, self.dtype.name, self.seed)
        return {"layers": layers, "build": build, "arrays": self.arrays()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.layers = from_configs(state["layers"])
        if "build" in state:
            shape, ops, dtype, seed = state["build"]
            seed = np.random.SeedSequence(**seed)
            self.build(shape, available(ops), dtype, seed, state["arrays"])

    def freeze_noise(self, frozen: bool) -> None:
        """Make every noisy layer reuse its last noise (True) or draw new noise at each forward (False)."""
        for layer in self.layers:
            if isinstance(layer, Noisy):
                layer.frozen = frozen

    def first_not_finite(self) -> tuple[str, bool]:
        """Return (where the first NaN or infinity arose, as text; True if that was in the last backward).

        Gradients are checked first, from the last layer: a bad one spreads to earlier layers, then to all weights.
        """
        layers = list(enumerate(self.layers))
        for i, layer in reversed(layers):
            for name, grad in layer.grads.items():
                if not self.is_finite(grad):
                    return f"layer {i}, {layer}: the gradient of its {name}", True
        for i, layer in layers:
            arrays = layer.params | {"output": layer.buffers.get("y", 0)}
            for name, array in arrays.items():
                if not self.is_finite(array):
                    return f"layer {i}, {layer}: its {name}", False
        return "no layer, so the loss itself", False

    def is_finite(self, array: Array) -> bool:
        return bool(np.isfinite(self.ops.to_numpy(array)).all())

    @property
    def finite(self) -> bool:
        """True if everything learned is finite."""
        return all(map(self.is_finite, self.state()))

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self.layers))}])"
