"""Resuming: lets a training command be stopped at any moment and continued with --resume."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nanoae.cli.options import declare
from nanoae.cli.output import log_error
from nanoae.data.field import fits
from nanoae.training.checkpoint import Checkpoints
from nanoae.training.divergence import NotFiniteError
from nanoae.training.stop import Stop, heeded
from nanoae.whole_file import whole_file

FOLDER, COMMAND = "checkpoints", "command.json"  # in the folder of the run, and in FOLDER
LONGEST = 1 << 20  # bytes of command.json
# allowed together with --resume, or not an option
WITH_IT = ("resume", "quiet", "run", "parser", "argv")


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("checkpoints", "written after each epoch")
    declare(
        group,
        """
        --resume RUN             resume the run in this folder, however it was stopped
        --checkpoint-steps N     also write a checkpoint every N steps
        --checkpoint-minutes X   also write a checkpoint every X minutes
    """,
    )
    parser.set_defaults(parser=parser)


def as_begun(args: Namespace) -> Namespace:
    """The options that the run in --resume was started with; without --resume, `args`."""
    run: Path | None = args.resume
    if run is None:
        return args
    for name, value in vars(args).items():
        if name not in WITH_IT and value != args.parser.get_default(name):
            raise ValueError(
                f"--{name.replace('_', '-')}: expected no option but --quiet with --resume, which uses the options "
                f"that {run} was started with, got {value}."
            )
    path = run / FOLDER / COMMAND
    if not path.is_file():
        raise ValueError(
            f"--resume: expected the folder of a run that was stopped, got {run} without {FOLDER}/{COMMAND}: "
            "the run is complete, or the file was removed."
        )
    words = args.parser.prog.split()[1:]  # "train", or "text train"
    command = read_command(path)
    if command[: len(words)] != words:
        raise ValueError(
            f"--resume: expected a run of `{args.parser.prog}`, got one of `{shlex.join(command)[:60]}`."
        )
    begun = args.parser.parse_args(command[len(words) :])
    begun.argv = command
    begun.run = args.run
    begun.resume = run
    begun.quiet = begun.quiet or args.quiet
    return begun


def read_command(path: Path) -> list[str]:
    """The words of the command that started a run; ValueError if the file does not contain them."""
    try:
        with open(path, "rb") as file:
            words = json.loads(file.read(LONGEST))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected the words of a command, as JSON, got {error}."
        ) from error
    if not fits(words, [str]):
        raise ValueError(f"{path}: expected a list of words, got {words!r:.60}.")
    return words


def begin(args: Namespace, folder: Path) -> Path:
    """The folder of the run's checkpoints, with the command that `as_begun` reads."""
    if args.resume is None:
        (folder / FOLDER).mkdir()
        with whole_file(folder / FOLDER / COMMAND, "w") as file:
            json.dump(args.argv, file)
    return folder / FOLDER


def checkpoints(args: Namespace, folder: Path) -> dict[str, Any]:
    """The arguments of `fit` that put its checkpoints in `folder`."""
    return {
        "checkpoint_dir": Checkpoints(folder, args.checkpoint_steps, args.checkpoint_minutes),
        "resume": True,
    }


def finish(args: Namespace, folder: Path, model: Any, fit: Callable[..., None]) -> tuple[Any, int]:
    """Train by `fit(**its checkpoints)`; return the model, or its state before it diverged, and the exit code."""
    kept = begin(args, folder)
    try:
        with stoppable(folder) as stop:
            fit(**checkpoints(args, kept))
        return model, ended(args, folder, stop, model.interrupted_)
    except NotFiniteError as error:
        return recovered(error, model), 1


@contextmanager
def stoppable(folder: Path) -> Iterator[Stop]:
    """Handle signals while the block trains. The checkpoints of a diverged training are removed."""
    try:
        with heeded(leave=False) as stop:
            yield stop
    except NotFiniteError:
        remove(folder)
        raise


def ended(args: Namespace, folder: Path, stop: Stop, interrupted: bool) -> int:
    """The exit code of a finished training; prints how to resume an `interrupted` one."""
    if not interrupted:
        return 0
    signum = signal.Signals(stop.signum or signal.SIGINT)
    command = shlex.join([*args.parser.prog.split(), "--resume", str(folder)])
    log_error(f"stopped by {signum.name}; resume with: {command}")
    return 128 + signum


def recovered(error: NotFiniteError, model: Any) -> Any:
    """Print the error and return the model as it was before it diverged; re-raise the error if there is none."""
    if not isinstance(error.model, type(model)):
        raise error
    log_error(f"error: {error} The best weights so far are kept.")
    return error.model.set_params(verbose=False, callbacks=())


def remove(folder: Path) -> None:
    """Remove the checkpoints of a completed run."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
