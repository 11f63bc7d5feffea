"""Is a captured training step the step? Whole models, on CuPy's stand-in: replayed, plain, and NumPy's."""

import math
import warnings

import numpy as np
import pytest
from cupy_standin import standin_ops

import nanoae
from nanoae import Adam, Linear, ReLU, Sequential, Tanh, Trainer
from nanoae.backend import BackendError, Ops
from nanoae.engine import losses, optim
from nanoae.training.schedules import Cosine, WarmUp

ROWS, D = 53, 12  # batches of 8, the last one of 5
X = np.random.default_rng(0).random((ROWS, D))


class PhiloxOps(Ops):
    """NumPy with the noise of the kernels: draw number k is numpy.random.Philox(key=key, counter=[0, k, 0, 0])."""

    def generator(self, seed):
        return {"key": int(seed.generate_state(1, np.uint64)[0]), "draws": 0}

    def uniform(self, generator, out):
        philox = np.random.Philox(key=generator["key"], counter=[0, generator["draws"], 0, 0])
        generator["draws"] += 1
        out[...] = np.random.Generator(philox).random(out.shape, out.dtype)
        return out

    def normal(self, generator, out):
        per_index = 32 // out.itemsize  # Box & Muller 1958, on pairs
        pairs = np.empty((-(-out.size // per_index) * per_index // 2, 2), out.dtype)
        u, v = self.uniform(generator, pairs).T
        radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * math.pi * v
        out[...] = (
            np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[: out.size].reshape(out.shape)
        )
        return out


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def cupy_ops(**options):
    try:
        return standin_ops(**options)
    except BackendError as error:
        pytest.skip(str(error))


def dense(code):
    return lambda: [Linear(9), ReLU(), *code(), Linear(9), Tanh(), Linear(D)]


def convolutional():
    layers = [nanoae.Reshape((1, 3, 4)), nanoae.Conv2d(3, 3, 1, 1), ReLU(), nanoae.MaxPool2d(2, 1), nanoae.BatchNorm()]
    return [*layers, nanoae.ConvTranspose2d(2, 2, 1, 0), nanoae.Flatten(), Linear(D)]


def sequences():
    return [nanoae.Reshape((4, 3)), nanoae.GRU(5), nanoae.Flatten(), Linear(D)]


MODELS = {
    "dense": (dense(lambda: [Linear(4)]), "mse", Adam(1e-2)),
    "bce": (dense(lambda: [Linear(4)]), "bce", optim.SGD(0.5, 0.9, nesterov=True)),
    "schedule": (dense(lambda: [Linear(4)]), "huber", Adam(WarmUp(Cosine(1e-2), 9), weight_decay=0.01)),
    "AdamW, clipped": (dense(lambda: [Linear(4)]), "l1", optim.AdamW(1e-2, weight_decay=0.1, clip_norm=0.5)),
    "plain SGD": (dense(lambda: [Linear(4)]), "mse", optim.SGD(0.1)),
    "masking": (lambda: [nanoae.MaskingNoise(0.3), *dense(lambda: [Linear(4)])()], "mse", Adam(1e-2)),
    "gaussian noise": (lambda: [nanoae.GaussianNoise(0.3, (0, 1)), Linear(5), Linear(D)], "mse", Adam(1e-2)),
    "salt and pepper": (lambda: [nanoae.SaltAndPepper(0.3), Linear(5), Linear(D)], "mse", Adam(1e-2)),
    "sparse": (dense(lambda: [Linear(4), nanoae.L1Sparsity(0.01)]), "mse", Adam(1e-2)),
    "KL": (dense(lambda: [Linear(4), nanoae.Sigmoid(), nanoae.KLSparsity(0.1, 0.1)]), "mse", Adam(1e-2)),
    "k-sparse": (dense(lambda: [Linear(6), nanoae.TopK(2)]), "mse", Adam(1e-2)),
    "variational": (dense(lambda: [Linear(6), nanoae.Gaussian(0.5, warm_up=10)]), "mse", Adam(1e-2)),
    "free bits": (dense(lambda: [Linear(6), nanoae.Gaussian(0.5, free_bits=0.1)]), "mse", Adam(1e-2)),
    "convolutional": (convolutional, "mse", Adam(1e-2)),
    "recurrent": (sequences, "mse", Adam(1e-2)),
}


def train(ops, model, dtype, epochs=4, x=X, t=None, validation=True, batch_size=8, scale=1.0):
    layers, loss, optimizer = MODELS[model]
    net = Sequential(layers()).build(D, ops, dtype, random_state=0)
    criterion = losses.get(loss)
    trainer = Trainer(net, criterion, optimizer, batch_size=batch_size, epochs=epochs, rows=len(x), seed=1)
    x = x if x.dtype == np.uint8 else x.astype(dtype)
    data = ops.dataset(x), None if t is None else ops.dataset(t.astype(dtype))
    history = trainer.fit(*data, validation=(ops.to_device(x[:40]), None) if validation else None, scale=scale)
    curves = [history[name] for name in ("loss", "val_loss") if name in history]
    return np.array(curves), ops.to_numpy(net.theta), trainer


@pytest.mark.parametrize("model", MODELS)
def test_replayed_and_plain_steps_agree_to_the_bit_and_with_numpy(model, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that cannot be captured warns
        curves, theta, trainer = train(cupy_ops(), model, dtype)
    assert set(trainer.steps.graphs) == {8, 5} and None not in trainer.steps.graphs.values()
    plain_curves, plain_theta, plain = train(cupy_ops(graph=False), model, dtype)
    assert not plain.steps.graphs
    np.testing.assert_array_equal(curves, plain_curves)
    np.testing.assert_array_equal(theta, plain_theta)
    numpy_curves, numpy_theta, _ = train(PhiloxOps(), model, dtype)
    tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype.name]
    np.testing.assert_allclose(curves, numpy_curves, rtol=tolerance)
    np.testing.assert_allclose(theta, numpy_theta, rtol=tolerance, atol=tolerance)
