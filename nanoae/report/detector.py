"""The report of an anomaly detector: the scores of rows, the threshold, and why the worst rows are abnormal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoae.data.table import Table
from nanoae.plot.labels import Labels
from nanoae.report.finding import Finding
from nanoae.report.page import Page, PathT
from nanoae.report.rows import SHOWN, by_label, histogram

EXPLAINED = 300  # evenly spaced rows over which the columns' shares of the score are averaged
MANY = 3  # times the requested share of abnormal rows: above it, the report says so


def write_detector_report(
    path: PathT,
    detector: Any,
    X: Any,
    labels: Any = None,
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
) -> PathT:
    """Write the report of a fitted AnomalyDetector on X, an array, data frame or Table, to `path`, an HTML file.

    labels   of the rows (N,), to compare their scores. See `write_report`
    """
    name = type(detector).__name__
    scores = -np.asarray(detector.score_samples(X), dtype=float)
    p_values = np.asarray(detector.p_values(X), dtype=float)
    n = len(scores)
    abnormal = ~(scores <= detector.threshold_)  # NaN, too
    by_score = np.argsort(-np.nan_to_num(scores, nan=np.inf), kind="stable")
    worst = by_score[:SHOWN]
    some = np.linspace(0, n - 1, min(n, EXPLAINED)).astype(np.intp)
    why = detector.explanation(taken(X, worst))
    usual = detector.explanation(taken(X, some))
    shares = np.abs(usual.shares).mean(axis=0)
    columns = [
        [str(column), share, None, ""] for column, share in zip(usual.names, shares, strict=True)
    ]
    numbers = X.rows if isinstance(X, Table) else range(n)  # row numbers in its file
    table_rows = []
    for i, row in enumerate(worst):
        reasons = ", ".join(why.reasons(i))
        table_rows.append([int(numbers[row]), scores[row], p_values[row], reasons])
    page = Page()
    page.content = {
        "title": title or name,
        "subtitle": f"{name}: {n:,} rows scored",
        "facts": list({**(facts or {}), "detector": repr(detector)}.items()),
        "results": [
            {"name": "rows", "value": n},
            {
                "name": "abnormal",
                "value": int(abnormal.sum()),
                "note": f"{abnormal.mean():.2%} of the rows",
            },
            {"name": "score threshold", "value": detector.threshold_},
        ],
        "findings": [found._asdict() for found in findings(detector, float(abnormal.mean()))],
        "errors": {
            "title": "Where the scores come from",
            "of": "label",
            "measure": "mean anomaly score",
            "share": "mean share of the score",
            "pca": False,
            "classes": by_label(scores, None, Labels.of(labels, n)),
            "columns": sorted(columns, key=lambda row: -row[1]),
            "worst": None,
        },
        "more": [
            {
                "title": "Scores",
                "note": "Number of rows by score, on a logarithmic scale; the line is the threshold.",
                "chart": chart(scores, detector.threshold_),
            },
            {
                "title": "The most abnormal rows",
                "note": "p: the share of normal rows expected to score as high. why: the columns with the largest "
                "shares of the score.",
                "table": {"names": ["row", "score", "p", "why"], "rows": table_rows},
            },
        ],
    }
    return page.write(path)


def findings(detector: Any, share: float) -> list[Finding]:
    asked = detector.contamination
    if detector.threshold is None and share > MANY * asked:
        text = "These rows differ from the training rows: check the columns below, or train on such rows, too."
        return [Finding(f"{share:.1%} of the rows are abnormal; {asked:.1%} were requested.", text)]
    return [
        Finding("Nothing looks wrong.", "The share of abnormal rows is as expected.", fine=True)
    ]


def chart(scores: np.ndarray, threshold: float) -> dict[str, Any]:
    line = threshold if np.isfinite(threshold) else None
    counts, edges = histogram(scores, *[line] if line is not None else [])
    return {
        "values": counts,
        "edges": edges,
        "line": line,
        "log": True,
        "xlabel": "anomaly score",
        "ylabel": "rows",
        "label": "rows by anomaly score",
    }


def taken(X: Any, rows: np.ndarray) -> Any:
    """Select rows of a Table, a data frame, or an array."""
    if hasattr(X, "taken"):
        return X.taken(rows)
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "columns"):
        return X[rows.tolist()]
    return np.asarray(X)[rows]
