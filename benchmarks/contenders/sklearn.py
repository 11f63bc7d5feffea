"""scikit-learn: `MLPRegressor.partial_fit` on one batch. It has no logits, and ReLU on every hidden layer."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPRegressor

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit


class Sklearn(Contender):
    same_loss = False  # half the squared error, and a small difference in Adam's eps

    def start(self, threads):
        warnings.simplefilter("ignore")

    def train(self, case: Case) -> list[Step]:
        if (
            case.loss != "mse"
            or case.code != "relu"
            or case.noise
            or case.greedy
            or case.network != "dense"
        ):
            raise Unfit(
                "has only squared error, dense layers with ReLU, no noise and no greedy training"
            )
        x, batches = case.data()
        model = MLPRegressor(
            hidden_layer_sizes=case.widths[1:-1], alpha=0.0, batch_size=case.batch, shuffle=False
        )

        def step(i):
            batch = np.take(x, batches[i % len(batches)], axis=0)
            return model.partial_fit(batch, batch).loss_

        return [step]
