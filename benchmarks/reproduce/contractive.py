"""Contractive: with the penalty the code changes less with the image, by the norm of its Jacobian on the test images.

784-256-784 with sigmoids (Rifai 2011). The norm is ‖dh/dx‖, Frobenius, averaged over the test images: in closed form,
and on a few images by finite differences, which know nothing of the formula.
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options

WEIGHTS = (0.0, 1e-3, 1e-2)


def norms(model: nanoae.Autoencoder, x: np.ndarray) -> np.ndarray:
    """‖J‖ of each row (N,): sqrt(Σ_j (h_j (1 - h_j))² Σ_i W[i, j]²)."""
    h = model.transform(x).astype(np.float64)
    W = model.network_.ops.to_numpy(model.network_.layers[0].params["W"]).astype(np.float64)
    return np.sqrt((h * (1 - h)) ** 2 @ (W**2).sum(axis=0))


def norms_by_differences(model: nanoae.Autoencoder, x: np.ndarray, eps: float = 1e-4) -> np.ndarray:
    net, found = model.network_.to(dtype="float64"), []
    for row in x.astype(np.float64):
        up, down = (
            net.forward(row + step * np.eye(len(row)), stop=2).copy() for step in (eps, -eps)
        )
        found.append(np.linalg.norm(up - down) / (2 * eps))
    return np.array(found)


def main() -> int:
    args = options(__doc__).parse_args()
    x, x_test = nanoae.load_data("digits" if args.quick else "mnist", args.data_dir).flat()
    settings = {"code_size": 256, "hidden": (), "code_activation": "sigmoid", "loss": "bce"}
    columns = {
        "autoencoder": "",
        "seed": "d",
        "norm of J": ".3f",
        "by differences, 5 images": ".3f",
    }
    claims = Claims("contractive", {**columns, "closed form, the same": ".3f", "test BCE": ".4f"})
    for seed in range(args.seeds):
        free = 0.0
        for weight in WEIGHTS:
            model = nanoae.Autoencoder(
                **settings,
                epochs=1 if args.quick else 10,
                penalty=nanoae.Contractive(weight),
                random_state=seed,
            ).fit(x)
            norm, few = norms(model, x_test).mean(), x_test[:5]
            both = norms_by_differences(model, few).mean(), norms(model, few).mean()
            cells = f"Contractive({weight:g})", seed, norm, *both, model.evaluate(x_test)["loss"]
            claims.add(*cells, holds=norm < free if weight else None)
            free = free or norm
    return claims.finish(
        args, "Ten epochs each. The claim holds if the norm is below that without a penalty."
    )


if __name__ == "__main__":
    sys.exit(main())
