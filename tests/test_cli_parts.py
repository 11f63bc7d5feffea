"""Can every part and every stacked estimator be had from the command line, and is a mistake in one told with a hint?"""

import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import FIGURES, FILES, SHORT, TABLE, config, names, run  # noqa: F401

import nanoae
from nanoae import GaussianNoise, KLSparsity, MaskingNoise, SaltAndPepper, TopK
from nanoae.autoencoders.bottleneck import BOTTLENECKS
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.penalty import PENALTIES
from nanoae.configurable import numbers, parse_spec
from nanoae.training.schedules import SCHEDULES

KNOWN = {
    **CORRUPTIONS,
    **PENALTIES,
    **SCHEDULES,
    **{name: kind for name, kind in BOTTLENECKS.items() if kind is TopK},
}
SIGMOID = ("--code-activation", "sigmoid", "--hidden", "none")


# ---------------------------------------------------------------- parts by text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gaussian:0.5", GaussianNoise(0.5)),
        ("masking:0.3", MaskingNoise(0.3)),
        ("masking", MaskingNoise()),
        ("salt_and_pepper:0.1,-1,2", SaltAndPepper(0.1, -1.0, 2.0)),
        ("l1:3e-4", nanoae.L1Sparsity(3e-4)),
        ("kl:0.05,0.1", KLSparsity(0.05, 0.1)),
        ("kl:0.05:0.1", KLSparsity(0.05, 0.1)),
        ("contractive:0.1", nanoae.Contractive(0.1)),
        ("top_k:10", TopK(10)),
        ("top_k:10,1.5", TopK(10, 1.5)),
        ("cosine:1e-3,1e-5", nanoae.Cosine(1e-3, 1e-5)),
        ("step_decay:1e-3,100", nanoae.StepDecay(1e-3, 100)),
    ],
)
def test_a_text_is_the_part_it_names(text, part):
    assert repr(parse_spec(text, KNOWN)) == repr(part)


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_name_takes_numbers_for_what_it_needs(name):
    wanted = list(numbers(KNOWN[name]).values())[:2]
    text = (
        f"{name}:{','.join('0.1' if kind is float else '2' for kind in wanted)}"
        if name != "top_k"
        else "top_k:2"
    )
    assert type(parse_spec(text, KNOWN)) is KNOWN[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gausian:0.5",
            r"expected one of gaussian:STD, .*; got 'gausian:0.5'. Did you mean 'gaussian'\?",
        ),
        ("kl:0.05,a", r"expected kl:TARGET,WEIGHT, numbers, got 'kl:0.05,a'"),
        ("kl:1,2,3", r"expected kl:TARGET,WEIGHT, numbers, got"),
        ("top_k:1.5", r"expected top_k:K,ALPHA, numbers, got 'top_k:1.5'"),
        ("top_k", r"expected top_k:K,ALPHA, numbers, got 'top_k'"),
        ("gaussian:", r"expected gaussian:STD, numbers, got"),
        ("", r"expected one of gaussian:STD"),
        ("l1:-1", r"L1Sparsity: expected weight >= 0, got -1.0"),
    ],
)
def test_a_text_that_names_none_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        parse_spec(text, KNOWN)


# ---------------------------------------------------------------- parts as options


@pytest.mark.parametrize(
    ("options", "name", "kind"),
    [
        (("--corruption", "gaussian:0.5"), "corruption", "GaussianNoise"),
        (("--corruption", "masking:0.3"), "corruption", "MaskingNoise"),
        (("--corruption", "salt_and_pepper:0.1"), "corruption", "SaltAndPepper"),
        (("--penalty", "l1:3e-4"), "penalty", "L1Sparsity"),
        (("--penalty", "kl:0.05,0.1", *SIGMOID), "penalty", "KLSparsity"),
        (("--penalty", "contractive:0.1", *SIGMOID), "penalty", "Contractive"),
        (("--bottleneck", "top_k:2"), "bottleneck", "TopK"),
        (("--learning-rate", "cosine:1e-2"), "learning_rate", "Cosine"),
    ],
)
def test_train_with_a_part_and_use_the_model(run, options, name, kind):  # noqa: F811
    code, _, err = run(
        "train", "--data", "table.csv", "--code-size", "3", *options, "--out", "m", *SHORT
    )
    assert code == 0 and not err
    assert config("m")["settings"][name]["type"] == kind
    model = nanoae.load("m/model.npz")
    assert type(getattr(model, name)).__name__ == kind
    for command in ("encode", "reconstruct"):
        assert run(command, "m", "--data", "table.csv", "--out", f"{command}.npy")[0] == 0
    np.testing.assert_allclose(
        np.load("encode.npy"), model.transform(TABLE.astype("f4")), atol=1e-6
    )
    test = config("m")["results"]["test"]
    assert f"mse {test['mse']:.4g}" in run("evaluate", "m", "--data", "table.csv")[1]


def test_figures_of_a_corruption_and_of_weights(run):  # noqa: F811
    pytest.importorskip("matplotlib")
    assert run("train", "--epochs", "1", "--corruption", "gaussian:0.5", "--out", "a")[0] == 0
    assert names("a") == FILES | FIGURES | {"denoising.png", "weights.png"}
    assert (
        run(
            "train",
            "--epochs",
            "1",
            "--data",
            "table.csv",
            "--corruption",
            "masking:0.1",
            "--out",
            "c",
        )[0]
        == 0
    )
    # a table's profiles; its weights are no images
    assert names("c") == FILES | FIGURES | {"denoising.png"}


def test_a_grid_of_parts(run):  # noqa: F811
    grid = ("--grid", "penalty=l1:1e-3,none", "--grid", "corruption=masking:0.1,gaussian:0.1")
    code, out, _ = run("tune", "--data", "table.csv", *grid, *SHORT)
    assert code == 0 and "L1Sparsity()" in out and "MaskingNoise(p=0.1)" in out
    told = config("runs/table-tune-1")
    assert (
        told["grid"]["penalty"] == [{"type": "L1Sparsity", "weight": 1e-3}, None]
        and len(told["tuning"]) == 4
    )


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("train", "--corruption", "gausian:0.5"), "Did you mean 'gaussian'?"),
        (("train", "--penalty", "l1:-1"), "argument --penalty: L1Sparsity: expected weight >= 0"),
        (
            ("train", "--penalty", "kl:0.1,1"),
            'KLSparsity: expected a code in (0, 1), with code_activation="sigmoid"',
        ),
        (("train", "--bottleneck", "top_k:99"), "expected a code (N, K) with K >= 99"),
        (("train", "--learning-rate", "fast"), "expected one of constant:LR, cosine:LR,FINAL"),
        (
            ("train", "--dropout", "0.5"),
            "--dropout: expected a setting of Autoencoder: --code-size, ",
        ),
        (
            ("train", "--stacked", "9,3", "--hidden", "9"),
            "--hidden: expected a setting of StackedAutoencoder: --stacked",
        ),
        (
            ("train", "--stacked", "9,3", "--corruption", "masking:0.1/none/none"),
            "one corruption, or 2, one for each",
        ),
        (
            ("train", "--corruption", "masking:0.1/masking:0.2"),
            "expected corruption=None or one like",
        ),
        (("train", "--classify", "--dropout", "0.2,0.5,0.5"), "expected dropout, a fraction"),
        (
            ("train", "--classify", "--data", "table.csv"),
            "expected a label for each training row, got none in table",
        ),
        (("train", "--classify", "--regress"), "not allowed with"),
        (
            ("train", "--classify", "--each-epoch"),
            "--each-epoch: expected an autoencoder, got StackedClassifier",
        ),
        (("tune", "--grid", "penalty=l2:1"), "--grid: penalty: expected one of l1:WEIGHT"),
        (("tune", "--grid", "dropout=a", "--classify"), "--grid: expected fractions like 0.5"),
    ],
)
def test_a_mistake_is_told_and_leaves_nothing(run, argv, match):  # noqa: F811
    code, _, err = run(*argv, *SHORT)
    assert code == 2 and match in err and "Traceback" not in err and not Path("runs").exists()


# ---------------------------------------------------------------- stacked


def test_a_stacked_autoencoder(run):  # noqa: F811
    options = (
        "--stacked",
        "20,10,4",
        "--pretrain-epochs",
        "3",
        "--corruption",
        "masking:0.1/gaussian:0.1/none",
    )
    code, out, err = run("train", *options, *SHORT, "--out", "m")
    assert code == 0 and not err
    assert [
        line for line in out.splitlines() if line.startswith("layer 2")
    ] and "layer 3  epoch   3 of 3" in out
    model = nanoae.load("m/model.npz")
    assert isinstance(model, nanoae.StackedAutoencoder) and model.code_size_ == 4
    assert [repr(part) for part in model.corruption] == [
        "MaskingNoise(p=0.1)",
        "GaussianNoise(std=0.1)",
        "None",
    ]
    assert [len(history["loss"]) for history in model.pretrain_history_] == [3, 3, 3]
    assert run("reconstruct", "m", "--data", "digits", "--out", "again.npy")[0] == 0
    assert "PCA-4" in run("evaluate", "m", "--data", "digits")[1]


def test_a_preset_can_be_stacked(run):  # noqa: F811
    data = nanoae.load_data("digits")
    np.savez("few.npz", X=data.x_train[:60], y=data.y_train[:60])
    options = [
        "--preset",
        "deep-32",
        "--data",
        "few.npz",
        "--stacked",
        "20,5",
        "--pretrain-epochs",
        "1",
        *SHORT,
    ]
    assert run("train", *options, "--out", "m")[0] == 0
    settings = config("m")["settings"]
    assert (
        settings["sizes"] == [20, 5]
        and settings["loss"] == "bce"
        and settings["code_activation"] == "relu"
    )


def test_a_classifier_tells_its_test_error(run):  # noqa: F811
    options = (
        "--classify",
        "--stacked",
        "30,20",
        "--dropout",
        "0.1,0.2",
        "--corruption",
        "masking:0.2",
    )
    code, out, err = run("train", *options, "--epochs", "8", "--batch-size", "32", "--out", "m")
    assert code == 0 and not err
    data, model = nanoae.load_data("digits"), nanoae.load("m/model.npz")
    error = 1 - model.score(data.flat()[1], data.y_test)
    told = f"test error {100 * error:.2f} %   cross-entropy {model.evaluate(data.flat()[1], data.y_test)['loss']:.4g}"
    assert error < 0.2 and told in out and told in run("evaluate", "m", "--data", "digits")[1]
    assert (
        config("m")["results"]["test"]["error"] == pytest.approx(error)
        and config("m")["results"]["pca"] is None
    )
    assert run("encode", "m", "--data", "digits", "--out", "codes.npy")[0] == 0
    assert np.load("codes.npy").shape == (1797, 20)
    code, _, err = run("reconstruct", "m", "--data", "digits", "--out", "again.npy")
    assert (
        code == 2
        and "expected an autoencoder, got StackedClassifier" in err
        and not Path("again.npy").exists()
    )
    if Path("m/loss.png").exists():
        assert names("m") == FILES | FIGURES - {"reconstructions.png"} | {"weights.png"}


def labelled(name, y):
    rows = np.column_stack([TABLE, y])
    np.savetxt(name, rows, delimiter=",", header="a,b,c,d,e,f,y", comments="", fmt="%.9g")


def test_rows_without_a_label_are_pretrained_on_and_not_tested(run):  # noqa: F811
    y = (TABLE[:, 0] > 0).astype(int)
    y[::3] = -1
    labelled("some.csv", y)
    options = ("--data", "some.csv", "--label", "y", "--classify", "--stacked", "5")
    code, out, _ = run("train", *options, *SHORT, "--out", "m")
    assert code == 0 and "test error" in out
    assert nanoae.load("m/model.npz").classes_.tolist() == [0, 1]


def test_a_regressor_tells_r2(run):  # noqa: F811
    labelled("y.csv", TABLE[:, 0] * 3 + 7)
    options = ("--data", "y.csv", "--label", "y", "--regress", "--stacked", "10")
    code, out, _ = run("train", *options, "--epochs", "300", "--no-figures", "--out", "m")
    r2 = json.loads(Path("m/config.json").read_text())["results"]["test"]["r2"]
    assert code == 0 and f"test R² {r2:.4g}" in out and r2 > 0.5


def test_tune_chooses_a_classifier(run):  # noqa: F811
    data = nanoae.load_data("digits")
    np.savez("few.npz", X=data.x_train[:99], y=data.y_train[:99])
    options = ["--data", "few.npz", "--classify", "--stacked", "10", "--pretrain-epochs", "1"]
    code, out, _ = run("tune", *options, "--grid", "dropout=0,0.1x0.5", *SHORT)
    assert code == 0 and out.count("test error") == 1
