"""`nanoae train`: train a model, compare it with PCA, and write a folder of results."""

from __future__ import annotations

import importlib.util
import math
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import Dataset, TensorBoard, VariationalAutoencoder
from nanoae.autoencoders.presets import DATA
from nanoae.cli import data as data_options
from nanoae.cli import results, resume, settings
from nanoae.cli.data import Table, first
from nanoae.cli.figures import FIGURES, WHERE_THEY_APPLY
from nanoae.cli.options import command, declare
from nanoae.cli.output import run_folder
from nanoae.data.fill_value import warn_about_fill_values
from nanoae.training.loop import Trainer
from nanoae.training.process_group import first_rank


def add_to(commands) -> None:
    parser = command(
        commands,
        "train",
        run,
        "train a model, compare it with PCA, write model and figures",
        description="Trains an autoencoder and writes runs/NAME/: model.npz, metrics.csv (one row per epoch), "
        f"config.json (settings, versions, results), {', '.join(FIGURES)}, and, if "
        f"applicable, {', '.join(WHERE_THEY_APPLY)}.",
        epilog="example: nanoae train --data mnist --code-size 16 --hidden 256,64 --epochs 5 --out mnist-16",
    )
    add_options(parser)
    resume.add_options(parser)
    declare(
        parser,
        """
        --each-epoch    also draw the reconstructions after each epoch, in epochs/
        --tensorboard   also write logs for TensorBoard, in tensorboard/
    """,
    )


def add_options(parser: ArgumentParser) -> None:
    """Add the options of `train`, which `tune` has, too."""
    data_options.add_options(parser)
    settings.add_options(parser)
    declare(parser, "--conditional  variational: condition on the labels of --data, p(row | label)")
    group = parser.add_argument_group("output")
    declare(
        group.add_mutually_exclusive_group(),
        """
        --out DIR     the new folder for the results (default: runs/NAME)
        --name NAME   name of the run (default: the preset or the data, and a number)
    """,
    )
    declare(
        group,
        """
        --quiet         print only the result
        --no-baseline   do not fit PCA for comparison, which needs three times the memory of the rows
        --no-figures    do not write figures
        --report        also write report.html, as `nanoae report` does
    """,
    )


# ---------------------------------------------------------------- the command


def run(args: Namespace) -> int:
    args = resume.as_begun(args)
    with run_folder(*place(args), resume=args.resume) as folder:
        data = data_options.read(args, words=True)
        model, learn, test = prepared(settings.build_model(args, data), data, args.conditional)
        # reconstructions of some test rows after each epoch, for --each-epoch
        frames: dict[str, np.ndarray] = {}
        watchers = [watcher(model, first(test, 10), frames)] if args.each_epoch else []
        if args.tensorboard:
            watchers.append(board(folder / "tensorboard", model, data, test))
        log = logger(args)
        log(results.begun(model, data))

        def fit(**checkpoints: Any) -> None:
            log(f"model   {model.network_.theta.size:,} parameters\n\n{model.summary()}\n")
            train(model, learn[0], quiet=args.quiet, watchers=watchers, **checkpoints, **learn[1])

        model, code = resume.finish(args, folder, model, fit)
        if first_rank():
            log(f"{results.trained(model)}{results.scale_of(model, data)}")
            results.write(args, folder, model, data, learn, test, frames)
    return code


def place(args: Namespace, suffix: str = "") -> tuple[Path, bool]:
    """The arguments of `run_folder`, from --out, --name, or the preset or data. Sets the default of --data."""
    args.data = args.data or (DATA if args.preset else "digits")
    if args.preset:
        settings.preset(args.preset)  # report a misspelt name first
    if args.out or args.name:
        return args.out or Path("runs", args.name), False
    file = Path(args.data.removesuffix(".gz")).resolve()
    name = args.preset or file.stem
    return Path("runs", name + suffix), True


def prepared(model: Any, data: Dataset, conditional: bool) -> tuple[Any, Table, Table]:
    """The model, built but untrained, and its training and test data, which are checked."""
    if conditional and not isinstance(model, VariationalAutoencoder):
        raise ValueError(
            f"--conditional: expected a variational autoencoder, got {type(model).__name__}. Use --preset vae-20, "
            "without --stacked, --classify and --regress."
        )
    learn: dict[str, Any] = {}
    test: dict[str, Any] = {}
    if conditional or data_options.predicts(model):
        name = "condition" if conditional else "y"
        learn[name] = data_options.labels(data, "train")
        test[name] = data_options.labels(data, "test")
    model.build(math.prod(data.shape), **learn)
    x_train, x_test = data.flat(data_options.black(model), wide=True)
    warn_about_fill_values(data.name, x_train, data.columns)
    # the model would repeat the warning without the column names
    warnings.filterwarnings("ignore", ".*far from all other values")
    model.check_table(x_train, reset=True, wide=True)
    model.evaluate(x_test, **test)
    return model, (x_train, learn), (x_test, test)


def train(
    model: Any,
    *data: Any,
    quiet: bool,
    watchers: Sequence[Callable] = (),
    lines: bool = True,
    **extra: Any,
) -> None:
    """Call model.fit(*data, **extra) with a progress bar on a terminal, or else with about ten `lines` of output; the
    watchers are called after each epoch, too."""
    terminal = not quiet and sys.stderr.isatty()
    bar = terminal and importlib.util.find_spec("tqdm") is not None
    loggers = () if bar or quiet or not lines else (log_epoch,)
    model.set_params(verbose=bar, callbacks=(*loggers, *watchers))
    model.fit(*data, **extra)
    model.set_params(verbose=False, callbacks=())


def log_epoch(trainer: Trainer, row: dict[str, float]) -> None:
    """Print a line after every tenth of the epochs."""
    if row["epoch"] % math.ceil(trainer.epochs / 10) == 0:
        layer = f"layer {row['layer']}  " if "layer" in row else ""
        validation = f"   validation {row['val_loss']:.4g}" if "val_loss" in row else ""
        print(
            f"{layer}epoch {row['epoch']:>3} of {trainer.epochs}   loss {row['loss']:.4g}{validation}",
            flush=True,
        )


def watcher(model: Any, table: Table, frames: dict[str, np.ndarray]) -> Callable:
    """A callback that stores the reconstructions of these rows in `frames` after each epoch."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--each-epoch: figures need matplotlib: pip install "nanoae[cli]"')
    if data_options.predicts(model):
        raise ValueError(
            f"--each-epoch: expected an autoencoder, got {type(model).__name__}, which has no reconstructions."
        )

    def watch(_, row: dict[str, float]) -> None:
        if "layer" not in row:
            frames[f"epoch {row['epoch']}"] = model.reconstruct(table[0], **table[1])

    return watch


def board(folder: Path, model: Any, data: Dataset, test: Table) -> TensorBoard:
    """The callback that shows test rows in TensorBoard."""
    x = test[0]
    if "condition" in test[1]:  # the network's input is the row followed by the one-hot label
        one_hot = np.equal.outer(test[1]["condition"], model.classes_)
        x = np.hstack([x, one_hot])
    return TensorBoard(folder, x, data_options.label_column(data.y_test), data.shape)


def logger(args: Namespace) -> Callable[[str], None]:
    if args.quiet:
        return lambda text: None
    return lambda text: print(text, flush=True)
