"""The settings: the parameters of an autoencoder as options, and as text in `--grid`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.bottleneck import BOTTLENECKS
from nanoae.autoencoders.classifier import StackedClassifier
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.penalty import PENALTIES
from nanoae.autoencoders.presets import DATA, PRESETS, preset, suited
from nanoae.autoencoders.regressor import StackedRegressor
from nanoae.autoencoders.stacked import Stacked, StackedAutoencoder
from nanoae.data import Dataset
from nanoae.engine.init import INITIALIZERS
from nanoae.engine.layers import ACTIVATIONS
from nanoae.engine.losses import LOSSES
from nanoae.engine.optim import OPTIMIZERS
from nanoae.engine.part import from_text, usage
from nanoae.spelling import one_of
from nanoae.training.schedules import SCHEDULES


def widths(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(int(width) for width in text.replace("x", ",").split(","))


def seed(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


def yes_or_no(text: str) -> bool:
    return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]


def shares(text: str) -> float | tuple[float, ...]:
    found = tuple(float(share) for share in text.replace("x", ",").split(","))
    return found if len(found) > 1 else found[0]


class Mistake(argparse.ArgumentTypeError, ValueError):
    """What is wrong with an option's text, told as it is."""


def part(known: dict[str, type]) -> Callable[[str], Any]:
    """A reader of texts like "kl:0.05,0.1"; of several, one for each layer, joined by "/"."""

    def read(text: str) -> Any:
        try:
            found = [None if one == "none" else from_text(one, known) for one in text.split("/")]
        except ValueError as error:
            raise Mistake(str(error)) from error
        return found if len(found) > 1 else found[0]

    return read


def rate(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return part(SCHEDULES)(text)


def names(known) -> str:
    return ", ".join(name for name in known if name != "softmax_cross_entropy")


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {  # parameter -> (its text as a value, help)
    "code_size": (int, "numbers in a code"),
    "hidden": (widths, "widths of the encoder's hidden layers, as 128,64, or none; the decoder mirrors them"),
    "sizes": (
        widths,
        "widths of layers that are pretrained one by one, as 500,250,30; the last is the code's",
    ),
    "activation": (str, f"of the hidden layers: {names(ACTIVATIONS)}"),
    "code_activation": (str, "of the code"),
    "output_activation": (str, "of the reconstruction; the sigmoid is part of --loss bce"),
    "loss": (str, f"{names(LOSSES)}; bce wants data in [0, 1]"),
    "likelihood": (str, "variational, instead of a loss: bernoulli, for data in [0, 1], or gaussian"),
    "variance": (float, "variational: of the gaussian likelihood"),
    "optimizer": (str, names(OPTIMIZERS)),
    "learning_rate": (rate, f"size of a step, or a schedule: {usage(SCHEDULES)}"),
    "weight_decay": (float, "pull of the weights towards 0"),
    "batch_size": (int, "rows per step"),
    "epochs": (int, "passes over the training rows"),
    "validation_fraction": (float, "share of the training rows held out to watch the loss on"),
    "patience": (int, "stop after so many epochs without a better validation loss, and go back to the best"),
    "initializer": (str, f"of the weights: {names(INITIALIZERS)}"),
    "bias_initializer": (str, "of the biases"),
    "tied_weights": (yes_or_no, "decode with the encoder's matrices, transposed"),
    "corruption": (part(CORRUPTIONS), f"noise on the input in training: {usage(CORRUPTIONS)}"),
    "bottleneck": (part(BOTTLENECKS), f"what the code has to pass: {usage(BOTTLENECKS)}"),
    "penalty": (part(PENALTIES), f"on the code, in training: {usage(PENALTIES)}"),
    "pretrain": (yes_or_no, "stacked: layer by layer, before the whole"),
    "pretrain_epochs": (int, "stacked: passes over the training rows for each layer"),
    "pretrain_learning_rate": (rate, "stacked: as --learning-rate, for the pretraining"),
    "pretrain_loss": (str, "predictors: of the first layer's reconstruction of the data"),
    "dropout": (
        shares,
        "predictors: share of the hidden units left out at a step; or two, the inputs' first",
    ),
    "freeze": (int, "predictors: so many layers stay as they were pretrained"),
    "processes": (int, "deprecated: one process uses all cores"),
    "backend": (str, "numpy, cupy (an NVIDIA GPU; cupy:tf32, cupy:nograph and cupy:noepilogues are variants), or auto"),
    "dtype": (str, "float32 or float64"),
    "random_state": (seed, "the seed that decides everything random (default: 0)"),
}
OPTIONS = {"random_state": "--seed", "sizes": "--stacked"}
METAVARS: dict[Callable, str] = {int: "N", seed: "N", float: "X", rate: "X", shares: "X", widths: "N,N"}
WANTED: dict[Callable, str] = {
    float: "numbers",
    shares: "shares as 0.5, or 0.2x0.5",
    widths: "widths as 128x64",
    yes_or_no: "true or false",
}
PREDICTORS: dict[str, tuple[type[Stacked], str]] = {
    "classify": (
        StackedClassifier,
        "learn the labels' classes; the layers, of widths --stacked, are pretrained",
    ),
    "regress": (StackedRegressor, "the same for labels that are numbers"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}: published, on {DATA}")
    what = parser.add_argument_group("instead of an autoencoder").add_mutually_exclusive_group()
    for name, (_, text) in PREDICTORS.items():
        what.add_argument(f"--{name}", dest="predictor", action="store_const", const=name, help=text)
    group = parser.add_argument_group(
        "settings", "each overrides the preset; without one they follow from the size of the data"
    )
    for name, (kind, text) in SETTINGS.items():
        if kind is yes_or_no:
            group.add_argument(option(name), dest=name, action=argparse.BooleanOptionalAction, help=text)
        else:
            group.add_argument(option(name), dest=name, type=kind, metavar=METAVARS.get(kind, "NAME"), help=text)


def option(name: str) -> str:
    return OPTIONS.get(name, "--" + name.replace("_", "-"))


def chosen(args: argparse.Namespace, data: Dataset) -> NetworkEstimator:
    """The estimator: what suits the data, or the preset, with what was said."""
    suits = suited(len(data.x_train), math.prod(data.shape))
    model: NetworkEstimator = preset(args.preset) if args.preset else Autoencoder(**suits)
    if args.predictor or args.sizes:
        model = stacked(model, PREDICTORS[args.predictor][0] if args.predictor else StackedAutoencoder)
    said = {name: value for name in SETTINGS if (value := getattr(args, name)) is not None}
    for name in said.keys() - model.get_params(deep=False):
        known = ", ".join(option(name) for name in SETTINGS if name in model.get_params(deep=False))
        hint = "--stacked, --classify and --regress choose other estimators, with others."
        if name == "loss" and hasattr(model, "likelihood"):
            hint = "Its loss follows from --likelihood."
        raise ValueError(f"{option(name)}: expected a setting of {type(model).__name__}: {known}. {hint}")
    model.set_params(**{"random_state": 0, **said})
    if not model.validation_fraction:
        if args.patience is not None:
            raise ValueError("--patience: expected rows to watch the loss on, got none. Add --validation-fraction 0.1.")
        model.set_params(patience=None)
    return model


def stacked(model: NetworkEstimator, kind: type[Stacked]) -> Stacked:
    """An estimator of that `kind`, with as many of the model's settings as it has, and its encoder's widths."""
    settings = model.get_params(deep=False)
    settings["sizes"] = *settings["hidden"], settings["code_size"]
    new = kind()
    return new.set_params(**{name: settings[name] for name in settings.keys() & new.get_params()})  # type: ignore[return-value]


def parse_grid(texts: list[str]) -> dict[str, list[Any]]:
    """["code_size=10,20"] as {"code_size": [10, 20]}. Hidden widths are joined by x: hidden=128,128x64."""
    grid = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        name = "random_state" if name == "seed" else name
        if not values:
            raise ValueError(f"--grid: expected NAME=VALUE,VALUE,..., got {text!r}.")
        one_of("--grid", name, SETTINGS)
        if name == "loss":
            raise ValueError("--grid: expected settings to compare by their validation loss, got the loss itself.")
        kind = SETTINGS[name][0]
        try:
            grid[name] = [kind(value.strip()) for value in values.split(",")]
        except (ValueError, KeyError) as error:
            if isinstance(error, Mistake):
                raise ValueError(f"--grid: {name}: {error}") from error
            wanted = WANTED.get(kind, "whole numbers")
            raise ValueError(f"--grid: expected {wanted} for {name}, got {values!r}.") from error
    return grid
