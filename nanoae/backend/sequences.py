"""The primitives of sequences, in plain NumPy; `Ops` inherits them."""

from __future__ import annotations

from nanoae.backend.activations import ActivationOps
from nanoae.backend.array_ops import Array


class SequenceOps(ActivationOps):
    """Sequences x (N, T, I) of T time steps, and their tokens (N, T)."""

    def round_to_integers(self, x: Array, out: Array) -> Array:
        """Round x, integers or floats with integer values, to integers."""
        return self.xp.rint(x, out=out, casting="unsafe")

    def add_rows(self, x: Array, rows: Array, out: Array) -> Array:
        """The adjoint of take_rows: out[v] = Σ of the x[n] with rows[n] = v, 0 if there are none; x, out contiguous.

        Works on elements of the flat arrays, where NumPy's add.at is four times faster than on rows.
        """
        xp = self.xp
        out[...] = 0
        start = xp.multiply(rows, x.shape[1], out=self.scratch(rows, "start"))
        elements = self.scratch(x, "elements", rows.dtype)
        columns = xp.arange(x.shape[1])
        xp.add(start[:, None], columns, out=elements)
        sums = out.reshape(-1)
        xp.add.at(sums, elements.reshape(-1), x.reshape(-1))
        return out

    def not_equal(self, tokens: Array, token: int, out: Array) -> Array:
        """out = 1 where tokens != token, else 0."""
        return self.xp.not_equal(tokens, token, out=out)

    def last_not_zero(self, tokens: Array, out: Array) -> Array:
        """out[n] = the last t with tokens[n, t] != 0, or T - 1 if there is none; tokens (N, T)."""
        from_the_end = (tokens != 0)[:, ::-1]
        out[...] = from_the_end.argmax(axis=1)
        return self.xp.subtract(tokens.shape[1] - 1, out, out=out)

    def take_steps(self, x: Array, steps: Array, out: Array) -> Array:
        """out[n] = x[n, steps[n]]; x (N, T, I), out (N, I)."""
        out[...] = x[self.xp.arange(len(x)), steps]
        return out

    def put_steps(self, x: Array, steps: Array, out: Array) -> Array:
        """The adjoint of take_steps: out[n, steps[n]] = x[n], 0 at all other steps; x (N, I), out (N, T, I)."""
        out[...] = 0
        out[self.xp.arange(len(x)), steps] = x
        return out

    def sum_steps(self, x: Array, out: Array) -> Array:
        """out[n] = Σ_t x[n, t]; x (N, T, I), out (N, I)."""
        return self.xp.sum(x, axis=1, out=out)

    def gru_step(self, a: Array, u: Array, h: Array, gates: Array, out: Array) -> Array:
        """One time step of a GRU from a = x W + b and u = h U + c (N, 3 O), split in thirds for r, z and n:

        r = sigmoid(a_r + u_r)   z = sigmoid(a_z + u_z)   n = tanh(a_n + r u_n)   out = (1 - z) n + z h

        gates (N, 3 O) receives r, z, n; it may be `a`.
        """
        xp = self.xp
        o = h.shape[1]
        rz = gates[:, : 2 * o]
        r = gates[:, :o]
        z = gates[:, o : 2 * o]
        n = gates[:, 2 * o :]
        a_n = a[:, 2 * o :]
        u_n = u[:, 2 * o :]
        xp.add(a[:, : 2 * o], u[:, : 2 * o], out=rz)
        self.sigmoid(rz, out=rz)
        r_u_n = xp.multiply(r, u_n, out=self.scratch(r))
        xp.add(a_n, r_u_n, out=n)
        xp.tanh(n, out=n)
        xp.subtract(h, n, out=out)
        xp.multiply(out, z, out=out)
        return xp.add(out, n, out=out)  # n + z (h - n)

    def gru_step_backward(
        self,
        dy: Array,
        gates: Array,
        u: Array,
        h: Array,
        da: Array,
        du: Array,
        out: Array,
    ) -> Array:
        """From dy = dLoss/d(new state): dLoss/da, dLoss/du and, in `out`, the part of dLoss/dh not through u: dy z.

        dz = dy (h - n)      da_z = du_z = dz z (1 - z)
        dn = dy (1 - z)      da_n = dn (1 - n²)          du_n = da_n r
        dr = da_n u_n        da_r = du_r = dr r (1 - r)

        `da` may be `gates`, and `du` may be `u`.
        """
        xp = self.xp
        o = h.shape[1]
        r = gates[:, :o]
        z = gates[:, o : 2 * o]
        n = gates[:, 2 * o :]
        u_n = u[:, 2 * o :]
        dz = self.scratch(h, "dz")
        dn = self.scratch(h, "dn")
        dr = self.scratch(h, "dr")
        xp.multiply(dy, z, out=out)
        xp.subtract(h, n, out=dz)
        xp.multiply(dz, dy, out=dz)
        self.sigmoid_backward(dz, z, out=dz)
        xp.subtract(dy, out, out=dn)
        self.tanh_backward(dn, n, out=dn)
        xp.multiply(dn, u_n, out=dr)
        self.sigmoid_backward(dr, r, out=dr)
        xp.multiply(dn, r, out=du[:, 2 * o :])
        du[:, :o] = dr
        du[:, o : 2 * o] = dz
        da[:, :o] = dr
        da[:, o : 2 * o] = dz
        da[:, 2 * o :] = dn
        return out
