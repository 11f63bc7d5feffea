"""Is a model told apart from rows on another scale: raw ones, where the user standardised those of fit himself?"""

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

RNG = np.random.default_rng(0)
RAW = RNG.normal([50, 1, 300], [5, 2, 90], (200, 3))
STANDARD = (RAW - RAW.mean(axis=0)) / RAW.std(axis=0)
MODELS = {
    "PCA": lambda: nanoae.PCA(2),
    "autoencoder": lambda: nanoae.Autoencoder(2, (4,), epochs=1, random_state=0),
    "detector": lambda: nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, (4,), epochs=1), random_state=0
    ),
}
TOLD = "expected rows on the scale of the training data, column {} from .* got .*; 2 of 3 columns are out of range"


@pytest.mark.parametrize("kind", MODELS)
def test_raw_rows_are_told_with_their_column(kind, tmp_path):
    model = MODELS[kind]().fit(STANDARD)
    model.save(tmp_path / "m.npz")
    for each in (model, nanoae.load(tmp_path / "m.npz")):
        with pytest.warns(UserWarning, match=TOLD.format(0)):
            each.transform(RAW)
        with pytest.warns(UserWarning, match="the scale of the training data, column 0"):
            each.transform(RAW[:1] * 30)


def test_the_command_tells_once_of_the_model_and_its_column(tmp_path, capsys):
    header = {"delimiter": ",", "header": "a,b,c", "comments": ""}
    np.savetxt(tmp_path / "fit.csv", STANDARD, **header)
    np.savetxt(tmp_path / "raw.csv", RAW, **header)
    model = str(tmp_path / "m")
    size = ["--code-size", "1", "--hidden", "none", "--epochs", "1", "--no-figures"]
    assert main(["train", "--data", str(tmp_path / "fit.csv"), "--out", model, *size]) == 0
    capsys.readouterr()
    assert main(["evaluate", model, "--data", str(tmp_path / "raw.csv")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "warning: Autoencoder: expected rows on" in told[0]
    assert "column 'a'" in told[0]


def test_what_compares_with_pca_tells_nothing_of_it():
    rows = STANDARD.copy()
    rows[::5, 1] = -9999
    with pytest.warns() as told:
        nanoae.Autoencoder(1, (4,), epochs=1, scaling="standard", random_state=0).fit(rows)
    messages = [str(each.message) for each in told]
    assert [text.startswith("Autoencoder: ") for text in messages] == [True] * len(messages)


def test_numbers_beside_words_are_told_too():
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame(rows, columns=["a", "b", "c"]) for rows in (STANDARD, RAW)]
    for frame in frames:
        frame["colour"] = ["red", "blue"] * 100
    encoder = nanoae.TableEncoder().fit(frames[0])
    with pytest.warns(UserWarning, match=TOLD.format("'a'")):
        encoder.transform(frames[1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "rows",
    [
        STANDARD * 3,
        STANDARD[:5] + 100 * (np.arange(5) == 2)[:, None],  # one of five
        STANDARD + np.where(np.arange(200) % 3 == 0, 1e4, 0)[:, None],  # outliers, however many
        np.full((1, 3), 4.0),
    ],
)
def test_outliers_are_not_told(rows):
    model = nanoae.PCA(2).fit(STANDARD)
    assert model.transform(rows).shape == (len(rows), 2)
    constant = nanoae.PCA(1).fit(np.c_[STANDARD, np.full(200, 7)])
    constant.transform(np.c_[STANDARD, np.full(200, 70)])


@pytest.mark.filterwarnings("error")
def test_what_hardly_varied_is_not_held_to_that():
    """A pixel at the edge, rows with noise, a column that is constant but for rounding, one row many times."""
    hardly = np.linspace(0, 0.06, 200)
    but_for_rounding = 0.3 + 1e-16 * (np.arange(200) % 3)
    model = nanoae.PCA(2).fit(np.c_[STANDARD, hardly, but_for_rounding])
    noise = np.random.default_rng(0).normal(0, 0.5, (200, 2))
    model.transform(np.c_[STANDARD, noise + 0.3])
    beyond = STANDARD.max(axis=0) + 0.1
    model.transform(np.tile([*beyond, 0.06, 0.3], (20, 1)))
