"""The swiss roll: a rolled-up sheet in space, and two ways to flatten it.

A point x (3,) of the roll has two hidden coordinates: t, its position along the roll, and h, its position across. A
good code of two numbers preserves neighbours on the sheet. PCA can only project the roll, which puts layers that never
touch on top of each other; the autoencoder can unroll it. The measure, on points not seen in training:

    disorder of t = mean |t - t of the nearest neighbour in the code| / mean |t - t'| over all pairs of points

0 means that neighbours in the code are neighbours along the roll, 1 is chance level; likewise for h. A good code needs
both: the roll seen from its end preserves t perfectly and loses h. The loss never sees t or h, and does not require a
flat sheet, only one that can be rolled up again. The result depends on the starting weights (and on your CPU's
rounding), and many starts end with a torn sheet: we train several and keep the one with the lowest training loss.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import PCA, Adam, Autoencoder, Cosine, WarmUp, load_data
from nanoae.report import panels

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=600)
parser.add_argument("--starts", type=int, default=4, help="how many autoencoders to train")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs, starts = (150, 1) if args.quick else (args.epochs, args.starts)

data = load_data("swiss-roll")  # x = (t cos t, h, t sin t) + a little noise; y is t
x_train, x_test = data.flat()  # (1600, 3), (400, 3)
mean, std = x_train.mean(axis=0), x_train.std(axis=0)
x_train, x_test = (x_train - mean) / std * 2, (x_test - mean) / std * 2


def disorder(code, hidden):
    """Mean |hidden - hidden of the nearest neighbour in the code|, over its mean for all pairs."""
    distance = ((code[:, None] - code[None]) ** 2).sum(axis=2)  # (N, N)
    np.fill_diagonal(distance, np.inf)  # no point is its own neighbour
    pairs = np.abs(hidden[:, None] - hidden[None])
    return np.abs(hidden - hidden[distance.argmin(axis=1)]).mean() / pairs.mean()


def train(seed):
    return Autoencoder(
        code_size=2,
        hidden=(100, 50, 20),
        activation="leaky_relu",
        code_activation="tanh",  # the code is confined to a square
        optimizer=Adam(WarmUp(Cosine(5e-3), steps=200), beta2=0.95),
        batch_size=64,
        epochs=epochs,
        backend="numpy",  # a network this small is faster on the CPU
        random_state=seed,
    ).fit(x_train)


models = [train(seed) for seed in range(starts)]
for seed, model in enumerate(models):
    print(f"start {seed}: training loss {model.evaluate(x_train)['loss']:.5f}")
ae, pca = max(models, key=lambda model: model.score(x_train)), PCA(n_components=2).fit(x_train)

codes = {"PCA": pca.transform(x_test), "autoencoder": ae.transform(x_test)}
codes = {"seen from its end": x_test[:, [0, 2]], **codes}
t, h = data.y_test, data.x_test[:, 1]
sheet = np.stack([t**2 / 2, h], axis=1)  # the arc length of r = t is about t² / 2
print(f"\n{'two numbers':<20}disorder of t   disorder of h")
for name, code in {**codes, "the sheet itself": sheet}.items():
    print(f"{name:<20}{disorder(code, t):13.3f}{disorder(code, h):16.3f}")
for name, model in (("PCA", pca), ("autoencoder", ae)):
    print(f"{name} loses {model.evaluate(x_test)['mse'] / x_test.var():.2%} of the variance")

args.out.mkdir(parents=True, exist_ok=True)
print("figure:", panels(args.out / "05_swiss_roll.png", codes, t, "position along the roll"))
