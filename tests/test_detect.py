"""Does AnomalyDetector take tables with gaps and text, and does `nanoae detect` say what is abnormal, and why?"""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae import AnomalyDetector, Autoencoder, read_table
from nanoae.anomaly import default_autoencoder
from nanoae.cli import main

PLANS, COUNTRIES = ("basic", "plus", "gold"), ("DE", "FR", "IT", "ES")


def customers(n, seed, odd=0, gaps=0.05):
    """Rows (id, plan, minutes, bill, country): a plan for its minutes, a bill for these; the first `odd` are wrong."""
    random = np.random.default_rng(seed)
    rows = []
    for i, kind in enumerate(random.integers(0, 3, n)):
        minutes = (100, 300, 900)[kind] * np.exp(0.2 * random.standard_normal())
        row = [
            PLANS[kind],
            minutes,
            5 + 0.05 * minutes + random.standard_normal(),
            COUNTRIES[random.integers(4)],
        ]
        if i < odd:
            row = [
                [row[0], minutes, row[2] * 4, row[3]],
                [*row[:3], "XX"],
                [row[0], minutes / 9, *row[2:]],
            ][i % 3]
        rows.append(
            [f"c{i}", *("" if random.random() < gaps and i >= odd else cell for cell in row)]
        )
    return rows


def write(path, rows, names=("id", "plan", "minutes", "bill", "country")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    write(folder / "normal.csv", customers(600, 0))
    write(folder / "new.csv", customers(60, 1, odd=9))
    return folder


@pytest.fixture(scope="module")
def scored(folder):
    argv = [
        "detect",
        "--train",
        folder / "normal.csv",
        "--score",
        folder / "new.csv",
        "--out",
        folder / "scores.csv",
    ]
    assert main([*map(str, argv), "--ignore", "id", "--explain"]) == 0
    return read(folder / "scores.csv")


# ---------------------------------------------------------------- the command


def test_what_is_ignored_may_stand_in_one_file_alone(folder, tmp_path, capsys):
    """An index, which whoever wrote the other file left out."""
    without = [row[1:] for row in customers(60, 1)]
    write(tmp_path / "new.csv", without, ("plan", "minutes", "bill", "country"))
    for train, score in (
        (folder / "normal.csv", tmp_path / "new.csv"),
        (tmp_path / "new.csv", folder / "new.csv"),
    ):
        argv = [
            "detect",
            "--train",
            train,
            "--score",
            score,
            "--out",
            tmp_path / "out.csv",
            "--ignore",
        ]
        assert main([*map(str, argv), "id"]) == 0
        assert len(read(tmp_path / "out.csv")) == 60
    assert main([*map(str, argv), "idd"]) == 2 and "Did you mean 'id'?" in capsys.readouterr().err


def test_what_is_wrong_is_found_and_said(scored):
    assert [row["id"] for row in scored] == [f"c{i}" for i in range(60)] and scored[0]["row"] == "2"
    abnormal = [row["abnormal"] == "1" for row in scored]
    assert sum(abnormal[:9]) >= 7 and sum(abnormal[9:]) <= 3
    for i, found in enumerate(("bill high (", "country (", "minutes low (")):
        assert sum(found in row["reason"] for row in scored[i:9:3]) >= 2


def test_scores_p_values_and_shares_agree(scored):
    scores, p = (np.array([float(row[name]) for row in scored]) for name in ("score", "p_value"))
    assert (np.diff(p[np.argsort(scores)]) <= 0).all() and ((p > 0) & (p <= 1)).all()
    names = ["plan_share", "minutes_share", "bill_share", "country_share"]
    shares = np.array([[float(row[name]) for name in names] for row in scored])
    np.testing.assert_allclose(np.abs(shares).sum(axis=1), scores, rtol=1e-2)


def test_a_missing_cell_has_no_share(folder, scored):
    cells = read(folder / "new.csv")
    empty = [(i, name) for i, row in enumerate(cells) for name in row if not row[name]]
    assert len(empty) > 3 and not any(float(scored[i][f"{name}_share"]) for i, name in empty)


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("normal.csv", "new.csv"):
        Path(name).write_bytes((folder / name).read_bytes())

    def command(*argv):
        try:
            code = main(["detect", *map(str, argv)])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return command


FILES = ("--train", "normal.csv", "--score", "new.csv", "--out", "scores.csv", "--ignore", "id")


def test_columns_may_come_in_any_order(run, folder, scored):
    rows = [[row[i] for i in (3, 0, 4, 2, 1)] for row in customers(60, 1, odd=9)]
    write("new.csv", rows, ("bill", "id", "country", "minutes", "plan"))
    assert run(*FILES)[0] == 0
    mine = read("scores.csv")
    assert "reason" not in mine[0] and "plan_share" not in mine[0]
    # and the same seed, the same scores
    assert [row["score"] for row in mine] == [row["score"] for row in scored]


@pytest.mark.parametrize(
    "rule", [("--contamination", "0.3"), ("--mad", "1"), ("--false-alarms", "0.3")]
)
def test_the_rules(run, rule):
    assert run(*FILES, *rule)[0] == 0
    assert 12 < sum(row["abnormal"] == "1" for row in read("scores.csv")) < 45


def test_help_has_an_example(run):
    code, out, _ = run("--help")
    assert (
        code == 0
        and "example: nanoae detect --train normal.csv --score" in out
        and "p-value" in out
    )


def test_a_saved_detector_judges_as_it_did(run, scored):
    """Trained in one call, used in another; the second file's columns may be in another order."""
    code, out, _ = run("--train", "normal.csv", "--save", "detector.npz", "--ignore", "id")
    assert code == 0 and "model   detector.npz" in out and not Path("scores.csv").exists()
    Path("normal.csv").unlink()
    use = (
        "--model",
        "detector.npz",
        "--out",
        "scores.csv",
        "--ignore",
        "id",
        "--explain",
        "--score",
    )
    assert run(*use, "new.csv")[0] == 0 and read("scores.csv") == scored
    rows = [[row[i] for i in (3, 0, 4, 2, 1)] for row in customers(60, 1, odd=9)]
    write("new.csv", rows, ("bill", "id", "country", "minutes", "plan"))
    assert run(*use, "new.csv")[0] == 0 and [row["score"] for row in read("scores.csv")] == [
        row["score"] for row in scored
    ]
    scored_again = read("scores.csv")
    # which columns to ignore is kept, too
    assert run(*use[:4], "--explain", "--score", "new.csv")[0] == 0
    assert read("scores.csv") == scored_again
    Autoencoder(2, (3,), epochs=1, backend="numpy").fit(np.eye(4)).save("detector.npz")
    code, _, err = run(*use, "new.csv")
    assert code == 2 and "expected a detector of tables, got Autoencoder" in err and "--save" in err


def test_training_scoring_and_saving_at_once(run, scored):
    assert run(*FILES, "--explain", "--save", "detector.npz")[0] == 0
    assert read("scores.csv") == scored
    assert nanoae.load("detector.npz").feature_names_in_.tolist() == [
        "plan",
        "minutes",
        "bill",
        "country",
    ]


WRONG = {
    "no file": (lambda: Path("new.csv").unlink(), "new.csv: No such file"),
    "a folder": (
        lambda: (Path("new.csv").unlink(), Path("new.csv").mkdir()),
        "expected a table in a file, or a folder of Parquet files",
    ),
    "a text among numbers": (
        lambda: Path("new.csv").write_text(
            Path("new.csv").read_text().replace("c3,", "c3,plus,many,7,DE\n", 1)
        ),
        "new.csv: expected",
    ),
    "other names": (
        lambda: write("new.csv", [["a"] * 6], "abcdef"),
        "'country'] missing, ['a', 'b'",
    ),
    "a column is missing": (
        lambda: write("new.csv", [["c1", "plus", 7]], ("id", "plan", "bill")),
        "missing",
    ),
    "a name twice": (
        lambda: write("normal.csv", customers(9, 0), ("id", "a", "a", "b", "c")),
        "'a' twice",
    ),
    "no rows": (lambda: write("normal.csv", []), "expected rows of cells"),
    "one row": (lambda: write("normal.csv", customers(1, 0, gaps=0)), "at least 2 rows"),
    "no text": (
        lambda: Path("normal.csv").write_bytes(b"\xff\xfe\x00"),
        "expected a valid CSV table",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(run, name):
    spoil, message = WRONG[name]
    spoil()
    before = sorted(path.name for path in Path().iterdir())
    code, _, err = run(*FILES)
    assert code == 2 and message in err and "Traceback" not in err and err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--false-alarms", "2"), "expected false_alarms in"),
        (("--contamination", "0.9"), "expected contamination in"),
        (("--mad", "-1"), "expected k > 0"),
        (("--members", "0"), "expected members"),
        (("--ignore", "id,plan,minutes,bill,country"), "got only columns to ignore"),
        (("--out", "new.csv"), "expected a file that no other option names"),
        (("--out", "nowhere/scores.csv"), "expected a file that can be written"),
        (("--mad", "1", "--contamination", "0.1"), "not allowed with"),
        (("--model", "detector.npz"), "not allowed with"),
        (("--save", "scores.csv"), "expected a file that no other option names"),
        (("--save", "nowhere/detector.npz"), "expected a file that can be written"),
    ],
)
def test_wrong_options(run, options, message):
    code, _, err = run(*FILES, *options)
    assert code == 2 and message in err and not Path("scores.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train", "normal.csv"), "expected --score and --out, or --save, got none"),
        (("--train", "normal.csv", "--score", "new.csv"), "--score: expected --out with it"),
        (("--score", "new.csv", "--out", "scores.csv"), "--train --model is required"),
        (("--model", "d.npz"), "--model: expected --score with it"),
        (
            ("--train", "normal.csv", "--save", "d.npz", "--explain"),
            "--explain: expected --score with it",
        ),
        (
            ("--train", "normal.csv", "--save", "x/../normal.csv"),
            "expected a file that no other option names",
        ),
        (("--train", "normal.csv", "--save", "."), "expected a file that can be written"),
        (("--train", "normal.csv", "--save", "/dev/null"), "expected a file that can be written"),
        (("--model", "no.npz", "--score", "new.csv", "--out", "scores.csv"), "no.npz"),
        (
            ("--model", "d.npz", "--score", "new.csv", "--out", "scores.csv", "--mad", "3"),
            "--mad: expected --train with it",
        ),
        (
            ("--model", "d.npz", "--score", "new.csv", "--out", "s.csv", "--seed", "0"),
            "--seed: expected --train with it",
        ),
    ],
)
def test_options_that_do_not_go_together(run, options, message):
    code, _, err = run(*options)
    assert (
        code == 2 and message in err and "Traceback" not in err and not Path("scores.csv").exists()
    )


# ---------------------------------------------------------------- the detector


def small(**settings):
    return AnomalyDetector(
        Autoencoder(4, (8,), epochs=2, backend="numpy"), **{"random_state": 0, **settings}
    )


def test_a_data_frame_is_the_table_it_was_read_from(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(folder / "normal.csv").drop(columns="id")
    table = read_table(folder / "normal.csv")
    table = type(table)(table.names[1:], table.cells[1:], table.rows)
    mine, other = small(missing="mask").fit(frame), small(missing="mask").fit(table)
    np.testing.assert_array_equal(mine.score_samples(frame), other.score_samples(table))
    assert mine.n_features_in_ == 4 and mine.feature_names_in_.tolist() == [
        "plan",
        "minutes",
        "bill",
        "country",
    ]
    assert mine.explain(frame).shape == (600, 4)


@odd_tables
@pytest.mark.parametrize("scores", ["codes", "reconstruction", "standardised", "mahalanobis"])
def test_columns_of_nothing_constant_ones_and_few_rows(scores):
    X = np.random.default_rng(0).standard_normal((20, 5))
    X[:, 1], X[:, 2], X[3, 0], X[7] = np.nan, 4.0, np.nan, np.nan
    with pytest.warns(UserWarning, match="row 7 has missing values only"):
        detector = small(missing="mask", scores=scores).fit(X)
    X = np.delete(X, 7, axis=0)
    assert np.isfinite(detector.score_samples(X)).all() and np.isfinite(detector.p_values(X)).all()
    shares = detector.explain(X)
    assert np.isfinite(shares).all() and not shares[:6, 1].any() and shares[3, 0] == 0
    far = X.copy()
    far[0, 4] = 1e3
    assert detector.score_samples(far)[0] < detector.score_samples(X)[0]
    with pytest.raises(ValueError, match='missing="mask"'):
        small(scores=scores).fit(X)


def test_more_columns_than_rows():
    X = np.random.default_rng(0).standard_normal((30, 300))
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    assert np.isfinite(small(missing="mask").fit(X).decision_function(X)).all()


def test_without_gaps_mask_changes_nothing(digits):
    x = digits[0][:150]
    mask, plain = small(missing="mask").fit(x), small().fit(x)
    np.testing.assert_allclose(mask.score_samples(x), plain.score_samples(x), rtol=1e-4)


@odd_tables
def test_text_without_mask_wants_whole_rows(folder):
    table = read_table(folder / "normal.csv")
    with pytest.raises(ValueError, match="expected no missing values"):
        small().fit(table)


def test_a_detector_of_a_table_is_saved_with_its_categories(folder, tmp_path):
    table = read_table(folder / "normal.csv")
    table = type(table)(table.names[1:], table.cells[1:], table.rows)
    detector = small(missing="mask").fit(table)
    detector.save(tmp_path / "model.npz")
    twin = nanoae.load(tmp_path / "model.npz", backend="numpy")
    np.testing.assert_array_equal(twin.score_samples(table), detector.score_samples(table))
    np.testing.assert_array_equal(twin.explain(table), detector.explain(table))


def test_a_stopped_command_goes_on_from_its_checkpoints(tmp_path, monkeypatch, capsys):
    write(tmp_path / "n.csv", customers(12, 0))
    monkeypatch.chdir(tmp_path)
    command = ["detect", "--train", "n.csv", "--score", "n.csv", "--ignore", "id", "--out"]
    steps, between = [], nanoae.Trainer.between_steps

    def counted(trainer, *arguments):
        steps.append(trainer)
        if len(steps) == stop:
            raise KeyboardInterrupt
        between(trainer, *arguments)

    monkeypatch.setattr(nanoae.Trainer, "between_steps", counted)
    monkeypatch.setattr(default_autoencoder, "STEPS", (10, 10))
    stop = 0
    assert main([*command, "whole.csv"]) == 0
    whole = len(steps)
    stop = whole + whole // 2
    kept = [*command, "again.csv", "--checkpoint-dir", "kept"]
    assert main(kept) == 130
    told = capsys.readouterr().err
    assert "nanoae: the same command resumes from here\nnanoae: stopped" in told
    assert list(Path("kept/checkpoints").iterdir()) and not Path("again.csv").exists()
    assert main(kept) == 0
    assert Path("again.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not Path("kept/checkpoints").exists()
    assert len(steps) < 2.5 * whole  # it had not begun anew


def test_folders_of_images_are_learned_and_judged_at_the_size_of_the_training(
    tmp_path, monkeypatch, capsys
):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    pixels = (nanoae.load_data("digits").x_train[:130] * 15).astype(np.uint8)
    pixels[128] = 255 - pixels[128]
    for i, one in enumerate(pixels):
        folder = Path("good" if i < 120 else "new")
        folder.mkdir(exist_ok=True)
        image.fromarray(one).resize((8 + i % 3, 9)).save(folder / f"{i}.png")
    learn = ["detect", "--train", "good", "--save", "d.npz"]
    assert main(learn) == 2 and "--resize HxW" in capsys.readouterr().err
    assert main([*learn, "--resize", "6x8"]) == 0
    assert "120 images of 6 x 8" in capsys.readouterr().out
    judge = ["detect", "--model", "d.npz", "--score", "new", "--out", "s.csv"]
    assert main(judge) == 0
    rows = read("s.csv")
    assert [row["file"] for row in rows] == [f"{i}.png" for i in range(120, 130)]
    assert max(rows, key=lambda row: float(row["score"]))["file"] == "128.png"
    assert main([*judge, "--resize", "8x6"]) == 2
    told = capsys.readouterr().err
    assert "expected images of [6, 8] pixels" in told and "got [8, 6]" in told
    assert main(["trace", "--data", "new", "--resize", "2x2", "--text"]) == 0
