"""Is every public name, signature, default and command-line option of before still there?

`python tests/test_public_names.py` adds to the snapshot what has come since; what is meant to go is taken out by hand.
"""

import argparse
import importlib
import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import nanoae
from nanoae.anomaly.scores import SCORES
from nanoae.data.scaling import SCALERS

SNAPSHOT = Path(__file__).with_name("public_names.json")
ROOMS = ("nanoae", "nanoae.backend", "nanoae.data", "nanoae.report", "nanoae.pyod")
# what they override is the engine's own contract
WITHOUT_METHODS = ("Layer", "Loss", "Optimizer", "Trainer", "Ops")

# of no user
INSIDE = {
    "as_built",
    "check_fitted",
    "check_table",
    "config",
    "from_file",
    "record_schema",
    "settle",
    "to_file",
}

MARKS = {"KEYWORD_ONLY": "*, ", "VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def signature(function) -> list[str]:
    """Its parameters, in order: ["code_size=32", "*, activation='relu'"]."""
    return [
        MARKS.get(p.kind.name, "") + (p.name if p.default is p.empty else f"{p.name}={p.default!r}")
        for p in inspect.signature(function).parameters.values()
    ]


def members(kind: type) -> dict[str, list[str]]:
    """The methods and properties of one of nanoae's classes, by name; what a property takes is []."""
    if {base.__name__ for base in kind.__mro__} & set(WITHOUT_METHODS):
        return {}
    found: dict[str, list[str]] = {}
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items() if base.__module__.startswith("nanoae") else ():
            if isinstance(value, property):
                found[name] = []
            elif callable(getattr(kind, name)):
                found[name] = signature(getattr(kind, name))
    return {
        name: parameters
        for name, parameters in found.items()
        if not (name.startswith("_") or name in INSIDE)
    }


def described(thing) -> dict:
    """A function's or a constructor's signature, where it has one of its own, and a class's members."""
    if thing is Any or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return {}  # Python 3.10's Any is no class
    if inspect.isclass(thing):
        return {"signature": signature(thing), "members": members(thing)}
    return {"signature": signature(thing)} if inspect.isroutine(thing) else {}


def names_of(room) -> list[str]:
    own = [
        name
        for name, value in vars(room).items()
        if getattr(value, "__module__", "") == room.__name__
    ]
    return getattr(room, "__all__", own)


def public_names() -> dict[str, dict]:
    """ "nanoae.Autoencoder" -> its signature and members."""
    rooms = {name: importlib.import_module(name) for name in ROOMS}
    return {
        f"{name}.{each}": described(getattr(room, each))
        for name, room in rooms.items()
        for each in names_of(room)
    }


def told_imports() -> list[str]:
    """What the README and the examples import from a room."""
    root = Path(__file__).parents[1]
    texts = [
        path.read_text() for path in (root / "README.md", *sorted((root / "examples").glob("*.py")))
    ]
    lines = re.findall(r"^\s*from (nanoae[\w.]*) import ([\w, ]+)", "\n".join(texts), re.MULTILINE)
    return sorted(
        {f"{room}.{name.strip()}" for room, listed in lines for name in listed.split(",")}
    )


def options(parser: argparse.ArgumentParser, command: str = "nanoae") -> dict[str, list[str]]:
    """ "nanoae train --epochs" -> [how many values, default, choices]."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                found |= options(sub, f"{command} {name}")
            continue
        choices = None if action.choices is None else list(action.choices)
        default = str(action.default) if isinstance(action.default, Path) else action.default
        for name in action.option_strings or [action.metavar]:
            found[f"{command} {name}"] = [repr(action.nargs), repr(default), repr(choices)]
    return found


def snapshot() -> dict:
    from nanoae.cli import command_line

    return {"names": public_names(), "imports": told_imports(), "options": options(command_line())}


def positional(parameters: list[str]) -> list[str]:
    """Those whose order counts in a call."""
    return [parameter for parameter in parameters if not parameter.startswith("*")]


def lost_parameters(what: str, before: list[str], now: list[str]) -> list[str]:
    """What a call that worked before would miss. New parameters may come, with a default, and old ones may get one."""
    required = {parameter for parameter in before if "=" not in parameter}
    now = [
        name if (name := parameter.partition("=")[0]) in required else parameter
        for parameter in now
    ]
    missing = [f"{what}: {parameter}" for parameter in before if parameter not in now]
    if not missing and positional(before) != positional(now)[: len(positional(before))]:
        missing = [f"{what}: the order {positional(before)}"]
    new = [parameter for parameter in now if parameter not in before]
    if missing:
        return [f"{lost}; there is {new}" for lost in missing]
    return [
        f"{what}: {each} is required now" for each in new if "=" not in each and "*" not in each
    ]


BEFORE = (
    json.loads(SNAPSHOT.read_text())
    if SNAPSHOT.exists()
    else {"names": {}, "imports": [], "options": {}}
)


@pytest.mark.filterwarnings("ignore:.* was renamed to .*:FutureWarning")
@pytest.mark.parametrize("name", BEFORE["names"])
def test_a_public_name_takes_what_it_took(name):
    room, _, own = name.rpartition(".")
    before = BEFORE["names"][name]
    now = described(getattr(importlib.import_module(room), own))
    lost = [
        f"{name}.{member}" for member in before.get("members", {}) if member not in now["members"]
    ]
    if "signature" in before:
        lost += lost_parameters(name, before["signature"], now["signature"])
    for member, parameters in before.get("members", {}).items():
        lost += lost_parameters(
            f"{name}.{member}", parameters, now["members"].get(member, parameters)
        )
    assert not lost, "\n".join(lost)


def test_what_the_readme_imported_is_there():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lost = [name for name in BEFORE["imports"] if not importable(name)]
    assert not lost, lost


def importable(name: str) -> bool:
    room, _, own = name.rpartition(".")
    return hasattr(importlib.import_module(room), own)


def test_scores_and_scalers_have_public_names():
    named = [*SCORES.values(), *SCALERS.values()]
    assert [getattr(nanoae, kind.__name__, None) for kind in named] == named


def test_every_option_is_there_with_its_default():
    from nanoae.cli import command_line

    now = options(command_line())
    lost = [
        f"{name}: {before} is {now.get(name)}"
        for name, before in BEFORE["options"].items()
        if now.get(name) != before
    ]
    assert not lost, "\n".join(lost)


if __name__ == "__main__":
    now = snapshot()
    now["names"] = BEFORE["names"] | now["names"]
    now["imports"] = sorted({*BEFORE["imports"], *now["imports"]})
    now["options"] = BEFORE["options"] | now["options"]
    text = json.dumps(now)
    SNAPSHOT.write_text(re.sub(r', (?="nanoae[ .])', ",\n", text) + "\n")
