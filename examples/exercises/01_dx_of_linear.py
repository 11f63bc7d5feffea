"""Exercise 1: the input gradient of a Linear layer.  (First: example 01. About 15 minutes.)

y = x W + b,  x (N, I), W (I, O), b (O,), y (N, O). `backward` gets dy = dLoss/dy (N, O). The gradients of W and b are
given; dx is missing. Take one number, x[n, i]: which of the y[n, :] does it affect, and with which factor? Sum over
those, then find the matrix product that does so for all n and i. The shapes leave few choices.

    python examples/exercises/check.py 1
"""

from nanoae import Linear


class MyLinear(Linear):
    """Affine map  y = x W + b."""

    def backward(self, dy):
        x = self.take_cache()  # what forward kept
        W = self.params["W"]
        self.grads["W"][...] = x.T @ dy  # dW[i, o] = Σ_n x[n, i] dy[n, o]
        self.grads["b"][...] = dy.sum(axis=0)  # db[o] = Σ_n dy[n, o]
        raise NotImplementedError(f"dx (N, I) = ?  from dy {dy.shape}, x {x.shape} and W {W.shape}")
