"""Denoising: an autoencoder that never saw noise reproduces it; one trained on corrupted images removes it.

For each of three kinds of corruption, a network is trained to map the corrupted image to the clean one. To restore what
is missing, it has to learn what digits look like (Vincent 2008, "Extracting and composing robust features").

09_NAME.png    clean test images, corrupted images, and their reconstructions by a plain and a denoising autoencoder
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, GaussianNoise, MaskingNoise, SaltAndPepper, Sequential, load_data
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 100 on digits, 10 on the others")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 3 if args.quick else args.epochs or (100 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()


def train(corruption):
    settings = {"code_size": 32, "hidden": (128,), "loss": "bce", "batch_size": 64, "epochs": epochs, "random_state": 0}
    return Autoencoder(**settings, corruption=corruption).fit(x_train)


def error(x):
    return np.mean((x - x_test) ** 2)


plain = train(None)
print(f"{'mean squared error to the clean images':<40}  damaged  plain autoencoder  denoising autoencoder")
for name, corruption in {
    "gaussian": GaussianNoise(0.5),  # x + 0.5 · noise
    "masking": MaskingNoise(0.5),  # half of the pixels black
    "salt_and_pepper": SaltAndPepper(0.3),  # three in ten pixels black or white
}.items():
    layer = Sequential([corruption]).build(x_test.shape[1], random_state=0)  # a corruption is a layer,
    damaged = layer.forward(x_test, train=True).copy()  # active only in training
    cleaned = train(corruption).reconstruct(damaged)
    errors = error(damaged), error(plain.reconstruct(damaged)), error(cleaned)
    print(f"{corruption!r:<40}  {errors[0]:.4f}   {errors[1]:.4f}             {errors[2]:.4f}")
    rows = {"clean": x_test, "damaged": damaged, "plain": plain.reconstruct(damaged), "denoising": cleaned}
    print("figure:", image_rows(args.out / f"09_{name}.png", rows, data.shape, vmin=0, vmax=1, title=repr(corruption)))
