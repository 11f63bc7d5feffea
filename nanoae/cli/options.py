"""Options of a command, declared by their lines in the help text."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nanoae.amount import bytes_of
from nanoae.autoencoders.kinds import Integer, Kind, Number, Seed

# Options shared by several commands
JSON = "--json  print JSON, for programs"
BACKEND = "--backend NAME=auto  numpy, cupy or auto"
MODEL = "MODEL  a model.npz, or the folder that contains it"


class Mistake(argparse.ArgumentTypeError, ValueError):
    """An invalid option value; argparse prints the message unchanged."""


def reader(kind: Kind) -> Callable[[str], Any]:
    """`kind.read` for argparse; errors state what the kind expects."""

    def read(text: str) -> Any:
        try:
            return kind.read(text)  # type: ignore[misc]
        except ValueError as error:
            message = str(error) if kind.usage else f"expected {kind.texts}, got {text!r}."
            raise Mistake(message) from error

    return read


class Size(Kind):
    """A number of bytes, as read by `bytes_of`."""

    read = staticmethod(bytes_of)
    usage = "as 8GB"


PATHS = ("FILE", "DIR", "CSV", "NPZ", "RUN", "MODEL")
KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(PATHS, Path),
    **dict.fromkeys(("X", "P", "K"), reader(Number())),
    "N": reader(Integer()),
    "SEED": reader(Seed()),
    "SIZE": reader(Size()),
}


def command(commands: Any, name: str, run: Callable[..., int], text: str, **how: Any) -> Any:
    """Add the parser of a command that calls `run`; `text` is its one-line help."""
    as_it_is = "\n" in "".join(how.values())
    formatter = argparse.RawDescriptionHelpFormatter if as_it_is else argparse.HelpFormatter
    parser = commands.add_parser(name, help=text, formatter_class=formatter, **how)
    parser.set_defaults(run=run)
    return parser


def declare(group: argparse._ActionsContainer, page: str, **how: Any) -> None:
    """Add the options on the page, one per line (continuation lines are indented); `how` goes to argparse.

    --count N=64    a whole number, as the letter N says; default 64, which the help shows
    --out FILE!     a required path
    --split a|b     a choice
    --quiet         a flag
    [MODEL]         an optional positional argument; required without the brackets
    """
    joined = re.sub(r"\n +", " ", textwrap.dedent(page).strip())
    for line in joined.splitlines():
        usage, text = re.split(r"  +", line, maxsplit=1)
        name, _, value = usage.partition(" ")
        metavar, _, default = (value.removesuffix("!") or name.strip("[]")).partition("=")
        own: dict[str, Any] = {"metavar": metavar, "type": KINDS.get(metavar, str), **how}
        if "|" in metavar:
            own = {"choices": tuple(metavar.split("|")), "type": str}
        if default:
            own["default"] = own["type"](default)
            text = f"{text} (default: {default})"
        if not name.startswith("-"):
            own["nargs"] = "?" if name != metavar else None
            name = metavar.lower()
        elif not value:
            own = {"action": "store_true"}
        if value.endswith("!"):
            own["required"] = True
        group.add_argument(name, help=text.replace("%", "%%"), **own)
