"""`nanoae completion`: a script for the shell, with which the Tab key completes commands, options and their values."""

from __future__ import annotations

import argparse
import os

from nanoae.cli.options import command

# in the environment, where the shell's script wants to know what may come next
ASKED = "_ARGCOMPLETE"


def add_to(commands) -> None:
    parser = command(
        commands,
        "completion",
        run,
        "print a script that lets the Tab key complete commands and options",
        description="Prints a script for the shell. Append it to ~/.bashrc or ~/.zshrc, or write it to "
        "~/.config/fish/completions/nanoae.fish.",
        epilog="example: nanoae completion bash",
    )
    shells = ("bash", "zsh", "fish")
    parser.add_argument("shell", metavar="SHELL", choices=shells, help=", ".join(shells))


def run(args: argparse.Namespace) -> int:
    try:
        from argcomplete import shellcode
    except ImportError as error:
        raise ImportError('completion needs argcomplete: pip install "nanoae[cli]"') from error
    print(shellcode(["nanoae"], shell=args.shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Tell the shell's script what may come next, where it has asked, and end there."""
    if ASKED in os.environ:
        from argcomplete import autocomplete

        autocomplete(parser)
