"""Does `nanoae evaluate` judge the rows it says, on the training's scale, beside the PCA of the training rows?"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nanoae
from nanoae.autoencoders.model_file import read_notes, save_model
from nanoae.cli import main

RNG = np.random.default_rng(0)
PLANE = RNG.standard_normal((2, 5))
TABLE = RNG.standard_normal((40, 2)) @ PLANE
OTHER = 3 * RNG.standard_normal((25, 5)) + 1
BYTES = RNG.integers(0, 256, (30, 6, 6)).astype(np.uint8)
SHORT = ("--epochs", "2", "--code-size", "2", "--no-figures", "--quiet")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def command(*argv):
        code = main([str(arg) for arg in argv])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def trained(run):
    write("table.csv", TABLE)
    write("other.csv", OTHER)
    assert run("train", "--data", "table.csv", "--out", "run", *SHORT)[0] == 0
    return nanoae.load("run/model.npz")


def write(name, rows):
    np.savetxt(name, rows, delimiter=",", header="a,b,c,d,e", comments="", fmt="%.17g")


def verdict(model, split, rows, baseline):
    return f"{split} mse {model.evaluate(rows)['mse']:.4g}   PCA-2 {baseline.evaluate(rows)['mse']:.4g}\n"


# ---------------------------------------------------------------- which rows, and whose PCA


def test_a_file_that_was_not_trained_on_is_judged_whole_beside_the_pca_of_the_training_rows(
    run, trained
):
    code, out, _ = run("evaluate", "run", "--data", "other.csv")
    learned = nanoae.PCA(2).fit(nanoae.load_data("table.csv").flat(wide=True)[0])
    assert code == 0 and verdict(trained, "all", OTHER.astype(np.float32), learned) in out
    assert "tested  all 25 rows; the model was trained on other data, table.csv\n" in out
    assert "data    other.csv: rows of 5 columns" in out
    code, out, _ = run("evaluate", "run", "--data", "other.csv", "--split", "test")
    assert (
        verdict(trained, "test", nanoae.load_data("other.csv").flat(wide=True)[1], learned) in out
    )
    assert "tested  the 5 test rows of 25; the model was trained on other data, table.csv\n" in out


@pytest.mark.parametrize("name", ["table.csv", "copy.csv"])
def test_of_the_training_set_the_test_rows_are_judged(run, trained, name):
    if name == "copy.csv":
        shutil.copy("table.csv", "copy.csv")
    x_train, x_test = nanoae.load_data("table.csv").flat(wide=True)
    code, out, _ = run("evaluate", "run", "--data", name)
    assert code == 0 and verdict(trained, "test", x_test, nanoae.PCA(2).fit(x_train)) in out
    assert "tested  the 8 test rows of 40 in the model's training data\n" in out
    told = json.loads(Path("run/config.json").read_text())["results"]
    assert f"test mse {told['test']['mse']:.4g}   PCA-2 {told['pca']['mse']:.4g}\n" in out
    out = run("evaluate", "run", "--data", name, "--split", "train")[1]
    assert "tested  the 32 train rows of 40 in the model's training data" in out


def test_rows_in_another_order_are_split_otherwise_and_so_another_set(run, trained):
    write("table.csv", TABLE[::-1])
    assert (
        "tested  all 40 rows; the model was trained on other data"
        in run("evaluate", "run", "--data", "table.csv")[1]
    )


def test_a_set_with_test_rows_of_its_own_is_judged_by_them(run, trained):
    np.savez("split.npz", x_train=OTHER[:20], x_test=OTHER[20:])
    out = run("evaluate", "run", "--data", "split.npz")[1]
    assert "tested  the 5 test rows of 25; the model was trained on other data, table.csv\n" in out
    assert f"test mse {trained.evaluate(OTHER[20:].astype(np.float32))['mse']:.4g}" in out


def test_one_row(run, trained):
    write("one.csv", OTHER[:1])
    code, out, _ = run("evaluate", "run", "--data", "one.csv")
    assert code == 0 and "tested  its row" in out
    assert f"all mse {trained.evaluate(OTHER[:1].astype(np.float32))['mse']:.4g}" in out


def test_the_pca_goes_with_the_model_file(run, trained, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move("run/model.npz", "elsewhere/mine.npz")
    learned = nanoae.PCA(2).fit(nanoae.load_data("table.csv").flat(wide=True)[0])
    out = run("evaluate", "elsewhere/mine.npz", "--data", "other.csv")[1]
    assert verdict(trained, "all", OTHER.astype(np.float32), learned) in out


def test_tuned_models_keep_it_too(run, trained):
    grid = ("--grid", "hidden=8,16", "--validation-fraction", "0.2")
    assert run("tune", "--data", "table.csv", "--out", "tuned", *grid, *SHORT)[0] == 0
    assert " PCA-2 " in run("evaluate", "tuned", "--data", "other.csv")[1]


def test_models_of_python_and_of_former_times_have_no_baseline(run, trained):
    trained.save("python.npz")
    parts = dict(np.load("python.npz"))
    header = json.loads(bytes(parts.pop("header")))
    assert header.pop("notes") == {}
    np.savez("former.npz", header=np.frombuffer(json.dumps(header).encode(), np.uint8), **parts)
    x_test = nanoae.load_data("other.csv").flat(wide=True)[1]
    for name in ("python.npz", "former.npz"):
        code, out, _ = run("evaluate", name, "--data", "other.csv")
        assert code == 0 and "PCA-" not in out
        assert (
            f"test mse {trained.evaluate(x_test)['mse']:.4g}   no PCA: the model file has no PCA"
            in out
        )
        assert (
            "tested  the 5 test rows of 25; the model file does not name its training data" in out
        )


def test_predictors_are_judged_on_the_same_rows(run):
    for name, rows in (("table.csv", TABLE), ("other.csv", OTHER)):
        labels = np.arange(len(rows)) % 3
        np.savetxt(
            name, np.column_stack([rows, labels]), delimiter=",", header="a,b,c,d,e,y", comments=""
        )
    told = (
        "--label",
        "y",
        "--classify",
        "--stacked",
        "4",
        "--epochs",
        "1",
        "--no-figures",
        "--quiet",
    )
    assert run("train", "--data", "table.csv", "--out", "run", *told)[0] == 0
    model = nanoae.load("run/model.npz")
    out = run("evaluate", "run", "--data", "other.csv", "--label", "y")[1]
    assert "tested  all 25 rows" in out
    assert f"all error {100 * model.evaluate(OTHER, np.arange(25) % 3)['error']:.2f} %" in out
    assert (
        "tested  the 8 test rows"
        in run("evaluate", "run", "--data", "table.csv", "--label", "y")[1]
    )


def test_notes_are_no_part_of_the_model(trained, tmp_path):
    with_notes = nanoae.load("run/model.npz")
    with_notes.save(tmp_path / "again.npz")
    assert read_notes(tmp_path / "again.npz") == {}
    save_model(
        trained, tmp_path / "own.npz", {"of": "mine", "pca": nanoae.PCA(1).fit(TABLE), "n": 3}
    )
    notes = read_notes(tmp_path / "own.npz")
    assert (notes["of"], notes["n"]) == ("mine", 3)
    np.testing.assert_array_equal(
        notes["pca"].transform(OTHER), nanoae.PCA(1).fit(TABLE).transform(OTHER)
    )
    np.testing.assert_array_equal(
        nanoae.load(tmp_path / "own.npz").transform(OTHER), trained.transform(OTHER)
    )


# ---------------------------------------------------------------- on which scale

UNIT = (BYTES.reshape(30, 36) / 255).astype(np.float32)
SETS = {  # what a user may have of the same images: name -> (array, --maximum)
    "bytes": (BYTES, None),
    "shares": (BYTES / 255, None),
    "table of pixels": (BYTES.reshape(30, 36).astype(np.int64), 255),
    "table of shares": (UNIT, None),
    "16 bits": (BYTES.astype(np.uint16) * 257, 65535),
}


# those are no pixels: see below
PAIRS = [(a, b) for a in SETS for b in SETS if a != "table of shares" or a == b]


@pytest.mark.parametrize(("learned", "judged"), PAIRS)
def test_images_of_another_type_are_judged_on_the_scale_of_the_training(run, learned, judged):
    np.save("a.npy", SETS[learned][0])
    np.save("b.npy", SETS[judged][0])
    told = {key: () if SETS[key][1] is None else ("--maximum", SETS[key][1]) for key in SETS}
    tanh = learned in ("bytes", "shares", "16 bits")  # then black is -1
    own = ("--output-activation", "tanh") if tanh else ("--loss", "bce")
    assert run("train", "--data", "a.npy", "--out", "run", *told[learned], *own, *SHORT)[0] == 0
    model = nanoae.load("run/model.npz")
    code, out, err = run("evaluate", "run", "--data", "b.npy", "--split", "all", *told[judged])
    assert (
        code == 0 and f"mse {model.evaluate(2 * UNIT - 1 if tanh else UNIT)['mse']:.4g}" in out
    ), err


@pytest.mark.parametrize(
    ("learned", "judged", "said", "match"),
    {
        "pixels of an unknown maximum": (
            BYTES,
            BYTES.reshape(30, 36),
            (),
            "expected pixels with a known maximum",
        ),
        "16 bits, or 12": (BYTES, BYTES.astype(np.uint16) * 16, (), "Pass it with --maximum"),
        "pixels to a model of shares": (
            BYTES / 255,
            BYTES * 1.0,
            (),
            "got float64 from 0 to 255. Pass it with",
        ),
        "bytes to a model of measurements": (
            BYTES / 100.0,
            BYTES,
            (),
            "expected unscaled numbers",
        ),
        "a maximum where there was none": (
            BYTES.reshape(30, 36),
            BYTES.reshape(30, 36)[:9],
            ("--maximum", "255"),
            "expected unscaled numbers, as in training (uint8 from 0 to 255)",
        ),
    }.values(),
)
def test_a_scale_that_nobody_can_know_is_refused(run, learned, judged, said, match):
    np.save("a.npy", learned)
    np.save("b.npy", judged)
    assert run("train", "--data", "a.npy", "--out", "run", *SHORT)[0] == 0
    for command in (
        ("evaluate",),
        ("encode", "--out", "codes.npy"),
        ("reconstruct", "--out", "again.npy"),
    ):
        code, _, err = run(command[0], "run", "--data", "b.npy", *command[1:], *said)
        assert code == 2 and match in err


def test_the_maximum_that_was_said_in_the_training_holds_for_tables_like_it(run):
    np.savetxt("a.csv", BYTES.reshape(30, 36), delimiter=",", fmt="%d")
    dark = (BYTES[:7] > 127).reshape(7, 36).astype(int)  # pixels of 0 and 1 of 255
    np.savetxt("b.csv", dark, delimiter=",", fmt="%d")
    assert run("train", "--data", "a.csv", "--out", "run", "--maximum", "255", *SHORT)[0] == 0
    model = nanoae.load("run/model.npz")
    assert (
        f"mse {model.evaluate((dark / 255).astype('f4'))['mse']:.4g}"
        in run("evaluate", "run", "--data", "b.csv")[1]
    )
    assert run("encode", "run", "--data", "a.csv", "--out", "codes.npy")[0] == 0
    np.testing.assert_allclose(np.load("codes.npy"), model.transform(UNIT), atol=1e-6)


def test_measurements_between_0_and_1_are_taken_as_the_others_were(run):
    np.save("a.npy", BYTES / 100.0 - 1)
    np.save("b.npy", BYTES[:9] / 255)
    assert run("train", "--data", "a.npy", "--out", "run", *SHORT)[0] == 0
    model = nanoae.load("run/model.npz")
    assert (
        f"mse {model.evaluate(UNIT[:9])['mse']:.4g}" in run("evaluate", "run", "--data", "b.npy")[1]
    )
