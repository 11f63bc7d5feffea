"""export: write a model as a graph to run, or as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanoae.interchange import detectors as detectors  # which registers its models
from nanoae.interchange import predictors as predictors
from nanoae.interchange import text as text
from nanoae.interchange.models import graph_of, notes_of
from nanoae.interchange.safetensors import content_of
from nanoae.spelling import one_of
from nanoae.whole_file import whole_file

ENDINGS = (".onnx", ".safetensors")
DTYPES = ("float32",)


def export(
    model: Any,
    path,
    what: str | None = None,
    notes: dict[str, Any] | None = None,
    dtype: str | None = None,
) -> str:
    """Write a fitted model, or a built Sequential, to `path`; its suffix selects the format. Return a summary.

    .onnx          what the model computes, as one graph for onnxruntime and others (`pip install "nanoae[onnx]"`).
                   what: one part, "encoder", "decoder", "reconstruction", "scores", "bound" or "prediction"; None: all
                   parts that need only x. `interchange/models.py` has a table of their inputs and outputs.
                   dtype: "float32" makes inputs and outputs float32, even if they would be float64, as for scaled
                   columns; values far from 0 then lose digits before scaling
    .safetensors   the arrays, those of a network under PyTorch's names, and the configuration as JSON (`pip install
                   "nanoae[safetensors]"`): `nanoae.load` rebuilds the model. notes: as in `save_model`

    Raises ValueError for a model that the format cannot hold; ImportError, which names the extra, if its package is
    missing.
    """
    ending = one_of("export: the file's ending", Path(path).suffix, ENDINGS)
    if dtype is not None:
        one_of("export: dtype", dtype, DTYPES)
    if hasattr(model, "check_fitted"):
        model.check_fitted()
        model.check_weights()
    if ending == ".onnx":
        graph = graph_of(model, what, single=dtype == "float32")
        content = graph.file(notes_of(model))
        summary = graph.summary()
    elif what is not None or dtype is not None:
        raise ValueError(
            "export: expected what=None and dtype=None for .safetensors, which holds whole models unchanged, got "
            f"{what!r} and {dtype!r}."
        )
    else:
        content = content_of(model, notes)
        summary = f"{len(content):,} bytes; nanoae.load and the safetensors library open it"
    with whole_file(path) as file:
        file.write(content)
    return summary
