"""Variational autoencoders on MNIST: the ELBO, tighter bounds, units that beta switches off, digits drawn on demand.

The 784-400-20 network of Kingma & Welling's (2014) MNIST example as PyTorch ships it: ReLU, Adam 1e-3, batch 128, ten
epochs, grey values as probabilities. PyTorch's column is that network trained in the same process by the same recipe.
"""

from __future__ import annotations

import sys

import numpy as np

import nanoae
from benchmarks.reproduce.claims import Claims, options, threads
from nanoae import StackedClassifier, VariationalAutoencoder
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
    adam = torch.optim.Adam([p for layer in (a, b, c, d) for p in layer.parameters()], 1e-3, fused=True)

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


def main() -> int:
    args = options(__doc__).parse_args()
    data = nanoae.load_data("mnist", args.data_dir)
    (x, x_test), (y, y_test) = data.flat(), (data.y_train, data.y_test)
    epochs = 1 if args.quick else 10
    if args.quick:
        x, y, x_test, y_test = x[:2000], y[:2000], x_test[:500], y_test[:500]
    claims = Claims("variational", {"what": "", "seed": "d", "value": ".2f", "PyTorch": ".2f", "claim": ""})

    def fit(seed, condition=None, **settings) -> VariationalAutoencoder:
        model = preset("vae-20").set_params(random_state=seed, epochs=epochs, **settings)
        return model.fit(x, condition=condition)

    for seed in range(args.seeds):
        plain = fit(seed)
        found = plain.evaluate(x_test)
        theirs = torch_elbo(x, x_test, epochs, seed)
        claims.add("-ELBO, nats", seed, found["loss"], theirs, f"<= {TARGET:.0f}", holds=found["loss"] <= TARGET)
        claims.add("  -reconstruction", seed, -found["reconstruction"], None, "")
        claims.add("  KL", seed, found["kl"], None, "")
        bounds = [-plain.score_samples(x_test, importance_samples=k).mean() for k in (1, 5, 50)]
        for k, bound in zip((1, 5, 50), bounds, strict=True):
            claims.add(f"IWAE bound, K = {k}", seed, bound, None, "falls with K", holds=bounds == sorted(bounds)[::-1])
        strong = fit(seed, beta=4.0).evaluate(x_test)
        claims.add("active units, beta 1", seed, found["active_units"], None, "")
        fewer = strong["active_units"] < found["active_units"]
        claims.add("active units, beta 4", seed, strong["active_units"], None, "fewer than beta 1", holds=fewer)
        judge = StackedClassifier(
            (256, 128), pretrain=False, activation="relu", epochs=epochs, batch_size=128, random_state=seed
        ).fit(x, y)
        claims.add("judge: real test digits read right, %", seed, 100 * judge.score(x_test, y_test), None, "")
        asked = np.arange(DRAWN) % 10
        drawn = fit(seed, condition=y).sample(DRAWN, seed, condition=asked)
        right = 100 * float((judge.predict(drawn) == asked).mean())
        claims.add("conditional: drawn digits read as asked, %", seed, right, None, ">= 90", holds=right >= 90)
    return claims.finish(
        args,
        "Nats per test image, each with one sample of z (the IWAE bounds with K). A unit is active where its mean "
        "varies over the test images by more than 0.01 (Burda 2016). The judge is a 784-256-128-10 network that saw "
        f"only real digits; it reads {DRAWN} digits, a tenth of each, drawn from N(0, I) at temperature 1.",
    )


if __name__ == "__main__":
    sys.exit(main())
