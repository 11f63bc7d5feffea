"""Resuming: what a command that trains needs to be stopped at any moment, and to go on with --resume."""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path
from typing import Any

from nanoae.training.checkpoint import Checkpoints, latest

FOLDER = "checkpoints"  # in that of the run
WITH_IT = ("resume", "quiet", "run", "parser", "argv")  # what may be said beside --resume, or is no option


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stopping and going on", "a checkpoint is written after each epoch")
    group.add_argument(
        "--resume", metavar="RUN", type=Path, help="go on with the run in this folder, however it was stopped"
    )
    group.add_argument("--checkpoint-steps", type=int, metavar="N", help="a checkpoint after every N steps, too")
    group.add_argument("--checkpoint-minutes", type=float, metavar="X", help="a checkpoint after every X minutes, too")
    parser.set_defaults(parser=parser)


def as_begun(args: argparse.Namespace) -> argparse.Namespace:
    """The options that the run in --resume was begun with; without it, `args` themselves."""
    run: Path | None = args.resume
    if run is None:
        return args
    for name, value in vars(args).items():
        if name not in WITH_IT and value != args.parser.get_default(name):
            raise ValueError(
                f"--{name.replace('_', '-')}: expected no option but --quiet beside --resume, which goes on with those "
                f"that {run} was begun with, got {value!r}."
            )
    if not (run / FOLDER).is_dir():
        got = f"{run}, which is complete" if (run / "model.npz").exists() else f"{run}, without {FOLDER}"
        raise ValueError(f"--resume: expected the folder of a run that was stopped, got {got}.")
    path, header, _ = latest(run / FOLDER)
    notes, words = header.get("notes"), args.parser.prog.split()[1:]  # "train", or "text train"
    command: Any = notes.get("command") if isinstance(notes, dict) else None
    told = isinstance(command, list) and all(isinstance(word, str) for word in command)
    if not told or command[: len(words)] != words:
        raise ValueError(f"--resume: expected a run of `{args.parser.prog}`, got one of {command!r:.60} in {path}.")
    begun = args.parser.parse_args(command[len(words) :])
    vars(begun).update(argv=command, run=args.run, resume=run, quiet=begun.quiet or args.quiet)
    return begun


def checkpoints(args: argparse.Namespace, folder: Path) -> Checkpoints:
    """Those of the run in `folder`."""
    return Checkpoints(folder / FOLDER, args.checkpoint_steps, args.checkpoint_minutes, {"command": args.argv})


def command(args: argparse.Namespace, folder: Path) -> str:
    """How to go on."""
    return f"{args.parser.prog} --resume {shlex.quote(str(folder))}"


def remove(folder: Path) -> None:
    """The checkpoints of a run that is complete."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
