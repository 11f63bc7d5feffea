"""PyTorch: a torch.nn.Sequential as a Sequential and back, to the same outputs. No pickle: only arrays change hands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoae.autoencoders.corruption import GaussianNoise, SaltAndPepper
from nanoae.autoencoders.penalty import Penalty
from nanoae.engine import activations
from nanoae.engine import layers as engine
from nanoae.engine.conv import Conv2d, ConvTranspose2d, TiedConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Layer
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.sequences import TimeDistributed
from nanoae.engine.shape import Flatten, Reshape
from nanoae.interchange.weights import as_array, network_of, set_weights, state_dict, torch_arrays

# ---------------------------------------------------------------- from PyTorch

PLAIN = {"dilation": (1, (1, 1)), "groups": (1,), "padding_mode": ("zeros",), "ceil_mode": (False,),
         "return_indices": (False,), "count_include_pad": (True,), "divisor_override": (None,), "mode": ("nearest",),
         "beta": (1, 1.0), "start_dim": (1,), "end_dim": (-1,), "dim": (1,), "track_running_stats": (True,),
         "max_norm": (None,), "approximate": ("tanh",)}  # fmt: skip
FROM: dict[str, Callable[[Any], Layer]] = {
    "Linear": lambda m: engine.Linear(m.out_features),
    "Conv2d": lambda m: Conv2d(m.out_channels, m.kernel_size, m.stride, m.padding),
    "ConvTranspose2d": lambda m: ConvTranspose2d(
        m.out_channels, m.kernel_size, m.stride, m.padding, m.output_padding
    ),
    "BatchNorm1d": lambda m: BatchNorm(0.1 if m.momentum is None else m.momentum, m.eps),
    "BatchNorm2d": lambda m: BatchNorm(0.1 if m.momentum is None else m.momentum, m.eps),
    "LayerNorm": lambda m: LayerNorm(len(m.normalized_shape), m.eps),
    "Embedding": lambda m: Embedding(m.num_embeddings, m.embedding_dim),
    "MaxPool2d": lambda m: MaxPool2d(m.kernel_size, m.stride, m.padding),
    "AvgPool2d": lambda m: AvgPool2d(m.kernel_size, m.stride, m.padding),
    "Upsample": lambda m: Upsample(whole(m)),
    "Flatten": lambda m: Flatten(),
    "Unflatten": lambda m: Reshape(tuple(m.unflattened_size)),
    "Dropout": lambda m: engine.Dropout(m.p),
    "Identity": lambda m: activations.Identity(),
    "ReLU": lambda m: activations.ReLU(),
    "LeakyReLU": lambda m: activations.LeakyReLU(m.negative_slope),
    "ELU": lambda m: activations.ELU(m.alpha),
    "Sigmoid": lambda m: activations.Sigmoid(),
    "Tanh": lambda m: activations.Tanh(),
    "Softplus": lambda m: activations.Softplus(),
    "GELU": lambda m: activations.GELU(),
    "SiLU": lambda m: activations.SiLU(),
}
WIDTH = ("in_features", "num_features")  # of a module that tells the shape of its input


def from_torch(module: Any, input_shape: int | tuple[int, ...] | None = None) -> Sequential:
    """A torch.nn.Sequential, or one layer, as a built Sequential that gives the same, as in module.eval().

    input_shape   of one example, D or (C, H, W); it may be left out where the first layer tells it, as Linear does

    Raises ValueError for a module that nanoae has not, by its name.
    """
    modules = list(flat(module))
    if input_shape is None:
        input_shape = next(
            (getattr(modules[0], name) for name in WIDTH if hasattr(modules[0], name)), None
        )
    if input_shape is None:
        raise ValueError(
            f"from_torch: expected input_shape=(C, H, W) or D: {modules[0]} does not tell it, got None."
        )
    layers, steps = [], False
    for each in modules:
        layer = converted(each)
        steps = (steps or isinstance(layer, Embedding)) and not isinstance(layer, Reshape)
        layers.append(
            TimeDistributed(layer) if steps and isinstance(layer, engine.Linear) else layer
        )
    floats = [p.dtype for p in module.parameters()]
    dtype = (
        "float64" if floats and all(str(kind) == "torch.float64" for kind in floats) else "float32"
    )
    network = Sequential(layers).build(input_shape, dtype=dtype, random_state=0)
    given = {}
    for i, (each, layer) in enumerate(zip(modules, network.layers, strict=True)):
        own = {name: as_array(array) for name, array in each.state_dict().items()}
        for name, view in torch_arrays(
            layer
        ).items():  # without bias, or affine: what they would be then
            given[f"{i}.{name}"] = own.get(
                name, np.full(view.shape, 1.0 if name == "weight" else 0.0)
            )
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
    if kind.__name__ not in FROM or not kind.__module__.startswith("torch.nn"):
        raise ValueError(f"from_torch: expected a Sequential of {', '.join(FROM)}; got {module}.")
    for name, known in PLAIN.items():
        if getattr(module, name, known[0]) not in known:
            raise ValueError(
                f"from_torch: expected {name}={known[0]!r}, got {getattr(module, name)!r} of {module}."
            )
    return FROM[kind.__name__](module)


# ---------------------------------------------------------------- to PyTorch


def to_torch(model: Any) -> Any:
    """A torch.nn.Sequential, in eval(), with the weights of a built model's network, that gives the same as it: of
    loss="bce" logits. What acts in training alone, but for Dropout, is an Identity there.

    Raises ValueError for a layer that torch.nn has not, by its name; ImportError, which names the extra.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError('to_torch: expected PyTorch. pip install "nanoae[torch]"') from error
    network = network_of(model)
    if getattr(model, "scaling_", "none") != "none":
        raise ValueError(
            f"to_torch: expected a model with scaling='none', got {model.scaling_!r}, which a Sequential of its "
            "layers does not hold. Take to_torch(model.network_), and model.scaled(X) and model.unscaled(Z) around it, "
            "or export to .onnx, where the scale is part of the graph."
        )
    module = torch.nn.Sequential(*(module_of(layer, torch.nn) for layer in network.layers))
    module = module.to(getattr(torch, network.dtype.name))
    module.load_state_dict(
        {name: torch.from_numpy(array) for name, array in state_dict(network).items()}
    )
    return module.eval()


@functools.singledispatch
def module_of(layer: Any, nn: Any) -> Any:
    """The torch.nn module of a layer, without its weights."""
    raise ValueError(
        f"to_torch: expected layers that torch.nn has, too, got {layer!r}. As ONNX all layers go: export."
    )


@module_of.register
def _(layer: engine.Linear, nn: Any) -> Any:
    return nn.Linear(layer.n_in, layer.n_out)


@module_of.register
def _(layer: Conv2d, nn: Any) -> Any:
    return nn.Conv2d(layer.in_shape[0], layer.n_out, *layer.window)


@module_of.register
def _(layer: ConvTranspose2d, nn: Any) -> Any:
    return nn.ConvTranspose2d(layer.in_shape[0], layer.n_out, *layer.window, layer.extra)


@module_of.register
def _(layer: BatchNorm, nn: Any) -> Any:
    kind = nn.BatchNorm1d if len(layer.in_shape) == 1 else nn.BatchNorm2d
    return kind(layer.in_shape[0], layer.eps, layer.momentum)


@module_of.register
def _(layer: LayerNorm, nn: Any) -> Any:
    return nn.LayerNorm(layer.in_shape[-layer.axes :], layer.eps)


@module_of.register
def _(layer: Embedding, nn: Any) -> Any:
    return nn.Embedding(layer.n_words, layer.n_out)


@module_of.register
def _(layer: TimeDistributed, nn: Any) -> Any:
    return module_of(layer.layer, nn)  # a module takes all axes before the last one for the batch


@module_of.register
def _(layer: MaxPool2d, nn: Any) -> Any:
    return nn.MaxPool2d(*layer.window)


@module_of.register
def _(layer: AvgPool2d, nn: Any) -> Any:
    return nn.AvgPool2d(*layer.window)


@module_of.register
def _(layer: Upsample, nn: Any) -> Any:
    return nn.Upsample(scale_factor=layer.window.kernel)


@module_of.register
def _(layer: Reshape, nn: Any) -> Any:
    if len(layer.in_shape) > 1 and len(layer.out_shape) > 1:
        return nn.Sequential(nn.Flatten(), nn.Unflatten(1, layer.out_shape))
    return nn.Flatten() if len(layer.out_shape) == 1 else nn.Unflatten(1, layer.out_shape)


@module_of.register(activations.ReLU)
@module_of.register(activations.Sigmoid)
@module_of.register(activations.Tanh)
@module_of.register(activations.Softplus)
@module_of.register(activations.SiLU)
@module_of.register(activations.Identity)
def _(layer, nn: Any) -> Any:
    return getattr(nn, type(layer).__name__)()


@module_of.register
def _(layer: activations.LeakyReLU, nn: Any) -> Any:
    return nn.LeakyReLU(layer.slope)


@module_of.register
def _(layer: activations.GELU, nn: Any) -> Any:
    return nn.GELU(approximate="tanh")


@module_of.register
def _(layer: activations.ELU, nn: Any) -> Any:
    return nn.ELU(layer.alpha)


@module_of.register
def _(layer: engine.Dropout, nn: Any) -> Any:
    return nn.Dropout(layer.p) if type(layer) is engine.Dropout else nn.Identity()


@module_of.register(GaussianNoise)
@module_of.register(SaltAndPepper)
@module_of.register(Penalty)
def _(layer, nn: Any) -> Any:
    return nn.Identity()


@module_of.register
def _(layer: TiedConvTranspose2d, nn: Any) -> Any:
    return module_of.dispatch(object)(layer, nn)
