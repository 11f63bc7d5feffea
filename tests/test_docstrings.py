"""Do the examples in docstrings run, and print what they say they print? Those that say nothing may print anything."""

import ast
import doctest
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import nanoae

ROOT = Path(nanoae.__file__).parent
RNG = np.random.default_rng(0)
IMAGES, ROWS = RNG.random((12, 784), np.float32), RNG.random((60, 4), np.float32)
OTHERS = {
    "pyod.py": "pyod",
    "training/tensorboard.py": "tensorboardX",
    "plot/__init__.py": "matplotlib",
}


class Factor(nanoae.Layer):
    factor = 2


class Output(doctest.OutputChecker):
    def check_output(self, want, got, flags):
        return not want or super().check_output(want, got, flags)


def documented():
    """(file, line) -> docstring, of those with examples."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)) if ">>> " in source else ():
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                if ">>> " in text:
                    found[f"{path.relative_to(ROOT)} {getattr(node, 'name', '')}".strip()] = text
    return found


DOCUMENTED = documented()


def names(file: str) -> dict:
    """What a reader of the example has: NumPy, all that nanoae exports, and small data."""
    given = {name: getattr(nanoae, name) for name in nanoae.__all__}
    given |= {
        "np": np,
        "nanoae": nanoae,
        "x": IMAGES,
        "x_train": IMAGES,
        "x_test": IMAGES,
        "X": ROWS,
    }
    given |= {
        "y_test": np.arange(12) % 3,
        "labels": np.arange(12) % 3,
        "dy": np.ones((12, 784), np.float32),
    }
    given |= {
        "lines": ["more coffee", "less tea"] * 8,
        "keywords": ["coffee", "tea"] * 8,
        "MyLayer": Factor,
    }
    given |= {"table": np.array([["red", "1.5"], ["blue", "2"], ["red", "3"]] * 8, object)}
    if file.startswith("trace"):
        given["x"] = ROWS[:2]
    if file.startswith("anomaly/cluster"):
        given |= {
            "is_abnormal": lambda row: bool(row[0] > 0.9),
            "X": RNG.random((200, 4), np.float32),
        }
    if file.startswith(("plot", "data/row_blocks")):
        given["model"] = given["ae"] = nanoae.Autoencoder(2, epochs=1, random_state=0).fit(IMAGES)
        np.save("rows.npy", IMAGES)
    if file.startswith("plot"):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        given["ax"] = Figure().subplots()
    return given


@pytest.mark.parametrize("where", DOCUMENTED)
def test_the_examples_of_a_docstring_run(where, tmp_path, monkeypatch, capsys):
    file = where.split()[0]
    if file in OTHERS and importlib.util.find_spec(OTHERS[file]) is None:
        pytest.skip(f"needs {OTHERS[file]}")
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(DOCUMENTED[where], names(file), where, file, 0)
    told: list[str] = []
    results = doctest.DocTestRunner(Output(), verbose=False).run(test, out=told.append)
    assert results.attempted and not results.failed, "".join(told)
