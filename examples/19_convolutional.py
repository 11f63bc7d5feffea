"""Convolutions: one small window of weights, applied at every position of the image, in your own layers.

A dense layer has a weight from every pixel to every unit. A convolution detects a stroke with the same few weights
wherever it is, so what it learns at one position it knows at all. Images (N, 1, 8, 8) are reconstructed in that shape;
`encoder` and `decoder` are lists of layers, and `summary` shows the shapes between them.

Without these lists, ConvAutoencoder has the published layers for 28 x 28 images (`nanoae train --preset conv-2d`).
A callback sees the model after each epoch; here it collects reconstructions for the figure. About 3 s.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import nanoae
from nanoae import BatchNorm, Conv2d, ConvTranspose2d, Flatten, LeakyReLU, Linear, Reshape, Tanh
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 10 if args.quick else args.epochs

rows_train, rows_test = nanoae.load_data("digits").flat(black=-1)  # (1437, 64) and (360, 64) in [-1, 1]
x_train, x_test = rows_train.reshape(-1, 1, 8, 8), rows_test.reshape(-1, 1, 8, 8)

encoder = [
    *(Conv2d(8, 3, stride=1, padding=1), LeakyReLU(), BatchNorm()),  # (1, 8, 8) -> (8, 8, 8)
    *(Conv2d(16, 3, stride=2, padding=1), LeakyReLU(), BatchNorm()),  # -> (16, 4, 4)
    *(Flatten(), Linear(8)),  # the code
]
decoder = [
    *(Linear(16 * 4 * 4), LeakyReLU(), Reshape((16, 4, 4))),
    *(ConvTranspose2d(8, 4, stride=2, padding=1), LeakyReLU(), BatchNorm()),  # -> (8, 8, 8)
    *(ConvTranspose2d(1, 3, stride=1, padding=1), Tanh()),  # -> (1, 8, 8), in [-1, 1]
]
frames = {"original": x_test[:10]}


def keep(trainer, row):
    if row["epoch"] in (1, 3, 10, 40):
        frames[f"epoch {row['epoch']}"] = model.reconstruct(x_test[:10])


model = nanoae.ConvAutoencoder(
    encoder=encoder, decoder=decoder, epochs=epochs, batch_size=32, learning_rate=4e-3, callbacks=[keep], random_state=0
)
model.fit(x_train)
print(model.summary(), "\n")

first = model.network_.layers[0]
few = sum(array.size for array in first.params.values())
units = x_test[0].size * first.n_out
print(f"the first layer: {few} parameters for {units} units; a dense one has {(x_test[0].size + 1) * units:,}")
print(f"test MSE of 8 numbers: {model.evaluate(x_test)['mse']:.4f}, of the 8 of PCA: ", end="")
print(f"{nanoae.PCA(8).fit(rows_train).evaluate(rows_test)['mse']:.4f}")

args.out.mkdir(parents=True, exist_ok=True)
print(
    "figure:",
    image_rows(args.out / "19_convolutional.png", frames, vmin=-1, vmax=1, title="Reconstructed test images by epoch"),
)
