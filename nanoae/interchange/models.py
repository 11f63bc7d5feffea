"""Models as ONNX graphs: the parts of each kind of model, and the names of their inputs and outputs.

`graph_of(model, what)` puts the requested parts into one graph with these inputs and outputs:

    part             inputs        outputs
    encoder          x             code            `transform`
    decoder          code          reconstruction  `inverse_transform`
    reconstruction   x             reconstruction  `reconstruct`
    scores           x             error           `reconstruction_error`
    bound            x, noise      elbo, kl        variational models: nats at z = mu + e^(logvar / 2) · noise, noise of
                                                   N(0, 1)
    prediction       x             label, probability; prediction

Conditional models have a further input `condition`, a label for each row. A row that the model would refuse, because it
contains NaN, infinity or an unknown label, results in NaN.

For tables with text, x is replaced by two inputs, `numbers` and `categories`, and the reconstruction has numbers in
their units and a probability for each category; `columns` in the notes says which.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.backend.codes import LOGVAR_MAX
from nanoae.engine.network import Sequential
from nanoae.interchange.graph import Formulas, Graph, Value
from nanoae.interchange.layers import costs, forward, meaning, on_host
from nanoae.interchange.scaling import encoded, of_numbers, restored, transformed
from nanoae.interchange.weights import network_of
from nanoae.spelling import one_of

Outputs = dict[str, tuple[Value, Sequence[int]]]  # name -> the value (N, *shape), shape


def graph_of(model: Any, what: str | None, single: bool) -> Graph:
    """The graph of a fitted model; what: one of its parts, or None for all that need only x. single: see `Graph`."""
    graph = Graph(single)
    parts = parts_of(model, graph)
    if what is not None:
        one_of(f"export: what, of {type(model).__name__}", what, (*parts.usual, *parts.more))
    wanted = parts.usual if what is None else (what,)
    for part in wanted:
        outputs = getattr(parts, part)()
        for name, (value, shape) in outputs.items():
            graph.output(name, value, shape)
    return graph


def notes_of(model: Any) -> dict[str, Any]:
    """The notes about the model in an ONNX file."""
    notes: dict[str, Any] = {"class": type(model).__name__}
    for name in ("feature_names_in_", "classes_", "threshold_"):
        value = getattr(model, name, None)
        if value is not None:
            notes[name.rstrip("_")] = np.asarray(value).tolist()
    encoder = getattr(model, "encoder_", None) or getattr(model, "table_encoder_", None)
    if encoder is not None:
        notes["columns"] = encoder.get_feature_names_out().tolist()
        known = dict(zip(encoder.names_, encoder.categories_, strict=True))
        notes["numbers"] = [name for name in known if known[name] is None]
        notes["categories"] = {name: known[name] for name in known if known[name] is not None}
    if hasattr(model, "vocabulary_"):
        notes["vocabulary"] = model.to_file()[0]["vocabulary"]
    return notes


@Formulas
def parts_of(model: Any, graph: Graph) -> Parts:
    """The parts of a model of this kind."""
    raise NotImplementedError


class Parts:
    """Base class. A method for each part returns its outputs; `usual` lists the parts that are exported by default."""

    usual: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def __init__(self, model: Any, graph: Graph):
        self.model = model
        self.graph = graph


@parts_of.register(Sequential)
class OfNetwork(Parts):
    """A network by itself: x -> y."""

    usual = ("network",)

    def network(self) -> Outputs:
        net = network_of(self.model)
        x = self.graph.input("x", net.dtype, net.input_shape)
        return {"y": (forward(net, x), net.output_shape)}


class OfCoder(Parts):
    """Models with a code: `hidden` is the code of x, `output(code)` its decoding on the internal scale."""

    usual: tuple[str, ...] = ("encoder", "reconstruction", "scores")
    more: tuple[str, ...] = ("decoder",)
    dtype: Any
    code_shape: tuple[int, ...]
    hidden: Any

    def __init__(self, model: Any, graph: Graph):
        super().__init__(model, graph)
        self.shape = model.input_shape_
        self.size = self.n_inputs = math.prod(self.shape)
        self.scales = model.scaling_ != "none"
        n = model.channels(self.shape)
        self.columns = n, self.size // n  # number of scaled columns, and pixels of each
        self.last = getattr(model, "channels_last_", None)  # the shape of images with channels last
        self.table = getattr(model, "table_encoder_", None)  # for tables with text
        # NaN marks missing values
        self.masked = getattr(model.as_built, "missing", "error") == "mask"

    def output(self, code: Value) -> Value:
        raise NotImplementedError

    @functools.cached_property
    def x(self) -> Value:
        """The input, float64 if it will be scaled, to lose no digits; tables with text are encoded."""
        if self.table is not None:
            return encoded(self.table, self.graph).cast(self.dtype)
        return self.graph.input("x", np.float64 if self.scales else self.dtype, self.shape)

    @functools.cached_property
    def read(self) -> Value:
        """x on the model's internal scale and layout."""
        x = self.x
        if self.last is not None:
            x = x.reshape(-1, *self.last).transpose(0, 3, 1, 2)
        return transformed(self.model.scaler_, x, *self.columns) if self.scales else x

    @functools.cached_property
    def inputs(self) -> Value:
        """The network's input, in its dtype."""
        return self.read.cast(self.dtype)

    def in_units(self, y: Value) -> Value:
        """y in the data's units and layout."""
        if self.scales:
            y = restored(self.model.scaler_, y.cast(np.float64), *self.columns)
        if self.last is None:
            return y
        return y.transpose(0, 2, 3, 1).reshape(-1, *self.shape)

    @functools.cached_property
    def finite(self) -> Value:
        """(N,): 0 if all inputs of a row are finite, else NaN. It is added to the outputs, since a ReLU may turn NaN
        into a number."""
        found = self.zeros(self.inputs, self.n_inputs)
        if self.x is not self.read:  # scalers turn infinity into a large number
            found = found + self.zeros(self.x, self.size).cast(found.dtype)
        return found

    def zeros(self, x: Value, size: int) -> Value:
        """(N,): 0 if all `size` numbers of a row are finite, else NaN."""
        if self.masked:
            x = x.is_nan().where(0.0, x)
        return (x * 0.0).reshape(-1, size).sum(1)

    def of_finite(self, y: Value, shape: Sequence[int]) -> Value:
        """y (N, *shape), NaN in rows whose inputs are not finite."""
        finite = self.finite.cast(y.dtype)
        return y + finite.reshape(-1, *[1] * len(shape))

    def encoder(self) -> Outputs:
        code = self.of_finite(self.hidden, self.code_shape)
        return {"code": (code, self.code_shape)}

    def decoder(self) -> Outputs:
        code = self.graph.input("code", self.dtype, self.code_shape)
        return self.shown(self.in_units(self.output(code)))

    @functools.cached_property
    def reconstructed(self) -> Value:
        """The result of `reconstruct`."""
        reconstructed = self.in_units(self.output(self.hidden))
        return self.of_finite(reconstructed, self.shape)

    def reconstruction(self) -> Outputs:
        return self.shown(self.reconstructed)

    def shown(self, y: Value) -> Outputs:
        """The reconstruction y (N, *shape); for tables with text, numbers in their units."""
        table = self.table
        if table is not None:
            y = of_numbers(restored, table.scaler_, y.cast(np.float64), table.numbers, self.size)
        return {"reconstruction": (y, self.shape)}

    def scores(self) -> Outputs:
        """The mean of (x - x̂)² over the known values of a row; 0 if there are none."""
        difference = (self.x - self.reconstructed).reshape(-1, self.size)
        error = difference * difference
        if not self.masked:
            return {"error": (error.mean(1), ())}
        missing = self.x.is_nan().reshape(-1, self.size)
        known = self.size - missing.cast(error.dtype).sum(1)
        total = missing.where(0.0, error).sum(1)
        mean = total / known.apply("Max", 1.0)
        return {"error": (mean, ())}


@parts_of.register(PCA)
class OfPCA(OfCoder):
    """code = (x - mean) Vᵀ,  reconstruction = code V + mean, in float64."""

    dtype = np.float64

    def __init__(self, model: PCA, graph: Graph):
        super().__init__(model, graph)
        self.code_shape = model.components_.shape[:1]

    @functools.cached_property
    def hidden(self) -> Value:
        return (self.inputs - self.model.mean_) @ self.model.components_.T

    def output(self, code: Value) -> Value:
        return code @ self.model.components_ + self.model.mean_


class OfEstimator(OfCoder):
    """Base class of estimators with a network."""

    def __init__(self, model: Any, graph: Graph):
        super().__init__(model, graph)
        self.net = on_host(model.network_)
        self.dtype = self.net.dtype
        self.n_inputs = math.prod(self.net.input_shape)
        self.n_encoder = model.n_code_layers_
        self.code_shape = self.net.layers[self.n_encoder - 1].out_shape

    @functools.cached_property
    def hidden(self) -> Value:
        return forward(self.net, self.inputs, 0, self.n_encoder)

    def output(self, code: Value) -> Value:
        y = forward(self.net, code, self.n_encoder)
        return meaning(self.model.loss_, y)


parts_of.register(Autoencoder, OfEstimator)


@parts_of.register(VariationalAutoencoder)
class OfVariational(OfEstimator):
    """Also conditional models: the one-hot label is joined to x and to the code."""

    more = ("decoder", "bound")

    @functools.cached_property
    def condition(self) -> Value:
        """(N, labels): the one-hot label of each row; NaN for unknown labels."""
        classes = self.model.classes_
        kind = object if classes.dtype.kind == "U" else classes.dtype
        label = self.graph.input("condition", kind, ())
        same = label.reshape(-1, 1).equal(classes[None])
        one_hot = same.cast(self.dtype)
        return one_hot / one_hot.sum(1, keep=True)

    @functools.cached_property
    def inputs(self) -> Value:
        if self.model.classes_ is None:
            return super().inputs
        rows = super().inputs.reshape(-1, self.size)
        return self.graph.concat([rows, self.condition])

    def decoder(self) -> Outputs:
        if self.model.classes_ is not None:
            self.graph.remembered[self.net.layers[0]] = self.condition
        return super().decoder()

    def bound(self) -> Outputs:
        log_p, kl, _ = self.terms()
        elbo = log_p.reshape(-1) - kl
        return {"elbo": (elbo, ()), "kl": (kl, ())}

    def bound_of(self, importance_samples: int | None) -> Value:
        """(N,): the result of `score_samples`, for the given noise."""
        log_p, kl, ratio = self.terms(importance_samples or 1)
        if importance_samples is None:
            return log_p.reshape(-1) - kl
        bounds = (log_p + ratio).apply("ReduceLogSumExp", [1], keepdims=0)
        return bounds - math.log(importance_samples)

    def terms(self, samples: int = 1) -> tuple[Value, Value, Value]:
        """With S samples z = mu + e^(logvar / 2) · noise per row, and scaled columns:

        log p(x|z) (N, S),   KL = Σ (mu² + e^logvar - 1 - logvar) / 2 (N,),
        log p(z) - log q(z|x) = Σ (noise² + logvar - z²) / 2 (N, S)
        """
        k = self.model.code_size_
        noise = self.graph.noise(samples * k, self.dtype).reshape(-1, samples, k)
        stats = forward(self.net, self.inputs, 0, self.n_encoder - 1)
        stats = stats.reshape(-1, 1, 2 * k)
        mu = stats.part(0, k, axis=2)
        logvar = stats.part(k, 2 * k, axis=2).apply("Min", LOGVAR_MAX)
        std = (logvar * 0.5).apply("Exp")
        z = mu + std * noise
        y = forward(self.net, z.reshape(-1, k), self.n_encoder)
        y = y.reshape(-1, samples, self.size)
        t = self.read.cast(self.dtype)
        t = t.reshape(-1, 1, self.size)
        loss = self.model.loss_
        log_p = costs(loss, y, t).sum(2) * -loss.weight
        nats = (mu * mu + std * std - 1.0 - logvar).sum(1, 2) * 0.5
        kl = nats + self.finite
        ratio = (noise * noise + logvar - z * z).sum(2) * 0.5
        return log_p, kl, ratio
