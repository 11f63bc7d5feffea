"""Is a mistake told in the user's own words: what was wrong, where, what is known, what may have been meant?"""

import inspect

import numpy as np
import pytest

import nanoae
from nanoae.anomaly import scaling, scores
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
from nanoae.data.catalogue import NAMES
from nanoae.engine import init, layers, losses, optim
from nanoae.engine.part import construct, from_text
from nanoae.training.schedules import SCHEDULES

X = np.random.default_rng(0).random((12, 4), np.float32)
LINES = ["a red fox", "a blue fox", "the red hen"] * 4
SMALL = {"epochs": 1, "backend": "numpy", "random_state": 0}
CODE = {"code_size": 2, **SMALL}
FITS = {  # each estimator, with settings of one's own, learns
    nanoae.Autoencoder: lambda **own: nanoae.Autoencoder(**{**CODE, **own}).fit(X),
    nanoae.ConvAutoencoder: lambda **own: nanoae.ConvAutoencoder(**{**CODE, **own}).fit(np.zeros((4, 784))),
    nanoae.StackedAutoencoder: lambda **own: nanoae.StackedAutoencoder((3, 2), **{**SMALL, **own}).fit(X),
    nanoae.StackedClassifier: lambda **own: nanoae.StackedClassifier((3,), **{**SMALL, **own}).fit(
        X, np.arange(12) % 2
    ),
    nanoae.StackedRegressor: lambda **own: nanoae.StackedRegressor((3,), **{**SMALL, **own}).fit(X, X[:, 0]),
    nanoae.VariationalAutoencoder: lambda **own: nanoae.VariationalAutoencoder(**{**CODE, **own}).fit(X),
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
    "activation": (layers.activation, layers.ACTIVATIONS),
    "backend": (nanoae.get_ops, ("numpy", "cupy", "auto")),
    "backend cupy:": (lambda name: nanoae.get_ops(f"cupy:{name}"), CUPY_OPTIONS),
    "bottleneck": (lambda part: FITS[nanoae.Autoencoder](bottleneck=part), classes(BOTTLENECKS)),
    "corruption": (lambda part: FITS[nanoae.Autoencoder](corruption=part), classes(CORRUPTIONS)),
    "penalty": (lambda part: FITS[nanoae.Autoencoder](penalty=part), classes(PENALTIES)),
    "threshold": (
        lambda rule: FITS[nanoae.AnomalyDetector](threshold=rule),
        [cls.__name__ for cls in Threshold.__subclasses__()],
    ),
    "covariance": (lambda name: Mixture.fit(X, 2, name), ("full", "diag")),
    "initializer": (init.get, init.INITIALIZERS),
    "layer or loss in a file": (lambda name: construct({"type": name}), [*LAYERS, *LOSSES]),
    "load_data": (nanoae.load_data, NAMES),
    "loss": (losses.get, losses.LOSSES),
    "Masked": (nanoae.Masked, losses.LOSSES),
    "optimizer": (lambda name: optim.get(name, 1e-3, 0.0), optim.OPTIMIZERS),
    "parameter": (lambda name: nanoae.Autoencoder().set_params(**{name: 1}), nanoae.Autoencoder().get_params()),
    "parameter of a part": (
        lambda name: nanoae.AnomalyDetector(nanoae.Autoencoder()).set_params(**{f"autoencoder__{name}": 1}),
        nanoae.Autoencoder().get_params(),
    ),
    "per": (lambda per: nanoae.PCA(2).fit(X).reconstruction_error(X, per=per), ("row", "feature", "element")),
    "preset": (preset, PRESETS),
    "reduction": (nanoae.MSE, losses.REDUCTIONS),
    "scaling": (scaling.get, scaling.SCALERS),
    "scores": (scores.get, scores.SCORES),
    **{
        f"text of a {what}": (lambda text, known=known: from_text(text, known), known)
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
        with pytest.raises(ValueError, match=rf"got '?{name + name[-1]}'?.*Did you mean .*'{name}'"):
            ask(name + name[-1])


@pytest.mark.parametrize(("kind", "parameter"), NAMED)
def test_so_is_every_parameter_of_every_estimator(kind, parameter):
    default = inspect.signature(kind).parameters[parameter].default
    name = default[0] if parameter == "scores" else default
    with pytest.raises(ValueError, match=rf"{parameter}.*got '{name}x'\. Did you mean .*'{name}'"):
        FITS[kind](**{parameter: f"{name}x"})


@pytest.mark.parametrize(("kind", "parameter"), NAMED)
def test_what_is_no_name_at_all_is_told_by_its_parameter(kind, parameter):
    for wrong in (None, 3, [], ["mse", 3], {}, object()):
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
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected {parameter} to be True or False, got"):
            FITS[kind](**{parameter: wrong})
    FITS[kind](**{parameter: np.False_})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: nanoae.Sequential([nanoae.Linear(3), "relu"]),
            r"expected layers, as ReLU\(\), got 'relu'\. Did you mean",
        ),
        (lambda: nanoae.Sequential([nanoae.ReLU]), "expected layers, .* got <class"),
        (lambda: trainer(loss="mse"), r"Trainer: expected loss=MSE\(\) or another one, got 'mse'"),
        (lambda: trainer(optimizer="adam"), r"Trainer: expected optimizer=Adam\(\) or another one, got 'adam'"),
    ],
)
def test_parts_of_a_network_of_ones_own(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def trainer(loss=None, optimizer=None):
    network = nanoae.Sequential([nanoae.Linear(4)]).build(4)
    return nanoae.Trainer(network, loss or nanoae.MSE(), optimizer or nanoae.Adam(), batch_size=4, epochs=1, rows=4)


@pytest.mark.parametrize("wrong", ["Autoencoder", 3, [], {}], ids=repr)
def test_a_detector_of_no_autoencoder(wrong):
    with pytest.raises(ValueError, match="AnomalyDetector: expected autoencoder"):
        FITS[nanoae.AnomalyDetector](autoencoder=wrong)


def test_a_parameter_of_what_is_no_estimator():
    with pytest.raises(ValueError, match="Autoencoder: expected an estimator as optimizer to set 'lr' of, got 'adam'"):
        nanoae.Autoencoder().set_params(optimizer__lr=1)


# ------------------------------------------------------------------------------ on the command line

COMMANDS = "train tune evaluate encode reconstruct generate detect text gradcheck bench info"


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
        (("train", "--data", "digts"), "digits"),
        (("train", "--loss", "mes"), "mse"),
        (("train", "--penalty", "klx:0.1"), "kl"),
    ],
)
def test_an_option_or_its_value_that_is_nearly_right(argv, meant, capsys):
    assert f"'{meant}'" in command(*argv, capsys=capsys).partition("Did you mean")[2]
