"""A fitted network, serialised for the forward pass in the page (network.js)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.configurable import to_config
from nanoae.data.scaling import AffineScaler, GaussianScaler, Scaler
from nanoae.engine import losses
from nanoae.engine.layers import Layer, Noisy
from nanoae.plot.mosaic import CHANNELS
from nanoae.report.page import Page

MOST = 8_000_000  # parameters in a page: about 24 MB
MOST_KNOTS = 100_000  # of a GaussianScaler: about 4 MB
# scalers that network.js implements, besides the affine ones
KNOWN = (type(None), Scaler, GaussianScaler)


def written(page: Page, model: Any) -> dict[str, Any]:
    """{layers, encoder, loss, labels, scale, last}: the input of network.js, which computes codes and reconstructions.

    A layer consists of its config, the shapes of an example before and after it, and its arrays.
    """
    layers = model.network_.layers
    loss = getattr(model.loss_, "loss", model.loss_)  # the inner loss of Masked
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
    """Why a page cannot decode codes (n, K) like the model; "" if it can."""
    size = model.network_.theta.size
    scaler = getattr(model, "scaler_", None)
    if size > MOST:
        return f"A network of {size:,} parameters is too large for a page."
    knots = scaler.x_.size if isinstance(scaler, GaussianScaler) else 0
    known = type(scaler) in KNOWN or isinstance(scaler, AffineScaler)
    if not known or knots > MOST_KNOTS:
        return f"The page cannot invert the scaling of the rows ({model.scaling_})."
    if not known_labels(model) and not follows(model, codes):
        return "This model's decoding is more than its network, and the page computes only the network."
    return ""


def follows(model: Any, codes: np.ndarray) -> bool:
    """Return True if the network alone decodes codes (n, K) like the model, without a further step that a page does not
    know. Not for conditional models, whose network also needs the labels."""
    net = model.network_
    start = model.n_code_layers_
    shaped = codes.reshape(len(codes), *net.layers[start - 1].out_shape)
    ops = net.ops
    y = net.forward(ops.to_device(shaped, net.dtype), start=start)
    predicted = model.loss_.predict(y, out=ops.empty(y.shape, net.dtype))
    alone = model.unscaled(ops.to_numpy(predicted))
    whole = model.inverse_transform(shaped)
    encoder = getattr(model, "table_encoder_", None)
    if encoder is not None:  # compare the numeric columns
        numbers = [known is None for known in encoder.categories_]
        alone = alone[:, encoder.numbers]
        whole = encoder.scaler_.transform(whole[:, numbers].astype(np.float64))
    alone = alone.reshape(whole.shape)
    return np.allclose(alone, whole, rtol=1e-3, atol=1e-4, equal_nan=True)


def scale(model: Any) -> dict[str, Any] | None:
    """How network.js scales each column or channel; None for a model without scaling.

        t = (x - center) / scale    z = t, or with knots piecewise linear through (t, z), with slope 1 beyond them

    Beyond ±limit, z is compressed; None means no limit.
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
    """`scale` of n columns: the columns `at` as in the scaler, the others unscaled."""
    center = np.zeros(n)
    width = np.ones(n)
    limit = np.full(n, np.inf)
    center[at] = np.ravel(scaler.center_)
    width[at] = np.ravel(scaler.scale_)
    limit[at] = np.ravel(scaler.limit_)
    return {"center": center, "scale": width, "limit": limit, "knots": None}


def known_labels(model: Any) -> list[str]:
    """The labels of a conditional autoencoder, as text; [] for other models."""
    classes = getattr(model, "classes_", None)
    if classes is None or hasattr(model, "predict"):
        return []
    return [str(label) for label in np.asarray(classes).tolist()]


def arrays(model: Any, layer: Layer) -> dict[str, np.ndarray]:
    """The learned arrays of a layer. The state of noise layers is needed only in training."""
    state = {} if isinstance(layer, Noisy) else layer.state
    return {
        name: model.network_.ops.to_numpy(array)
        for name, array in {**layer.params, **state}.items()
    }


def templates(model: Any, size: int) -> list[tuple[str, str, np.ndarray]]:
    """(title, note, weights) of the first and last layer, if their weights are examples of `size` numbers, (units,
    size), or convolution kernels of images, (units, C, KH, KW)."""
    learned = [layer for layer in model.network_.layers if layer.params]
    first = learned[0]
    last = getattr(learned[-1], "source", learned[-1])
    looks = "Weights of the first layer"
    titles = [(first, looks)]
    if last is not first:
        titles.append((last, "Weights of the last layer"))
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
            found.append((title, "One image per unit; red is positive, blue negative.", W))
    return found
