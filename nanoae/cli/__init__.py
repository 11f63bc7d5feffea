"""The `nanoae` command. Each subcommand has a file in this folder, with its options first, then what it does."""

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
  nanoae train                                           train on the built-in digits
  nanoae train --preset deep-32                          a published autoencoder, on MNIST
  nanoae train --data table.csv --code-size 2            your own .csv, .npy, .npz or folder of images
  nanoae tune --preset tf1-20 --grid code_size=10,20,30  search hyperparameters: keep the best, test it once
  nanoae evaluate runs/digits-1 --data digits            test error of a model, compared with PCA's
  nanoae encode runs/digits-1 --data digits --out codes.csv
  nanoae reconstruct runs/digits-1 --data digits --out reconstructions.png
  nanoae report runs/digits-1                            an HTML page: curves, errors, codes, interactive decoder
  nanoae generate runs/vae-20-1 --out drawn.png          sample new examples from a variational or other autoencoder
  nanoae text train                                      train on text; then: nanoae text generate --keyword coffee
  nanoae detect --train normal.csv --score new.csv --out scores.csv --explain   which rows are abnormal, and why
  nanoae export runs/digits-1 --out model.onnx           export a model, for onnxruntime and others
  nanoae gradcheck --all                                 check all gradients against finite differences
  nanoae trace                                           show one training step on a page, number by number
  nanoae bench --preset deep-32                          time this model's training step on CPU and GPU
  nanoae info                                            show versions, BLAS, threads, GPU, data folders
  nanoae completion bash                                 print a script for ~/.bashrc: Tab completes commands

exit codes: 0 success, 1 gradient check failed or training diverged, 2 invalid input, 130 stopped by Ctrl-C
"""


class Parser(argparse.ArgumentParser):
    """Report a mistake in one line, without the usage of every option, and suggest the option that was meant."""

    given: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):
        self.given = sys.argv[1:] if args is None else args
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # reported by the parser of the subcommand, which knows its options
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
        """Suggest a known option for an unknown one."""
        name, _, _ = word.partition("=")
        known = [option for option in self._option_string_actions if option[:2] == "--"]
        return did_you_mean(name.lstrip("-"), known)

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            message += "." + did_you_mean(choice[1], choice[2].replace("'", "").split(", "))
        elif "required" in message:
            # The required option may have been misspelt.
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
        description="Autoencoders on a from-scratch engine. `nanoae COMMAND --help` lists the options of a command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nanoae {nanoae.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for module in COMMANDS:
        module.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` defaults to the shell's arguments."""
    make_streams_safe()
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
        # an overflow raises a NotFiniteError, which is more specific
        warnings.simplefilter("ignore", RuntimeWarning)
        # PCA's error is printed with the result
        warnings.simplefilter("ignore", nanoae.UnderfitWarning)
        warn_once = functools.cache(lambda text: log_error(f"warning: {text}"))
        warnings.showwarning = lambda message, *_, **__: warn_once(str(message))  # type: ignore[assignment]
        quiet = False
        try:
            group = process_group()
            if group is None:
                return run(args)
            quiet = group.rank > 0
            with group.guard(report_error):
                return run_on_ranks(args, group)
        except REPORTED as error:
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
    """`run` on each rank of an MPI launch; only rank 0 prints."""
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


REPORTED = (
    NotFiniteError,
    OSError,
    ValueError,
    BackendError,
    ImportError,
    MemoryError,
    KeyboardInterrupt,
)


def report_error(error: BaseException) -> int:
    """Print an error in one line, or the traceback of an unexpected one; return the exit code."""
    if isinstance(error, BrokenPipeError):  # `nanoae info | head -1`: the reader is gone
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        return 141
    if not isinstance(error, REPORTED):
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


def make_streams_safe() -> None:
    """Keep printing from ending a command: characters that the terminal cannot show are written as escapes, and output
    to a closed stdout or stderr is discarded."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - stays open
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def restart_on_the_best_blas() -> None:
    """Restart this process if OpenBLAS chose a slower kernel than the CPU supports. It reads the environment only when
    NumPy is loaded; the process is our own, so we may set it."""
    better = best_environment()
    if better and os.name == "posix":
        command = [sys.executable, *sys.orig_argv[1:]]
        environment = {**os.environ, **better}
        os.execve(sys.executable, command, environment)
