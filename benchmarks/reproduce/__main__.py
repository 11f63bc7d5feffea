"""The list of commands that reproduce each table, with their last running time where known."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import signal
from pathlib import Path

from benchmarks.table import RESULTS

FOLDER = Path(__file__).parent
SECONDS = {"CPU minutes": 60, "CPU seconds": 1, "PyTorch's CPU seconds": 1, "seconds": 1}


def names() -> list[str]:
    return [
        module.name
        for module in pkgutil.iter_modules([str(FOLDER)])
        if module.name not in ("__main__", "claims")
    ]


def what(name: str) -> str:
    """The first line of the module's docstring."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def minutes(name: str) -> str:
    """What its last results say, or the sum of the times in their rows: of the CPU, all threads together, where these
    were noted."""
    path = RESULTS / f"{name}.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "cpu_seconds" in facts:
        about = "by estimate" if facts.get("estimated") else "about"
        return f"{about} {max(1, round(facts['cpu_seconds'] / 60))} CPU min"
    told = [row.get(column) for row in facts.get("rows", []) for column in SECONDS]
    sums = sum(
        row[column] * SECONDS[column]
        for row in facts.get("rows", [])
        for column in SECONDS
        if row.get(column)
    )
    seconds = facts.get("seconds", sums if any(told) else None)
    return "time not noted" if seconds is None else f"about {max(1, round(seconds / 60))} min"


def others() -> list[tuple[str, str]]:
    """(name, command) of each table that another script measures, which it names."""
    found = []
    for path in sorted(RESULTS.glob("*.md")):
        command = re.search(r"`(python -m benchmarks[^`]*)`", path.read_text(encoding="utf-8"))
        if command and path.stem not in names():
            found.append((path.stem, command[1]))
    return found


def main() -> int:
    print(
        "The published numbers, measured again: python -m benchmarks.reproduce.NAME [--quick] [--save]\n"
    )
    for name in names():
        print(f"{name:<20}{minutes(name):<24}{what(name)}")
    print("\nThe other tables in benchmarks/results, by what measured them:\n")
    for table, command in others():
        print(f"{table:<38}{command}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head -1`: nobody reads on
    main()
