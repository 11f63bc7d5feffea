"""Codes as input to other tools: a t-SNE map of noisy images, from their pixels and from an autoencoder's codes.

t-SNE (van der Maaten & Hinton 2008) arranges points in the plane so that neighbours stay together. It takes neighbours
from the rows, and if these are noisy, it maps the noise. The codes of a denoising autoencoder keep the image without
the noise, so their map shows the digits. On clean images the codes gain little.

Two measures on synthetic digits with strong noise: of each image's 10 nearest neighbours on the map, the share that are
the same digit (t-SNE sees no labels), and the share that are among its 10 nearest by the pixels *without* noise.

13_NAME.png    the map, coloured by digit; 13_images.png    some images and their reconstructions
"""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

try:
    from sklearn.manifold import TSNE
    from sklearn.neighbors import NearestNeighbors
except ImportError:
    raise SystemExit("this example needs scikit-learn: pip install scikit-learn") from None

from nanoae import Autoencoder, GaussianNoise
from nanoae.data import written_digits
from nanoae.report import code_scatter, image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--rows", type=int, default=500, help="images on the map")
parser.add_argument("--noise", type=float, default=0.8, help="standard deviation of the noise, on pixels in [0, 1]")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
rows = 150 if args.quick else args.rows
args.out.mkdir(parents=True, exist_ok=True)

x_train, _, _ = written_digits(3000)
clean, labels, _ = written_digits(rows, random_state=1)
noisy = clean + np.random.default_rng(2).normal(0, args.noise, clean.shape).astype(np.float32)
ae = Autoencoder(
    code_size=16,
    hidden=(128,),
    corruption=GaussianNoise(args.noise),
    learning_rate=2e-3,
    batch_size=64,
    epochs=10 if args.quick else 20,
    random_state=0,
).fit(x_train)
shown = {"clean": clean[:10], "noisy": noisy[:10], "reconstructed": ae.reconstruct(noisy[:10])}
print("figure:", image_rows(args.out / "13_images.png", shown, (16, 16), 0, 1))


def neighbours(points, k=10):
    """Indices of the k nearest other points of each point, (N, k)."""
    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)


print("t-SNE on      seconds  same digit nearby  neighbours kept")
share = {}
for name, points in {"pixels": noisy, "codes": ae.transform(noisy)}.items():
    started = time.perf_counter()
    flat = TSNE(random_state=0, init="pca").fit_transform(points)
    seconds, near = time.perf_counter() - started, neighbours(flat)
    share[name] = np.mean(labels[near] == labels[:, None])
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(neighbours(clean), near, strict=True)])
    print(f"{points.shape[1]:>3} {name:<9} {seconds:<8.1f} {share[name]:<18.0%} {kept:.0%}")
    print("figure:", code_scatter(args.out / f"13_{name}.png", flat, labels, "t-SNE", f"Map of the {name}"))
print(f"of an image's neighbours, {share['codes']:.0%} show the same digit on the map of codes, ", end="")
print(f"{share['pixels']:.0%} on the map of pixels")
