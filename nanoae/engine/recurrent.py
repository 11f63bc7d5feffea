"""GRU: a layer that reads a sequence one time step at a time and carries a hidden state."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer


@configurable
class GRU(Layer):
    """Gated recurrent unit. With a = x[t] W + b and u = h[t-1] U + c, each split in thirds for r, z and n:

        r = sigmoid(a_r + u_r)        reset gate: how much of the old state enters the candidate
        z = sigmoid(a_z + u_z)        update gate: how much of the old state is kept
        n = tanh(a_n + r u_n)         candidate state
        h[t] = (1 - z) n + z h[t-1]

    Cho et al. 2014, with the reset gate applied after the product h U, as in cuDNN and PyTorch, whose weight_ih and
    weight_hh are Wᵀ and Uᵀ, bias_ih is b and bias_hh is c.

    n_out   O, length of the state
    last    True to return the last state only

    Shapes    x, dx (N, T, I), any T    y, dy (N, T, O), or (N, O) with last    h, dh (N, O)
              W, dW (I, 3 O)    U, dU (O, 3 O)    b, c, db, dc (3 O,)

    forward takes the initial state `h`, zero if None; backward stores its gradient in `dh`.

    Backward  through time, from the last step to the first: h[t] receives dy[t] and the gradient from step t + 1.
              With dh = dLoss/dh[t],
              dz = dh (h[t-1] - n)     da_z = du_z = dz z (1 - z)
              dn = dh (1 - z)          da_n = dn (1 - n²)            du_n = da_n r
              dr = da_n u_n            da_r = du_r = dr r (1 - r)
              dh[t-1] = dh z + du Uᵀ
              Every step uses the same weights, so their gradients sum over the steps; with all steps stacked as rows
              dW = xᵀ da    db = Σ da    dU = h[t-1]ᵀ du    dc = Σ du    dx = da Wᵀ
    """

    n_out: int
    last: bool = False
    init: str = "glorot_uniform"
    bias_init: str = "zeros"

    def infer_shape(self, in_shape: Shape) -> Shape:
        hint = "An Embedding before it turns tokens into vectors."
        self.check_shape(len(in_shape) == 2, "sequences of shape (N, T, I)", hint)
        if self.last:
            return (self.n_out,)
        return in_shape[0], self.n_out

    def parameters(self) -> dict[str, Parameter]:
        n_in = self.in_shape[1]
        width = 3 * self.n_out
        return {
            "W": ((n_in, width), self.init),
            "U": ((self.n_out, width), self.init),
            "b": ((width,), self.bias_init),
            "c": ((width,), self.bias_init),
        }

    def check_input(self, x: Array) -> None:
        n_in = self.in_shape[1]
        if x.ndim != 3 or x.shape[2] != n_in:
            raise self.mistake(f"x of shape (N, T, {n_in})", x.shape)

    def forward(self, x: Array, train: bool = False, h: Array | None = None) -> Array:
        self.check_input(x)
        ops = self.ops
        W, U, b, c = self.params.values()
        n, t, n_in = x.shape
        width = 3 * self.n_out
        # Time first: each step (N, ...) is contiguous for every batch size.
        steps = self.memory("x", (t, n, n_in))
        ops.copy(x.transpose(1, 0, 2), out=steps)
        a = self.memory("a", (t, n, width))
        u = self.memory("u", (t, n, width))
        states = self.memory("y", (t + 1, n, self.n_out))  # states[0] is the initial state
        ops.copy(0 if h is None else h, out=states[0])
        rows = a.reshape(t * n, -1)  # all the steps at once
        ops.matmul(steps.reshape(t * n, n_in), W, out=rows)
        ops.add_bias_inplace(rows, b)
        for a_t, u_t, before, after in zip(a, u, states, states[1:], strict=False):
            ops.matmul(before, U, out=u_t)
            ops.add_bias_inplace(u_t, c)
            ops.gru_step(a_t, u_t, before, gates=a_t, out=after)
        self.cache = (steps, a, u, states) if train else None
        if self.last:
            return states[t]
        return states[1:].transpose(1, 0, 2)

    def backward(self, dy: Array) -> Array | None:
        x, a, u, states = self.take_cache()
        ops = self.ops
        W, U, _, _ = self.params.values()
        dW, dU, db, dc = self.grads.values()
        t, n, n_in = x.shape
        dh = self.buffer("dh", (n, self.n_out))
        carried = self.buffer("carried", (n, self.n_out))
        ops.copy(dy if self.last else 0, out=dh)
        for step in reversed(range(t)):
            if not self.last:
                ops.add_inplace(dh, dy[:, step])
            gates = a[step]
            u_t = u[step]
            # The gradients overwrite the arrays they are computed from.
            ops.gru_step_backward(dh, gates, u_t, states[step], da=gates, du=u_t, out=carried)
            ops.matmul(u_t, U.T, out=dh)
            ops.add_inplace(dh, carried)  # dh[t-1] = du Uᵀ + dh z
        self.dh = dh
        # all the steps at once
        da = a.reshape(t * n, -1)
        du = u.reshape(t * n, -1)
        before = states[:-1].reshape(t * n, -1)
        ops.matmul(x.reshape(t * n, -1).T, da, out=dW)
        ops.matmul(before.T, du, out=dU)
        ops.sum_rows(da, out=db)
        ops.sum_rows(du, out=dc)
        if not self.need_dx:
            return None
        dx = self.memory("dx", (t, n, n_in))
        ops.matmul(da, W.T, out=dx.reshape(t * n, n_in))
        return dx.transpose(1, 0, 2)
