"""PyTorch: a torch.nn.Sequential as a Sequential and back, to the same outputs. No pickle: only arrays change hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nanoae.autoencoders.corruption import GaussianNoise, SaltAndPepper
from nanoae.autoencoders.penalty import Penalty
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
from nanoae.interchange.weights import as_array, network_of, set_weights, state_dict, torch_arrays

# ---------------------------------------------------------------- from PyTorch

PLAIN = {"dilation": (1, (1, 1)), "groups": (1,), "padding_mode": ("zeros",), "ceil_mode": (False,),
         "return_indices": (False,), "count_include_pad": (True,), "divisor_override": (None,), "mode": ("nearest",),
         "beta": (1, 1.0), "start_dim": (1,), "end_dim": (-1,), "dim": (1,), "track_running_stats": (True,),
         "max_norm": (None,), "approximate": ("tanh",)}  # fmt: skip


class Pair(NamedTuple):
    """A layer that both have: what its class here is given of a module, and the module's class of a layer."""

    layer: Callable[..., Layer]
    of_module: Callable[[Any], tuple[Any, ...]] = lambda m: ()
    of_layer: Callable[[Any], tuple[Any, ...]] = lambda layer: ()


def pool(kind: Callable[..., Layer]) -> Pair:
    return Pair(
        kind, lambda m: (m.kernel_size, m.stride, m.padding), lambda layer: tuple(layer.window)
    )


batch_norm = Pair(
    BatchNorm,
    lambda m: (0.1 if m.momentum is None else m.momentum, m.eps),
    lambda layer: (layer.in_shape[0], layer.eps, layer.momentum),
)
PAIRS = {
    "Linear": Pair(
        engine.Linear, lambda m: (m.out_features,), lambda layer: (layer.n_in, layer.n_out)
    ),
    "Conv2d": Pair(
        Conv2d,
        lambda m: (m.out_channels, m.kernel_size, m.stride, m.padding),
        lambda layer: (layer.in_shape[0], layer.n_out, *layer.window),
    ),
    "ConvTranspose2d": Pair(
        ConvTranspose2d,
        lambda m: (m.out_channels, m.kernel_size, m.stride, m.padding, m.output_padding),
        lambda layer: (layer.in_shape[0], layer.n_out, *layer.window, layer.extra),
    ),
    "BatchNorm1d": batch_norm,
    "BatchNorm2d": batch_norm,
    "LayerNorm": Pair(
        LayerNorm,
        lambda m: (len(m.normalized_shape), m.eps),
        lambda layer: (layer.in_shape[-layer.axes :], layer.eps),
    ),
    "Embedding": Pair(
        Embedding,
        lambda m: (m.num_embeddings, m.embedding_dim),
        lambda layer: (layer.n_words, layer.n_out),
    ),
    "MaxPool2d": pool(MaxPool2d),
    "AvgPool2d": pool(AvgPool2d),
    "Upsample": Pair(Upsample, lambda m: (whole(m),), lambda layer: (None, layer.window.kernel)),
    "Flatten": Pair(Flatten),
    "Unflatten": Pair(
        Reshape, lambda m: (tuple(m.unflattened_size),), lambda layer: (1, layer.out_shape)
    ),
    "Dropout": Pair(engine.Dropout, lambda m: (m.p,), lambda layer: (layer.p,)),
    "LeakyReLU": Pair(
        activations.LeakyReLU, lambda m: (m.negative_slope,), lambda layer: (layer.slope,)
    ),
    "ELU": Pair(activations.ELU, lambda m: (m.alpha,), lambda layer: (layer.alpha,)),
    "GELU": Pair(activations.GELU),
    "Identity": Pair(activations.Identity),
    "ReLU": Pair(activations.ReLU),
    "Sigmoid": Pair(activations.Sigmoid),
    "Tanh": Pair(activations.Tanh),
    "Softplus": Pair(activations.Softplus),
    "SiLU": Pair(activations.SiLU),
}
IN_TRAINING = (engine.Dropout, GaussianNoise, SaltAndPepper, Penalty)  # what else acts then alone
WIDTH = ("in_features", "num_features")  # of a module that tells the shape of its input


def from_torch(module: Any, input_shape: int | tuple[int, ...] | None = None) -> Sequential:
    """A torch.nn.Sequential, or one layer, as a built Sequential that gives the same, as in module.eval().

    input_shape   of one example, D or (C, H, W); it may be left out where the first layer tells it, as Linear does

    Raises ValueError for a module that nanoae has not, by its name.
    """
    modules = list(flat(module))
    if input_shape is None:
        first = modules[0]
        widths = [getattr(first, name) for name in WIDTH if hasattr(first, name)]
        input_shape = widths[0] if widths else None
    if input_shape is None:
        raise ValueError(
            f"from_torch: expected input_shape=(C, H, W) or D: {modules[0]} does not tell it, got None."
        )
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
    kinds = {str(p.dtype) for p in module.parameters()}
    dtype = "float64" if kinds == {"torch.float64"} else "float32"
    network = Sequential(layers).build(input_shape, dtype=dtype, random_state=0)
    given = {}
    for i, (each, layer) in enumerate(zip(modules, network.layers, strict=True)):
        own = {name: as_array(array) for name, array in each.state_dict().items()}
        for name, view in torch_arrays(layer).items():
            neutral = 1.0 if name == "weight" else 0.0
            plain = np.full(view.shape, neutral)  # without bias, or affine: what they would be then
            given[f"{i}.{name}"] = own.get(name, plain)
    set_weights(network, given)
    return network


def whole(module: Any) -> tuple[int, int]:
    """The scale_factor of an Upsample, for rows and columns."""
    factor = module.scale_factor
    pair = factor if isinstance(factor, tuple) else (factor, factor)
    if None in pair or any(number != int(number) for number in pair):
        raise ValueError(f"from_torch: expected a whole scale_factor, got {factor} of {module}.")
    return int(pair[0]), int(pair[1])


def flat(module: Any) -> Any:
    """The layers of a Sequential, those within others too, in their order."""
    if type(module).__name__ != "Sequential":
        yield module
        return
    for each in module:
        yield from flat(each)


def converted(module: Any) -> Layer:
    """The layer that does what a torch.nn module does, without its weights."""
    kind = type(module)
    if kind.__name__ not in PAIRS or not kind.__module__.startswith("torch.nn"):
        raise ValueError(f"from_torch: expected a Sequential of {', '.join(PAIRS)}; got {module}.")
    for name, known in PLAIN.items():
        if getattr(module, name, known[0]) not in known:
            raise ValueError(
                f"from_torch: expected {name}={known[0]!r}, got {getattr(module, name)!r} of {module}."
            )
    pair = PAIRS[kind.__name__]
    return pair.layer(*pair.of_module(module))


# ---------------------------------------------------------------- to PyTorch


def to_torch(model: Any) -> Any:
    """A torch.nn.Sequential, in eval(), with the weights of a built model's network, that gives the same as it: of
    loss="bce" logits. What acts in training alone, but for Dropout, is an Identity there.

    Raises ValueError for a layer that torch.nn has not, by its name; ImportError, which names the extra.
    """
    torch = extra("torch")
    network = network_of(model)
    if getattr(model, "scaling_", "none") != "none":
        raise ValueError(
            f"to_torch: expected a model with scaling='none', got {model.scaling_!r}, which a Sequential of its "
            "layers does not hold. Take to_torch(model.network_), and model.scaled(X) and model.unscaled(Z) around it, "
            "or export to .onnx, where the scale is part of the graph."
        )
    modules = [module_of(layer, torch.nn) for layer in network.layers]
    module = torch.nn.Sequential(*modules)
    module = module.to(getattr(torch, network.dtype.name))
    weights = state_dict(network)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return module.eval()


def module_of(layer: Any, nn: Any) -> Any:
    """The torch.nn module of a layer, without its weights."""
    kind = type(layer)
    if kind is TimeDistributed:
        # a module takes all axes before the last one for the batch
        return module_of(layer.layer, nn)
    if kind is activations.GELU:
        return nn.GELU(approximate="tanh")
    if isinstance(layer, Reshape):
        flat = nn.Flatten()
        shaped = nn.Unflatten(1, layer.out_shape)
        if len(layer.out_shape) == 1:
            return flat
        return nn.Sequential(flat, shaped) if len(layer.in_shape) > 1 else shaped
    flat_or_image = "BatchNorm1d" if len(layer.in_shape) == 1 else "BatchNorm2d"
    for name, pair in PAIRS.items():
        if pair.layer is kind:
            name = flat_or_image if kind is BatchNorm else name
            return getattr(nn, name)(*pair.of_layer(layer))
    if isinstance(layer, IN_TRAINING):
        return nn.Identity()
    raise ValueError(
        f"to_torch: expected layers that torch.nn has, too, got {layer!r}. As ONNX all layers go: export."
    )
