"""Is one table the same table in every file: whatever separates, packs, encodes or names its columns?"""

import bz2
import csv
import gzip
import io
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nanoae
from nanoae import Autoencoder, TableEncoder, load_data, read_table
from nanoae.autoencoders.saved import Saved
from nanoae.cli import main

RNG = np.random.default_rng(0)
Q = RNG.normal(size=80)
X = np.round(np.c_[1500 + 900 * Q, 40 - 9 * Q, RNG.normal(size=80)] + RNG.normal(size=(80, 3)), 2)
NAMES = ["bill", "minutes", "rest"]
MARKS = ["", "NA", "-", "#N/A", ".", "<NA>", r"\N", "NULL", "n.a.", "missing"]
GAPS = np.where(np.arange(X.size).reshape(X.shape) % 12 == 0, np.nan, X)


def text(rows, separator=",", names=NAMES, end="\n"):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerows([*([names] if names else []), *rows])
    return file.getvalue()


def cells(spell, x=X):
    return [[spell(value) for value in row] for row in x.tolist()]


def point(value):
    return f"{value:.2f}"


def comma(value):
    return f"{value:.2f}".replace(".", ",")


def arabic(value):
    return point(value).translate({48 + i: 0x660 + i for i in range(10)} | {ord("."): "\u066b"})


def german(value):
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def gaps():
    marks = iter(MARKS * 9)
    return [
        [next(marks) if np.isnan(value) else point(value) for value in row] for row in GAPS.tolist()
    ]


PLAIN = text(cells(point))
SPELLINGS = {  # each the same table: its text or bytes, the name of its file, and what has to be said
    "comma": (PLAIN, "t.csv", {}),
    "semicolon and decimal commas": (text(cells(comma), ";"), "t.csv", {}),
    "tab": (text(cells(point), "\t"), "t.tsv", {}),
    "tab and decimal commas": (text(cells(comma), "\t"), "t.txt", {}),
    "bar": (text(cells(point), "|"), "t.txt", {}),
    "caret": (text(cells(point), "^"), "t.txt", {}),
    "tilde": (text(cells(point), "~"), "t.txt", {}),
    "control characters": (text(cells(comma), "\1"), "t.txt", {}),
    "blanks": ("\n".join("  ".join(f"{cell:>9}" for cell in row) for row in [NAMES, *cells(point)]), "t.txt", {}),
    "blanks and decimal commas": ("\n".join(" ".join(row) for row in [NAMES, *cells(comma)]), "t.txt", {}),
    "thousands": (text(cells("{:,.2f}".format)), "t.csv", {}),
    "German thousands": (text(cells(german), ";"), "t.csv", {}),
    "Swiss thousands": (text(cells(lambda x: f"{x:,.2f}".replace(",", "’")), ";"), "t.csv", {}),
    "French thousands": (text(cells(lambda x: f"{x:,.2f}".replace(",", "\u202f").replace(".", ",")), ";"), "t.csv", {}),
    "Arabic digits": (text(cells(arabic)), "t.csv", {}),
    "percent": (text(cells(lambda x: f"{100 * x:.0f}%")), "t.csv", {}),
    "currency": (text(cells(lambda x: f"€ {german(x)}".replace("€ -", "-€")), ";"), "t.csv", {}),
    "dollars in brackets": (text(cells(lambda x: f"({-x:,.2f} USD)" if x < 0 else f"{x:,.2f} USD")), "t.csv", {}),
    "a typesetter's minus": (text(cells(lambda x: point(x).replace("-", "\u2212"))), "t.csv", {}),
    "exponents": (text(cells("{:+.9E}".format)), "t.csv", {}),
    "BOM": ("\ufeff" + PLAIN, "t.csv", {}),
    "UTF-16": (PLAIN.encode("utf-16"), "t.csv", {}),
    "CRLF and quotes": (PLAIN.replace(",", '","').replace("\n", '"\r\n"')[:-1].join(['"', ""]), "t.csv", {}),
    "gz": (gzip.compress(PLAIN.encode()), "t.csv.gz", {}),
    "tab, gz": (gzip.compress(text(cells(comma), "\t").encode()), "t.tsv.gz", {}),
    "a line of a spreadsheet's": ("sep=;\n" + text(cells(comma), ";"), "t.csv", {}),
    "separators at the end": (text(cells(comma), ";").replace("\n", ";\n"), "t.csv", {}),
    "many separators at the end": ("SEP=;\n" + text(cells(comma), ";").replace("\n", ";;;\n"), "t.csv", {}),
    "bars around": ("".join(f"| {' | '.join(row)} |\n" for row in [NAMES, *cells(point)]), "t.txt", {}),
    "comments": ("# of 2024\n# " + PLAIN, "t.csv", {}),
    "Latin-1": (text(cells(point), names=["größe", *NAMES[1:]]).encode("latin-1"), "t.csv", {"encoding": "latin-1"}),
    "index": (text([[i, *row] for i, row in enumerate(cells(point), 7)], names=["", *NAMES]), "t.csv",
              {"ignore": "Unnamed: 0"}),
    "index of another reading": (text([[9 - i, *row] for i, row in enumerate(cells(point))],
                                      names=["Unnamed: 0", *NAMES]), "t.csv", {"ignore": ["Unnamed: 0"]}),
    "gaps of ten marks": (text(gaps()), "t.csv", {}),
    "gaps of a mark that nobody knows": (text(cells(lambda x: "n.k." if np.isnan(x) else comma(x), GAPS), ";"), "t.csv",
                                         {"na": "n.k."}),
    "gaps of -9999": (text(cells(lambda x: "-9999" if np.isnan(x) else point(x), GAPS)), "t.csv", {"na": ["-9999"]}),
}  # fmt: skip
REMEDIES = {  # what is refused, by this, where nothing is said
    "Latin-1": r"CSV table in UTF-8, got 'utf-8' codec.* in line 1. .*encoding=, --encoding",
    "index": r"column 'Unnamed: 0', which has no name and numbers the rows.*ignore=\['Unnamed: 0'\], --ignore=",
    "index of another reading": "column 'Unnamed: 0'",
    "gaps of a mark that nobody knows": "column 'bill', like 75 % .*, got 'n.k.'.*--na='n.k.'",
}


@pytest.fixture
def write(tmp_path):
    def put(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def everything(data):
    return np.concatenate([data.x_train, data.x_test])


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_same_numbers_in_every_spelling(write, name):
    content, file, said = SPELLINGS[name]
    path = write(content, file)
    table = read_table(path, **said)
    expected = GAPS if name.startswith("gaps") else X
    np.testing.assert_array_equal(np.array([table.column(i) for i in range(3)]).T, expected)
    if not name.startswith("gaps"):
        data = load_data(path, random_state=None, **said)
        np.testing.assert_array_equal(everything(data), X)
        assert list(data.columns) == table.names
    else:
        with pytest.raises(
            ValueError, match=r"t.csv: expected a number in row 2, column 'bill', got .*Fill it in"
        ):
            load_data(path, **said)


@pytest.mark.parametrize("name", REMEDIES)
def test_what_is_in_doubt_is_refused_with_its_remedy(write, name):
    content, file, _ = SPELLINGS[name]
    path = write(content, file)
    with pytest.raises(ValueError, match=REMEDIES[name]) as error:
        table = read_table(path)
        [table.column(i) for i in range(len(table.names))]
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    if not name.startswith("gaps"):
        with pytest.raises(ValueError, match=REMEDIES[name]):
            load_data(path)


# ---------------------------------------------------------------- headers

FLOATS = RNG.normal(size=(30, 4)).round(4)
COUNTS = RNG.integers(0, 9, (30, 4))
SMOOTH = np.sort(RNG.random((30, 12)), axis=1).round(4)  # each row in order


def shifted(start, step, n=4):
    return [f"{start + step * i:g}" for i in range(n)]


HEADERS = [  # a first row, the rows below it, and whether it is a header (None: nobody can know)
    (["0", "1", "2", "3"], FLOATS, True),
    (["1", "2", "3", "4"], FLOATS, True),
    (["3", "1", "7", "2"], FLOATS, True),
    (["0", "1"], FLOATS[:, :2], True),
    ([*map(str, range(12))], RNG.integers(0, 17, (30, 12)), True),
    (
        ["0", "1", "2", "3"],
        [[*"ab"[i % 2 :: 2], *row[1:]] for i, row in enumerate(COUNTS.tolist())],
        True,
    ),
    (["2019", "2020", "2021", "2022"], COUNTS, True),
    (["2022", "2021", "2020", "2019"], FLOATS * 30, True),
    (shifted(401, 0.5), FLOATS, True),
    (shifted(401, 0.5, 12), SMOOTH, True),
    (
        ["400.3", "401.9", "403.4", "404.8", "406.1", "407.3", "408.4", "409.4"],
        RNG.normal(size=(30, 8)),
        True,
    ),
    (["1%", "5%", "50%", "95%"], FLOATS, True),
    (["id", "401.0", "401.5", "402.0"], FLOATS, True),
    (["id", "401,0", "401,5", "402,0"], FLOATS, True),
    (["x", "y", "2024", "z"], COUNTS, True),
    (["", "0", "1", "2"], FLOATS, True),
    (["Na", "K", "Ca", "Mg"], FLOATS, True),
    (["colour", "2019", "2020", "2021"], [["red", *row] for row in FLOATS[:, 1:].tolist()], True),
    (FLOATS[0], FLOATS[1:], False),
    (COUNTS[0], COUNTS[1:], False),
    (["1", "2", "3"], [[4, 5, 6], [7, 8, 9], [10, 11, 12], [13, 14, 15]], False),
    (["0", "1", "2"], [[i, i + 1, i + 2] for i in range(1, 30)], False),
    (SMOOTH[0], SMOOTH[1:], False),
    (["0", "0"], [[0, 1], [1, 0], [1, 1]], False),
    (["0.5", "1.5", "2.5", "3.5"], FLOATS, None),
    (["5", "NA", "3", "4"], COUNTS, False),
    (
        ["red", "1.5", "2.5"],
        [[colour, 1.0, i / 3] for i, colour in enumerate(["blue", "red"] * 9)],
        False,
    ),
    (["0", "1"], [[0, 1], [1, 1], [1, 0]] * 5, None),
    # of a start at time 0
    (["0", "1", "5"], [[0.1 * i, 1 + 0.03 * i, 5 - 0.2 * i] for i in range(1, 7)], None),
    (["0", "1", "2"], [[i % 4, f"{i % 3}.00", (i * 7) % 9] for i in range(20)], True),
    (
        ["0", "1", "2"],
        [[i % 3, 1, 2 - i % 3] if i % 2 else [i % 4, 0, i] for i in range(1, 20)],
        None,
    ),
    (["1", "2", "4"], [[0.5, 1.5, 2.5], [0.7, 0.1, 0.3]], None),
    (["2019", "2020"], COUNTS[:, :2], None),
    (["red", "5"], [["blue", i] for i in range(20)], None),
    (["red", "small"], [["blue", "large"], ["red", "large"], ["red", "small"]], None),
]


@pytest.mark.parametrize(("first", "rows", "named"), HEADERS, ids=lambda value: ",".join(map(str, value))[:20] if
                         isinstance(value, (list, np.ndarray)) and np.ndim(value) == 1 else "")  # fmt: skip
def test_a_header_of_numbers_is_told_from_a_row_of_them(write, first, rows, named):
    rows = rows.tolist() if isinstance(rows, np.ndarray) else rows
    path = write(text(rows, names=[*map(str, first)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if named is None:
            with pytest.raises(
                ValueError, match=r"expected a first row of names, or of values.*--header yes or no"
            ):
                read_table(path)
        else:
            assert len(read_table(path)) == len(rows) + (not named)
    for said in (True, False):
        if not said or len(set(first)) == len(first):
            assert len(read_table(path, header=said)) == len(rows) + (not said)


def test_blanks_separate_decimal_commas(write):
    table = read_table(write("-327,094 -701,629\n1792,935 405,857\n974,327 714,545\n"))
    assert [table.column(i).tolist() for i in range(2)] == [
        [-327.094, 1792.935, 974.327],
        [-701.629, 405.857, 714.545],
    ]


def test_a_header_of_one_or_two_numbers_is_told(write):
    path = write(text(FLOATS[:, :2].tolist(), names=["0", "1"]))
    with pytest.warns(
        UserWarning, match="taking the first row, '0, 1', as column names.*--header no"
    ):
        assert load_data(path).columns == ("0", "1")


def test_what_a_data_frame_writes_is_what_it_holds(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLOATS)
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = load_data(tmp_path / "a.csv", random_state=None)
    np.testing.assert_array_equal(everything(data), FLOATS)
    assert data.columns == ("0", "1", "2", "3")
    pandas.DataFrame(FLOATS, columns=["id", 401.0, 401.5, 402.0]).to_csv(
        tmp_path / "w.csv", index=False
    )
    assert load_data(tmp_path / "w.csv", label="id").columns == ("401.0", "401.5", "402.0")
    frame.to_csv(tmp_path / "i.csv", sep=";", decimal=",")
    with pytest.raises(
        ValueError, match=r"the column 'Unnamed: 0', which has no name and numbers the rows"
    ):
        load_data(tmp_path / "i.csv")
    data = load_data(tmp_path / "i.csv", random_state=None, ignore="Unnamed: 0")
    np.testing.assert_array_equal(everything(data), FLOATS)
    np.savetxt(tmp_path / "s.txt", FLOATS, header="a b c d")
    assert read_table(tmp_path / "s.txt").names == ["a", "b", "c", "d"]


# ---------------------------------------------------------------- what is no table, or not for sure


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "x\n1,5\n2,5\n",
            "lines of one number, or of several cells, got '2,5', which may be either.*separator=",
        ),
        ("x\n12 500\n13 200\n", "lines of one number, or of several cells, got '13 200'"),
        ("12 500\n13 200\n", "lines of one number, or of several cells"),
        ("1,05\n2,50\n3,25\n", "lines of one number, or of several cells"),
        (
            "a\tb\n1\t2\t3\n",
            "2 cells in row 2, got 3. If the first column holds row names, name it as well",
        ),
        ("a;b;\n1;2;\n3;4;5\n", "a number in row 2, column 'Unnamed: 2', got ''"),
        ("Report of 2024\na,b\n1,2\n", "1 cells in row 2, got 2. Remove lines above"),
        (
            "| a | b |\n|---|:-:|\n| 1.5 | 2 |\n",
            r"lines of cells, got '\|---\|:-:\|'. Save the table as CSV",
        ),
        (
            "+---+---+\n| a | b |\n+===+===+\n| 1.5 | 2 |\n",
            r"lines of cells, got '\+---\+---\+'",
        ),
        ("id,a\n--,-\n1,1.5\n", "lines of cells, got '--,-'"),
        ("a  b\n=  =\n1.5  2\n", "lines of cells, got '=  ='"),
        ("a & b \\\\ \\hline\n1.5 & 2 \\\\\n", "lines of cells, got 'a & b"),
        ('{"a": 1.5}\n{"a": 2.5}\n', "lines of cells"),
        (PLAIN + PLAIN, "one row of column names, got the same again in row 82. Remove it"),
        (
            "a,b\n[m],[kg]\n" + "1.5,2\n" * 9,
            "a number in row 2, column 'a', .*or remove a row of units",
        ),
        (
            "a;b;;\n" + "1;2;;\n" * 200 + "3;4;;5\n",
            "no cell in column 4, as in the first rows, got some",
        ),
        ("first name other thing\n1.5 2.5\n3.5 4.5\n5.5 6.5\n", "4 cells in row 2, got 2"),
        (bz2.compress(PLAIN.encode()), "in line 1. Unpack it; for a spreadsheet, save the table"),
        (PLAIN.encode("utf-16-le"), "text in line 1, got NUL characters. Name its encoding"),
        (gzip.compress(b"1" * (1 << 25)), "lines of at most 16,777,216 characters"),
        (
            gzip.compress(PLAIN.encode())[:-9],
            "expected a valid CSV table, got Compressed file ended",
        ),
        ("a,b\n1,2\n3,1e300\n", "a number up to 3.4e\\+38 in row 3, column 'b', got '1e300'"),
    ],
)
def test_what_may_be_something_else_is_refused(write, content, message):
    path = write(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as error:
            load_data(path, random_state=None)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20, "a bomb was unpacked"
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value) and "t.csv: expected" in str(error.value)


def test_a_packed_table_larger_than_memory_is_refused(write):
    with pytest.raises(ValueError, match="expected at most 1048576 bytes of text, got more"):
        load_data(write(gzip.compress(b"1,2\n" * (1 << 20)), "t.csv.gz"), limit=1 << 20)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"decimal": ";"}, 'decimal: expected "." or ",", got \';\''),
        ({"separator": "ab"}, "separator: expected one character"),
        ({"header": "yes"}, "header: expected True, False or None"),
        ({"encoding": "utf-7000"}, "encoding: expected an encoding known to Python"),
        ({"text": "bil"}, "a column named 'bil', got .* Did you mean 'bill'"),
        ({"ignore": "bil"}, "a column named 'bil', got .* Did you mean 'bill'"),
        (
            {"seperator": ";"},
            "expected one of separator, decimal, .* got 'seperator'. Did you mean 'separator'",
        ),
    ],
)
def test_what_is_said_is_checked(write, said, message):
    for read in (read_table, load_data):
        with pytest.raises((ValueError, TypeError), match=message):
            read(write(PLAIN), **said)
    with pytest.raises((ValueError, TypeError)):
        load_data("digits", **said)


def test_the_format_of_what_is_no_text_table_is_refused():
    with pytest.raises(
        ValueError, match=r"expected a .csv file to be read with decimal, got 'digits'"
    ):
        load_data("digits", decimal=",")


@pytest.mark.parametrize("mark", [",", "."])
def test_the_decimal_mark_that_is_said_is_taken(write, mark):
    path = write(text([["1.234", "1,234"], ["5.678", "9,123"]], ";", names=["a", "b"]))
    values = (
        np.array([1234, 1.234, 5678, 9.123])
        if mark == ","
        else np.array([1.234, 1234, 5.678, 9123])
    )
    np.testing.assert_array_equal(
        everything(load_data(path, random_state=None, decimal=mark)).ravel(), values
    )


def test_labels_are_read_in_the_same_spelling(write):
    rows = [[f"{i},5", f"{2 * i},25", "-"] for i in range(6)]
    rows[3][1:] = ["", "yes"]
    path = write(text(rows, ";", names=["x", "y", "z"]))
    data = load_data(path, random_state=None, label="y", ignore="z")
    y = np.ma.concatenate([data.y_train, data.y_test])
    assert (
        y.filled(np.nan).tolist()[:3] == [0.25, 2.25, 4.25]
        and y.mask.tolist() == [False] * 3 + [True] + [False] * 2
    )


def test_codes_that_look_like_numbers_stay_what_is_said(write):
    path = write("country,zip,x\nNA,01234,1\nDE,,2\nNA,1234,3\n")
    table = read_table(path, text=["country", "zip"])
    assert table.column(0).tolist() == ["NA", "DE", "NA"] and table.column(1).tolist() == [
        "01234",
        None,
        "1234",
    ]
    assert read_table(path, na="NA", text="country").column(0).tolist() == [None, "DE", None]


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A detector and an autoencoder of the table, and what they say of it."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "plain.csv").write_text(PLAIN)
    (folder / "gaps.csv").write_text(text(cells(lambda x: "" if np.isnan(x) else point(x), GAPS)))
    quick = Autoencoder(2, (3,), epochs=2, backend="numpy", random_state=0)
    table = read_table(folder / "plain.csv")
    nanoae.AnomalyDetector(quick, missing="mask", random_state=0).fit(table).save(
        folder / "detector.npz"
    )
    train = [
        "--data",
        folder / "plain.csv",
        "--out",
        folder / "m",
        "--epochs",
        2,
        "--code-size",
        1,
        "--hidden",
        "none",
    ]
    assert main([*map(str, ["train", *train, "--no-figures", "--quiet"])]) == 0
    for name in ("plain", "gaps"):
        assert detect(folder, folder / f"{name}.csv", folder / f"{name}.scores") == 0
    assert encode(folder, folder / "plain.csv", folder / "codes.npy") == 0
    return folder


def detect(folder, path, out, *said):
    return main(
        [
            *map(
                str,
                [
                    "detect",
                    "--model",
                    folder / "detector.npz",
                    "--score",
                    path,
                    "--out",
                    out,
                    *said,
                ],
            )
        ]
    )


def encode(folder, path, out, *said):
    return main([*map(str, ["encode", folder / "m", "--data", path, "--out", out, *said])])


def options(said):
    return [
        f"--{name}={given if isinstance(given, str) else given[0]}" for name, given in said.items()
    ]


@pytest.mark.parametrize(
    "name", ["semicolon and decimal commas", "blanks", "German thousands", "currency", "tab, gz", "index",
             "gaps of ten marks", "gaps of a mark that nobody knows"]
)  # fmt: skip
def test_a_model_is_never_another_one(models, write, tmp_path, capsys, name):
    """The same scores and codes, or one line that names the remedy; and with that the same."""
    content, file, said = SPELLINGS[name]
    path, with_gaps = write(content, file), name.startswith("gaps")
    if name in REMEDIES:
        assert (
            detect(models, path, tmp_path / "scores")
            == encode(models, path, tmp_path / "codes.npy")
            == 2
        )
        first, second = capsys.readouterr().err.splitlines()
        assert options(said)[0].split("=")[0] in first and path.name in second
    assert detect(models, path, tmp_path / "scores", *options(said)) == 0
    with (
        open(models / f"{'gaps' if with_gaps else 'plain'}.scores") as plain,
        open(tmp_path / "scores") as mine,
    ):
        expected, found = list(csv.DictReader(plain)), list(csv.DictReader(mine))
    assert [row["score"] for row in found] == [row["score"] for row in expected]
    if with_gaps:  # which its autoencoder has not learned
        assert encode(models, path, tmp_path / "codes.npy", *options(said)) == 2
        return
    assert encode(models, path, tmp_path / "codes.npy", *options(said)) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), np.load(models / "codes.npy"))


def test_a_detector_knows_the_marks_that_it_was_told(models, write, tmp_path):
    rows = [[f"{i % 7}.5", "n.k." if i % 9 == 0 else "ab"[i % 2]] for i in range(80)]
    for name, mark in (("train.csv", "n.k."), ("new.csv", "n.k."), ("empty.csv", "")):
        write(
            text([[x, cell.replace("n.k.", mark)] for x, cell in rows], names=["x", "kind"]), name
        )
    quick = Autoencoder(2, (3,), epochs=2, backend="numpy", random_state=0)
    table = read_table(tmp_path / "train.csv", na="n.k.")
    nanoae.AnomalyDetector(quick, missing="mask", random_state=0).fit(table).save(
        tmp_path / "detector.npz"
    )
    detector = nanoae.load(tmp_path / "detector.npz")
    new, empty = (
        detector.score_samples(read_table(tmp_path / name)) for name in ("new.csv", "empty.csv")
    )
    np.testing.assert_array_equal(new, empty)


# ---------------------------------------------------------------- any table in any spelling

VALUES = st.one_of(
    st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7).map(lambda x: x / 1000)
)
SEPARATORS = st.sampled_from([",", ";", "\t", "|"])
MONEY = st.sampled_from([("", ""), ("", " €"), ("$", ""), ("", " CHF"), ("", "%")])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_or_refused(tmp_path_factory, data):
    mark, group = data.draw(st.sampled_from([".,", ",.", ",\u00a0", ".'", ".", ","])), ""
    mark, group = mark[0], mark[1:]
    before, behind = data.draw(MONEY)
    x = np.array(data.draw(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=2, max_size=8)))
    whole = data.draw(st.booleans())  # whether what is whole is written so

    def spell(value):
        written = f"{abs(value):,.0f}" if whole and value == int(value) else f"{abs(value):,.3f}"
        digits = written.translate(str.maketrans({",": group, ".": mark}))
        return f"{'-' if value < 0 else ''}{before}{digits}{behind}"

    table = cells(spell, x)
    row, column = data.draw(st.integers(0, len(x) - 1)), data.draw(st.integers(0, 2))
    table[row][column] = data.draw(st.sampled_from(MARKS))
    path = tmp_path_factory.getbasetemp() / "t.csv"
    # 1.234 between commas or tabs is 1.234, as everywhere in computing; between semicolons it is refused
    separator = ";" if mark + group == ",." else data.draw(SEPARATORS)
    path.write_text(text(table, separator, names=NAMES), encoding="utf-8")
    expected = np.array(
        [[float(f"{value:.3f}{'e-2' * (behind == '%')}") for value in values] for values in x]
    )
    expected[row, column] = np.nan
    try:
        found = read_table(path)
        columns = [found.column(i) for i in range(3)]
    except ValueError as error:
        assert "t.csv: expected" in str(error) and "\n" not in str(error)
        return
    np.testing.assert_array_equal(np.array(columns, dtype=float).T, expected)


def test_columns_without_names_are_not_those_of_the_same_numbers(write):
    """A header that fit took for names, but in another order looks like a row of values."""
    rows = np.arange(240).reshape(30, 8) % 7 + 10 * np.arange(8)
    order = [2, 0, 1, 3, 4, 5, 6, 7]
    learned, turned = (
        write(
            "\n".join(",".join(map(str, row)) for row in [columns + 1, *rows[:, columns].tolist()]),
            f"{name}.csv",
        )
        for name, columns in (("learned", np.arange(8)), ("turned", np.array(order)))
    )
    encoder = TableEncoder().fit(read_table(learned))
    facts, arrays = encoder.to_file()
    encoder = TableEncoder.from_file(facts, Saved(arrays))
    with pytest.raises(
        ValueError,
        match=r"turned\.csv: expected columns with names, as fit saw, got columns without",
    ):
        encoder.transform(read_table(turned))
    np.testing.assert_array_equal(
        encoder.transform(read_table(turned, header=True)), encoder.transform(read_table(learned))
    )
    named = TableEncoder().fit(read_table(write(PLAIN)))
    rows = read_table(write(PLAIN.partition("\n")[2]))
    with pytest.raises(
        ValueError, match="expected columns with names, as fit saw, got columns without"
    ):
        named.transform(rows)


def test_a_table_of_very_many_columns_is_refused_at_once(write):
    path = write(",".join("1" * 200_001) + "\n", "wide.csv")
    with pytest.raises(ValueError, match=r"at most 200000 columns, got 200001. .* \.npy file"):
        load_data(path)
    path = write("\n".join(",".join("123456789" * 300) for _ in range(10)), "many.csv")
    assert load_data(path).x_train.shape == (8, 2700)
