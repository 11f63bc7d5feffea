"""Does the report hold what the model says, as text where it is the user's, in one file that is whole or not there?"""

import base64
import copy
import json
import os
import re
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nanoae
from nanoae.cli import main
from nanoae.report import write_detector_report, write_report
from nanoae.report.page import FOLDER

EVIL = "</script><script>alert(1)</script>"


def content(path):
    """(what a page says, its arrays by where they stand) as the page itself reads them."""
    html = path.read_text(encoding="utf-8")
    text = re.search(r'id="content">(.*?)</script>', html, re.DOTALL)[1]
    block = re.search(r'id="arrays">(.*?)</script>', html, re.DOTALL)[1]
    return json.loads(text), zlib.decompress(base64.b64decode(block))


def array(entry, block):
    """The numbers of an {array, shape, start}."""
    n = int(np.prod(entry["shape"]))
    planes = np.frombuffer(
        block, np.uint8, (3 if entry["array"] == "numbers" else 1) * n, entry["start"]
    )
    if entry["array"] == "levels":
        return (planes / 255 * (entry["high"] - entry["low"]) + entry["low"]).reshape(
            entry["shape"]
        )
    top, middle, low = planes.reshape(3, n).astype(np.uint32)
    return (top << 24 | middle << 16 | low << 8).view(np.float32).reshape(entry["shape"])


@pytest.fixture(scope="module")
def digits():
    data = nanoae.load_data("digits")
    return data, *data.flat()


@pytest.fixture(scope="module")
def fitted(digits):
    _, x_train, _ = digits
    return nanoae.Autoencoder(4, (16,), epochs=2, validation_fraction=0.1, random_state=0).fit(
        x_train
    )


def test_it_holds_the_models_own_weights_codes_and_errors(digits, fitted, tmp_path):
    data, x_train, x_test = digits
    pca = nanoae.PCA(4).fit(x_train)
    path = write_report(
        tmp_path / "r.html",
        fitted,
        x_test,
        data.y_test,
        baseline=pca,
        shape=data.shape,
        title="mine",
    )
    said, block = content(path)
    weights = fitted.network_.layers[0].params["W"]
    assert np.allclose(
        array(said["network"]["layers"][0]["arrays"]["W"], block), weights, rtol=2**-16, atol=0
    )
    assert np.allclose(array(said["points"]["codes"], block), fitted.transform(x_test), rtol=1e-4)
    assert np.allclose(
        array(said["examples"]["x"], block), x_test[said["examples"]["rows"]], atol=1 / 255
    )
    mse = next(tile for tile in said["results"] if tile["name"] == "mean squared error")
    assert mse["value"] == pytest.approx(fitted.evaluate(x_test)["mse"])
    assert f"{pca.evaluate(x_test)['mse']:.4g}" in mse["note"]
    by_class = {name: (error, count) for name, error, _, count in said["errors"]["classes"]}
    errors = fitted.reconstruction_error(x_test)
    assert by_class["3"] == (
        pytest.approx(errors[data.y_test == 3].mean()),
        (data.y_test == 3).sum(),
    )
    assert said["errors"]["worst"]["rows"][0] == errors.argmax()
    assert said["curves"][0]["series"][1]["values"] == fitted.history_["val_loss"]
    assert said["title"] == "mine"


def test_the_page_knows_the_layers_it_knew():
    """A new layer may do without: the page then says that it cannot compute it."""
    text = (FOLDER / "network.js").read_text(encoding="utf-8")
    pairs = re.findall(r"^  (\w+)[:(]|, (\w+): same", text, re.MULTILINE)
    known = {name for pair in pairs for name in pair}
    layers = """
        Adversarial AvgPool2d BatchNorm ConcatLabel ConcatSharedLabel Contractive Conv2d ConvTranspose2d Dropout ELU
        Embedding FillMissing Flatten GELU GRU Gaussian GaussianNoise Identity KLSparsity L1Sparsity LastTimestep
        LayerNorm LeakyReLU Linear MaskingNoise MaxPool2d ReLU Reshape SaltAndPepper SiLU Sigmoid Softplus Tanh
        TeacherForcing TiedConvTranspose2d TiedLinear TimeDistributed TopK Upsample
    """
    assert set(layers.split()) <= known


def test_no_explorer_where_the_network_alone_is_not_the_model(digits, fitted, tmp_path):
    class Scaled(nanoae.Autoencoder):
        def inverse_transform(self, X):
            return 2 * super().inverse_transform(X)

    model = Scaled(4, (16,))
    vars(model).update(vars(fitted))
    said, _ = content(write_report(tmp_path / "r.html", model, digits[2], shape=(8, 8)))
    assert "network" not in said and "decoding is more than its network" in said["explorer"]["why"]


def test_nothing_of_the_users_is_html_and_nothing_is_fetched(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    model = nanoae.Autoencoder(2, (4,), epochs=1, random_state=0).fit(x)
    labels, names = np.array([EVIL, "b"] * 20), [EVIL, "<img src=x>", "c"]
    path = write_report(
        tmp_path / "r.html", model, x, labels, columns=names, title=EVIL, facts={EVIL: EVIL}
    )
    html = path.read_text(encoding="utf-8")
    assert "alert(1)" in html and "<script>alert" not in html and "<img" not in html
    assert content(path)[0]["columns"] == names
    assert not re.search(r'(src|href)="(?!data:,")', html) and "default-src 'none'" in html


def test_units_that_never_fire_are_counted_and_no_others(digits, fitted, tmp_path):
    data, _, x_test = digits
    model = copy.deepcopy(fitted)
    hidden, other = (model.network_.layers[i].params for i in (0, 4))
    hidden["b"][:4], hidden["b"][4:], other["b"][:] = -1e3, 1e3, 1e9
    # and one that fires for some rows only
    hidden["W"][:, 4], hidden["b"][4] = np.eye(64)[20], 0
    assert 0 < (x_test[:, 20] > 0).mean() < 1
    path = write_report(tmp_path / "r.html", model, x_test, shape=data.shape)
    titles = [found["title"] for found in content(path)[0]["findings"]]
    assert "Hidden units never fire: 25% of layer 2's 16 ReLUs." in titles


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            nanoae.Autoencoder(
                4, (8,), code_activation="relu", learning_rate=30.0, epochs=2, random_state=0
            ),
            "never",
        ),
        (
            nanoae.Autoencoder(4, (8,), epochs=1, learning_rate=1e-6, random_state=0),
            "The model reconstructs no better than the mean",
        ),
        (
            nanoae.Autoencoder(4, (32,), epochs=30, random_state=0),
            "PCA with as many components is bet",
        ),
        (
            nanoae.VariationalAutoencoder(4, (8,), beta=100.0, epochs=3, random_state=0),
            "The KL divergence collapsed",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_it_says_what_to_try_where_something_looks_wrong(digits, model, expected, tmp_path):
    data, x_train, x_test = digits
    model.fit(x_train)
    path = write_report(
        tmp_path / "r.html", model, x_test, baseline=nanoae.PCA(4).fit(x_train), shape=data.shape
    )
    assert any(expected in found["title"] for found in content(path)[0]["findings"])


def test_a_validation_loss_that_turned_is_told_with_its_epoch(digits, fitted, tmp_path):
    data, _, x_test = digits
    history = {**fitted.history_, "loss": [0.3, 0.2, 0.1, 0.05], "val_loss": [0.3, 0.2, 0.25, 0.4]}
    turned = nanoae.Autoencoder(4, (16,))
    vars(turned).update({**vars(fitted), "history_": history})
    said, _ = content(write_report(tmp_path / "r.html", turned, x_test, shape=data.shape))
    found = next(
        found
        for found in said["findings"]
        if found["title"].startswith("The validation loss rose after epoch 2")
    )
    told = (
        f"weights of epoch {turned.best_epoch_} were kept"
        if turned.best_epoch_
        else "last weights were kept"
    )
    assert told in found["text"] and said["curves"][0]["kept"] == turned.best_epoch_


def test_the_command_finds_the_runs_own_data_and_is_whole_or_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(
        "a,b,c,kind\n" + "".join(f"{i},{i % 7},{i * i},{'xy'[i % 2]}\n" for i in range(60))
    )
    command = [
        "train",
        "--data",
        "t.csv",
        "--label",
        "kind",
        "--ignore",
        "c",
        "--code-size",
        "1",
        "--epochs",
        "1",
    ]
    assert main([*command, "--out", "run", "--no-figures", "--report"]) == 0
    by_train = content(tmp_path / "run" / "report.html")[0]
    assert by_train["columns"] == ["a", "b"] and by_train["points"]["classes"] == ["x", "y"]
    assert main(["report", "run", "--out", "again.html"]) == 0
    again = content(tmp_path / "again.html")[0]
    assert (
        again["points"]["rows"] == by_train["points"]["rows"]
        and again["results"] == by_train["results"]
    )
    capsys.readouterr()
    assert main(["report", "run/model.npz", "--data", "digits", "--out", "no.html"]) == 2
    assert main(["report", "run", "--out", "no.txt"]) == 2
    assert "expected a file name ending in .html" in capsys.readouterr().err
    assert not os.path.exists("no.html") and not os.path.exists("no.txt")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"interrupted": True}))
    assert main(["report", "run", "--out", "again.html"]) == 0
    findings = content(tmp_path / "again.html")[0]["findings"]
    assert findings[-1]["title"] == "Training was interrupted."
    (tmp_path / "run" / "model.npz").unlink()
    (tmp_path / "run" / "checkpoints").mkdir()
    assert main(["report", "run"]) == 2
    assert "Continue it with --resume run." in capsys.readouterr().err


def test_a_text_run_reports_on_the_lines_it_held_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text(
        "".join(f"{EVIL} says line {i % 5}\n" for i in range(40)), encoding="utf-8"
    )
    assert (
        main(
            [
                "text",
                "train",
                "lines.txt",
                "--epochs",
                "1",
                "--state-size",
                "4",
                "--out",
                "run",
                "--report",
            ]
        )
        == 0
    )
    assert main(["report", "run", "--out", "again.html"]) == 0
    first, again = content(tmp_path / "run" / "report.html")[0], content(tmp_path / "again.html")[0]
    assert (
        len(first["points"]["lines"]) == 4 and first["points"]["lines"] == again["points"]["lines"]
    )
    assert first["points"]["lines"][0].startswith(EVIL)
    assert "<script>alert" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_detector_reports_on_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{2 * a + b / 9:.3f},{i % 2}"
        for i, (a, b) in enumerate(rng.standard_normal((120, 2)))
    ]
    (tmp_path / "train.csv").write_text("\n".join(["a,b,kind", *rows]))
    (tmp_path / "new.csv").write_text("\n".join(["a,b,kind", *rows[:60], "1,-9,0"]))
    assert (
        main(["detect", "--train", "train.csv", "--ignore", "kind", "--save", "detector.npz"]) == 0
    )
    assert main(["report", "detector.npz", "--data", "new.csv", "--label", "kind"]) == 0
    said, _ = content(tmp_path / "detector.html")
    row, score, p, why = said["more"][1]["table"]["rows"][0]
    assert row == 62 and score > said["results"][2]["value"] and p < 0.05 and "b low" in why
    assert [name for name, *_ in said["errors"]["classes"]] == ["0", "1"]
    assert sum(said["more"][0]["chart"]["values"]) == 61
    assert {name for name, *_ in said["errors"]["columns"]} == {"a", "b"}
    frame = pl.read_csv("new.csv")[["a", "b"]]
    write_detector_report(tmp_path / "p.html", nanoae.load("detector.npz"), frame)
    assert content(tmp_path / "p.html")[0]["more"][1]["table"]["rows"][0][0] == 60


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 3)) * [1, 10, 100], columns=list("abc"))
    return rows, nanoae.Autoencoder(2, (4,), epochs=1, random_state=0).fit(rows)


@pytest.mark.parametrize(
    ("change", "told", "expected"),
    [
        (lambda rows: rows[["b", "a", "c"]], {}, "same order as they were in fit"),
        (lambda rows: np.ma.masked_greater(rows.to_numpy(), 1), {}, "expected finite numbers"),
        (lambda rows: rows[:0], {}, "0 sample"),
        (lambda rows: rows, {"shape": (2, 2)}, "expected shape for rows of 3 numbers, got one for 4"),
        (lambda rows: rows, {"columns": ["a"]}, "expected columns for rows of 3 numbers"),
        (lambda rows: rows, {"limits": (1, 0)}, r"expected limits .*, got \(1, 0\)"),
        (lambda rows: rows, {"labels": [1, 2]}, "expected a label for each of 60 rows"),
    ],
)  # fmt: skip
def test_rows_are_refused_that_the_model_would_take_for_others(
    frame, change, told, expected, tmp_path
):
    rows, model = frame
    with pytest.raises(ValueError, match=expected):
        write_report(tmp_path / "r.html", model, change(rows), **told)


def test_a_model_of_another_kind_is_refused(frame, tmp_path):
    rows, _ = frame
    with pytest.raises(TypeError, match=r"got PCA\. Use write_text_report"):
        write_report(tmp_path / "r.html", nanoae.PCA(2).fit(rows), rows)
    with pytest.raises(ValueError, match="not fitted yet"):
        write_report(tmp_path / "r.html", nanoae.Autoencoder(2), rows)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pd.Series(["x", np.nan] * 30), ["x", "no label"]),
        (pd.Series([2, pd.NA, 10] * 20, dtype="Int64"), ["2", "10", "no label"]),
        (np.array([10, 9, 2] * 20, object), ["2", "9", "10"]),
        ([1234567.0, 1234568.0] * 30, ["1234567", "1234568"]),
        (np.array([0.1, 2], np.float32).repeat(30), ["0.1", "2"]),
        (np.ma.masked_equal([1, 2] * 30, 2), ["1", "no label"]),
        ([True, None] * 30, ["True", "no label"]),
    ],
)
def test_labels_of_any_kind_have_names(frame, labels, expected, tmp_path):
    rows, model = frame
    said, _ = content(write_report(tmp_path / "r.html", model, rows, labels))
    assert said["points"]["classes"] == expected


def test_a_predictor_is_judged_by_labelled_rows_beside_a_constant_answer(digits, tmp_path):
    data, x, _ = digits
    model = nanoae.StackedClassifier((8,), epochs=1, pretrain=False, random_state=0)
    y = np.ma.masked_equal(data.y_train[:300], 3)
    said, _ = content(write_report(tmp_path / "r.html", model.fit(x[:300], y), x[:300], y))
    most = np.bincount(y.compressed()).max()
    assert said["findings"][0]["title"].startswith("The model predicts no better than a constant")
    assert f"{1 - most / y.count():.4g}" in said["findings"][0]["title"]
    assert said["errors"]["classes"][-1][:2] == ["no label", None]


def test_losses_that_were_not_finite_are_told(fitted, digits, tmp_path):
    history = {**fitted.history_, "loss": [None, 0.3, float("nan")], "val_loss": [None] * 3}
    model = nanoae.Autoencoder(4, (16,))
    vars(model).update({**vars(fitted), "history_": history})
    said, _ = content(write_report(tmp_path / "r.html", model, digits[2]))
    assert "not finite in 2 of 3" in "".join(found["title"] for found in said["findings"])


def test_a_table_with_words_is_told_in_its_units(tmp_path):
    a = 1e3 + 1e3 * np.random.default_rng(0).random(40)
    rows = pd.DataFrame({"a": a, "word": ["x", "y"] * 20})
    model = nanoae.Autoencoder(2, (4,), epochs=1, random_state=0).fit(rows)
    path = write_report(tmp_path / "r.html", model, rows, columns=["a", "word"])
    said, block = content(path)
    first = said["examples"]["rows"]
    assert said["columns"] == ["a", "word=x", "word=y", "word=other"]
    assert np.allclose(array(said["examples"]["x"], block)[:, 0], rows["a"][first], rtol=1e-4)
    again = array(said["examples"]["again"], block)[:, 0]
    assert np.allclose(again, model.reconstruct(rows)[first, 0].astype(float), rtol=1e-4)
    assert said["results"][1]["name"] == "mean squared error, scaled columns"
