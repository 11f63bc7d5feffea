"""Models as ONNX graphs: the parts that each kind of model has, and what they are called.

`graph_of(model, what)` writes the parts that are wanted into one graph, whose inputs and outputs have names:

    part             inputs        outputs
    encoder          x             code            what `transform` gives
    decoder          code          reconstruction  what `inverse_transform` gives
    reconstruction   x             reconstruction  what `reconstruct` gives
    scores           x             error           what `reconstruction_error` gives
    bound            x, noise      elbo, kl        of a variational model, in nats, at z = mu + e^(logvar / 2) · noise
    prediction       x             label, probability; prediction

of a conditional model also the input `condition`, a label for each row. A row that the model would refuse, because it
has NaN or infinity in it or a label that is not known, comes out as NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.classifier import StackedClassifier
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.regressor import StackedRegressor
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.backend.codes import LOGVAR_MAX
from nanoae.engine.network import Sequential
from nanoae.interchange.graph import Formulas, Graph, Value
from nanoae.interchange.layers import costs, forward, meaning, on_host
from nanoae.interchange.scaling import scaled_as, unscaled_as
from nanoae.interchange.weights import network_of
from nanoae.spelling import one_of

Outputs = dict[str, tuple[Value, Sequence[int]]]  # name -> the value (N, *shape), shape


def graph_of(model: Any, what: str | None = None, single: bool = False) -> Graph:
    """The graph of a fitted model; what: one of its parts, or None for all that start from x. single: as `Graph`."""
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
    """What an ONNX file says of the model beside the graph."""
    notes: dict[str, Any] = {"class": type(model).__name__}
    for name in ("feature_names_in_", "classes_", "threshold_"):
        value = getattr(model, name, None)
        if value is not None:
            notes[name.rstrip("_")] = value.tolist() if isinstance(value, np.ndarray) else value
    encoder = getattr(model, "encoder_", None)
    if encoder is not None:
        columns = list(zip(encoder.names_, encoder.categories_, strict=True))
        notes["numbers"] = [name for name, known in columns if known is None]
        notes["categories"] = {name: known for name, known in columns if known is not None}
    if hasattr(model, "vocabulary_"):
        notes["vocabulary"] = model.to_file()[0]["vocabulary"]
    return notes


@Formulas
def parts_of(model: Any, graph: Graph) -> Parts:
    """The parts of a model of this kind."""
    raise NotImplementedError


class Parts:
    """The base. A method for each part gives its outputs; usual are those that are exported where none is named."""

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


class OfScaled(Parts):
    """What models share whose x is in the data's units, and is brought to a scale before they see it."""

    @property
    def wide(self) -> Any:
        """The type of x, which may lose digits before it is scaled."""
        return np.float64 if self.model.scaling_ != "none" else self.model.network_.dtype

    @functools.cached_property
    def x(self) -> Value:
        return self.graph.input("x", self.wide, self.model.input_shape_)

    @property
    def last(self) -> tuple[int, ...] | None:
        """The shape of images whose channels come last, else None."""
        return getattr(self.model, "channels_last_", None)

    @functools.cached_property
    def read(self) -> Value:
        """x as the model reads it."""
        x = self.x
        if self.last is not None:
            x = x.reshape(-1, *self.last).transpose(0, 3, 1, 2)
        return x if self.model.scaling_ == "none" else scaled_as(self.model, x)

    def told(self, y: Value) -> Value:
        """What the model gives, in the data's units and layout."""
        y = y if self.model.scaling_ == "none" else unscaled_as(self.model, y)
        if self.last is None:
            return y
        return y.transpose(0, 2, 3, 1).reshape(-1, *self.model.input_shape_)


class OfEstimator(OfScaled):
    """What estimators with a network share."""

    def __init__(self, model: Any, graph: Graph):
        super().__init__(model, graph)
        self.net = on_host(model.network_)
        self.shape = model.input_shape_
        self.n_encoder = model.n_code_layers_
        self.masked = getattr(model.as_built, "missing", "error") == "mask"  # where NaN is no value

    @functools.cached_property
    def inputs(self) -> Value:
        """What the network reads."""
        return self.read.cast(self.net.dtype)

    @functools.cached_property
    def hidden(self) -> Value:
        """The encoder's last layer."""
        return forward(self.net, self.inputs, 0, self.n_encoder)

    @functools.cached_property
    def finite(self) -> Value:
        """(N,): 0 where all inputs of a row are finite, else NaN. It is added to what comes of them, as a ReLU may make
        a number of NaN."""
        found = self.zeros(self.inputs, math.prod(self.net.input_shape))
        if self.x is not self.read:  # infinity, of which a scaler makes a large number
            given = self.zeros(self.x, math.prod(self.shape))
            found = found + given.cast(found.dtype)
        return found

    def zeros(self, x: Value, size: int) -> Value:
        """(N,): 0 where all the `size` numbers of a row are finite, else NaN."""
        if self.masked:
            x = x.is_nan().where(0.0, x)
        return (x * 0.0).reshape(-1, size).sum(1)

    def of_finite(self, y: Value, shape: Sequence[int]) -> Value:
        """y (N, *shape), NaN in rows whose inputs are not finite."""
        return y + self.finite.reshape(-1, *[1] * len(shape))

    def encoder(self) -> Outputs:
        shape = self.net.layers[self.n_encoder - 1].out_shape
        return {"code": (self.of_finite(self.hidden, shape), shape)}

    def output(self, code: Value) -> Value:
        """What the network gives for a code."""
        return meaning(self.model.loss_, forward(self.net, code, self.n_encoder))


@parts_of.register(Autoencoder)
class OfAutoencoder(OfEstimator):
    usual = ("encoder", "reconstruction", "scores")
    more: tuple[str, ...] = ("decoder",)

    def decoder(self) -> Outputs:
        shape = self.net.layers[self.n_encoder - 1].out_shape
        code = self.graph.input("code", self.net.dtype, shape)
        return {"reconstruction": (self.told(self.output(code)), self.shape)}

    @functools.cached_property
    def again(self) -> Value:
        return self.told(self.of_finite(self.output(self.hidden), self.net.output_shape))

    def reconstruction(self) -> Outputs:
        return {"reconstruction": (self.again, self.shape)}

    def scores(self) -> Outputs:
        """The mean of (x - x̂)² over what is known of a row; 0 where nothing is."""
        size = math.prod(self.shape)
        error = (self.x - self.again).reshape(-1, size)
        error = error * error
        if not self.masked:
            return {"error": (error.mean(1), ())}
        missing = self.x.is_nan().reshape(-1, size)
        known = size - missing.cast(self.wide).sum(1)
        total = missing.where(0.0, error).sum(1)
        return {"error": (total / known.apply("Max", 1.0), ())}


@parts_of.register(VariationalAutoencoder)
class OfVariational(OfAutoencoder):
    """Also conditional: a one-hot of the label is joined to x and to the code."""

    more = ("decoder", "bound")

    @functools.cached_property
    def condition(self) -> Value:
        """(N, labels): 1 for a row's label; NaN for one that is not known."""
        classes = self.model.classes_
        kind = object if classes.dtype.kind == "U" else classes.dtype
        label = self.graph.input("condition", kind, ())
        same = label.apply("Unsqueeze", [1]).equal(classes[None])
        same = same.cast(self.net.dtype)
        return same / same.sum(1, keep=True)

    @functools.cached_property
    def inputs(self) -> Value:
        if self.model.classes_ is None:
            return super().inputs
        rows = super().inputs.reshape(-1, math.prod(self.shape))
        return self.graph.concat([rows, self.condition])

    def decoder(self) -> Outputs:
        if self.model.classes_ is not None:
            self.graph.remembered[self.net.layers[0]] = self.condition
        return super().decoder()

    def bound(self) -> Outputs:
        """elbo = log p(x|z) - kl, kl = Σ (mu² + e^logvar - 1 - logvar) / 2, of scaled columns."""
        k = self.model.code_size_
        noise = self.graph.input("noise", self.net.dtype, (k,))
        stats = forward(self.net, self.inputs, 0, self.n_encoder - 1)
        mu = stats.part(0, k)
        logvar = stats.part(k, 2 * k).apply("Min", LOGVAR_MAX)
        std = (logvar * 0.5).apply("Exp")
        y = forward(self.net, mu + std * noise, self.n_encoder)
        kl = (mu * mu + std * std - 1.0 - logvar).sum(1) * 0.5 + self.finite
        loss = self.model.loss_
        cost = costs(loss, y, self.read.cast(self.net.dtype))
        cost = cost.reshape(-1, math.prod(self.shape)).sum(1)
        log_p = cost * -loss.weight
        return {"elbo": (log_p - kl, ()), "kl": (kl, ())}


class OfPredictor(OfEstimator):
    usual = ("prediction",)
    more = ("encoder",)

    @functools.cached_property
    def head(self) -> Value:
        return self.of_finite(self.output(self.hidden), self.net.output_shape)


@parts_of.register(StackedClassifier)
class OfClassifier(OfPredictor):
    def prediction(self) -> Outputs:
        """label: the likeliest class; where a row is not finite "", or a number below all classes and 0."""
        classes = self.model.classes_
        classes = classes.astype(np.int64) if classes.dtype.kind in "bu" else classes
        known = self.graph.constant(classes)
        likeliest = self.head.apply("ArgMax", axis=1, keepdims=0, dtype=np.int64)
        label = known.take(likeliest)
        none = "" if classes.dtype.kind == "U" else min(-1, classes.min() - 1)
        label = self.finite.is_nan().where(np.array(none), label)
        return {"label": (label, ()), "probability": (self.head, self.net.output_shape)}


@parts_of.register(StackedRegressor)
class OfRegressor(OfPredictor):
    def prediction(self) -> Outputs:
        """y = zero + unit · the output, in float64."""
        zero, unit = self.model.to_file()[0]["target"]
        y = self.head.reshape(-1).cast(np.float64)
        return {"prediction": (y * unit + zero, ())}


@parts_of.register(PCA)
class OfPCA(OfScaled):
    """code = (x - mean) Vᵀ,  reconstruction = code V + mean, in float64."""

    usual = ("encoder", "reconstruction", "scores")
    more = ("decoder",)

    wide = np.float64

    @functools.cached_property
    def code(self) -> Value:
        return (self.read.cast(np.float64) - self.model.mean_) @ self.model.components_.T

    def back(self, code: Value) -> Value:
        return self.told(code @ self.model.components_ + self.model.mean_)

    def encoder(self) -> Outputs:
        return {"code": (self.code, self.model.components_.shape[:1])}

    def decoder(self) -> Outputs:
        code = self.graph.input("code", np.float64, self.model.components_.shape[:1])
        return {"reconstruction": (self.back(code), self.model.mean_.shape)}

    def reconstruction(self) -> Outputs:
        return {"reconstruction": (self.back(self.code), self.model.mean_.shape)}

    def scores(self) -> Outputs:
        error = self.x - self.back(self.code)
        return {"error": ((error * error).mean(1), ())}
