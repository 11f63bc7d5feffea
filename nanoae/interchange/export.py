"""export: a model as a file that others open: a graph to run, or arrays."""

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
    """Write a fitted model, or a built Sequential, to `path`, by its ending; what is in the file, in words:

    .onnx          what it computes, as one graph that onnxruntime and others run (`pip install "nanoae[onnx]"`).
                   what: one of its parts, "encoder", "decoder", "reconstruction", "scores", "bound" or "prediction";
                   None: all that start from x. `interchange/models.py` has the table of their inputs and outputs.
                   dtype: "float32" for inputs and outputs of float32, also where it would be float64, as of columns
                   that are scaled: they lose digits before they are scaled, where these lie far from 0
    .safetensors   its arrays, those of a network by PyTorch's names, and its configuration as JSON (`pip install
                   "nanoae[safetensors]"`): `nanoae.load` makes the model of it again. notes: as in `save_model`

    Raises ValueError for what such a file cannot hold, by its name and with the reason; ImportError, which names the
    extra, where its package is missing.
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
            "export: expected what=None and dtype=None for .safetensors, which holds whole models as they are, got "
            f"{what!r} and {dtype!r}."
        )
    else:
        content = content_of(model, notes)
        summary = f"{len(content):,} bytes; nanoae.load opens it, and so does safetensors in any framework"
    with whole_file(path) as file:
        file.write(content)
    return summary
