"""The report of a trained model: one HTML page with what it was taught, how well it does, and its decoder to play with.

Everything in it is of rows that the caller gives, which should be ones that the model has not learned from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import squared_error
from nanoae.blocks import blocks
from nanoae.data.scaling import known_means
from nanoae.report.codes import Codes
from nanoae.report.finding import findings, silent_units
from nanoae.report.network import known_labels, templates, why_not, written
from nanoae.report.page import Page, PathT
from nanoae.report.rows import CLASSES, SHOWN, Labels, Picture, in_page, of_each_class
from nanoae.spelling import counted

BLOCK = 4096  # rows that are given back at a time
SOME = 1000  # rows that tell which hidden units fire
COLUMNS = 200  # whose errors are told one by one
PIXELS = 1 << 16  # of an image that is drawn in the page
WEIGHTS = 64
RESULTS = {
    "loss": "loss",
    "elbo": "ELBO, nats",
    "kl": "KL, nats a row",
    "active_units": "active units",
    "scaled_mse": "mean squared error, scaled columns",
    "mse": "mean squared error",
    "error": "share of rows wrong",
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
    """Write the report of a fitted autoencoder, or predictor, on rows x (N, ...), or a table, to `path`, HTML.

    labels     of the rows (N,): classes, or numbers. They colour the codes, and tell errors apart
    condition  the labels (N,) that a conditional autoencoder is told
    baseline   a fitted PCA to compare with
    shape      of an example, where x is flat: (28, 28), (C, H, W) or (H, W, C)
    columns    names of the columns of a table
    limits     the numbers for black and white; None: the least and the largest of x
    facts      what to say about the training, by name

    The file needs no network and no other file. ValueError where the labels are not one for each row.
    """
    if getattr(model, "table_encoder_", None) is not None:  # a table with words
        x, columns = model.as_numbers(x)
    return (
        Report(model, np.asarray(x), labels, condition, baseline, shape, columns, limits)
        .page(title, facts)
        .write(path)
    )


class Report:
    """What is told of a model and N rows."""

    def __init__(self, model, x, labels, condition, baseline, shape, columns, limits):
        self.model = model
        self.x = x.reshape(len(x), -1)
        self.given = labels
        self.labels = Labels.of(labels, len(x))
        self.condition = None if condition is None else np.broadcast_to(condition, len(x))
        self.predicts = hasattr(model, "predict")
        self.baseline = None if self.predicts else baseline
        low, high = limits or (float(np.nanmin(x)), float(np.nanmax(x)))
        self.picture = Picture.of(tuple(shape or x.shape[1:]), low, high)
        self.image = vars(self.picture.small()) if self.picture else None  # as it is shown
        self.shown = SHOWN if self.picture else SHOWN // 3  # a table's rows are long
        if columns is None:
            columns = getattr(model, "feature_names_in_", range(1, self.x.shape[1] + 1))
        self.columns = [str(name) for name in columns]
        whole = slice(None)
        extra = {"y": labels} if self.predicts else self.extra(whole)
        self.results = model.evaluate(self.rows(whole), **extra)
        self.scaled = getattr(model, "scaling_", "none") != "none"
        self.errors = self.mistakes() if self.predicts else self.errors_of(model)
        self.pca = None if self.baseline is None else self.errors_of(self.baseline)
        parts = blocks(len(x), BLOCK)
        found = []
        for at in parts:
            codes = model.transform(self.rows(at), **self.extra(at))
            found.append(np.asarray(codes))
        codes = np.concatenate(found).reshape(len(x), -1)
        n_columns = self.x.shape[1]
        variational = "kl" in self.results
        self.codes = Codes(codes, self.errors, self.labels, n_columns, variational)

    # ---------------------------------------------------------------- the model and the rows

    def rows(self, at: Any) -> np.ndarray:
        """x[at] in the shape that the model takes."""
        return self.x[at].reshape(-1, *self.model.input_shape_)

    def extra(self, at: Any) -> dict[str, Any]:
        """What the model is told beside these rows."""
        return {} if self.condition is None else {"condition": self.condition[at]}

    def reconstruct(self, model: Any, at: Any) -> np.ndarray:
        """x[at] as the model, or the baseline, gives it back (n, D)."""
        if model is not self.model:
            return model.reconstruct(self.x[at]).astype(np.float32)
        reconstruction = model.reconstruct(self.rows(at), **self.extra(at))
        return reconstruction.reshape(-1, self.x.shape[1])

    def seen(self, x: np.ndarray) -> np.ndarray:
        """Rows x (n, D) on the scale that the model sees them on, where it has one: else the column of the largest
        numbers would be all of an error."""
        if not self.scaled:
            return x
        rows = x.reshape(-1, *self.model.input_shape_)
        return self.model.scaled(rows).reshape(x.shape)

    def errors_of(self, model: Any, per: str = "row") -> np.ndarray:
        """The squared errors of what comes back, of each row (N,) or of each feature (D,)."""
        found = [
            squared_error(self.seen(self.x[at]), self.seen(self.reconstruct(model, at)), per)
            for at in blocks(len(self.x), BLOCK if per == "row" else len(self.x))
        ]
        return np.concatenate(found)

    def mistakes(self) -> np.ndarray:
        """Of a predictor's rows (N,): 1 where the class is wrong, or the squared error of the number."""
        predicted = np.asarray(self.model.predict(self.rows(slice(None))))
        truth = np.ma.getdata(np.ma.asarray(self.given))
        self.predicted = predicted
        wrong = predicted != truth if "error" in self.results else (predicted - truth) ** 2
        return np.asarray(wrong, np.float32)

    def page(self, title: str, facts: Mapping[str, str] | None) -> Page:
        page = Page()
        model = self.model
        pca = None if self.pca is None else float(np.mean(self.pca))
        plain = self.condition is None and len(model.network_.input_shape) == len(
            model.input_shape_
        )
        silent = silent_units(model, model.scaled(self.rows(slice(SOME)))) if plain else {}
        some = self.seen(self.x[self.codes.rows])
        spread = float(squared_error(some, known_means(some), "row").mean())
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

    # ---------------------------------------------------------------- the sections

    def _results(self, pca: float | None) -> list[dict[str, Any]]:
        """The tiles: what `evaluate` says, without the loss where another number is the same."""
        names = dict(RESULTS)
        key = "scaled_mse" if self.scaled else "mse"
        if self.scaled:
            names["mse"] += ", the data's units"
        same = math.isclose(self.results.get(key, math.inf), self.results["loss"], rel_tol=1e-4)
        if same or "elbo" in self.results:
            del names["loss"]
        notes = {} if pca is None else {key: f"PCA with as many numbers: {pca:.4g}"}
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
        """Of a predictor: the rows that it is wrong about."""
        wrong = rows[self.errors[rows] > 0]
        if self.labels is None or not len(wrong):
            return None
        predictions = [
            f"{value:.4g}" if isinstance(value, float) else value
            for value in self.predicted[wrong].tolist()
        ]
        mistakes = zip(self.labels[wrong], predictions, strict=True)
        return {
            "title": "Rows that it is wrong about",
            "rows": wrong,
            "x": in_page(page, self.x[wrong], self.picture),
            "labels": [f"{label}, predicted {other}" for label, other in mistakes],
            "image": self.image,
        }

    def _examples(self, page: Page, rows: np.ndarray) -> dict[str, Any]:
        models = {"again": self.model, "pca": self.baseline}
        given_back = {
            name: model and in_page(page, self.reconstruct(model, rows), self.picture)
            for name, model in models.items()
        }
        return given_back | {
            "rows": rows,
            "x": in_page(page, self.x[rows], self.picture),
            "errors": self.errors[rows],
            "labels": None if self.labels is None else self.labels[rows],
            "image": self.image,
        }

    def _by(self, page: Page) -> dict[str, Any]:
        """The errors by label, and by column, and the rows with the largest."""
        columns = None
        order = np.argsort(-self.errors, kind="stable")[: self.shown]
        measure = "squared error, scaled columns" if self.scaled else "squared error"
        if self.predicts:
            measure = "share wrong" if "error" in self.results else "squared error"
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
        x = in_page(page, self.x[self.codes.rows], self.picture)
        return self.codes.points(page) | {"x": x, "image": self.image}

    def _explorer(self, page: Page) -> dict[str, Any]:
        row_labels = (
            [] if self.condition is None else [str(label) for label in self.condition.tolist()]
        )
        prior = getattr(self.model, "prior_", None)
        picture = self.picture
        draws = picture is not None and picture.height * picture.width <= PIXELS
        return self.codes.sliders(page, prior, known_labels(self.model), row_labels) | {
            "draws": draws
        }

    def _weights(self, page: Page) -> list[dict[str, Any]] | None:
        """Of images what the first layer looks for and the last one draws: whole images, or kernels."""
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
    """What a page starts and ends with."""
    name = type(model).__name__
    k = model.code_size_
    return {
        "title": title or name,
        "subtitle": f"{name}: {model.network_.theta.size:,} parameters, codes of {counted(k, 'number')}",
        "facts": list({**(facts or {}), "model": repr(model), "layers": model.summary()}.items()),
    }


def by_label(
    errors: np.ndarray, theirs: np.ndarray | None, labels: Labels | None
) -> list[list[Any]] | None:
    """[label, its rows' mean error, that of the baseline or None, how many rows] for each class, at most CLASSES, those
    with the largest errors."""
    if labels is None or labels.names is None:
        return None
    numbers = labels.values.astype(np.intp)
    count = np.bincount(numbers)
    given = [errors] if theirs is None else [errors, theirs]
    means = [np.bincount(numbers, each) / np.maximum(count, 1) for each in given]
    present = np.flatnonzero(count)
    if len(present) > CLASSES:
        worst = np.argsort(-means[0][present], kind="stable")
        present = present[worst[:CLASSES]]
    none = [] if len(given) > 1 else [None]
    return [[labels.names[i], *(mean[i] for mean in means), *none, int(count[i])] for i in present]


def curves(model: Any) -> list[dict[str, Any]] | None:
    """The loss by epoch; the kept epoch is the best one where the training was told to go back to it."""
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
        "note": "Training losses include noise, dropout or corruption, where the model has any; validation losses do "
        "not.",
        "label": "loss by epoch",
    }
    return [chart] if series else None
