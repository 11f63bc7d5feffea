"""The primitives of tables with gaps, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.array_ops import Array, ArrayOps


class TableOps(ArrayOps):
    """Which values are there, and what stands for those that are not."""

    def present(self, x: Array, out: Array) -> Array:
        """out = 1 where x is a number, 0 where it is NaN, which equals nothing."""
        return self.xp.equal(x, x, out=out)

    def fill_missing(self, x: Array, like: Array, value, out: Array) -> Array:
        """out = x where `like` is a number, value where it is NaN; value a number or of shape (D,)."""
        xp = self.xp
        truth = xp.dtype(bool)
        missing = xp.isnan(like, out=self.scratch(like, "missing", truth))
        xp.copyto(out, x)
        xp.copyto(out, value, where=missing)
        return out
