"""Is a mistake told in the user's own words: what was wrong, where, what is known, what may have been meant?"""

import inspect
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae.anomaly import scores
from nanoae.anomaly.thresholds import Threshold
from nanoae.autoencoders.bottleneck import BOTTLENECKS
from nanoae.autoencoders.corruption import CORRUPTIONS
from nanoae.autoencoders.mixture import Mixture
from nanoae.autoencoders.penalty import PENALTIES
from nanoae.autoencoders.presets import PRESETS, preset
from nanoae.backend import CUPY_OPTIONS
from nanoae.cli import main
from nanoae.cli.gradcheck import LAYERS, LOSSES
from nanoae.cli.settings import SETTINGS, option
from nanoae.configurable import from_config, parse_spec
from nanoae.data import scaling
from nanoae.data.catalogue import NAMES
from nanoae.engine import activations, init, losses, optim
from nanoae.training.schedules import SCHEDULES

X = np.random.default_rng(0).random((12, 4), np.float32)
Y = np.arange(12) % 2
LINES = ["a red fox", "a blue fox", "the red hen"] * 4
SMALL = {"epochs": 1, "backend": "numpy", "random_state": 0}
CODE = {"code_size": 2, **SMALL}
FITS = {  # each estimator, with settings of one's own, learns
    nanoae.Autoencoder: lambda **own: nanoae.Autoencoder(**{**CODE, **own}).fit(X),
    nanoae.ConvAutoencoder: lambda **own: nanoae.ConvAutoencoder(**{**CODE, **own}).fit(
        np.zeros((4, 784))
    ),
    nanoae.StackedAutoencoder: lambda **own: nanoae.StackedAutoencoder(
        (3, 2), **{**SMALL, **own}
    ).fit(X),
    nanoae.StackedClassifier: lambda **own: nanoae.StackedClassifier((3,), **{**SMALL, **own}).fit(
        X, np.arange(12) % 2
    ),
    nanoae.StackedRegressor: lambda **own: nanoae.StackedRegressor((3,), **{**SMALL, **own}).fit(
        X, X[:, 0]
    ),
    nanoae.VariationalAutoencoder: lambda **own: nanoae.VariationalAutoencoder(
        **{**CODE, **own}
    ).fit(X),
    nanoae.TextVAE: lambda **own: nanoae.TextVAE(**{**CODE, **own}).fit(LINES),
    nanoae.AnomalyDetector: lambda **own: nanoae.AnomalyDetector(**own).fit(X),
}
NAMED = [  # every parameter that is a name: what has a text as its default
    (kind, parameter)
    for kind in FITS
    for parameter, found in inspect.signature(kind).parameters.items()
    if isinstance(found.default, str) or parameter == "scores"
]


def classes(known):
    return [cls.__name__ for cls in known.values()]


def command(*argv, capsys):
    """The one line in which the command tells a mistake."""
    try:
        code = main(argv)
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.count("\n") == 1
    return err


# ------------------------------------------------------------------------------ did you mean

LOOK_UPS = {  # what takes a name -> (how it is asked for, the names that there are)
    "activation": (activations.activation, activations.ACTIVATIONS),
    "backend": (nanoae.get_ops, ("numpy", "cupy", "auto")),
    "backend cupy:": (lambda name: nanoae.get_ops(f"cupy:{name}"), CUPY_OPTIONS),
    "bottleneck": (lambda part: FITS[nanoae.Autoencoder](bottleneck=part), classes(BOTTLENECKS)),
    "corruption": (lambda part: FITS[nanoae.Autoencoder](corruption=part), classes(CORRUPTIONS)),
    "penalty": (lambda part: FITS[nanoae.Autoencoder](penalty=part), classes(PENALTIES)),
    "threshold": (
        lambda rule: FITS[nanoae.AnomalyDetector](threshold=rule),
        [cls.__name__ for cls in Threshold.__subclasses__() if "nanoae" in cls.__module__],
    ),
    "covariance": (lambda name: Mixture.fit(X, 2, name), ("full", "diag")),
    "initializer": (init.get, init.INITIALIZERS),
    "layer or loss in a file": (lambda name: from_config({"type": name}), [*LAYERS, *LOSSES]),
    "load_data": (nanoae.load_data, NAMES),
    "loss": (losses.get, losses.LOSSES),
    "Masked": (nanoae.Masked, losses.LOSSES),
    "optimizer": (lambda name: optim.get(name, 1e-3, 0.0), optim.OPTIMIZERS),
    "parameter": (
        lambda name: nanoae.Autoencoder().set_params(**{name: 1}),
        nanoae.Autoencoder().get_params(),
    ),
    "parameter of a part": (
        lambda name: nanoae.AnomalyDetector(nanoae.Autoencoder()).set_params(
            **{f"autoencoder__{name}": 1}
        ),
        nanoae.Autoencoder().get_params(),
    ),
    "per": (
        lambda per: nanoae.PCA(2).fit(X).reconstruction_error(X, per=per),
        ("row", "feature", "element"),
    ),
    "preset": (preset, PRESETS),
    "reduction": (nanoae.MSE, losses.REDUCTIONS),
    "set_output": (
        lambda name: nanoae.PCA().set_output(transform=name),
        ("pandas", "polars", "default"),
    ),
    "scaling": (scaling.get, scaling.SCALERS),
    "scores": (scores.get, scores.SCORES),
    **{
        f"text of a {what}": (lambda text, known=known: parse_spec(text, known), known)
        for what, known in {
            "corruption": CORRUPTIONS,
            "bottleneck": BOTTLENECKS,
            "penalty": PENALTIES,
            "schedule": SCHEDULES,
        }.items()
    },
}


@pytest.mark.parametrize("what", LOOK_UPS)
def test_a_name_that_is_nearly_right_is_told_the_right_one(what):
    ask, known = LOOK_UPS[what]
    for name in known:
        with pytest.raises(
            ValueError, match=rf"got '?{name + name[-1]}'?.*Did you mean .*'{name}'"
        ):
            ask(name + name[-1])


@pytest.mark.parametrize(("kind", "parameter"), NAMED)
def test_so_is_every_parameter_of_every_estimator(kind, parameter):
    default = inspect.signature(kind).parameters[parameter].default
    name = default[0] if parameter == "scores" else default
    with pytest.raises(ValueError, match=rf"{parameter}.*got '{name}x'\. Did you mean .*'{name}'"):
        FITS[kind](**{parameter: f"{name}x"})


@pytest.mark.parametrize(("kind", "parameter"), NAMED)
def test_what_is_no_name_at_all_is_told_by_its_parameter(kind, parameter):
    for wrong in (None, -3, [], ["mse", -3], {}, object()):
        if (parameter, wrong) == ("patience", None):  # never stop early
            continue
        with pytest.raises(ValueError, match=f"{parameter}.*expected|expected.*{parameter}"):
            FITS[kind](**{parameter: wrong})


NUMBERS = [  # every parameter that is a number
    (kind, parameter)
    for kind in FITS
    for parameter, found in inspect.signature(kind).parameters.items()
    if isinstance(found.default, (int, float)) and not isinstance(found.default, bool)
]


@pytest.mark.parametrize(("kind", "parameter"), NUMBERS)
def test_a_number_that_cannot_be_is_told_by_its_parameter(kind, parameter):
    own = {"likelihood": "gaussian"} if parameter == "variance" else {}
    for wrong in ("many", -1, float("nan"), {}):
        with pytest.raises(ValueError, match=f"expected.*{parameter}"):
            FITS[kind](**{parameter: wrong}, **own)


FLAGS = [
    (nanoae.Autoencoder, "tied_weights"),
    (nanoae.StackedAutoencoder, "pretrain"),
    (nanoae.StackedClassifier, "pretrain"),
]


@pytest.mark.parametrize(("kind", "parameter"), FLAGS)
def test_no_is_not_taken_for_yes(kind, parameter):
    for wrong in ("no", "False", None, [], 2):
        with pytest.raises(
            ValueError, match=f"{kind.__name__}: expected {parameter} to be True or False, got"
        ):
            FITS[kind](**{parameter: wrong})
    FITS[kind](**{parameter: np.False_})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: nanoae.Sequential([nanoae.Linear(3), "relu"]),
            r"expected layers like ReLU\(\), got 'relu'\. Did you mean",
        ),
        (lambda: nanoae.Sequential([nanoae.ReLU]), "expected layers .* got <class"),
        (
            lambda: trainer(loss="mse"),
            r"Trainer: expected loss=MSE\(\) or another one, got .*'mse'",
        ),
        (
            lambda: trainer(optimizer="adam"),
            r"Trainer: expected optimizer=Adam\(\) or another one, got .*'adam'",
        ),
    ],
)
def test_parts_of_a_network_of_ones_own(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def trainer(loss=None, optimizer=None):
    network = nanoae.Sequential([nanoae.Linear(4)]).build(4)
    return nanoae.Trainer(
        network, loss or nanoae.MSE(), optimizer or nanoae.Adam(), batch_size=4, epochs=1, rows=4
    )


@pytest.mark.parametrize("wrong", ["Autoencoder", 3, [], {}], ids=repr)
def test_a_detector_of_no_autoencoder(wrong):
    with pytest.raises(ValueError, match="AnomalyDetector: expected autoencoder"):
        FITS[nanoae.AnomalyDetector](autoencoder=wrong)


def test_a_parameter_of_what_is_no_estimator():
    with pytest.raises(
        ValueError,
        match="Autoencoder: expected optimizer to be an estimator with parameter 'lr', got 'adam'",
    ):
        nanoae.Autoencoder().set_params(optimizer__lr=1)


# ------------------------------------------------------------------------------ on the command line

COMMANDS = "train tune evaluate encode reconstruct generate detect text export gradcheck bench info"


@pytest.mark.parametrize("name", COMMANDS.split())
def test_a_command_that_is_nearly_right(name, capsys):
    assert f"Did you mean '{name}'" in command(name + name[-1], capsys=capsys)


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        *((("train", f"{option(name)}e", "3"), option(name)) for name in SETTINGS),
        (("tune", "--grid", "epochs=1", "--grd", "x"), "--grid"),
        (("evaluate", "m", "--data", "digits", "--spilt", "all"), "--split"),
        (("encode", "m", "--data", "digits", "--out", "a.npy", "--labell", "a"), "--label"),
        (("generate", "m", "--out", "a.npy", "--temprature=1"), "--temperature"),
        (("detect", "--model", "m", "--ignored", "id"), "--ignore"),
        (("text", "generate", "--keywrod", "tea"), "--keyword"),
        (("gradcheck", "--lyaer", "Linear"), "--layer"),
        (("info", "--data-dri", "x"), "--data-dir"),
        (("--verison",), "--version"),
        (("evaluate", "m", "--data", "digits", "--split", "tset"), "test"),
        (("text", "generat"), "generate"),
        (("gradcheck", "--layer", "Linaer"), "Linear"),
        (("tune", "--grid", "code_siz=3"), "code_size"),
        (("train", "--preset", "deep-23"), "deep-32"),
        (("train", "--preset", "vea"), "vae-20"),
        (("train", "--data", "digits", "--initializer", "glrot"), "glorot_uniform"),
        (("train", "--data", "digts"), "digits"),
        (("train", "--loss", "mes"), "mse"),
        (
            ("train", "--preset", "vae-20", "--likelihood", "gausian", "--data", "digits"),
            "gaussian",
        ),
        (("train", "--penalty", "klx:0.1"), "kl"),
    ],
)
def test_an_option_or_its_value_that_is_nearly_right(argv, meant, capsys):
    assert f"'{meant}'" in command(*argv, capsys=capsys).partition("Did you mean")[2]


@pytest.mark.parametrize("given", ["--foo", "--layers", "--width"])
def test_an_option_like_no_other_is_told_without_a_guess(given, capsys):
    """That all of them begin with two dashes makes none alike."""
    text = command("train", "--data", "digits", given, "2", capsys=capsys)
    assert f"unrecognized arguments: {given} 2. `nanoae train --help`" in text


# ------------------------------------------------------------------------------ what goes beside the rows


def autoencoder(**own):
    return nanoae.Autoencoder(2, (3,), **{**SMALL, **own})


def vae(**own):
    return nanoae.VariationalAutoencoder(2, (3,), **{**SMALL, **own})


@pytest.mark.parametrize(
    "pair", [(X, X), (X, Y), (X, None), (X,)], ids=["x, x", "x, y", "x, None", "x alone"]
)
@pytest.mark.parametrize(
    "make", [autoencoder, vae, nanoae.StackedAutoencoder, nanoae.ConvAutoencoder]
)
def test_validation_rows_are_their_own_targets(make, pair):
    settings = {"sizes": (3,), **SMALL} if make is nanoae.StackedAutoencoder else SMALL
    rows = np.zeros((4, 784)) if make is nanoae.ConvAutoencoder else X
    with pytest.raises(
        ValueError, match=r"expected validation_data=rows .*got a tuple.*their own targets"
    ):
        make(**settings).fit(rows, validation_data=pair)


@pytest.mark.parametrize("alone", [X, (X,), (X, Y, Y), 3])
def test_labels_go_with_validation_rows_where_labels_are_learned(alone):
    for fit, told in (
        (lambda: nanoae.StackedClassifier((3,), **SMALL).fit(X, Y, validation_data=alone), "y"),
        (lambda: nanoae.StackedRegressor((3,), **SMALL).fit(X, Y, validation_data=alone), "y"),
        (lambda: vae().fit(X, condition=Y, validation_data=alone), "labels"),
    ):
        with pytest.raises(
            ValueError, match=rf"expected validation_data=\(rows, their {told}\), got a "
        ):
            fit()


def test_a_column_of_labels_is_taken_as_labels_and_told():
    flat = vae().fit(X, condition=Y)
    for column in (Y[:, None], Y[:, None].tolist()):
        with pytest.warns(match=r"A column-vector condition was passed .* condition\.ravel"):
            model = vae().fit(X, condition=column, validation_data=(X, column))
            found = model.transform(X, column)
        np.testing.assert_array_equal(found, flat.transform(X, Y))
    with pytest.raises(ValueError, match=r"expected condition, labels \(N,\), got shape \(12, 2\)"):
        vae().fit(X, condition=np.stack([Y, Y], axis=1))
    detector = nanoae.ClusterLabelDetector(nanoae.PCA(2), n_clusters=6, random_state=0).fit(X)
    rows = detector.query(3)
    with pytest.warns(match="A column-vector y"):
        detector.label(rows, [[1], [0], [1]])
    assert detector.given_ == dict(zip(rows.tolist(), [1, 0, 1], strict=True))


@pytest.mark.parametrize("nothing", [None, np.nan, "", np.ma.masked])
def test_a_condition_that_is_none_is_told_by_its_row(nothing):
    labels = ["a", "b"] * 6 if nothing == "" else list(map(float, Y))
    condition = (
        np.ma.array(labels, mask=np.arange(12) == 5) if nothing is np.ma.masked else [*labels]
    )
    if nothing is not np.ma.masked:
        condition[5] = nothing
    with pytest.raises(
        ValueError, match=r"expected condition, a label for each row, got .* in row 5"
    ):
        vae().fit(X, condition=condition)


def test_a_loss_that_there_is_not():
    for loss in ("mse", "bce", None):
        with pytest.raises(
            TypeError,
            match=r'VariationalAutoencoder: expected likelihood="bernoulli" or "gaussian"',
        ):
            nanoae.VariationalAutoencoder(loss=loss)
        with pytest.raises(ValueError, match=r"expected likelihood=.*, got loss="):
            nanoae.VariationalAutoencoder().set_params(loss=loss)
    assert "loss" not in nanoae.VariationalAutoencoder().get_params()
    with pytest.raises(TypeError, match="unexpected keyword argument 'losss'"):
        nanoae.VariationalAutoencoder(losss="mse")


# ------------------------------------------------------------------------------ numbers that are no numbers


def with_cell(value):
    table = np.random.default_rng(0).standard_normal((30, 3))
    table[17, 1] = value
    return table


@pytest.mark.parametrize(
    "kind", [autoencoder, lambda: vae(likelihood="gaussian"), lambda: nanoae.ClusterLabelDetector()]
)
def test_a_number_that_float32_cannot_hold_is_told_as_it_is_and_where_it_is(kind):
    for value, told in (
        (1e300, r"1e\+300, too large for float32,"),
        (np.inf, "infinity"),
        (np.nan, "NaN"),
    ):
        with pytest.raises(
            ValueError, match=rf"expected finite numbers, got {told} in row 17, column 1 \(1 such"
        ):
            kind().fit(with_cell(value))


def test_it_is_told_by_the_column_and_the_line_of_a_file(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(with_cell(-1e300), columns=["a", "b", "c"])
    with pytest.raises(
        ValueError, match=r"got -1e\+300, too large for float32, in row 17, column 1 \('b'\)"
    ):
        autoencoder().fit(frame)
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(
        ValueError, match=r"got -1e\+300, too large for float32, in row 19, column 1 \('b'\)"
    ):
        autoencoder().fit(nanoae.read_table(tmp_path / "table.csv"))


# ------------------------------------------------------------------------------ tables from files


@odd_tables
def test_an_autoencoder_learns_what_read_table_reads(tmp_path):
    """As README says."""
    path = tmp_path / "table.csv"
    path.write_text(
        "age,bill,town\n"
        + "".join(f"{20 + i},{i % 7}.5,{'' if i % 9 == 4 else i}\n" for i in range(40))
    )
    table = nanoae.read_table(path)
    ae = autoencoder(missing="mask", epochs=3).fit(table)
    assert ae.n_features_in_ == 3 and list(ae.feature_names_in_) == ["age", "bill", "town"]
    assert not np.isnan(ae.reconstruct(table)).any()
    path.write_text("age,bill\n" + "".join(f"{20 + i},{i % 7}.5\n" for i in range(40)))
    nanoae.PCA(1).fit(nanoae.read_table(path))
    path.write_text(
        "age,town\n" + "".join(f"{20 + i},{'Bern' if i % 2 else 'Ulm'}\n" for i in range(40))
    )
    words = nanoae.read_table(path)
    with pytest.raises(ValueError, match=r"'town'"):
        nanoae.PCA(1).fit(words)
    towns = nanoae.Autoencoder(2, random_state=0).fit(words).reconstruct(words)[:, 1]
    assert towns.tolist() == ["Ulm", "Bern"] * 20


# ------------------------------------------------------------------------------ batches of one row


@pytest.mark.parametrize("rows", [17, 33, 9, 8, 2])
def test_batch_norm_learns_where_one_row_is_left_over(rows):
    data = np.random.default_rng(0).random((rows, 4))
    layers = {
        "encoder": [nanoae.Linear(3), nanoae.BatchNorm(), nanoae.Linear(2)],
        "decoder": [nanoae.Linear(4)],
    }
    seen = []
    ae = nanoae.Autoencoder(
        **layers,
        batch_size=8,
        **{**SMALL, "epochs": 30},
        callbacks=[lambda trainer, row: seen.append(trainer.optimizer.t)],
    ).fit(data)
    steps = rows // 8 if rows % 8 == 1 else -(-rows // 8)
    assert (
        seen == [steps * epoch for epoch in range(1, 31)]
        and ae._trainer.optimizer.total_steps == seen[-1]
    )
    assert np.isfinite(ae.history_["loss"]).all() and np.isfinite(
        ae.partial_fit(data).history_["loss"][-1]
    )


def test_the_row_that_sits_out_is_another_one_each_time():
    network = nanoae.Sequential([nanoae.Linear(3), nanoae.BatchNorm()]).build(4, random_state=0)
    trainer = nanoae.Trainer(
        network, nanoae.MSE(), nanoae.SGD(0.0), batch_size=4, epochs=40, rows=9
    )
    batches, batch = [], trainer.batch
    trainer.batch = lambda rows, *data: batches.append(rows.tolist()) or batch(rows, *data)
    data, targets = (
        np.random.default_rng(0).random((9, 4), np.float32),
        np.zeros((9, 3), np.float32),
    )
    for _ in range(40):
        trainer.epoch(data, targets)
    assert {len(rows) for rows in batches} == {4} and len(batches) == 80
    left = [
        set(range(9)) - set(a) - set(b) for a, b in zip(batches[::2], batches[1::2], strict=True)
    ]
    assert all(len(out) == 1 for out in left) and set().union(*left) == set(range(9))


def test_images_have_numbers_enough_in_one_row_and_batches_of_one_row_have_not():
    block = [nanoae.Conv2d(2, 2), nanoae.BatchNorm(), nanoae.Flatten(), nanoae.Linear(2)]
    rest = [nanoae.Linear(9), nanoae.Reshape((1, 3, 3))]
    images = np.random.default_rng(0).random((5, 1, 3, 3))
    ae = nanoae.ConvAutoencoder(encoder=block, decoder=rest, batch_size=4, **SMALL).fit(images)
    assert ae._trainer.optimizer.t == 2  # the fifth row is a batch of its own
    nanoae.ConvAutoencoder(2, batch_size=4, **SMALL).fit(np.random.default_rng(0).random((9, 784)))
    with pytest.raises(
        ValueError, match=r"at least 2 values per feature in training, got 1\. Use larger batches"
    ):
        nanoae.ConvAutoencoder(2, batch_size=1, **SMALL).fit(
            np.random.default_rng(0).random((9, 784))
        )


# ------------------------------------------------------------------------------ terminals


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.hstack([np.random.default_rng(0).random((40, 3)), np.arange(40)[:, None] % 2])
    np.savetxt(
        "größe.csv",
        rows,
        delimiter=",",
        header="länge,breite,höhe,y",
        comments="",
        encoding="utf-8",
    )
    Path("lines.txt").write_text("tee trinken\nkäse essen\nöl kaufen\n日本 茶\n" * 8, "utf-8")


COMMANDS_ANYWHERE = (
    (
        "train",
        "--data",
        "größe.csv",
        "--label",
        "y",
        "--regress",
        "--stacked",
        "3",
        "--epochs",
        "1",
        "--no-figures",
    ),
    ("train", "--data", "größe.csv", "--epochs", "1", "--out", "modell-ä", "--no-figures"),
    ("text", "train", "lines.txt", "--epochs", "1", "--out", "text"),
    ("text", "generate", "text"),
    ("evaluate", "modell-ä", "--data", "größe.csv"),
)


def test_a_terminal_of_ascii_ends_nothing(monkeypatch, tables):
    terminals = [io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", terminals[0])
    monkeypatch.setattr(sys, "stderr", terminals[1])
    codes = [main(argv) for argv in COMMANDS_ANYWHERE]
    wrong = main(("evaluate", "modell-ü", "--data", "größe.csv"))
    for terminal in terminals:
        terminal.flush()
    out, err = (terminal.buffer.getvalue().decode("ascii") for terminal in terminals)
    assert not any(codes) and wrong == 2, err
    assert "test R\\xb2 " in out and "written to modell-\\xe4" in out and "modell-\\xfc" in err


def test_a_column_that_is_nearly_right(tables, capsys):
    for argv in (
        ("train", "--data", "größe.csv", "--label", "breit"),
        (
            "detect",
            "--train",
            "größe.csv",
            "--score",
            "größe.csv",
            "--out",
            "a.csv",
            "--ignore",
            "breit",
        ),
        ("detect", "--train", "größe.csv", "--save", "a.npz", "--ignore", "breit"),
    ):
        assert "Did you mean 'breite'?" in command(*argv, capsys=capsys)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the streams
def test_nor_do_closed_streams(monkeypatch, tables):
    for argv in COMMANDS_ANYWHERE:
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        assert main(argv) == 0
    assert Path("modell-ä", "model.npz").is_file() and Path("text", "model.npz").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_nor_does_the_full_disk_of_a_log(monkeypatch, tables):
    argv = ["train", "--data", "größe.csv", "--epochs", "2", "--no-figures", "--out", "m"]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with open("/dev/full", "w") as out, open("/dev/full", "w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert main(argv) == 2
        for stream in (out, err):  # which are to be closed
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    assert json.loads(Path("m", "config.json").read_text())["complete"]


@pytest.mark.parametrize(
    "call, told",
    [
        (
            lambda: FITS[nanoae.Autoencoder](learning_rate=nanoae.Cosine),
            "learning_rate: expected a number .* Cosine",
        ),
        (
            lambda: FITS[nanoae.Autoencoder](learning_rate=lambda t, total: np.nan),
            "learning_rate: .* step 1, got nan",
        ),
        (
            lambda: FITS[nanoae.Autoencoder](learning_rate=np.inf),
            "learning_rate to be a number >= 0, got inf",
        ),
        (
            lambda: FITS[nanoae.StackedClassifier](class_weight={0: np.inf}),
            r"class_weight\[0\] .* got inf",
        ),
        (lambda: FITS[nanoae.StackedClassifier](class_weight="balance"), "Did you mean 'balanced'"),
        (
            lambda: nanoae.TimeDistributed([nanoae.Linear(3)]),
            "expected a layer without noise.* Wrap each layer",
        ),
    ],
)
def test_what_is_no_rate_no_weight_and_no_layer(call, told):
    with pytest.raises(ValueError, match=told):
        call()
