"""In Keras's order, are the weights around a flat image those of one whose channels come last?"""

import numpy as np
import pytest

import nanoae
from nanoae import BatchNorm, Dropout, Flatten, LayerNorm, Linear, ReLU, Reshape

IMAGE = (2, 3, 4)  # C, H, W
RNG = np.random.default_rng(0)
BETWEEN = {
    "nothing": [],
    "dropout": [Dropout],
    "relu": [ReLU],
    "norms": [BatchNorm, ReLU, LayerNorm],
}


def filled(layers, shape):
    net = nanoae.Sequential(layers).build(shape, dtype="float64", random_state=0)
    nanoae.set_weights(net, [RNG.uniform(0.5, 1.5, a.shape) for a in nanoae.get_weights(net)])
    return net


def last(images):
    """(N, C, H, W) as rows of (H, W, C)."""
    return images.transpose(0, 2, 3, 1).reshape(len(images), -1)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("between", BETWEEN)
def test_they_are_those_of_rows_with_the_channels_last(between, both):
    """The same arrays in a network that knows of no images, and is given, or gives, the other rows."""

    def layers():
        encoder = [make() for make in BETWEEN[between]]
        return encoder + (
            [Linear(24), *(make() for make in BETWEEN[between])] if both else [Linear(3)]
        )

    x = RNG.normal(size=(5, *IMAGE))
    images = filled([Flatten(), *layers(), *([Reshape(IMAGE)] if both else [])], IMAGE)
    rows = filled(layers(), 24)
    nanoae.set_weights(rows, nanoae.get_weights(images))
    y = images.forward(x)
    np.testing.assert_allclose(rows.forward(last(x)), last(y) if both else y, atol=1e-12)
    for mine, theirs in zip(nanoae.get_weights(images), nanoae.get_weights(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_images_that_only_change_their_shape_are_refused():
    net = nanoae.Sequential([Flatten(), ReLU(), Reshape((4, 3, 2))]).build(IMAGE, random_state=0)
    with pytest.raises(ValueError, match=r"expected a Linear between images of \(2, 3, 4\) and"):
        nanoae.get_weights(net)
