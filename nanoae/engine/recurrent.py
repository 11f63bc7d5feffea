"""GRU: a layer that reads a sequence one time step at a time and carries a hidden state."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine import init
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
        hint = "An Embedding before it turns words into vectors."
        self.check_shape(len(in_shape) == 2, "sequences of shape (N, T, I)", hint)
        return (self.n_out,) if self.last else (in_shape[0], self.n_out)

    def parameters(self) -> dict[str, Parameter]:
        weights = init.get(self.init)
        bias = init.get(self.bias_init)
        thirds = 3 * self.n_out
        return {
            "W": ((self.in_shape[1], thirds), weights),
            "U": ((self.n_out, thirds), weights),
            "b": ((thirds,), bias),
            "c": ((thirds,), bias),
        }

    def check_input(self, x: Array) -> None:
        n_in = self.in_shape[1]
        if x.ndim != 3 or x.shape[2] != n_in:
            raise self.mistake(f"x of shape (N, T, {n_in})", x.shape)

    def forward(self, x: Array, train: bool = False, h: Array | None = None) -> Array:
        self.check_input(x)
        ops = self.ops
        n, t, n_in = x.shape
        n_out = self.n_out
        # Time first: each step (N, ...) is contiguous for every batch size.
        x = ops.copy(x.transpose(1, 0, 2), out=self.memory("x", (t, n, n_in)))
        a = self.memory("a", (t, n, 3 * n_out))
        u = self.memory("u", (t, n, 3 * n_out))
        states = self.memory("y", (t + 1, n, n_out))  # states[0] is the initial state
        ops.copy(0 if h is None else h, out=states[0])
        rows = a.reshape(t * n, -1)  # all the steps at once
        ops.matmul(x.reshape(t * n, n_in), self.params["W"], out=rows)
        ops.add_bias_inplace(rows, self.params["b"])
        for step in range(t):
            ops.matmul(states[step], self.params["U"], out=u[step])
            ops.add_bias_inplace(u[step], self.params["c"])
            ops.gru_step(a[step], u[step], states[step], gates=a[step], out=states[step + 1])
        self.cache = (x, a, u, states) if train else None
        return states[t] if self.last else states[1:].transpose(1, 0, 2)

    def backward(self, dy: Array) -> Array | None:
        x, gates, u, states = self.take_cache()
        ops = self.ops
        t, n, n_in = x.shape
        dh = self.buffer("dh", (n, self.n_out))
        carried = self.buffer("carried", (n, self.n_out))
        ops.copy(dy if self.last else 0, out=dh)
        for step in reversed(range(t)):
            if not self.last:
                ops.add_inplace(dh, dy[:, step])
            da = gates[step]
            du = u[step]  # the gradients overwrite what they were computed from
            ops.gru_step_backward(dh, gates[step], u[step], states[step], da=da, du=du, out=carried)
            ops.matmul(du, self.params["U"].T, out=dh)
            ops.add_inplace(dh, carried)  # dh[t-1] = du Uᵀ + dh z
        self.dh = dh
        da = gates.reshape(t * n, -1)
        du = u.reshape(t * n, -1)
        x = x.reshape(t * n, -1)
        before = states[:-1].reshape(t * n, -1)
        ops.matmul(x.T, da, out=self.grads["W"])
        ops.matmul(before.T, du, out=self.grads["U"])
        ops.sum_rows(da, out=self.grads["b"])
        ops.sum_rows(du, out=self.grads["c"])
        if not self.need_dx:
            return None
        dx = self.memory("dx", (t, n, n_in))
        ops.matmul(da, self.params["W"].T, out=dx.reshape(t * n, n_in))
        return dx.transpose(1, 0, 2)
