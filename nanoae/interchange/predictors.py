"""Predictors as ONNX graphs: the class and the probabilities, or the number."""

from __future__ import annotations

import functools

import numpy as np

from nanoae.autoencoders.classifier import StackedClassifier
from nanoae.autoencoders.regressor import StackedRegressor
from nanoae.interchange.graph import Value
from nanoae.interchange.models import OfEstimator, Outputs, parts_of


class OfPredictor(OfEstimator):
    usual = ("prediction",)
    more = ("encoder",)

    @functools.cached_property
    def head(self) -> Value:
        return self.of_finite(self.output(self.hidden), self.net.output_shape)


@parts_of.register(StackedClassifier)
class OfClassifier(OfPredictor):
    def prediction(self) -> Outputs:
        """label: the most probable class; for rows that are not finite "", or a number below 0 and all classes."""
        classes = self.model.classes_
        classes = classes.astype(np.int64) if classes.dtype.kind in "bu" else classes
        known = self.graph.constant(classes)
        best = self.head.apply("ArgMax", axis=1, keepdims=0, dtype=np.int64)
        label = known.take(best)
        none = "" if classes.dtype.kind == "U" else min(-1, classes.min() - 1)
        label = self.finite.is_nan().where(np.array(none, classes.dtype), label)
        return {"label": (label, ()), "probability": (self.head, self.net.output_shape)}


@parts_of.register(StackedRegressor)
class OfRegressor(OfPredictor):
    def prediction(self) -> Outputs:
        """y = zero + unit · output, in float64."""
        zero, unit = self.model.to_file()[0]["target"]
        y = self.head.reshape(-1).cast(np.float64)
        y = y * unit + zero
        return {"prediction": (y, ())}
