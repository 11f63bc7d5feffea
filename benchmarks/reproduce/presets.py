"""The presets on MNIST: their error on the 10,000 test images, beside that of PCA with as many components.

The convolutional ones are measured beside PyTorch: `benchmarks.reproduce.conv`.
"""

from __future__ import annotations

import sys

import nanoae
from benchmarks.reproduce.claims import Claims, options
from nanoae.autoencoders.presets import preset

MEASURES = {
    "dense-64": ("MSE",),
    "deep-32": ("BCE", "MSE"),
    "tf1-20": ("MSE",),
    "vae-20": ("ELBO",),
}


def main(arguments: list[str] | None = None) -> int:
    args = options(__doc__, seeds=1).parse_args(arguments)
    data = nanoae.load_data("mnist", args.data_dir, download=False)
    claims = Claims(
        "presets",
        {"preset": "", "seed": "", "epochs": "", "measure": "", "test": ".4f", "PCA": ".4f"},
    )
    for name, measures in MEASURES.items():
        for seed in range(args.seeds):
            model = preset(name).set_params(random_state=seed, backend="numpy")
            x_train, x_test = data.flat()
            if args.quick:
                x_train, x_test = x_train[:1000], x_test[:500]
                model.set_params(epochs=1)
            model.fit(x_train)
            pca = nanoae.PCA(model.code_size).fit(x_train).evaluate(x_test)
            found = model.evaluate(x_test)
            for measure in measures:
                value = found["loss" if measure == "BCE" else measure.lower()]
                beside = pca.get(measure.lower())
                claims.add(
                    name,
                    seed,
                    model.epochs,
                    measure,
                    value,
                    beside,
                    holds=beside and value < beside,
                )
    return claims.finish(args, "Pixels in [0, 1]; the ELBO in nats per image.")


if __name__ == "__main__":
    sys.exit(main())
