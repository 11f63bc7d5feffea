"""Resuming: what a command that trains needs to be stopped at any moment, and to go on with --resume."""

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

FOLDER, COMMAND = "checkpoints", "command.json"  # in the folder of the run, and in that
LONGEST = 1 << 20  # bytes of a command
# what may be said beside --resume, or is no option
WITH_IT = ("resume", "quiet", "run", "parser", "argv")


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "stopping and going on", "a checkpoint is written after each epoch"
    )
    declare(
        group,
        """
        --resume RUN             go on with the run in this folder, however it was stopped
        --checkpoint-steps N     a checkpoint after every N steps, too
        --checkpoint-minutes X   a checkpoint after every X minutes, too
    """,
    )
    parser.set_defaults(parser=parser)


def as_begun(args: Namespace) -> Namespace:
    """The options that the run in --resume was begun with; without it, `args` themselves."""
    run: Path | None = args.resume
    if run is None:
        return args
    for name, value in vars(args).items():
        if name not in WITH_IT and value != args.parser.get_default(name):
            raise ValueError(
                f"--{name.replace('_', '-')}: expected no option but --quiet beside --resume, which goes on with those "
                f"that {run} was begun with, got {value}."
            )
    path = run / FOLDER / COMMAND
    if not path.is_file():
        raise ValueError(
            f"--resume: expected the folder of a run that was stopped, got {run} without {FOLDER}/{COMMAND}: "
            "the run is complete, or that file was removed."
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
    """The words of the command that a run was begun with; ValueError where the file does not hold them."""
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
    """The folder of the run's checkpoints, with what `as_begun` needs."""
    if args.resume is None:
        (folder / FOLDER).mkdir()
        with whole_file(folder / FOLDER / COMMAND, "w") as file:
            json.dump(args.argv, file)
    return folder / FOLDER


def checkpoints(args: Namespace, folder: Path) -> dict[str, Any]:
    """What `fit` is to be given, for its checkpoints to be in `folder`."""
    return {
        "checkpoint_dir": Checkpoints(folder, args.checkpoint_steps, args.checkpoint_minutes),
        "resume": True,
    }


def finish(
    args: Namespace,
    folder: Path,
    model: Any,
    fit: Callable[..., None],
) -> tuple[Any, int]:
    """Trains by `fit(**its checkpoints)`: (the model, or what there was of it before it diverged; the exit code)."""
    kept = begin(args, folder)
    try:
        with stoppable(folder) as stop:
            fit(**checkpoints(args, kept))
        return model, ended(args, folder, stop, model.interrupted_)
    except NotFiniteError as error:
        return recovered(error, model), 1


@contextmanager
def stoppable(folder: Path) -> Iterator[Stop]:
    """Signals are heeded in the block, which trains. A training that diverged leaves nothing to go on from."""
    try:
        with heeded(leave=False) as stop:
            yield stop
    except NotFiniteError:
        remove(folder)
        raise


def ended(args: Namespace, folder: Path, stop: Stop, interrupted: bool) -> int:
    """The exit code of a training that has ended; says how to go on with one that was `interrupted`."""
    if not interrupted:
        return 0
    signum = signal.Signals(stop.signum or signal.SIGINT)
    command = shlex.join([*args.parser.prog.split(), "--resume", str(folder)])
    log_error(f"stopped by {signum.name}; go on with: {command}")
    return 128 + signum


def recovered(error: NotFiniteError, model: Any) -> Any:
    """The model as it was before it diverged, which is told; where there is none, the error is raised again."""
    if not isinstance(error.model, type(model)):
        raise error
    log_error(f"error: {error} The best weights before that are kept.")
    return error.model.set_params(verbose=False, callbacks=())


def remove(folder: Path) -> None:
    """The checkpoints of a run that is complete."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
