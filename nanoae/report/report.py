"""The report of a trained model: one HTML page with its settings, its results and its decoder, which runs in the page.

All results are for the rows that the caller passes, which should be held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.text import TextVAE
from nanoae.data.labels import class_labels
from nanoae.report.finding import findings, silent_units
from nanoae.report.measured import Measured
from nanoae.report.network import known_labels, templates, why_not, written
from nanoae.report.page import Page, PathT
from nanoae.report.rows import Picture, by_label, in_page, of_each_class

SOME = 1000  # rows used to find hidden units that never fire
COLUMNS = 200  # maximum number of columns whose errors are listed
PIXELS = 1 << 16  # maximum size of an image for drawing with the mouse
WEIGHTS = 64
RESULTS = {
    "loss": "loss",
    "elbo": "ELBO, nats",
    "kl": "KL, nats per row",
    "active_units": "active units",
    "scaled_mse": "mean squared error, scaled columns",
    "mse": "mean squared error",
    "error": "error rate",
    "r2": "R²",
}


def write_report(
    path: PathT,
    model: Any,
    x: np.ndarray,
    labels: Any = None,
    *,
    condition: Any = None,
    baseline: Any = None,
    shape: tuple[int, ...] | None = None,
    columns: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    facts: Mapping[str, str] | None = None,
) -> PathT:
    """Write the report of a fitted autoencoder or predictor on rows x (N, ...), or a table, to `path`, an HTML file.

    labels     of the rows (N,): classes or numbers. They colour the codes, and errors are listed by class
    condition  the labels (N,) for a conditional autoencoder
    baseline   a fitted PCA to compare with
    shape      of an example, if x is flat: (28, 28), (C, H, W) or (H, W, C)
    columns    names of the columns of a table
    limits     the values of black and white; None: the minimum and maximum of x
    facts      facts about the training, by name

    The file is self-contained and needs no network. TypeError for another kind of model; ValueError if the rows do not
    fit the model, or if labels, columns, shape or limits do not fit the rows.
    """
    if not isinstance(model, NetworkEstimator) or isinstance(model, TextVAE):
        raise TypeError(
            f"write_report: expected an autoencoder with a network, or a predictor, got {type(model).__name__}. "
            "Use write_text_report for a TextVAE, write_detector_report for a detector."
        )
    model.check_fitted()
    return (
        Report(model, x, labels, condition, baseline, shape, columns, limits)
        .page(title, facts)
        .write(path)
    )


class Report(Measured):
    """The content of a report on a model and N rows."""

    def page(self, title: str, facts: Mapping[str, str] | None) -> Page:
        page = Page()
        model = self.model
        pca = None if self.pca is None else float(np.mean(self.pca))
        plain = self.condition is None and len(model.network_.input_shape) == len(
            model.input_shape_
        )
        silent = silent_units(model, model.scaled(self.rows(slice(SOME)))) if plain else {}
        spread = self.spread if self.predicts else self.around_mean()
        found = findings(model, self.codes.values, self.results, pca, silent, spread)
        page.content = heading(model, title, facts) | {
            "results": self._results(pca),
            "findings": [finding._asdict() for finding in found],
            "curves": curves(model),
            "columns": None if self.picture else self.columns,
            "image": self.picture and vars(self.picture),
            "errors": self._by(page),
            "points": self._points(page),
            "histogram": self.codes.histogram(),
            "units": self.codes.units(),
            "weights": self._weights(page),
        }
        if not self.predicts:
            first = of_each_class(self.codes.rows, self.labels, self.shown)
            page.content["examples"] = self._examples(page, first)
            page.content["explorer"] = self._explorer(page)
            why = why_not(model, self.codes.values[self.codes.rows[:8]])
            if why:
                page.content["explorer"]["why"] = why
            else:
                page.content["network"] = written(page, model)
        return page

    def drawn(self, page: Page, x: np.ndarray) -> dict[str, Any]:
        """Rows x (n, D) for the page, in original units."""
        return in_page(page, self.encoder.in_units(x) if self.encoder else x, self.picture)

    # ---------------------------------------------------------------- the sections

    def _results(self, pca: float | None) -> list[dict[str, Any]]:
        """The tiles: the results of `evaluate`, without the loss if another number is equal to it."""
        names = dict(RESULTS)
        key = "scaled_mse" if self.scaled else "mse"
        if self.scaled:
            names["mse"] += ", original units"
        elif self.encoder:
            names["mse"] = names["scaled_mse"]
        same = math.isclose(self.results.get(key, math.inf), self.results["loss"], rel_tol=1e-4)
        if same or "elbo" in self.results:
            del names["loss"]
        notes = {} if pca is None else {key: f"PCA with as many components: {pca:.4g}"}
        tiles = [
            {"name": words, "value": self.results[name], "note": notes.get(name)}
            for name, words in names.items()
            if name in self.results
        ]
        history = self.model.history_
        seconds = f"{sum(filter(None, history.get('seconds', []))):.1f} s"
        tiles.append({"name": "test rows", "value": len(self.x)})
        tiles.append({"name": "epochs", "value": len(history["loss"]), "note": seconds})
        return tiles

    def _mistaken(self, page: Page, rows: np.ndarray) -> dict[str, Any] | None:
        """The rows that a predictor gets wrong."""
        wrong = rows[self.errors[rows] > 0]
        if self.labels is None or not len(wrong):
            return None
        predictions = [
            f"{value:.6g}" if isinstance(value, float) else value
            for value in self.predicted[wrong].tolist()
        ]
        mistakes = zip(self.labels[wrong], predictions, strict=True)
        return {
            "title": "Wrongly predicted rows",
            "rows": wrong,
            "x": self.drawn(page, self.x[wrong]),
            "labels": [f"{label}, predicted {other}" for label, other in mistakes],
            "image": self.image,
        }

    def _examples(self, page: Page, rows: np.ndarray) -> dict[str, Any]:
        models = {"again": self.model, "pca": self.baseline}
        given_back = {
            name: model and self.drawn(page, self.reconstruct(model, rows))
            for name, model in models.items()
        }
        return given_back | {
            "rows": rows,
            "x": self.drawn(page, self.x[rows]),
            "errors": self.errors[rows],
            "labels": None if self.labels is None else self.labels[rows],
            "image": self.image,
        }

    def _by(self, page: Page) -> dict[str, Any]:
        """The errors by label and by column, and the rows with the largest errors."""
        columns = None
        order = np.argsort(-self.errors, kind="stable")[: self.shown]
        scaled = self.scaled or self.encoder
        measure = "squared error, scaled columns" if scaled else "squared error"
        if self.predicts:
            measure = "error rate" if "error" in self.results else "squared error"
            worst = self._mistaken(page, order)
        else:
            worst = self._examples(page, order)
            if not self.picture and len(self.columns) <= COLUMNS:
                columns = self._by_column()
        return {
            "of": "label",
            "measure": measure,
            "pca": self.pca is not None,
            "classes": by_label(self.errors, self.pca, self.labels),
            "columns": columns,
            "worst": worst,
        }

    def _by_column(self) -> list[list[Any]]:
        mine = self.errors_of(self.model, "feature").tolist()
        theirs: list[Any] = [None] * len(mine)
        if self.baseline is not None:
            theirs = self.errors_of(self.baseline, "feature").tolist()
        return [[*row, ""] for row in zip(self.columns, mine, theirs, strict=True)]

    def _points(self, page: Page) -> dict[str, Any]:
        x = self.drawn(page, self.x[self.codes.rows])
        return self.codes.points(page) | {"x": x, "image": self.image}

    def _explorer(self, page: Page) -> dict[str, Any]:
        row_labels = []
        if self.condition is not None:
            own = class_labels(self.condition, "condition", self.model.classes_)
            row_labels = [str(label) for label in own.tolist()]
        prior = getattr(self.model, "prior_", None)
        picture = self.picture
        draws = picture is not None and picture.height * picture.width <= PIXELS
        return self.codes.sliders(page, prior, known_labels(self.model), row_labels) | {
            "draws": draws
        }

    def _weights(self, page: Page) -> list[dict[str, Any]] | None:
        """For images, the weights of the first and last layer, as images or kernels."""
        if not self.picture:
            return None
        made = []
        for title, text, weights in templates(self.model, self.x.shape[1]):
            shown = weights[:WEIGHTS].reshape(min(len(weights), WEIGHTS), -1)
            shown = shown / np.maximum(np.abs(shown).max(axis=1, keepdims=True), 1e-30)
            whole = self.picture if weights.ndim == 2 else Picture.of(weights.shape[1:], -1, 1)
            assert whole is not None
            small = whole.small()
            more = f" The first {WEIGHTS} of {len(weights)}." if len(weights) > WEIGHTS else ""
            values = page.levels(small.taken(shown, whole), -1, 1)
            made.append(
                {"title": title, "note": text + more, "values": values, "image": vars(small)}
            )
        return made or None


def heading(model: Any, title: str, facts: Mapping[str, str] | None) -> dict[str, Any]:
    """The title and the facts of a page."""
    name = type(model).__name__
    k = model.code_size_
    described = {**(facts or {}), "model": repr(model), "layers": model.summary()}
    return {
        "title": title or name,
        "subtitle": f"{name}: {model.network_.theta.size:,} parameters, code size {k}",
        "facts": [[str(name), str(value)] for name, value in described.items()],
    }


def curves(model: Any) -> list[dict[str, Any]] | None:
    """The loss by epoch; `kept` is the epoch whose weights were restored, if any."""
    history = model.history_
    names = {"loss": "training", "val_loss": "validation"}
    series = [
        {"name": name, "values": history[key]} for key, name in names.items() if history.get(key)
    ]
    loss = getattr(model, "loss", None)
    chart = {
        "series": series,
        "ylabel": loss if isinstance(loss, str) else "loss",
        "kept": model.best_epoch_,
        "note": "The training loss includes noise, dropout or corruption, if the model has any; the validation loss "
        "does not.",
        "label": "loss by epoch",
    }
    return [chart] if series else None
