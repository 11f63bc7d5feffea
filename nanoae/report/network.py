"""A fitted network, written out for the page's own forward (network.js)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.configurable import to_config
from nanoae.data.scaling import AffineScaler, GaussianScaler, Scaler
from nanoae.engine import losses
from nanoae.engine.layers import Layer, Noisy
from nanoae.plot.mosaic import CHANNELS
from nanoae.report.page import Page

MOST = 8_000_000  # parameters in a page: about 24 MB of it
MOST_KNOTS = 100_000  # of a GaussianScaler: about 4 MB
KNOWN = (type(None), Scaler, GaussianScaler)  # beside the affine ones, how network.js scales


def written(page: Page, model: Any) -> dict[str, Any]:
    """{layers, encoder, loss, labels, scale, last}: what network.js computes the codes and the reconstructions of
    `model` from.

    A layer is its description, the shapes of an example before and after it, and its arrays.
    """
    layers = model.network_.layers
    loss = getattr(model.loss_, "loss", model.loss_)  # of Masked the one inside
    entries = []
    for layer in layers:
        learned = arrays(model, layer)
        facts = {
            "in": layer.in_shape,
            "out": layer.out_shape,
            "arrays": {name: page.array(array) for name, array in learned.items()},
        }
        entries.append(to_config(layer, among=layers) | facts)
    return {
        "layers": entries,
        "encoder": model.n_code_layers_,
        "loss": to_config(losses.get(loss)),
        "labels": len(known_labels(model)),
        "scale": scale(model),
        "last": getattr(model, "channels_last_", None),
    }


def why_not(model: Any, codes: np.ndarray) -> str:
    """Why a page cannot compute what the model makes of codes (n, K); "" where it can."""
    size = model.network_.theta.size
    scaler = getattr(model, "scaler_", None)
    if size > MOST:
        return f"A network of {size:,} parameters is too large to stand in a page."
    knots = scaler.x_.size if isinstance(scaler, GaussianScaler) else 0
    known = type(scaler) in KNOWN or isinstance(scaler, AffineScaler)
    if not known or knots > MOST_KNOTS:
        return f"The page cannot undo the scaling ({model.scaling_}) of the rows."
    if not known_labels(model) and not follows(model, codes):
        return (
            "This model's decoding is more than its network, which is all that the page computes."
        )
    return ""


def follows(model: Any, codes: np.ndarray) -> bool:
    """Whether the network alone makes of codes (n, K) what the model makes of them, with nothing behind it that a page
    would not know of. Not for a conditional one: its network wants the labels, too."""
    net = model.network_
    start = model.n_code_layers_
    shaped = codes.reshape(len(codes), *net.layers[start - 1].out_shape)
    ops = net.ops
    y = net.forward(ops.to_device(shaped, net.dtype), start=start)
    predicted = model.loss_.predict(y, out=ops.empty(y.shape, net.dtype))
    alone = model.unscaled(ops.to_numpy(predicted))
    whole = model.inverse_transform(shaped)
    encoder = getattr(model, "table_encoder_", None)
    if encoder is not None:  # of cells the numbers
        numbers = [known is None for known in encoder.categories_]
        alone = alone[:, encoder.numbers]
        whole = encoder.scaler_.transform(whole[:, numbers].astype(np.float64))
    alone = alone.reshape(whole.shape)
    return np.allclose(alone, whole, rtol=1e-3, atol=1e-4, equal_nan=True)


def scale(model: Any) -> dict[str, Any] | None:
    """How network.js scales each column, or each channel; None for a model that takes rows as they are.

        t = (x - center) / scale    z = t, or where there are knots straight lines through (t, z), and of slope 1 beyond

    Beyond ±limit z is drawn in; None is no limit.
    """
    encoder = getattr(model, "table_encoder_", None)
    if encoder is not None:
        return affine(encoder.scaler_, sum(encoder.blocks_), encoder.numbers)
    if getattr(model, "scaling_", "none") == "none":
        return None
    scaler = model.scaler_
    n = model.channels(model.input_shape_)
    if not isinstance(scaler, GaussianScaler):
        return affine(scaler, n)
    t = (scaler.x_ / scaler.std_).T
    columns = [np.stack(pair) for pair in zip(t, scaler.z_.T, strict=True)]
    knots = [np.unique(column, axis=1) for column in columns]
    limit = np.full(n, np.ravel(scaler.limit_))
    return {"center": np.zeros(n), "scale": scaler.std_, "limit": limit, "knots": knots}


def affine(scaler: AffineScaler, n: int, at: Any = slice(None)) -> dict[str, Any]:
    """`scale` of n columns, of which those `at` are the scaler's, and the others as they are."""
    center = np.zeros(n)
    width = np.ones(n)
    limit = np.full(n, np.inf)
    center[at] = np.ravel(scaler.center_)
    width[at] = np.ravel(scaler.scale_)
    limit[at] = np.ravel(scaler.limit_)
    return {"center": center, "scale": width, "limit": limit, "knots": None}


def known_labels(model: Any) -> list[str]:
    """The labels that a conditional autoencoder was told, as text; none of any other model."""
    classes = getattr(model, "classes_", None)
    if classes is None or hasattr(model, "predict"):
        return []
    return [str(label) for label in np.asarray(classes).tolist()]


def arrays(model: Any, layer: Layer) -> dict[str, np.ndarray]:
    """What a layer has learned. Of noise the state is of use in training only."""
    state = {} if isinstance(layer, Noisy) else layer.state
    return {
        name: model.network_.ops.to_numpy(array)
        for name, array in {**layer.params, **state}.items()
    }


def templates(model: Any, size: int) -> list[tuple[str, str, np.ndarray]]:
    """(title, what it shows, weights) of the layers that look at, or draw, examples of `size` numbers: (units, size);
    of a convolution of images its kernels (units, C, KH, KW)."""
    learned = [layer for layer in model.network_.layers if layer.params]
    first = learned[0]
    last = getattr(learned[-1], "source", learned[-1])
    looks = "What the first layer looks for"
    titles = [(first, looks)]
    if last is not first:
        titles.append((last, "What the last layer draws"))
    found = []
    for layer, title in titles:
        if "W" not in layer.params:
            continue
        W: Any = model.network_.ops.to_numpy(layer.params["W"])
        if W.ndim == 2 and title == looks:
            W = W[:size].T
        is_example = W.ndim == 2 and W.shape[1] == size
        is_kernel = W.ndim == 4 and W.shape[1] in CHANNELS
        if is_example or is_kernel:
            found.append((title, "A unit each: red for more, blue for less.", W))
    return found
