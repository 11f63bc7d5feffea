"""Exercise 2: five layers, one backward is wrong. Which?  (First: examples 01 and 04. About 20 minutes.)

All forwards are right, and the network learns, if not well. Find the layer: `nanoae.check_gradients(layer, x)` checks
one layer by itself, and `nanoae trace` shows how a check fails. Then set BROKEN to its number and fix its backward.

    python examples/exercises/check.py 2
"""

from nanoae import Layer, Linear

BROKEN = None  # the number of the layer in `network()`: 0, 1, 2, 3 or 4


class Scale(Layer):
    """y = a x."""

    def __init__(self, a: float = 2.0):
        self.a = a

    def forward(self, x, train=False):
        self.cache = x if train else None
        return self.a * x

    def backward(self, dy):
        self.take_cache()
        return self.a * dy


class Square(Layer):
    """y = x |x|: a square that keeps its sign."""

    def forward(self, x, train=False):
        self.cache = x if train else None
        return x * abs(x)

    def backward(self, dy):
        return 2 * abs(self.take_cache()) * dy


class Centre(Layer):
    """y = x - its row's mean."""

    def forward(self, x, train=False):
        self.cache = x if train else None
        return x - x.mean(axis=1, keepdims=True)

    def backward(self, dy):
        self.take_cache()
        return dy


def network():
    return [Linear(6), Scale(0.5), Square(), Centre(), Linear(3)]
