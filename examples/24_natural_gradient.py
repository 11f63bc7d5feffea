"""The natural gradient: steps of equal size in what the network outputs, not in its weights.

First by hand, for one Linear layer whose inputs are badly scaled: the rate of plain gradient descent must suit the
steepest direction, so it crawls along the others; F⁻¹ dW goes straight to the solution. Then the same in a deep
autoencoder, layer by layer, which is K-FAC (Martens & Grosse 2015; derived in nanoae/training/kfac.py), against Adam.

24_learning.png    the deep autoencoder's test error under Adam and under K-FAC
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import KFAC, MSE, Adam, Autoencoder, Cosine, Linear, Sequential, load_data
from nanoae.report import loss_curves

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 5 if args.quick else args.epochs
args.out.mkdir(parents=True, exist_ok=True)

# ---------------------------------------------------------------- one layer, by hand

random = np.random.default_rng(0)
x = random.standard_normal((500, 4)) * [1.0, 0.3, 0.1, 0.03]  # curvature: 1,000 times higher along the first axis
t = x @ random.standard_normal((4, 2)) + 0.01 * random.standard_normal((500, 2))
bare = np.concatenate([x, np.ones((500, 1))], axis=1)  # x̄ = [x, 1]
A = bare.T @ bare / 500  # E[x̄ x̄ᵀ]
G = 2 * np.eye(2)  # E[dy dyᵀ] for (y - t)²: dy = 2 (y - t), and t ~ N(y, 1/2)
for name in ("plain", "natural"):
    net = Sequential([Linear(2)]).build((4,), dtype="float64", random_state=0)
    layer, loss = net.layers[0], MSE(reduction="batch").build(net.ops, net.dtype)
    for step in range(100):
        value = loss.forward(layer.forward(x, train=True), t)
        if step in (0, 1, 10, 99):
            print(f"{name:<8} after {step:>2} steps: loss {value:.6f}")
        layer.backward(loss.backward())
        gradient = np.vstack([layer.grads["W"], layer.grads["b"]])
        if name == "natural":
            gradient = np.linalg.inv(A) @ gradient @ np.linalg.inv(G)  # F⁻¹ dW = A⁻¹ dW G⁻¹
        else:
            gradient *= 0.3  # a rate of 1 is too much for the steepest direction
        layer.params["W"] -= gradient[:-1]
        layer.params["b"] -= gradient[-1]

# ---------------------------------------------------------------- eight layers, by K-FAC

x_train, x_test = load_data("digits").flat()
curves = {}
for name, optimizer in {"Adam": Adam(Cosine(3e-3)), "K-FAC": KFAC(Cosine(1.0))}.items():
    ae = Autoencoder(
        8, (128, 64, 32), output_activation="sigmoid", loss=MSE("batch"), optimizer=optimizer, batch_size=256,
        epochs=epochs, random_state=0,
    ).fit(x_train, validation_data=x_test)  # fmt: skip
    curves[name] = ae.history_["val_loss"]
    seconds = sum(ae.history_["seconds"])
    print(f"{name:<8} test MSE after {epochs} epochs {ae.evaluate(x_test)['mse']:.5f}, {seconds:.1f} s")
print(
    "figure:",
    loss_curves(
        args.out / "24_learning.png", curves, ylabel="test error, summed over pixels", title="Test error by epoch"
    ),
)
