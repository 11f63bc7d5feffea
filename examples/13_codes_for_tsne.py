"""Codes for other tools: t-SNE on the autoencoder's code instead of on the pixels.

t-SNE (van der Maaten & Hinton 2008) lays points out in the plane so that neighbours stay together; all its work is in
comparing rows, so that short ones are welcome. Is the map as true? Two numbers say so, both against the *pixels*: the
share of each image's 10 nearest neighbours that are among its 10 nearest on the map, and scikit-learn's
trustworthiness, 1 where no point of the map has strangers for neighbours. The classes were shown to neither.

13_NAME.png    the map of the test images, coloured by their labels
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from nanoae import Autoencoder, load_data
from nanoae.report import code_scatter

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--rows", type=int, default=1500, help="images on the map")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
rows = 200 if args.quick else args.rows
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, _ = data.flat()
epochs = 2 if args.quick else 100 if args.data == "digits" else 10
code_size = 16 if args.data == "digits" else 32
ae = Autoencoder(code_size, (128,), loss="bce", batch_size=64, epochs=epochs, random_state=0).fit(x_train)

x, labels = x_train[:rows], data.y_train[:rows]


def neighbours(points, k=10):
    """The numbers of the k nearest other points of each (N, k)."""
    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)


print(f"{data.name}: {rows} images; trained in {sum(ae.history_['seconds']):.1f} s")
print("t-SNE on            seconds  10 nearest kept  same class  trustworthiness")
for name, points in {"pixels": x, "codes": ae.transform(x)}.items():
    started = time.perf_counter()
    flat = TSNE(random_state=0, init="pca", perplexity=30).fit_transform(points)
    seconds = time.perf_counter() - started
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(neighbours(x), neighbours(flat), strict=True)])
    same = np.mean(labels[neighbours(flat)] == labels[:, None])
    trust = trustworthiness(x, flat, n_neighbors=10)
    print(f"{points.shape[1]:>3} {name:<15} {seconds:<8.1f} {kept:<16.1%} {same:<11.1%} {trust:.3f}")
    print("figure:", code_scatter(args.out / f"13_{name}.png", flat, labels, "t-SNE"))
