"""Few labels: images are cheap, labels are expensive. How much do unlabelled images help?

A stacked denoising classifier first learns its layers from all images, one layer at a time, by reconstructing corrupted
images; then it learns the classes from the few labelled images (y = -1 marks the others). For comparison, the same
network is trained on the labelled images alone, with the same widths, dropout and number of steps. Unlabelled images
help most if labels are fewest; with a few hundred labels they hardly help. About 11 s; MNIST takes many minutes.

23_errors.png     test error by the number of labels
23_weights.png    what the units of the first layer respond to, before any label was seen
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Cosine, MaskingNoise, StackedClassifier, load_data
from nanoae.report import loss_curves, weight_images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist", "fashion-mnist"), default="digits")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
small = args.data == "digits"
seeds = 2 if small and not args.quick else 1  # draws of the labelled images, averaged
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()


if small:
    network = {"sizes": (128, 128), "activation": "sigmoid", "initializer": "glorot_uniform", "batch_size": 32}
    noise, epochs, rate, pretrain_rate = 0.3, 60, 5e-3, 3e-3
else:
    network = {"sizes": (500, 500, 500), "activation": "relu", "initializer": "he_normal", "batch_size": 100}
    noise, epochs, rate, pretrain_rate = 0.5, 8, 1e-3, 1e-3


def classifier(pretrain, seed):
    return StackedClassifier(
        **network,
        pretrain=pretrain,
        corruption=MaskingNoise(noise),
        pretrain_epochs=2 if args.quick else epochs,
        pretrain_learning_rate=Cosine(pretrain_rate),
        pretrain_loss="bce",
        dropout=(0.2, 0.3),  # of the inputs, of the hidden units
        learning_rate=Cosine(rate),
        epochs=2 if args.quick else 150,
        random_state=seed,
    )


numbers = (20, 50, 100, 200) if small else (100, 300, 1000)
errors = {"labelled images alone": [], "pretrained on all": []}
for n in numbers:
    wrong = []
    for seed in range(seeds):
        y = np.full(len(x_train), -1)
        rng = np.random.default_rng(seed)
        for c in range(10):  # equally many of each class
            labelled = rng.choice(np.flatnonzero(data.y_train == c), n // 10, replace=False)
            y[labelled] = c
        models = [classifier(pretrain, seed).fit(x_train, y) for pretrain in (False, True)]
        wrong.append([100 * model.evaluate(x_test, data.y_test)["error"] for model in models])
    for name, mean in zip(errors, np.mean(wrong, axis=0), strict=True):
        errors[name].append(mean)
    print(f"{n:>5} labels of {len(y):,}: test error {np.mean(wrong, axis=0)[0]:.1f} %, pretrained {mean:.1f} %")

labels = {"ylabel": "test error, %", "xlabel": "number of labels", "ticks": numbers}
print("figure:", loss_curves(args.out / "23_errors.png", errors, **labels, title="Test error by number of labels"))
network = classifier(True, 0).set_params(freeze=1).fit(x_train, y).network_  # its first layer stays as pretrained
W = network.ops.to_numpy(network.layers[1].params["W"])
print("figure:", weight_images(args.out / "23_weights.png", W, data.shape, title="Pretrained first-layer weights"))
