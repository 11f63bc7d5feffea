"""Does the command do what it says, tell a user's mistake in one line, and never leave anything half done?"""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import everything

import nanoae
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.penalty import Penalty
from nanoae.autoencoders.presets import PRESETS, default_settings, preset
from nanoae.backend import BackendError
from nanoae.cli import EPILOG, command_line, gradcheck, main
from nanoae.engine import activations, layers, losses
from nanoae.engine.conv import Convolution
from nanoae.engine.image import ImageLayer
from nanoae.engine.pool import Pooling, Summing
from nanoae.report import figures
from nanoae.training.fusion import InPlace, LinearActivation
from nanoae.training.kfac import FactorTap
from nanoae.training.loop import Trainer

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((40, 3)) @ RNG.standard_normal((3, 6))
FIGURES = {"reconstructions.png", "loss.png", "codes.png", "code_histogram.png"}
FILES = {"model.npz", "metrics.csv", "config.json"}
SHORT = ("--epochs", "2", "--no-figures")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run("train", ...) in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NANOAE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    monkeypatch.setitem(figures.PAGE, "dpi", 40)  # coarse figures are sooner drawn
    np.savetxt("table.csv", TABLE, delimiter=",", header="a,b,c,d,e,f", comments="", fmt="%.9g")

    def command(*argv):
        try:
            code = main([str(arg) for arg in argv])
        except SystemExit as stopped:  # argparse's own errors, --help and --version
            code = stopped.code
        return code, *capsys.readouterr()

    return command


def process(*argv, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "nanoae", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def config(folder):
    return json.loads(Path(folder, "config.json").read_text())


# ---------------------------------------------------------------- train


def test_train_alone_beats_pca(tmp_path):
    pytest.importorskip("matplotlib")
    command = process("train", cwd=tmp_path, env=environment())
    out, err = command.communicate(timeout=120)
    assert command.returncode == 0, err
    mse, pca = map(float, re.search(r"^test mse ([\d.]+)   PCA-8 ([\d.]+)$", out, re.M).groups())
    assert mse < 0.6 * pca
    for told in (
        "device  ",
        "data    digits: 1,437 training and 360 test rows of 8 x 8",
        "Linear(64, 128)",
        "epoch",
    ):
        assert told in out
    assert everything_in(tmp_path) == [
        "runs",
        "runs/digits-1",
        *sorted(f"runs/digits-1/{n}" for n in FILES | FIGURES | {"weights.png"}),
    ]


def test_the_run_folder_tells_everything(run):
    code, out, _ = run(
        "train",
        "--data",
        "table.csv",
        "--code-size",
        "2",
        "--epochs",
        "3",
        "--seed",
        "5",
        *SHORT[2:],
    )
    assert code == 0 and names("runs/table-1") == FILES
    told = config("runs/table-1")
    assert (
        told["command"][:2] == ["nanoae", "train"] and told["versions"]["numpy"] == np.__version__
    )
    assert (
        told["data"]["train"] == [32, 6]
        and told["settings"]["random_state"] == 5
        and told["epochs_run"] == 3
    )
    with open("runs/table-1/metrics.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "val_loss", "seconds"] and [row[0] for row in rows[1:]] == [
        "1",
        "2",
        "3",
    ]
    model, x = nanoae.load("runs/table-1/model.npz"), nanoae.load_data("table.csv").flat()
    assert told["results"]["test"]["mse"] == pytest.approx(model.evaluate(x[1])["mse"])
    assert told["results"]["pca"]["mse"] == pytest.approx(
        nanoae.PCA(2).fit(x[0]).evaluate(x[1])["mse"]
    )
    assert (
        f"test mse {told['results']['test']['mse']:.4g}   PCA-2 {told['results']['pca']['mse']:.4g}"
        in out
    )
    assert float(rows[-1][1]) == told["last_epoch"]["loss"] == model.history_["loss"][-1]


def test_runs_are_numbered_and_never_overwritten(run):
    for _ in range(2):
        assert run("train", *SHORT)[0] == 0
    assert run("train", *SHORT, "--name", "mine")[0] == 0 and names("runs") == {
        "digits-1",
        "digits-2",
        "mine",
    }
    before = Path("runs/mine/model.npz").read_bytes()
    code, _, err = run("train", *SHORT, "--name", "mine", "--seed", "1")
    assert (
        code == 2
        and "it already contains files" in err
        and Path("runs/mine/model.npz").read_bytes() == before
    )
    Path("empty").mkdir()
    assert run("train", *SHORT, "--out", "empty")[0] == 0 and names("empty") == FILES


def test_the_same_seed_gives_the_same_model(run):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        run("train", *SHORT, "--out", name, "--seed", seed)
    a, b, c = (config(name)["results"]["test"]["mse"] for name in "abc")
    assert a == b != c


def test_quiet_prints_the_result_only(run):
    code, out, err = run("train", *SHORT, "--quiet")
    assert (
        code == 0
        and not err
        and [line.split()[0] for line in out.splitlines()] == ["test", "written"]
    )


@pytest.mark.parametrize("missing", ["matplotlib", "tqdm"])
def test_trains_without_the_extras(run, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    more = ["--no-figures"] if missing == "tqdm" else []
    code, out, _ = run("train", "--epochs", "2", *more)
    assert code == 0 and names("runs/digits-1") >= FILES
    assert ('no figures, they need matplotlib: pip install "nanoae[cli]"' in out) == (
        missing == "matplotlib"
    )


def test_figures_of_every_kind_of_data(run, rng):
    pytest.importorskip("matplotlib")
    np.savez("colour.npz", X=rng.integers(0, 256, (20, 4, 5, 3), np.uint8), y=np.arange(20) % 3)
    for data, code_size in (("swiss-roll", 3), ("table.csv", 1), ("colour.npz", 5)):
        code, _, err = run(
            "train", "--data", data, "--code-size", code_size, "--epochs", "1", "--out", data[:4]
        )
        assert code == 0, err
        assert names(data[:4]) == FILES | FIGURES


def test_columns_of_different_spread_are_scaled_or_noted(run):
    np.save("spread.npy", TABLE * [1, 1, 1, 1, 1, 1000])
    assert "\nscaling standard: the standard" in run("train", "--data", "spread.npy", *SHORT)[1]
    assert (
        "--scaling standard" in run("train", "--data", "spread.npy", "--scaling", "none", *SHORT)[1]
    )
    assert "scaling standard" not in run("train", "--data", "table.csv", *SHORT)[1]


def test_a_batch_larger_than_the_set_is_the_set(run):
    assert run("train", "--data", "table.csv", "--batch-size", "100000", *SHORT)[0] == 0


# ---------------------------------------------------------------- settings and presets


def test_flags_beat_the_preset_and_the_preset_beats_the_defaults(run):
    code, *_ = run(
        "train",
        "--preset",
        "deep-32",
        "--data",
        "digits",
        "--code-size",
        "7",
        "--hidden",
        "20,10",
        *SHORT,
    )
    settings = config("runs/deep-32-1")["settings"]
    assert code == 0 and settings["code_size"] == 7 and settings["hidden"] == [20, 10]
    assert (
        settings["loss"] == "bce" and settings["batch_size"] == 256 and settings["patience"] is None
    )


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("dense-64", [64, 784]),
        ("deep-32", [128, 32, 128, 784]),
        ("tf1-20", [500, 300, 20, 300, 500, 784]),
    ],
)
def test_presets_are_the_published_networks(name, widths):
    model = preset(name).build(784)
    assert [
        layer.n_out for layer in model.network_.layers if isinstance(layer, nanoae.Linear)
    ] == widths
    assert f"ReLU() (N, {model.code_size_}) 0 <- code" in re.sub(" +", " ", model.summary())
    assert model.epochs == 10 and not hasattr(PRESETS[name], "network_")


def test_tf1_holds_out_5000_sums_half_the_squares_and_draws_weights_and_biases_from_a_truncated_normal():
    model = preset("tf1-20")
    assert round(model.validation_fraction * 60_000) == 5_000
    loss = model.loss.build(nanoae.get_ops("numpy"), np.dtype(float))
    assert loss.forward(np.full((3, 2), 2.0), np.zeros((3, 2))) == 12
    theta = model.build(784).network_.theta
    assert 0.08 < theta.std() < 0.1 and abs(theta).max() <= 0.2
    assert all(
        layer.params["b"].any()
        for layer in model.network_.layers
        if isinstance(layer, nanoae.Linear)
    )


@pytest.mark.parametrize("d", [64, 784, 1, 2, 3])
def test_suited_settings_can_be_built(d):
    settings = default_settings(d)
    assert 1 <= settings["code_size"] <= max(1, d - 1)
    nanoae.Autoencoder(**settings).build(d)


@pytest.fixture
def grey(run, rng):
    """Sixty images of 28 x 28 in grey.npz, and options for a small net on them."""
    x = np.zeros((60, 28, 28), np.uint8)
    x[:, 4:24, 4:24] = np.kron(rng.integers(0, 256, (60, 4, 4)), np.ones((5, 5)))
    x[:, 4, 4] = 255  # whichever rows are the training ones
    np.savez("grey.npz", X=x, y=np.arange(60) % 3)
    return "--data", "grey.npz", "--hidden", "2,3,4", "--batch-size", "12", "--epochs", "2"


@pytest.mark.parametrize("code_size", [2, 3])
def test_the_convolutional_presets_on_images_from_minus_1_to_1(run, grey, code_size):
    pytest.importorskip("matplotlib")
    preset_name = f"conv-{code_size}d"
    code, out, err = run("train", "--preset", preset_name, *grey, "--each-epoch", "--out", "m")
    assert code == 0, err
    assert "scaled to -1 to 1" in out and names("m") == FILES | FIGURES | {"epochs"}
    assert names("m/epochs") == {"001.png", "002.png"}
    model, x_test = nanoae.load("m/model.npz"), nanoae.load_data("grey.npz").flat(black=-1)[1]
    assert isinstance(model, nanoae.ConvAutoencoder) and model.code_size_ == code_size
    told = config("m")["results"]
    # and PCA's on the same scale:
    assert told["test"]["mse"] == pytest.approx(model.evaluate(x_test)["mse"])
    x_train = nanoae.load_data("grey.npz").flat(black=-1)[0]
    assert told["pca"]["mse"] == pytest.approx(
        nanoae.PCA(code_size).fit(x_train).evaluate(x_test)["mse"]
    )

    evaluated = run("evaluate", "m", "--data", "grey.npz")[1]
    assert f"mse {told['test']['mse']:.4g}   PCA-{code_size} {told['pca']['mse']:.4g}" in evaluated
    assert run("encode", "m", "--data", "grey.npz", "--out", "codes.npy", "--split", "test")[0] == 0
    np.testing.assert_array_equal(np.load("codes.npy"), model.transform(x_test))
    assert (
        run("reconstruct", "m", "--data", "grey.npz", "--out", "again.npy", "--split", "test")[0]
        == 0
    )
    assert np.load("again.npy").shape == (12, 28, 28)
    assert run("reconstruct", "m", "--data", "grey.npz", "--out", "again.png")[0] == 0


@pytest.mark.parametrize("shape", [(12, 20), (16, 12, 3), (3, 8, 9)])
def test_convolutions_take_images_of_ones_own(run, shape):
    np.save("own.npy", np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8))
    assert (
        run("train", "--conv", "--data", "own.npy", "--epochs", "1", "--out", "run", *SHORT)[0] == 0
    )
    model = nanoae.load("run/model.npz")
    assert isinstance(model, nanoae.ConvAutoencoder) and tuple(model.image_shape) == shape
    assert run("reconstruct", "run", "--data", "own.npy", "--out", "again.npy")[0] == 0
    assert np.load("again.npy").shape == (30, *shape)


def test_flat_pixels_want_their_maximum(run):
    np.save("flat.npy", np.random.default_rng(0).integers(0, 256, (30, 64), np.uint8))
    options = ("train", "--conv", "--image-shape", "8,8", "--data", "flat.npy", "--epochs", "1")
    code, _, err = run(*options, "--out", "none", *SHORT)
    assert code == 2 and err.endswith("Pixels from 0 to 255: --maximum 255.\n")
    assert run(*options, "--maximum", "255", "--out", "run", *SHORT)[0] == 0


def test_a_convolutional_preset_takes_other_images_and_no_table(run):
    assert run("train", "--preset", "conv-2d", "--data", "digits", *SHORT)[0] == 0
    code, _, err = run("train", "--preset", "conv-2d", "--data", "table.csv", "--out", "none")
    assert (
        code == 2
        and "ConvAutoencoder: expected images (C, H, W) of 8 to 128" in err
        and not Path("none").exists()
    )
    assert run("train", "--preset", "conv-4d")[2].count("Did you mean 'conv-") == 1


def test_each_epoch_needs_matplotlib_and_says_so_first(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = run("train", "--each-epoch", *SHORT)
    assert (
        code == 2 and "--each-epoch: figures need matplotlib" in err and not Path("runs").exists()
    )


def test_a_grid_compares_on_one_scale(run, grey):
    grid = ("--grid", "output_activation=tanh,sigmoid")
    assert "expected settings on a common scale" in run("tune", *grey, *grid)[2]
    np.save("shares.npy", np.random.default_rng(0).random((40, 6)))
    assert run("tune", "--data", "shares.npy", *SHORT, *grid)[0] == 0  # a table is taken as it is
    assert "expected values in [-1, 1]" in run("tune", "--data", "table.csv", *SHORT, *grid)[2]


# ---------------------------------------------------------------- tune


def test_tune_keeps_the_best_on_validation_rows(run):
    grid = ("--grid", "code_size=1,3,2", "--grid", "activation=relu,tanh")
    code, out, _ = run("tune", "--data", "table.csv", "--epochs", "30", "--no-figures", *grid)
    folder = Path("runs/table-tune-1")
    assert code == 0 and names(folder) == {*FILES, "tuning.csv"}
    with open(folder / "tuning.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["code_size"], row["activation"]) for row in rows[:3]] == [
        ("1", "relu"),
        ("1", "tanh"),
        ("3", "relu"),
    ]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    kept = config(folder)
    assert len(rows) == 6 and str(kept["settings"]["code_size"]) == best["code_size"]
    assert kept["settings"]["activation"] == best["activation"] and out.count("test mse") == 1
    model = nanoae.load(folder / "model.npz")
    assert min(model.history_["val_loss"]) == pytest.approx(float(best["validation_loss"]))


def test_tune_goes_on_after_a_setting_that_diverges(run):
    code, out, _ = run("tune", "--grid", "learning_rate=1e30,1e-3", *SHORT)
    assert (
        code == 0
        and "diverged" in out
        and config("runs/digits-tune-1")["settings"]["learning_rate"] == 1e-3
    )
    assert config("runs/digits-tune-1")["tuning"][0]["validation_loss"] is None
    code, _, err = run("tune", "--grid", "learning_rate=1e30", *SHORT)
    assert code == 1 and "expected a finite loss" in err and names("runs") == {"digits-tune-1"}


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        ("foo=1", "--grid: expected one of code_size"),
        ("code_size", "got 'code_size'"),
        ("code_size=a", "expected whole numbers for code_size, got 'a'"),
        ("hidden=64,a", "expected widths like 128x64 for hidden"),
        ("tied_weights=maybe", "expected true or false for tied_weights"),
        ("loss=mse,bce", "got loss, which changes what it"),
        ("validation_fraction=0.1,0.3", "got validation_fraction, which"),
        ("code_size=2,0", "code_size to be a whole number >= 1, got 0"),
        ("activation=relu,rleu", "got 'rleu'"),
    ],
)
def test_a_mistake_in_the_grid(run, grid, match):
    code, out, err = run("tune", "--grid", grid, *SHORT)
    assert code == 2 and match in err and not out and not Path("runs").exists()


def test_a_grid_names_a_setting_once_and_compares_like_with_like(run):
    twice = ("tune", "--grid", "code_size=4", "--grid", "code_size=8")
    assert "each setting once, got code_size twice" in run(*twice, *SHORT)[2]
    sums = ("--preset", "tf1-20", "--data", "digits", "--grid", "batch_size=50,100")
    assert "got batch_size, which changes what it measures" in run("tune", *sums, *SHORT)[2]


# ---------------------------------------------------------------- models in use


@pytest.fixture
def model(run):
    assert run("train", "--data", "table.csv", "--code-size", "2", "--out", "model", *SHORT)[0] == 0
    return nanoae.load("model/model.npz")


def test_evaluate_prints_what_the_model_says(run, model):
    x_train, x_test = nanoae.load_data("table.csv").flat()
    for split, rows in (
        ("train", x_train),
        ("test", x_test),
        ("all", np.concatenate([x_train, x_test])),
    ):
        code, out, _ = run("evaluate", "model", "--data", "table.csv", "--split", split)
        pca = nanoae.PCA(2).fit(x_train).evaluate(rows)["mse"]
        assert (
            code == 0
            and f"{split} mse {model.evaluate(rows)['mse']:.4g}   PCA-2 {pca:.4g}\n" in out
        )


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_whole_files_come_back_in_their_order(run, model, command, suffix):
    code, out, _ = run(command, "model/model.npz", "--data", "table.csv", "--out", f"out{suffix}")
    expected = (model.transform if command == "encode" else model.reconstruct)(TABLE.astype("f4"))
    written = (
        np.load("out.npy") if suffix == ".npy" else np.loadtxt("out.csv", delimiter=",", skiprows=1)
    )
    assert code == 0 and "out" in out
    np.testing.assert_allclose(written, expected, rtol=1e-6, atol=1e-6)
    if suffix == ".csv":
        head = Path("out.csv").read_text().splitlines()[0]
        assert head == ("autoencoder0,autoencoder1" if command == "encode" else "a,b,c,d,e,f")


def test_a_single_row_can_be_encoded(run, model):
    np.save("one.npy", TABLE[:1])
    assert run("encode", "model", "--data", "one.npy", "--out", "codes.npy")[0] == 0
    np.testing.assert_allclose(
        np.load("codes.npy"), model.transform(TABLE[:1].astype("f4")), rtol=1e-6
    )


def test_the_split_can_be_chosen(run, model):
    run("encode", "model", "--data", "table.csv", "--split", "test", "--out", "codes.npy")
    np.testing.assert_allclose(
        np.load("codes.npy"), model.transform(nanoae.load_data("table.csv").flat()[1]), rtol=1e-5
    )


def test_images_come_back_as_images(run):
    pytest.importorskip("matplotlib")
    run("train", *SHORT, "--out", "model")
    assert run("reconstruct", "model", "--data", "digits", "--out", "again.npy")[0] == 0
    assert np.load("again.npy").shape == (1797, 8, 8)
    assert run("reconstruct", "model", "--data", "digits", "--out", "again.png")[0] == 0
    assert Path("again.png").read_bytes().startswith(b"\x89PNG")


def test_pca_models_work_too(run):
    nanoae.PCA(2).fit(TABLE).save("pca.npz")
    code, out, _ = run("evaluate", "pca.npz", "--data", "table.csv")
    assert code == 0 and "PCA, 6 features, code size 2" in out
    assert run("encode", "pca.npz", "--data", "table.csv", "--out", "codes.csv")[0] == 0
    code, _, err = run("gradcheck", "--model", "pca.npz")
    assert code == 2 and "expected an autoencoder, got PCA, which has no gradients" in err


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("evaluate", "model", "--data", "digits"), "expected X of shape (N, 6), got (360, 64)"),
        (("evaluate", "modle", "--data", "table.csv"), "modle: No such file or directory"),
        (("evaluate", "table.csv", "--data", "table.csv"), "expected a valid nanoae model"),
        (("evaluate", "model", "--data", "table.csv", "--backend", "tpu"), "got 'tpu'"),
        (
            ("encode", "model", "--data", "table.csv", "--out", "codes.txt"),
            "ending in .npy or .csv, got codes.txt",
        ),
        (
            ("encode", "model", "--data", "table.csv", "--out", "table.csv"),
            "a file other than the input",
        ),
        (
            ("encode", "model", "--data", "table.csv", "--out", "no/codes.npy"),
            "No such file or directory",
        ),
        (
            ("encode", "model", "--data", "digits", "--out", "codes.npy"),
            "expected X of shape (N, 6)",
        ),
        (
            ("reconstruct", "model", "--data", "digits", "--out", "table.npy"),
            "expected X of shape (N, 6)",
        ),
        (("encode", "model", "--data", "table.csv"), "--out"),
    ],
)
def test_mistakes_with_a_model(run, model, tmp_path, argv, match):
    before, table = everything_in(tmp_path), Path("table.csv").read_bytes()
    code, _, err = run(*argv)
    assert code == 2 and match in err and "Traceback" not in err
    assert everything_in(tmp_path) == before and Path("table.csv").read_bytes() == table


@pytest.mark.parametrize("command", ["evaluate", "encode", "reconstruct"])
@pytest.mark.parametrize(
    ("model", "hint"),
    [
        (nanoae.TextVAE(2, 4, epochs=1, backend="numpy"), "got TextVAE. Use nanoae text generate"),
        (
            nanoae.AnomalyDetector(nanoae.Autoencoder(2, (), epochs=1, backend="numpy")),
            "got AnomalyDetector. Use nanoae detect",
        ),
    ],
    ids=["text", "detector"],
)
def test_models_of_other_things_than_rows(run, command, model, hint):
    model.fit(
        ["a line of text", "and another"] if isinstance(model, nanoae.TextVAE) else TABLE
    ).save("other.npz")
    out = () if command == "evaluate" else ("--out", "x.csv")
    code, told, err = run(command, "other.npz", "--data", "table.csv", *out)
    assert (
        code == 2
        and not told
        and err.count("\n") == 1
        and f"expected an autoencoder of rows, {hint}" in err
    )
    assert names(".") == {"table.csv", "other.npz"}


# ---------------------------------------------------------------- bad input to train


def bad_files(folder):
    """A folder of files that nobody can learn from."""
    rows = ["a,b,c", *(f"{7 * i % 20},{i * i % 7},{i % 3}" for i in range(20))]

    def with_cell(text):
        return "\n".join([*rows[:5], f"4,{text},1", *rows[6:]])

    for text in ("nan", "inf", "", "tall"):
        Path(folder, f"{text or 'hole'}.csv").write_text(with_cell(text))
    Path(folder, "one.csv").write_text("1,2,3\n")
    Path(folder, "two.csv").write_text("1,2,3\n4,5,6\n")
    Path(folder, "empty.csv").touch()
    x = np.random.default_rng(0).standard_normal((30, 4))
    np.savez(Path(folder, "good.npz"), X=x)
    Path(folder, "cut.npz").write_bytes(Path(folder, "good.npz").read_bytes()[:-50])
    x[17, 2] = np.nan
    np.save(Path(folder, "nan.npy"), x)
    np.savez(Path(folder, "nan.npz"), x_train=x[:10], x_test=x[10:])
    np.save(Path(folder, "huge.npy"), np.where(np.isnan(x), 1e39, x))
    np.savez(Path(folder, "beyond.npz"), x_train=np.ones((9, 2)), x_test=np.full((9, 2), 1.5))
    np.savez(Path(folder, "pickle.npz"), X=np.array([{}], dtype=object))
    np.save(Path(folder, "text.npy"), np.full((5, 2), "a"))
    Path(folder, "taken").touch()
    Path(folder, "mnist").mkdir()
    Path(folder, "mnist", "train-images-idx3-ubyte").write_bytes(b"hello world")
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        Path(folder, "mnist", name).touch()


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("--data", "nan.csv", "--stacked", "2,1"), "nan.csv: expected a number in each cell"),
        (("--data", "inf.csv"), "got inf in row 6, column 'b'"),
        (("--data", "hole.csv", "--classify", "--label", "c"), "got text or missing values in b. "),
        (("--data", "tall.csv"), "row 6, column 'b', like (nearly) all of its cells, got 'tall'"),
        (("--data", "nan.npy"), "got nan in row 18, column 3 (counted from 1)"),
        (
            ("--data", "nan.npz"),
            "nan.npz, x_test: expected finite float32 numbers, got nan in row 8, column 3",
        ),
        (("--data", "huge.npy"), "got 1e+39 in row 18, column 3"),
        (("--data", "one.csv"), "N >= 2 examples"),
        (("--data", "two.csv"), "at least 2 rows to learn from"),
        (("--data", "empty.csv"), "expected rows of cells, got none"),
        (("--data", "cut.npz"), "expected a valid .npz file"),
        (("--data", "pickle.npz"), "got pickled objects"),
        (("--data", "text.npy"), "of real numbers, got dtype <U1"),
        (("--data", "mnist", "--data-dir", "."), "expected an IDX file"),
        (("--data", "digit"), "Did you mean 'digits'?"),
        (("--data", "gone.csv"), "no such file exists"),
        (("--data", "good.npz", "--loss", "bce"), 'expected values in [0, 1] with loss="bce"'),
        (("--data", "beyond.npz", "--loss", "bce"), 'with loss="bce", got [1.5, 1.5]'),
        (
            ("--data", "good.npz", "--label", "a"),
            "expected a .csv file to take the column 'a' from",
        ),
        (("--preset", "dense64"), "got 'dense64'. Did you mean 'dense-64'?"),
        (("--out", "taken"), "expected a folder that is empty and can be written, got taken"),
        (("--out", "taken/run"), "expected a folder that is empty and can be written, got taken"),
        (("--out", "."), "it already contains files"),
        (("--out", "new/er", "--epochs", "0"), "expected epochs to be a whole number >= 1, got 0"),
        (("--hidden", "12,a"), "--hidden"),
        (("--activation", "rleu"), "expected one of identity, relu"),
        (
            ("--optimizer", "adm"),
            "expected one of sgd, adam, adamw, rmsprop, or an Optimizer, got 'adm'. Did you mean 'adam'",
        ),
        (("--loss", "softmax_cross_entropy"), "expected a loss of reconstructions"),
        (("--learning-rate", "-1"), "expected learning_rate to be a number >= 0, got -1.0"),
        (("--patience", "3", "--validation-fraction", "0"), "Add --validation-fraction 0.1"),
        (("--backend", "tpu"), "got 'tpu'"),
        (("--dtype", "float16"), "dtype: expected one of float32, float64, got 'float16'"),
        (("--seed", "-1"), "argument --seed: expected whole numbers >= 0, got '-1'"),
        (("--epochs", "many"), "argument --epochs: expected whole numbers, or auto, got 'many'"),
        (("--name", "a", "--out", "b"), "not allowed with"),
        (("--colour",), "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(run, tmp_path, argv, match):
    bad_files(tmp_path)
    before = everything_in(tmp_path)
    code, out, err = run("train", *argv)
    assert code == 2 and match in err and "epoch" not in out
    assert err.count("\n") == 1 and err.startswith("nanoae") and "error: " in err
    assert everything_in(tmp_path) == before


def test_the_output_folder_is_tried_before_the_data_are_read(run, monkeypatch):
    monkeypatch.setattr("nanoae.cli.data.read", lambda *_: pytest.fail("the data were read first"))
    Path("taken").touch()
    assert run("train", "--out", "taken")[0] == 2


def test_a_folder_without_permission(run, monkeypatch):
    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    Path("locked").mkdir(mode=0o500)
    monkeypatch.setattr(Path, "mkdir", refused)  # as for all but root, who may write anywhere
    code, _, err = run("train", "--out", "locked/run")
    assert code == 2 and "Permission denied" in err and err.count("\n") == 1


def test_divergence_exits_1_and_leaves_nothing(run, tmp_path):
    before = everything_in(tmp_path)
    code, _, err = run("train", "--learning-rate", "1e30")
    assert code == 1 and "expected a finite loss" in err and "RuntimeWarning" not in err
    assert everything_in(tmp_path) == before


def test_a_figure_that_fails_costs_no_model(run, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("nanoae.report.loss_curves", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("train", "--epochs", "2")
    assert names("runs/digits-1") >= FILES and nanoae.load("runs/digits-1/model.npz")


# ---------------------------------------------------------------- Ctrl-C


def interrupt_at(monkeypatch, call):
    """The given call of Trainer.epoch meets a Ctrl-C."""
    calls, epoch = [], Trainer.epoch

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return epoch(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "epoch", interrupted)


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_keeps_what_was_learned(run, monkeypatch, epoch):
    pytest.importorskip("matplotlib")
    interrupt_at(monkeypatch, epoch)
    code, out, err = run("train", "--epochs", "50")
    assert (
        code == 130 and f"nanoae: warning: training was interrupted in epoch {epoch} of 50" in err
    )
    assert (
        config("runs/digits-1")["interrupted"]
        and config("runs/digits-1")["epochs_run"] == epoch - 1
    )
    drawn = FIGURES | {"weights.png"}
    assert names("runs/digits-1") == FILES | {"checkpoints"} | drawn - (
        {"loss.png"} if epoch == 1 else set()
    )
    assert (
        len(nanoae.load("runs/digits-1/model.npz").history_["loss"]) == epoch - 1
        and "test mse" in out
    )


@pytest.mark.parametrize(("call", "kept"), [(1, 2), (4, 2)])
def test_ctrl_c_ends_the_tuning_with_the_best_so_far(run, monkeypatch, call, kept):
    interrupt_at(monkeypatch, call)
    code, *_ = run("tune", "--grid", "code_size=2,3,4", *SHORT)
    told = config("runs/digits-tune-1")
    assert (
        code == 130
        and told["interrupted"]
        and told["settings"]["code_size"] == kept
        and len(told["tuning"]) == 1
    )


def test_ctrl_c_before_the_training_leaves_nothing(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nanoae.cli.data.read", interrupted)
    code, _, err = run("train")
    assert code == 130 and err == "nanoae: stopped\n" and not Path("runs").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_real_ctrl_c(tmp_path):
    command = process(
        "train", "--epochs", "100000", "--no-figures", cwd=tmp_path, env=environment()
    )
    for (
        line
    ) in command.stdout:  # from here on the signal is heeded, however long the first step takes
        if line.startswith("total"):
            break
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 130 and "Traceback" not in err and "test mse" in out
    assert names(tmp_path / "runs" / "digits-1") == FILES | {"checkpoints"}


@pytest.fixture
def as_from_a_terminal():
    """Ctrl-C is heeded, though a shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_leaves_a_run_that_goes_on(run, monkeypatch, as_from_a_terminal, name, code):
    whole, _, _ = run("train", "--epochs", "4", "--out", "whole", "--no-figures")
    sent = []

    def signalled(self, *args, **kwargs):
        if len(self.history["loss"]) == 2 and not sent:
            sent.append(os.kill(os.getpid(), getattr(signal, name)))
        return epoch(self, *args, **kwargs)

    epoch = Trainer.epoch
    monkeypatch.setattr(Trainer, "epoch", signalled)
    stopped, _, err = run("train", "--epochs", "4", "--out", "it's", "--no-figures")
    assert (whole, stopped) == (0, code)
    assert f"nanoae: stopped by {name}; resume with: nanoae train --resume 'it'\"'\"'s'" in err
    assert not config("it's")["complete"] and names("it's") == FILES | {"checkpoints"}
    assert run("train", "--resume", "it's")[0] == 0
    assert config("it's")["complete"] and names("it's") == FILES
    theta, again = (nanoae.load(f"{name}/model.npz").network_.theta for name in ("whole", "it's"))
    assert np.array_equal(theta, again)
    _, _, err = run("train", "--resume", "it's")
    assert "got it's without checkpoints/command.json: the run is complete, or" in err


@pytest.mark.skipif(sys.platform != "linux", reason="terminals")
def test_a_terminal_that_is_closed(tmp_path):
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, by children too
        words = "-m nanoae train --epochs 100000 --no-figures --out run"
        command = [sys.executable, *words.split()]
        os.execve(sys.executable, command, environment())
    seen = b""
    while b"total" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129
    assert (
        names(tmp_path / "run") == FILES | {"checkpoints"}
        and not config(tmp_path / "run")["complete"]
    )


def test_a_model_that_cannot_be_written_is_written_elsewhere(run, monkeypatch):
    def full(model, path, notes):
        if Path("run") in Path(path).parents:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_model(model, path, notes)

    with monkeypatch.context() as patch:
        patch.setattr("nanoae.cli.results.save_model", full)
        code, _, err = run("train", "--epochs", "2", "--no-figures", "--out", "run")
    assert code == 2 and "run/model.npz: No space left on device. The model was saved to " in err
    elsewhere = Path(err.strip().splitlines()[-1].split("The model was saved to ")[1])
    assert len(nanoae.load(elsewhere).history_["loss"]) == 2
    assert run("train", "--resume", "run")[0] == 0 and config("run")["complete"]


def test_divergence_keeps_the_best_weights(run):
    options = (
        "--epochs",
        "9",
        "--learning-rate",
        "step_decay:1e-3,100,1e9",
        "--batch-size",
        "32",
        "--no-figures",
    )
    code, out, err = run("train", *options, "--out", "run")
    assert code == 1 and "The best weights so far are kept" in err and "test mse" in out
    told = config("run")
    assert names("run") == FILES and not told["complete"] and told["epochs_run"] == 2
    code, _, err = run("train", *options, "--out", "again", "--on-divergence", "restore")
    assert "Going back to the end of epoch 2" in err


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_tune_goes_on_from_the_settings_that_are_finished(run, monkeypatch):
    fitted = []

    def signalled(self, *args, **kwargs):
        fitted.append(self.network.layers[4].n_out)
        if len(fitted) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return epoch(self, *args, **kwargs)

    epoch = Trainer.epoch
    monkeypatch.setattr(Trainer, "epoch", signalled)
    grid = ("tune", "--grid", "code_size=2,3,4", "--epochs", "3", "--hidden", "8,8", "--no-figures")
    assert run(*grid, "--out", "tuned")[0] == 143 and fitted == [2, 2, 2, 3]
    assert run("tune", "--resume", "tuned")[0] == 0 and fitted == [2, 2, 2, 3, 3, 3, 3, 4, 4, 4]
    assert [row["code_size"] for row in config("tuned")["tuning"]] == [2, 3, 4]
    assert run(*grid, "--out", "whole")[0] == 0
    theta, again = (nanoae.load(f"{name}/model.npz").network_.theta for name in ("whole", "tuned"))
    assert np.array_equal(theta, again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--resume", "nothing"), "expected the folder of a run that was stopped, got nothing"),
        (("--resume", "tuned"), "expected a run of `nanoae train`, got one of `tune --grid"),
        (
            ("--resume", "tuned", "--epochs", "3"),
            "--epochs: expected no option but --quiet with --resume",
        ),
        (("--resume", "torn"), "torn/checkpoints/command.json: expected the words of a command"),
        (("--resume", "odd"), "odd/checkpoints/command.json: expected a list of words, got"),
    ],
)
def test_what_cannot_be_resumed_is_told(run, options, words):
    for folder, text in {
        "tuned": '["tune", "--grid", "a"]',
        "torn": "[[",
        "odd": '["train", 5]',
    }.items():
        Path(folder, "checkpoints").mkdir(parents=True)
        Path(folder, "checkpoints", "command.json").write_text(text)
    code, _, err = run("train", *options)
    assert code == 2 and words in err


# ---------------------------------------------------------------- gradcheck


def test_gradcheck_covers_every_layer_and_every_loss(run):
    not_built_alone = {
        activations.Elementwise,
        layers.Noisy,
        Penalty,
        ImageLayer,
        Convolution,
        Pooling,
        Summing,
        InPlace,
        LinearActivation,
        FactorTap,
    }
    missing = {cls.__name__ for cls in set(everything(layers.Layer)) - not_built_alone} - set(
        gradcheck.LAYERS
    )
    assert not missing, f"add a line to LAYERS in nanoae/cli/gradcheck.py for {missing}"
    assert set(gradcheck.LOSSES) == {cls.__name__ for cls in everything(losses.Loss)}
    code, out, _ = run("gradcheck", "--all")
    assert (
        code == 0
        and "FAIL" not in out
        and f"{len(gradcheck.LAYERS) + len(gradcheck.LOSSES) + 1} checked" in out
    )
    assert all(f"\n{name}\n" in f"\n{out}" for name in (*gradcheck.LAYERS, *gradcheck.LOSSES))


@pytest.mark.parametrize("argv", [(), ("--all",), ("--layer", "Tanh"), ("--model", "model")])
def test_gradcheck_exits_1_for_a_wrong_backward(run, monkeypatch, argv):
    run("train", "--activation", "tanh", "--out", "model", *SHORT)
    assert run("gradcheck", *argv)[0] == 0
    monkeypatch.setattr(
        activations.Tanh, "df", lambda self, dy, y, out: self.ops.multiply(dy, y, out=out)
    )
    code, out, _ = run("gradcheck", *argv)
    assert code == 1 and "FAIL" in out and "FAILED" in out.splitlines()[-1]


def test_gradcheck_of_an_unknown_layer(run):
    code, out, err = run("gradcheck", "--layer", "tahn")
    assert code == 2 and not out and "got 'tahn'. Did you mean 'Tanh'?" in err


# ---------------------------------------------------------------- info, help, the shell


def test_info_tells_what_a_bug_report_needs(run):
    code, out, _ = run("info", "--data-dir", "somewhere")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and told["nanoae"] == nanoae.__version__ and told["numpy"] == np.__version__
    assert {"python", "BLAS", "CPU", "GPU", "mnist", "fashion-mnist"} <= told.keys()
    assert "not found" in told["mnist"] and "somewhere" in told["mnist"]


def test_every_command_has_an_example_that_parses(run):
    parser = command_line()
    lines = [
        line.split("  ")[0].split()[1:] for line in re.findall(r"^  (nanoae .*)", EPILOG, re.M)
    ]
    for argv in lines:
        parser.parse_args(argv)
    commands = {argv[0] for argv in lines}
    assert commands == set(parser._subparsers._group_actions[0].choices)
    for command in commands - {"text"}:  # test_text has its examples
        code, out, _ = run(command, "--help")
        example = " ".join(out[out.index("example: ") :].split()[1:])
        assert (
            code == 0
            and example.startswith(f"nanoae {command}")
            and parser.parse_args(example.split()[1:])
        )


def test_version_and_no_command(run):
    assert run("--version")[:2] == (0, f"nanoae {nanoae.__version__}\n")
    code, out, err = run()
    assert code == 2 and not out and "examples:" in err


def test_a_reader_that_goes_away(tmp_path):
    with process("info", cwd=tmp_path, env=environment()) as command:
        command.stdout.close()
        assert not command.stderr.read() and command.wait() == 141


def test_nothing_heavy_is_imported(tmp_path):
    check = "import sys, nanoae.cli; assert not {'matplotlib', 'tqdm', 'sklearn', 'PIL', 'cupy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=tmp_path, env=environment())


# ---------------------------------------------------------------- generate


@pytest.fixture(scope="module")
def drawers(tmp_path_factory, digits):
    """Files of three models of the digits: plain, variational of two numbers, conditional."""
    folder, labels = tmp_path_factory.mktemp("drawers"), nanoae.load_data("digits").y_train
    settings = {"epochs": 1, "backend": "numpy", "random_state": 0}
    nanoae.Autoencoder(3, (8,), **settings).fit(digits[0]).save(folder / "plain.npz")
    nanoae.VariationalAutoencoder(2, (8,), **settings).fit(digits[0]).save(folder / "vae.npz")
    nanoae.VariationalAutoencoder(2, (8,), **settings).fit(digits[0], condition=labels).save(
        folder / "cvae.npz"
    )
    return folder


@pytest.mark.parametrize(
    ("model", "options", "shape"),
    [
        ("vae", (), (64, 64)),
        ("vae", ("--count", 3, "--temperature", 0.5), (3, 64)),
        ("vae", ("--manifold",), (400, 64)),
        ("vae", ("--traverse",), (22, 64)),
        ("cvae", ("--condition", 7, "--count", 2), (2, 64)),
        ("plain", ("--data", "digits", "--mixture", 3), (64, 64)),
    ],
)
def test_generate(run, drawers, model, options, shape):
    file = drawers / f"{model}.npz"
    for suffix in (".npy", ".csv", ".png"):
        code, out, err = run("generate", file, *options, "--out", f"drawn{suffix}")
        assert (code, err) == (0, "") and f"{shape[0]} examples" in out, err
    drawn = np.load("drawn.npy")
    assert drawn.shape == shape and Path("drawn.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_allclose(np.loadtxt("drawn.csv", delimiter=","), drawn, rtol=1e-6)
    run("generate", file, *options, "--out", "again.npy")
    np.testing.assert_array_equal(np.load("again.npy"), drawn)


def test_colour_images_are_drawn_as_images(run, monkeypatch):
    pytest.importorskip("matplotlib")
    from nanoae import report

    drawn = []
    monkeypatch.setattr(
        report, "image_grid", lambda path, x, shape, *more: drawn.append((x, shape))
    )
    photos = np.random.default_rng(0).integers(0, 256, (60, 9, 10, 3), np.uint8)
    np.savez("photos.npz", x_train=photos[:50], x_test=photos[50:])
    small = ("--preset", "vae-20", "--hidden", "4", "--code-size", "2", "--out", "run")
    assert run("train", "--data", "photos.npz", *small, *SHORT)[0] == 0
    assert run("generate", "run", "--count", "5", "--seed", "0", "--out", "drawn.png")[0] == 0
    ((x, shape),) = drawn
    rows = nanoae.load("run/model.npz").sample(5, 0, 1.0)
    np.testing.assert_array_equal(x, rows)
    assert shape == (9, 10, 3)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("plain", ("--out", "x.png"), "Fit one to the codes of its training rows: --mixture 10"),
        ("plain", ("--out", "x.png", "--mixture", 3), "--mixture N and --data NAME together"),
        (
            "vae",
            ("--out", "x.gif"),
            "--out: expected a file name ending in .npy or .csv or .png, got x.gif",
        ),
        (
            "vae",
            ("--out", "x.npy", "--condition", 7),
            "--condition: expected none: this model is not conditional, got",
        ),
        (
            "cvae",
            ("--out", "x.npy", "--condition", 12),
            "--condition: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, got",
        ),
        (
            "cvae",
            ("--out", "x.npy"),
            "--condition: expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, got none.",
        ),
        ("vae", ("--out", "x.npy", "--count", 0), "expected n to be a whole number >= 1"),
        ("vae", ("--out", "x.npy", "--count", 10**9), "rows of 64 numbers, got 1,000,000,000"),
    ],
)
def test_generate_tells_mistakes_in_one_line(run, drawers, tmp_path, model, options, message):
    code, out, err = run("generate", drawers / f"{model}.npz", *options)
    assert code == 2 and message in err and err.count("\n") == 1 and out == ""
    assert not list(tmp_path.glob("*x.*"))


def test_gradcheck_of_a_conditional_model(run, drawers):
    assert run("gradcheck", "--model", drawers / "cvae.npz")[0] == 0


def test_a_conditional_model_is_told_the_labels(run, digits):
    vae = ("--data", "digits", "--preset", "vae-20", "--hidden", "16", "--code-size", "2")
    code, _, err = run("train", *vae, "--conditional", "--epochs", 2, "--each-epoch", "--out", "c")
    assert (code, err) == (0, "") and {"samples.png", "codes.png", "epochs"} <= {
        file.name for file in Path("c").iterdir()
    }
    model, data = nanoae.load("c/model.npz"), nanoae.load_data("digits")
    (x_train, x_test), labels = data.flat(), (data.y_train, data.y_test)
    assert json.loads(Path("c/config.json").read_text())["results"]["test"] == model.evaluate(
        x_test, labels[1]
    )
    assert (
        f"elbo {model.score(x_test, condition=labels[1]):.2f} nats"
        in run("evaluate", "c", "--data", "digits")[1]
    )
    for command, method in (("encode", model.transform), ("reconstruct", model.reconstruct)):
        assert run(command, "c", "--data", "digits", "--out", "out.npy")[0] == 0
        expected = [method(x, label) for x, label in zip((x_train, x_test), labels, strict=True)]
        np.testing.assert_array_equal(
            np.load("out.npy").reshape(len(x_train) + len(x_test), -1), np.concatenate(expected)
        )
    run("generate", "c", "--data", "digits", "--mixture", 2, "--condition", 7, "--out", "out.npy")
    model.fit_prior(x_train, 2, random_state=0, condition=labels[0])
    np.testing.assert_array_equal(np.load("out.npy"), model.sample(64, 0, condition=7))
    code, out, _ = run(
        "tune", *vae, "--conditional", "--epochs", 1, "--grid", "batch_size=64,128", "--out", "t"
    )
    assert code == 0 and "best    batch_size" in out and Path("t/samples.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--data", "digits"),
            "--conditional: expected a variational autoencoder, got Autoencoder. Use --preset vae-20,",
        ),
        (
            ("--data", "table.csv", "--preset", "vae-20"),
            "expected a label for each training row, got none in table.csv",
        ),
    ],
)
def test_conditional_tells_what_it_needs(run, options, message):
    code, _, err = run("train", "--conditional", *options)
    assert code == 2 and message in err and not Path("runs").exists()


def test_a_variational_autoencoder_is_told_in_nats(run, drawers):
    code, out, _ = run("evaluate", drawers / "vae.npz", "--data", "digits")
    assert code == 0
    assert re.search(
        r"test elbo -\d+\.\d\d nats \(reconstruction -\d+\.\d\d, KL \d+\.\d\d\), [012] units active   mse",
        out,
    )


# ---------------------------------------------------------------- bench


def test_bench_times_the_model_and_says_which_device(run, monkeypatch):
    from cupy_standin import standin_ops

    options = ("bench", "--seconds", "0.02", "--hidden", "8", "--code-size", "3")
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.delenv("NANOAE_BACKEND", raising=False)
    code, told, _ = run(*options)
    assert (
        code == 0
        and "us per step" in told
        and "CuPy is not installed" in told
        and "Use the CPU" in told
    )
    assert (
        run(*options, "--backend", "numpy")[0] == 0 and run(*options, "--backend", "cupy")[0] == 2
    )
    try:
        standin_ops()
    except BackendError:
        return
    monkeypatch.setattr("nanoae.backend._cupy_ops", standin_ops)
    code, told, _ = run(*options)
    assert code == 0 and told.count("us per step") == 2 and "Use the CPU, --backend numpy" in told
    code, _, said = run("bench", "--classify", "--stacked", "8,3")
    assert code == 2 and "expected an autoencoder" in said


def test_ctrl_c_ends_the_bench(run, monkeypatch):
    epochs, epoch = [], Trainer.epoch

    def interrupted(*args, **kwargs):
        epochs.append(1)
        if len(epochs) == 5:
            raise KeyboardInterrupt
        return epoch(*args, **kwargs)

    monkeypatch.setattr(Trainer, "epoch", interrupted)
    code, told, said = run("bench", "--backend", "numpy", "--hidden", "8", "--code-size", "3")
    assert code == 130 and "us per step" not in told and "kept" not in said


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_labels_of_one_split_only(run, digits, split):
    """What is there is used; what is not is told, by its name."""
    data = nanoae.load_data("digits")
    np.savez("half.npz", x_train=data.x_train, x_test=data.x_test, y_train=data.y_train)
    nanoae.StackedClassifier((8,), epochs=1, backend="numpy").fit(digits[0], data.y_train).save(
        "model.npz"
    )
    code, told, said = run("evaluate", "model.npz", "--data", "half.npz", "--split", split)
    if split == "train":
        assert code == 0 and "train error" in told
    else:
        assert code == 2 and "expected a label for each test row, got none in half.npz" in said
