"""Which rows have no label? One rule for files, data frames and arrays, for all that learns or judges by labels."""

import re
import warnings
from decimal import Decimal

import numpy as np
import pytest

import nanoae
from nanoae import StackedClassifier, StackedRegressor, VariationalAutoencoder
from nanoae.cli import main

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 4)).astype(np.float32)
SETTINGS = {"sizes": (4,), "pretrain": False, "epochs": 1, "backend": "numpy", "random_state": 0}


def classifier(y, rows=slice(None)):
    return StackedClassifier(**SETTINGS).fit(X[rows], y)


def regressor(y, rows=slice(None)):
    return StackedRegressor(**SETTINGS).fit(X[rows], y)


def column(pattern, dtype=object):
    """The pattern, again and again, for all rows of X."""
    return np.array((pattern * 20)[: len(X)], dtype=dtype)


def theta(model):
    return model.network_.theta.tobytes()


# ---------------------------------------------------------------- classes

FORMS = {  # labels as people write them, and the classes among them; every fourth row has none
    "None": (lambda pd: column(["a", "b", None, "a"]), ["a", "b"]),
    "NaN": (lambda pd: column(["a", "b", np.nan, "a"]), ["a", "b"]),
    "NA": (lambda pd: column(["a", "b", pd.NA, "a"]), ["a", "b"]),
    "NaT": (lambda pd: column(["a", "b", pd.NaT, "a"]), ["a", "b"]),
    "-1 beside texts": (lambda pd: column(["a", "b", -1, "a"]), ["a", "b"]),
    "-1.0 beside texts": (lambda pd: column(["a", "b", -1.0, "a"]), ["a", "b"]),
    "-1 as NumPy writes it": (lambda pd: np.array(column(["a", "b", -1, "a"]).tolist()), ["a", "b"]),
    "NaN as NumPy writes it": (lambda pd: np.array(column(["a", "b", np.nan, "a"]).tolist()), ["a", "b"]),
    "empty text": (lambda pd: column(["a", "b", "", "a"], str), ["a", "b"]),
    "blank text": (lambda pd: column(["a", "b", "  ", "a"], str), ["a", "b"]),
    "nan as text": (lambda pd: column(["a", "b", " nan", "a"], str), ["a", "b"]),
    "bytes": (lambda pd: column([b"a", b"b", b"", b"a"], bytes), ["a", "b"]),
    "list": (lambda pd: column(["a", "b", None, "a"]).tolist(), ["a", "b"]),
    "list with -1": (lambda pd: column(["a", "b", -1, "a"]).tolist(), ["a", "b"]),
    "masked texts": (lambda pd: np.ma.MaskedArray(column(["a", "b", "c", "a"], str), column([0, 0, 1, 0], bool)),
                     ["a", "b"]),
    "masked numbers": (lambda pd: np.ma.MaskedArray(column([3, 7, 9, 3], int), column([0, 0, 1, 0], bool)), [3, 7]),
    "-1 among numbers": (lambda pd: column([0, 1, -1, 0], int), [0, 1]),
    "-1 among floats": (lambda pd: column([0, 1, -1, 0], float), [0.0, 1.0]),
    "NaN among floats": (lambda pd: column([0, 1, np.nan, 0], float), [0, 1]),
    "None among numbers": (lambda pd: column([0, 1, None, 0]), [0, 1]),
    "None among truth values": (lambda pd: column([False, True, None, False]), [False, True]),
    "NaN beside -1 and 1": (lambda pd: column([-1, 1, np.nan, -1]), [-1, 1]),
    "Series": (lambda pd: pd.Series(["a", "b", None, "a"] * 10), ["a", "b"]),
    "Series with its own index": (lambda pd: pd.Series(["a", "b", None, "a"] * 10, range(90, 50, -1)), ["a", "b"]),
    "string": (lambda pd: pd.Series(["a", "b", None, "a"] * 10, dtype="string"), ["a", "b"]),
    "category": (lambda pd: pd.Series(["a", "b", None, "a"] * 10, dtype="category"), ["a", "b"]),
    "category of numbers": (lambda pd: pd.Series([3, 7, None, 3] * 10).astype("Int64").astype("category"), [3, 7]),
    "Int64": (lambda pd: pd.Series([3, 7, None, 3] * 10, dtype="Int64"), [3, 7]),
    "boolean": (lambda pd: pd.Series([False, True, None, False] * 10, dtype="boolean"), [False, True]),
    "frame's column": (lambda pd: pd.DataFrame({"y": [0, 1, None, 0] * 10})["y"], [0, 1]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*labels are -1")
@pytest.mark.parametrize("name", FORMS)
def test_rows_without_a_label_are_no_class(name):
    """The classes are those of the labels, in the labels' own kind, and the rows without one are as good as absent."""
    form, classes = FORMS[name]
    y, known = form(pytest.importorskip("pandas")), column([1, 1, 0, 1], bool)
    model = classifier(y)
    assert model.classes_.tolist() == classes
    assert [type(label) for label in model.classes_.tolist()] == [type(label) for label in classes]
    right = column([*classes, None, classes[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of -1 and 1
        assert theta(model) == theta(classifier(right[known].tolist(), rows=known))
    told = np.mean(model.predict(X[known]) == right[known])
    assert model.score(X, y) == pytest.approx(told) and model.evaluate(X, y)[
        "error"
    ] == pytest.approx(1 - told)
    assert set(model.predict(X).tolist()) <= set(classes)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_labels_of_other_libraries(library):
    module = pytest.importorskip(library)
    make = module.Series if library == "polars" else module.array
    for cells, classes in [(["a", "b", None, "a"], ["a", "b"]), ([3, 7, None, 3], [3, 7]),
                           ([True, False, None, True], [False, True])]:  # fmt: skip
        assert classifier(make(cells * 10)).classes_.tolist() == classes


@pytest.mark.filterwarnings("ignore:.*labels are -1")
def test_labels_are_left_as_they_were():
    y = np.ma.MaskedArray(column([0, 1, -1, 0], int), column([0, 0, 0, 1], bool))
    before = y.copy()
    with pytest.raises(ValueError, match="one marker of missing labels"):
        classifier(y)
    y.mask = False
    classifier(y)
    assert (y.data == before.data).all() and not y.mask.any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", 1], "labels of one kind, numbers, booleans or texts, got 1 and 'a'"),
        ([1, "1"], "labels of one kind, .* got 1 and '1'"),
        ([True, "TRUE"], "labels of one kind, .* got 'TRUE' and True"),
        ([True, 0, 1], "labels of one kind, .* got 0 and True"),
        (["1", "1.0"], "each label in one spelling, got '1' and '1.0'"),
        (["True", "TRUE", "False"], "each label in one spelling, got 'TRUE' and 'True'"),
        (["\u00e9", "e\u0301", "no"], "each label in one spelling, got 'e\u0301' and '\u00e9'"),
        (["yes", "yes ", "no"], "each label in one spelling, got 'yes' and 'yes '"),
        (
            [0, 1, -1, np.nan],
            "one marker of missing labels, got -1 and empty labels. -1 stands for no label. If it is",
        ),
        (
            [-2, -1, 0, 1, 2],
            r"no class below 0 next to -1, got -2. -1 stands for no label. .*y == -1, np.nanmax\(y\) \+ 1, y\)",
        ),
        ([0.5, 1.5, np.nan], "continuous"),
        ([(1, 2), "a"], r"class labels, numbers or text, got a tuple, \(1, 2\)"),
        (
            ["a", "a", -1],
            r"labels of two classes or more, got 1 class\(es\): \['a'\]. y = -1 marks a row without",
        ),
        ([1, 1, None], r"labels of two classes or more, got 1 class\(es\): \[1\]"),
    ],
)
def test_what_nobody_can_know_is_refused(labels, message):
    with pytest.raises(ValueError, match=f"StackedClassifier: expected .*{message}"):
        classifier(column(labels))


def test_dates_are_no_labels():
    with pytest.raises(
        ValueError, match=r"class labels, numbers or text, got an array of datetime64"
    ):
        classifier(np.arange(40).astype("datetime64[D]"))


@pytest.mark.parametrize("mark", ["NA", "none", "?"])
@pytest.mark.parametrize("kind", [str, object])
def test_texts_that_may_be_classes_are_told_of(mark, kind):
    with pytest.warns(
        UserWarning,
        match=rf"StackedClassifier: taking '{re.escape(mark)}' for no label. If it is a",
    ):
        assert classifier(column(["a", "b", mark], kind)).classes_.tolist() == ["a", "b"]
    with pytest.warns(UserWarning, match="for no label"):
        assert classifier(column([3, 7, mark])).classes_.tolist() == [3, 7]


@pytest.mark.parametrize(
    "labels", [["no", "yes", "-"], ["dog", "cat", "missing"], [0, 1, -99], [0.0, 1.0, -999.0]]
)
def test_classes_that_may_be_no_labels_are_told_of(labels):
    with pytest.warns(UserWarning, match="taking '.*' for a class. If it stands for no label"):
        assert classifier(column(labels)).classes_.tolist() == sorted(labels)


@pytest.mark.filterwarnings("error")
def test_signs_are_classes():
    assert classifier(column(["+", "-"])).classes_.tolist() == ["+", "-"]


def test_decimals_are_numbers():
    y = column([Decimal("1.5"), Decimal("-2"), None, Decimal("0.25")])
    model = regressor(y)
    assert theta(model) == theta(regressor(column([1.5, -2, np.nan, 0.25])))
    whole = column([Decimal(3), Decimal(7), Decimal("NaN")])
    assert classifier(whole).classes_.tolist() == [3, 7]


OTHERWISE = "-1 stands for no label. If it is a class: y = np.where(y == -1, np.nanmax(y) + 1, y)."


@pytest.mark.parametrize(
    ("labels", "classes", "told"),
    [
        ([-1, 1], [-1, 1], f"taking -1 and 1 for two classes. Otherwise {OTHERWISE}"),
        ([0, 1, -1, -1], [0, 1], f"20 of 40 labels are -1. {OTHERWISE}"),
        ([0.0, 1.0, -1.0, -1.0, -1.0], [0, 1], "24 of 40 labels are -1."),
        (["0", "1", "-1", "0"], ["0", "1"], "10 of 40 labels are -1."),
        ([0, 1, 2, 3, -1], [0, 1, 2, 3], "8 of 40 labels are -1."),
        ([0, 1, 2, -1, -1, -1, -1, -1], [0, 1, 2], None),  # few labels
        (["a", "b", -1, "a"], ["a", "b"], None),
    ],
)
def test_minus_one_is_told_of_where_it_may_be_a_class(labels, classes, told):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert classifier(column(labels).tolist()).classes_.tolist() == classes
    assert [str(warning.message) for warning in found if told is None] == []
    if told:
        assert len(found) == 1 and str(found[0].message).startswith(f"StackedClassifier: {told}")
        assert found[0].filename == __file__  # at the line that called, not within the package


def test_minus_one_alone_beside_a_class_is_refused():
    with (
        pytest.warns(UserWarning, match="20 of 40 labels are -1"),
        pytest.raises(ValueError, match=r"two classes or more, got 1 class\(es\): \[0\]. y = -1"),
    ):
        classifier(column([0, -1], int))


@pytest.mark.filterwarnings("ignore:.*labels are -1")
def test_minus_one_is_no_label_of_known_classes():
    model = classifier(column([0, 1, -1], int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = column([-1, 1, -1, 1], int)  # no class -1 here: the classes are known by now
        assert model.score(X, rows) == np.mean(model.predict(X[1::2]) == 1)


# ---------------------------------------------------------------- numbers to be predicted

GAPS = np.arange(40) % 4 == 2
NUMBERS = {
    "NaN": lambda pd: np.where(GAPS, np.nan, X[:, 0]),
    "masked": lambda pd: np.ma.MaskedArray(np.where(GAPS, -99, X[:, 0]), GAPS),
    "list": lambda pd: [None if gap else float(x) for x, gap in zip(X[:, 0], GAPS, strict=True)],
    "Float64": lambda pd: pd.Series(X[:, 0], dtype="Float64").mask(GAPS),
    "objects": lambda pd: np.where(GAPS, pd.NA, X[:, 0].astype(object)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_missing(name):
    y, known = NUMBERS[name](pytest.importorskip("pandas")), column([1, 1, 0, 1], bool)
    model = regressor(y)
    right = X[:, 0].astype(float)
    assert theta(model) == theta(StackedRegressor(**SETTINGS).fit(X[known], right[known]))
    unexplained, spread = (
        ((right - model.predict(X))[known] ** 2).sum(),
        ((right[known] - right[known].mean()) ** 2).sum(),
    )
    assert (
        model.score(X, y) == model.evaluate(X, y)["r2"] == pytest.approx(1 - unexplained / spread)
    )


def test_minus_one_is_a_number_to_be_predicted():
    y = np.where(X[:, 0] > 0, 1, -1)
    assert theta(regressor(y)) == theta(regressor(y.astype(float)))
    assert regressor(y).evaluate(X, y)["loss"] == pytest.approx(
        ((regressor(y).predict(X) - y) ** 2).mean()
    )


def test_a_single_number_has_a_score():
    model = regressor(X[:, 0])
    assert model.score(X[:1], X[:1, 0]) == 0 and model.score(X[:1], model.predict(X[:1])) == 1


@pytest.mark.filterwarnings("ignore:.*labels are -1")
@pytest.mark.parametrize("kind", [classifier, regressor])
def test_rows_without_labels_are_no_part_of_any_score(kind):
    """Half of the rows have none: validation, scores of a model and of a search see the other half only."""
    model_selection = pytest.importorskip("sklearn.model_selection")
    y = np.arange(40) % 2 if kind is classifier else X[:, 0].astype(float)
    some = np.where(rng.random(40) < 0.5, -1 if kind is classifier else np.nan, y)
    known = ~np.isnan(some) & (some != -1)
    model = kind(some)
    assert model.score(X, some) == model.score(X[known], y[known]) != 0
    watched = type(model)(**SETTINGS).fit(X, y, validation_data=(X, some)).history_["val_loss"]
    assert (
        watched
        == type(model)(**SETTINGS)
        .fit(X, y, validation_data=(X[known], y[known]))
        .history_["val_loss"]
    )
    splits = model_selection.KFold(2)
    scores = model_selection.cross_val_score(model, X, some, cv=splits)
    for score, (train, test) in zip(scores, splits.split(X), strict=True):
        own = type(model)(**SETTINGS).fit(X[train], some[train])
        assert score == own.score(X[test][known[test]], y[test][known[test]])


# ---------------------------------------------------------------- conditions


@pytest.mark.filterwarnings("ignore:.*no label")
@pytest.mark.parametrize("mark", [None, np.nan, "", -1, "NA"])
def test_a_condition_is_a_label_for_each_row(mark):
    y = column(["a", "b", mark, "a"])
    model = VariationalAutoencoder(2, (4,), likelihood="gaussian", epochs=1, backend="numpy")
    with pytest.raises(
        ValueError, match=rf"expected condition, a label for each row, got {mark!r} in row 2"
    ):
        model.fit(X, condition=y)
    model.fit(X, condition=column(["a", "b"]))
    for act in (lambda: model.transform(X, y), lambda: model.sample(1, condition=[mark])):
        with pytest.raises(ValueError, match="expected condition, a label for each row, got"):
            act()


def test_conditions_of_other_kinds():
    make = {"likelihood": "gaussian", "epochs": 1, "backend": "numpy", "random_state": 0}
    model = VariationalAutoencoder(2, (4,), **make).fit(X, condition=column([0, 1]))
    assert model.classes_.tolist() == [0, 1] and model.classes_.dtype.kind == "i"
    assert (model.sample(2, 0, condition=1.0) == model.sample(2, 0, condition=[1, 1])).all()
    with pytest.warns(match="A column-vector condition was passed"):  # as with y
        assert model.fit(X, condition=column([0, 1])[:, None]).classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"expected condition, labels \(N,\), got shape \(40, 2\)"):
        model.fit(X, condition=np.stack([column([0, 1])] * 2, axis=1))


# ---------------------------------------------------------------- files and the command line


@pytest.fixture
def table(tmp_path):
    """Writes a table of two columns and these labels again and again; gives its path."""

    def write(labels):
        lines = [f"{a:.3f},{b:.3f},{labels[i % len(labels)]}" for i, (a, b) in enumerate(X[:, :2])]
        (tmp_path / "t.csv").write_text("\n".join(["x,z,y", *lines]) + "\n")
        return tmp_path / "t.csv"

    return write


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes", "", ""], ["no", "yes"]),
        (["no", "yes", "-1"], ["no", "yes"]),
        (["0", "1", "", "NA"], [0, 1]),
        (["0", "1", "-1"], [0, 1]),
        (["0.0", "1.0", "nan"], [0, 1]),
        (["True", "False", ""], ["False", "True"]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*labels are -1")
def test_labels_of_a_file(table, labels, classes):
    data = nanoae.load_data(table(labels), label="y")
    model = StackedClassifier(**SETTINGS).fit(data.flat()[0], data.y_train)
    assert model.classes_.tolist() == classes
    some = [
        label
        for label in np.ma.MaskedArray(data.y_train).compressed().tolist()
        if label not in (-1, "-1")
    ]
    assert {type(classes[0])(label) for label in some} == set(classes)


def test_labels_that_no_float_holds_stay_apart(table):
    labels = [str(12345678901234567890 + i) for i in range(3)]
    assert {*nanoae.load_data(table(labels), label="y").y_train.tolist()} == {*labels}


def test_labels_that_are_all_there_are_a_plain_array(table):
    for labels, dtype in {("no", "yes"): "U", ("0", "1"): "i", ("0.5", "1"): "f"}.items():
        y = nanoae.load_data(table(labels), label="y").y_train
        assert type(y) is np.ndarray and y.dtype.kind == dtype


def test_numbers_of_a_file(table):
    data = nanoae.load_data(table(["1.5", "", "-1", "2.5"]), label="y")
    assert (
        set(np.ma.compressed(data.y_train).tolist()) <= {1.5, -1.0, 2.5} and data.y_train.mask.any()
    )


def test_the_command_line_knows_the_same_rows(table, tmp_path, capsys):
    path = table(["no", "yes", "NA", "-1"])
    common = ["--data", str(path), "--label", "y", "--epochs", "2", "--no-figures", "--quiet"]
    run = str(tmp_path / "run")
    assert (
        main(
            [
                "train",
                "--classify",
                "--stacked",
                "4",
                "--pretrain-epochs",
                "1",
                "--out",
                run,
                *common,
            ]
        )
        == 0
    )
    assert (
        "nanoae: warning: StackedClassifier: taking 'NA' for no label. If it is a class,"
        in capsys.readouterr().err
    )
    assert main(["evaluate", run, "--data", str(path), "--label", "y", "--split", "all"]) == 0
    model, data = (
        nanoae.load(f"{run}/model.npz"),
        nanoae.load_data(path, label="y", random_state=None),
    )
    rows = np.concatenate(data.flat())
    assert model.classes_.tolist() == ["no", "yes"] and len(rows) == 40
    known = np.flatnonzero(np.arange(40) % 4 < 2)
    wrong = np.mean(model.predict(rows[known]) != np.array(["no", "yes"])[known % 4])
    assert f"all error {100 * wrong:.2f} %" in capsys.readouterr().out
    assert main(["train", "--conditional", "--preset", "vae-20", "--out", f"{run}-2", *common]) != 0
    assert "a label for each row" in capsys.readouterr().err
    path = table(["1.5", "", "2.5"])
    assert (
        main(
            [
                "train",
                "--regress",
                "--stacked",
                "4",
                "--pretrain-epochs",
                "1",
                "--out",
                f"{run}-3",
                *common,
            ]
        )
        == 0
    )
    assert "R²" in capsys.readouterr().out


# ---------------------------------------------------------------- of known classes


@pytest.mark.parametrize(
    ("learned", "same"),
    [(["1", "2", "x"], ["1.0", "2.0", "x"]), (["1", "2", "x"], [1, 2, None]), ([1, 2, 3], ["1", "2.0", "3"]),
     ([False, True], ["FALSE", "True"]), (["False", "True", "x"], [False, True, None]), ([0, 1], [False, True]),
     ([-1, 1], ["-1", "1"]), ([0, 1, 2], ["0", "-1", "2"])],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*taking -1 and 1")
def test_a_label_is_the_class_that_it_means(learned, same):
    model = classifier(column(learned))
    unlabelled = [None] if -1 in learned else [None, "-1"]
    known = [row for row, label in enumerate(column(same)) if label not in unlabelled]
    judged, wanted = column(same)[known].tolist(), column(learned)[known].tolist()
    assert (
        model.score(X[known], judged)
        == model.score(X[known], wanted)
        == np.mean(model.predict(X[known]) == wanted)
    )
    assert model.evaluate(X, column(same).tolist()) == model.evaluate(X[known], wanted)


def test_labels_that_may_mean_the_same_are_told():
    told = "'Yes' and 'yes' are two classes"
    with pytest.warns(UserWarning, match=told):
        classifier(column(["Yes", "yes", "no"]))
    model = classifier(column(["Yes", "no"]))
    with pytest.warns(UserWarning, match=told):
        model.score(X, column(["yes", "no"]))


def test_nearly_as_many_classes_as_rows_are_told():
    with pytest.warns(
        UserWarning, match="30 classes in 40 labelled rows. If y is an id.* quantity"
    ):
        classifier(np.arange(40) % 30)


def test_the_command_tells_it_once(tmp_path, capsys):
    rows = [
        f"{x:.3f},{label}" for x, label in zip(X[:, 0], column(["Yes", "yes", "no"]), strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *rows]))
    out = ["--out", str(tmp_path / "run"), "--epochs", "1", "--quiet", "--no-figures"]
    network = ["--classify", "--stacked", "2", "--pretrain-epochs", "1"]
    assert main(["train", "--data", str(tmp_path / "t.csv"), "--label", "y", *network, *out]) == 0
    assert capsys.readouterr().err.count("'Yes' and 'yes' are two classes") == 1


@pytest.mark.parametrize(
    ("learned", "judged"),
    [([0, 1], ["c0", "c1"]), (["a", "b"], [0, 1]), (["a", "b"], [True, False])],
)
def test_labels_of_another_kind_are_no_wrong_predictions(learned, judged):
    model = classifier(column(learned))
    with pytest.raises(
        ValueError, match=re.escape(f"expected labels from {learned}, got {judged[0]!r}")
    ):
        model.score(X, column(judged).tolist())
