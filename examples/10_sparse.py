"""Sparse codes: if few units are active for each image, each of them can mean something.

Images of 8 x 8 pixels, each with a random selection of 16 overlapping bars (Földiák 1990). The autoencoder is told
nothing about bars: it sees pixels, and has 32 code units, more than it needs. Do its units find the bars?

plain    no penalty: each bar is spread over many units, and what a single unit draws looks like nothing
L1       activation has a cost (L1Sparsity): the cheapest way to encode a bar is one unit of its own
KL       each unit should be active 6 % of the time (KLSparsity; Ng 2011), with sigmoids

10_images.png: some images and their reconstructions   10_codes.png: all code values
10_weights_NAME.png: what each code unit draws, the decoder's weights as images
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, KLSparsity, L1Sparsity
from nanoae.data import bars
from nanoae.report import code_histogram, image_rows, weight_images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 20 if args.quick else args.epochs
args.out.mkdir(parents=True, exist_ok=True)

x_train, _ = bars(3000)
x_test, _ = bars(1000, random_state=1)
rows = np.kron(np.eye(8), np.ones(8))  # each of the 16 bars alone, (16, 64)
every_bar = np.concatenate([rows, np.tile(np.eye(8), 8)])


def train(code_activation, penalty):
    return Autoencoder(
        code_size=32,
        hidden=(),
        code_activation=code_activation,
        penalty=penalty,
        loss="bce",
        learning_rate=3e-3,
        batch_size=64,
        epochs=epochs,
        random_state=0,
    ).fit(x_train)


def draws(ae):
    """(32, 64): image = code W + b, so row k of W is what unit k draws."""
    return ae.network_.ops.to_numpy([layer for layer in ae.network_.layers if layer.params][-1].params["W"])


def bars_found(W):
    """The number of the 16 bars that a single unit draws: correlation above 0.8."""
    return int((abs(np.corrcoef(every_bar, W)[:16, 16:]).max(axis=1) > 0.8).sum())


models = {
    "plain": train("relu", None),
    "L1": train("relu", L1Sparsity(1e-2)),
    "KL": train("sigmoid", KLSparsity(target=0.06, weight=0.1)),
}
codes = {name: ae.transform(x_test) for name, ae in models.items()}
print("       bars found  codes below 0.01   test BCE")
for name, ae in models.items():
    quiet, loss = np.mean(codes[name] < 0.01), ae.evaluate(x_test)["loss"]
    print(f"{name:<6} {bars_found(draws(ae)):>2} of 16    {quiet:<18.0%} {loss:.4f}")
shown = {"image": x_test[:10], **{name: ae.reconstruct(x_test[:10]) for name, ae in models.items()}}
print("figure:", image_rows(args.out / "10_images.png", shown, (8, 8), 0, 1))
print("figure:", code_histogram(args.out / "10_codes.png", codes))
for name, ae in models.items():
    path = args.out / f"10_weights_{name}.png"
    print("figure:", weight_images(path, draws(ae).T, (8, 8), n=32, title=f"Units, {name}"))
