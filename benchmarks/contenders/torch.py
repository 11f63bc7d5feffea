"""PyTorch: eager with the fused Adam, and compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit

BLOCK = 2000  # rows at a time of a reconstruction, which stay in the cache: 1.7 times faster than all 10,000 at once
BCE = functional.binary_cross_entropy_with_logits
LOSSES: dict[str, Any] = {
    "mse": functional.mse_loss,
    "bce": BCE,
    "elbo": lambda y, t: BCE(y, t, reduction="sum") / len(y),
}


LAYERS: dict[str, Callable[..., torch.nn.Module]] = {
    "linear": torch.nn.Linear,
    "conv": torch.nn.Conv2d,
    "conv_transpose": torch.nn.ConvTranspose2d,
    "norm": torch.nn.BatchNorm2d,
    "max_pool": torch.nn.MaxPool2d,
    "reshape": lambda *shape: torch.nn.Unflatten(1, shape),
    "flatten": torch.nn.Flatten,
    "gaussian": lambda k: torch.nn.Identity(),  # the model itself draws from it
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "tanh": torch.nn.Tanh,
}


def network(case: Case) -> torch.nn.Sequential:
    """The case's network, with PyTorch's own weights."""
    return torch.nn.Sequential(
        *(LAYERS[kind](*sizes) for kind, *sizes in case.layers() if kind != "identity")
    )


def set_weights(network: torch.nn.Sequential, case: Case) -> None:
    learning = [layer for layer in network if list(layer.parameters())]
    for layer, (W, b) in zip(learning, case.weights(), strict=True):
        W = W.T.copy() if isinstance(layer, torch.nn.Linear) else W
        layer.weight.data, layer.bias.data = torch.from_numpy(W), torch.from_numpy(b)


class Model:
    """A network with the case's weights. `forward`, the loss of a batch, is what gets compiled."""

    def __init__(self, case: Case, compiled: Callable):
        self.network = network(case)
        set_weights(self.network, case)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.noise, loss = case.noise, LOSSES[case.loss]
        self.noise_shape = case.batch, case.widths[0]

        def forward(batch: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
            return loss(self.network(batch if noise is None else batch + noise), batch)

        def minus_elbo(batch: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
            mu, logvar = encode(batch).chunk(2, 1)
            z = mu if noise is None else mu + (logvar / 2).exp() * noise
            return loss(decode(z), batch) + (mu**2 + logvar.exp() - 1 - logvar).sum() / (
                2 * len(batch)
            )

        if case.network == "variational":
            layers = list(self.network)
            middle = next(i for i, (kind, *_) in enumerate(case.layers()) if kind == "gaussian")
            encode, decode = (
                torch.nn.Sequential(*layers[:middle]),
                torch.nn.Sequential(*layers[middle:]),
            )
            self.noise_shape = case.batch, case.layers()[middle][1]
            forward = minus_elbo
        self.forward = compiled(forward)

    def step(self, batch: torch.Tensor) -> torch.Tensor:
        # Drawn outside of what is compiled: inside, torch.compile has a slower generator.
        noise = torch.empty(self.noise_shape).normal_(0, self.noise) if self.noise else None
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(batch, noise)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class Torch(Contender):
    def start(self, threads):
        # Adam's moments of dead units decay to denormals, which cost it half its speed
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)

    def compiled(self, function):
        return function

    def train(self, case: Case) -> list[Step]:
        x, batches = case.data()
        images, rows = torch.from_numpy(x), torch.from_numpy(batches).unbind()
        memory = torch.empty(case.batch, case.widths[0])
        models = [Model(stage, self.compiled) for stage in case.stages()]

        def stage(k: int) -> Step:
            encoder = torch.nn.Sequential(
                *(layer for below in models[:k] for layer in list(below.network)[:2])
            )
            encode = self.compiled(encoder) if k else None

            def step(i):
                # index_select into kept memory is faster than x[rows]
                batch = torch.index_select(images, 0, rows[i % len(rows)], out=memory)
                if encode is not None:
                    with torch.no_grad():
                        batch = encode(batch)
                return models[k].step(batch)

            return step

        return [stage(k) for k in range(len(models))]

    def reconstruct(self, case: Case) -> list[Step]:
        x, network = (
            torch.from_numpy(case.data()[0]),
            Model(case, self.compiled).network.requires_grad_(False),
        )
        network = self.compiled(
            torch.nn.Sequential(network, torch.nn.Sigmoid()) if case.loss == "bce" else network
        )

        def step(i):
            y = torch.empty_like(x)
            with torch.inference_mode():
                for rows, out in zip(x.split(BLOCK), y.split(BLOCK), strict=True):
                    out.copy_(network(rows))
            return y

        return [step]


class TorchCompile(Torch):
    """Forward and loss compiled, and so their backward; the optimiser is the fused one, which is faster."""

    def start(self, threads):
        if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))):
            raise Unfit("needs a C++ compiler (g++ or clang++), found none")
        super().start(threads)

    def compiled(self, function):
        # With channels last, PyTorch 2.13 compiles the BatchNorm of (100, 8, 15, 15) to wrong numbers on CPUs.
        return torch.compile(
            function, fullgraph=True, dynamic=False, options={"layout_optimization": False}
        )
