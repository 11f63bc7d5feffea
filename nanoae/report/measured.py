"""The data of a report: a model on held-out rows, its codes and its errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import squared_error
from nanoae.blocks import blocks
from nanoae.data.labels import as_array, class_labels, numeric_labels
from nanoae.data.scaling import known_means
from nanoae.plot.labels import Labels
from nanoae.report.codes import Codes
from nanoae.report.rows import SHOWN, Picture

BLOCK = 4096  # rows reconstructed at a time


class Measured:
    """A model on N rows: its codes, its errors, and those of a baseline."""

    def __init__(self, model, x, labels, condition, baseline, shape, columns, limits):
        self.model = model
        flat = isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == model.n_features_in_
        x, names = model.as_numbers(x.reshape(-1, *model.input_shape_) if flat else x)
        n = len(x)
        self.encoder = getattr(model, "table_encoder_", None)  # for a table with text columns
        shape = tuple(shape or x.shape[1:])
        self.x = x.reshape(n, -1)
        self.given = labels
        self.labels = Labels.of(labels, n)
        self.condition = None
        if condition is not None:
            given = np.repeat(condition, n) if np.ndim(condition) == 0 else condition
            self.condition = as_array(given)
        self.predicts = hasattr(model, "predict")
        self.baseline = None if self.predicts else baseline
        size = self.x.shape[1]
        if columns is None or self.encoder is not None:
            columns = range(1, size + 1) if names is None else names
        self.columns = [str(name) for name in columns]
        low, high = limits or (float(np.nanmin(x)), float(np.nanmax(x)))
        for name, got in {"shape": math.prod(shape), "columns": len(self.columns)}.items():
            if got != size:
                raise ValueError(
                    f"write_report: expected {name} for rows of {size} numbers, got one for {got}."
                )
        if limits and not low < high:
            raise ValueError(
                f"write_report: expected limits (black, white) with black < white, got {limits}."
            )
        self.picture = Picture.of(shape, low, high)
        self.image = vars(self.picture.small()) if self.picture else None  # size in the page
        self.shown = SHOWN if self.picture else SHOWN // 3  # rows of a table take more space
        whole = slice(None)
        extra = {"y": labels} if self.predicts else self.extra(whole)
        self.results = model.evaluate(self.rows(whole), **extra)
        self.scaled = getattr(model, "scaling_", "none") != "none"
        self.errors = self.mistakes() if self.predicts else self.errors_of(model)
        self.pca = None if self.baseline is None else self.errors_of(self.baseline)
        found = []
        for at in blocks(n, BLOCK):
            codes = model.transform(self.rows(at), **self.extra(at))
            found.append(np.asarray(codes))
        codes = np.concatenate(found).reshape(n, -1)
        variational = "kl" in self.results
        self.codes = Codes(codes, self.errors, self.labels, size, variational)

    def rows(self, at: Any) -> np.ndarray:
        """x[at] in the input shape of the model."""
        return self.x[at].reshape(-1, *self.model.input_shape_)

    def extra(self, at: Any) -> dict[str, Any]:
        """The condition of these rows, as keyword arguments of the model's methods."""
        return {} if self.condition is None else {"condition": self.condition[at]}

    def reconstruct(self, model: Any, at: Any) -> np.ndarray:
        """The reconstruction (n, D) of x[at] by the model or the baseline."""
        if model is not self.model:
            return model.reconstruct(self.x[at]).astype(np.float32)
        reconstruction = model.reconstruct(self.rows(at), **self.extra(at))
        return reconstruction.reshape(-1, self.x.shape[1])

    def seen(self, x: np.ndarray) -> np.ndarray:
        """Rows x (n, D) on the model's internal scale, if it has one; otherwise the column with the largest numbers
        would dominate the error."""
        if not self.scaled:
            return x
        rows = x.reshape(-1, *self.model.input_shape_)
        return self.model.scaled(rows).reshape(x.shape)

    def errors_of(self, model: Any, per: str = "row") -> np.ndarray:
        """The squared reconstruction error of each row (N,) or of each feature (D,)."""
        found = [
            squared_error(self.seen(self.x[at]), self.seen(self.reconstruct(model, at)), per)
            for at in blocks(len(self.x), BLOCK if per == "row" else len(self.x))
        ]
        return np.concatenate(found)

    def mistakes(self) -> np.ndarray:
        """The error of a predictor for each row (N,): 1 for a wrong class, or the squared error of a number; NaN
        without a label."""
        model = self.model
        name = type(model).__name__
        self.predicted = np.asarray(model.predict(self.rows(slice(None))))
        if "error" in self.results:
            truth = class_labels(self.given, name, model.classes_)
            _, counts = np.unique(truth.compressed(), return_counts=True)
            self.spread = 1 - counts.max() / counts.sum()
            wrong = self.predicted != truth
        else:
            truth = numeric_labels(self.given, name)
            self.spread = truth.var()
            wrong = (self.predicted - truth) ** 2
        return wrong.astype(np.float32).filled(np.nan)

    def around_mean(self) -> float:
        """The mean squared error of predicting the mean row for rows outside the sample that it is computed from."""
        some = self.seen(self.x[self.codes.rows])
        n = len(some)
        return float(squared_error(some, known_means(some), "row").mean()) * n / max(n - 1, 1)
