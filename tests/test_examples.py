"""Do the examples run, on small settings, and print what their docstrings claim?"""

import contextlib
import importlib.util
import io
import re
import runpy
import sys
from pathlib import Path

import pytest

from nanoae.report import figures as drawn_by

# quick runs learn from few rows, and are told so
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
# what the source says -> the module it needs
NEEDED = {
    "from sklearn": "sklearn",
    "nanoae.report": "matplotlib",
    "import onnxruntime": "onnxruntime",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(name): the folder in which examples/name.py --quick ran, once, and what it printed."""
    done = {}

    def once(name):
        source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        for sign, module in NEEDED.items():
            if sign in source and not importlib.util.find_spec(module):
                pytest.skip(f"{name} needs {module}")
        if name not in done:
            folder, printed = tmp_path_factory.mktemp(name), io.StringIO()
            figures = ["--out", "figures"] if "--out" in source else []
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
                patch.chdir(folder)
                patch.setenv("NANOAE_BACKEND", "numpy")
                patch.setitem(drawn_by.PAGE, "dpi", 40)  # coarse figures are sooner drawn
                patch.setattr(sys, "argv", [f"{name}.py", "--quick", *figures])
                runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
            done[name] = folder, printed.getvalue()
        return done[name]

    return once


def test_examples_are_numbered():
    numbers = [name[:2] for name in EXAMPLES]
    assert all(number.isdigit() for number in numbers) and len(set(numbers)) == len(numbers) >= 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs_and_draws_what_it_names(run, name):
    folder, printed = run(name)
    assert printed.strip()
    named = {
        folder / line.removeprefix("figure: ")
        for line in printed.splitlines()
        if line.startswith("figure: ")
    }
    # which is TensorBoard's
    drawn = {path for path in folder.rglob("*.png") if path.name != "sprite.png"}
    assert named == drawn
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in named)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_fits_on_a_wall(name):
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80
    assert lines[0].startswith('"""')


def test_the_index_has_every_example_and_what_comes_before_it():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \| (.+) \| (\d+) \| (\d*) ?\|$", text, re.M)
    assert [Path(link).stem for _, link, *_ in rows] == EXAMPLES
    for number, link, _, _, seconds, before in rows:
        assert number == link[:2] and int(seconds) > 0 and before < number
        assert not before or any(name.startswith(before) for name in EXAMPLES)
    exercises = re.findall(r"\]\((exercises/\d\S+)\)", text)
    assert exercises == sorted(
        f"exercises/{path.name}" for path in (FOLDER / "exercises").glob("[0-9]*.py")
    )


def test_backprop_by_hand_agrees_with_finite_differences(run):
    _, printed = run("01_backprop_by_hand")
    pairs = re.findall(r"backprop (\S+) +difference (\S+)", printed)
    assert len(pairs) == 4
    for analytic, numeric in pairs:
        assert float(analytic) == pytest.approx(float(numeric), rel=1e-6, abs=1e-8)
    losses = [float(value) for value in re.findall(r"step +\d+ +loss (\S+)", printed)]
    assert losses[-1] < losses[0] / 20


def test_a_perceptron_cannot_learn_xor_and_a_2_2_1_network_does(run):
    _, printed = run("02_xor")
    right = dict(re.findall(r"(perceptron|network), 2-.*?(\d) of 4 right", printed))
    assert int(right["perceptron"]) < 4
    assert int(right["network"]) == 4
    converged = int(re.search(r"(\d+) of 20 learn XOR", printed).group(1))
    assert 10 <= converged < 20  # the flat places are part of the lesson


def test_a_broken_layer_is_caught(run):
    _, printed = run("04_check_a_gradient")
    tables = [table for table in printed.split("\n\n") if "verdict" in table]
    assert ["FAIL" in table for table in tables] == [False, True, False, True]
    assert all("Forgetful" in table for table in tables[1::2])


def test_a_saved_model_gives_the_same_codes(run):
    folder, printed = run("06_own_architecture")
    assert "same codes: True" in printed
    assert (folder / "figures" / "06_model.npz").is_file()


def test_the_autoencoder_keeps_the_order_along_the_swiss_roll_better_than_pca(run):
    _, printed = run("05_swiss_roll")
    disorder = {
        name: float(t)
        for name, t in re.findall(r"^(PCA|autoencoder) +(\d\.\d+) +\d", printed, re.M)
    }
    assert disorder["autoencoder"] < disorder["PCA"] / 2


def test_a_convolutional_code_beats_pca(run):
    _, printed = run("19_convolutional")
    own, pca = map(float, re.search(r"8 numbers: (\S+), of the 8 of PCA: (\S+)", printed).groups())
    assert own < pca


def test_sparse_units_find_the_bars_and_plain_ones_do_not(run):
    _, printed = run("10_sparse")
    found = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+) of 16", printed, re.M)}
    assert found["plain"] < 4 and found["L1"] > 12


def test_few_units_at_a_time_find_the_bars_and_many_do_not(run):
    _, printed = run("11_contractive_and_top_k")
    found = {int(k): int(n) for k, n in re.findall(r"TopK\((\d)\) .* own +(\d+) of 16", printed)}
    assert found[2] > 12 and found[8] < found[2]
    norms = [float(norm) for norm in re.findall(r"Jacobian (\S+)", printed)]
    assert norms == sorted(norms, reverse=True) and len(norms) == 3


def test_neighbours_by_codes_are_of_the_same_digit(run):
    _, printed = run("13_codes_for_tsne")
    share = {
        name: int(percent) for name, percent in re.findall(r"(pixels|codes) +\S+ +(\d+)%", printed)
    }
    assert share["codes"] > share["pixels"] + 20


def test_the_code_of_a_model_with_labels_is_the_hand(run):
    _, printed = run("16_draw_a_digit")
    with_labels, without = (
        [float(r2) for r2 in re.search(rf"{name} +(.*)", printed, re.M)[1].split()]
        for name in ("^with labels", "^without")
    )
    assert min(with_labels) > 0.5 and sum(with_labels) > sum(without) + 0.5
