"""Own layers: an encoder and a decoder that the user lists."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from nanoae.autoencoders.kinds import Listed
from nanoae.engine.layers import Layer

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
