"""Draw a seven: a conditional variational autoencoder, told which digit it sees, draws the one it is asked for.

The label stands beside the image and beside the code. So the code need not tell which digit it is, and is left with how
it is written: slant, width, weight. The same code with another label is another digit by the same hand.

16_drawn.png        a row for each digit asked for, from new codes
16_same_hand.png    a row for each code: the same for all ten digits
16_handwriting.png  first a test image; then its code, with the label of each digit
"""

import argparse
from pathlib import Path

import numpy as np

from nanoae import StackedClassifier, VariationalAutoencoder, load_data
from nanoae.report import image_rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 150 on digits, 10 on MNIST")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
epochs = 10 if args.quick else args.epochs or (150 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()
y_train, y_test = data.y_train, data.y_test

settings = {"code_size": 6, "hidden": (256, 128), "batch_size": 32, "epochs": epochs, "random_state": 0}
told = VariationalAutoencoder(**settings).fit(x_train, condition=y_train)
untold = VariationalAutoencoder(**settings).fit(x_train)
print(f"ELBO of the test images: {told.score(x_test, condition=y_test):.2f} nats with their labels, ", end="")
print(f"{untold.score(x_test):.2f} without")

judge = StackedClassifier((128,), pretrain=False, activation="relu", epochs=epochs, batch_size=32, random_state=0)
judge.fit(x_train, y_train)
asked = np.repeat(np.arange(10), 100)
print(f"a classifier trained on real digits reads {judge.score(x_test, y_test):.1%} of the test images right, and")
for temperature in (1.0, 0.7):
    drawn = told.sample(1000, 0, temperature, condition=asked)
    print(f"{np.mean(judge.predict(drawn) == asked):.1%} of the drawn ones as the digit asked for", end="")
    print(f" (temperature {temperature})")

digits = np.arange(10)
rows = {f"{digit}": told.sample(10, digit, condition=digit) for digit in digits}
print("figure:", image_rows(args.out / "16_drawn.png", rows, data.shape, 0, 1))

codes = np.random.default_rng(0).standard_normal((6, 6))
rows = {f"code {i + 1}": told.inverse_transform(np.tile(z, (10, 1)), condition=digits) for i, z in enumerate(codes)}
print("figure:", image_rows(args.out / "16_same_hand.png", rows, data.shape, 0, 1))

rows = {}
for i in range(6):
    z = told.transform(x_test[i : i + 1], condition=y_test[i : i + 1])
    again = told.inverse_transform(np.tile(z, (10, 1)), condition=digits)
    rows[f"{i + 1}: a {y_test[i]}"] = np.concatenate([x_test[i : i + 1], again])
print("figure:", image_rows(args.out / "16_handwriting.png", rows, data.shape, 0, 1, n=11))
