"""nanoae: the steps of `Trainer.epoch`, as every `fit` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nanoae
from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.engine.activations import activation
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.training.runner import RowWindow

LOSSES: dict[str, Callable[[], Loss]] = {
    "mse": nanoae.MSE,
    "bce": nanoae.BCE,
    "elbo": lambda: nanoae.BCE("batch"),  # the KL is the bottleneck's own penalty
}

BLOCK = 1024  # rows that are encoded at once
AHEAD = 32  # batches that are encoded before they are learned from

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
    return [
        LAYERS[kind](*sizes) if kind in LAYERS else activation(kind)
        for kind, *sizes in case.layers()
    ]


def set_weights(network: nanoae.Sequential, case: Case) -> None:
    learning = [layer for layer in network.layers if layer.params]
    for layer, values in zip(learning, case.weights(), strict=True):
        # W and b, or gamma and beta
        for parameter, value in zip(layer.params.values(), values, strict=True):
            network.ops.copy(network.ops.to_device(value), out=parameter)


class Stage:
    """The training of one stage of a case. Called with a number, it does that step, and gives its loss.

    lower   the trainers of the stages below, whose encoders make this one's data
    """

    def __init__(
        self,
        trainer: nanoae.Trainer,
        lower: list[nanoae.Trainer],
        x: np.ndarray,
        batches: np.ndarray,
    ):
        self.trainer, self.lower, self.batches = trainer, lower, batches
        self.x = trainer.ops.to_device(x)
        self.ahead = min(len(batches), AHEAD) * batches.shape[1] if lower else batches.size
        rows = self.ahead if lower else 0
        self.codes = trainer.ops.empty((rows, *trainer.network.input_shape), trainer.network.dtype)

    def __call__(self, i: int) -> float:
        return float(self.run(i, 1)) / self.batches.shape[1]

    def run(self, first: int, count: int) -> Any:
        """So many steps; the sum of the last ones' losses, each times its rows."""
        order = self.batches[np.arange(first, first + count) % len(self.batches)].reshape(-1)
        total = None
        for start in range(0, len(order), self.ahead):
            total = self.epoch(order[start : start + self.ahead])
        return total

    def epoch(self, order: np.ndarray) -> Any:
        """As in an epoch of `fit`."""
        runner, x = self.trainer.runner, self.x
        if self.lower:
            order, x = self.encoded(order)
        return runner.run(self.trainer, RowWindow(order, (x, None, 1.0)))

    def encoded(self, order: np.ndarray) -> tuple[np.ndarray, Any]:
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK]
            codes = self.x[rows]
            for trainer in self.lower:
                codes = trainer.fast.forward(codes, stop=1)
            self.trainer.ops.copy(codes, out=self.codes[start : start + len(rows)])
        return np.arange(len(order)), self.codes


class Nanoae(Contender):
    backend = "numpy"

    def trainer(self, case: Case) -> nanoae.Trainer:
        """A network with the case's weights, its loss, and Adam."""
        try:
            ops = nanoae.get_ops(self.backend)
        except nanoae.BackendError as error:
            raise Unfit(str(error)) from error
        variational = case.network == "variational"
        noise = [GaussianNoise(case.noise)] if case.noise and not variational else []
        network = nanoae.Sequential([*noise, *layers(case)]).build(
            case.widths[0], ops, random_state=0
        )
        set_weights(network, case)
        if variational and not case.noise:  # z = mu
            code = next(layer for layer in network.layers if isinstance(layer, nanoae.Gaussian))
            code.buffers["noise"] = ops.zeros((case.batch, *code.out_shape), network.dtype)
            network.freeze_noise(True)
        loss, adam = LOSSES[case.loss](), nanoae.Adam(1e-3)
        shape = {"batch_size": case.batch, "epochs": 1, "rows": case.rows}
        return nanoae.Trainer(network, loss, adam, **shape)

    def train(self, case: Case) -> list[Step]:
        trainers, data = [self.trainer(stage) for stage in case.stages()], case.data()
        return [Stage(trainer, trainers[:k], *data) for k, trainer in enumerate(trainers)]

    def run(self, step, first, count):
        return (
            step.run(first, count) if isinstance(step, Stage) else super().run(step, first, count)
        )

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
        ).fit(x[:256])
        set_weights(model.network_, case)
        return [lambda i: model.reconstruct(x)]
