"""The cases: what is trained, on what. Every contender gets the same weights, the same rows and the same batches.

To add a model: add a case whose `task` names it, and a method of that name to each contender that can run it. One
without that method shows "-".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Case:
    """One row of the table.

    widths   of the network, input and output included; for a greedy case those of the encoder
    loss     "mse" with a linear output, or "bce" on logits; both are means over all elements
    task     "train"        one training step: gather the batch, forward, backward, Adam
             "reconstruct"  the outputs for `batch` rows
    code     activation of the narrowest layer; the other hidden ones have ReLU
    noise    standard deviation of the Gaussian noise added to the input, drawn anew for each step
    greedy   layer by layer: a step of each layer's own autoencoder, on the codes of the frozen layers below it
    rows     rows of the data set that batches are gathered from
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

    def __str__(self) -> str:
        batch = f"batch {self.batch}" if self.task == "train" else f"{self.task} {self.batch:,} rows"
        extra = ", greedy" * self.greedy + f", noise {self.noise}" * bool(self.noise)
        return f"{self.name}: {'-'.join(map(str, self.widths))} {self.loss.upper()}, {batch}{extra}"

    def activations(self) -> list[str]:
        """Of each affine map: "relu", or "identity" (the output, and a linear code)."""
        names = ["relu"] * (len(self.widths) - 1)
        names[len(names) // 2 - 1], names[-1] = self.code, "identity"
        return names

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
        """[(W (I, O), b (O,)), ...]: He-uniform W, zero b; a function of the widths alone."""
        uniform = np.random.default_rng(self.widths).uniform
        return [
            (uniform(-((6 / i) ** 0.5), (6 / i) ** 0.5, (i, o)).astype(np.float32), np.zeros(o, np.float32))
            for i, o in pairwise(self.widths)
        ]


A = Case("A", (784, 64, 784), "mse", 32)
B = Case("B", (784, 128, 32, 128, 784), "bce", 256)
C = Case("C", (784, 500, 300, 20, 300, 500, 784), "mse", 100)
H = Case("H", (784, 1000, 500, 250, 30, 250, 500, 1000, 784), "bce", 256, code="identity")
OTHERS = (
    replace(B, name="B-noise", noise=0.5),
    replace(B, name="B-infer", task="reconstruct", rows=10_000, batch=10_000),
    replace(H, name="H-infer", task="reconstruct", rows=10_000, batch=10_000),
    Case("greedy", (784, 1000, 500, 250), "mse", 256, greedy=True),
)
CASES = {case.name: case for case in (A, B, C, H, *OTHERS)}
QUICK = ("A", "B", "C")
