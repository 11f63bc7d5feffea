"""Bottlenecks: what an autoencoder's code has to pass, in training and in use."""

from __future__ import annotations

from nanoae.autoencoders.mixture import Mixture
from nanoae.engine.layers import Layer, Noisy


class TopK(Layer):
    """y = x · mask, mask = 1 for the k largest of each row, else 0: a code of k units out of K, the best for each row.

    Sparse by construction instead of by a penalty (Makhzani & Frey 2013, "k-sparse autoencoders", where x is linear).

    k         units that stay, 1 .. K
    alpha     >= 1: outside training round(alpha k) stay; the paper found a few more than in training to be better

    Backward  dx = dy · mask: where no two are equal, a small change of x leaves the mask as it is
    """

    def __init__(self, k: int, alpha: float = 1.0):
        if k < 1 or k != int(k):
            raise ValueError(f"TopK: expected k, a whole number >= 1, got {k}.")
        if not alpha >= 1:
            raise ValueError(f"TopK: expected alpha >= 1, got {alpha}.")
        self.k, self.alpha = k, alpha

    def resolve(self, in_shape):
        if len(in_shape) != 1 or in_shape[0] < self.k:
            got = ", ".join(map(str, in_shape))
            raise ValueError(f"{self}: expected a code (N, K) with K >= {self.k}, got (N, {got}).")
        return in_shape

    def forward(self, x, train=False):
        k = self.k if train else min(round(self.alpha * self.k), self.in_shape[0])
        mask = self.ops.top_k_mask(x, k, out=self.buffer("mask", x.shape))
        self.cache = mask if train else None
        return self.ops.multiply(x, mask, out=self.buffer("y", x.shape))

    def backward(self, dy):
        return self.ops.multiply(dy, self.take_cache(), out=self.buffer("dx", dy.shape))


class Gaussian(Noisy):
    """z ~ N(mu, e^logvar): a code that is a distribution, the bottleneck of the variational autoencoder.

    Training:  z = mu + e^(logvar / 2) · noise,  noise ~ N(0, 1). Else z = mu. logvar is the log of the *variance*.

    `penalty`, what the code pays for telling x from the rest, in nats (Kingma & Welling 2014, appendix B):

        P = beta_t Σ_j max(free_bits, 1/N Σ_n KL[n, j])
        KL = KL(N(mu, e^logvar) ‖ N(0, 1)) = (mu² + e^logvar - 1 - logvar) / 2

    Shapes     x = [mu, logvar] (N, 2 K)    z, noise (N, K)

    beta       >= 0: above 1 for fewer, more independent units (Higgins 2017), below for sharper reconstructions
    warm_up    steps in which beta_t rises to beta, beta_t = beta · min(1, t / warm_up): at first the decoder learns
               what the code is good for, else units can give up at once (Bowman 2016)
    free_bits  >= 0, nats that each unit has free on the batch's mean: less is not rewarded (Kingma 2016)

    Backward   dmu     = dz                              + beta_t / N · mu
               dlogvar = dz · noise · e^(logvar / 2) / 2 + beta_t / N · (e^logvar - 1) / 2
               the second terms without the units whose mean KL is below free_bits: there P is constant
               (for logvar above 20, which a table that was not scaled can cause, see `Ops.gaussian_kl`)
    """

    inputs_per_unit = 2  # the layer before it gives mu and logvar

    def __init__(self, beta: float = 1.0, warm_up: int = 0, free_bits: float = 0.0):
        for name, value in {"beta": beta, "warm_up": warm_up, "free_bits": free_bits}.items():
            if not value >= 0:
                raise ValueError(f"Gaussian: expected {name} >= 0, got {value}.")
        self.beta, self.warm_up, self.free_bits = beta, warm_up, free_bits
        self.by_row = not free_bits  # which are compared with the batch's mean

    def prior(self, k: int) -> Mixture:
        """Where codes of k numbers are to be found: N(0, I)."""
        return Mixture.standard(k)

    def resolve(self, in_shape):
        if len(in_shape) != 1 or in_shape[0] % 2:
            got = ", ".join(map(str, in_shape))
            raise ValueError(
                f"{self}: expected [mu, logvar] of shape (N, 2 K), got (N, {got}). "
                "For a code of K numbers end the encoder in Linear(2 K)."
            )
        self.state["t"] = self.ops.zeros(
            1, self.dtype
        )  # steps done. They and beta_t are kept, advanced and used on the
        self.t = self.state["t"].reshape(())  # device, so that a captured step can be replayed
        self.beta_t = self.ops.add_inplace(self.ops.zeros((), self.dtype), self.beta)
        return (in_shape[0] // 2,)

    def draw(self, noise):
        return self.ops.normal(self.generator, out=noise)

    def forward(self, x, train=False):
        self.check_input(x)
        self.cache = None
        shape = (len(x), *self.out_shape)
        z = self.buffer("y", shape)
        if not train:
            return self.ops.copy(x[:, : shape[1]], out=z)
        noise, std, dx = self.noise(shape), self.buffer("std", shape), self.buffer("dx", x.shape)
        self.ops.reparametrise(x, noise, std, out=z)
        if self.warm_up and not self.frozen:
            self.ops.multiply(self.ops.add_inplace(self.t, 1.0), self.beta / self.warm_up, out=self.beta_t)
            self.ops.clip(self.beta_t, 0.0, self.beta, out=self.beta_t)
        dkl = self.buffer("dkl", x.shape)
        self.penalty = self.ops.gaussian_kl(x, std, self.beta_t, self.free_bits, out=dkl)
        self.cache = noise, std, dkl, dx
        return z

    def backward(self, dz):
        noise, std, dkl, dx = self.take_cache()
        self.ops.reparametrise_backward(dz, noise, std, out=dx)
        return self.ops.add_inplace(dx, dkl)


BOTTLENECKS: dict[str, type] = {"top_k": TopK, "gaussian": Gaussian}
