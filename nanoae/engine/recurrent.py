"""GRU: a layer that reads a sequence step by step and carries a state along."""

from __future__ import annotations

from nanoae.backend import Array, Shape
from nanoae.configurable import configurable
from nanoae.engine import init
from nanoae.engine.init import Parameter
from nanoae.engine.layers import Layer


@configurable
class GRU(Layer):
    """Gated recurrent unit. With a = x[t] W + b and u = h[t-1] U + c, each in thirds for r, z and n:

        r = sigmoid(a_r + u_r)        how much of the old state the proposal sees (reset)
        z = sigmoid(a_z + u_z)        how much of the old state stays (update)
        n = tanh(a_n + r u_n)         the proposal
        h[t] = (1 - z) n + z h[t-1]

    Cho et al. 2014, with the reset after the product h U, as in cuDNN and PyTorch: there W and U are transposed
    (weight_ih, weight_hh), b is bias_ih, c is bias_hh.

    n_out   O, the length of the state
    last    y is the last state alone

    Shapes    x, dx (N, T, I), of any T    y, dy (N, T, O), or (N, O) with last    h, dh (N, O)
              W, dW (I, 3 O)    U, dU (O, 3 O)    b, c, db, dc (3 O,)

    forward takes the state before the first step, `h`, zero where it is None; backward leaves its gradient in `dh`.

    Backward  through time, from the last step to the first: what reaches h[t] is dy[t] and what step t + 1 sent back.
              With dh = dLoss/dh[t],
              dz = dh (h[t-1] - n)     da_z = du_z = dz z (1 - z)
              dn = dh (1 - z)          da_n = dn (1 - n²)            du_n = da_n r
              dr = da_n u_n            da_r = du_r = dr r (1 - r)
              dh[t-1] = dh z + du Uᵀ
              Every step uses the same weights, so their gradients sum over the steps; with all steps below each other
              dW = xᵀ da    db = Σ da    dU = h[t-1]ᵀ du    dc = Σ du    dx = da Wᵀ
    """

    n_out: int
    last: bool = False
    init: str = "glorot_uniform"
    bias_init: str = "zeros"

    def infer_shape(self, in_shape: Shape) -> Shape:
        hint = "An Embedding before it makes vectors of words."
        self.check_shape(len(in_shape) == 2, "sequences, inputs of shape (N, T, I)", hint)
        return (self.n_out,) if self.last else (in_shape[0], self.n_out)

    def parameters(self) -> dict[str, Parameter]:
        weights = init.get(self.init)
        bias = init.get(self.bias_init)
        n_in = self.in_shape[1]
        n_out = self.n_out
        return {
            "W": ((n_in, 3 * n_out), weights),
            "U": ((n_out, 3 * n_out), weights),
            "b": ((3 * n_out,), bias),
            "c": ((3 * n_out,), bias),
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
        # The time steps in front: each (N, ...) is contiguous, whatever the batch.
        x = ops.copy(x.transpose(1, 0, 2), out=self.memory("x", (t, n, n_in)))
        a = self.memory("a", (t, n, 3 * n_out))
        u = self.memory("u", (t, n, 3 * n_out))
        states = self.memory("y", (t + 1, n, n_out))  # the first is the state before the first step
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
