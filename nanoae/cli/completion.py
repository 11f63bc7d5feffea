"""`nanoae completion`: a script for the shell, with which the Tab key completes commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from nanoae.cli.options import command

SCRIPTS = {
    "bash": """\
_nanoae() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    case "${{COMP_WORDS[*]:1:COMP_CWORD-1}}" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _nanoae nanoae
""",
    "zsh": """\
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
{bash}""",
    "fish": "complete -c nanoae -e\n{lines}\n",
}


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
    parser.add_argument("shell", metavar="SHELL", choices=SCRIPTS, help=", ".join(SCRIPTS))


def run(args: argparse.Namespace) -> int:
    from nanoae.cli import command_line  # here: it asks this file, too

    known = dict(words(command_line()))
    script = SCRIPTS[args.shell]
    print(script.format(cases=cases(known), lines=lines(known), bash=bash(known)), end="")
    return 0


def words(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """("", "text", "text train", ...) -> what may come next: subcommands and options."""
    found = [
        name
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--")
    ]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = [*action.choices, *found]
            for name, command in action.choices.items():
                yield from words(command, f"{path} {name}".strip())
    yield path, found


def bash(known: dict[str, list[str]]) -> str:
    return SCRIPTS["bash"].format(cases=cases(known))


def cases(known: dict[str, list[str]]) -> str:
    """The commands, the longest first: what is typed so far begins with one of them."""
    longest = sorted(known, key=len, reverse=True)
    return "\n".join(f'        "{path}"*) words="{" ".join(known[path])}" ;;' for path in longest)


def lines(known: dict[str, list[str]]) -> str:
    found = []
    for path, names in known.items():
        typed = [f"__fish_seen_subcommand_from {word}" for word in path.split()]
        seen = "; and ".join(typed) or "__fish_use_subcommand"
        for name in names:
            what = f"-l {name[2:]}" if name.startswith("--") else f"-f -a {name}"
            found.append(f"complete -c nanoae -n '{seen}' {what}")
    return "\n".join(found)
