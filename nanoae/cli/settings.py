"""The settings: the parameters of an autoencoder as options, and as text in `--grid`."""

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

# What stands before the help of their parameters, which are settings
FAMILIES: dict[str, type[NetworkEstimator]] = {
    "": Autoencoder,
    "convolutional: ": ConvAutoencoder,
    "variational: ": VariationalAutoencoder,
    "stacked: ": StackedAutoencoder,
    "predictors: ": StackedClassifier,
}
NO_SETTINGS = ("missing", "table_encoder", "warm_start")  # they follow from what the table holds
OPTIONS = {"random_state": "--seed", "sizes": "--stacked"}


def known_settings(
    families: Mapping[str, type[NetworkEstimator]], without: Sequence[str]
) -> dict[str, tuple[Kind, str]]:
    """Parameter -> (its kind, help), of all that can be said in a text."""
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
        "learn the labels' classes; the layers, of widths --stacked, are pretrained",
    ),
    "regress": (StackedRegressor, "the same for labels that are numbers"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    declare(parser, f"--preset NAME  {', '.join(PRESETS)}: published, on {DATA}")
    what = parser.add_argument_group("instead of an autoencoder").add_mutually_exclusive_group()
    text = "convolutional, for images of 8 to 128 pixels, with 1, 3 or 4 channels, first or last"
    declare(what, f"--conv  {text}")
    for name, (_, text) in PREDICTORS.items():
        what.add_argument(
            f"--{name}", dest="predictor", action="store_const", const=name, help=text
        )
    group = parser.add_argument_group(
        "settings", "each overrides the preset; without one they follow from the size of the data"
    )
    add_settings(group, SETTINGS)


def add_settings(group: Any, settings: Mapping[str, tuple[Kind, str]], **more: Any) -> None:
    """An option for each of the parameters; `more` is argparse's."""
    for name, (kind, text) in settings.items():
        how: dict[str, Any] = {"type": reader(kind), "metavar": kind.metavar}
        if isinstance(kind, Flag):
            how = {"action": argparse.BooleanOptionalAction}
        help_text = text.replace("%", "%%")
        group.add_argument(option(name), dest=name, help=help_text, **how, **more)


def given(args: argparse.Namespace, settings: Iterable[str]) -> dict[str, Any]:
    """Those of the settings that an option names."""
    asked = {name: getattr(args, name, None) for name in settings}
    return {name: value for name, value in asked.items() if value is not None}


def option(name: str) -> str:
    return OPTIONS.get(name, "--" + name.replace("_", "-"))


def build_model(args: argparse.Namespace, data: Dataset) -> NetworkEstimator:
    """The estimator: what suits the data, or the preset, with what was said."""
    if args.conv and args.preset:
        raise ValueError(
            "--conv: expected no --preset with it, which names the layers. Leave one of them out."
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
        hint = "--conv, --stacked, --classify and --regress choose other estimators, with others."
        if name == "loss" and hasattr(model, "likelihood"):
            hint = "Its loss follows from --likelihood."
        raise ValueError(
            f"{option(name)}: expected a setting of {type(model).__name__}: {known}. {hint}"
        )
    model.set_params(**{"random_state": 0, **named})
    if isinstance(model, ConvAutoencoder) and model.image_shape is None and len(data.shape) > 1:
        model.set_params(image_shape=data.shape)  # whose rows are flat here
    if data.encoder is not None or has_gaps(data):
        read_gaps(model, data)
    held_out = model.validation_fraction
    if not (model.epochs == AUTO if held_out == AUTO else held_out):
        if args.patience is not None:
            raise ValueError(
                "--patience: expected rows to watch the loss on, got none. Add --validation-fraction 0.1."
            )
        model.set_params(patience=None)
    return model


def has_gaps(data: Dataset) -> bool:
    """Whether a value is missing in a table."""
    floats = [x for x in (data.x_train, data.x_test) if x.dtype.kind == "f"]
    return any(np.isnan(block).any() for x in floats for block in by_blocks(x))


def not_of_numbers(data: Dataset) -> list[str]:
    """The columns that hold words, or where there are none, gaps; as far as they have names."""
    if data.encoder is None:
        gaps = np.isnan(np.asarray(data.x_train)).any(axis=0)
        return [name for name, gap in zip(data.columns or (), gaps, strict=False) if gap]
    kinds = zip(data.encoder.names_, data.encoder.categories_, strict=True)
    return [name for name, categories in kinds if categories is not None]


def read_gaps(model: NetworkEstimator, data: Dataset) -> None:
    """Let the model learn a table with words and gaps; ValueError for one that cannot."""
    if "table_encoder" not in model.get_params(deep=False):
        columns = ", ".join(not_of_numbers(data)) or "some columns"
        raise ValueError(
            f"{data.name}: expected a number in each cell for {type(model).__name__}, got words or gaps in "
            f"{columns}. "
            "Autoencoder alone takes them: leave out --conv, --stacked, --classify, --regress and such presets, or "
            "--ignore these columns."
        )
    model.set_params(missing="mask", table_encoder=data.encoder)


def stacked(model: NetworkEstimator, kind: type[Stacked]) -> Stacked:
    """An estimator of that `kind`, with as many of the model's settings as it has, and its encoder's widths."""
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
            raise ValueError(f"--grid: expected each setting once, got {name} again.")
        kind = SETTINGS[name][0]
        try:
            read = reader(kind)
            grid[name] = [read(value.strip()) for value in values.split(",")]
        except (ValueError, KeyError) as error:
            if kind.usage:  # the names there are, which the mistake tells
                raise ValueError(f"--grid: {name}: {error}") from error
            raise ValueError(
                f"--grid: expected {kind.texts} for {name}, got {values!r}."
            ) from error
    return grid
