"""Denoising: how much noise an autoencoder removes if it was trained on noisy images, and if not.

`deep-32` (784-128-32-128-784) is trained with Gaussian noise of standard deviation 0.5 on its input (Vincent 2008).
Noise of the same kind is then added to the test images, and what comes back is compared with the clean ones. Also with
the noise cut to [0, 1], as the Keras tutorial has it, where the noisy input is less far off to begin with.
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options
from nanoae.autoencoders.presets import preset

TARGET = 3.0  # times less than the noisy input's own error
STD = 0.5


def main() -> int:
    args = options(__doc__).parse_args()
    x, x_test = nanoae.load_data("digits" if args.quick else "mnist", args.data_dir).flat()
    epochs = {"epochs": 1} if args.quick else {}
    columns = {
        "corruption in training": "",
        "seed": "d",
        "noisy, MSE": ".4f",
        "cleaned, MSE": ".4f",
        "less by": ".1f",
    }
    claims = Claims("denoising", {**columns, "target": ".1f"})
    for seed in range(args.seeds):
        for clip in (None, (0.0, 1.0)):
            noisy = x_test + STD * np.random.default_rng(seed).standard_normal(
                x_test.shape, np.float32
            )
            noisy = noisy if clip is None else noisy.clip(*clip)
            error = ((noisy - x_test) ** 2).mean()
            for corruption in (nanoae.GaussianNoise(STD, clip), None):
                model = (
                    preset("deep-32")
                    .set_params(corruption=corruption, random_state=seed, **epochs)
                    .fit(x)
                )
                cleaned = ((model.reconstruct(noisy) - x_test) ** 2).mean()
                cells = (
                    f"{corruption or 'none'}, for noise {'cut' if clip else 'not cut'}",
                    seed,
                    error,
                    cleaned,
                )
                target = TARGET if corruption else None
                claims.add(
                    *cells,
                    error / cleaned,
                    target,
                    holds=error / cleaned >= TARGET if corruption else None,
                )
    note = f"Ten epochs of `deep-32`; the noise on the test images is N(0, {STD}²), drawn once for each seed."
    return claims.finish(args, note)


if __name__ == "__main__":
    sys.exit(main())
