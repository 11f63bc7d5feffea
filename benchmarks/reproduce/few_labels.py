"""Few labels: 60,000 images, 1,000 of them labelled. How much do the other 59,000 help?

A stacked denoising classifier is pretrained on all images and trained on the labelled ones; the same network, from
random weights and with dropout like the other, has the labelled ones alone. (Erhan 2010 asks what pretraining does.)
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options

LABELS, TARGET = 1000, 15.0  # per cent fewer errors than without pretraining
SETTINGS = {
    "sizes": (500, 500, 500),
    "corruption": nanoae.MaskingNoise(0.5),
    "activation": "relu",
    "initializer": "he_normal",
    "pretrain_loss": "bce",
    "pretrain_epochs": 8,
    "pretrain_learning_rate": nanoae.Cosine(1e-3),
    "dropout": (0.2, 0.3),
    "learning_rate": nanoae.Cosine(1e-3),
    "epochs": 150,
    "batch_size": 100,
}
QUICK = {"sizes": (20, 20, 20), "pretrain_epochs": 1, "epochs": 1, "batch_size": 64}


def main() -> int:
    args = options(__doc__, seeds=5).parse_args()
    data = nanoae.load_data("digits" if args.quick else "mnist", args.data_dir)
    x, x_test = data.flat()
    settings = SETTINGS | (QUICK if args.quick else {})
    columns = {
        "seed": "",
        "labelled alone, test error, %": ".2f",
        "with pretraining, %": ".2f",
        "fewer by, %": ".1f",
    }
    claims, errors = Claims("few_labels", {**columns, "target, %": ".1f"}), []
    for seed in range(args.seeds):
        labelled = np.random.default_rng(seed).permutation(len(x))[: min(LABELS, len(x) // 10)]
        y = np.full(len(x), -1)
        y[labelled] = data.y_train[labelled]
        models = (
            nanoae.StackedClassifier(**settings, pretrain=pretrain, random_state=seed)
            for pretrain in (False, True)
        )
        errors.append([100 * (1 - model.fit(x, y).score(x_test, data.y_test)) for model in models])
        alone, pretrained = errors[-1]
        claims.add(str(seed), alone, pretrained, 100 * (1 - pretrained / alone), None)
    alone, pretrained = np.mean(errors, axis=0)
    fewer = 100 * (1 - pretrained / alone)
    claims.add("mean", alone, pretrained, fewer, TARGET, holds=fewer >= TARGET)
    note = (
        f"{LABELS:,} labelled images, drawn anew for each seed; both networks have the same widths, dropout, rate, "
        "epochs and seed. The settings are in the module; they were chosen on the last 10,000 training images, none on "
        "test images."
    )
    return claims.finish(args, note)


if __name__ == "__main__":
    sys.exit(main())
