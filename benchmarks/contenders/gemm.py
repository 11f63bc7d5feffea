"""The floor: only the matrix products of a step, computed as nanoae does: with the same library and threads, recorded
and replayed, into existing memory. With `np.matmul`, small products take longer than a whole step."""

from __future__ import annotations

import numpy as np

import nanoae
from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit

Product = tuple[np.ndarray, np.ndarray, np.ndarray]


def products(case: Case) -> tuple[list[Product], list[Product]]:
    """(a, b, out) of every  out = a b  in a forward, and in the backward, in their order."""
    random = np.random.default_rng(0).random
    x, dx = ([random((case.batch, width), np.float32) for width in case.widths] for _ in range(2))
    W = [weight for weight, _ in case.weights()]
    forward = [(x[i], W[i], x[i + 1]) for i in range(len(W))]
    backward: list[Product] = []
    for i in reversed(range(len(W))):
        backward.append((x[i].T, dx[i + 1], np.empty_like(W[i])))  # dW = xᵀ dy
        if i:
            backward.append((dx[i + 1], W[i].T, dx[i]))  # dx = dy Wᵀ
    return forward, backward


class Products:
    """Products, one after the other, and all of them again and again."""

    def __init__(self, todo: list[Product]):
        self.todo = todo
        self.ops = nanoae.get_ops("numpy")
        self.repeated = self.ops.repeated()

    def multiply(self) -> None:
        for a, b, out in self.todo:
            self.ops.matmul(a, b, out=out)

    def run(self, count: int) -> float:
        self.repeated.run("products", self.multiply, count)
        return 0.0

    def __call__(self, i: int) -> float:
        return self.run(1)


class Gemm(Contender):
    same_loss = False  # it computes none

    def run(self, step, first, count):
        return step.run(count)

    def build(self, case: Case) -> list[Step]:
        if case.network != "dense":
            raise Unfit("knows the products of dense networks only")
        return super().build(case)

    def train(self, case: Case) -> list[Step]:
        stages = [products(stage) for stage in case.stages()]
        encoders = [forward[0] for forward, _ in stages]
        return [
            Products(encoders[:k] + forward + backward)
            for k, (forward, backward) in enumerate(stages)
        ]

    def reconstruct(self, case: Case) -> list[Step]:
        return [Products(products(case)[0])]
