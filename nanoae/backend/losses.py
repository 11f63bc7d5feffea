"""Losses in plain NumPy: each returns the value and writes dLoss/dy to `out`; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps


class LossOps(ArrayOps):
    """scale · Σ of a loss per element or row."""

    def mse(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ (y - t)²,  dy = 2 scale (y - t)."""
        self.xp.subtract(y, t, out=out)
        loss = scale * self.sum_squares(out)
        self.scale_inplace(out, 2 * scale)
        return loss

    def bce(self, z: Array, t: Array, scale: float, out: Array) -> Array:
        """From logits: loss = scale · Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t).

        With h = tanh(z / 2):  sigmoid(z) = (1 + h) / 2  and  softplus(z) = z / 2 + |z| / 2 - log((1 + |h|) / 2),  so

            loss = scale · Σ (1/2 - t) z + |z| / 2 - log((1 + |h|) / 2)        dz = scale (1/2 - t + h / 2)

        One tanh replaces exp, log1p and tanh, and the logarithms of up to 64 rows become one logarithm of their
        product, which is at least 2⁻⁶⁴. The first two terms cancel for a correct, large logit, so they are added before
        summing. Rows are processed in blocks of 64 that stay in the cache.
        """
        xp = self.xp
        total = 0.0
        for start in range(0, len(z), 64):
            block = slice(start, start + 64)
            z_block = z[block]
            dz = out[block]
            h = self.scratch(dz)
            term = self.scratch(dz, "term")
            xp.subtract(0.5, t[block], out=dz)
            xp.multiply(dz, z_block, out=term)
            xp.abs(z_block, out=h)
            self.axpby_inplace(term, 0.5, h, 1.0)
            total = total + self.sum(term)
            xp.multiply(z_block, 0.5, out=h)
            xp.tanh(h, out=h)
            xp.abs(h, out=term)
            xp.multiply(term, 0.5, out=term)
            xp.add(term, 0.5, out=term)
            product = xp.multiply.reduce(term, axis=0)
            total = total - xp.log(product).sum()
            self.axpby_inplace(dz, 0.5 * scale, h, scale)
        return scale * total

    def l1(self, y: Array, t: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ |y - t|,  dy = scale · sign(y - t) (0 at 0)."""
        r = self.xp.subtract(y, t, out=out)
        return self.l1_norm(r, scale, out=out)

    def huber(self, y: Array, t: Array, delta: float, scale: float, out: Array) -> Array:
        """With r = y - t and c = clip(r, -delta, delta): loss = scale · Σ c (r - c / 2),  dy = scale · c.

        c (r - c/2) is r²/2 inside and delta (|r| - delta/2) outside (Huber 1964).
        """
        r = self.xp.subtract(y, t, out=self.scratch(out))
        self.xp.clip(r, -delta, delta, out=out)
        c_r = self.sum_products(out, r)
        c_c = self.sum_squares(out)
        loss = scale * (c_r - 0.5 * c_c)
        self.scale_inplace(out, scale)
        return loss

    def l1_norm(self, x: Array, scale: float, out: Array) -> Array:
        """loss = scale · Σ |x|,  dx = scale · sign(x) (0 at 0). `out` may be x."""
        size = self.xp.abs(x, out=self.scratch(out))
        loss = scale * self.sum(size)
        self.xp.sign(x, out=out)
        self.scale_inplace(out, scale)
        return loss

    def bernoulli_kl(self, q: Array, p: float, scale: float, out: Array) -> Array:
        """For probabilities q, clipped to [1e-6, 1 - 1e-6]:
        loss = scale · Σ p log(p / q) + (1 - p) log((1 - p) / (1 - q)),  dq = scale ((1 - p) / (1 - q) - p / q)."""
        xp = self.xp
        rest = xp.clip(q, 1e-6, 1 - 1e-6, out=self.scratch(out))
        xp.divide(p, rest, out=out)  # p / q
        xp.subtract(1, rest, out=rest)
        xp.divide(1 - p, rest, out=rest)  # (1 - p) / (1 - q)
        of_ones = p * xp.log(out).sum()
        of_zeros = (1 - p) * xp.log(rest).sum()
        loss = scale * (of_ones + of_zeros)
        xp.subtract(rest, out, out=out)
        self.scale_inplace(out, scale)
        return loss

    def softmax_cross_entropy(
        self,
        z: Array,
        t: Array,
        scale: float,
        out: Array,
        weights: Array | None = None,
    ) -> Array:
        """For logits z (N, K), class indices t (N,) and weights w (N,), by default 1:
        loss = -scale · Σ_n w[n] log p[n, t[n]],  dz = scale w (p - onehot(t)).

        log p[n, t] = z[n, t] - max z[n] - log Σ_k e^(z[n, k] - max z[n]).
        """
        xp = self.xp
        rows = xp.arange(len(z))
        largest = z.max(axis=1, keepdims=True)
        xp.subtract(z, largest, out=out)
        picked = out[rows, t]
        xp.exp(out, out=out)
        sums = out.sum(axis=1, keepdims=True)
        surprise = xp.log(sums[:, 0]) - picked  # -log p[n, t]
        xp.divide(out, sums, out=out)
        out[rows, t] -= 1
        if weights is None:
            self.scale_inplace(out, scale)
            return scale * surprise.sum()
        of_rows = xp.multiply(weights, scale)
        self.scale_inplace(out, of_rows[:, None])
        return scale * self.sum_products(surprise, weights)

    def cross_entropy(self, z: Array, t: Array, scale: float, out: Array) -> Array:
        """For logits z (..., K) and targets t (..., K), one-hot or soft, with p = softmax(z) along the last axis:

        loss = -scale · Σ t log p,  dz = scale (p Σ_k t_k - t).  A row of t with only zeros has loss 0.
        """
        xp = self.xp
        largest = z.max(axis=-1, keepdims=True)
        xp.subtract(z, largest, out=out)
        picked = xp.multiply(t, out, out=self.scratch(out)).sum()
        xp.exp(out, out=out)
        sums = out.sum(axis=-1, keepdims=True)
        mass = t.sum(axis=-1, keepdims=True)
        logs = xp.multiply(mass, xp.log(sums)).sum()
        loss = scale * (logs - picked)
        factor = xp.divide(mass, sums, out=sums)
        xp.multiply(out, factor, out=out)
        xp.subtract(out, t, out=out)
        self.scale_inplace(out, scale)
        return loss

    def log_sum_exp(self, x: Array, out: Array | None = None) -> Array:
        """y[n] = log Σ_k e^x[n, k] along the last axis, as  m + log Σ e^(x - m)  with m = max x[n]: no overflow."""
        xp = self.xp
        largest = x.max(axis=-1, keepdims=True)
        e = xp.subtract(x, largest, out=self.scratch(x))
        xp.exp(e, out=e)
        out = xp.log(e.sum(axis=-1), out=out)
        return xp.add(out, largest[..., 0], out=out)
