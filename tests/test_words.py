"""Does Autoencoder learn tables with words and gaps, in Python and by `nanoae train`?"""

import csv
import json

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

COLOURS = ("red", "green", "blue")


def shops(n=200, gaps=0.0):
    """(id, bill, colour, city): the bill follows from the colour, red being dear."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(n):
        colour = COLOURS[random.integers(3)]
        bill = (500 if colour == "red" else 50) + random.normal()
        cells = [f"{bill:.2f}", colour, ("Rome", "Oslo")[random.integers(2)]]
        rows.append([i + 1, *("" if random.random() < gaps else cell for cell in cells)])
    return rows


def write(path, rows, names=("id", "bill", "colour", "city")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return str(path)


def frame(rows):
    pandas = pytest.importorskip("pandas")
    found = pandas.DataFrame([row[1:] for row in rows], columns=["bill", "colour", "city"])
    return found.replace("", None).astype({"bill": float})


@pytest.fixture(scope="module")
def fitted():
    X = frame(shops())
    return X, nanoae.Autoencoder(3, epochs=60, batch_size=16, random_state=0).fit(X)


def test_words_and_numbers_come_back(fitted):
    X, model = fitted
    again = model.reconstruct(X)
    assert (again[:, 1] == X["colour"]).mean() > 0.98
    assert np.abs(again[:, 0].astype(float) - X["bill"]).max() < 60
    assert list(model.feature_names_in_) == list(X.columns) and model.n_features_in_ == 3
    np.testing.assert_array_equal(again, model.inverse_transform(model.transform(X)))


@pytest.mark.filterwarnings("default::nanoae.UnderfitWarning")
def test_a_table_that_pca_gives_back_better_is_told():
    with pytest.warns(
        nanoae.UnderfitWarning, match="PCA with 2 components .* as table_encoder_ encodes it"
    ):
        nanoae.Autoencoder(2, epochs=1, random_state=0).fit(frame(shops()))


def test_it_is_what_an_encoder_and_a_mixed_loss_give(fitted):
    X, model = fitted
    encoder = nanoae.TableEncoder().fit(X)
    Z = encoder.transform(X)
    settings = dict(epochs=60, batch_size=16, random_state=0, scaling="none")
    by_hand = nanoae.Autoencoder(3, loss=nanoae.Mixed(encoder.blocks_), **settings).fit(Z)
    np.testing.assert_array_equal(by_hand.transform(Z), model.transform(X))
    np.testing.assert_array_equal(by_hand.reconstruct(Z), model.reconstruct(Z))


def test_a_file_keeps_what_was_learned_of_the_words(fitted, tmp_path):
    X, model = fitted
    model.save(tmp_path / "m.npz")
    loaded = nanoae.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.reconstruct(X), model.reconstruct(X))
    assert loaded.evaluate(X) == model.evaluate(X) and loaded.get_params() == model.get_params()
    assert list(loaded.feature_names_in_) == list(X.columns)


def test_gaps_are_masked_or_refused():
    X = frame(shops(gaps=0.1))
    with pytest.raises(ValueError, match=r'expected no missing values.*missing="mask"'):
        nanoae.Autoencoder(3, epochs=1).fit(X)
    model = nanoae.Autoencoder(3, epochs=60, batch_size=16, missing="mask", random_state=0).fit(X)
    gaps = X["colour"].isna() & X["bill"].notna() & X["city"].notna()
    dear = X["bill"][gaps] > 300
    assert ((model.reconstruct(X[gaps])[:, 1] == "red") == dear).mean() > 0.7


@pytest.mark.parametrize(
    "settings, words",
    [({"loss": "bce"}, "loss='mse' for a table with words"), ({"scaling": "standard"}, "scaling")],
)
def test_what_does_not_go_with_words_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        nanoae.Autoencoder(3, epochs=1, **settings).fit(frame(shops(20)))


def test_a_row_of_weight_0_tells_no_word():
    X = frame(shops(30))
    X.loc[0, "colour"] = "mauve"
    model = nanoae.Autoencoder(2, epochs=1, random_state=0).fit(X, sample_weight=[0] + [1] * 29)
    assert model.table_encoder_.categories_[1] == sorted(COLOURS)


def test_the_command_learns_a_table_as_it_is(tmp_path, capsys):
    data, new = tmp_path / "shops.csv", tmp_path / "new.csv"
    write(data, shops(gaps=0.05))
    write(new, [row[1:][::-1] for row in shops(30)], ("city", "colour", "bill"))
    run, again = str(tmp_path / "run"), tmp_path / "again.csv"
    train = [
        "train",
        "--data",
        str(data),
        "--epochs",
        "60",
        "--batch-size",
        "16",
        "--quiet",
        "--no-figures",
    ]
    assert main([*train, "--out", str(tmp_path / "with-id")]) == 0
    assert "column 'id' rises from row to row" in capsys.readouterr().err
    assert main([*train, "--ignore", "id", "--code-size", "3", "--out", run]) == 0
    assert main(["evaluate", run, "--data", str(new)]) == 0
    assert "3 columns, 2 of them text" in capsys.readouterr().out
    assert main(["reconstruct", run, "--data", str(new), "--out", str(again)]) == 0
    with open(again, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    colours = [row[2] for row in shops(30)]
    assert np.mean([row["colour"] == c for row, c in zip(rows, colours, strict=True)]) > 0.9
    assert list(rows[0]) == ["bill", "colour", "city"] and float(rows[0]["bill"]) > 0


def test_gaps_alone_need_no_encoder(tmp_path, capsys):
    data = write(tmp_path / "t.csv", [[row[0] % 7, row[1]] for row in shops(60, 0.1)], ("a", "b"))
    run = str(tmp_path / "run")
    assert main(["train", "--data", data, "--epochs", "5", "--no-figures", "--out", run]) == 0
    assert "in original units" in capsys.readouterr().out
    assert main(["evaluate", run, "--data", data]) == 0


def test_a_model_without_gaps_says_so(tmp_path, capsys):
    data = write(tmp_path / "t.csv", shops(40))
    assert main(["train", "--data", data, "--stacked", "4,2", "--out", str(tmp_path / "r")]) == 2
    assert "expected a number in each cell for StackedAutoencoder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [True, False])
def test_a_model_keeps_how_its_table_was_read(words, tmp_path, capsys):
    """What was left out, the label and what is missing there: nobody has to say it again."""
    rows = [[i, -999 if i % 7 == 0 else bill, colour if words else i % 5, city]
            for i, bill, colour, city in shops(80)]  # fmt: skip
    names = ("id", "bill", "colour", "city")
    path, new = (write(tmp_path / name, rows, names) for name in ("old.csv", "new.csv"))
    said = ["--ignore", "id", "--label", "city", "--na=-999"]
    out = tmp_path / "run"
    options = ["--epochs", "2", "--no-figures", "--quiet", "--out", str(out)]
    assert main(["train", "--data", path, *said, *options]) == 0
    results = []
    for beside in (said, []):
        capsys.readouterr()
        assert main(["evaluate", str(out), "--data", new, "--json", *beside]) == 0
        results.append(json.loads(capsys.readouterr().out)["result"])
    assert results[0] == results[1]
    alone = write(tmp_path / "alone.csv", [row[1:3] for row in rows], names[1:3])
    codes = str(tmp_path / "codes.csv")
    assert main(["encode", str(out), "--data", alone, "--out", codes]) == 0
    assert main(["encode", str(out), "--data", alone, "--out", codes, "--ignore", "id"]) == 2
    assert "expected a column named 'id'" in capsys.readouterr().err


def test_a_report_and_a_figure_show_the_columns_that_the_network_reads(fitted, tmp_path):
    X, model = fitted
    page = nanoae.write_report(tmp_path / "table.html", model, X).read_text()
    Z = model.table_encoder_.transform(X)
    assert page == nanoae.write_report(tmp_path / "numbers.html", model, Z).read_text()
    assert "colour=red" in page
    Text = pytest.importorskip("matplotlib.text").Text
    figure = model.plot(X).figure
    assert "colour=red" in {text.get_text() for text in figure.findobj(match=Text)}


@pytest.mark.parametrize("name", ["bill", "colour", "city"])
def test_a_gap_is_told_by_its_own_column(name):
    X = frame(shops(30))
    X.loc[5, name] = None
    with pytest.raises(ValueError, match=f"got one in row 5, column '{name}'"):
        nanoae.Autoencoder(2, epochs=1).fit(X)
