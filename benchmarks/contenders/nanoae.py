"""nanoae: its public engine, one `Trainer.step` per step."""

from __future__ import annotations

from collections.abc import Callable

import nanoae
from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.engine.layers import Layer, activation
from nanoae.engine.losses import Loss

LOSSES: dict[str, Callable[[], Loss]] = {
    "mse": nanoae.MSE,
    "bce": nanoae.BCE,
    "elbo": lambda: nanoae.BCE("batch"),  # the KL is the bottleneck's own penalty
}


LAYERS: dict[str, Callable[..., Layer]] = {
    "linear": lambda n_in, n_out: nanoae.Linear(n_out),
    "conv": lambda n_in, n_out, *window: nanoae.Conv2d(n_out, *window),
    "conv_transpose": lambda n_in, n_out, *window: nanoae.ConvTranspose2d(n_out, *window),
    "norm": lambda channels: nanoae.BatchNorm(),
    "max_pool": nanoae.MaxPool2d,
    "reshape": lambda *shape: nanoae.Reshape(shape),
    "flatten": nanoae.Flatten,
    "gaussian": lambda k: nanoae.Gaussian(),
}


def layers(case: Case) -> list[Layer]:
    return [LAYERS[kind](*sizes) if kind in LAYERS else activation(kind) for kind, *sizes in case.layers()]


def set_weights(network: nanoae.Sequential, case: Case) -> None:
    learning = [layer for layer in network.layers if layer.params]
    for layer, values in zip(learning, case.weights(), strict=True):
        for parameter, value in zip(layer.params.values(), values, strict=True):  # W and b, or gamma and beta
            parameter[...] = value


class Nanoae(Contender):
    def trainer(self, case: Case) -> nanoae.Trainer:
        """A network with the case's weights, its loss, and Adam."""
        variational = case.network == "variational"
        noise = [GaussianNoise(case.noise)] if case.noise and not variational else []
        network = nanoae.Sequential([*noise, *layers(case)]).build(case.widths[0], "numpy", random_state=0)
        set_weights(network, case)
        if variational and not case.noise:  # z = mu
            code = next(layer for layer in network.layers if isinstance(layer, nanoae.Gaussian))
            code.buffers["noise"] = network.ops.zeros((case.batch, *code.out_shape), network.dtype)
            network.freeze_noise(True)
        loss, adam = LOSSES[case.loss](), nanoae.Adam(1e-3)
        shape = {"batch_size": case.batch, "epochs": 1, "rows": case.rows}
        return nanoae.Trainer(network, loss, adam, **shape)

    def train(self, case: Case) -> list[Step]:
        x, batches = case.data()
        trainers = [self.trainer(stage) for stage in case.stages()]
        take_rows, memory = trainers[0].ops.take_rows, trainers[0].x_batch

        def stage(k: int) -> Step:
            *lower, trainer = trainers[: k + 1]

            def step(i):
                rows = batches[i % len(batches)]
                batch = take_rows(x, rows, out=memory[: len(rows)])
                for below in lower:
                    batch = below.network.forward(batch, stop=2)
                return trainer.step(batch, batch)

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
