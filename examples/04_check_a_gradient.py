"""Write your own layer, check its gradient, then break it and watch the check fail.

Swish (Ramachandran 2017):   y = x · s,  s = sigmoid(x)
its derivative:              dy/dx = s + x · s (1 - s)         product rule, and s' = s (1 - s)

A layer consists of a forward and a backward. `nanoae.check_gradients` compares the backward with finite differences of
the forward, (L(x + eps d) - L(x - eps d)) / (2 eps), in float64 along random directions d. A correct backward agrees to
about nine digits; one with a missing term does not. Look at the last two lines: the broken layer trains almost as well
as the correct one, so without this check the bug would go unnoticed.

`nanoae trace` can break a backward on purpose and shows where the check fails: `nanoae trace --break derivative`.
"""

import argparse

import numpy as np

import nanoae
from nanoae import Linear, Sequential
from nanoae.engine.layers import Layer

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()


class Swish(Layer):
    """y = x · sigmoid(x),  dx = dy · (s + x s (1 - s)),  s = sigmoid(x)."""

    def forward(self, x, train=False):
        s = self.ops.sigmoid(x, out=self.buffer("s", x.shape))
        self.cache = (x, s) if train else None
        return self.ops.multiply(x, s, out=self.buffer("y", x.shape))

    def backward(self, dy):
        x, s = self.take_cache()
        return dy * (s + x * s * (1 - s))


class ForgetfulSwish(Swish):
    """Swish with only half of the product rule in its backward."""

    def backward(self, dy):
        _, s = self.take_cache()
        return dy * s  # x s (1 - s) is missing


x = np.random.default_rng(0).standard_normal((8, 5))  # a few random rows are enough
for layer in (Swish(), ForgetfulSwish()):
    print(f"{layer} alone, on x {x.shape}:")
    print(nanoae.check_gradients(layer, x), end="\n\n")

for layer in (Swish(), ForgetfulSwish()):
    report = nanoae.check_gradients(Sequential([Linear(6), layer, Linear(5)]), x)
    print(f"Linear(6), {layer}, Linear(5): {'right' if report.ok else 'WRONG in and before layer 1'}")
    print(report, end="\n\n")

# The layer works wherever nanoae's own layers do.
x_train, x_test = nanoae.load_data("digits").flat()
for layer in (Swish(), ForgetfulSwish()):
    ae = nanoae.Autoencoder(
        encoder=[Linear(128), layer, Linear(8)],
        decoder=[Linear(128), layer, Linear(64)],
        epochs=2 if args.quick else args.epochs,
        batch_size=32,
        random_state=0,
    ).fit(x_train)
    print(f"digits, 64-128-8-128-64 with {layer!s:<17} test MSE {ae.reconstruction_error(x_test).mean():.5f}")
