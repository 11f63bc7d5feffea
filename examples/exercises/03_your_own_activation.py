"""Exercise 3: an activation of your own.  (Before: example 04. About 20 minutes.)

Softsign (Turian 2009) is a tanh without an exponential:  y = x / (1 + |x|).

Elementwise layers say `f`, and `df`, which is dy times the derivative. It is handed y and not x, as y is what the layer
keeps: so write f'(x) = 1 / (1 + |x|)² as a function of y. (How much is 1 - |y|?) Both fill `out` and return it.

    python examples/exercises/check.py 3
"""

from nanoae import Elementwise


class Softsign(Elementwise):
    """y = x / (1 + |x|)."""

    def f(self, x, out):
        out[...] = x / (1 + abs(x))
        return out

    def df(self, dy, y, out):
        raise NotImplementedError("out[...] = dy · f'(x), as a function of y")
