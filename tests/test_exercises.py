"""Do the exercises' checks fail on the texts as they are, and pass on solutions?"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "exercises"
SOLUTIONS = {  # what is written in the text -> what a reader may write there
    1: [("raise NotImplementedError(", "return dy @ W.T\n        raise NotImplementedError(")],
    2: [("BROKEN = None", "BROKEN = 3"),
        ("take_cache()\n        return dy\n", "take_cache()\n        return dy - dy.mean(axis=1, keepdims=True)\n")],
    3: [('raise NotImplementedError("out[...] = dy · f\'(x), as a function of y")',
         "out[...] = dy * (1 - abs(y)) ** 2\n        return out")],
    4: [("return Autoencoder(", "from nanoae import GaussianNoise\n\n"
         '    return Autoencoder(corruption=GaussianNoise(0.4), loss="bce", ')],
    5: [("    rows = z", "    from nanoae import PCA\n\n    signed = (table - table.mean(axis=0)) / table.std(axis=0)\n"
         "    z = (PCA(2).fit(signed).reconstruct(signed) - signed) ** 2\n    rows = z")],
}  # fmt: skip
WRONG = {  # what nearly solves it -> what the hint says
    1: ("raise NotImplementedError(", "return dy @ W.reshape(W.T.shape) #(", "numbers are wrong"),
    2: ("BROKEN = None", "BROKEN = 2", "layer 2 is right"),
    3: ('raise NotImplementedError("out[...] = dy · f\'(x), as a function of y")',
        "out[...] = dy * (1 - abs(y))\n        return out", "not the derivative"),
    4: ("hidden=(128,)", "hidden=(256,)", "expected below 0.032"),
    5: ("[-5:]", "[-4:]", "got 4"),
}  # fmt: skip


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("exercise_check", FOLDER / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rewritten(checker, folder, number, changes):
    """The exercise's text with these changes, in that folder."""
    path = FOLDER / f"{number:02}_{checker.CHECKS[number - 1].__name__}.py"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{path.name}: {old!r}"
        text = text.replace(old, new)
    (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def test_every_exercise_has_a_check_and_a_solution(checker):
    files = sorted(path.name for path in FOLDER.glob("[0-9]*.py"))
    assert (
        [int(name[:2]) for name in files]
        == list(SOLUTIONS)
        == list(range(1, len(checker.CHECKS) + 1))
        == list(WRONG)
    )


@pytest.mark.parametrize("number", SOLUTIONS)
def test_it_is_not_yet_solved_and_can_be(checker, number, tmp_path):
    assert checker.check(number)
    assert checker.check(number, rewritten(checker, tmp_path, number, SOLUTIONS[number])) is None


@pytest.mark.parametrize("number", WRONG)
def test_what_nearly_solves_it_gets_a_hint(checker, number, tmp_path):
    old, new, hint = WRONG[number]
    assert hint in checker.check(number, rewritten(checker, tmp_path, number, [(old, new)]))


def test_they_fit_on_a_wall():
    assert all(
        len(path.read_text(encoding="utf-8").splitlines()) < 80 for path in FOLDER.glob("*.py")
    )


def test_the_checker_says_a_line_for_each(checker, capsys):
    assert checker.main(["1", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2"] and all(
        "not yet: " in line for line in lines
    )
    assert checker.main(["9"]) == 2 and checker.main(["one"]) == 2
    assert "1 to 5" in capsys.readouterr().err


def test_as_a_command():
    done = subprocess.run(
        [sys.executable, str(FOLDER / "check.py"), "2"], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 1 and done.stdout.startswith("2  find_the_broken_backward")
