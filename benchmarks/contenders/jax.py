"""JAX: the whole step, gather and optax's Adam included, in one `jax.jit` with its state donated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step

LOSSES = {"mse": optax.squared_error, "bce": optax.sigmoid_binary_cross_entropy}


def apply(parameters, activations, x):
    for (W, b), name in zip(parameters, activations, strict=True):
        x = x @ W + b
        x = jax.nn.relu(x) if name == "relu" else x
    return x


class Model:
    """The state that a step updates, (parameters, Adam's moments, step number, random key), and that step."""

    def __init__(self, case: Case, x, batches):
        adam, activations = optax.adam(1e-3), case.activations()

        def loss(parameters, noisy, batch):
            return jnp.mean(LOSSES[case.loss](apply(parameters, activations, noisy), batch))

        def step(state, x, batches, encoders):
            parameters, moments, i, key = state
            batch = x.at[batches[i % len(batches)]].get(mode="promise_in_bounds")
            batch = noisy = apply(encoders, ["relu"] * len(encoders), batch)
            if case.noise:
                key, now = jax.random.split(key)
                noisy = batch + case.noise * jax.random.normal(now, batch.shape)
            value, gradient = jax.value_and_grad(loss)(parameters, noisy, batch)
            updates, moments = adam.update(gradient, moments)
            return (optax.apply_updates(parameters, updates), moments, i + 1, key), value

        parameters = [(jnp.array(W), jnp.array(b)) for W, b in case.weights()]
        self.state = (parameters, adam.init(parameters), jnp.int32(0), jax.random.key(0))
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
        network = jax.jit(lambda parameters, x: output(apply(parameters, case.activations(), x)))
        return [lambda i: network(parameters, x)]
