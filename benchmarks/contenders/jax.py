"""JAX: the whole step, gather and optax's Adam included, in one `jax.jit` with its state donated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import lax

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit

LOSSES = {"mse": optax.squared_error, "bce": optax.sigmoid_binary_cross_entropy}


def leaky_relu(x):
    """As everywhere else its derivative at 0 is the small one; jax.nn's is 1, and a black patch has many zeros."""
    return jnp.where(x > 0, x, 0.01 * x)


ACTIVATIONS = {"relu": jax.nn.relu, "leaky_relu": leaky_relu, "tanh": jnp.tanh, "identity": jnp.asarray}
MOMENTUM = 0.1  # of the running statistics


def apply(parameters, layers, x):
    """The output for x, and of each normalisation the batch's (mean, unbiased variance)."""
    weights, statistics = iter(parameters), []
    for kind, *sizes in layers:
        if kind in ACTIVATIONS:
            x = ACTIVATIONS[kind](x)
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        elif kind == "reshape":
            x = x.reshape(len(x), *sizes)
        elif kind == "max_pool":
            window, step = ((1, 1, size, size) for size in sizes)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, step, "VALID")
        elif kind == "linear":
            W, b = next(weights)
            x = x @ W + b
        elif kind == "conv":
            (W, b), (*_, stride, padding) = next(weights), sizes
            x = lax.conv_general_dilated(x, W, (stride, stride), [(padding, padding)] * 2) + b[:, None, None]
        elif kind == "conv_transpose":  # the adjoint: the kernel turned round, over x with stride - 1 zeros in between
            (W, b), (*_, kernel, stride, padding) = next(weights), sizes
            W, border = W[:, :, ::-1, ::-1].swapaxes(0, 1), [(kernel - 1 - padding,) * 2] * 2
            x = lax.conv_general_dilated(x, W, (1, 1), border, lhs_dilation=(stride, stride)) + b[:, None, None]
        elif kind == "norm":
            (gamma, beta), axes, n = next(weights), (0, 2, 3), x.size // x.shape[1]
            mean, var = x.mean(axes), x.var(axes)
            statistics.append((mean, var * n / (n - 1)))
            scale = gamma * lax.rsqrt(var + 1e-5)
            x = (x - mean[:, None, None]) * scale[:, None, None] + beta[:, None, None]
        else:
            raise Unfit(f"has no {kind}")
    return x, statistics


class Model:
    """The state that a step updates, (parameters, Adam's moments, step number, random key, running statistics), and
    that step."""

    def __init__(self, case: Case, x, batches):
        adam, layers = optax.adam(1e-3), case.layers()

        def loss(parameters, noisy, batch):
            y, statistics = apply(parameters, layers, noisy)
            return jnp.mean(LOSSES[case.loss](y, batch)), statistics

        def step(state, x, batches, encoders):
            parameters, moments, i, key, running = state
            batch = x.at[batches[i % len(batches)]].get(mode="promise_in_bounds")
            batch = noisy = apply(encoders, [("linear",), ("relu",)] * len(encoders), batch)[0]
            if case.noise:
                key, now = jax.random.split(key)
                noisy = batch + case.noise * jax.random.normal(now, batch.shape)
            (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(parameters, noisy, batch)
            updates, moments = adam.update(gradient, moments)
            running = jax.tree.map(lambda old, new: (1 - MOMENTUM) * old + MOMENTUM * new, running, statistics)
            return (optax.apply_updates(parameters, updates), moments, i + 1, key, running), value

        parameters = [(jnp.array(W), jnp.array(b)) for W, b in case.weights()]
        channels = [sizes[0] for kind, *sizes in layers if kind == "norm"]
        running = [(jnp.zeros(n), jnp.ones(n)) for n in channels]
        self.state = (parameters, adam.init(parameters), jnp.int32(0), jax.random.key(0), running)
        self.x, self.batches, self.jitted = x, batches, jax.jit(step, donate_argnums=0)

    def step(self, below):
        self.state, loss = self.jitted(self.state, self.x, self.batches, [model.state[0][0] for model in below])
        return loss


class Jax(Contender):
    def wait(self, result):
        jax.block_until_ready(result)

    def train(self, case: Case) -> list[Step]:
        x, batches = case.data()
        data = jax.device_put(x), jax.device_put(batches.astype("int32"))
        models = [Model(stage, *data) for stage in case.stages()]

        def stage(k: int) -> Step:
            return lambda i: models[k].step(models[:k])

        return [stage(k) for k in range(len(models))]

    def reconstruct(self, case: Case) -> list[Step]:
        x, parameters = jax.device_put(case.data()[0]), [(jnp.array(W), jnp.array(b)) for W, b in case.weights()]
        output = jax.nn.sigmoid if case.loss == "bce" else jnp.asarray
        network = jax.jit(lambda parameters, x: output(apply(parameters, case.layers(), x)[0]))
        return [lambda i: network(parameters, x)]
