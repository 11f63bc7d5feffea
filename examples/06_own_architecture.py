"""Your own architecture: any layers, your own learning rate over time, early stopping, a callback, save and load.

`encoder=[...]` ends in the code, `decoder=[...]` in the output: with loss="bce" that is a logit, because the sigmoid is
part of the loss. Each Linear is given only its outputs; the inputs follow from the layer before.

The learning rate climbs for 100 steps (Adam's first averages are of few gradients, so its first steps are wild) and
then falls along half a cosine. Dropout is on in training only: at first the training loss is the larger one.
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
    validation_fraction=0.15,  # held out from the training rows: the test rows stay unseen
    patience=15,  # stop after so many epochs without a better val_loss, and take the best weights back
    callbacks=[report],
    random_state=0,
).fit(x_train)

print(f"\n{ae.summary()}\n")
val_loss = ae.history_["val_loss"]
print(f"stopped after epoch {len(val_loss)} of {ae.epochs}, kept the weights of {1 + np.argmin(val_loss)}")
p = np.clip(x_test, 1e-9, 1 - 1e-7)
floor = -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p))  # even a perfect y = p has this loss
print(f"test BCE {-ae.score(x_test):.5f}, of which {floor:.5f} is the entropy of grey pixels")
for name, model in (("PCA", nanoae.PCA(n_components=16).fit(x_train)), ("autoencoder", ae)):
    print(f"{name:<12} test MSE {model.evaluate(x_test)['mse']:.5f}")

ae.set_params(callbacks=())  # code is not saved; all else is
ae.save(args.out / "06_model.npz")  # arrays and JSON, no pickle: safe to open a stranger's
again = nanoae.load(args.out / "06_model.npz")
same = np.array_equal(ae.transform(x_test), again.transform(x_test))
print(f"saved, loaded, same codes: {same}")

losses = {name: ae.history_[name] for name in ("loss", "val_loss")}
print("figure:", loss_curves(args.out / "06_loss.png", losses, ylabel="BCE", title="Loss in training"))
