"""The report of a trained model: one HTML page with what it was taught, how well it does, and its decoder to play with.

Everything in it is of rows that the caller gives, which should be ones that the model has not learned from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import squared_error
from nanoae.report.codes import Codes
from nanoae.report.finding import findings, silent_units
from nanoae.report.network import MOST, computable, follows, known_labels, templates, written
from nanoae.report.page import Page, PathT
from nanoae.report.rows import CLASSES, SHOWN, Labels, Picture, in_page, of_each_class

PIXELS = 1 << 16  # of an image that is drawn in the page
WEIGHTS = 64


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
    """Write the report of a fitted autoencoder, or predictor, on rows x (N, ...) to `path`, an HTML file.

    labels     of the rows (N,): classes, or numbers. They colour the codes, and tell errors apart
    condition  the labels (N,) that a conditional autoencoder is told
    baseline   a fitted PCA to compare with
    shape      of an example, where x is flat: (28, 28), (C, H, W) or (H, W, C)
    columns    names of the columns of a table
    limits     the numbers for black and white; None: the least and the largest of x
    facts      what to say about the training, by name

    The file needs no network and no other file. ValueError where the labels are not one for each row.
    """
    return (
        Report(model, np.asarray(x), labels, condition, baseline, shape, columns, limits)
        .page(title, facts)
        .write(path)
    )


class Report:
    """What is told of a model and N rows."""

    def __init__(
        self,
        model,
        x,
        labels=None,
        condition=None,
        baseline=None,
        shape=None,
        columns=None,
        limits=None,
    ):
        self.model, self.baseline = model, baseline
        self.x = x.reshape(len(x), -1)
        self.predicts = hasattr(model, "predict")
        self.beside = {} if condition is None else {"condition": condition}
        self.labels = Labels.of(labels, len(x))
        self.given = labels
        low, high = limits or (float(np.nanmin(x)), float(np.nanmax(x)))
        self.picture = Picture.of(tuple(shape or x.shape[1:]), low, high)
        self.shown = SHOWN if self.picture else SHOWN // 3  # a table's rows are long
        names = (
            columns
            if columns is not None
            else getattr(model, "feature_names_in_", range(1, self.x.shape[1] + 1))
        )
        self.columns = [str(name) for name in names]
        codes = np.asarray(model.transform(x, **self.beside)).reshape(len(x), -1)
        self.again = (
            None if self.predicts else model.reconstruct(x, **self.beside).reshape(self.x.shape)
        )
        self.pca = (
            None
            if baseline is None or self.predicts
            else baseline.reconstruct(self.x).astype(np.float32)
        )
        self.results = model.evaluate(x, **({"y": labels} if self.predicts else self.beside))
        self.scaled = getattr(model, "scaling_", "none") != "none"
        self.errors = self._errors()
        self.codes = Codes(codes, self.errors, self.labels, self.x.shape[1], "kl" in self.results)

    def _errors(self) -> np.ndarray:
        """Of each row (N,): the squared error of what comes back; of a predictor, of what it predicts."""
        if self.again is not None:
            return self._error(self.again, "row")
        predicted = np.asarray(
            self.model.predict(self.x.reshape(len(self.x), *self.model.input_shape_))
        )
        truth = np.ma.getdata(np.ma.asarray(self.given))
        wrong = predicted != truth if "error" in self.results else (predicted - truth) ** 2
        return np.asarray(wrong, np.float32)

    def _error(self, again: np.ndarray, per: str) -> np.ndarray:
        """The squared error of x as it is given back, on the scale that the model sees x on: else the column of the
        largest numbers would be all of it."""
        if not self.scaled:
            return squared_error(self.x, again, per)
        shape = self.model.input_shape_
        z, back = (
            self.model.scaled(rows.reshape(-1, *shape)).reshape(self.x.shape)
            for rows in (self.x, again)
        )
        return squared_error(z, back, per)

    def page(self, title: str, facts: Mapping[str, str] | None) -> Page:
        page, model = Page(), self.model
        plain = not self.beside and len(model.network_.input_shape) == len(model.input_shape_)
        hidden = (
            silent_units(model, model.scaled(self.x[:1000].reshape(-1, *model.input_shape_)))
            if plain
            else {}
        )
        pca = None if self.pca is None else float(np.mean(self._error(self.pca, "row")))
        page.content = heading(model, title, facts) | {
            "results": self._results(pca),
            "findings": [
                found._asdict()
                for found in findings(model, self.codes.values, self.results, pca, hidden)
            ],
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
            page.content["examples"] = self._examples(
                page, of_each_class(self.codes.rows, self.labels, self.shown)
            )
            page.content["explorer"] = self._explorer(page)
            if model.network_.theta.size > MOST:
                why = f"A network of {model.network_.theta.size:,} parameters is too large to stand in a page."
                page.content["explorer"]["why"] = why
            elif not computable(model):
                why = f"The page cannot undo the scaling ({model.scaling_}) of the rows."
                page.content["explorer"]["why"] = why
            elif follows(model, self.codes.values[self.codes.rows[:8]]):
                page.content["network"] = written(page, model)
        return page

    # ---------------------------------------------------------------- the sections

    def _results(self, pca: float | None) -> list[dict[str, Any]]:
        names = {
            "loss": "loss",
            "mse": "mean squared error",
            "elbo": "ELBO, nats",
            "kl": "KL, nats a row",
        }
        names |= {"scaled_mse": "mean squared error, scaled columns"} if self.scaled else {}
        names |= {"active_units": "active units", "error": "share of rows wrong", "r2": "R²"}
        told = "scaled_mse" if self.scaled else "mse"
        notes = {told: f"PCA with as many numbers: {pca:.4g}"} if pca is not None else {}
        found = [(name, value) for name, value in self.results.items() if name in names]
        if told in self.results and (
            math.isclose(self.results[told], self.results["loss"], rel_tol=1e-4)
            or "elbo" in self.results
        ):
            found = [(name, value) for name, value in found if name != "loss"]  # it is told already
        tiles = [
            {"name": names[name], "value": value, "note": notes.get(name)} for name, value in found
        ]
        seconds = sum(filter(None, self.model.history_.get("seconds", [])))
        epochs = {
            "name": "epochs",
            "value": len(self.model.history_["loss"]),
            "note": f"{seconds:.1f} s",
        }
        return [*tiles, {"name": "test rows", "value": len(self.x)}, epochs]

    def _examples(self, page: Page, rows: np.ndarray) -> dict[str, Any]:
        assert self.again is not None
        small = self.picture and self.picture.small()
        pca = None if self.pca is None else in_page(page, self.pca[rows], self.picture)
        return {
            "rows": rows.tolist(),
            "x": in_page(page, self.x[rows], self.picture),
            "again": in_page(page, self.again[rows], self.picture),
            "pca": pca,
            "errors": self.errors[rows].tolist(),
            "labels": None if self.labels is None else self.labels[rows],
            "image": small and vars(small),
        }

    def _by(self, page: Page) -> dict[str, Any]:
        """The errors by label, and by column, and the rows with the largest."""
        columns = None
        theirs = None if self.pca is None else self._error(self.pca, "row")
        if self.again is not None and not self.picture and len(self.columns) <= 200:
            mine = self._error(self.again, "feature")
            other = (
                [None] * len(mine)
                if self.pca is None
                else self._error(self.pca, "feature").tolist()
            )
            columns = [[*row, ""] for row in zip(self.columns, mine.tolist(), other, strict=True)]
        worst = np.argsort(-self.errors, kind="stable")[: self.shown]
        return {
            "of": "label",
            "measure": ("squared error, scaled columns" if self.scaled else "squared error")
            if self.again is not None
            else "share wrong"
            if "error" in self.results
            else "error",
            "pca": theirs is not None,
            "classes": by_label(self.errors, theirs, self.labels),
            "columns": columns,
            "worst": None if self.again is None else self._examples(page, worst),
        }

    def _points(self, page: Page) -> dict[str, Any]:
        small = self.picture and self.picture.small()
        rows = {
            "x": in_page(page, self.x[self.codes.rows], self.picture),
            "image": small and vars(small),
        }
        return self.codes.points(page) | rows

    def _explorer(self, page: Page) -> dict[str, Any]:
        told = (
            np.broadcast_to(self.beside["condition"], len(self.x)).tolist() if self.beside else []
        )
        sliders = self.codes.sliders(
            page,
            getattr(self.model, "prior_", None),
            known_labels(self.model),
            [str(label) for label in told],
        )
        return sliders | {
            "draws": self.picture is not None
            and self.picture.height * self.picture.width <= PIXELS,
            "why": "This model's decoding is more than its network, which is all that the page computes.",
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
    name, k = type(model).__name__, model.code_size_
    return {
        "title": title or name,
        "subtitle": f"{name}: {model.network_.theta.size:,} parameters, codes of {k} number{'s' if k > 1 else ''}",
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
    means = [
        None if e is None else np.bincount(numbers, e) / np.maximum(count, 1)
        for e in (errors, theirs)
    ]
    present = np.flatnonzero(count)
    if len(present) > CLASSES:
        present = present[
            np.argsort(-np.bincount(numbers, errors)[present] / count[present], kind="stable")[
                :CLASSES
            ]
        ]
    return [
        [labels.names[i], *(mean if mean is None else mean[i] for mean in means), int(count[i])]
        for i in present
    ]


def curves(model: Any) -> list[dict[str, Any]] | None:
    """The loss by epoch; the kept epoch is the best one where the training was told to go back to it."""
    history = model.history_
    names = {"loss": "training", "val_loss": "validation"}
    series = [
        {"name": name, "values": history[key]} for key, name in names.items() if history.get(key)
    ]
    if not series:
        return None
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else "loss"
    note = "Training losses include noise, dropout or corruption, where the model has any; validation losses do not."
    return [
        {
            "series": series,
            "ylabel": name,
            "kept": model.best_epoch_,
            "note": note,
            "label": "loss by epoch",
        }
    ]
