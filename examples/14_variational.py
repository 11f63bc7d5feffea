"""A variational autoencoder: codes that fill the plane, so that any point of it can be decoded.

The encoder outputs a distribution N(mu, e^logvar) instead of a point, and pays in nats for its distance from N(0, 1).
Codes therefore lie close together, without holes, and the points between two digits decode to digits, too.

    ELBO = E_q[log p(x|z)] - KL(q(z|x) || N(0, I))    a lower bound of log p(x)

14_manifold.png      20 x 20 points of the plane, at the quantiles of the normal distribution, as images
14_codes.png         codes of the test images by digit: left in the VAE, right in a plain autoencoder
14_samples.png       images decoded from samples of N(0, I) (code of eight numbers), and the nearest training image
14_interpolate.png   from one test image to another, along a straight line in the code
14_traverse.png      one number of the code at a time, from -3 to 3
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, VariationalAutoencoder, load_data
from nanoae.report import image_grid, image_rows, panels

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 150 on digits, 10 on the others")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 3 if args.quick else args.epochs or (150 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()
settings = {"hidden": (256, 128), "batch_size": 32, "epochs": epochs, "random_state": 0}

flat = VariationalAutoencoder(code_size=2, **settings).fit(x_train)
plain = Autoencoder(code_size=2, loss="bce", **settings).fit(x_train)
deep = VariationalAutoencoder(code_size=8, **settings).fit(x_train)

for name, vae in {"code of 2": flat, "code of 8": deep}.items():
    found = vae.evaluate(x_test)
    parts = f"reconstruction {found['reconstruction']:.2f} - KL {found['kl']:.2f}"
    print(f"{name}: ELBO {found['elbo']:.2f} nats = {parts}")
    print(f"{'':<9}  {found['active_units']} units active; the bound with K importance samples:", end="")
    for k in (1, 5, 50):
        print(f"  K = {k}: {vae.score_samples(x_test, importance_samples=k).mean():.2f}", end="")
    print()

for name, codes in {"VAE": flat.transform(x_train), "plain": plain.transform(x_train)}.items():
    mean, std = codes.mean(axis=0), codes.std(axis=0)
    print(f"codes, {name:<5}  mean {mean[0]:+.2f} {mean[1]:+.2f}   standard deviation {std[0]:.2f} {std[1]:.2f}")

print(
    "figure:",
    image_grid(args.out / "14_manifold.png", flat.manifold(20), data.shape, columns=20, title="Decoded grid of codes"),
)
codes = {"variational": flat.transform(x_test), "plain": plain.transform(x_test)}
print("figure:", panels(args.out / "14_codes.png", codes, data.y_test, "digit"))

drawn = deep.sample(10, random_state=0)
nearest = x_train[((drawn[:, None] - x_train) ** 2).sum(axis=2).argmin(axis=1)]
rows = {"sample": drawn, "nearest real": nearest}
title = "Samples, and the nearest training images"
print("figure:", image_rows(args.out / "14_samples.png", rows, data.shape, 0, 1, title=title))

ends = [np.flatnonzero(data.y_test == digit)[0] for digit in (0, 6, 1, 7)]
strips = {f"{data.y_test[a]} to {data.y_test[b]}": deep.interpolate(x_test[a], x_test[b])
          for a, b in zip(ends, ends[1:] + ends[:1], strict=True)}  # fmt: skip
title = "Interpolation between digits"
print("figure:", image_rows(args.out / "14_interpolate.png", strips, data.shape, 0, 1, title=title))

strips = {f"code {k + 1}": deep.traverse(k, x_test[0]) for k in range(8)}
print(
    "figure:",
    image_rows(args.out / "14_traverse.png", strips, data.shape, 0, 1, n=11, title="Effect of each code unit"),
)
