"""`nanoae tune`: train each setting of a grid, keep the one with the best validation loss, test it once."""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nanoae import NotFiniteError
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.part import part_of_another
from nanoae.autoencoders.plan import AUTO
from nanoae.cli import data as data_options
from nanoae.cli import results, resume, settings, train
from nanoae.cli.options import command, declare
from nanoae.cli.output import run_folder, write_csv
from nanoae.spelling import counted

# settings that change what the validation loss measures
UNFAIR = {"loss", "likelihood", "scaling", "validation_fraction"}
VALIDATION = 0.1  # share of the training rows, unless the preset or an option sets it


def add_to(commands) -> None:
    parser = command(
        commands,
        "tune",
        run,
        "search hyperparameters: train each setting of a grid, keep the best, test it once",
        description="Trains each combination of the grid, keeps the one with the lowest validation loss, and tests it "
        "once at the end. Writes the same files as train, for the best setting, and tuning.csv.",
        epilog="example: nanoae tune --preset tf1-20 --grid code_size=10,20,30 --grid learning_rate=1e-3,1e-4",
    )
    text = "a setting and the values to try; several --grid are combined; hidden widths like hidden=128,128x64"
    parser.add_argument("--grid", action="append", metavar="NAME=VALUE,VALUE", help=text)
    declare(
        parser,
        """
        --jobs N=1   train N settings at a time in joblib's processes; with its Dask or Ray backend, on a cluster
    """,
    )
    train.add_options(parser)
    resume.add_options(parser)


def run(args: argparse.Namespace) -> int:
    args = resume.as_begun(args)
    if not args.grid:
        raise ValueError(
            "--grid: expected a setting and the values to try, like code_size=10,20, got none."
        )
    grid = settings.parse_grid(args.grid)
    if args.jobs < 1:
        raise ValueError(f"--jobs: expected a whole number >= 1, got {args.jobs}.")
    if args.jobs > 1 and importlib.util.find_spec("joblib") is None:
        raise ImportError("--jobs: several processes need joblib: pip install joblib")
    with run_folder(*train.place(args, suffix="-tune"), resume=args.resume) as folder:
        data = data_options.read(args, words=True)
        base = settings.build_model(args, data)
        if base.validation_fraction in (AUTO, 0):
            base.set_params(validation_fraction=VALIDATION)
        check_comparable(grid, base)
        combinations = [
            dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
        ]
        scales = set()
        # Report a mistake in the last setting before training the first.
        for combination in combinations:
            model, learn, test = train.prepared(variant(base, combination), data, args.conditional)
            scales.add(model.black_)
        if data.maximum and len(scales) > 1:
            raise ValueError(
                "--grid: expected settings on a common scale, got tanh outputs in [-1, 1] and others in [0, 1]."
            )
        log = train.logger(args)
        log(results.begun(model, data))
        log(
            f"tuning  {counted(len(combinations), 'setting')}, validated on {base.validation_fraction:.3g} of the "
            f"training rows{', different ones for each seed' if 'random_state' in grid else ''}\n"
        )
        kept = resume.begin(args, folder)  # a folder for each setting
        checkpoints = (resume.checkpoints(args, kept / f"{i:04}") for i in itertools.count())
        with resume.stoppable(folder) as stop:
            models = fitted(base, combinations, learn, args, checkpoints)
            best, table = search(combinations, models, log)
        interrupted = len(table) < len(combinations) or best.interrupted_
        code = resume.ended(args, folder, stop, interrupted)
        header = list(table[0])
        rows = [row.values() for row in table]
        write_csv(folder / "tuning.csv", [header, *rows])
        log("\nbest    " + ", ".join(f"{name} {getattr(best, name)}" for name in grid))
        results.write(
            args, folder, best, data, learn, test, grid=grid, tuning=table, interrupted=interrupted
        )
    return code


def check_comparable(grid: Iterable[str], base: NetworkEstimator) -> None:
    """Raise ValueError for a setting whose values the validation loss cannot compare."""
    summed = base.new_loss().reduction == "sum"
    for name in grid:
        if name in UNFAIR or (summed and name == "batch_size"):
            raise ValueError(
                f"--grid: expected settings that the validation loss can compare, got {name}, which changes what it "
                "measures, or on which rows."
            )


def variant(base: NetworkEstimator, combination: dict[str, Any]) -> NetworkEstimator:
    """A copy of `base` with other settings."""
    return copy.deepcopy(base).set_params(**combination)  # type: ignore[return-value]


def fitted(
    base: NetworkEstimator,
    combinations: list[dict[str, Any]],
    learn: data_options.Table,
    args: argparse.Namespace,
    checkpoints: Iterable[dict[str, Any]],
) -> Iterator[NetworkEstimator | NotFiniteError]:
    """Yield the fitted model of each combination, or the error of its training; `--jobs` run at a time."""
    quiet = args.quiet or args.jobs > 1
    each = zip(combinations, checkpoints, strict=False)
    calls = ((variant(base, combination), learn, quiet, extra) for combination, extra in each)
    if args.jobs == 1:
        return itertools.starmap(fit, calls)
    import joblib

    return joblib.Parallel(args.jobs, return_as="generator")(
        joblib.delayed(fit)(*call) for call in calls
    )


def fit(
    model: NetworkEstimator, learn: data_options.Table, quiet: bool, extra: dict[str, Any]
) -> NetworkEstimator | NotFiniteError:
    try:
        with part_of_another():  # PCA's error is printed with the result
            train.train(model, learn[0], quiet=quiet, lines=False, **extra, **learn[1])
    except NotFiniteError as error:
        return error
    return model


def search(
    combinations: list[dict[str, Any]],
    models: Iterable[NetworkEstimator | NotFiniteError],
    log: Callable[[str], None],
) -> tuple[NetworkEstimator, list[dict[str, Any]]]:
    """The fitted model of the best combination, and a row for each combination that was trained.

    Ctrl-C ends the search; the interrupted setting counts only if no other was finished. NotFiniteError if all
    diverged.
    """
    table: list[dict[str, Any]] = []
    best = None
    lowest = math.inf
    failure: BaseException = KeyboardInterrupt()
    columns = [[name, *(each[name] for each in combinations)] for name in combinations[0]]
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    widths += [len("validation loss"), len("epochs"), len("seconds"), 0]

    def log_row(*cells: Any) -> None:
        log("  ".join(map(str.ljust, map(str, cells), widths)).rstrip())

    log_row(*combinations[0], "validation loss", "epochs", "seconds")
    for combination, model in zip(combinations, models, strict=False):
        interrupted = not isinstance(model, NotFiniteError) and model.interrupted_
        if interrupted and best is not None:
            break
        loss, epochs, seconds = judged(model)
        remark = ""
        if isinstance(model, NotFiniteError):
            remark = "diverged"
            failure = model
        elif best is None or (loss is not None and loss < lowest):
            remark = "better"
            best = model
            lowest = math.inf if loss is None else loss
        row = {"validation_loss": loss, "epochs": epochs, "seconds": round(seconds, 2)}
        table.append({**combination, **row})
        shown = "-" if loss is None else f"{loss:.6g}"
        log_row(*combination.values(), shown, epochs, f"{seconds:.1f}", remark)
        if interrupted:
            break
    if best is None:
        raise failure
    return best, table


def judged(model: NetworkEstimator | NotFiniteError) -> tuple[float | None, int, float]:
    """(validation loss of the weights that were kept, or None if not finite; epochs; seconds)."""
    if isinstance(model, NotFiniteError):
        return None, 0, 0.0
    losses = model.history_.get("val_loss", [])
    kept = losses[-1:] if model.as_built.patience is None else losses
    loss = min(filter(math.isfinite, kept), default=None)
    return loss, len(losses), sum(model.history_["seconds"])
