"""Does a PyTorch module become a network of the same outputs, and the other way round? And Keras's arrays?"""

import os

import numpy as np
import pytest

import nanoae

torch = pytest.importorskip("torch")
nn = torch.nn
TANH = nn.Tanh()
MODULES = {
    "dense": (
        (6,),
        lambda: [
            nn.Linear(6, 4),
            nn.ReLU(),
            nn.BatchNorm1d(4),
            nn.Dropout(),
            nn.Linear(4, 6, bias=False),
        ],
    ),
    "activations": (
        (5,),
        lambda: [
            nn.Linear(5, 5),
            nn.LeakyReLU(0.2),
            nn.Linear(5, 5),
            nn.ELU(0.7),
            nn.Tanh(),
            nn.Softplus(),
            nn.Sigmoid(),
            nn.Identity(),
        ],
    ),
    "nested": (
        (4,),
        lambda: [nn.Sequential(nn.Linear(4, 3), TANH), nn.Sequential(nn.Linear(3, 4)), TANH],
    ),
    "norms": (
        (6,),
        lambda: [
            nn.LayerNorm(6),
            nn.Linear(6, 3),
            nn.LayerNorm(3, elementwise_affine=False),
            nn.BatchNorm1d(3, affine=False),
        ],
    ),
    "images": (
        (2, 9, 8),
        lambda: [
            nn.Conv2d(2, 4, (3, 2), 2, 1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(4, 3, 2, bias=False),
            nn.AvgPool2d(2, 1, 1),
            nn.Flatten(),
            nn.Linear(48, 12),
            nn.Unflatten(1, (3, 2, 2)),
            nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(3, 2, 3, 2, 1, 1),
        ],
    ),
    "words": (
        (5,),
        lambda: [
            nn.Embedding(7, 4),
            nn.Linear(4, 3),
            nn.LayerNorm(3),
            nn.Flatten(),
            nn.Linear(15, 2),
        ],
    ),
}


def hooked(module):
    module.register_forward_hook(lambda module, x, y: 2 * y)
    return module


def rows(shape, words, dtype):
    draw = np.random.default_rng(0)
    return (
        draw.integers(0, 7, (8, *shape)) if words else draw.normal(size=(8, *shape)).astype(dtype)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODULES)
def test_from_torch_and_back(name, dtype):
    shape, make = MODULES[name]
    torch.manual_seed(0)
    module = nn.Sequential(*make()).to(getattr(torch, dtype))
    x = rows(shape, name == "words", dtype)
    module(torch.from_numpy(x))  # running statistics
    wanted = module.eval()(torch.from_numpy(x)).detach().numpy()
    net = nanoae.from_torch(module, shape)
    assert net.dtype == dtype
    np.testing.assert_allclose(net.forward(x.astype(dtype)), wanted, rtol=0, atol=1e-5)
    again = nanoae.to_torch(net)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(again, wanted, rtol=0, atol=1e-5)
    for key, value in nanoae.to_torch(net).state_dict().items():
        if "num_batches" not in key:
            np.testing.assert_array_equal(nanoae.state_dict(net)[key], value.numpy())


def test_a_fitted_autoencoder_goes_to_torch_and_its_weights_come_back():
    X = rows((6,), False, np.float32)
    ae = nanoae.Autoencoder(
        3, (5,), corruption=nanoae.GaussianNoise(0.1), epochs=2, random_state=0
    ).fit(X)
    module = nanoae.to_torch(ae)
    np.testing.assert_allclose(
        module(torch.from_numpy(X)).detach().numpy(), ae.reconstruct(X), rtol=0, atol=1e-6
    )
    other = nanoae.Autoencoder(
        3, (5,), activation="relu", corruption=nanoae.GaussianNoise(0.1), random_state=1
    ).build(6)
    nanoae.set_weights(other, module.state_dict())
    np.testing.assert_array_equal(other.transform(X), ae.transform(X))


@pytest.mark.parametrize(
    ("module", "shape", "told"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 2)), None, r"got GRU\(3, 2\)"),
        (lambda: nn.Conv2d(1, 2, 3), None, r"expected input_shape=\(C, H, W\)"),
        (lambda: nn.Conv2d(4, 2, 3, groups=2), (4, 5, 5), "expected groups=1, got 2"),
        (lambda: nn.Conv2d(1, 2, 3, padding="same"), (1, 5, 5), "expected padding, a whole number"),
        (lambda: nn.Softplus(beta=2), 3, "expected beta=1, got 2"),
        (lambda: nn.Softplus(threshold=5), 3, "expected threshold=20, got 5"),
        (lambda: hooked(nn.Linear(3, 2)), 3, "expected modules without hooks"),
        (lambda: type("Sequential", (nn.Sequential,), {})(nn.Linear(3, 2)), 3, "got Sequential"),
        (lambda: "a module", 3, "got a module"),
        (lambda: nn.Upsample(scale_factor=1.5), (1, 4, 4), "expected a whole scale_factor"),
        (
            lambda: nn.Sequential(nn.Linear(3, 2)),
            4,
            r"expected 0.weight of shape \(2, 4\), got \(2, 3\)",
        ),
    ],
)
def test_what_torch_has_and_nanoae_has_not(module, shape, told):
    with pytest.raises(ValueError, match=told):
        nanoae.from_torch(module(), shape)


def test_bfloat16_becomes_float32():
    module = nn.Linear(3, 2).to(torch.bfloat16)
    net = nanoae.from_torch(module)
    np.testing.assert_array_equal(
        nanoae.state_dict(net)["0.weight"], module.weight.detach().float().numpy()
    )


def test_what_nanoae_has_and_torch_has_not():
    with pytest.raises(
        ValueError, match=r"to_torch: expected layers that torch.nn has, too, got TopK\(k=2\)"
    ):
        nanoae.to_torch(
            nanoae.Sequential([nanoae.Linear(4), nanoae.TopK(2)]).build(3, random_state=0)
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_keras_weights_both_ways_beside_torch():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    L = keras.layers
    theirs = keras.Sequential([
        keras.Input((7, 6, 2)), L.Conv2D(3, 3, 2, activation="relu"), L.BatchNormalization(epsilon=1e-5), L.Flatten(),
        L.Dense(5, activation="tanh"), L.Dense(12), L.Reshape((3, 2, 2)), L.Conv2DTranspose(2, 3, 2)])  # fmt: skip
    ours = nanoae.Sequential([
        nanoae.Conv2d(3, 3, 2), nanoae.ReLU(), nanoae.BatchNorm(), nanoae.Flatten(), nanoae.Linear(5), nanoae.Tanh(),
        nanoae.Linear(12), nanoae.Reshape((2, 3, 2)), nanoae.ConvTranspose2d(2, 3, 2)])  # fmt: skip
    ours.build((2, 7, 6), random_state=0)
    theirs.set_weights(
        [w + 0.1 * np.random.default_rng(0).random(w.shape) for w in theirs.get_weights()]
    )
    images = np.random.default_rng(1).normal(size=(4, 2, 7, 6)).astype(np.float32)
    wanted = np.asarray(theirs(images.transpose(0, 2, 3, 1)).detach()).transpose(0, 3, 1, 2)
    nanoae.set_weights(ours, theirs.get_weights())
    np.testing.assert_allclose(ours.forward(images), wanted, rtol=0, atol=1e-5)
    for mine, its in zip(nanoae.get_weights(ours), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
