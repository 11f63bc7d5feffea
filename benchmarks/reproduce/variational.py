"""Variational and adversarial autoencoders on MNIST: the ELBO, tighter bounds, unused units, digits drawn on demand.

The 784-400-20 network of Kingma & Welling's (2014) MNIST example as PyTorch ships it: ReLU, Adam 1e-3, batch 128, ten
epochs, grey values as probabilities. PyTorch's column is that network trained in the same process by the same recipe.
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options, threads
from nanoae import Adversarial, Autoencoder, StackedClassifier, VariationalAutoencoder
from nanoae.autoencoders.presets import preset

TARGET = 107.0  # -ELBO in nats; PyTorch, one seed: 105.8
DRAWN = 1000


def torch_elbo(x: np.ndarray, x_test: np.ndarray, epochs: int, seed: int) -> float | None:
    """-ELBO of the same network in PyTorch, its own initial weights; None where PyTorch is not installed."""
    try:
        import torch
        from torch.nn import functional
    except ImportError:
        return None
    torch.manual_seed(seed)
    torch.set_num_threads(threads())
    make = torch.nn.Linear
    a, b, c, d = make(784, 400), make(400, 40), make(20, 400), make(400, 784)
    adam = torch.optim.Adam(
        [p for layer in (a, b, c, d) for p in layer.parameters()], 1e-3, fused=True
    )

    def loss(batch):
        mu, logvar = b(functional.relu(a(batch))).chunk(2, 1)
        y = d(functional.relu(c(mu + (logvar / 2).exp() * torch.randn_like(mu))))
        bce = functional.binary_cross_entropy_with_logits(y, batch, reduction="sum")
        return (bce + (mu**2 + logvar.exp() - 1 - logvar).sum() / 2) / len(batch)

    rows, test = torch.from_numpy(x), torch.from_numpy(x_test)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(128):
            adam.zero_grad()
            loss(rows[batch]).backward()
            adam.step()
    with torch.inference_mode():
        return float(loss(test))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x[:2000], y[:2000]

    def mean(a, b):
        return np.sqrt(((a[:, None] - b) ** 2).sum(axis=2)).mean()

    return float(2 * mean(x, y) - mean(x, x) - mean(y, y))


def main() -> int:
    args = options(__doc__).parse_args()
    data = nanoae.load_data("mnist", args.data_dir)
    (x, x_test), (y, y_test) = data.flat(), (data.y_train, data.y_test)
    epochs = 1 if args.quick else 10
    if args.quick:
        x, y, x_test, y_test = x[:2000], y[:2000], x_test[:500], y_test[:500]
    claims = Claims(
        "variational", {"what": "", "seed": "d", "value": ".3f", "PyTorch": ".3f", "claim": ""}
    )

    def fit(model, seed, **fit):
        return model.set_params(random_state=seed, epochs=epochs).fit(x, **fit)

    for seed in range(args.seeds):
        model = fit(preset("vae-20"), seed)
        found, theirs = model.evaluate(x_test), torch_elbo(x, x_test, epochs, seed)
        claims.add(
            "-ELBO, nats",
            seed,
            found["loss"],
            theirs,
            f"<= {TARGET:.0f}",
            holds=found["loss"] <= TARGET,
        )
        claims.add("  -reconstruction", seed, -found["reconstruction"], None, "")
        claims.add("  KL", seed, found["kl"], None, "")

    bounds = [-float(model.score_samples(x_test, importance_samples=k).mean()) for k in (1, 5, 50)]
    for k, bound in zip((1, 5, 50), bounds, strict=True):
        claims.add(
            f"-IWAE bound, K = {k}",
            seed,
            bound,
            None,
            "falls with K",
            holds=bounds == sorted(bounds)[::-1],
        )

    strong = fit(preset("vae-20").set_params(beta=4.0), seed).evaluate(x_test)
    fewer = strong["active_units"] < found["active_units"]
    claims.add("active units, beta 1", seed, found["active_units"], None, "")
    claims.add(
        "active units, beta 4", seed, strong["active_units"], None, "fewer than beta 1", holds=fewer
    )

    judge = StackedClassifier((256, 128), pretrain=False, activation="relu", batch_size=128)
    judge.set_params(random_state=seed, epochs=epochs).fit(x, y)
    claims.add("real test digits read right, %", seed, 100 * judge.score(x_test, y_test), None, "")
    asked = np.arange(DRAWN) % 10
    drawn = fit(VariationalAutoencoder(5, (512, 256)), seed, condition=y).sample(
        DRAWN, seed, condition=asked
    )
    right = 100 * float((judge.predict(drawn) == asked).mean())
    claims.add("drawn digits read as asked, %", seed, right, None, ">= 90", holds=right >= 90)

    def codes(bottleneck):
        adam = nanoae.Adam(1e-3, beta1=0.5)
        ae = Autoencoder(
            2,
            (256,),
            output_activation="sigmoid",
            bottleneck=bottleneck,
            optimizer=adam,
            batch_size=128,
        )
        return fit(ae, seed).transform(x_test)

    plain, adversarial = codes(None), codes(Adversarial())
    standardised = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    prior, again = (np.random.default_rng(k).standard_normal(plain.shape) for k in (1, 2))
    samples = {
        "plain": plain,
        "plain, standardised": standardised,
        "adversarial": adversarial,
        "N(0, I)": again,
    }
    far = {name: energy_distance(z, prior) for name, z in samples.items()}
    for name, distance in far.items():
        near = (
            distance < min(far["plain"], far["plain, standardised"])
            if name == "adversarial"
            else None
        )
        claim = "less than plain" if name == "adversarial" else ""
        claims.add(f"energy distance to N(0, I): {name}", seed, distance, None, claim, holds=near)
    return claims.finish(
        args,
        "Nats per test image, each with one sample of z (the IWAE bounds with K). A unit is active if the variance of "
        "its mean over the test images is above 0.01 (Burda 2016). PyTorch: the same network and recipe.",
        f"{DRAWN} digits, a tenth of each, are sampled from N(0, I), at temperature 1, by a conditional 784-512-256-5 "
        "network, and classified by a 784-256-128-10 network trained only on real ones.",
        "The energy distance, 2 E|x - y| - E|x - x'| - E|y - y'| of 2,000 rows of each, is 0 if both have "
        "the same distribution; the last row compares two samples of N(0, I). The autoencoders are 784-256-2.",
    )


if __name__ == "__main__":
    sys.exit(main())
