"""Own layers: encoders and decoders given by the user as lists of layers."""

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
    """Copy both lists. Layers tied to an encoder layer stay tied; a layer in both lists becomes two layers."""
    made: dict[int, Any] = {}
    own_encoder = None if encoder is None else copy.deepcopy(list(encoder), made)
    for layer in decoder or ():
        made.pop(id(layer), None)
    return own_encoder, None if decoder is None else copy.deepcopy(list(decoder), made)


def layer_settings(network: Sequential) -> list[Any]:
    """Return the layers' types, and the settings of activations. Other settings may change in training (KL weight)."""
    return [
        config_snapshot(layer) if isinstance(layer, Elementwise) else type(layer)
        for layer in network.layers
    ]


def check_layers(model: Any) -> None:
    """Raise ValueError if a model's layers differ from those of its parameters, since a file stores only these."""
    now = layer_settings(model.network_)
    if now != getattr(model, "_layer_settings", now):
        raise ValueError(
            f"{type(model).__name__}: expected layers as its parameters make them, since a file stores only these, got "
            f"{model.network_}. Pass them as encoder= and decoder=, or save the model with pickle."
        )
