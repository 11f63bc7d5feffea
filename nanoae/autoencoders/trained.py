"""Trained: the parameters that all estimators with a network share."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from nanoae.autoencoders.kinds import (
    Auto,
    Integer,
    Kind,
    Listed,
    Maybe,
    Name,
    Number,
    Rate,
    Seed,
    Text,
)
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.scaled import Scaled
from nanoae.backend import Ops
from nanoae.engine import init, optim
from nanoae.engine.layers import Linear
from nanoae.training.schedules import SCHEDULES, Cosine

BACKENDS = "numpy, cupy (an NVIDIA GPU; cupy:tf32 and cupy:nograph are variants), or auto"


@estimator
class Trained(Scaled):
    """An estimator with a network: the parameters of its training. A subclass adds its own parameters, changes a
    default with `epochs: int = 5`, and removes a parameter with `loss: ClassVar = "mse"`."""

    _: KW_ONLY
    optimizer: Any = parameter(
        "adam",
        Name(optim.OPTIMIZERS, optim.Optimizer, "an Optimizer"),
        "update rule; an Optimizer has its own learning rate and weight decay",
    )
    learning_rate: Any = parameter(1e-3, Rate(SCHEDULES), "step size, or a schedule")
    weight_decay: float = parameter(0.0, Number(), "L2 penalty on the weights")
    batch_size: Any = parameter(
        AUTO, Auto(Integer()), "rows per training step, at most all of them"
    )
    epochs: Any = parameter(
        AUTO,
        Auto(Integer()),
        "passes over the training rows; auto: chosen from their number, with a tenth of them held out for early "
        "stopping and a learning rate that falls to 0",
    )
    initializer: str = parameter("glorot_uniform", Name(init.INITIALIZERS), "initial weights")
    bias_initializer: str = parameter(
        AUTO, Auto(Name(init.INITIALIZERS)), "initial biases; auto: zeros, but see `activation`"
    )
    validation_fraction: Any = parameter(
        AUTO,
        Auto(Number("[0, 1)")),
        "fraction of the training rows held out for validation if there is no validation_data; auto: 0, or with "
        'epochs="auto" a tenth of 50 rows or more',
    )
    patience: Any = parameter(
        AUTO,
        Auto(Maybe(Integer())),
        "stop after this many epochs without a better validation loss, and restore the best weights; auto: None, or "
        'with epochs="auto" half of the epochs',
    )
    on_divergence: str = parameter(
        "stop",
        Name(("stop", "restore")),
        "if a loss or gradient is not finite: raise an error, or return to the end of the last epoch "
        "with half the learning rate",
    )
    callbacks: Any = parameter(
        (),
        Listed("a list of functions", callable),
        "called as callback(trainer, row) after each epoch; returning True stops training",
    )
    processes: int = parameter(1, Integer(), "deprecated: one process uses all cores")
    backend: Any = parameter("auto", Text(Ops), BACKENDS)
    dtype: Any = parameter("float32", Text(type, np.dtype), "float32 or float64")
    random_state: Any = parameter(
        None, Seed(), "random seed of the weights, the order of the rows, and noise"
    )
    verbose: bool = parameter(False, Kind(), "show a progress bar while training")

    def _optimizer(self, first: float = 0) -> optim.Optimizer:
        """Return the optimiser; first > 0: a constant rate decays from `first` times that to 0 along a cosine
        (Loshchilov & Hutter 2017)."""
        rate = self.learning_rate
        if first and not callable(rate):
            rate = Cosine(first * rate)
        return optim.get(self.optimizer, rate, self.weight_decay)

    @property
    def _biases(self) -> str:
        """The initialiser of the biases, except in hidden layers for which the plan chooses another."""
        return "zeros" if self.bias_initializer == AUTO else self.bias_initializer

    def _linear(self, width: int, bias_initializer: str = "") -> Linear:
        return Linear(width, self.initializer, bias_initializer or self._biases)
