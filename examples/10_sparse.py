"""Sparse codes: few units speak for each image, and each of them can then mean something.

Three networks of one layer each way with twice as many code units as the digits have pixels, so they could copy:

plain    nothing keeps them from it
L1       each unit of activation costs the same (L1Sparsity): what is not worth its price is exactly 0
KL       each unit is to be active 5 % of the time (KLSparsity; Ng 2011), with sigmoids

10_codes.png           all code values of the test images, with and without a penalty
10_weights_NAME.png    what each code unit draws: the decoder's weights as images
"""

import argparse
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, KLSparsity, L1Sparsity, load_data
from nanoae.report import code_histogram, weight_images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 150 on digits, 10 on the others")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
epochs = 3 if args.quick else args.epochs or (150 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()


def train(code_activation, penalty):
    return Autoencoder(
        code_size=128,
        hidden=(),
        code_activation=code_activation,
        penalty=penalty,
        loss="bce",
        learning_rate=3e-3,
        batch_size=64,
        epochs=epochs,
        random_state=0,
    ).fit(x_train)


models = {
    "plain": train("relu", None),
    "L1": train("relu", L1Sparsity(2e-3)),
    "KL": train("sigmoid", KLSparsity(target=0.05, weight=1e-2)),
}
codes = {name: ae.transform(x_test) for name, ae in models.items()}
print("       mean activation  below 0.01   test BCE")
for name, ae in models.items():
    silent = np.mean(codes[name] < 0.01)
    print(f"{name:<6} {codes[name].mean():<16.4f} {silent:<12.0%} {ae.evaluate(x_test)['loss']:.4f}")
print("figure:", code_histogram(args.out / "10_codes.png", codes))
for name, ae in models.items():
    decoder = ae.network_.layers[-1]  # a Linear: image = code W + b, so row k of W is what unit k draws
    W = ae.network_.ops.to_numpy(decoder.params["W"])
    print("figure:", weight_images(args.out / f"10_weights_{name}.png", W.T, data.shape))
