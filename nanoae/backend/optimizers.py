"""The updates of optimisers on the flat theta, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps

# Elements that Adam updates at a time, to stay in the cache: smaller blocks are dominated by call overhead
BLOCK = 1 << 17
# Where a gradient stays 0 (a dead ReLU), m shrinks by beta per step until it is subnormal, which is ten times slower on
# a CPU. Values below TINY move no weight; from TINY, 0.9ᵗ does not reach the subnormals within FLUSH_EVERY steps.
FLUSH_EVERY = 128
TINY = {4: 1e-30, 8: 1e-300}  # of numbers of 4 and 8 bytes


class OptimizerOps(ArrayOps):
    """In-place updates of theta and the optimiser's state."""

    def flush_inplace(self, m: Array, t: int) -> Array:
        """Every FLUSH_EVERY steps, set m = 0 where |m| <= TINY; the kernels do so in every step."""
        if t % FLUSH_EVERY:
            return m
        size = self.xp.abs(m, out=self.scratch(m))
        mask = self.xp.greater(size, TINY[m.itemsize], out=size)
        return self.xp.multiply(m, mask, out=m)

    def decay_inplace(self, theta: Array, rate, decay: float) -> Array:
        """theta *= 1 - rate · decay; rate is a number or a 0-d array."""
        return self.scale_inplace(theta, 1 - rate * decay)

    def next_batch(
        self,
        clock: Array,
        rate: Array,
        rates: Array,
        order: Array,
        rows: Array,
    ) -> None:
        """Begin step i of an epoch, clock = (i, t), int64: rows = order[i · len(rows) : ...], rate () = rates[i],
        float64, then clock = (i + 1, t + 1). Beyond the end of `order` its last index is repeated."""
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
        t: int,
        lr: float,
        momentum: float,
        nesterov: bool,
    ) -> Array:
        """u = momentum · u + g;  theta -= lr · u, or with Nesterov theta -= lr · (g + momentum · u), at step t."""
        step = grad
        if velocity is not None:
            self.scale_inplace(velocity, momentum)
            self.add_inplace(velocity, grad)
            step = self.flush_inplace(velocity, t)
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
        """Adam (Kingma & Ba 2015), step t = 1, 2, ..., with moments stored without the factor (1 - beta):

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
            self.flush_inplace(m[part], t)
            xp.multiply(g, g, out=update)
            self.axpby_inplace(v[part], 1.0, update, beta2)
            xp.sqrt(v[part], out=update)
            xp.add(update, s * eps, out=update)
            xp.divide(m[part], update, out=update)
            self.axpby_inplace(theta[part], -rate, update, 1.0)
        return theta
