"""K-FAC: natural-gradient descent with a Kronecker-factored curvature for each layer.

Gradient descent follows the direction of steepest descent for a small change of theta; the natural gradient follows
that for a small change of the network's output distribution (Amari 1998): F⁻¹ ∇, with the Fisher matrix

    F = E[g gᵀ]        g the gradient of one row's loss, with the target sampled from the network's own distribution

For a Linear layer, g is x̄ dyᵀ with x̄ = [x, 1], for W and b together. K-FAC (Martens & Grosse 2015) treats each layer
separately and approximates the mean of this Kronecker product by the product of means, whose inverse needs only two
small inverses.

    F ≈ A ⊗ G        A = E[x̄ x̄ᵀ] (I+1, I+1)        G = E[dy dyᵀ] (O, O)        F⁻¹ ∇ ≈ A⁻¹ ∇ G⁻¹
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nanoae.backend import Array, lapack
from nanoae.engine.layers import Layer, Linear
from nanoae.engine.losses import BCE, MSE, GaussianNLL, Loss
from nanoae.engine.network import Sequential
from nanoae.engine.optim import SGD, LearningRate
from nanoae.training.divergence import NotFiniteError
from nanoae.training.loop import Trainer

EARLY = 10  # number of first steps that measure and invert every time
SAMPLED = (MSE, GaussianNLL, BCE)


class FactorTap(Layer):
    """A Linear that keeps its x and dy, and running means of their products.

    A (I+1, I+1), G (O, O)   the factors of the layer's Fisher matrix
    """

    def __init__(self, linear: Linear):
        self.linear = linear
        self.A = np.zeros((linear.n_in + 1, linear.n_in + 1), linear.dtype)
        self.G = np.zeros((linear.n_out, linear.n_out), linear.dtype)
        self.inverses = (self.A.copy(), self.G.copy())
        names = ("A", "G", "A_inverse", "G_inverse")
        arrays = (self.A, self.G, *self.inverses)
        self.momenta = dict(zip(names, arrays, strict=True))  # saved in checkpoints

    def forward(self, x: Array, train: bool = False) -> Array:
        self.x = x
        return self.linear.forward(x, train)

    def backward(self, dy: Array) -> Array | None:
        self.dy = dy
        return self.linear.backward(dy)

    def update(self, decay: float, factor: float) -> None:
        """A = decay · A + (1 - decay) · mean of x̄ x̄ᵀ, and likewise G, with factor · dy as a row's gradient."""
        n = len(self.x)
        ones = np.ones((n, 1), self.x.dtype)
        x = np.concatenate([self.x, ones], axis=1)  # x̄ = [x, 1]
        self.A *= decay
        self.A += (1 - decay) * (1 / n) * (x.T @ x)
        self.G *= decay
        self.G += (1 - decay) * (factor**2 / n) * (self.dy.T @ self.dy)

    def invert(self, damping: float) -> None:
        """(A + π √λ I)⁻¹ and (G + √λ / π I)⁻¹: λ I is split between the two by their average eigenvalues."""
        mean_of_A = np.trace(self.A) / len(self.A)
        mean_of_G = np.trace(self.G) / len(self.G)
        root = math.sqrt(damping)
        A_inverse, G_inverse = self.inverses
        try:
            pi = math.sqrt(mean_of_A / max(mean_of_G, 1e-30))
            A_inverse[...] = damped_inverse(self.A, pi * root)
            G_inverse[...] = damped_inverse(self.G, 1 / pi * root)
        except (ValueError, ZeroDivisionError):  # LinAlgError, or an infinite mean
            largest = max(abs(self.A).max(), abs(self.G).max())
            raise NotFiniteError(
                f"KFAC, {self.linear}: expected invertible factors of the Fisher matrix, got values up to "
                f"{largest:.3g}. Scale the inputs, or increase the damping."
            ) from None

    def natural(self) -> tuple[Array, float]:
        """Return (A⁻¹ ∇ G⁻¹ for this layer's ∇ = [dW, db] (I+1, O), its inner product with ∇)."""
        gradient = np.vstack(list(self.linear.grads.values()))
        A, G = self.inverses
        direction = A @ gradient @ G
        return direction, float(np.vdot(direction, gradient))

    def __repr__(self) -> str:
        return f"FactorTap({self.linear})"


def damped_inverse(mean: Array, added: float) -> Array:
    """Return (mean + added I)⁻¹ of a factor (n, n), computed in float64."""
    identity = np.eye(len(mean))
    return lapack.inverse(mean.astype(np.float64) + added * identity)


class KFAC(SGD):
    """Momentum along the natural gradient F⁻¹ ∇ instead of ∇ (Martens & Grosse 2015).

    On deep autoencoders it takes several times fewer steps than Adam; one step costs about twice as much with 1,000
    rows and a large network, six times with 128 rows and a small one. Only `KFACTrainer` can run it (estimators
    select that themselves).

    lr             about 1, since the step has a natural scale
    momentum       in [0, 1)
    damping        λ > 0, added to F's eigenvalues
    kl_clip        > 0: upper bound of ΔᵀFΔ for Δ = lr · F⁻¹ ∇, before momentum: twice the KL divergence between the
                   network's distributions before and after the step, estimated by F. MSE implies a variance of 1/2, so
                   the default suits data in about [0, 1]: scale other data, or increase it with their square
    ema_decay      in [0, 1): weight of the old factors when they are measured again
    factor_every   training steps between measurements of the factors, >= 1
    inverse_every  training steps between their inversions, >= 1
    weight_decay   shrinks theta directly, independent of F⁻¹ and `kl_clip`
    """

    preconditioned = False  # True once grad holds F⁻¹ ∇
    bounds: ClassVar = {
        "momentum": "[0, 1)",
        "damping": "(0, inf)",
        "kl_clip": "(0, inf]",
        "ema_decay": "[0, 1)",
        "factor_every": "[1, inf)",
        "inverse_every": "[1, inf)",
    }

    def __init__(
        self,
        lr: LearningRate = 1.0,
        momentum: float = 0.9,
        damping: float = 1e-2,
        kl_clip: float = 1e-3,
        ema_decay: float = 0.95,
        factor_every: int = 5,
        inverse_every: int = 20,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, momentum, weight_decay=weight_decay)
        self.damping = damping
        self.kl_clip = kl_clip
        self.ema_decay = ema_decay
        self.factor_every = factor_every
        self.inverse_every = inverse_every

    def descend(self, theta: Array, grad: Array, *moments: Array) -> None:
        if not self.preconditioned:
            raise RuntimeError(
                f"{self}: expected nanoae.training.kfac.KFACTrainer, which has access to the layers."
            )
        super().descend(theta, grad, *moments)
        self.preconditioned = False


def require(right: bool, expected: str, got: object) -> None:
    """Raise ValueError for anything that K-FAC cannot train."""
    if not right:
        raise ValueError(f"KFAC: expected {expected}, got {got}. Use Adam.")


class KFACTrainer(Trainer):
    """A Trainer for the optimiser `nanoae.KFAC`, with the same arguments except `fuse`.

    Supports networks on NumPy in which only Linear layers have parameters, all trained, without penalties, and the
    losses MSE, GaussianNLL and BCE; ValueError otherwise. The update does not depend on the loss's `reduction`. Unlike
    in other trainers, steps allocate memory.
    """

    optimizer: KFAC

    def __init__(self, network: Sequential, loss: Loss, optimizer: KFAC, **settings: Any):
        super().__init__(network, loss, optimizer, **{**settings, "fuse": False})
        require(self.ops.name == "numpy", 'backend "numpy"', f'"{self.ops.name}"')
        sampled = type(self.loss) in SAMPLED and self.loss.weight > 0
        require(sampled, "MSE, GaussianNLL or BCE, with weight > 0", self.loss)
        for layer in network.layers:
            linear = type(layer) is Linear or not layer.params
            require(linear, "parameters in Linear layers only", layer)
        learning = sum(len(network.theta[part]) for part in self.updates.slices)
        require(learning == len(network.theta), "all layers to be trained", "frozen ones")
        layers = [
            FactorTap(layer) if isinstance(layer, Linear) else layer for layer in network.layers
        ]
        self.taps = [layer for layer in layers if isinstance(layer, FactorTap)]
        self.fast = network.with_layers(layers)
        self.n_updates = np.zeros((), np.int64)  # number of measurements of the factors

    def arrays(self) -> dict[str, Array]:
        return super().arrays() | {"n_updates": self.n_updates}

    def step(self, x: Array, t: Array) -> Array:
        if self.due(self.optimizer.factor_every) and (self.is_full(x) or not self.n_updates):
            self.measure_factors(x)  # a small last batch gives poor estimates
        loss = self.gradient(x, t)
        self.precondition(self.updates.rate_at(self.optimizer.t + 1))
        self.updates.step()
        return loss

    def is_full(self, x: Array) -> bool:
        """Return True if x is a full batch."""
        return len(x) == self.batch_size

    def due(self, every: int) -> bool:
        """Return True every so many steps, and in each of the first EARLY steps, where everything changes fast."""
        return self.optimizer.t % every == 0 or self.optimizer.t < EARLY

    def measure_factors(self, x: Array) -> None:
        """Update A and G of all layers, with targets sampled from the network's own distribution."""
        y = self.fast.forward(x, train=True)
        for layer in self.network.layers:
            require(layer.penalty is None, "layers without a loss of their own", layer)
        self.loss.forward(y, self.sample(y))
        self.fast.backward(self.loss.backward())
        self.n_updates += 1
        for tap in self.taps:
            # Targets are sampled for the loss without its weight; with it F is `weight` times as large, g its root.
            factor = len(x) * self.per_row(y) / math.sqrt(self.loss.weight)
            tap.update(min(1 - 1 / int(self.n_updates), self.optimizer.ema_decay), factor)

    def sample(self, y: Array) -> Array:
        """Sample targets from p(t | y), with -log p equal to the unweighted loss of an element up to a constant."""
        ops = self.ops
        generator = self.network.layers[0].generator
        if isinstance(self.loss, BCE):
            u = ops.uniform(generator, ops.empty(y.shape, y.dtype))
            return np.less(u, ops.sigmoid(y), out=u)  # 1 with probability sigmoid(y), else 0
        # (y - t)² is -log N(t; y, 1/2) up to a constant
        std = math.sqrt(getattr(self.loss, "variance", 0.5))
        noise = ops.normal(generator, ops.empty(y.shape, y.dtype))
        return ops.axpby_inplace(noise, 1.0, y, std)

    def per_row(self, y: Array) -> float:
        """Return the factor that turns the loss into a sum over features, averaged over rows."""
        return self.loss.weight / self.loss.scale(y.shape) / len(y)

    def precondition(self, rate: float) -> None:
        """grad <- ν F⁻¹ ∇, with ν <= 1 so that Δ = rate · ν F⁻¹ ∇ keeps ΔᵀFΔ below `kl_clip`."""
        self.optimizer.preconditioned = True
        if self.due(self.optimizer.inverse_every):
            for tap in self.taps:
                tap.invert(self.optimizer.damping)
        factor = self.per_row(self.loss.backward())
        found = [tap.natural() for tap in self.taps]
        # ΔᵀFΔ = rate² ∇ᵀ F⁻¹ ∇ before clipping
        change = (rate * factor) ** 2 * sum(product for _, product in found)
        allowed = math.sqrt(self.optimizer.kl_clip / max(change, 1e-30))
        clipped = factor * min(1.0, allowed)
        for tap, (direction, _) in zip(self.taps, found, strict=True):
            grads = tap.linear.grads
            np.multiply(direction[:-1], clipped, out=grads["W"])
            np.multiply(direction[-1], clipped, out=grads["b"])
