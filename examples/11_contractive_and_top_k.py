"""Two more ways to a good code: let it hardly change with the image, or let only k units speak.

Contractive   the norm of the code's Jacobian dh/dx costs something (Rifai 2011). What is left are the changes that tell
              images apart; along all others the code stands still: it forgives noise it has never seen
TopK          k units, the best for each image, all others 0 (Makhzani & Frey 2013). The fewer may speak, the more of
              a digit each has to draw; and some never win, learn nothing, and look like the noise they started as

11_contractive.png    the code's change, by the size of a change of the image in a random direction
11_top_k_K.png        what each code unit draws, where K of 100 may speak
"""

import argparse
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, Contractive, TopK, load_data
from nanoae.report import loss_curves, weight_images

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
settings = {"hidden": (), "loss": "bce", "learning_rate": 3e-3, "batch_size": 64, "epochs": epochs, "random_state": 0}


def jacobian_norm(ae, x):
    """The mean over rows of ‖dh/dx‖ for h = sigmoid(x W + b): dh_j/dx_i = h_j (1 - h_j) W[i, j]."""
    h, W = ae.transform(x), ae.network_.ops.to_numpy(ae.network_.layers[0].params["W"])
    return np.sqrt((h * (1 - h)) ** 2 @ (W**2).sum(axis=0)).mean()


direction = np.random.default_rng(0).standard_normal(x_test.shape).astype(np.float32)
direction /= np.linalg.norm(direction, axis=1, keepdims=True)
change = {}
for weight in (0, 1e-3, 1e-2):
    ae = Autoencoder(64, code_activation="sigmoid", penalty=Contractive(weight), **settings).fit(x_train)
    codes = ae.transform(x_test)
    moved = [np.linalg.norm(ae.transform(x_test + step * direction) - codes, axis=1).mean() for step in range(1, 7)]
    change[f"weight {weight:g}"] = moved
    loss = ae.evaluate(x_test)["loss"]
    print(f"Contractive({weight:<5g})  norm of the Jacobian {jacobian_norm(ae, x_test):.3f}   test BCE {loss:.4f}")
labels = {"ylabel": "change of the code", "xlabel": "change of the image, its norm"}
print("figure:", loss_curves(args.out / "11_contractive.png", change, **labels))

for k in (3, 10, 40):
    ae = Autoencoder(100, tied_weights=True, bottleneck=TopK(k), **settings).fit(x_train)
    active = (ae.transform(x_test) != 0).sum(axis=1)
    loss = ae.evaluate(x_test)["loss"]
    print(f"TopK({k:<2})  active units, fewest {active.min()}, most {active.max()}   test BCE {loss:.4f}")
    W = ae.network_.ops.to_numpy(ae.network_.layers[0].params["W"])  # tied: the decoder draws with it, transposed
    print("figure:", weight_images(args.out / f"11_top_k_{k}.png", W, data.shape, n=100))
