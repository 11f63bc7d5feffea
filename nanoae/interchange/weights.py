"""Weights in other libraries' names, order and layout: PyTorch, Keras and scikit-learn.

`torch_arrays` and `keras_arrays` return views of a layer's own arrays in the other library's layout, for reading and
for writing. A dense layer in each:

    PyTorch   y = x Aᵀ + b, A (O, I): "weight" is Wᵀ, "bias" is b
    Keras, scikit-learn   y = x W + b: W, b in this order
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.saved import Saved
from nanoae.backend import Array, Shape
from nanoae.engine.activations import Elementwise, activation
from nanoae.engine.conv import Conv2d, ConvTranspose2d, TiedConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Layer, Linear
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import TimeDistributed
from nanoae.engine.shape import Reshape
from nanoae.spelling import did_you_mean
from nanoae.warning import warn

# a view of a layer's array, and its shape in the other library
Seen = tuple[Array, tuple[int, ...]]


def network_of(model: Any) -> Sequential:
    """The built network of a model; ValueError if there is none."""
    network = getattr(model, "network_", model)
    if not isinstance(network, Sequential) or not hasattr(network, "theta"):
        raise ValueError(
            f"export: expected a fitted or built model with a network, or a built Sequential, got {model!r:.80}. "
            "Call build(n_features) or fit first."
        )
    return network


# ---------------------------------------------------------------- by name, as in PyTorch


# parameters in Keras's order
IN_ORDER = (Linear, Conv2d, ConvTranspose2d, BatchNorm, LayerNorm, Embedding)
NAMES = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
RECURRENT = {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_ih_l0", "c": "bias_hh_l0"}


def torch_arrays(layer: Layer) -> dict[str, Array]:
    """A layer's parameters, then its state, with PyTorch's names and layout; with its own if PyTorch has no such
    layer."""
    if isinstance(layer, TimeDistributed):
        return torch_arrays(layer.layer)
    own = {**layer.params, **layer.state}
    if not isinstance(layer, (*IN_ORDER, GRU)) or isinstance(layer, TiedConvTranspose2d):
        return own
    names = RECURRENT if isinstance(layer, GRU) else NAMES
    if isinstance(layer, (Linear, GRU)):
        own = {name: array.T for name, array in own.items()}
    return {names[name]: array for name, array in own.items()}


def views(network: Sequential) -> dict[str, Array]:
    """Views of all arrays of a network by name, "0.weight" for the first layer."""
    return {
        f"{i}.{name}": array
        for i, layer in enumerate(network.layers)
        for name, array in torch_arrays(layer).items()
    }


class StateDict(dict[str, np.ndarray]):
    """The result of `state_dict`.

    activations   of the network, which the arrays do not contain; `set_weights` compares them
    """

    activations: list[str]


def state_dict(model: Any) -> StateDict:
    """The weights of a model with PyTorch's names and layout: {"0.weight": (O, I), "0.bias": (O,), ...}, numbered by
    the layers of `network_`. In PyTorch: module.load_state_dict({k: torch.from_numpy(v) for k, v in ...})."""
    network = network_of(model)
    found = StateDict()
    for name, view in views(network).items():
        array = network.ops.to_numpy(view)
        found[name] = np.array(array, order="C")
    found.activations = activations_of(network)
    return found


def activations_of(network: Sequential) -> list[str]:
    return [repr(layer) for layer in network.layers if isinstance(layer, Elementwise)]


def check_activations(model: Any, weights: Any) -> None:
    """Raise ValueError for weights of a network with other activations; warn if the activations are unknown."""
    own = activations_of(network_of(model))
    theirs = getattr(weights, "activations", own)
    if theirs != own:
        raise ValueError(
            f"set_weights: expected weights learned with {', '.join(own) or 'no activation'}, as in the model, got "
            f"weights learned with {', '.join(theirs) or 'none'}. Build the model with their activation=..."
        )
    if not hasattr(weights, "activations") and getattr(model, "activation", None) == AUTO:
        warn(
            f'set_weights: activation="auto" means {", ".join(dict.fromkeys(own)) or "none"} in this model; the '
            "weights do not say with which they were learned. Set activation=... explicitly."
        )


# ---------------------------------------------------------------- in order, as in Keras and scikit-learn


def keras_arrays(network: Sequential) -> list[Seen]:
    """All weights in Keras's order and layout (channels last): (view, shape in Keras) for each."""
    found: list[Seen] = []
    images = flat_images(network)
    for i, layer in enumerate(network.layers):
        own = [*layer.params.values(), *layer.state.values()]
        known = isinstance(layer, IN_ORDER) and not isinstance(layer, TiedConvTranspose2d)
        if own and not known:
            raise ValueError(
                f"weights: expected layers that Keras stores in the same way, got layer {i}, {layer!r}. "
                "All layers work by name, as in PyTorch: state_dict, and set_weights of a dict."
            )
        around = images[i : i + 2]
        if isinstance(layer, (Conv2d, ConvTranspose2d)):
            # (KH, KW, in, out); transposed convolutions (KH, KW, out, in)
            own[0] = own[0].transpose(2, 3, 1, 0)
        elif isinstance(layer, LayerNorm) and layer.axes == 3:
            own = [array.transpose(1, 2, 0) for array in own]
        else:
            found += [(channels_last(array, around[-array.ndim :]), array.shape) for array in own]
            continue
        found += [(array, array.shape) for array in own]
    return found


def channels_last(array: Array, images: Sequence[Shape | None]) -> Array:
    """A view of an array in which axes over a flat image (C, H, W) are reordered to (H, W, C)."""
    shape: list[int] = []
    order: list[int] = []
    for size, image in zip(array.shape, images, strict=True):
        k = len(shape)
        shape += image or [size]
        order += [k + 1, k + 2, k] if image else [k]
    return array.reshape(shape).transpose(order)


def flat_images(network: Sequential) -> list[Shape | None]:
    """For the input of each layer, and the last output: the shape (C, H, W) of the image that a flat row represents,
    after a Flatten or before a Reshape; None if it is not an image."""
    layers = network.layers
    found: list[Shape | None] = [None] * (len(layers) + 1)
    for i, layer in enumerate(layers):
        if isinstance(layer, Reshape) and len(layer.in_shape) == 3:
            found[i + 1] = layer.in_shape
        elif not isinstance(layer, Linear):
            found[i + 1] = found[i]
    for i, layer in reversed([*enumerate(layers)]):
        ahead = found[i + 1]
        if isinstance(layer, Reshape) and len(layer.out_shape) == 3:
            ahead = layer.out_shape
        if isinstance(layer, Linear) or ahead is None or len(layer.in_shape) != 1:
            continue
        if found[i] not in (None, ahead):
            raise ValueError(
                f"weights: expected a Linear between images of {found[i]} and {ahead}, got {layer!r}: Keras has the "
                "channels last, so the order of the values differs."
            )
        found[i] = ahead
    return found


def set_weights(model: Any, weights: Sequence[Any] | Mapping[str, Any]) -> None:
    """Set the weights of a built model; if any array does not fit, none is changed (ValueError).

    weights   a list of arrays in order, as returned by Keras's `get_weights()` (channels last), or scikit-learn's
              coefs_ and intercepts_ alternating: W, b, W, b, ...; or a dict like PyTorch's `state_dict()` or
              `nanoae.state_dict`, with the layers in the same order
    """
    network = network_of(model)
    if isinstance(weights, Mapping):
        wanted: dict[Any, Seen] = {
            name: (view, view.shape) for name, view in views(network).items()
        }
        given: dict[Any, Any] = {
            name: array
            for name, array in weights.items()
            if not name.endswith("num_batches_tracked")
        }
        unknown = [name for name in given if name not in wanted]
        missing = [name for name in wanted if name not in given]
        if unknown or missing:
            hint = did_you_mean(unknown[0], missing) if unknown else ""
            raise ValueError(
                f"set_weights: expected the arrays {', '.join(wanted)}; missing {missing or 'none'}, unknown "
                f"{unknown or 'none'}.{hint}"
            )
    else:
        wanted = dict(enumerate(keras_arrays(network)))
        given = dict(enumerate(weights))
        if len(given) != len(wanted):
            raise ValueError(
                f"set_weights: expected {len(wanted)} arrays, got {len(given)}. {network!r}"
            )
    checked = {name: fitting(name, given[name], shape) for name, (_, shape) in wanted.items()}
    check_activations(model, weights)
    for name, (view, _) in wanted.items():
        array = checked[name].reshape(view.shape)
        view[...] = network.ops.to_device(array, network.dtype)


def fitting(name: Any, array: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array; ValueError if its shape is wrong, or its values are not finite."""
    array = as_array(array)
    which = f"array {name}" if isinstance(name, int) else name
    if array.shape != shape:
        raise ValueError(f"set_weights: expected {which} of shape {shape}, got {array.shape}.")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(
            f"set_weights: expected finite numbers in {which}, got {array.dtype}, not all of them finite."
        )
    return array


def as_array(array: Any) -> np.ndarray:
    """Convert an array of any library to NumPy."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":  # unknown to NumPy
            array = array.float()
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def get_weights(model: Any) -> list[np.ndarray]:
    """The weights of a model in Keras's order and layout, for keras_model.set_weights(...)."""
    network = network_of(model)
    arrays = [(network.ops.to_numpy(view), shape) for view, shape in keras_arrays(network)]
    return [np.array(array, order="C").reshape(shape) for array, shape in arrays]


# ---------------------------------------------------------------- scikit-learn's models

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def from_sklearn(model: Any) -> Sequential | PCA:
    """Convert a fitted MLPRegressor of scikit-learn to a Sequential, or its PCA to a `PCA`, with the same outputs.
    ValueError for another model, or a PCA that whitens."""
    if hasattr(model, "coefs_") and model.out_activation_ == "identity":
        layers: list[Layer] = []
        for W in model.coefs_:
            layers += [Linear(W.shape[1]), activation(ACTIVATIONS[model.activation])]
        first = model.coefs_[0]
        network = Sequential(layers[:-1])
        network.build(len(first), dtype=first.dtype, random_state=0)
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        set_weights(network, [array for pair in pairs for array in pair])
        return network
    if hasattr(model, "components_") and getattr(model, "whiten", None) is False:
        found = PCA(len(model.components_))
        found.settle()
        learned = ("mean_", "components_", "explained_variance_", "explained_variance_ratio_")
        arrays = {name: np.asarray(getattr(model, name), np.float64) for name in learned}
        found.from_file({"input_shape": [len(model.mean_)]}, Saved(arrays))
        names = getattr(model, "feature_names_in_", None)
        found.record_schema((model.components_.shape[1],), names)
        return found
    raise ValueError(
        f"from_sklearn: expected a fitted MLPRegressor, or PCA(whiten=False), got {model!r:.80}."
    )
