"""Look inside: what the units of an autoencoder respond to, how often they are active, and how training went.

Two networks with one layer each way and 64 code units, on the same images. The plain one only has to copy, which any 64
independent directions can do: its units look like noise. The denoising one (Vincent 2010) must recover clean images
from noisy ones, and weight decay makes every weight cost something: it keeps the features that many images share.

08_weights_*.png   column k of the encoder's W as an image: what code unit k responds to. Red pixels raise its output,
                   blue pixels lower it. A blue spot in a red ring detects holes
08_noisy.png       noisy test images, and their reconstructions by each network
08_codes.png       all code values of the test images. ReLU makes some of them exactly 0: the unit is inactive
08_loss.png        the loss after every epoch. Noise is added only in training, so the training loss is larger
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import AdamW, Autoencoder, Cosine, GaussianNoise, load_data
from nanoae.report import code_histogram, image_rows, loss_curves, weight_images

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


def train(corruption, weight_decay):
    return Autoencoder(
        code_size=64,
        hidden=(),
        code_activation="relu",
        tied_weights=True,  # the decoder uses the encoder's transposed weights
        corruption=corruption,
        loss="bce",
        optimizer=AdamW(Cosine(3e-3), weight_decay=weight_decay),
        batch_size=32,
        epochs=epochs,
        random_state=0,
    ).fit(x_train, validation_data=x_test)


models = {"plain": train(None, 0.0), "denoising": train(GaussianNoise(0.5), 1.0)}
noisy = x_test + 0.5 * np.random.default_rng(0).standard_normal(x_test.shape).astype(np.float32)

codes, losses, rows = {}, {}, {"original": x_test, "with noise": noisy}
for name, ae in models.items():
    codes[name] = ae.transform(x_test)  # (N, 64)
    rows[name] = ae.reconstruct(noisy)
    losses[f"{name}, train"], losses[f"{name}, test"] = ae.history_["loss"], ae.history_["val_loss"]
    linear = next(layer for layer in ae.network_.layers if "W" in layer.params)
    W = ae.network_.ops.to_numpy(linear.params["W"])  # (D, 64): unit k sees x · W[:, k] + b[k]
    zeros, mse = np.mean(codes[name] == 0), ae.evaluate(x_test)["mse"]
    cleaned = np.mean((rows[name] - x_test) ** 2)
    print(f"{name:<10} {linear}, W from {W.min():.2f} to {W.max():.2f}; {zeros:.0%} of code values are 0")
    print(f"{'':<10} test MSE of clean images {mse:.5f}, of noisy ones {cleaned:.5f}")
    print(
        "figure:",
        weight_images(args.out / f"08_weights_{name}.png", W, data.shape, title=f"Encoder weights: {name}"),
    )

print("figure:", image_rows(args.out / "08_noisy.png", rows, data.shape, title="Reconstructions of noisy images"))
print("figure:", code_histogram(args.out / "08_codes.png", codes))
print("figure:", loss_curves(args.out / "08_loss.png", losses, ylabel="BCE", title="Training and test loss"))
