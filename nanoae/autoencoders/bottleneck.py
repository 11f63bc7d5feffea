"""Bottlenecks: layers that constrain an autoencoder's code, in training and inference."""

from __future__ import annotations

from typing import ClassVar

from nanoae.autoencoders.mixture import Mixture
from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine.activations import LeakyReLU
from nanoae.engine.layers import Layer, Linear, Noisy, batch_of
from nanoae.engine.losses import BCE
from nanoae.engine.network import Sequential
from nanoae.engine.optim import Adam


@configurable
class TopK(Layer):
    """y = x · mask, with mask = 1 for the k largest values of each row, else 0.

    Sparse by construction instead of by a penalty (Makhzani & Frey 2013, "k-sparse autoencoders", where x is linear).

    k         number of units kept, 1 .. K
    alpha     >= 1: inference keeps round(alpha k) units; the paper found slightly more than in training to work better

    Backward  dx = dy · mask: without ties, a small change of x does not change the mask
    """

    bounds: ClassVar = {"k": "[1, inf)", "alpha": "[1, inf)"}

    k: int
    alpha: float = 1.0

    def infer_shape(self, in_shape: Shape) -> Shape:
        right = len(in_shape) == 1 and in_shape[0] >= self.k
        self.check_shape(right, f"a code (N, K) with K >= {self.k}")
        return in_shape

    def forward(self, x: Array, train: bool = False) -> Array:
        k = self.k
        if not train:
            k = min(round(self.alpha * self.k), self.in_shape[0])
        mask = self.ops.top_k_mask(x, k, out=self.buffer("mask", x.shape))
        self.cache = mask if train else None
        return self.ops.multiply(x, mask, out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array | None:
        mask = self.take_cache()
        return self.ops.multiply(dy, mask, out=self.buffer("dx", dy.shape))


@configurable
class Gaussian(Noisy):
    """z ~ N(mu, e^logvar): a stochastic code, the bottleneck of the variational autoencoder.

    In training  z = mu + e^(logvar / 2) · noise,  noise ~ N(0, 1). Otherwise z = mu. logvar is the log *variance*.

    `penalty` is the KL divergence from the prior, in nats (Kingma & Welling 2014, appendix B):

        P = beta_t Σ_j max(free_bits, 1/N Σ_n KL[n, j])
        KL = KL(N(mu, e^logvar) ‖ N(0, 1)) = (mu² + e^logvar - 1 - logvar) / 2

    Shapes     x = [mu, logvar] (N, 2 K)    z, noise (N, K)

    beta       >= 0: above 1 for fewer, more independent units (Higgins 2017), below for sharper reconstructions
    warm_up    number of steps in which beta_t rises to beta, beta_t = beta · min(1, t / warm_up): the decoder first
               learns to use the code, else units can collapse to the prior (Bowman 2016)
    free_bits  >= 0, nats per unit: a batch mean of the KL below this is not reduced further (Kingma 2016)

    Backward   dmu     = dz                              + beta_t / N · mu
               dlogvar = dz · noise · e^(logvar / 2) / 2 + beta_t / N · (e^logvar - 1) / 2
               the second terms are 0 for units whose mean KL is below free_bits, since P is constant there
               (see `Ops.gaussian_kl` for logvar above 20, which unscaled data can cause)
    """

    bounds: ClassVar = {"beta": "[0, inf)", "warm_up": "[0, inf)", "free_bits": "[0, inf)"}
    inputs_per_unit = 2  # mu and logvar

    beta: float = 1.0
    warm_up: float = 0
    free_bits: float = 0.0

    def code_prior(self, k: int) -> Mixture:
        """Return the prior of codes of k numbers: N(0, I)."""
        return Mixture.standard(k)

    def infer_shape(self, in_shape: Shape) -> Shape:
        self.check_shape(
            len(in_shape) == 1 and in_shape[0] % 2 == 0,
            "[mu, logvar] of shape (N, 2 K)",
            "End the encoder in Linear(2 K) for a code of K numbers.",
        )
        # The step count t and beta_t live on the device, so that a captured step can advance them.
        self.state["t"] = self.ops.zeros(1, self.dtype)
        self.t = self.state["t"].reshape(())
        self.beta_t = self.ops.add_inplace(self.ops.zeros((), self.dtype), self.beta)
        return (in_shape[0] // 2,)

    def draw(self, noise: Array) -> Array:
        return self.ops.normal(self.generator, out=noise)

    def raise_beta(self) -> None:
        """Advance the warm-up by one step."""
        if self.warm_up and not self.frozen:
            self.ops.add_inplace(self.t, 1.0)
            self.ops.multiply(self.t, self.beta / self.warm_up, out=self.beta_t)
            self.ops.clip(self.beta_t, 0.0, self.beta, out=self.beta_t)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.check_input(x)
        self.cache = None
        shape = (len(x), *self.out_shape)
        z = self.buffer("y", shape)
        if not train:
            return self.ops.copy(x[:, : shape[1]], out=z)
        noise = self.noise(shape)
        std = self.buffer("std", shape)
        dx = self.buffer("dx", x.shape)
        self.ops.reparametrise(x, noise, std, out=z)
        self.raise_beta()
        dkl = self.buffer("dkl", x.shape)
        self.penalty = self.ops.gaussian_kl(x, std, self.beta_t, self.free_bits, out=dkl)
        self.cache = noise, std, dkl, dx
        return z

    def backward(self, dz: Array) -> Array | None:
        noise, std, dkl, dx = self.take_cache()
        self.ops.reparametrise_backward(dz, noise, std, out=dx)
        return self.ops.add_inplace(dx, dkl)


@configurable
class Adversarial(Noisy):
    """y = x; the distribution of all codes is trained to match a prior (Makhzani 2015, adversarial autoencoders).

    A second network, the discriminator d, receives codes h and samples z of the prior and learns to distinguish them;
    s(d) = 1 / (1 + e⁻ᵈ) is its probability for "from the prior". The encoder learns to mislead it:

        min over the encoder, max over d,  of  V = E[log s(d(z))] + E[log(1 - s(d(h)))]

    The discriminator ascends V and the encoder descends it: d minimises -V, a BCE, and the encoder receives the
    gradient dV/dh = -s(d) dd/dh through d. For the optimal d, V is the Jensen-Shannon divergence of the two
    distributions (up to constants), with its minimum where they are equal. Where d rejects a code with confidence, s(d)
    and this gradient vanish, so the encoder minimises -log s(d(h)) instead, which has the same fixed point and a
    gradient of the same sign that does not vanish there (Goodfellow 2014, section 3):

        P  = -weight / N Σ_n log s(d(h[n])) = weight / N Σ_n softplus(-d(h[n]))

    prior          a Mixture, or None for N(0, I)
    weight         >= 0, of P relative to the reconstruction loss: P is about 0.7 weight when codes and prior match
    hidden         widths of the discriminator's hidden layers (LeakyReLU)
    learning_rate  of the discriminator's Adam, which takes one step on the same codes per step of the autoencoder, with
                   beta1 = 0.5, as is usual for GANs (Radford 2016); Adam(beta1=0.5) suits the autoencoder, too

    Backward   dx = dy + weight / N · dd/dhᵀ (s(d) - 1), from the discriminator's backward. Its parameters belong to
               this layer's state, not to theta. With frozen noise it is not trained, so that P is a function of x
               alone, as a gradient check requires.
    """

    bounds: ClassVar = {"weight": "[0, inf)"}

    prior: Mixture | None = None
    weight: float = 0.01
    hidden: Shape = (128, 128)
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.prior is not None and not isinstance(self.prior, Mixture):
            raise ValueError(
                f"Adversarial: expected prior=None, for N(0, I), or a Mixture, got {self.prior!r}."
            )

    def code_prior(self, k: int) -> Mixture:
        """Return the prior of codes of k numbers."""
        return self.prior or Mixture.standard(k)

    def infer_shape(self, in_shape: Shape) -> Shape:
        wanted = in_shape[:1] if self.prior is None else (len(self.prior.means[0]),)
        self.check_shape(in_shape == wanted, f"codes of shape {batch_of(wanted)}, like the prior")
        self.draw_codes = self.code_prior(in_shape[0]).sampler(self.ops, self.dtype)
        layers: list[Layer] = [
            layer for width in self.hidden for layer in (Linear(width), LeakyReLU(0.2))
        ]
        self.discriminator = d = Sequential([*layers, Linear(1)]).build(
            in_shape, self.ops, self.dtype, random_state=0
        )
        d.layers[0].need_dx = True
        self.state["discriminator"] = d.theta
        self.loss = BCE().build(self.ops, self.dtype)
        self.optimizer = Adam(self.learning_rate, beta1=0.5).build(self.ops, d.theta)
        # t and the rate live in device memory, so that a step can be recorded.
        self.optimizer.t = self.ops.zeros((), "int64")
        self.optimizer.rate = self.ops.add_inplace(
            self.ops.zeros((), "float64"), self.learning_rate
        )
        m, v = self.optimizer.moments
        self.momenta = {"t": self.optimizer.t, "m": m, "v": v}
        return in_shape

    def draw(self, noise: Array) -> Array:
        return self.draw_codes(self.generator, noise)

    def forward(self, x: Array, train: bool = False) -> Array:
        self.cache = None
        if not train:
            return x
        self.check_input(x)
        n = len(x)
        ops = self.ops
        d = self.discriminator
        both = self.buffer("both", (2 * n, *self.in_shape))
        is_prior = self.buffer("is_prior", (2 * n, 1))
        ops.copy(x, out=both[:n])
        ops.copy(self.noise(x.shape), out=both[n:])
        ops.copy(0.0, out=is_prior[:n])
        ops.copy(1.0, out=is_prior[n:])
        y = d.forward(both[:n], train=True)
        loss = self.loss.forward(y, is_prior[n:])
        self.penalty = ops.multiply(loss, self.weight)
        dh = self.buffer("dx", x.shape)
        dcodes = d.backward(self.loss.backward())
        ops.multiply(dcodes, self.weight, out=dh)
        self.cache = dh, both, is_prior
        return x

    def backward(self, dy: Array) -> Array | None:
        dh, both, is_prior = self.take_cache()
        if not self.frozen:
            self.loss.forward(self.discriminator.forward(both, train=True), is_prior)
            self.discriminator.backward(self.loss.backward())
            self.ops.add_inplace(self.optimizer.t, 1)
            d = self.discriminator
            self.optimizer.descend(d.theta, d.grad, *self.optimizer.moments)
        return self.ops.add_inplace(dh, dy)


BOTTLENECKS: dict[str, type] = {"top_k": TopK, "gaussian": Gaussian, "adversarial": Adversarial}
