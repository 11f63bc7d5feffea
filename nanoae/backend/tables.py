"""The primitives of tables, also with missing values, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps

LARGEST = 1e308


class TableOps(ArrayOps):
    """Missing values, range checks and scaling."""

    def present(self, x: Array, out: Array) -> Array:
        """out = 1 where x is a number, 0 where it is NaN: NaN != NaN."""
        return self.xp.equal(x, x, out=out)

    def fill_missing(self, x: Array, like: Array, value, out: Array) -> Array:
        """out = x where `like` is a number, value where it is NaN; value is a number or has shape (D,)."""
        xp = self.xp
        truth = xp.dtype(bool)
        missing = xp.isnan(like, out=self.scratch(like, "missing", truth))
        xp.copyto(out, x)
        xp.copyto(out, value, where=missing)
        return out

    def columns_outside(self, x: Array, limits: Array, out: Array) -> Array:
        """out[0] = number of columns of x (n, D) whose minimum is outside limits[0] .. limits[1], or whose maximum is
        outside limits[2] .. limits[3]."""
        ends = self.xp.stack([self.xp.fmin.reduce(x), self.xp.fmax.reduce(x)])
        inside = (limits[::2] <= ends) & (ends <= limits[1::2])
        out[0] = (~inside).any(axis=0).sum()
        return out

    def standardize(self, x: Array, center: Array, scale: Array, limit: Array, out: Array) -> Array:
        """out = z = (x - center) / scale for x (n, D), float32; beyond ±limit, ±(limit + log(1 + |z| - limit)), which
        also has slope 1 at the limit."""
        xp = self.xp
        z = (x - center) / scale
        far = xp.abs(z) > limit
        if far.any():
            size = xp.minimum(xp.abs(z), LARGEST)
            drawn_in = limit + xp.log1p(xp.maximum(size - limit, 0))
            z = xp.where(far, xp.copysign(drawn_in, z), z)
        out[...] = z
        return out
