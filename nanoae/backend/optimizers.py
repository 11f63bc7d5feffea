"""The updates of optimisers, over the flat theta, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps

BLOCK = (
    1 << 17
)  # elements that Adam works on at a time, in the cache: smaller blocks lose to the calls


class OptimizerOps(ArrayOps):
    """They write theta and the state of the optimiser, which is theirs."""

    def flush_inplace(self, x: Array, tiny: float) -> Array:
        """x = 0 where |x| <= tiny."""
        size = self.xp.abs(x, out=self.scratch(x))
        mask = self.xp.greater(size, tiny, out=size)
        return self.xp.multiply(x, mask, out=x)

    def decay_inplace(self, theta: Array, rate, decay: float) -> Array:
        """theta *= 1 - rate · decay; rate a number, or a 0-d array."""
        return self.scale_inplace(theta, 1 - rate * decay)

    def next_batch(
        self,
        clock: Array,
        rate: Array,
        rates: Array,
        order: Array,
        rows: Array,
    ) -> None:
        """The start of step i of an epoch, clock = (i, t), int64: rows = order[i · len(rows) : ...], rate () =
        rates[i], float64; afterwards clock = (i + 1, t + 1). Where `order` ends, its last number is repeated."""
        i = int(clock[0])
        n = len(rows)
        places = self.xp.arange(i * n, (i + 1) * n)
        self.xp.take(order, places, mode="clip", out=rows)
        rate[...] = rates[i]
        clock += 1

    def sgd_inplace(
        self,
        theta: Array,
        grad: Array,
        velocity: Array | None,
        lr: float,
        momentum: float,
        nesterov: bool,
    ) -> Array:
        """u = momentum · u + g;  theta -= lr · u, or with Nesterov theta -= lr · (g + momentum · u)."""
        step = grad
        if velocity is not None:
            self.scale_inplace(velocity, momentum)
            self.add_inplace(velocity, grad)
            step = velocity
            if nesterov:
                step = self.xp.multiply(velocity, momentum, out=self.scratch(theta, "step"))
                self.add_inplace(step, grad)
        update = self.xp.multiply(step, lr, out=self.scratch(theta))
        return self.xp.subtract(theta, update, out=theta)

    def adam_inplace(
        self,
        theta: Array,
        grad: Array,
        m: Array,
        v: Array,
        t: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
    ) -> Array:
        """Adam (Kingma & Ba 2015), step number t = 1, 2, ..., on moments without their factor (1 - beta):

        m = beta1 · m + g        m̂ = m (1 - beta1) / (1 - beta1ᵗ)
        v = beta2 · v + g²       v̂ = v (1 - beta2) / (1 - beta2ᵗ)
        theta -= lr · m̂ / (sqrt(v̂) + eps)
               = rate · m / (sqrt(v) + s eps)    with s = sqrt((1 - beta2ᵗ) / (1 - beta2)),
                                                 rate = lr s (1 - beta1) / (1 - beta1ᵗ)
        """
        s = ((1 - beta2**t) / (1 - beta2)) ** 0.5
        rate = lr * s * (1 - beta1) / (1 - beta1**t)
        xp = self.xp
        for start in range(0, theta.size, BLOCK):
            part = slice(start, start + BLOCK)
            g = grad[part]
            update = self.scratch(g)
            self.axpby_inplace(m[part], 1.0, g, beta1)
            xp.multiply(g, g, out=update)
            self.axpby_inplace(v[part], 1.0, update, beta2)
            xp.sqrt(v[part], out=update)
            xp.add(update, s * eps, out=update)
            xp.divide(m[part], update, out=update)
            self.axpby_inplace(theta[part], -rate, update, 1.0)
        return theta
