"""Backprop by hand: one layer at a time, with every shape and every number printed.

A 4-3-2-3-4 autoencoder: four numbers go in, a code of two, four numbers come out.
1. forward    each layer computes its output y from its input x;
2. the loss   one number, and its gradient dy = dLoss/dy, where backprop starts;
3. backward   each layer, last to first, receives dy = dLoss/dy, stores its own dW and db, and returns dx = dLoss/dx;
4. the check  move one weight by ±eps: the change of the loss divided by 2 eps must equal that weight's gradient;
5. learning   repeat the same computation with a small step at the end. `nanoae trace` shows one step on a page.
"""

import argparse

import numpy as np

from nanoae import MSE, Adam, Linear, Sequential, Tanh

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=300, help="steps of Adam at the end")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
np.set_printoptions(precision=3, suppress=True, sign=" ")

# Four rows of four numbers that carry only two bits: each pair is 1 0 or 0 1. A code of two numbers suffices.
X = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], dtype=np.float64)
net = Sequential([Linear(3, init="lecun_normal"), Tanh(), Linear(2), Linear(3), Tanh(), Linear(4)])
net.build((4,), dtype="float64", random_state=2)
net.layers[0].need_dx = True  # the gradient of the data is not computed by default
loss = MSE().build(net.ops, net.dtype)


def show(name, array):
    print(f"  {name:<9}{array.shape!s:<8}{np.array2string(array, prefix=' ' * 19)}")


print("1. FORWARD   Linear: y = x W + b     Tanh: y = tanh x\n")
show("x", X)
inputs, x = [], X
for i, layer in enumerate(net.layers):
    print(f"\nlayer {i}, {layer}")
    if layer.params:
        show("W", layer.params["W"])  # b is still 0
    inputs.append(x)
    x = layer.forward(x, train=True)  # train=True: keep what backward will need
    show("y", x)

print("\n2. LOSS   mean of (y - x)² over the N·D = 16 numbers, and dy = 2 (y - x) / 16\n")
print(f"  loss     {float(loss.forward(x, X)):.9f}\n  by hand  {np.mean((x - X) ** 2):.9f}")
show("dy", dy := loss.backward())

print("\n3. BACKWARD   Linear: dW = xᵀ dy, db = Σ_n dy[n], dx = dy Wᵀ     Tanh: dx = dy (1 - y²)")
for i, layer in reversed(list(enumerate(net.layers))):
    print(f"\nlayer {i}, {layer}")
    dx = layer.backward(dy)
    if layer.params:
        show("dW", layer.grads["W"])
        show("= xᵀ dy", inputs[i].T @ dy)
        show("db", layer.grads["b"])
    show("dx", dx)
    dy = dx  # this layer's x is the previous layer's y: pass its gradient on

print("\n4. CHECK   dLoss/dw = (Loss(w + eps) - Loss(w - eps)) / (2 eps),  w = W[0, 0],  eps = 1e-5\n")
for i in (0, 2, 3, 5):
    W, dW, values = net.layers[i].params["W"], net.layers[i].grads["W"], []
    for move in (+1e-5, -2e-5, +1e-5):  # up, down, and back to the original value
        W[0, 0] += move
        values.append(float(loss.forward(net.forward(X), X)))
    print(f"  layer {i}   backprop {dW[0, 0]:+.9f}   difference {(values[0] - values[1]) / 2e-5:+.9f}")

print("\n5. LEARNING   forward, loss, backward, and theta -= Adam's step\n")
adam, epochs = Adam(lr=0.03).build(net.ops, net.theta), 100 if args.quick else args.epochs
for epoch in range(epochs + 1):
    value = float(loss.forward(net.forward(X, train=True), X))
    if epoch % max(epochs // 10, 1) == 0:
        print(f"  step {epoch:4}   loss {value:.6f}  {'#' * round(50 * value)}")
    net.backward(loss.backward())
    adam.step(net.theta, net.grad)
show("codes", net.forward(X, stop=3))
show("output", net.forward(X))
