"""Do models that the command trains know their columns, and take another file's by their names?"""

import csv
import json
import re

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

Q = np.random.default_rng(0).normal(size=60)
X = np.round(np.c_[Q, 2 * Q + 5, -Q], 4)
KIND = np.where(Q > 0, "up", "down")
QUIET = ("--epochs", "2", "--no-figures", "--quiet")


def save(path, columns, index=False):
    """columns: name -> its cells."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([""] * index + list(columns))
        rows = zip(*columns.values(), strict=True)
        writer.writerows([i] * index + list(row) for i, row in enumerate(rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An autoencoder and a classifier of the columns a, b and "c, d", and files of these columns."""
    folder = tmp_path_factory.mktemp("columns")
    a, b, c = X.T.tolist()
    save(folder / "train.csv", {"a": a, "b": b, "c, d": c})
    save(folder / "turned.csv", {"c, d": c, "a": a, "b": b})
    save(folder / "more.csv", {"id": range(60), "c, d": c, "kind": KIND, "a": a, "b": b})
    save(folder / "labelled.csv", {"kind": KIND, "a": a, "b": b, "c, d": c})
    save(folder / "fewer.csv", {"a": a, "B": b})
    save(folder / "index.csv", {"a": a, "b": b, "c, d": c}, index=True)
    np.savetxt(folder / "nameless.csv", X, delimiter=",")
    np.save(folder / "array.npy", X)
    train = ["train", "--code-size", "2", "--hidden", "none", *QUIET]
    assert main([*train, "--data", str(folder / "train.csv"), "--out", str(folder / "m")]) == 0
    classify = [
        "--classify",
        "--stacked",
        "4",
        "--label",
        "kind",
        "--data",
        str(folder / "labelled.csv"),
    ]
    assert main(["train", *QUIET, *classify, "--out", str(folder / "c")]) == 0
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    capsys.readouterr()

    def command(*argv):
        return main([*map(str, argv)]), *capsys.readouterr()

    return command


MORE, INDEX = ("--ignore", "id,kind"), ("--ignore", "Unnamed: 0")


@pytest.mark.parametrize(
    ("data", "said"),
    [("turned.csv", ()), ("more.csv", MORE), ("index.csv", ("--ignore", "Unnamed: 0"))],
)
def test_the_columns_are_those_of_training_in_any_order(run, tmp_path, data, said):
    model = nanoae.load("m/model.npz", backend="numpy")
    assert model.feature_names_in_.tolist() == ["a", "b", "c, d"]
    expected = run("evaluate", "m", "--data", "train.csv", "--split", "all")[1].splitlines()[-1]
    assert (
        run("evaluate", "m", "--data", data, "--split", "all", *said)[1].splitlines()[-1]
        == expected
    )
    for command, method in (("encode", model.transform), ("reconstruct", model.reconstruct)):
        assert run(command, "m", "--data", data, "--out", tmp_path / "out.npy", *said)[0] == 0
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), method(X.astype("f4")))


@pytest.mark.parametrize("command", ["evaluate", "encode", "reconstruct", "generate"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            "fewer.csv",
            r"the 3 columns that the model learned, got 2: ['b', 'c, d'] missing, ['B'] unknown",
        ),
        (
            "more.csv",
            "got 5: none missing, ['id', 'kind'] unknown. Name a label column with label=, --label; leave",
        ),
        ("index.csv", "got 4: none missing, ['Unnamed: 0'] unknown"),
    ],
)
def test_other_columns_are_refused_by_their_names(run, tmp_path, command, data, told):
    more = {"evaluate": (), "generate": ("--mixture", 2, "--out", tmp_path / "o.npy")}.get(
        command, ("--out", tmp_path / "o.npy")
    )
    code, out, err = run(command, "m", "--data", data, *more)
    assert (
        code == 2
        and told in err
        and err.count("\n") == 1
        and not out
        and not list(tmp_path.iterdir())
    )


@pytest.mark.parametrize("command", ["evaluate", "encode"])
def test_a_column_in_another_unit_is_refused(run, tmp_path, command):
    save(
        tmp_path / "percent.csv", {"a": X[:, 0], "c, d": X[:, 2], "b": [f"{x} %" for x in X[:, 1]]}
    )
    out = () if command == "evaluate" else ("--out", tmp_path / "o.npy")
    code, _, err = run(command, "m", "--data", tmp_path / "percent.csv", *out)
    told = "percent.csv: expected column 'b' in the unit that was learned, none, got %. Use one unit for both."
    assert code == 2 and err == f"nanoae: error: {told}\n"


def test_a_label_in_another_unit_is_refused(run, tmp_path):
    columns = {"a": X[:, 0], "b": X[:, 1]}
    save(tmp_path / "share.csv", {**columns, "y": [f"{x:.1f}%" for x in 50 + Q]})
    save(tmp_path / "plain.csv", {**columns, "y": 50 + Q})
    fit = ("--regress", "--stacked", "4", *QUIET, "--out", tmp_path / "r")
    assert run("train", "--data", tmp_path / "share.csv", "--label", "y", *fit)[0] == 0
    assert run("evaluate", tmp_path / "r", "--data", tmp_path / "share.csv", "--label", "y")[0] == 0
    code, _, err = run("evaluate", tmp_path / "r", "--data", tmp_path / "plain.csv", "--label", "y")
    assert code == 2 and "column 'label' in the unit that was learned, %, got none" in err
    out = ("--out", tmp_path / "o.npy")
    assert (
        run("encode", tmp_path / "r", "--data", tmp_path / "plain.csv", "--ignore", "y", *out)[0]
        == 0
    )


@pytest.mark.parametrize(("command", "data"), [("train", "index.csv"), ("tune", "index.csv")])
def test_the_index_of_a_data_frame_is_no_feature(run, tmp_path, command, data):
    grid = ("--grid", "code_size=1,2") if command == "tune" else ()
    argv = (command, "--data", data, "--hidden", "none", *QUIET, *grid, "--out", tmp_path / "new")
    code, _, err = run(*argv)
    assert (
        code == 2
        and "the column 'Unnamed: 0', which has no name and numbers the rows" in err
        and "--ignore=" in err
    )
    assert run(*argv, "--ignore", "Unnamed: 0")[0] == 0
    assert nanoae.load(tmp_path / "new/model.npz").feature_names_in_.tolist() == ["a", "b", "c, d"]
    assert json.loads((tmp_path / "new/config.json").read_text())["data"]["train"] == [48, 3]


def test_a_label_is_handled_by_its_name(run, tmp_path):
    expected = run("evaluate", "c", "--data", "labelled.csv", "--label", "kind")[1].splitlines()[-1]
    assert "test error" in expected
    code, out, _ = run("evaluate", "c", "--data", "more.csv", "--label", "kind", "--ignore", "id")
    assert code == 0 and out.splitlines()[-1] == expected
    assert (
        run(
            "encode", "m", "--data", "labelled.csv", "--label", "kind", "--out", tmp_path / "o.npy"
        )[0]
        == 0
    )


def test_what_is_written_has_the_names_of_the_columns(run, tmp_path):
    for argv in (("reconstruct", "m", "--data", "turned.csv"), ("reconstruct", "m", "--data", "array.npy"),
                 ("generate", "m", "--mixture", 2, "--data", "train.csv")):  # fmt: skip
        assert run(*argv, "--out", tmp_path / "o.csv")[0] == 0
        with open(tmp_path / "o.csv", newline="") as file:
            assert next(csv.reader(file)) == ["a", "b", "c, d"]


def test_what_has_no_names_is_taken_as_it_stands_and_that_is_told(run):
    expected = run("evaluate", "m", "--data", "array.npy", "--split", "all")
    assert expected[0] == 0 and not expected[2]
    code, out, err = run("evaluate", "m", "--data", "nameless.csv", "--split", "all")
    assert code == 0 and out.splitlines()[-1] == expected[1].splitlines()[-1]
    assert re.search(
        "warning: nameless.csv: its columns have no names; taking them in the order 'a, b, c, d'",
        err,
    )


@pytest.mark.parametrize(
    ("spell", "said"),
    [
        (lambda text: text.replace(",", ":"), ("--separator", ":")),
        (lambda text: text.replace(",", "\t"), ("--separator", "tab", "--header", "yes")),
        (lambda text: text.encode("utf-16-le"), ("--encoding", "utf-16-le")),
        (lambda text: text.replace(",", ";").replace(".", ","), ("--decimal", ",")),
        (lambda text: text.partition("\n")[2], ("--header", "no")),
    ],
)
def test_what_is_said_of_a_file_reaches_its_reader(run, tmp_path, spell, said):
    content = spell("\n".join(["a,b,c", *(",".join(map(str, row)) for row in X.tolist())]))
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert (
        run("train", "--data", tmp_path / "t.csv", *said, *QUIET, "--out", tmp_path / "m")[0] == 0
    )
    assert json.loads((tmp_path / "m/config.json").read_text())["data"]["train"] == [48, 3]


def test_python_chooses_columns_by_name(folder):
    data = nanoae.load_data(
        folder / "more.csv",
        random_state=None,
        columns=["b", "a"],
        label="kind",
        ignore=["id", "c, d"],
    )
    assert data.columns == ("b", "a")
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), X[:, [1, 0]])
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), KIND)
    with pytest.raises(
        ValueError, match=r"the 1 columns that the model learned, got 3: \['A'\] missing, \['a', "
    ):
        nanoae.load_data(folder / "train.csv", columns=["A"])
