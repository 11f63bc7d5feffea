"""Activations in plain NumPy: y = f(x), dx = dy · f'(x); `Ops` inherits them.

A backward takes what forward kept: y if f' is a function of y, else x. `out` may be x or dy itself, to work in place.
Masks are floats, since copies with where= are slow.
"""

from __future__ import annotations

import math

from nanoae.backend.array_ops import Array, ArrayOps

SQRT_2_OVER_PI, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715  # Hendrycks & Gimpel 2016


class ActivationOps(ArrayOps):
    """Elementwise activations, also fused with an affine map, and selections within rows."""

    def relu(self, x: Array, out: Array | None = None) -> Array:
        """y = max(x, 0), with a row of zeros: NumPy's maximum takes four times as long with a scalar."""
        zeros = self.zeros_row(x.shape[-1], x.dtype)
        return self.xp.maximum(x, zeros, out=out)

    def relu_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else 0 (0 at the kink): a product with the float mask [y > 0]."""
        mask = self.xp.greater(y, 0, out=self.scratch(y))
        return self.xp.multiply(dy, mask, out=out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        """y = x where x > 0, else slope · x, as max(x, slope · x): 0 <= slope <= 1."""
        scaled = self.xp.multiply(x, slope, out=self.scratch(x))
        return self.xp.maximum(x, scaled, out=out)

    def leaky_relu_backward(
        self,
        dy: Array,
        y: Array,
        slope: float,
        out: Array | None = None,
    ) -> Array:
        """dx = dy · (slope + (1 - slope) [y > 0]), so slope · dy at the kink."""
        xp = self.xp
        df = xp.greater(y, 0, out=self.scratch(y))
        xp.multiply(df, 1 - slope, out=df)
        xp.add(df, slope, out=df)
        return xp.multiply(dy, df, out=out)

    def elu(self, x: Array, alpha: float, out: Array | None = None) -> Array:
        """y = x where x > 0, else alpha (eˣ - 1), as max(x, 0) + alpha (e^min(x, 0) - 1)."""
        xp = self.xp
        negative = xp.minimum(x, 0, out=self.scratch(x))
        xp.expm1(negative, out=negative)
        xp.multiply(negative, alpha, out=negative)
        out = xp.maximum(x, 0, out=out)
        return xp.add(out, negative, out=out)

    def elu_backward(self, dy: Array, y: Array, alpha: float, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else dy · (y + alpha), since alpha eˣ = y + alpha."""
        xp = self.xp
        df = xp.greater(y, 0, out=self.scratch(y))
        xp.multiply(df, 1 - alpha, out=df)
        negative = xp.minimum(y, 0, out=self.scratch(y, "negative"))
        xp.add(df, negative, out=df)
        xp.add(df, alpha, out=df)
        return xp.multiply(dy, df, out=out)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """y = 1 / (1 + e⁻ˣ) = (1 + tanh(x / 2)) / 2: the tanh form is faster and cannot overflow."""
        xp = self.xp
        out = xp.multiply(x, 0.5, out=out)
        xp.tanh(out, out=out)
        xp.multiply(out, 0.5, out=out)
        return xp.add(out, 0.5, out=out)

    def sigmoid_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · y (1 - y)."""
        df = self.xp.subtract(1, y, out=self.scratch(y))
        self.xp.multiply(df, y, out=df)
        return self.xp.multiply(dy, df, out=out)

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        """y = tanh x."""
        return self.xp.tanh(x, out=out)

    def tanh_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · (1 - y²)."""
        df = self.xp.multiply(y, y, out=self.scratch(y))
        self.xp.subtract(1, df, out=df)
        return self.xp.multiply(dy, df, out=out)

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        """y = log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|): no overflow."""
        xp = self.xp
        positive = xp.maximum(x, 0, out=self.scratch(x))
        out = xp.abs(x, out=out)
        xp.negative(out, out=out)
        xp.exp(out, out=out)
        xp.log1p(out, out=out)
        return xp.add(out, positive, out=out)

    def softplus_backward(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy · sigmoid(x), and sigmoid(x) = 1 - e⁻ʸ."""
        xp = self.xp
        df = xp.negative(y, out=self.scratch(y))
        xp.expm1(df, out=df)
        xp.negative(df, out=df)
        return xp.multiply(dy, df, out=out)

    def gelu(self, x: Array, out: Array | None = None) -> Array:
        """y = x / 2 · (1 + h),  h = tanh(√(2/π) (x + 0.044715 x³)): the tanh form, within 5e-4 of x Φ(x)."""
        h = self.gelu_tanh(x, out=self.scratch(x))
        self.xp.add(h, 1, out=h)
        self.xp.multiply(h, 0.5, out=h)
        return self.xp.multiply(x, h, out=out)

    def gelu_tanh(self, x: Array, out: Array) -> Array:
        """h of `gelu`, as tanh(x (√(2/π) + √(2/π) 0.044715 x²))."""
        xp = self.xp
        xp.multiply(x, x, out=out)
        xp.multiply(out, SQRT_2_OVER_PI * GELU_CUBIC, out=out)
        xp.add(out, SQRT_2_OVER_PI, out=out)
        xp.multiply(out, x, out=out)
        return xp.tanh(out, out=out)

    def gelu_backward(self, dy: Array, x: Array, out: Array | None = None) -> Array:
        """dx = dy · (1 + h + x (1 - h²) √(2/π) (1 + 3 · 0.044715 x²)) / 2."""
        xp = self.xp
        h = self.gelu_tanh(x, out=self.scratch(x))
        df = xp.multiply(x, x, out=self.scratch(x, "df"))
        xp.multiply(df, 3 * SQRT_2_OVER_PI * GELU_CUBIC, out=df)
        xp.add(df, SQRT_2_OVER_PI, out=df)
        xp.multiply(df, x, out=df)
        rest = xp.subtract(1, h, out=self.scratch(x, "rest"))
        xp.multiply(df, rest, out=df)
        xp.add(df, 1, out=df)
        xp.add(h, 1, out=h)
        xp.multiply(df, h, out=df)  # (1 + h) (1 + (1 - h) ...): 1 - h² = (1 + h) (1 - h)
        xp.multiply(df, 0.5, out=df)
        return xp.multiply(dy, df, out=out)

    def silu(self, x: Array, out: Array | None = None) -> Array:
        """y = x s,  s = sigmoid(x)."""
        s = self.sigmoid(x, out=self.scratch(x))
        return self.xp.multiply(x, s, out=out)

    def silu_backward(self, dy: Array, x: Array, out: Array | None = None) -> Array:
        """dx = dy · s (1 + x (1 - s)),  s = sigmoid(x), s' = s (1 - s)."""
        xp = self.xp
        s = self.sigmoid(x, out=self.scratch(x))
        df = self.scratch(x, "df")
        xp.subtract(1, s, out=df)
        xp.multiply(df, x, out=df)
        xp.add(df, 1, out=df)
        xp.multiply(df, s, out=df)
        return xp.multiply(dy, df, out=out)

    def affine_activation(
        self,
        x: Array,
        W: Array,
        b: Array,
        f: str,
        a: tuple[float, ...],
        out: Array,
        z: Array | None = None,
    ) -> Array:
        """out = f(x W + b); f is "identity" or the name of an activation above, a its parameters.

        z   receives x W + b, if f' is a function of that
        """
        z = out if z is None else z
        self.matmul(x, W, out=z)
        self.add_bias_inplace(z, b)
        if f == "identity":
            return out
        activation = getattr(self, f)
        return activation(z, *a, out=out)

    def activation_backward_bias(
        self,
        dy: Array,
        y: Array,
        f: str,
        a: tuple[float, ...],
        db: Array,
        out: Array,
    ) -> Array:
        """out = dz = dy · f'(z),  db[o] = Σ_n dz[n, o].  y (N, O) is f(z), or z if f' is a function of that."""
        backward = getattr(self, f"{f}_backward")
        backward(dy, y, *a, out=out)
        self.sum_rows(out, out=db)
        return out

    def softmax(self, x: Array, out: Array | None = None) -> Array:
        """y[n] = e^(x[n] - max x[n]) / Σ e^(...), along the last axis."""
        largest = x.max(axis=-1, keepdims=True)
        out = self.xp.subtract(x, largest, out=out)
        self.xp.exp(out, out=out)
        sums = out.sum(axis=-1, keepdims=True)
        return self.xp.divide(out, sums, out=out)

    def clip(self, x: Array, low: float, high: float, out: Array | None = None) -> Array:
        """y = min(max(x, low), high)."""
        return self.xp.clip(x, low, high, out=out)

    def clip_backward(
        self,
        dy: Array,
        y: Array,
        low: float,
        high: float,
        out: Array | None = None,
    ) -> Array:
        """dx = dy where low < y < high, else 0 (0 at the kinks)."""
        mask = self.xp.greater(y, low, out=self.scratch(y))
        out = self.xp.multiply(dy, mask, out=out)
        self.xp.less(y, high, out=mask)
        return self.scale_inplace(out, mask)

    def top_k_mask(self, x: Array, k: int, out: Array) -> Array:
        """out[n, d] = 1 for the k largest x[n, d] of each row, else 0: exactly k, even with ties."""
        n, d = x.shape
        largest = self.xp.argpartition(x, d - k, axis=1)[:, d - k :]
        out[...] = 0
        out[self.xp.arange(n)[:, None], largest] = 1
        return out
