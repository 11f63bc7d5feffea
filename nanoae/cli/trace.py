"""`nanoae trace`: one training step of a small network, to follow with the finger, on a page or as text."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nanoae.autoencoders.kinds import Widths, seed
from nanoae.autoencoders.mirrored import RECONSTRUCTION_LOSSES
from nanoae.data import load_data
from nanoae.engine.activations import ACTIVATIONS, activation
from nanoae.engine.layers import Layer, Linear
from nanoae.engine.optim import OPTIMIZERS
from nanoae.trace.breakage import KINDS
from nanoae.trace.trace import Trace
from nanoae.whole_file import check_writable


def add_to(commands) -> None:
    parser = commands.add_parser(
        "trace",
        help="one training step of a small network, number by number, on a page or as text",
        description="Writes a page that shows one training step: forward, loss, backward, update, one arrow key a "
        "move. Point at a number to see the sum that made it; each gradient stands beside its finite differences; a "
        "switch breaks a backward. The numbers are those of nanoae's own layers. The page needs no network.",
        epilog="example: nanoae trace --sizes 4-3-2-3-4 --activation tanh",
    )
    parser.add_argument(
        "--sizes", type=sizes, default=(4, 3, 2, 3, 4), metavar="N-N", help="widths (4-3-2-3-4)"
    )
    parser.add_argument(
        "--activation", default="tanh", metavar="NAME", help=f"{', '.join(ACTIVATIONS)} (tanh)"
    )
    parser.add_argument(
        "--loss", default="mse", metavar="NAME", help=f"{', '.join(RECONSTRUCTION_LOSSES)} (mse)"
    )
    parser.add_argument(
        "--optimizer", default="sgd", metavar="NAME", help=f"{', '.join(OPTIMIZERS)} (sgd)"
    )
    parser.add_argument(
        "--learning-rate", type=float, metavar="X", help="(0.5 for sgd, 0.03 for others)"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="a data set, as in train, whose first rows are taken"
    )
    parser.add_argument("--rows", type=int, default=4, metavar="N", help="rows of the batch (4)")
    parser.add_argument(
        "--epochs",
        type=int,
        default=200,
        metavar="N",
        help="steps of training for the loss curve (200)",
    )
    parser.add_argument(
        "--dtype", default="float64", metavar="NAME", help="float32 or float64 (float64)"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the weights (0)")
    parser.add_argument(
        "--break", dest="breakage", default="", metavar="KIND[:LAYER]", help=f"{', '.join(KINDS)}"
    )
    parser.add_argument(
        "--text", action="store_true", help="print the step instead of writing a page"
    )
    parser.add_argument(
        "--sums",
        action="store_true",
        help="with --text: the sum of every number, not of each first",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("trace.html"), metavar="FILE", help="(trace.html)"
    )
    parser.set_defaults(run=run)


def sizes(text: str) -> tuple[int, ...]:
    return Widths.read(text.replace("-", ","))


def run(args: argparse.Namespace) -> int:
    if not args.text:
        check_writable(args.out)
    rate = args.learning_rate
    if rate is None:
        rate = 0.5 if args.optimizer == "sgd" else 0.03
    trace = Trace(
        layers(args.sizes, args.activation),
        rows(args.data, args.rows, args.sizes[0]),
        loss=args.loss,
        optimizer=args.optimizer,
        learning_rate=rate,
        dtype=args.dtype,
        random_state=args.seed,
        epochs=args.epochs,
    )
    if args.text:
        print(trace.text(args.breakage, args.sums))
        return 0
    trace.save(args.out, args.breakage)
    print(
        f"{trace}\n\n{trace.verdicts()}\n\n{args.out}: open it in a browser; the arrow keys go from move to move"
    )
    return 0


def layers(sizes: tuple[int, ...], name: str) -> list[Layer]:
    """An autoencoder of these widths: the activation behind each layer but the code's and the last."""
    if len(sizes) < 2 or min(sizes) < 1 or sizes[0] != sizes[-1]:
        text = "-".join(map(str, sizes))
        raise ValueError(
            f"--sizes: expected widths as 4-3-2-3-4, the last as the first, got {text!r}."
        )
    code = (len(sizes) - 1) // 2
    found: list[Layer] = []
    for i, width in enumerate(sizes[1:], 1):
        found.append(Linear(width))
        if i not in (code, len(sizes) - 1):
            found.append(activation(name, "--activation"))
    return found


def rows(data: str | None, n: int, width: int) -> np.ndarray:
    """The first n rows of a data set; else rows that hold two bits, each beside its opposite, (n, width)."""
    if data is None:
        bits = [
            [1, 0, 1, 0],
            [1, 0, 0, 1],
            [0, 1, 1, 0],
            [0, 1, 0, 1],
        ]
        repeated = np.resize(np.array(bits, np.float64), (n, 4))
        return repeated[:, np.arange(width) % 4]
    x = load_data(data).flat()[0][:n]
    if x.shape[1] != width:
        raise ValueError(
            f"--sizes: expected a width of {x.shape[1]}, the data's, at both ends, got {width}."
        )
    return x
