"""The settings: the parameters of an autoencoder as options, and as text in `--grid`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from nanoae.autoencoders.estimator import Autoencoder
from nanoae.autoencoders.presets import DATA, PRESETS, preset, suited
from nanoae.data import Dataset
from nanoae.engine.init import INITIALIZERS
from nanoae.engine.layers import ACTIVATIONS
from nanoae.engine.losses import LOSSES
from nanoae.engine.optim import OPTIMIZERS


def widths(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(int(width) for width in text.replace("x", ",").split(","))


def seed(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


def yes_or_no(text: str) -> bool:
    return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]


def names(known) -> str:
    return ", ".join(name for name in known if name != "softmax_cross_entropy")


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {  # parameter -> (its text as a value, help)
    "code_size": (int, "numbers in a code"),
    "hidden": (widths, "widths of the encoder's hidden layers, as 128,64, or none; the decoder mirrors them"),
    "activation": (str, f"of the hidden layers: {names(ACTIVATIONS)}"),
    "code_activation": (str, "of the code"),
    "output_activation": (str, "of the reconstruction; the sigmoid is part of --loss bce"),
    "loss": (str, f"{names(LOSSES)}; bce wants data in [0, 1]"),
    "optimizer": (str, names(OPTIMIZERS)),
    "learning_rate": (float, "size of a step"),
    "weight_decay": (float, "pull of the weights towards 0"),
    "batch_size": (int, "rows per step"),
    "epochs": (int, "passes over the training rows"),
    "validation_fraction": (float, "share of the training rows held out to watch the loss on"),
    "patience": (int, "stop after so many epochs without a better validation loss, and go back to the best"),
    "initializer": (str, f"of the weights: {names(INITIALIZERS)}"),
    "bias_initializer": (str, "of the biases"),
    "tied_weights": (yes_or_no, "decode with the encoder's matrices, transposed"),
    "backend": (str, "numpy, cupy (an NVIDIA GPU), or auto"),
    "dtype": (str, "float32 or float64"),
    "random_state": (seed, "the seed that decides everything random (default: 0)"),
}
OPTIONS = {"random_state": "--seed"}
METAVARS: dict[Callable, str] = {int: "N", seed: "N", float: "X", widths: "N,N"}
WANTED: dict[Callable, str] = {float: "numbers", widths: "widths as 128x64", yes_or_no: "true or false"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}: published, on {DATA}")
    group = parser.add_argument_group(
        "settings", "each overrides the preset; without one they follow from the size of the data"
    )
    for name, (kind, text) in SETTINGS.items():
        option = OPTIONS.get(name, "--" + name.replace("_", "-"))
        if kind is yes_or_no:
            group.add_argument(option, dest=name, action=argparse.BooleanOptionalAction, help=text)
        else:
            group.add_argument(option, dest=name, type=kind, metavar=METAVARS.get(kind, "NAME"), help=text)


def chosen(args: argparse.Namespace, data: Dataset) -> Autoencoder:
    """The estimator: what suits the data, or the preset, with what was said."""
    model = preset(args.preset) if args.preset else Autoencoder(**suited(len(data.x_train), math.prod(data.shape)))
    said = {name: value for name in SETTINGS if (value := getattr(args, name)) is not None}
    model.set_params(**{"random_state": 0, **said})
    if not model.validation_fraction:
        if args.patience is not None:
            raise ValueError("--patience: expected rows to watch the loss on, got none. Add --validation-fraction 0.1.")
        model.set_params(patience=None)
    return model


def parse_grid(texts: list[str]) -> dict[str, list[Any]]:
    """["code_size=10,20"] as {"code_size": [10, 20]}. Hidden widths are joined by x: hidden=128,128x64."""
    grid = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        name = "random_state" if name == "seed" else name
        if name not in SETTINGS or not values:
            raise ValueError(f"--grid: expected NAME=VALUE,VALUE,... with one of {', '.join(SETTINGS)}, got {text!r}.")
        if name == "loss":
            raise ValueError("--grid: expected settings to compare by their validation loss, got the loss itself.")
        kind = SETTINGS[name][0]
        try:
            grid[name] = [kind(value.strip()) for value in values.split(",")]
        except (ValueError, KeyError) as error:
            wanted = WANTED.get(kind, "whole numbers")
            raise ValueError(f"--grid: expected {wanted} for {name}, got {values!r}.") from error
    return grid
