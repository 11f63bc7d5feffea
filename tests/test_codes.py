"""Are ZIP codes, phone numbers and ids with zeros in front taken for what they are, and not for numbers?"""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import nanoae
from nanoae import TableEncoder, load_data, open_rows, read_table
from nanoae.cli import main

A = [f"{i % 7}.5" for i in range(24)]
CODES = {
    "ZIP codes": ["98765", "01234", "00501", "10115"],
    "with gaps": ["01234", "", "00501", "NA"],
    "phone numbers": ["0301234567", "017612345678", "0611123"],
    "of all countries": ["+493012345678", "+15551234567"],
    "numbers of cards": ["12345678901234567890", "12345678901234567891", "12345678901234567892"],
    "hashes": ["39423541546572335", "7"],
}
NUMBERS = {
    "amounts": ["100000000000000000000", "7"],
    "two decimals": ["1.10", "1.25", "3.00"],
    "whole and not": ["1", "1.0", "2"],
    "of other lengths": ["01", "2", "10"],
    "decimals": ["00.5", "01.5", "10.5"],
    "with signs": ["-01", "+02", "-10"],
    "all with a plus": ["+1", "+234567"],
    "with invisible characters": ["1", "1\ufeff", "\u200b2", "2"],
    "of full width": ["1", "\uff11", "2"],
}


def column(cells):
    return [cells[i % len(cells)] for i in range(len(A))]


def frames(cells):
    """The same cells as people hand them over."""
    import polars
    import pyarrow

    frame = pd.DataFrame({"zip": column(cells), "a": A})
    return {
        "pandas": frame,
        "string": frame.astype({"zip": "string"}),
        "Arrow": pyarrow.Table.from_pandas(frame),
        "polars": polars.DataFrame(frame.to_dict("list")),
        "array": frame.to_numpy(),
    }


def written(path, cells, name="zip"):
    path.write_text("\n".join([f"{name},a", *map(",".join, zip(column(cells), A, strict=True))]))
    return path


@pytest.mark.parametrize("kind", CODES)
def test_codes_are_categories_with_a_word(kind, tmp_path):
    cells = CODES[kind]
    path = written(tmp_path / "t.csv", cells)
    known = sorted({cell for cell in cells if cell not in ("", "NA")})
    assert {*read_table(path).column(0)} - {None} == {*known}
    for given in (read_table(path), *frames(cells).values()):
        with pytest.warns(
            UserWarning,
            match="is read as categories, since leading zeros or plus signs, or many digits, as in "
            f"'{re.escape(known[0])}', suggest codes",
        ) as told:
            encoder = TableEncoder().fit(given)
        assert encoder.categories_ == [known, None] and len(told) == 1
    for ask in (load_data, open_rows):
        with pytest.raises(
            ValueError,
            match=re.escape(
                "'zip', got codes with leading zeros or plus signs, or many digits, such as "
                f"'{known[0]}'"
            ),
        ):
            ask(path)
    with pytest.raises(ValueError, match="expected numbers, got text in column '0', such as '"):
        nanoae.Autoencoder(1, epochs=1).fit(np.array(frames(cells)["array"], object))


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_numbers(kind, tmp_path):
    cells = NUMBERS[kind]
    path = written(tmp_path / "t.csv", cells)
    wanted = [float(cell.strip("\u200b\ufeff")) for cell in column(cells)]
    assert read_table(path).column(0).tolist() == wanted
    data = load_data(path, random_state=None)
    assert np.concatenate([data.x_train, data.x_test])[:, 0].tolist() == wanted
    for given in frames(cells).values():
        assert TableEncoder().fit(given).categories_ == [None, None]


ALIKE = {
    "versions": ["1.1", "1.10", "2.0"],
    "article numbers": ["1", "001", "12", "1234"],
    "zeros": ["0", "1", "00"],
}


@pytest.mark.parametrize("kind", ALIKE)
def test_codes_that_are_one_number_are_told_or_kept(kind, tmp_path):
    first, second, *_ = cells = ALIKE[kind]
    pair = "'0' and '00'" if kind == "zeros" else f"'{first}' and '{second}'"
    path = written(tmp_path / "t.csv", cells)
    told = re.escape(f"column 'zip' is read as numbers, in which digits of {pair} are lost")
    for ask in (lambda: load_data(path), lambda: TableEncoder().fit(read_table(path))):
        with pytest.warns(UserWarning, match=told):
            ask()
    path = written(tmp_path / "u.csv", [*cells, "A"])  # with a word among them
    with pytest.warns(UserWarning, match=re.escape(f"{pair}, which are two categories")):
        encoder = TableEncoder().fit(read_table(path, text="zip"))
    same = {"2.0": "2"}
    assert {*encoder.categories_[0]} == {"A", *(same.get(cell, cell) for cell in cells)}
    new = read_table(written(tmp_path / "v.csv", [second]))
    place = encoder.categories_[0].index(second)
    assert np.asarray(encoder.transform(new))[0].argmax() == place


IDS = [39423541546572335, 1700092080915554894, 5]


@pytest.mark.parametrize("form", ["array", "frame", "objects", "unsigned", "beside decimals"])
@pytest.mark.parametrize("model", ["Autoencoder", "AnomalyDetector", "PCA"])
def test_whole_numbers_that_no_float_holds_are_told(model, form):
    X = np.c_[column([1, 2, 3]), column(IDS)].astype(np.int64)
    forms = {
        "array": X,
        "frame": pd.DataFrame(X, columns=["a", "1"]),
        "objects": X.astype(object),
        "unsigned": X.astype(np.uint64),
        "beside decimals": pd.DataFrame({"a": X[:, 0] / 2, "1": X[:, 1]}),
    }
    if form == "beside decimals" and model == "PCA":
        pytest.skip("pandas has made it a column of floats by then")
    kinds = {
        "Autoencoder": lambda: nanoae.Autoencoder(1, (2,), epochs=1, random_state=0),
        "AnomalyDetector": lambda: nanoae.AnomalyDetector(random_state=0),
        "PCA": lambda: nanoae.PCA(1),
    }
    told = rf"column '?1'? is read as numbers, in which digits of {IDS[0]} are lost"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", ".*digits of")
        with pytest.raises(UserWarning, match=told):
            kinds[model]().fit(forms[form])


def with_gaps(cells):
    """A column of whole numbers with gaps in each library's own type."""
    import polars
    import pyarrow

    numbers = [float(a) for a in A]
    listed = [None, *column(cells)[1:]]
    nullable = {kind: pd.array(listed, dtype=kind) for kind in ("Int64", "int64[pyarrow]")}
    return {
        **{kind: pd.DataFrame({"a": numbers, "1": cells}) for kind, cells in nullable.items()},
        "polars": polars.DataFrame({"a": numbers, "1": listed}),
        "arrow": pyarrow.table({"a": numbers, "1": listed}),
    }


@pytest.mark.parametrize("library", ["Int64", "int64[pyarrow]", "polars", "arrow"])
@pytest.mark.parametrize("model", ["Autoencoder", "AnomalyDetector", "TableEncoder"])
def test_digits_lost_in_columns_with_gaps_are_told(model, library):
    kinds = {
        "Autoencoder": lambda: nanoae.Autoencoder(1, epochs=1, missing="mask", random_state=0),
        "AnomalyDetector": lambda: nanoae.AnomalyDetector(missing="mask", random_state=0),
        "TableEncoder": TableEncoder,
    }
    told = rf"column '1' is read as numbers, in which digits of {IDS[1]} are lost"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", ".*digits of")
        with pytest.raises(UserWarning, match=told):
            kinds[model]().fit(with_gaps([IDS[1], 5])[library])
        fitted = TableEncoder().fit(with_gaps([2**53, 5])[library])  # exact
    assert fitted.categories_ == [None, None]


@pytest.mark.filterwarnings("error")
def test_who_says_that_they_are_text_hears_nothing(tmp_path):
    path = written(tmp_path / "t.csv", CODES["ZIP codes"])
    frame = frames(CODES["ZIP codes"])["pandas"]
    for given in (read_table(path, text="zip"), frame.astype({"zip": "category"})):
        assert TableEncoder().fit(given).categories_[0] == sorted(CODES["ZIP codes"])


def test_a_column_that_was_learned_stays_what_it_was(tmp_path):
    """Of the rows that come there may be few: all of one length, or none with a zero."""
    path = written(tmp_path / "t.csv", ["5", "11"])
    encoder = TableEncoder().fit(read_table(path))
    two = read_table(written(tmp_path / "u.csv", ["05"]))
    assert (encoder.transform(two)[0] == encoder.transform(read_table(path))[0]).all()
    numbers = load_data(tmp_path / "u.csv", random_state=None, columns=["zip", "a"])
    assert (numbers.x_train[:, 0] == 5).all()
    path = written(tmp_path / "v.csv", ["01234", "10115"])
    codes = TableEncoder().fit(read_table(path, text="zip"))
    one = read_table(written(tmp_path / "w.csv", ["10115"]))
    assert codes.transform(one)[0, :3].tolist() == [0, 1, 0]


def test_labels_with_zeros_are_classes_of_that_name(tmp_path):
    path = written(tmp_path / "t.csv", ["007", "123"], name="agent")
    data = load_data(path, label="agent")
    assert {*data.y_train.tolist()} == {"007", "123"}


def test_the_command_says_so_too(tmp_path, capsys):
    path = written(tmp_path / "t.csv", CODES["ZIP codes"])
    said = ["detect", "--train", path, "--members", 1, "--save", tmp_path / "d.npz"]
    assert main([*map(str, said)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert sum("column 'zip' is read as categories" in line for line in told) == 1
