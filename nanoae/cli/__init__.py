"""The `nanoae` command. Each subcommand is a file of this room: the options it takes, then what it does with them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import nanoae
from nanoae.autoencoders.reach import OutOfReach
from nanoae.backend import BackendError
from nanoae.backend.blas import best_environment
from nanoae.cli import (
    bench,
    completion,
    detect,
    export,
    generate,
    gradcheck,
    info,
    model,
    report,
    text,
    trace,
    train,
    tune,
)
from nanoae.cli.output import Plain, log_error
from nanoae.rows import Rows
from nanoae.spelling import did_you_mean
from nanoae.training.divergence import NotFiniteError
from nanoae.training.process_group import ProcessGroup, first_rank, process_group, report_trace

COMMANDS = (
    train,
    tune,
    model,
    report,
    generate,
    detect,
    text,
    export,
    gradcheck,
    trace,
    bench,
    info,
    completion,
)

EPILOG = """\
examples:
  nanoae train                                           train on the digits that come with nanoae
  nanoae train --preset deep-32                          a published autoencoder, on MNIST
  nanoae train --data table.csv --code-size 2            your own .csv, .npy, .npz or folder of images
  nanoae tune --preset tf1-20 --grid code_size=10,20,30  train each, keep the best, test it once
  nanoae evaluate runs/digits-1 --data digits            test error of a model, beside PCA's
  nanoae encode runs/digits-1 --data digits --out codes.csv
  nanoae reconstruct runs/digits-1 --data digits --out reconstructions.png
  nanoae report runs/digits-1                            one HTML page: curves, errors, codes, and knobs to turn
  nanoae generate runs/vae-20-1 --out drawn.png          new examples, of a variational autoencoder or any other
  nanoae text train                                      lines of text; then: nanoae text generate --keyword coffee
  nanoae detect --train normal.csv --score new.csv --out scores.csv --explain   what is abnormal, and why
  nanoae export runs/digits-1 --out model.onnx           a model for onnxruntime and others
  nanoae gradcheck --all                                 every hand-written gradient against finite differences
  nanoae trace                                           one training step to follow, number by number, on a page
  nanoae bench --preset deep-32                          this model's step on the CPU and the GPU; which to take
  nanoae info                                            versions, BLAS, threads, GPU, data folders
  nanoae completion bash                                 a script for ~/.bashrc: Tab completes commands and options

exit codes: 0 done, 1 a gradient check failed or training diverged, 2 wrong input, 130 stopped by Ctrl-C
"""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, not below the usage of every option, and what may have been meant."""

    given: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):
        self.given = sys.argv[1:] if args is None else args
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # said here, by the parser of the command, which knows its options
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{self.meant(unknown[0])}")
        return found, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        """All that it prints, of several ranks the first one."""
        try:
            shown = first_rank()
        except ImportError:  # no mpi4py: nobody knows which is the first
            shown = True
        if shown:
            super()._print_message(message, file)

    def meant(self, word: str) -> str:
        """The option that an unknown one may have been meant for."""
        name, _, _ = word.partition("=")
        known = [option for option in self._option_string_actions if option[:2] == "--"]
        return did_you_mean(name, known)

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            message += "." + did_you_mean(choice[1], choice[2].replace("'", "").split(", "))
        elif "required" in message:
            # It may have been given by a misspelt name.
            options = [word for word in self.given if word.startswith("--")]
            unknown = [word for word in options if not self._get_option_tuples(word)]
            message += f". Unrecognized: {unknown[0]}.{self.meant(unknown[0])}" if unknown else ""
        end = "" if message.endswith("?") else "."
        self.exit(
            2,
            f"{self.prog}: error: {message.rstrip('.')}{end} `{self.prog} --help` lists the options.\n",
        )


def command_line() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nanoae",
        description="Autoencoders on a from-scratch engine. `nanoae COMMAND --help` lists the options of each.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nanoae {nanoae.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for module in COMMANDS:
        module.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. `argv` is by default what the shell passed."""
    let_everything_be_printed()
    parser = command_line()
    completion.answer(parser)
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help(sys.stderr)
        return 2
    Rows.memory = getattr(args, "memory", Rows.memory)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    if argv is None and args.run in (train.run, tune.run, text.train, detect.run):
        restart_on_the_best_blas()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        # an overflow ends in a NotFiniteError, which says more
        warnings.simplefilter("ignore", RuntimeWarning)
        # PCA's error stands beside the result
        warnings.simplefilter("ignore", nanoae.UnderfitWarning)
        tell_once = functools.cache(lambda text: log_error(f"warning: {text}"))
        warnings.showwarning = lambda message, *_, **__: tell_once(str(message))  # type: ignore[assignment]
        quiet = False
        try:
            group = process_group()
            if group is None:
                return run(args)
            quiet = group.rank > 0
            with group.guard(report_error):
                return run_on_ranks(args, group)
        except TOLD as error:
            return 2 if quiet else report_error(error)


def run(args: argparse.Namespace) -> int:
    shown = Plain(sys.stdout)
    with contextlib.redirect_stdout(shown):  # type: ignore[type-var]
        try:
            code = args.run(args)
        except OutOfReach as error:
            if getattr(args, "maximum", 1) is not None:
                raise
            raise ValueError(f"{error} Pixels from 0 to 255: --maximum 255.") from error
    if shown.failure is not None:
        raise shown.failure
    return code


def run_on_ranks(args: argparse.Namespace, group: ProcessGroup) -> int:
    """`run` on each rank of an MPI launch, of which rank 0 prints."""
    if args.run not in (train.run, text.train):
        raise ValueError(
            f"expected one process, got {group.size} from mpiexec: only `nanoae train` and `nanoae text train` use "
            "several. Start it without mpiexec."
        )
    if group.rank == 0:
        return run(args)
    with (
        open(os.devnull, "w") as nobody,
        contextlib.redirect_stdout(nobody),
        contextlib.redirect_stderr(nobody),
    ):
        return run(args)


TOLD = (
    NotFiniteError,
    OSError,
    ValueError,
    BackendError,
    ImportError,
    MemoryError,
    KeyboardInterrupt,
)


def report_error(error: BaseException) -> int:
    """Tell of an error in a line, or of one that nobody has foreseen with all that Python knows; the exit code."""
    if isinstance(error, BrokenPipeError):  # `nanoae info | head -1`: nobody reads on
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        return 141
    if not isinstance(error, TOLD):
        return report_trace(error)
    message = str(error)
    if isinstance(error, OSError):
        message = (
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror or message
        )
    if isinstance(error, MemoryError):
        message = f"not enough memory. {error}"
    if isinstance(error, KeyboardInterrupt):
        log_error("stopped")
        return 130
    log_error(f"error: {message}")
    return 1 if isinstance(error, NotFiniteError) else 2


def let_everything_be_printed() -> None:
    """So that no work ends at its last line: what a terminal has no letter for is written as an escape, and what nobody
    is there to read, where stdout or stderr are closed, goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def restart_on_the_best_blas() -> None:
    """Start this process anew where OpenBLAS has taken a slower kernel than the CPU has: it reads its environment only
    once, as NumPy loads. The process is ours, so its environment is ours to choose."""
    better = best_environment()
    if better and os.name == "posix":
        command = [sys.executable, *sys.orig_argv[1:]]
        environment = {**os.environ, **better}
        os.execve(sys.executable, command, environment)
