"""The primitives of normalisation, on rows x (R, M), in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps


class NormalisationOps(ArrayOps):
    """Sums, centring and scaling of rows."""

    def sum_products_rows(self, x: Array, y: Array, out: Array) -> Array:
        """out[r] = Σ_m x[r, m] y[r, m]: BLAS's dot for each row if they are contiguous, else a product with ones."""
        if x.flags.c_contiguous and y.flags.c_contiguous:
            rows = x[:, None, :]
            columns = y[:, :, None]
            self.xp.matmul(rows, columns, out=out[:, None, None])
            return out
        product = self.xp.multiply(x, y, out=self.scratch(x, "product"))
        ones = self.ones(x.shape[1], x.dtype)
        return self.xp.matmul(product, ones, out=out)

    def center(self, x: Array, mean: Array, var: Array, out: Array) -> Array:
        """mean[r] = Σ_m x / M,  out = x - mean,  var[r] = Σ_m out² / M: two passes avoid cancellation."""
        m = x.shape[1]
        self.xp.matmul(x, self.ones(m, x.dtype), out=mean)
        self.scale_inplace(mean, 1 / m)
        self.xp.subtract(x, mean[:, None], out=out)
        self.sum_products_rows(out, out, out=var)
        self.scale_inplace(var, 1 / m)
        return out

    def rsqrt(self, x: Array, eps: float, out: Array) -> Array:
        """out = 1 / sqrt(x + eps)."""
        self.xp.add(x, eps, out=out)
        self.xp.sqrt(out, out=out)
        return self.xp.divide(1, out, out=out)

    def affine_rows(self, x: Array, a: Array, b: Array, out: Array) -> Array:
        """out[r, m] = a[r] x[r, m] + b[r]."""
        self.xp.multiply(x, a[:, None], out=out)
        return self.xp.add(out, b[:, None], out=out)

    def center_backward(
        self,
        dy: Array,
        xc: Array,
        inv: Array,
        scale: Array,
        sum_dy: Array,
        sum_dy_x: Array,
        out: Array,
    ) -> Array:
        """The backward of  y = scale · xc,  xc = x - mean(x);  scale is a multiple of inv = 1 / sqrt(var(x) + eps).

        With x̂ = inv · xc:  sum_dy[r] = Σ_m dy,  sum_dy_x[r] = Σ_m dy x̂,
        out = scale (dy - sum_dy / M - x̂ sum_dy_x / M). `out` may be xc.
        """
        xp = self.xp
        m = dy.shape[1]
        xp.matmul(dy, self.ones(m, dy.dtype), out=sum_dy)
        self.sum_products_rows(dy, xc, out=sum_dy_x)
        xp.multiply(sum_dy_x, inv, out=sum_dy_x)
        factor = self.scratch(inv, "factor")
        xp.multiply(sum_dy_x, inv, out=factor)
        self.scale_inplace(factor, -1 / m)
        shift = self.scratch(inv, "shift")
        xp.multiply(sum_dy, -1 / m, out=shift)
        self.affine_rows(xc, factor, shift, out=out)
        xp.add(out, dy, out=out)
        return xp.multiply(out, scale[:, None], out=out)
