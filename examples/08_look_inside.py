"""Look inside: what the units of an autoencoder see, what they say, and how they came to it.

Three figures of a network with one layer each way, 784-64-784 on MNIST, 64-64-64 on the digits:

08_weights.png   column k of the encoder's W as an image: what code unit k looks for. Red: ink here speaks for it,
                 blue: ink here speaks against it
08_codes.png     all code values of the unseen test images, once with a ReLU on the code and once without. ReLU makes
                 many of them exactly 0: each image is described by a few units
08_loss.png      the loss after every epoch, on the images it learns from and on others: a growing distance between
                 the two is overfitting
"""

import argparse
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, load_data
from nanoae.report import code_histogram, loss_curves, weight_images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 60 on digits, 10 on the others")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
epochs = 3 if args.quick else args.epochs or (60 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()


def train(code_activation):
    return Autoencoder(
        code_size=64,
        hidden=(),
        code_activation=code_activation,
        loss="bce",
        batch_size=32,
        epochs=epochs,
        random_state=0,
    ).fit(x_train, validation_data=x_test)


models = {"ReLU on the code": train("relu"), "no activation": train("identity")}
codes = {name: model.transform(x_test) for name, model in models.items()}
for name, model in models.items():
    zeros = np.mean(codes[name] == 0)
    mse = model.evaluate(x_test)["mse"]
    print(f"{name:<18}codes {codes[name].shape}   {zeros:6.1%} zeros   test MSE {mse:.5f}")

ae = models["ReLU on the code"]
linear = ae.network_.layers[0]  # Linear(D, 64): its code unit k sees x · W[:, k] + b[k]
W = ae.network_.ops.to_numpy(linear.params["W"])
print(f"{linear}: W {W.shape}, from {W.min():.2f} to {W.max():.2f}")
silent = np.sum(codes["ReLU on the code"].max(axis=0) == 0)
print(f"{silent} of {W.shape[1]} ReLU units are silent for every test image")

losses = {key: ae.history_[key] for key in ("loss", "val_loss")}
print("figure:", weight_images(args.out / "08_weights.png", W, data.shape))
print("figure:", code_histogram(args.out / "08_codes.png", codes))
print("figure:", loss_curves(args.out / "08_loss.png", losses, ylabel="BCE"))
