"""A fitted network, written out for the page's own forward (network.js)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.engine import losses
from nanoae.engine.layers import Layer, Linear, Noisy, TiedLinear
from nanoae.engine.part import describe
from nanoae.report.page import Page

MOST = 8_000_000  # parameters in a page: about 24 MB of it


def written(page: Page, model: Any) -> dict[str, Any]:
    """{layers, encoder, loss, labels}: what network.js computes the codes and the reconstructions of `model` from.

    A layer is its description, the shapes of an example before and after it, and its arrays.
    """
    layers = model.network_.layers
    loss = model.loss_
    return {
        "layers": [
            describe(layer, among=layers)
            | {"in": layer.in_shape, "out": layer.out_shape}
            | {"arrays": {name: page.array(array) for name, array in arrays(model, layer).items()}}
            for layer in layers
        ],
        "encoder": model.n_code_layers_,
        "loss": describe(losses.get(getattr(loss, "loss", loss))),  # of Masked the one inside
        "labels": len(known_labels(model)),
    }


def known_labels(model: Any) -> list[str]:
    """The labels that a conditional autoencoder was told, as text; none of any other model."""
    classes = None if hasattr(model, "predict") else getattr(model, "classes_", None)
    return [] if classes is None else [str(label) for label in np.asarray(classes).tolist()]


def arrays(model: Any, layer: Layer) -> dict[str, np.ndarray]:
    """What a layer has learned. Of noise the state is of use in training only."""
    state = {} if isinstance(layer, Noisy) else layer.state
    return {name: model.network_.ops.to_numpy(array) for name, array in {**layer.params, **state}.items()}


def templates(model: Any, size: int) -> list[tuple[str, str, np.ndarray]]:
    """(title, what it shows, weights (units, size)) of the layers that look at, or draw, examples of `size` numbers."""
    found = []
    learned = [layer for layer in model.network_.layers if layer.params]
    first, last = learned[0], learned[-1]
    if isinstance(first, Linear):
        W = model.network_.ops.to_numpy(first.params["W"])[:size]
        found.append(("What the first layer looks for", "A unit of it for each: red speaks for it, blue against.", W.T))
    if isinstance(last, TiedLinear):
        last = last.source
        found[:1] = [("What the units look for, and draw", found[0][1], found[0][2])] if last is first else found[:1]
    elif isinstance(last, Linear):
        W = model.network_.ops.to_numpy(last.params["W"])
        found.append(("What the last layer draws", "What each of its inputs adds to the image.", W))
    return [(title, text, W) for title, text, W in found if W.shape[1] == size]
