"""`nanoae gradcheck`: check the gradients of any layer or loss against central differences."""

from __future__ import annotations

import argparse

import numpy as np

import nanoae
from nanoae import Autoencoder, GradientReport, Sequential, TextVAE, check_gradients
from nanoae.autoencoders.table_losses import Masked, Mixed, Weighted
from nanoae.cli.data import add_limit
from nanoae.cli.model import file_of
from nanoae.cli.options import command, declare
from nanoae.cli.smallest import LAYERS, WIDTH
from nanoae.engine import losses
from nanoae.engine.activations import ACTIVATIONS
from nanoae.engine.layers import Dropout, Layer, Linear
from nanoae.spelling import one_of

ROWS = 4
LOSSES = {
    **{cls.__name__: cls() for cls in losses.LOSSES.values()},
    "Mixed": Mixed((1, 1, WIDTH - 2)),
    "Masked": Masked("mse"),
    "Weighted": Weighted("mse"),
}
NETWORK = "network"  # layers of all kinds in one network, which checks the chain rule, too


def add_to(commands) -> None:
    parser = command(
        commands,
        "gradcheck",
        run,
        "check hand-written gradients against finite differences",
        description="Compares every gradient that a backward computes with central differences in float64. Without "
        "options, checks a small network with layers of many kinds. Exits with 1 if a gradient is wrong.",
        epilog="example: nanoae gradcheck --layer Linear",
    )
    declare(
        parser.add_mutually_exclusive_group(),
        f"""
        --layer NAME   {", ".join([*LAYERS, *LOSSES])}
        --model FILE   a saved autoencoder, with its loss
        --all          every layer and every loss by itself, then the network
    """,
    )
    add_limit(parser)


def run(args: argparse.Namespace) -> int:
    if args.model:
        report = check_model(args)
        print(f"{report}\n{'all ok' if report.ok else 'FAILED'}")
        return int(not report.ok)
    known = [*LAYERS, *LOSSES]
    names = [*known, NETWORK] if args.all else [args.layer or NETWORK]
    if args.layer:
        one_of("--layer", args.layer, known)
    failed = []
    for name in names:
        report = check_loss(name) if name in LOSSES else check_layer(name)
        print(f"{name}\n{report}\n")
        if not report.ok:
            failed.append(name)
    summary = f"{len(names)} checked, all ok" if args.all else "all ok"
    print(f"FAILED: {', '.join(failed)}" if failed else summary)
    return int(bool(failed))


def away_from_zero(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random numbers with |x| >= 0.1: a finite difference must not step over the kink of a ReLU or of |x|."""
    x = rng.standard_normal(shape)
    return x + 0.1 * np.sign(x)


def check_layer(name: str) -> GradientReport:
    """Check a layer by itself, or the network."""
    layers = network() if name == NETWORK else LAYERS[name]()
    x = away_from_zero(np.random.default_rng(0), ROWS, WIDTH)
    return check_gradients(Sequential(layers), x, elementwise=name != NETWORK)


def network() -> list[Layer]:
    """A network of noise, every activation behind a Linear, and a tied matrix."""
    layers: list[Layer] = [Dropout(0.2)]
    for cls in ACTIVATIONS.values():
        layers += [Linear(6), cls()]
    return [*layers, *LAYERS["TiedLinear"]()]


def check_loss(name: str) -> GradientReport:
    """Check a loss as a function of its input, with targets in its range."""
    rng = np.random.default_rng(0)
    x = away_from_zero(rng, ROWS, WIDTH)
    targets = {"BCE": rng.random(x.shape), "SoftmaxCrossEntropy": rng.integers(0, WIDTH, ROWS)}
    t = targets.get(name, x - away_from_zero(rng, *x.shape))
    if name == "Masked":
        t[::2, 1] = np.nan
    if name == "Weighted":
        t = np.column_stack([t, rng.random(ROWS)])
    return check_gradients(nanoae.Identity(), x, t, LOSSES[name], elementwise=True)


def check_model(args: argparse.Namespace) -> GradientReport:
    """Check a saved autoencoder with its training loss, at random rows in [0, 1] or random lines of text."""
    model = nanoae.load(file_of(args.model), backend="auto", limit=args.limit)
    if isinstance(model, TextVAE):
        shape = (ROWS, model.n_features_in_)
        lines = np.random.default_rng(0).integers(1, len(model.vocabulary_), shape)
        return check_gradients(model, lines, lines[:, 1:], model.new_loss())
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"--model: expected an autoencoder, got {type(model).__name__}, which has no gradients."
        )
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, *model.network_.input_shape))
    asked = x[:, : model.n_features_in_]  # a condition is not reconstructed
    return check_gradients(model, x, asked, losses.get(model.loss))
