"""`nanoae export`: a saved model as a file that others open."""

from __future__ import annotations

import argparse

from nanoae.cli import data as data_options
from nanoae.cli import model as models
from nanoae.cli.options import MODEL, command, declare
from nanoae.interchange.export import DTYPES, ENDINGS, export


def add_to(commands) -> None:
    parser = command(
        commands,
        "export",
        run,
        "export a model: ONNX, safetensors",
        description="Writes what a model computes as one ONNX graph, which onnxruntime and others run, and prints the "
        "names, shapes and types of its inputs and outputs. Rows are on the scale that the model was trained on. Or "
        "its arrays as .safetensors, by PyTorch's names, which nanoae opens again as a model.",
        epilog="example: nanoae export runs/digits-1 --out model.onnx",
    )
    declare(
        parser,
        f"""
        {MODEL}
        --out FILE!   {" or ".join(ENDINGS)}
        --what PART   of a graph: encoder, decoder, reconstruction, scores, bound or prediction alone (default: all that
                      start from rows alone)
    """,
    )
    text = "of a graph's inputs and outputs, also where they would be float64, as of columns that are scaled"
    parser.add_argument("--dtype", choices=DTYPES, help=text)
    data_options.add_limit(parser)
    parser.set_defaults(backend="numpy", data="")


def run(args: argparse.Namespace) -> int:
    models.check_output(args, ENDINGS)
    model = models.load(args)
    summary = export(model, args.out, args.what, models.notes(args), args.dtype)
    print(f"written to {args.out}: {type(model).__name__}\n{summary}")
    return 0
