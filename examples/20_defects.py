"""Defects on images: learn what is normal, and find what is not, without having seen a defect.

The detector learns from images of one digit. Half of the test images of that digit get a defect: in a short stroke,
black and white are swapped. The autoencoder reconstructs every image as it should look; the difference shows where the
defect is. About 3 s on the built-in digits; a minute if MNIST is found.

20_defects.png   images with a defect, and each pixel's share of the score: red is brighter than expected
20_roc.png       ROC curves, defects found against false alarms: the autoencoder, and PCA
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import PCA, AnomalyDetector, Autoencoder, MaskingNoise, load_data
from nanoae.report import error_maps, roc_curves

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data-dir", help="folder to search for MNIST first")
parser.add_argument("--digit", type=int, default=3, choices=range(10), help="the normal digit")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run on the small digits, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
args.out.mkdir(parents=True, exist_ok=True)

try:
    data = load_data("digits" if args.quick else "mnist", args.data_dir, download=False)
except FileNotFoundError:
    data = load_data("digits")  # 8 x 8 pixels, built in
x_train, x_test = (x[y == args.digit] for x, y in zip(data.flat(), (data.y_train, data.y_test), strict=True))


def with_defect(image, random):
    """A copy with black and white swapped in a short stroke near the middle."""
    image, (h, w), length = image.reshape(data.shape).copy(), data.shape, data.shape[0] // 3
    thick = max(1, h // 14)
    rows, columns = (length, thick) if random.random() < 0.5 else (thick, length)
    top, left = random.integers(h // 5, h - h // 5 - rows + 1), random.integers(w // 5, w - w // 5 - columns + 1)
    stroke = image[top : top + rows, left : left + columns]
    stroke[...] = 1 - stroke
    return image.ravel()


random = np.random.default_rng(0)
defect = np.arange(len(x_test)) % 2 == 0
x_test = np.array([with_defect(x, random) if bad else x for x, bad in zip(x_test, defect, strict=True)])

epochs = 5 if args.quick else 15 if len(x_train) > 1000 else 300
autoencoder = Autoencoder(32, (256,), loss="bce", corruption=MaskingNoise(0.3), batch_size=32, epochs=epochs)
detector = AnomalyDetector(autoencoder, scores="reconstruction", scaling="none", random_state=0).fit(x_train)
pca = PCA(min(64, x_train.shape[1] // 4)).fit(x_train)
scores = {"autoencoder": -detector.score_samples(x_test), "PCA": pca.reconstruction_error(x_test)}

found = detector.predict(x_test) == -1
print(f"{len(x_train)} training images of a {args.digit}, {len(x_test)} test images, {defect.sum()} with a defect")
print(f"found {(found & defect).sum()} defects, with {(found & ~defect).sum()} false alarms")
shown = x_test[defect][:10]
print("figure:", error_maps(args.out / "20_defects.png", shown, detector.explain(shown), data.shape))
print("figure:", roc_curves(args.out / "20_roc.png", scores, defect))
