"""A first autoencoder: 64 pixels -> 8 numbers -> 64 pixels, and how much better it is than PCA.

PCA is the best *linear* map to 8 numbers and back: an autoencoder without activations cannot beat it. PCA is therefore
the baseline that shows whether the hidden layers are worth their cost. Both are evaluated on unseen images.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import nanoae
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 3 if args.quick else args.epochs

# Train and encode
data = nanoae.load_data("digits")  # 1,437 + 360 handwritten digits of 8x8 pixels
x_train, x_test = data.flat()  # (1437, 64) and (360, 64), in [0, 1]
ae = nanoae.Autoencoder(code_size=8, epochs=epochs, batch_size=32, random_state=0)
ae.fit(x_train, validation_data=x_test)
codes = ae.transform(x_test)  # (360, 8)

# Compare with PCA
pca = nanoae.PCA(n_components=8).fit(x_train)
print(ae.summary())
print(f"\nx_test {x_test.shape} -> codes {codes.shape} -> {ae.inverse_transform(codes).shape}\n")
for name, model in (("PCA", pca), ("autoencoder", ae)):
    print(f"{name:<12} test MSE {model.evaluate(x_test)['mse']:.5f}")

args.out.mkdir(parents=True, exist_ok=True)
rows = {"original": x_test, "autoencoder": ae.reconstruct(x_test), "PCA": pca.reconstruct(x_test)}
print("figure:", image_rows(args.out / "03_reconstructions.png", rows, data.shape, n=12))
