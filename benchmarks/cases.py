"""The cases: which network is trained on which data. All contenders get the same weights, rows and batches.

A network is a list of layers, each a kind and its sizes; every contender can build each kind. To add a network, add its
list to NETWORKS, and new kinds of layers to the contenders. For a task other than training, add a case whose `task`
names it, and a method of that name to each contender that supports it. A contender that does not raises Unfit, or has
no such method, and shows "-".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

Layer = tuple[Any, ...]
NETWORKS: dict[str, tuple[Layer, ...]] = {
    # linear I O, conv C K kernel stride padding, conv_transpose K C kernel stride padding, norm C,
    # max_pool kernel stride, reshape to the shape of an example, gaussian K: [mu, logvar] (N, 2 K) -> a sample (N, K)
    "variational": (
        ("linear", 784, 400), ("relu",), ("linear", 400, 40),
        ("gaussian", 20),
        ("linear", 20, 400), ("relu",), ("linear", 400, 784),
    ),
    "convolutional": (
        ("reshape", 1, 28, 28),
        ("conv", 1, 16, 3, 3, 1), ("leaky_relu",), ("norm", 16), ("max_pool", 2, 2),
        ("conv", 16, 32, 3, 2, 1), ("leaky_relu",), ("norm", 32), ("max_pool", 2, 1),
        ("conv", 32, 64, 2, 1, 0), ("leaky_relu",), ("norm", 64), ("flatten",),
        ("linear", 64, 2), ("tanh",),
        ("linear", 2, 64), ("leaky_relu",), ("reshape", 64, 1, 1),
        ("conv_transpose", 64, 32, 2, 1, 0), ("leaky_relu",), ("norm", 32),
        ("conv_transpose", 32, 16, 3, 2, 0), ("leaky_relu",), ("norm", 16),
        ("conv_transpose", 16, 8, 5, 3, 1), ("leaky_relu",), ("norm", 8),
        ("conv_transpose", 8, 1, 2, 2, 1), ("tanh",), ("flatten",),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One row of the table.

    widths   of the network, input and output included; for a greedy case those of the encoder
    network  "dense": affine maps of these widths; or one of NETWORKS, whose input, code and output have these widths
    loss     "mse" of the output, or "bce" on logits, both means over all elements; "elbo": minus that, in nats, the BCE
             summed over a row and the KL divergence, means over the rows
    task     "train"        one training step: gather the batch, forward, backward, Adam
             "reconstruct"  the outputs for `batch` rows
    code     activation of the narrowest layer; the other hidden ones have ReLU
    noise    standard deviation of the Gaussian noise added to the input, drawn anew for each step; of a variational
             network's the factor of its code's, 0 for z = mu
    greedy   layer by layer: a step of each layer's own autoencoder, on the codes of the frozen layers below it
    rows     rows of the data set that batches are gathered from
    close    relative difference allowed between the contenders' float32 losses: where batch norms follow each other,
             Adam's first steps, the sign of the gradient, magnify the rounding
    """

    name: str
    widths: tuple[int, ...]
    loss: str
    batch: int
    task: str = "train"
    code: str = "relu"
    noise: float = 0.0
    greedy: bool = False
    rows: int = 60_000
    network: str = "dense"
    close: float = 1e-4

    def __str__(self) -> str:
        batch = (
            f"batch {self.batch}" if self.task == "train" else f"{self.task} {self.batch:,} rows"
        )
        noisy = self.noise and self.network != "variational"  # which always is
        extra = ", greedy" * self.greedy + f", noise {self.noise}" * bool(noisy)
        kind = "" if self.network == "dense" else f"{self.network} "
        return f"{self.name}: {kind}{'-'.join(map(str, self.widths))} {self.loss.upper()}, {batch}{extra}"

    def activations(self) -> list[str]:
        """Of each affine map: "relu", or "identity" (the output, and a linear code)."""
        names = ["relu"] * (len(self.widths) - 1)
        names[len(names) // 2 - 1], names[-1] = self.code, "identity"
        return names

    def layers(self) -> list[Layer]:
        """The network: (kind, *sizes) for each layer."""
        if self.network != "dense":
            return list(NETWORKS[self.network])
        pairs = zip(pairwise(self.widths), self.activations(), strict=True)
        return [layer for (i, o), name in pairs for layer in (("linear", i, o), (name,))]

    def stages(self) -> list[Case]:
        """The networks that are trained: one, or for a greedy case a-b-a for each pair of widths, the lowest first."""
        if not self.greedy:
            return [self]
        return [replace(self, greedy=False, widths=(a, b, a)) for a, b in pairwise(self.widths)]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (rows, D), float32 in [0, 1), a fifth of it not zero, as in MNIST; and row numbers (batches, batch).

        x starts at a multiple of 64 bytes, which is what JAX asks for to use it without a copy.
        """
        size = self.rows * self.widths[0] * 4
        memory = np.empty(size + 64, np.uint8)
        start = -memory.ctypes.data % 64
        x = memory[start : start + size].view(np.float32).reshape(self.rows, self.widths[0])
        np.random.Generator(np.random.SFC64(0)).random(out=x, dtype=np.float32)
        np.multiply(x, 5, out=x)
        np.subtract(x, 4, out=x)
        np.maximum(x, 0, out=x)
        order = np.random.default_rng(1).permutation(self.rows)
        return x, order[: self.rows // self.batch * self.batch].reshape(-1, self.batch)

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """[(W, b), ...] of the layers that have any, He-uniform W and zero b; a function of the layers alone.

        linear W (I, O), conv W (K, C, k, k), conv_transpose W (K, C, k, k), norm gamma (C,) of ones and beta (C,).
        """
        uniform, weights = np.random.default_rng(self.widths).uniform, []
        for kind, *sizes in self.layers():
            if kind == "norm":
                weights.append((np.ones(sizes[0], np.float32), np.zeros(sizes[0], np.float32)))
            if kind not in ("linear", "conv", "conv_transpose"):
                continue
            n_in, n_out, kernel, stride, _ = sizes if len(sizes) == 5 else (*sizes, 1, 1, 0)
            # of the kernel, by an output
            seen = kernel / stride if kind == "conv_transpose" else kernel
            a = (6 / (n_in * seen**2)) ** 0.5
            ends = (n_out, n_in) if kind == "conv" else (n_in, n_out)
            shape = ends if kind == "linear" else (*ends, kernel, kernel)
            weights.append((uniform(-a, a, shape).astype(np.float32), np.zeros(n_out, np.float32)))
        return weights


A = Case("A", (784, 64, 784), "mse", 32)
B = Case("B", (784, 128, 32, 128, 784), "bce", 256)
C = Case("C", (784, 500, 300, 20, 300, 500, 784), "mse", 100)
H = Case("H", (784, 1000, 500, 250, 30, 250, 500, 1000, 784), "bce", 256, code="identity")
CONV = Case("conv", (784, 2, 784), "mse", 100, network="convolutional", close=1e-3)
VAE = Case("VAE", (784, 400, 20, 400, 784), "elbo", 128, noise=1.0, network="variational")
OTHERS = (
    CONV,
    VAE,
    replace(B, name="B-noise", noise=0.5),
    replace(B, name="B-infer", task="reconstruct", rows=10_000, batch=10_000),
    replace(H, name="H-infer", task="reconstruct", rows=10_000, batch=10_000),
    Case("greedy", (784, 1000, 500, 250), "mse", 256, greedy=True),
)
CASES = {case.name: case for case in (A, B, C, H, *OTHERS)}
QUICK = ("A", "B", "C")
