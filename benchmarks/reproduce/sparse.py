"""Sparse codes by a penalty or a bottleneck, and their cost.

L1          `deep-32`'s code with L1Sparsity: its mean activation over the test images falls, its loss hardly rises. The
            Keras tutorial reports 7.30 without a penalty and 3.33 with one, for a network of one layer each way.
KL          784-196-784 with sigmoids and KLSparsity: the mean activation is to be the target (Ng 2011: 0.05).
k-sparse    784-256-784 with TopK, a linear code and tied weights (Makhzani & Frey 2013): exactly k units are active.
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options
from nanoae.autoencoders.presets import preset

L1, FALL, RISE = 3e-4, 5.0, 0.015
TARGET, WITHIN = 0.05, 0.2
KL = 0.1


def main() -> int:
    args = options(__doc__).parse_args()
    x, x_test = nanoae.load_data("digits" if args.quick else "mnist", args.data_dir).flat()
    shallow = nanoae.Autoencoder(196, (), code_activation="sigmoid", loss="bce")
    wide = nanoae.Autoencoder(256, (), tied_weights=True, loss="bce")
    columns = {
        "autoencoder": "",
        "seed": "d",
        "mean activation": ".4f",
        "active, %": ".1f",
        "test BCE": ".4f",
    }
    claims = Claims("sparse", {**columns, "claimed": ""})

    def measure(
        name: str, model: nanoae.Autoencoder, seed: int, claimed="", holds=None, **parts
    ) -> tuple[float, float]:
        """(mean activation, BCE) on the test images, and a row of the table; holds(codes, BCE) is what is claimed."""
        model.set_params(random_state=seed, epochs=1 if args.quick else 10, **parts).fit(x)
        codes, bce = model.transform(x_test), model.evaluate(x_test)["loss"]
        held = holds(codes, bce) if holds else None
        claims.add(
            name, seed, codes.mean(), 100 * float(np.mean(codes != 0)), bce, claimed, holds=held
        )
        return float(codes.mean()), bce

    for seed in range(args.seeds):
        mean, bce = measure("deep-32", preset("deep-32"), seed)
        claimed = f"mean / {FALL:g}, BCE + {RISE:g}"
        measure(
            f"deep-32, L1Sparsity({L1:g})", preset("deep-32"), seed, claimed, penalty=nanoae.L1Sparsity(L1),
            holds=lambda codes, loss, mean=mean, bce=bce: codes.mean() <= mean / FALL and loss <= bce + RISE,
        )  # fmt: skip
        measure("784-196-784, sigmoid", shallow.set_params(penalty=None), seed)
        penalty, claimed = nanoae.KLSparsity(TARGET, KL), f"mean {TARGET} within {WITHIN:.0%}"
        measure(
            f"the same, {penalty}", shallow, seed, claimed, penalty=penalty,
            holds=lambda codes, _: abs(codes.mean() / TARGET - 1) <= WITHIN,
        )  # fmt: skip
        for k in (25, 10):
            measure(
                f"784-256-784, TopK({k})", wide, seed, f"exactly {k} active", bottleneck=nanoae.TopK(k),
                holds=lambda codes, _, k=k: bool(((codes != 0).sum(axis=1) == k).all()),
            )  # fmt: skip
    return claims.finish(
        args, "Ten epochs each; means over all 10,000 test images and all units of the code."
    )


if __name__ == "__main__":
    sys.exit(main())
