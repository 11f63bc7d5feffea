"""`nanoae trace`: one training step of a small network, number by number, on a page or as text."""

from __future__ import annotations

import argparse

import numpy as np

from nanoae.autoencoders.kinds import Widths
from nanoae.autoencoders.mirrored import RECONSTRUCTION_LOSSES
from nanoae.cli.options import command, declare, reader
from nanoae.data import load_data
from nanoae.engine.activations import ACTIVATIONS, activation
from nanoae.engine.layers import Layer, Linear
from nanoae.engine.optim import OPTIMIZERS
from nanoae.trace.breakage import KINDS
from nanoae.trace.trace import Trace
from nanoae.whole_file import check_writable


def add_to(commands) -> None:
    parser = command(
        commands,
        "trace",
        run,
        "show one training step of a small network, number by number, on a page or as text",
        description="Writes a page that shows one training step: forward, loss, backward, update. The arrow keys move "
        "through it. Point at a number to see the sum that produced it; each gradient is shown beside its finite "
        "difference; a switch breaks a backward. All numbers come from nanoae's own layers. The page works offline.",
        epilog="example: nanoae trace --sizes 4-3-2-3-4 --activation tanh",
    )
    declare(parser, "--sizes N-N=4-3-2-3-4  layer widths", type=reader(Sizes()))
    declare(
        parser,
        f"""
        --activation NAME=tanh   {", ".join(ACTIVATIONS)}
        --loss NAME=mse          {", ".join(RECONSTRUCTION_LOSSES)}
        --optimizer NAME=sgd     {", ".join(OPTIMIZERS)}
        --learning-rate X        (default: 0.5 for sgd, 0.03 for others)
        --data SET               a data set, as in train, from which the first rows are taken
        --resize HxW             the height and width to scale the images of a folder to, as 4x4
        --rows N=4               number of rows in the batch
        --epochs N=200           steps of training for the loss curve
        --dtype NAME=float64     float32 or float64
        --seed SEED=0            random seed of the weights
        --text                   print the step instead of writing a page
        --sums                   as --text, with the sum behind every number instead of each first one
        --out FILE=trace.html    output file
    """,
    )
    declare(
        parser,
        f"--break KIND[:LAYER]  break the backward: {', '.join(KINDS)}",
        dest="breakage",
        default="",
    )


class Sizes(Widths):
    texts = "widths like 4-3-2-3-4"

    @staticmethod
    def read(text: str) -> tuple[int, ...]:
        return Widths.read(text.replace("-", ","))


def run(args: argparse.Namespace) -> int:
    if not (args.text or args.sums):
        check_writable(args.out)
    rate = args.learning_rate
    if rate is None:
        rate = 0.5 if args.optimizer == "sgd" else 0.03
    trace = Trace(
        layers(args.sizes, args.activation),
        rows(args.data, args.resize, args.rows, args.sizes[0]),
        loss=args.loss,
        optimizer=args.optimizer,
        learning_rate=rate,
        dtype=args.dtype,
        random_state=args.seed,
        epochs=args.epochs,
    )
    if args.text or args.sums:
        print(trace.text(args.breakage, args.sums))
        return 0
    trace.save(args.out, args.breakage)
    print(
        f"{trace}\n\n{trace.verdicts()}\n\n{args.out}: open it in a browser; the arrow keys move through the step"
    )
    return 0


def layers(sizes: tuple[int, ...], name: str) -> list[Layer]:
    """An autoencoder of these widths, with the activation after each Linear except the code's and the last."""
    if len(sizes) < 2 or min(sizes) < 1 or sizes[0] != sizes[-1]:
        text = "-".join(map(str, sizes))
        raise ValueError(
            f"--sizes: expected widths like 4-3-2-3-4, the last equal to the first, got {text!r}."
        )
    activation(name, "--activation")  # to be known, even if no layer is a hidden one
    code = (len(sizes) - 1) // 2
    found: list[Layer] = []
    for i, width in enumerate(sizes[1:], 1):
        found.append(Linear(width))
        if i not in (code, len(sizes) - 1):
            found.append(activation(name, "--activation"))
    return found


def rows(data: str | None, resize: str | None, n: int, width: int) -> np.ndarray:
    """The first n rows of a data set, (n, width); without one, rows of two bits, each followed by its complement."""
    if data is None:
        if resize:
            raise ValueError("--resize: expected --data with a folder of images, got none.")
        bits = [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]
        repeated = np.resize(np.array(bits, np.float64), (max(n, 0), 4))
        return repeated[:, np.arange(width) % 4]
    x = load_data(data, resize=resize).flat()[0][:n]
    if x.shape[1] != width:
        raise ValueError(
            f"--sizes: expected {x.shape[1]}, the width of the data, at both ends, got {width}."
        )
    return x
