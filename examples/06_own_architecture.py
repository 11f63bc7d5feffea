"""Your own architecture: any layers, a learning-rate schedule, early stopping, a callback, save and load.

`encoder=[...]` ends in the code, `decoder=[...]` in the output, which is a logit with loss="bce", because the sigmoid
is part of the loss. Each Linear is given only its number of outputs; its inputs follow from the layer before.

The learning rate rises for 100 steps (Adam's first moment estimates average few gradients and are noisy) and then falls
along half a cosine. Dropout is active only in training, so the training loss is the larger one at first.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nanoae
from nanoae import ELU, Cosine, Dropout, LeakyReLU, Linear, Tanh, WarmUp
from nanoae.report import loss_curves

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=400)
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the model and the figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
args.out.mkdir(parents=True, exist_ok=True)


def report(trainer, row):
    """A callback: called after each epoch; returning True would stop the training."""
    if row["epoch"] % 10 == 1:
        losses = "loss {loss:.5f}   val_loss {val_loss:.5f}".format(**row)
        print(f"epoch {row['epoch']:3}   {losses}   learning rate {trainer.optimizer.rate:.5f}")


x_train, x_test = nanoae.load_data("digits").flat()
ae = nanoae.Autoencoder(
    encoder=[Linear(256), LeakyReLU(0.1), Dropout(0.1), Linear(64), Tanh(), Linear(16)],
    decoder=[Linear(64), ELU(), Linear(256), ELU(), Linear(64)],
    loss="bce",
    learning_rate=WarmUp(Cosine(3e-3), steps=100),
    batch_size=64,
    epochs=5 if args.quick else args.epochs,
    validation_fraction=0.15,  # held out from the training rows; the test rows stay unseen
    patience=15,  # stop after 15 epochs without a better val_loss, and restore the best weights
    callbacks=[report],
    random_state=0,
).fit(x_train)

print(f"\n{ae.summary()}\n")
val_loss = ae.history_["val_loss"]
print(f"stopped after epoch {len(val_loss)} of {ae.epochs}, kept the weights of {1 + np.argmin(val_loss)}")
p = np.clip(x_test, 1e-9, 1 - 1e-7)
floor = -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p))  # the loss of a perfect reconstruction y = p
print(f"test BCE {-ae.score(x_test):.5f}, of which {floor:.5f} is the entropy of grey pixels")
for name, model in (("PCA", nanoae.PCA(n_components=16).fit(x_train)), ("autoencoder", ae)):
    print(f"{name:<12} test MSE {model.evaluate(x_test)['mse']:.5f}")

ae.set_params(callbacks=())  # callbacks are code and cannot be saved
ae.save(args.out / "06_model.npz")  # arrays and JSON, no pickle: safe to open even from strangers
again = nanoae.load(args.out / "06_model.npz")
same = np.array_equal(ae.transform(x_test), again.transform(x_test))
print(f"saved, loaded, same codes: {same}")

losses = {name: ae.history_[name] for name in ("loss", "val_loss")}
titles = {"ylabel": "BCE", "title": "Training and validation loss"}
print("figure:", loss_curves(args.out / "06_loss.png", losses, kept=ae.best_epoch_, **titles))
