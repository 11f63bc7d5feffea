"""Two more regularisers: a code that hardly changes with the image, and a code of only k active units.

Contractive   penalises the norm of the code's Jacobian dh/dx (Rifai 2011). The code keeps the changes that distinguish
              images and ignores all others, so it also tolerates noise that it has never seen
TopK          keeps the k largest units of each image and sets the others to 0 (Makhzani & Frey 2013). On images of bars
              (example 10), two on average, k = 2 gives each bar a unit; with larger k, images improve and units blur

11_contractive.png    digits: change of the code against the size of a random change of the image
11_top_k_K.png        bars: what each code unit draws if K of 32 may be active
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, Contractive, TopK, load_data
from nanoae.data import bars
from nanoae.report import loss_curves, weight_images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 20 if args.quick else args.epochs
args.out.mkdir(parents=True, exist_ok=True)
settings = {"hidden": (), "loss": "bce", "learning_rate": 3e-3, "batch_size": 64, "epochs": epochs, "random_state": 0}

# ---------------------------------------------------------------- contractive, on digits
x_train, x_test = load_data("digits").flat()


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
labels = {"ylabel": "change of the code", "xlabel": "norm of the change of the image"}
print("figure:", loss_curves(args.out / "11_contractive.png", change, **labels, title="Sensitivity of the code"))

# ---------------------------------------------------------------- top k, on bars
x_train, _ = bars(3000)
x_test, _ = bars(1000, random_state=1)
every_bar = np.concatenate([np.kron(np.eye(8), np.ones(8)), np.tile(np.eye(8), 8)])  # (16, 64)

for k in (1, 2, 8):
    ae = Autoencoder(32, tied_weights=True, bottleneck=TopK(k), **settings).fit(x_train)
    W = ae.network_.ops.to_numpy(ae.network_.layers[0].params["W"])  # tied: the decoder uses it transposed
    found = (abs(np.corrcoef(every_bar, W.T)[:16, 16:]).max(axis=1) > 0.8).sum()
    loss = ae.evaluate(x_test)["loss"]
    active = (ae.transform(x_test) != 0).sum(axis=1).max()
    print(f"TopK({k})  active units {active}   bars with a unit of their own {found:2} of 16   test BCE {loss:.4f}")
    print(
        "figure:",
        weight_images(args.out / f"11_top_k_{k}.png", W, (8, 8), n=32, title=f"Encoder weights, active at a time: {k}"),
    )
