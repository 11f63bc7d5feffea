"""report.html of a run, as written by `nanoae train --report` and `nanoae report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import PCA, Dataset
from nanoae.cli import data as data_options
from nanoae.report import write_report


def write_page(
    path: Path,
    model: Any,
    baseline: PCA | None,
    data: Dataset,
    split: str,
    title: str,
    facts: Mapping[str, str],
) -> None:
    """Write the report of a model on a split of `data`, with `facts` about the run."""
    rows, extra = data_options.joined(data_options.parts(data, split, model, learned=True))
    every = {"train": data.y_train, "test": data.y_test}
    given = every.values() if split == "all" else [every[split]]
    labels = None
    if all(data_options.label_column(y) is not None for y in given):
        labels = np.ma.concatenate([*given])[: len(rows)]
    black = data_options.black(model)
    write_report(
        path,
        model,
        rows.reshape(len(rows), *model.input_shape_),
        extra.get("y", labels),
        condition=extra.get("condition"),
        baseline=baseline,
        shape=data.shape,
        columns=data.columns,
        limits=(black, 1.0) if data.maximum and len(data.shape) > 1 else None,
        title=title,
        facts=facts,
    )


def facts_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The facts about a run in config.json, as text, by name."""
    data = config.get("data", {})
    seconds = config.get("seconds")
    versions = config.get("versions", {})
    found = {
        "data": f"{data.get('name')} ({data.get('source')})",
        "training rows": " x ".join(map(str, data.get("train", []))),
        "test rows": " x ".join(map(str, data.get("test", []))),
        "command": " ".join(map(str, config.get("command", []))),
        "device": config.get("device"),
        "seconds": f"{seconds:.1f}" if isinstance(seconds, float) else None,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return {name: str(value) for name, value in found.items() if value}
