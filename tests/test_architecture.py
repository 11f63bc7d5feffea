"""Is the house built as .github/ARCHITECTURE.md says: the rooms' order, and the way of one batch?"""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import nanoae

ROOT = Path(nanoae.__file__).parent
PAGE = (ROOT.parent / ".github" / "ARCHITECTURE.md").read_text()
ROOMS = re.findall(r"^\| `(\w+)/`", PAGE, re.MULTILINE)
WALK = [  # (depth, file, function)
    (len(indent) // 2, file, function)
    for indent, file, function in re.findall(
        r"^( *)([\w/]+\.py) (\w+)", PAGE.partition("```")[2], re.MULTILINE
    )
]


def test_every_class_of_an_autoencoder_is_on_the_page_in_their_order():
    rows = re.findall(r"^\| `(\w+)` \| `([\w/]+)\.py` \|", PAGE, re.MULTILINE)
    classes = [(kind.__name__, kind.__module__) for kind in nanoae.Autoencoder.__mro__[-2::-1]]
    assert classes == [(name, f"nanoae.{file.replace('/', '.')}") for name, file in rows]


def test_every_room_is_on_the_page():
    assert set(ROOMS) == {path.parent.name for path in ROOT.glob("*/__init__.py")}


def imported(file: Path) -> set[str]:
    """The rooms that a file imports from when it is loaded."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name and name.startswith("nanoae.")}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_above_it(room):
    below = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        str(file.relative_to(ROOT)): imported(file) & below for file in (ROOT / room).glob("*.py")
    }
    assert not {file: rooms for file, rooms in wrong.items() if rooms}


def stacks(act) -> list[list[tuple[str, str]]]:
    """The call stack, as (file, function) of nanoae's own, at each call within act()."""
    found, stack = [], []

    def note(frame, event, _):
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(f"{ROOT}/"):
            return
        if event == "call":
            stack.append((frame.f_code.co_filename.removeprefix(f"{ROOT}/"), frame.f_code.co_name))
            found.append(list(stack))
        else:
            stack.pop()

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


def first_call(calls, path, after: int) -> int | None:
    """The number of the first call, not before `after`, whose stack holds the functions of `path` in order."""
    for i in range(after, len(calls)):
        rest = iter(calls[i])
        if calls[i][-1] == path[-1] and all(step in rest for step in path):
            return i
    return None


def test_a_batch_goes_the_way_of_the_page():
    X = np.random.default_rng(0).random((30, 6), np.float32)
    model = nanoae.Autoencoder(
        2, (4,), epochs=1, batch_size=30, backend="numpy:plain", random_state=0
    )
    calls = stacks(lambda: model.fit(X))
    assert len(WALK) > 15
    path, at = [], 0
    for depth, file, function in WALK:
        path = [*path[:depth], (file, function)]
        found = first_call(calls, path, at)
        assert found is not None, f"{file} {function} is not called there: {path}"
        at = found
