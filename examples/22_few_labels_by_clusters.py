"""Few labels, well chosen: which of 1,400 images are worth labelling?

One digit is the anomaly, 5 % of the images. ClusterLabelDetector learns codes and clusters of all images, without
labels, and then asks for labels: first of one image from each part of the data, then of images between the known
anomalies and the rest. For comparison, the same detector gets labels of random images.

22_asked.png   images whose labels were requested in each round
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ClusterLabelDetector, GaussianNoise, load_data
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--digit", type=int, default=8, choices=range(10), help="the abnormal digit")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
args.out.mkdir(parents=True, exist_ok=True)

data = load_data("digits")
(x, x_test), y, y_test = data.flat(), data.y_train == args.digit, data.y_test == args.digit
keep = ~y | (np.cumsum(y) <= 0.05 * len(y))  # at most 5 % of the images
x, y = x[keep], y[keep]

epochs = 5 if args.quick else 60
autoencoder = Autoencoder(16, (128,), corruption=GaussianNoise(0.2), batch_size=32, epochs=epochs, random_state=0)
detector = ClusterLabelDetector(autoencoder, n_clusters=150, random_state=0).fit(x)


def f1():
    found = detector.predict(x_test) == -1
    return 2 * (found & y_test).sum() / (found.sum() + y_test.sum())


at_random = {}
for n in (20, 30, 40, 50, 60):
    scores = []
    for seed in range(10):
        detector.given_.clear()
        rows = np.random.default_rng(seed).choice(len(x), n, replace=False)
        detector.label(rows, y[rows])
        scores.append(f1())
    at_random[n] = np.mean(scores)

detector.given_.clear()
asked = {}
print(f"{len(x)} images, {y.sum()} of them abnormal\nlabels   anomalies among them   F1 chosen   F1 at random")
for n in (20, 10, 10, 10, 10):
    rows = detector.query(n)
    detector.label(rows, y[rows])
    total = len(detector.given_)
    asked[f"{total - n + 1} to {total}"] = x[rows[-10:]]
    print(f"{total:<9}{sum(detector.given_.values()):<23}{f1():<12.3f}{at_random[total]:.3f}")
print("figure:", image_rows(args.out / "22_asked.png", asked, data.shape, title="Images whose labels were requested"))
