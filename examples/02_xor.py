"""XOR: a single-layer perceptron cannot learn it; a 2-2-1 network trained by backprop can.

A perceptron answers 1 on one side of a straight line. No straight line has (0,1) and (1,0) on one side and (0,0) and
(1,1) on the other (Minsky and Papert 1969), so it is right for at most three of the four inputs. Two hidden units
define two lines, and XOR is 1 between them. Training is not guaranteed to succeed: the loss has plateaus and local
minima, and this smallest of networks gets stuck in some of them, so we count successes over 20 seeds.
"""

import argparse

import numpy as np

from nanoae import BCE, SGD, Linear, Sequential, Sigmoid
from nanoae.data import xor

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=2000, help="steps, each over all four examples")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
epochs = min(args.epochs, 1000) if args.quick else args.epochs

x, y = xor()  # (4, 2) the corners of the unit square, (4,) their XOR
x, t = x.astype(np.float64), y[:, None].astype(np.float64)


def train(layers, seed):
    """(loss, probabilities (4,)) after `epochs` steps of plain gradient descent on all four examples."""
    net = Sequential(layers).build((2,), dtype="float64", random_state=seed)
    loss, sgd = BCE().build(net.ops, net.dtype), SGD(lr=1.0).build(net.ops, net.theta)
    for _ in range(epochs):
        z = net.forward(x, train=True)  # (4, 1): logits, so the probability is sigmoid(z)
        loss.forward(z, t)
        net.backward(loss.backward())  # dz = (sigmoid(z) - t) / 4, then layer by layer
        sgd.step(net.theta, net.grad)  # theta -= lr · grad
    z = net.forward(x)
    return float(loss.forward(z, t)), 1 / (1 + np.exp(-z[:, 0]))


def perceptron():
    return [Linear(1, init="lecun_normal")]


def network():
    return [Linear(2, init="lecun_normal"), Sigmoid(), Linear(1, init="lecun_normal")]


def right(p):
    """The number of right answers of four; a probability of 1/2 (to 3 digits) counts as wrong."""
    return int(np.sum((np.abs(p - 0.5) > 1e-3) & ((p > 0.5) == y)))


for name, layers in (("perceptron, 2-1", perceptron), ("network, 2-2-1", network)):
    value, p = train(layers(), seed=0)
    print(f"{name}: loss {value:.4f}, {right(p)} of 4 right")
    print("  x0  x1   XOR   P(1)")
    for (a, b), answer, probability in zip(x, y, p, strict=True):
        print(f"  {a:2.0f}  {b:2.0f}   {answer:3}   {probability:.3f}")
    print()

print(f"The perceptron's best is P = 1/2 everywhere: a loss of log 2 = {np.log(2):.4f}.\n")
results = [train(network(), seed) for seed in range(20)]
solved = [seed for seed, (_, p) in enumerate(results) if right(p) == 4]
stuck = {seed: round(value, 3) for seed, (value, _) in enumerate(results) if seed not in solved}
print(f"2-2-1 from 20 seeds: {len(solved)} of 20 learn XOR in {epochs} steps.")
print(f"The others, seed: loss  {stuck}")
