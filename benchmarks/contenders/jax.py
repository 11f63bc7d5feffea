"""JAX: the whole step, gather and optax's Adam included, in one `jax.jit` with its state donated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import lax

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit

BCE = optax.sigmoid_binary_cross_entropy
LOSSES = {
    "mse": lambda y, t: jnp.mean(optax.squared_error(y, t)),
    "bce": lambda y, t: jnp.mean(BCE(y, t)),
    "elbo": lambda y, t: jnp.sum(BCE(y, t)) / len(y),
}


def leaky_relu(x):
    """As everywhere else its derivative at 0 is the small one; jax.nn's is 1, and a black patch has many zeros."""
    return jnp.where(x > 0, x, 0.01 * x)


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": leaky_relu,
    "tanh": jnp.tanh,
    "identity": jnp.asarray,
}
MOMENTUM = 0.1  # of the running statistics


def apply(parameters, layers, x, draw=None):
    """The output for x, of each normalisation the batch's (mean, unbiased variance), and the KL divergence of a random
    code, whose noise draw(shape) gives."""
    weights, statistics, kl = iter(parameters), [], 0.0
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
            x = (
                lax.conv_general_dilated(x, W, (stride, stride), [(padding, padding)] * 2)
                + b[:, None, None]
            )
        elif kind == "conv_transpose":
            # the adjoint: the kernel turned round, over x with stride - 1 zeros in between
            (W, b), (*_, kernel, stride, padding) = next(weights), sizes
            W, border = W[:, :, ::-1, ::-1].swapaxes(0, 1), [(kernel - 1 - padding,) * 2] * 2
            x = (
                lax.conv_general_dilated(x, W, (1, 1), border, lhs_dilation=(stride, stride))
                + b[:, None, None]
            )
        elif kind == "norm":
            (gamma, beta), axes, n = next(weights), (0, 2, 3), x.size // x.shape[1]
            mean, var = x.mean(axes), x.var(axes)
            statistics.append((mean, var * n / (n - 1)))
            scale = gamma * lax.rsqrt(var + 1e-5)
            x = (x - mean[:, None, None]) * scale[:, None, None] + beta[:, None, None]
        elif kind == "gaussian":
            mu, logvar = jnp.split(x, 2, axis=1)
            x = mu + jnp.exp(logvar / 2) * draw(mu.shape)
            kl = jnp.sum(mu**2 + jnp.exp(logvar) - 1 - logvar) / (2 * len(mu))
        else:
            raise Unfit(f"has no {kind}")
    return x, statistics, kl


class Model:
    """The state that a step updates, (parameters, Adam's moments, step number, random key, running statistics), and
    that step."""

    def __init__(self, case: Case, x, batches):
        adam, layers, variational = optax.adam(1e-3), case.layers(), case.network == "variational"

        def loss(parameters, noisy, batch, draw):
            y, statistics, kl = apply(parameters, layers, noisy, draw)
            return LOSSES[case.loss](y, batch) + kl, statistics

        def step(state, x, batches, encoders):
            parameters, moments, i, key, running = state
            batch = x.at[batches[i % len(batches)]].get(mode="promise_in_bounds")
            batch = noisy = apply(encoders, [("linear",), ("relu",)] * len(encoders), batch)[0]
            key, now = jax.random.split(key) if case.noise else (key, key)

            def draw(shape):
                return case.noise * jax.random.normal(now, shape) if case.noise else 0.0

            if not variational:
                noisy = batch + draw(batch.shape)
            (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(
                parameters, noisy, batch, draw
            )
            updates, moments = adam.update(gradient, moments)
            running = jax.tree.map(
                lambda old, new: (1 - MOMENTUM) * old + MOMENTUM * new, running, statistics
            )
            return (optax.apply_updates(parameters, updates), moments, i + 1, key, running), value

        parameters = [(jnp.array(W), jnp.array(b)) for W, b in case.weights()]
        channels = [sizes[0] for kind, *sizes in layers if kind == "norm"]
        running = [(jnp.zeros(n), jnp.ones(n)) for n in channels]
        self.state = (parameters, adam.init(parameters), jnp.int32(0), jax.random.key(0), running)
        self.x, self.batches, self.jitted = x, batches, jax.jit(step, donate_argnums=0)

    def step(self, below):
        self.state, loss = self.jitted(
            self.state, self.x, self.batches, [model.state[0][0] for model in below]
        )
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
        x, parameters = (
            jax.device_put(case.data()[0]),
            [(jnp.array(W), jnp.array(b)) for W, b in case.weights()],
        )
        output = jax.nn.sigmoid if case.loss == "bce" else jnp.asarray
        network = jax.jit(lambda parameters, x: output(apply(parameters, case.layers(), x)[0]))
        return [lambda i: network(parameters, x)]
