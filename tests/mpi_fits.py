"""Models of each kind, trained: by one process, or under mpiexec by several, which writes what they ended with."""

import json
import os
import signal
import sys
import threading

import cupy_standin
import numpy as np

import nanoae
import nanoae.backend
from nanoae.training.process_group import process_group

rng = np.random.default_rng(0)
X = rng.random((87, 8))  # three batches and a ragged one, which no number of ranks divides
IMAGES = rng.random((41, 1, 4, 4))
HOLES = np.where(rng.random(X.shape) < 0.2, np.nan, X)
LABELS = rng.integers(0, 3, len(X))
LINES = [f"{a} {b} {a}" for a in ("red", "green", "blue") for b in ("tea", "sea", "fee")] * 3
FIT = {"epochs": 2, "batch_size": 21, "random_state": 0}
DENSE = {"code_size": 3, "hidden": (6,), **FIT}


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
    "classifier": lambda **d: classifier(**d).fit(X, LABELS),
    "convolutional": lambda **d: nanoae.Autoencoder(**images(), **FIT, **d).fit(IMAGES),
    "text": lambda **d: nanoae.TextVAE(
        code_size=2, state_size=6, embedding_size=3, epochs=1, random_state=0, **d
    ).fit(LINES),
    "kfac": lambda **d: nanoae.Autoencoder(**DENSE, optimizer=nanoae.KFAC(lr=0.5), **d).fit(X),
    "partial": lambda **d: nanoae.Autoencoder(**DENSE, **d).partial_fit(X).partial_fit(X),
}  # fmt: skip


def losses(kind, dtype, backend="numpy"):
    history = KINDS[kind](dtype=dtype, backend=backend).history_
    return history["loss"] + history.get("val_loss", [])


def unseeded():
    """How far the ranks' weights are apart, where nobody said what seed to take."""
    model = nanoae.Autoencoder(3, (6,), epochs=1, validation_fraction=0.2, backend="numpy").fit(X)
    theta = process_group().gather(model.network_.theta)
    return float(max(abs(theta[0] - other).max() for other in theta))


def stopped(how, folder):
    """A long fit, in which something happens on the last rank, or to rank 0's callback."""
    group, last = process_group(), None

    def callback(_, row):
        if how == "error" and row["epoch"] == 2:
            raise RuntimeError("the callback of rank 0 broke")

    if group.rank == group.size - 1:
        last = {"SIGKILL": signal.SIGKILL, "SIGINT": signal.SIGINT}.get(how)
    if last:
        threading.Timer(0.5, os.kill, (os.getpid(), last)).start()
    data = X[:50] if how == "rows" and group.rank else X
    model = nanoae.Autoencoder(**{**DENSE, "epochs": 100_000}, callbacks=[callback])
    model.fit(data, checkpoint_dir=folder)
    return model.interrupted_


class FakeNccl:
    """cupy.cuda.nccl, which gets addresses of memory, as the real one: it sums by MPI."""

    available, NCCL_SUM, NCCL_FLOAT32, NCCL_FLOAT64, NCCL_INT64 = True, 0, 7, 8, 4
    calls = 0

    class NcclCommunicator:
        def __init__(self, size, name, rank):
            assert name == ("a", "name")

        def allReduce(self, source, out, count, kind, operation, stream):
            from mpi4py import MPI

            assert source == out and operation == FakeNccl.NCCL_SUM
            cupy_standin.DEVICE.stream.synchronize()
            size, kind = {7: (4, MPI.FLOAT), 8: (8, MPI.DOUBLE), 4: (8, MPI.INT64_T)}[kind]
            memory = MPI.memory.fromaddress(out, count * size)
            MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, [memory, count, kind])
            FakeNccl.calls += 1

    @staticmethod
    def get_unique_id():
        return "a", "name"


def on_gpus(with_nccl, dtype, *kinds):
    """The losses on the stand-in for CuPy, where each rank has a GPU of its own."""
    cuda = cupy_standin.MODULES["cupy.cuda"]
    cuda.runtime.getDevice = lambda: process_group().rank
    if with_nccl == "nccl":
        cuda.nccl = FakeNccl
    nanoae.backend._cupy_ops = cupy_standin.standin_ops
    result = {kind: losses(kind, dtype, backend="cupy") for kind in kinds}
    assert (FakeNccl.calls > 0) == (with_nccl == "nccl")
    return result


if __name__ == "__main__":
    path, task, *arguments = sys.argv[1:]
    if task == "kinds":
        dtype, *kinds = arguments
        result = {kind: losses(kind, dtype) for kind in kinds} | {"unseeded": unseeded()}
    elif task == "gpus":
        result = on_gpus(*arguments)
    else:
        result = stopped(task, *arguments)
    if process_group().rank == 0:
        with open(path, "w") as file:
            json.dump(result, file)
