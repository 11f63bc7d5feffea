"""Models of each kind, trained: by one process, or under mpiexec by several, which writes what they ended with."""

import json
import os
import signal
import sys

import numpy as np

import nanoae
from nanoae.training.process_group import process_group

rng = np.random.default_rng(0)
X = rng.random((87, 8))  # three batches and a ragged one, which no number of ranks divides
LARGE = rng.random((20_000, 20), np.float32)
IMAGES = rng.random((41, 1, 4, 4))
HOLES = np.where(rng.random(X.shape) < 0.2, np.nan, X)
LABELS = rng.integers(0, 3, len(X))
LINES = [f"{a} {b} {a}" for a in ("red", "green", "blue") for b in ("tea", "sea", "fee")] * 3
FIT = {"epochs": 2, "batch_size": 21, "random_state": 0}
NOISE = {"corruption": nanoae.GaussianNoise(0.1)}
DENSE = {"code_size": 3, "hidden": (6,), **FIT}
MANY = 100_000  # epochs of a fit that is not to end by itself


def normed():
    """An encoder with statistics of the batch, and noise within."""
    encoder = [
        nanoae.Linear(6),
        nanoae.BatchNorm(),
        nanoae.ReLU(),
        nanoae.Dropout(0.3),
        nanoae.Linear(3),
    ]
    return {"encoder": encoder, "decoder": [nanoae.Linear(8)]}


def images():
    encoder = [
        nanoae.Conv2d(3, 3),
        nanoae.BatchNorm(),
        nanoae.ReLU(),
        nanoae.Flatten(),
        nanoae.Linear(4),
    ]
    return {"encoder": encoder, "decoder": [nanoae.Linear(16), nanoae.Reshape((1, 4, 4))]}


def sparse(**settings):
    penalty = nanoae.KLSparsity(0.1, 0.5)
    return nanoae.Autoencoder(**DENSE, code_activation="sigmoid", penalty=penalty, **settings)


def watched(trainer, _):
    """A callback, which is rank 0's: from the first epoch on nobody knows what the loss does."""
    trainer.loss.forward = trainer.loss.forward


def classifier(**settings):
    return nanoae.StackedClassifier(sizes=(6, 4), pretrain_epochs=1, **FIT, **settings)


KINDS = {
    "dense": lambda **d: nanoae.Autoencoder(**DENSE, **d).fit(X),
    "tied, scheduled, early": lambda **d: nanoae.Autoencoder(
        **DENSE, tied_weights=True, loss="bce", learning_rate=nanoae.Cosine(0.05), patience=1, **d
    ).fit(X, validation_data=X[:20]),
    "denoising": lambda **d: nanoae.Autoencoder(**DENSE, corruption=nanoae.SaltAndPepper(0.3), **d).fit(X),
    "summed": lambda **d: nanoae.Autoencoder(
        **DENSE, loss=nanoae.MSE("sum"), penalty=nanoae.L1Sparsity(0.1), learning_rate=1e-4, **d
    ).fit(X),
    "sparse": lambda **d: sparse(**d).fit(X),
    "normed": lambda **d: nanoae.Autoencoder(**normed(), **FIT, **d).fit(X),
    "gaps": lambda **d: nanoae.Autoencoder(**DENSE, missing="mask", **d).fit(HOLES),
    "weighted": lambda **d: nanoae.Autoencoder(**DENSE, missing="mask", **d).fit(
        HOLES, sample_weight=np.linspace(0.1, 2, len(X))
    ),
    "variational": lambda **d: nanoae.VariationalAutoencoder(3, (6,), free_bits=0.05, **FIT, **d).fit(X),
    "conditional": lambda **d: nanoae.VariationalAutoencoder(3, (6,), **FIT, **d).fit(X, condition=LABELS),
    "stacked": lambda **d: nanoae.StackedAutoencoder(
        sizes=(6, 4), pretrain_epochs=1, corruption=nanoae.MaskingNoise(0.2), **FIT, **d
    ).fit(X),
    "classifier": lambda **d: classifier(freeze=1, **d).fit(X, LABELS),
    "convolutional": lambda **d: nanoae.Autoencoder(**images(), **FIT, **d).fit(IMAGES),
    "text": lambda **d: nanoae.TextVAE(
        code_size=2, state_size=6, embedding_size=3, epochs=1, random_state=0, **d
    ).fit(LINES),
    "wide, watched": lambda **d: nanoae.Autoencoder(4, (1600,), **FIT, **d, callbacks=[watched]).fit(X),
    "clipped": lambda **d: nanoae.Autoencoder(
        **DENSE, optimizer=nanoae.AdamW(1e-2, weight_decay=0.1, clip_norm=0.05), **d
    ).fit(X),
    "windows": lambda **d: nanoae.Autoencoder(4, (6,), **{**FIT, "batch_size": 501}, **NOISE, **d).fit(
        nanoae.open_rows([LARGE], "1MB")
    ),
    "kfac": lambda **d: nanoae.Autoencoder(**DENSE, optimizer=nanoae.KFAC(lr=0.5), **d).fit(X),
    "partial": lambda **d: nanoae.Autoencoder(**DENSE, **d).partial_fit(X).partial_fit(X),
}  # fmt: skip


def losses(kind, dtype, backend="numpy"):
    history = KINDS[kind](dtype=dtype, backend=backend).history_
    return history["loss"] + history.get("val_loss", [])


class Counted:
    """A table that counts the rows which are read of it."""

    shape, dtype = LARGE.shape, LARGE.dtype
    read = 0

    def __getitem__(self, rows):
        self.read += len(LARGE[rows])
        return LARGE[rows]


def share_read():
    """The most of a table that one of the ranks reads for an epoch; what is read before the first one is no part."""

    def read(epochs):
        table = Counted()
        model = nanoae.Autoencoder(4, (6,), **{**FIT, "batch_size": 501, "epochs": epochs})
        model.fit(nanoae.open_rows(table, "1MB"))
        return table.read

    return max(process_group().gather((read(3) - read(1)) / 2 / len(LARGE)))


def unseeded():
    """How far the ranks' weights are apart, where nobody said what seed to take."""
    model = nanoae.Autoencoder(3, (6,), epochs=1, validation_fraction=0.2, backend="numpy").fit(X)
    theta = process_group().gather(model.network_.theta)
    return float(max(abs(theta[0] - other).max() for other in theta))


def signal_to_the_last_rank(signum, epoch):
    """A callback, which is rank 0's, that sends a signal to another rank after so many epochs."""
    pids = process_group().gather(os.getpid())

    def callback(_, row):
        if row["epoch"] == epoch:
            os.kill(pids[-1], signum)

    return callback


def interrupted(folder):
    """Whether Ctrl-C on the last rank stops all; the losses of what goes on from there, and of what was not stopped."""
    settings = {**DENSE, "epochs": 20}
    stop = signal_to_the_last_rank(signal.SIGINT, 3)
    stopped = nanoae.Autoencoder(**settings, callbacks=[stop]).fit(X, checkpoint_dir=folder)
    again = nanoae.Autoencoder(**settings).fit(X, checkpoint_dir=folder, resume=True)
    straight = nanoae.Autoencoder(**settings).fit(X)
    early = len(stopped.history_["loss"]) < 20
    return stopped.interrupted_ and early, again.history_["loss"], straight.history_["loss"]


def refused():
    """What is said of ranks that have other rows."""
    other = X + process_group().rank
    messages = []
    for table in (X[:50] if process_group().rank else X, other, nanoae.open_rows([other], "1MB")):
        try:
            nanoae.Autoencoder(**DENSE).fit(table)
        except ValueError as error:
            messages.append(str(error))
    return messages


def diverged():
    """What is said of a training that diverges."""
    try:
        nanoae.Autoencoder(**DENSE, learning_rate=1e25, optimizer="sgd").fit(X)
    except FloatingPointError as error:
        return str(error)


def unfinished(how, folder):
    """A fit in which rank 0's callback breaks, or the last rank is killed."""

    def broken(_, row):
        if row["epoch"] == 2:
            raise RuntimeError("the callback of rank 0 broke")

    callback = broken if how == "error" else signal_to_the_last_rank(signal.SIGKILL, 3)
    model = nanoae.Autoencoder(**{**DENSE, "epochs": MANY}, callbacks=[callback])
    model.fit(X, checkpoint_dir=folder)


if __name__ == "__main__":
    path, task, *arguments = sys.argv[1:]
    if task == "kinds":
        folder, dtype, *kinds = arguments
        result = {kind: losses(kind, dtype) for kind in kinds}
        result |= {"unseeded": unseeded(), "diverged": diverged()}
        if process_group().size == 2:
            result |= {"interrupted": interrupted(folder), "refused": refused()}
            result["share"] = share_read()
        process_group().sums.shared_memory = lambda *_: None  # as of ranks of other machines
        result["far"] = losses("wide, watched", dtype)
    else:
        unfinished(task, *arguments)
    if process_group().rank == 0:
        with open(path, "w") as file:
            json.dump(result, file)
