"""The report of a text model: reconstructed lines, a scatter plot of codes, and a decoder that runs in the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.mixture import Mixture
from nanoae.plot.labels import Labels
from nanoae.report.codes import Codes
from nanoae.report.finding import findings
from nanoae.report.network import written
from nanoae.report.page import Page, PathT
from nanoae.report.report import curves, heading
from nanoae.report.rows import SHOWN, by_label, of_each_class

MOST = 2_000  # lines that are evaluated


def write_text_report(
    path: PathT,
    model: Any,
    lines: Sequence[str],
    keywords: Sequence[str] | None = None,
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
) -> PathT:
    """Write the report of a fitted TextVAE on held-out lines, with keywords if the model is conditional, to `path`, an
    HTML file. Of more than 2,000 lines, 2,000 evenly spaced ones are used. See `write_report`."""
    n = min(len(lines), MOST)
    rows = np.linspace(0, len(lines) - 1, n).astype(np.intp)
    taken = [lines[i] for i in rows]
    words = None if keywords is None else [keywords[i] for i in rows]
    page = Page()
    labels = Labels.of(words, len(taken))
    results = model.evaluate(taken, words)
    errors = -model.score_samples(taken, words)
    reconstructions = model.reconstruct(taken, words)
    values = np.asarray(model.transform(taken, words))
    codes = Codes(values, errors, labels, 1, variational=True)
    found = findings(model, values, results, None, {})
    vocabulary = model.vocabulary_

    def shown(some: np.ndarray) -> dict[str, Any]:
        chosen_keywords = None if words is None else [words[i] for i in some]
        some_reconstructions = [reconstructions[i] for i in some]
        some_lines = [taken[i] for i in some]
        return {
            "rows": rows[some],
            "lines": some_lines,
            "again": some_reconstructions,
            "errors": errors[some],
            "labels": chosen_keywords,
        }

    page.content = heading(model, title, facts) | {
        "results": [
            {"name": "perplexity", "value": results["perplexity"]},
            {"name": "ELBO, nats per line", "value": results["elbo"]},
            {"name": "KL, nats per line", "value": results["kl"]},
            {"name": "active units", "value": results["active_units"]},
            {"name": "tokens reconstructed", "value": f"{results['token_accuracy']:.1%}"},
            {"name": "lines reconstructed whole", "value": f"{results['exact_lines']:.1%}"},
        ],
        "findings": [finding._asdict() for finding in found],
        "curves": curves(model),
        "vocabulary": {
            "words": vocabulary.tokens,
            "starts": vocabulary.bos,
            "unit": vocabulary.unit,
            "steps": model.n_features_in_,
        },
        "examples": shown(of_each_class(np.arange(len(taken)), labels)),
        "errors": {
            "of": "keyword",
            "measure": "-ELBO, nats",
            "pca": False,
            "classes": by_label(errors, None, labels),
            "worst": shown(np.argsort(-errors, kind="stable")[:SHOWN]),
        },
        "points": codes.points(page) | {"lines": [taken[i] for i in codes.rows]},
        "histogram": codes.histogram(),
        "units": codes.units(),
        "network": written(page, model),
        "explorer": codes.sliders(
            page, Mixture.standard(model.code_size_), model.keywords_, words or ()
        ),
    }
    return page.write(path)
