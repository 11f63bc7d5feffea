"""`nanoae export`: write a saved model in another format."""

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
        "export a model to ONNX or safetensors",
        description="Writes what a model computes as one ONNX graph, which onnxruntime and others run, and prints the "
        "names, shapes and types of its inputs and outputs. Rows must be on the scale of the training data. For "
        ".safetensors, writes the model's arrays under PyTorch's names; nanoae can load such a file as a model.",
        epilog="example: nanoae export runs/digits-1 --out model.onnx",
    )
    declare(
        parser,
        f"""
        {MODEL}
        --out FILE!   {" or ".join(ENDINGS)}
        --what PART   part of the graph: encoder, decoder, reconstruction, scores, bound or prediction (default: all
                      that need only rows as input)
    """,
    )
    text = "type of the graph's inputs and outputs, even if they would be float64"
    parser.add_argument("--dtype", choices=DTYPES, help=text)
    data_options.add_limit(parser)
    parser.set_defaults(backend="numpy", data="")


def run(args: argparse.Namespace) -> int:
    models.check_output(args, ENDINGS)
    model = models.load(args)
    summary = export(model, args.out, args.what, models.notes(args), args.dtype)
    print(f"written to {args.out}: {type(model).__name__}\n{summary}")
    return 0
