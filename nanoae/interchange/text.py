"""Text models as ONNX graphs, whose tokens are integer ids.

    part             inputs        outputs
    encoder          x             code     the code of a line, x (N, T + 1) as returned by `vocabulary_.encode`
    decoder          code, start   words    (N, T): the most probable line, token by token; start: id of the keyword
    reconstruction   x             words

The file's notes contain the vocabulary: words, starts and unit, as arguments of `Vocabulary`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nanoae.autoencoders.text import TextVAE
from nanoae.autoencoders.vocabulary import EOS
from nanoae.interchange.graph import Value
from nanoae.interchange.layers import forward, gru, on_host, translate, with_teacher
from nanoae.interchange.models import Outputs, Parts, parts_of


@parts_of.register(TextVAE)
class OfText(Parts):
    usual = ("encoder", "reconstruction")
    more = ("decoder",)

    @functools.cached_property
    def x(self) -> Value:
        return self.graph.input("x", np.int64, self.model.input_shape_)

    @functools.cached_property
    def code(self) -> Value:
        return forward(self.model.network_, self.x, 0, self.model.n_code_layers_)

    def encoder(self) -> Outputs:
        return {"code": (self.code, (self.model.code_size_,))}

    def decoder(self) -> Outputs:
        model = self.model
        code = self.graph.input("code", model.network_.dtype, (model.code_size_,))
        start = self.graph.input("start", np.int64, ())
        return self.spoken(code, start.reshape(-1, 1))

    def reconstruction(self) -> Outputs:
        return self.spoken(self.code, self.x.part(0, 1))

    def spoken(self, z: Value, start: Value) -> Outputs:
        """At each step the most probable allowed token; 0 after the end of the line."""
        layers: list[Any] = on_host(self.model.network_).layers[self.model.n_code_layers_ :]
        vocabulary = self.model.vocabulary_
        steps = self.model.n_features_in_ - 1
        teacher, reader, head = layers
        forbidden = np.zeros(len(vocabulary))
        forbidden[: vocabulary.first_token] = -np.inf
        forbidden[EOS] = 0.0
        words = start
        tokens = []
        state = None
        ended = start * 0
        for _ in range(steps):
            inputs = with_teacher(teacher, z, words, start)
            state = gru(reader, inputs, state).reshape(-1, reader.n_out)
            scores = translate(head.layer, state) + forbidden
            words = scores.apply("ArgMax", axis=1, dtype=np.int64) * (1 - ended)
            ended = ended.apply("Max", words.equal(EOS).cast(np.int64))
            tokens.append(words)
        return {"words": (self.graph.concat(tokens), (steps,))}
