"""Trained on sixes only: a network that knows one digit reconstructs every other digit as the most similar six.

A variational autoencoder is trained on sixes alone, then given all the digits. Its code has no place for a 3 or a 7:
the encoder finds a code of a six, and the decoder draws a six that leans towards the input.

15_sixes.png   a test image of each digit, and its reconstruction
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import VariationalAutoencoder, load_data
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 300 on digits, 20 on MNIST")
parser.add_argument("--digit", type=int, default=6, help="the digit to train on")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 30 if args.quick else args.epochs or (300 if args.data == "digits" else 20)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()
y_train, y_test = data.y_train, data.y_test

vae = VariationalAutoencoder(code_size=3, hidden=(128,), batch_size=32, epochs=epochs, random_state=0)
vae.fit(x_train[y_train == args.digit])
answers = vae.reconstruct(x_test)


def read(images):
    """The label of the nearest training image: a 1-nearest-neighbour classifier."""
    blocks = np.array_split(images, max(1, len(images) // 100))
    squared = (x_train**2).sum(axis=1)
    return y_train[np.concatenate([(squared - 2 * block @ x_train.T).argmin(axis=1) for block in blocks])]


shown, answered = read(x_test), read(answers)
print(f"the nearest neighbour classifies {np.mean(shown == y_test):.0%} of the test images correctly\n")
print(f"shown   reconstruction read as {args.digit}")
for digit in range(10):
    print(f"{digit:>5}   {np.mean(answered[y_test == digit] == args.digit):>24.0%}")
others, six = y_test != args.digit, args.digit
share, of_answers = (np.mean(labels[others] == six) for labels in (shown, answered))
print(f"\nother digits read as {six}: {share:.1%} of the images, {of_answers:.1%} of the reconstructions")

elbo = vae.score_samples(x_test)
print(f"mean ELBO: {elbo[~others].mean():.1f} nats for {args.digit}, {elbo[others].mean():.1f} for the others:", end="")
print(" digits it has never seen are unlikely")

first = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
rows = {"input": x_test[first], "output": answers[first]}
print(
    "figure:",
    image_rows(args.out / "15_sixes.png", rows, data.shape, 0, 1, title=f"Reconstructions by a model of {args.digit}s"),
)
