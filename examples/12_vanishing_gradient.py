"""Why pretraining mattered: in a deep network of sigmoids the gradient almost vanishes on its way to the first layer.

Each sigmoid multiplies the gradient by s (1 - s) <= 1/4, and each matrix of small random weights shrinks it further.
After eight layers nothing is left to learn from, and the network outputs the mean image. Weights that were pretrained
one layer at a time start where the gradient gets through (Hinton & Salakhutdinov 2006).

12_gradients.png    the norm of dLoss/dW of each layer before the first step, from the first layer to the last
12_learning.png     the test loss of both networks under the same plain gradient descent
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import BCE, SGD, Linear, StackedAutoencoder, Trainer, load_data
from nanoae.report import loss_curves

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 60 on digits, 10 on the others")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 3 if args.quick else args.epochs or (60 if args.data == "digits" else 10)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()


def stack(pretrain, initializer):
    """The deep sigmoid autoencoder x - 256 - 128 - 64 - 16 - 64 - 128 - 256 - x, not yet trained as a whole."""
    return StackedAutoencoder(
        (256, 128, 64, 16), pretrain=pretrain, pretrain_epochs=epochs, pretrain_learning_rate=3e-3, batch_size=64,
        loss="bce", epochs=0, initializer=initializer, random_state=0,
    ).fit(x_train)  # fmt: skip


gradients, curves = {}, {}
for name, model in {"random": stack(False, "small_normal"), "pretrained": stack(True, "glorot_uniform")}.items():
    net, ops = model.network_, model.network_.ops
    loss = BCE(reduction="batch").build(ops, net.dtype)
    x = ops.to_device(x_train[:256])
    loss.forward(net.forward(x, train=True), x)
    net.backward(loss.backward())
    linears = [layer for layer in net.layers if isinstance(layer, Linear)]
    gradients[name] = [float(np.linalg.norm(ops.to_numpy(layer.grads["W"]))) for layer in linears]
    first, last = gradients[name][0], gradients[name][-1]
    print(f"{name:<11} gradient norm of the first layer {first:.1e}, of the last {last:.1e}")

    descent = SGD(0.01, momentum=0.9)
    trainer = Trainer(net, loss, descent, batch_size=64, epochs=epochs, rows=len(x_train), seed=0)
    curves[name] = trainer.fit(ops.to_device(x_train), validation=(ops.to_device(x_test), None))["val_loss"]
    print(f"{'':<11} test MSE after {epochs} epochs {model.evaluate(x_test)['mse']:.4f}")
print(f"the mean image         test MSE {np.mean((x_test - x_train.mean(axis=0)) ** 2):.4f}")

labels = {"ylabel": "norm of the gradient", "xlabel": "layer"}
print("figure:", loss_curves(args.out / "12_gradients.png", gradients, **labels, title="Gradient norm by layer"))
print(
    "figure:",
    loss_curves(
        args.out / "12_learning.png", curves, ylabel="test BCE, summed over pixels", title="Test error by epoch"
    ),
)
