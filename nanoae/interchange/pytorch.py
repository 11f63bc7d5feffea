"""PyTorch: convert a torch.nn.Sequential to a Sequential and back, with equal outputs. No pickle, only arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nanoae.engine import activations
from nanoae.engine import layers as engine
from nanoae.engine.conv import Conv2d, ConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Layer
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.sequences import TimeDistributed
from nanoae.engine.shape import Flatten, Reshape
from nanoae.extra import extra
from nanoae.interchange.layers import IN_TRAINING
from nanoae.interchange.weights import as_array, network_of, set_weights, state_dict, torch_arrays

# ---------------------------------------------------------------- from PyTorch

PLAIN = {
    "dilation": (1, (1, 1)),
    "groups": (1,),
    "padding_mode": ("zeros",),
    "ceil_mode": (False,),
    "return_indices": (False,),
    "count_include_pad": (True,),
    "divisor_override": (None,),
    "mode": ("nearest",),
    "beta": (1, 1.0),
    "threshold": (20, 20.0),
    "start_dim": (1,),
    "end_dim": (-1,),
    "dim": (1,),
    "track_running_stats": (True,),
    "max_norm": (None,),
    "approximate": ("tanh",),
}


class Pair(NamedTuple):
    """A layer that both libraries have: its arguments here, and the corresponding arguments there. All are also
    attributes."""

    layer: Callable[..., Layer]
    ours: str = ""
    theirs: str = ""
    sized: bool = False  # whether the module also takes the number of input columns or channels


batch_norm = Pair(BatchNorm, "momentum eps", "momentum eps", sized=True)
window = "kernel stride padding", "kernel_size stride padding"
PAIRS = {
    "Linear": Pair(engine.Linear, "n_out", "out_features", sized=True),
    "Conv2d": Pair(
        Conv2d, "n_out kernel stride padding", "out_channels kernel_size stride padding", sized=True
    ),
    "ConvTranspose2d": Pair(
        ConvTranspose2d,
        "n_out kernel stride padding output_padding",
        "out_channels kernel_size stride padding output_padding",
        sized=True,
    ),
    "BatchNorm1d": batch_norm,
    "BatchNorm2d": batch_norm,
    "LayerNorm": Pair(LayerNorm),
    "Embedding": Pair(Embedding, "n_tokens n_out", "num_embeddings embedding_dim"),
    "MaxPool2d": Pair(MaxPool2d, *window),
    "AvgPool2d": Pair(AvgPool2d, *window),
    "Upsample": Pair(Upsample),
    "Flatten": Pair(Flatten),
    "Unflatten": Pair(Reshape),
    "Dropout": Pair(engine.Dropout, "p", "p"),
    "LeakyReLU": Pair(activations.LeakyReLU, "slope", "negative_slope"),
    "ELU": Pair(activations.ELU, "alpha", "alpha"),
    "GELU": Pair(activations.GELU),
    "Identity": Pair(activations.Identity),
    "ReLU": Pair(activations.ReLU),
    "Sigmoid": Pair(activations.Sigmoid),
    "Tanh": Pair(activations.Tanh),
    "Softplus": Pair(activations.Softplus),
    "SiLU": Pair(activations.SiLU),
}


def from_torch(module: Any, input_shape: int | tuple[int, ...] | None = None) -> Sequential:
    """Convert a torch.nn.Sequential, or one layer, to a built Sequential with the same outputs as in module.eval().

    input_shape   of one example, D or (C, H, W); optional if the first layer determines it, as Linear does

    Raises ValueError, naming the module, for modules that nanoae does not have.
    """
    modules = list(flat(module))
    layers = []
    steps = False
    for each in modules:
        layer = converted(each)
        if isinstance(layer, Embedding):
            steps = True
        elif isinstance(layer, Reshape):
            steps = False
        if steps and isinstance(layer, engine.Linear):
            layer = TimeDistributed(layer)
        layers.append(layer)
    if input_shape is None and modules:
        width = getattr(modules[0], "num_features", None)
        input_shape = getattr(modules[0], "in_features", width)
    if input_shape is None:
        raise ValueError(
            f"from_torch: expected input_shape=(C, H, W) or D: it does not follow from {module}, got None."
        )
    kinds = {str(p.dtype) for p in module.parameters()}
    dtype = "float64" if kinds == {"torch.float64"} else "float32"
    network = Sequential(layers).build(input_shape, dtype=dtype, random_state=0)
    given = {}
    for i, (each, layer) in enumerate(zip(modules, network.layers, strict=True)):
        own = {name: as_array(array) for name, array in each.state_dict().items()}
        for name, view in torch_arrays(layer).items():
            neutral = 1.0 if name == "weight" else 0.0
            # values that a missing bias or affine part stands for
            plain = np.full(view.shape, neutral)
            given[f"{i}.{name}"] = own.get(name, plain)
    set_weights(network, given)
    return network


def flat(module: Any) -> Iterator[Any]:
    """The layers of a Sequential, including nested ones, in order; a layer that is used twice is listed twice."""
    kind = type(module)
    is_sequential = kind.__name__ == "Sequential" and kind.__module__.startswith("torch.nn")
    if not is_sequential or hooked(module):
        yield module
        return
    for each in module:
        yield from flat(each)


def hooked(module: Any) -> bool:
    """Return True if the forward has hooks, which may do anything; the old weight_norm, for instance, is a hook."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def converted(module: Any) -> Layer:
    """The layer that corresponds to a torch.nn module, without its weights."""
    kind = type(module)
    if kind.__name__ not in PAIRS or not kind.__module__.startswith("torch.nn"):
        raise ValueError(f"from_torch: expected a Sequential of {', '.join(PAIRS)}; got {module}.")
    if hooked(module):
        raise ValueError(f"from_torch: expected modules without hooks, got some of {module}.")
    for name, known in PLAIN.items():
        if getattr(module, name, known[0]) not in known:
            raise ValueError(
                f"from_torch: expected {name}={known[0]!r}, got {getattr(module, name)!r} of {module}."
            )
    pair = PAIRS[kind.__name__]
    if pair.layer is LayerNorm:
        return LayerNorm(len(module.normalized_shape), module.eps)
    if pair.layer is Upsample:
        factor = module.scale_factor
        factors = np.broadcast_to(np.array(factor, float), 2)
        if not (factors % 1 == 0).all():
            raise ValueError(
                f"from_torch: expected a whole scale_factor, got {factor} of {module}."
            )
        rows, columns = factors.astype(int).tolist()
        return Upsample((rows, columns))
    if pair.layer is Reshape:
        return Reshape(tuple(module.unflattened_size))
    values = [getattr(module, name) for name in pair.theirs.split()]
    given = zip(pair.ours.split(), values, strict=True)
    return pair.layer(**{name: value for name, value in given if value is not None})


# ---------------------------------------------------------------- to PyTorch


def to_torch(model: Any) -> Any:
    """Convert the network of a built model to a torch.nn.Sequential in eval() mode with the same outputs (logits for
    loss="bce"). Layers that act only in training become Identity, except Dropout.

    Raises ValueError, naming the layer, for layers that torch.nn does not have; ImportError, which names the extra.
    """
    torch = extra("torch")
    network = network_of(model)
    if getattr(model, "scaling_", "none") != "none":
        raise ValueError(
            f"to_torch: expected a model with scaling='none', got {model.scaling_!r}, which a Sequential of its "
            "layers cannot represent. Use to_torch(model.network_) between model.scaled(X) and model.unscaled(Z), "
            "or export to .onnx, where the scaling is part of the graph."
        )
    modules = [module_of(layer, torch.nn) for layer in network.layers]
    module = torch.nn.Sequential(*modules)
    module = module.to(getattr(torch, network.dtype.name))
    weights = state_dict(network)
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    module.load_state_dict(tensors)
    return module.eval()


def module_of(layer: Any, nn: Any) -> Any:
    """The torch.nn module that corresponds to a layer, without its weights."""
    kind = type(layer)
    if kind is TimeDistributed:
        # torch.nn modules treat all axes before the last one as batch axes
        return module_of(layer.layer, nn)
    if kind is activations.GELU:
        return nn.GELU(approximate="tanh")
    if kind is LayerNorm:
        return nn.LayerNorm(layer.in_shape[-layer.axes :], layer.eps)
    if kind is Upsample:
        return nn.Upsample(scale_factor=layer.window.kernel)
    if isinstance(layer, Reshape):
        flat = nn.Flatten()
        if len(layer.out_shape) == 1:
            return flat
        return nn.Sequential(flat, nn.Unflatten(1, layer.out_shape))
    for name, pair in PAIRS.items():
        if pair.layer is kind and (name != "BatchNorm1d" or len(layer.in_shape) == 1):
            values = [getattr(layer, own) for own in pair.ours.split()]
            given = dict(zip(pair.theirs.split(), values, strict=True))
            size = layer.in_shape[: pair.sized]
            return getattr(nn, name)(*size, **given)
    if isinstance(layer, IN_TRAINING):
        return nn.Identity()
    raise ValueError(
        f"to_torch: expected layers that torch.nn has, too, got {layer!r}. ONNX supports all layers: export."
    )
