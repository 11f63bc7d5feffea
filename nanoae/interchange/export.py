"""export: a model as a file that others open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanoae.interchange import detectors as detectors  # which registers its models
from nanoae.interchange import text as text
from nanoae.interchange.models import graph_of, notes_of
from nanoae.spelling import one_of
from nanoae.whole_file import whole_file

ENDINGS = (".onnx",)


def export(model: Any, path, what: str | None = None) -> str:
    """Write a fitted model, or a built Sequential, to `path`, by its ending; what is in the file, in words:

    .onnx   what it computes, as one graph that onnxruntime and others run (`pip install "nanoae[onnx]"`). what: one of
            its parts, "encoder", "decoder", "reconstruction", "scores" or "prediction"; None: all that start from x.
            `interchange/models.py` has the table of their inputs and outputs

    Raises ValueError for what such a file cannot hold, by its name and with the reason; ImportError, which names the
    extra, where its package is missing.
    """
    one_of("export: the file's ending", Path(path).suffix, ENDINGS)
    graph = graph_of(model, what)
    content = graph.file(notes_of(model))
    with whole_file(path) as file:
        file.write(content)
    return graph.told()
