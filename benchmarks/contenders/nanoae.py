"""nanoae: its public engine, one `Trainer.step` per step."""

from __future__ import annotations

import nanoae
from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.engine.layers import Layer, activation

LOSSES = {"mse": nanoae.MSE, "bce": nanoae.BCE}


def set_weights(network: nanoae.Sequential, case: Case) -> None:
    linears = [layer for layer in network.layers if isinstance(layer, nanoae.Linear)]
    for linear, (W, b) in zip(linears, case.weights(), strict=True):
        linear.params["W"][...], linear.params["b"][...] = W, b


class Nanoae(Contender):
    def trainer(self, case: Case) -> nanoae.Trainer:
        """A network with the case's weights, its loss, and Adam."""
        pairs = zip(case.widths[1:], case.activations(), strict=True)
        layers: list[Layer] = [layer for width, name in pairs for layer in (nanoae.Linear(width), activation(name))]
        if case.noise:
            layers.insert(0, GaussianNoise(case.noise))
        network = nanoae.Sequential(layers).build(case.widths[0], "numpy", random_state=0)
        set_weights(network, case)
        loss, adam = LOSSES[case.loss](), nanoae.Adam(1e-3)
        return nanoae.Trainer(network, loss, adam, batch_size=case.batch, epochs=1, rows=case.rows)

    def train(self, case: Case) -> list[Step]:
        x, batches = case.data()
        trainers = [self.trainer(stage) for stage in case.stages()]
        take_rows, memory = trainers[0].ops.take_rows, trainers[0].x_batch

        def stage(k: int) -> Step:
            def step(i):
                batch = take_rows(x, batches[i % len(batches)], out=memory)
                for below in trainers[:k]:
                    batch = below.network.forward(batch, stop=2)
                return trainers[k].step(batch, batch)

            return step

        return [stage(k) for k in range(len(trainers))]

    def reconstruct(self, case: Case) -> list[Step]:
        (x, _), middle = case.data(), len(case.widths) // 2
        model = nanoae.Autoencoder(
            case.widths[middle],
            case.widths[1:middle],
            code_activation=case.code,
            loss=case.loss,
            epochs=1,
            backend="numpy",
            random_state=0,
        ).fit(x[:2])
        set_weights(model.network_, case)
        return [lambda i: model.reconstruct(x)]
