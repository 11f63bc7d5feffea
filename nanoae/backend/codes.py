"""The primitives of Gaussian codes x = [mu, logvar] (N, 2 K), in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

import math

from nanoae.backend.array_ops import Array, ArrayOps

LOGVAR_MAX = 20.0
E_LOGVAR_MAX = math.exp(LOGVAR_MAX)
STD_MAX = math.exp(LOGVAR_MAX / 2) * (1 - 1e-6)


class CodeOps(ArrayOps):
    """Samples of N(mu, e^logvar), and their KL divergence."""

    def reparametrise(self, x: Array, noise: Array, std: Array, out: Array) -> Array:
        """std = e^(logvar / 2),  out = mu + std · noise: a sample of N(mu, std²).

        x = [mu, logvar] (N, 2 K), the others (N, K); std is an output, too. logvar is clipped to LOGVAR_MAX, so that
        unscaled data do not overflow.
        """
        xp = self.xp
        k = noise.shape[1]
        xp.minimum(x[:, k:], LOGVAR_MAX, out=std)
        xp.multiply(std, 0.5, out=std)
        xp.exp(std, out=std)
        xp.multiply(std, noise, out=out)
        return xp.add(out, x[:, :k], out=out)

    def reparametrise_backward(self, dz: Array, noise: Array, std: Array, out: Array) -> Array:
        """dmu = dz,  dlogvar = dz · noise · std / 2, since d e^(logvar / 2) / dlogvar = std / 2; 0 above LOGVAR_MAX."""
        k = dz.shape[1]
        out[:, :k] = dz
        dlogvar = self.xp.multiply(dz, noise, out=out[:, k:])
        self.scale_inplace(dlogvar, std)
        mask = self.xp.less(std, STD_MAX, out=self.scratch(std, "mask"))
        self.scale_inplace(dlogvar, mask)
        self.scale_inplace(dlogvar, 0.5)
        return out

    def gaussian_kl(self, x: Array, std: Array, beta: Array, free: float, out: Array) -> Array:
        """Mean of KL(N(mu, std²) ‖ N(0, 1)) over the rows, summed over units, each at least `free`, in nats:

        KL[n, j] = (mu² + std² - 1 - logvar) / 2      KL_j = 1/N Σ_n KL[n, j]      loss = beta Σ_j max(KL_j, free)
        dmu = beta / N · mu      dlogvar = beta / N · (std² - 1) / 2               both 0 in units with KL_j < free

        x, out (N, 2 K), std (N, K) = e^(logvar / 2), beta a 0-d array. Above LOGVAR_MAX, where std is constant, the KL
        continues along its tangent: std² becomes std² (1 + logvar - LOGVAR_MAX), with the same gradients.
        """
        xp = self.xp
        n, k = std.shape
        mu = x[:, :k]
        logvar = x[:, k:]
        dmu = out[:, :k]
        dlogvar = out[:, k:]
        xp.multiply(std, std, out=dlogvar)
        xp.subtract(dlogvar, 1, out=dlogvar)
        xp.subtract(logvar, LOGVAR_MAX, out=dmu)
        beyond = xp.maximum(dmu, 0, out=dmu)
        kl = xp.multiply(beyond, E_LOGVAR_MAX, out=self.scratch(std, "kl"))
        xp.add(kl, dlogvar, out=kl)
        xp.subtract(kl, logvar, out=kl)
        xp.multiply(mu, mu, out=dmu)
        xp.add(kl, dmu, out=kl)  # twice the KL
        factor = xp.multiply(beta, 1 / n, out=self.scratch(beta, "factor"))
        if free:
            units = self.sum_rows(kl, out=self.scratch(kl[0], "units"))
            self.scale_inplace(units, 0.5 / n)
            paid = xp.maximum(units, free, out=self.scratch(units, "paid"))
            loss = beta * self.sum(paid)
            mask = xp.greater(units, free, out=units)
            factor = self.scale_inplace(mask, factor)
        else:
            loss = 0.5 * factor * self.sum(kl)
        xp.multiply(mu, factor, out=dmu)
        self.scale_inplace(dlogvar, factor)
        self.scale_inplace(dlogvar, 0.5)
        return loss
