"""export: a model as a file that others open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanoae.interchange.models import graph_of, notes_of
from nanoae.spelling import one_of


def export(model: Any, path, what: str | None = None) -> None:
    """Write a fitted model, or a built Sequential, to `path`, by its ending:

    .onnx   what it computes, as one graph that onnxruntime and others run (`pip install "nanoae[onnx]"`). what: one of
            its parts, "encoder", "decoder", "reconstruction", "scores" or "prediction"; None: all that start from x.
            `interchange/models.py` has the table of their inputs and outputs

    Raises ValueError for what such a file cannot hold, by its name and with the reason; ImportError, which names the
    extra, where its package is missing.
    """
    content, _ = exported(model, Path(path).suffix, what)
    Path(path).write_bytes(content)


def exported(model: Any, ending: str, what: str | None = None) -> tuple[bytes, str]:
    """(the content of such a file, what is in it in words)."""
    one_of("export: the file's ending", ending, ENDINGS)
    graph = graph_of(model, what)
    return graph.file(notes_of(model)), graph.told()


ENDINGS = (".onnx",)
