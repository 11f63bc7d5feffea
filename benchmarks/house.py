"""The size of the package: code lines and tokens of each room, the longest file, circles of imports, arrows up, private
names across rooms. Exits 1 above the budget.

A token is one of Python's `tokenize`, without docstrings, comments, newlines and indents; a line of code has one.

>>> python -m benchmarks.house
"""

from __future__ import annotations

import ast
import re
import signal
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "nanoae"
TOKENS = 246_334  # at most, of the whole: lowered as code goes, raised by a commit that says what it buys. Goal: 95,000
PER_LINE = 9.5  # tokens of a line of code, on average
ENGINE = 2200  # lines of engine/, docstrings included
ORDER = re.findall(
    r"^\| `(\w+)/`", (ROOT.parent / ".github/ARCHITECTURE.md").read_text(), re.MULTILINE
)
DOORS = {  # methods that a user finds on an estimator; what they need is a room below, imported when they are called
    ("nanoae.autoencoders.estimator", "nanoae.interchange.export"),
    ("nanoae.autoencoders.model_file", "nanoae.interchange.safetensors"),
    ("nanoae.autoencoders.shown", "nanoae.plot.notebook"),
}
LONGEST = 350  # lines of a file
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


def docstrings(tree: ast.Module) -> set[int]:
    """The lines in which they begin."""
    found = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            found.add(node.body[0].lineno)
    return found


def measured(path: Path) -> tuple[int, int]:
    """(tokens, lines of code) of a file."""
    starts, tokens, lines = docstrings(ast.parse(path.read_bytes())), 0, set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            doc = token.type == tokenize.STRING and token.start[0] in starts
            if token.type not in NO_CODE and not doc:
                tokens += 1
                lines.update(range(token.start[0], token.end[0] + 1))
    return tokens, len(lines)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(node: ast.AST, modules: set[str]) -> Iterator[str]:
    """The modules that are imported when this one is: neither for types alone nor within functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.ImportFrom):
            for name in child.names:
                whole = f"{child.module}.{name.name}"
                yield whole if whole in modules else str(child.module)
        elif isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        else:
            yield from imports(child, modules)


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Ways along the imports that end where they began."""
    found, done = [], set()

    def visit(node: str, way: list[str]) -> None:
        if node in way:
            found.append(" -> ".join([*way[way.index(node) :], node]))
        if node in way or node in done:
            return
        for other in sorted(graph.get(node, ())):
            visit(other, [*way, node])
        done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


def room(name: str) -> str:
    """nanoae.engine of nanoae.engine.layers; a file beside the rooms is one by itself."""
    return ".".join(name.split(".")[:2])


def arrows_up(name: str, tree: ast.Module) -> list[str]:
    """Imports, also those within functions, out of a room that the page of the architecture has below this one."""
    own, found = room(name).removeprefix("nanoae."), []
    for node in ast.walk(tree):
        others = [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        others += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for other in others:
            theirs = room(other).removeprefix("nanoae.")
            up = own in ORDER and theirs in ORDER and ORDER.index(theirs) > ORDER.index(own)
            if up and (name, other) not in DOORS:
                found.append(f"{name} -> {other}")
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def made(tree: ast.Module) -> set[str]:
    """The private names of functions, classes, variables and attributes that a file makes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return set(filter(private, found))


def used(tree: ast.Module) -> set[str]:
    """The private names that a file imports, or asks of anything."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
    return set(filter(private, found))


def trespasses(trees: dict[str, ast.Module]) -> list[str]:
    """Private names that a file uses which only other rooms make. What nobody here makes is another library's."""
    makers: dict[str, set[str]] = {}
    for name, tree in trees.items():
        for made_here in made(tree):
            makers.setdefault(made_here, set()).add(room(name))
    found = []
    for name, tree in trees.items():
        for asked in sorted(used(tree)):
            rooms = makers.get(asked, {room(name)})
            if room(name) not in rooms:
                found.append(f"{name}: {asked} of {', '.join(sorted(rooms))}")
    return found


def main() -> int:
    files = sorted(ROOT.rglob("*.py"))
    modules = {module(path) for path in files}
    trees = {module(path): ast.parse(path.read_bytes()) for path in files}
    graph = {name: {*imports(tree, modules)} & modules for name, tree in trees.items()}
    rooms: dict[str, set[str]] = {}
    sizes: dict[str, list[int]] = {}
    for path in files:
        name, (tokens, lines) = module(path), measured(path)
        rooms.setdefault(room(name), set()).update(
            {room(other) for other in graph[name]} - {room(name), "nanoae"}
        )
        size = sizes.setdefault(room(name), [0, 0])
        size[0], size[1] = size[0] + tokens, size[1] + lines
    for name, (tokens, lines) in sizes.items():
        print(
            f"{name:<28} {tokens:7,} tokens {lines:7,} lines of code {tokens / max(lines, 1):5.1f} a line"
        )
    tokens, lines = (sum(size[k] for size in sizes.values()) for k in (0, 1))
    engine = sum(len(path.read_text().splitlines()) for path in (ROOT / "engine").glob("*.py"))
    longest, where = max(
        (len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for path in files
    )
    found = [
        *circles(graph),
        *circles({name: to for name, to in rooms.items() if name != "nanoae"}),
    ]
    up = [arrow for name, tree in trees.items() for arrow in arrows_up(name, tree)]
    across = trespasses(trees)
    print(
        f"{'nanoae':<28} {tokens:7,} tokens {lines:7,} lines of code {tokens / lines:5.1f} a line"
    )
    above = {
        f"{tokens:,} tokens, at most {TOKENS:,}": tokens > TOKENS,
        f"{tokens / lines:.2f} tokens a line, at most {PER_LINE}": round(tokens / lines, 1)
        > PER_LINE,
        f"engine/: {engine:,} lines, at most {ENGINE:,}": engine > ENGINE,
        f"{where}: {longest} lines, at most {LONGEST}": longest > LONGEST,
        f"circles of imports: {'; '.join(found) or 'none'}": bool(found),
        f"arrows up: {'; '.join(up) or 'none'}": bool(up),
        f"private names across rooms: {'; '.join(across) or 'none'}": bool(across),
    }
    for what, over in above.items():
        print(f"{'ABOVE' if over else 'ok   '}  {what}")
    return int(any(above.values()))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head -1`: nobody reads on
    sys.exit(main())
