"""Draw a seven: a conditional variational autoencoder learns digits with their labels, and draws the requested one.

The label is an additional input of both the encoder and the decoder. The code therefore need not encode which digit it
is, and describes how it is written: slant, width, height and weight. With another label, the same code is another digit
in the same handwriting.
These digits were drawn by a program that records their handwriting, so it can be measured: how much of it does a linear
map predict from the code? Nearly all if the label is given; half if the code has to encode the digit, too.

16_drawn.png        a row for each requested digit, from new codes
16_same_hand.png    a row for each code: the same for all ten digits
16_handwriting.png  first a test image; then its code, decoded with the label of each digit
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import StackedClassifier, VariationalAutoencoder
from nanoae.data import written_digits
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 5 if args.quick else args.epochs
args.out.mkdir(parents=True, exist_ok=True)

x_train, y_train, hand_train = written_digits(4000)
x_test, y_test, hand_test = written_digits(1000, random_state=1)

settings = {"code_size": 6, "hidden": (256, 128), "batch_size": 32, "epochs": epochs, "random_state": 0}
conditional = VariationalAutoencoder(**settings).fit(x_train, condition=y_train)
plain = VariationalAutoencoder(**settings).fit(x_train)
print(f"ELBO of the test images: {conditional.score(x_test, condition=y_test):.2f} nats with their labels, ", end="")
print(f"{plain.score(x_test):.2f} without")


def explained(train, test):
    """R² of hand (N, 4) by the best linear map from codes (N, K)."""
    train, test = (np.column_stack([codes, np.ones(len(codes))]) for codes in (train, test))
    error = hand_test - test @ np.linalg.lstsq(train, hand_train, rcond=None)[0]
    return 1 - (error**2).sum(axis=0) / ((hand_test - hand_test.mean(axis=0)) ** 2).sum(axis=0)


codes = [conditional.transform(x, condition=y) for x, y in ((x_train, y_train), (x_test, y_test))]
print("R² by a linear map of the code:  slant  width  height  weight")
for name, pair in {"with labels": codes, "without": [plain.transform(x) for x in (x_train, x_test)]}.items():
    print(f"{name:<32} " + "  ".join(f"{r2:<5.2f}" for r2 in explained(*pair)))

judge = StackedClassifier((128,), pretrain=False, activation="relu", epochs=5, batch_size=32, random_state=0)
judge.fit(x_train, y_train)
asked = np.repeat(np.arange(10), 100)
drawn = conditional.sample(1000, 0, condition=asked)
print(f"a classifier recognises {judge.score(x_test, y_test):.1%} of the test images, and ", end="")
print(f"{np.mean(judge.predict(drawn) == asked):.1%} of the samples as the requested digit")

digits = np.arange(10)
rows = {f"{digit}": conditional.sample(10, digit, condition=digit) for digit in digits}
print("figure:", image_rows(args.out / "16_drawn.png", rows, (16, 16), 0, 1, title="Samples by label"))
hands = np.random.default_rng(0).standard_normal((6, 6))
rows = {
    f"code {i + 1}": conditional.inverse_transform(np.tile(z, (10, 1)), condition=digits) for i, z in enumerate(hands)
}
print("figure:", image_rows(args.out / "16_same_hand.png", rows, (16, 16), 0, 1, title="One code per row, every label"))
rows = {}
for i, z in enumerate(codes[1][:6]):
    decoded = conditional.inverse_transform(np.tile(z, (10, 1)), condition=digits)
    rows[f"{i + 1}: a {y_test[i]}"] = np.concatenate([x_test[i : i + 1], decoded])
print(
    "figure:",
    image_rows(args.out / "16_handwriting.png", rows, (16, 16), 0, 1, n=11, title="One handwriting, all digits"),
)
