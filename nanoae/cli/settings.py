"""Settings: the parameters of estimators as options, and as text in `--grid`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.classifier import StackedClassifier
from nanoae.autoencoders.conv import ConvAutoencoder
from nanoae.autoencoders.kinds import Flag, Kind
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.parameters import declared
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.presets import DATA, PRESETS, default_settings, preset
from nanoae.autoencoders.regressor import StackedRegressor
from nanoae.autoencoders.stacked import Stacked, StackedAutoencoder
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.cli.options import declare, reader
from nanoae.data import Dataset
from nanoae.rows import by_blocks
from nanoae.spelling import one_of

# prefix of the help text of an estimator's own parameters
FAMILIES: dict[str, type[NetworkEstimator]] = {
    "": Autoencoder,
    "convolutional: ": ConvAutoencoder,
    "variational: ": VariationalAutoencoder,
    "stacked: ": StackedAutoencoder,
    "predictors: ": StackedClassifier,
}
# they follow from the contents of the table
NO_SETTINGS = ("missing", "table_encoder", "warm_start")
OPTIONS = {"random_state": "--seed", "sizes": "--stacked"}


def known_settings(
    families: Mapping[str, type[NetworkEstimator]], without: Sequence[str]
) -> dict[str, tuple[Kind, str]]:
    """Parameter -> (its kind, help text), for all parameters that can be written as text."""
    found: dict[str, tuple[Kind, str]] = {}
    for family, estimator in families.items():
        for name, row in declared(estimator).items():
            kind = row["kind"]
            if kind.read is None or name in without or name in found:
                continue
            names = f" ({kind.usage})" if kind.usage else ""
            found[name] = kind, f"{family}{row['meaning']}{names}"
    return found


SETTINGS = known_settings(FAMILIES, NO_SETTINGS)
PREDICTORS: dict[str, tuple[type[Stacked], str]] = {
    "classify": (
        StackedClassifier,
        "train a classifier of the labels, with pretrained layers of widths --stacked",
    ),
    "regress": (StackedRegressor, "the same for numeric labels: a regressor"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    declare(parser, f"--preset NAME  a published architecture, on {DATA}: {', '.join(PRESETS)}")
    what = parser.add_argument_group("instead of an autoencoder").add_mutually_exclusive_group()
    text = "convolutional autoencoder, for images of 8 to 128 pixels, with 1, 3 or 4 channels, first or last"
    declare(what, f"--conv  {text}")
    for name, (_, text) in PREDICTORS.items():
        what.add_argument(
            f"--{name}", dest="predictor", action="store_const", const=name, help=text
        )
    group = parser.add_argument_group(
        "settings",
        "they override the preset; without a preset, defaults depend on the size of the data",
    )
    add_settings(group, SETTINGS)


def add_settings(group: Any, settings: Mapping[str, tuple[Kind, str]], **more: Any) -> None:
    """Add an option for each parameter; `more` goes to argparse."""
    for name, (kind, text) in settings.items():
        how: dict[str, Any] = {"type": reader(kind), "metavar": kind.metavar}
        if isinstance(kind, Flag):
            how = {"action": argparse.BooleanOptionalAction}
        help_text = text.replace("%", "%%")
        group.add_argument(option(name), dest=name, help=help_text, **how, **more)


def given(args: argparse.Namespace, settings: Iterable[str]) -> dict[str, Any]:
    """The settings that were given as options."""
    asked = {name: getattr(args, name, None) for name in settings}
    return {name: value for name, value in asked.items() if value is not None}


def option(name: str) -> str:
    return OPTIONS.get(name, "--" + name.replace("_", "-"))


def build_model(args: argparse.Namespace, data: Dataset) -> NetworkEstimator:
    """The estimator: the preset or default settings for the data, with the given options."""
    if args.conv and args.preset:
        raise ValueError(
            "--conv: expected no --preset with it, which defines the layers. Leave one of them out."
        )
    suits = default_settings(math.prod(data.shape))
    model: NetworkEstimator = preset(args.preset) if args.preset else Autoencoder(**suits)
    if args.conv:
        model = ConvAutoencoder(
            suits["code_size"], validation_fraction=suits["validation_fraction"]
        )
    if args.predictor or args.sizes:
        kind: type[Stacked] = StackedAutoencoder
        if args.predictor:
            kind, _ = PREDICTORS[args.predictor]
        model = stacked(model, kind)
    named = given(args, SETTINGS)
    for name in named.keys() - model.get_params(deep=False):
        known = ", ".join(option(name) for name in declared(type(model)) if name in SETTINGS)
        hint = "--conv, --stacked, --classify and --regress select estimators with other settings."
        if name == "loss" and hasattr(model, "likelihood"):
            hint = "Its loss follows from --likelihood."
        raise ValueError(
            f"{option(name)}: expected a setting of {type(model).__name__}: {known}. {hint}"
        )
    model.set_params(**{"random_state": 0, **named})
    if isinstance(model, ConvAutoencoder) and model.image_shape is None and len(data.shape) > 1:
        model.set_params(image_shape=data.shape)  # rows are flat here
    if data.encoder is not None or has_gaps(data):
        read_gaps(model, data)
    held_out = model.validation_fraction
    if not (model.epochs == AUTO if held_out == AUTO else held_out):
        if args.patience is not None:
            raise ValueError(
                "--patience: expected validation rows, got none. Add --validation-fraction 0.1."
            )
        model.set_params(patience=None)
    return model


def has_gaps(data: Dataset) -> bool:
    """Return True if a value is missing."""
    floats = [x for x in (data.x_train, data.x_test) if x.dtype.kind == "f"]
    return any(np.isnan(block).any() for x in floats for block in by_blocks(x))


def not_of_numbers(data: Dataset) -> list[str]:
    """The names of the text columns; without any, of the columns with missing values."""
    if data.encoder is None:
        gaps = np.isnan(np.asarray(data.x_train)).any(axis=0)
        return [name for name, gap in zip(data.columns or (), gaps, strict=False) if gap]
    kinds = zip(data.encoder.names_, data.encoder.categories_, strict=True)
    return [name for name, categories in kinds if categories is not None]


def read_gaps(model: NetworkEstimator, data: Dataset) -> None:
    """Let the model learn a table with text and missing values; ValueError if it cannot."""
    if "table_encoder" not in model.get_params(deep=False):
        columns = ", ".join(not_of_numbers(data)) or "some columns"
        raise ValueError(
            f"{data.name}: expected a number in each cell for {type(model).__name__}, got text or missing values in "
            f"{columns}. Only Autoencoder supports them: leave out --conv, --stacked, --classify, --regress and such "
            "presets, or --ignore these columns."
        )
    model.set_params(missing="mask", table_encoder=data.encoder)


def stacked(model: NetworkEstimator, kind: type[Stacked]) -> Stacked:
    """An estimator of this `kind`, with the settings that it shares with the model, and the encoder's widths."""
    settings = model.get_params(deep=False)
    settings["sizes"] = *settings["hidden"], settings["code_size"]
    settings["activation"] = model.hidden_activation  # type: ignore[attr-defined]
    new = kind()
    shared = settings.keys() & new.get_params()
    return new.set_params(**{name: settings[name] for name in shared})  # type: ignore[return-value]


def parse_grid(texts: list[str]) -> dict[str, list[Any]]:
    """["code_size=10,20"] as {"code_size": [10, 20]}. Hidden widths are joined by x: hidden=128,128x64."""
    grid: dict[str, list[Any]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        name = "random_state" if name == "seed" else name
        if not values:
            raise ValueError(f"--grid: expected NAME=VALUE,VALUE,..., got {text!r}.")
        one_of("--grid", name, SETTINGS)
        if name in grid:
            raise ValueError(f"--grid: expected each setting once, got {name} twice.")
        kind = SETTINGS[name][0]
        try:
            read = reader(kind)
            grid[name] = [read(value.strip()) for value in values.split(",")]
        except (ValueError, KeyError) as error:
            if kind.usage:  # the error lists the valid names
                raise ValueError(f"--grid: {name}: {error}") from error
            raise ValueError(
                f"--grid: expected {kind.texts} for {name}, got {values!r}."
            ) from error
    return grid
