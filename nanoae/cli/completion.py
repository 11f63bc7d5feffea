"""`nanoae completion`: a shell script for Tab completion of commands, options and their values."""

from __future__ import annotations

import argparse
import os

from nanoae.cli.options import command

# environment variable by which the shell's script asks for completions
ASKED = "_ARGCOMPLETE"


def add_to(commands) -> None:
    parser = command(
        commands,
        "completion",
        run,
        "print a shell script for Tab completion",
        description="Prints a shell script. Append it to ~/.bashrc or ~/.zshrc, or write it to "
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
    """Answer the shell's request for completions, if there is one, and exit."""
    if ASKED in os.environ:
        from argcomplete import autocomplete

        autocomplete(parser)
