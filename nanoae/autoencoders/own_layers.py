"""Own layers: an encoder and a decoder that the user lists, or layers put in place of others by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from nanoae.autoencoders.kinds import Listed
from nanoae.configurable import config_snapshot
from nanoae.engine.activations import Elementwise
from nanoae.engine.layers import Layer
from nanoae.engine.network import Sequential

LAYERS = Listed(
    "[Linear(...), ...], a list of layers", lambda layer: isinstance(layer, Layer), least=1
)


def copies(
    encoder: Sequence[Layer] | None, decoder: Sequence[Layer] | None
) -> tuple[list[Layer] | None, list[Layer] | None]:
    """Copies of both. What is tied to a layer of the encoder stays tied; what stands in both lists is two layers."""
    made: dict[int, Any] = {}
    own_encoder = None if encoder is None else copy.deepcopy(list(encoder), made)
    for layer in decoder or ():
        made.pop(id(layer), None)
    return own_encoder, None if decoder is None else copy.deepcopy(list(decoder), made)


def layer_settings(network: Sequential) -> list[Any]:
    """Its layers' kinds, and the settings of activations; those of others may change in training, as KL's weight."""
    return [
        config_snapshot(layer) if isinstance(layer, Elementwise) else type(layer)
        for layer in network.layers
    ]


def check_layers(model: Any) -> None:
    """ValueError where a model's layers are others than its parameters made: these are all that a file has of them."""
    now = layer_settings(model.network_)
    if now != getattr(model, "_layer_settings", now):
        raise ValueError(
            f"{type(model).__name__}: expected layers as its parameters make them, which is what a file keeps, got "
            f"others: {model.network_}. Give them as encoder= and decoder=, or keep the model with pickle."
        )
