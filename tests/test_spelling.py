"""Are numbers read as they are written, whatever the spelling, and refused where it leaves a doubt?"""

import csv

import numpy as np
import pytest

from nanoae import TableEncoder, read_table
from nanoae.autoencoders.saved import Saved
from nanoae.data.table import Table

NAN = float("nan")


@pytest.fixture
def column(tmp_path):
    """column(cells): that column of a comma-separated file, numbers or texts."""

    def read(cells, others=(), name="x", **settings):
        with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [[name, *"abc"[: len(others)]], *zip(cells, *others, strict=True)]
            )
        return read_table(tmp_path / "t.csv", **settings).column(0)

    return read


READ = {
    "plain": (["1", "-2.5", "1e3", "1E-02", "+4", ".5", "5."], [1, -2.5, 1000, 0.01, 4, 0.5, 5]),
    "decimal commas": (["1,5", "-2,25", "3", "1,5e2", "1,234"], [1.5, -2.25, 3, 150, 1.234]),
    "exponents behind a blank": (["1.5 E+03", "-2 e-1", "3"], [1500, -0.2, 3]),
    "Arabic": (["١٬٢٣٤٫٥", "٧٨"], [1234.5, 78]),
    "as wide as Chinese": (["１．５", "２，３４５．５", "3"], [1.5, 2345.5, 3]),
    "thousands, points": (
        ["1,234,567.8", "-1,234.5", "12", "1,234"],
        [1234567.8, -1234.5, 12, 1234],
    ),
    "thousands, commas": (
        ["1.234.567,8", "-1.234,5", "12", "1.234"],
        [1234567.8, -1234.5, 12, 1234],
    ),
    "whole thousands": (["1,234,567", "12,345", "-7"], [1234567, 12345, -7]),
    "Swiss": (["1'234.5", "12’345’678.25", "3"], [1234.5, 12345678.25, 3]),
    "Indian": (["12,34,567.8", "1,23,456", "78"], [1234567.8, 123456, 78]),
    "blanks": (["1 234,5", "1\u00a0234\u202f567,25", "\u20091\u2009"], [1234.5, 1234567.25, 1]),
    "minus": (["\u22121.5", "\u20132", "-3", "\ufe634"], [-1.5, -2, -3, -4]),
    "accounts": (["(1,234.50)", "12.25", "$(3)", "($4.5)"], [-1234.5, 12.25, -3, -4.5]),
    "percent": (["12.3%", "-4 %", "0.05\u00a0%", "0"], [0.123, -0.04, 0.0005, 0]),
    "per mille": (["12,3 ‰", "4‰", "-1‰"], [0.0123, 0.004, -0.001]),
    "euros": (["€ 1.234,50", "-€2,25", "€-3", "€4"], [1234.5, -2.25, -3, 4]),
    "euros behind": (["1.234,50 €", "-2,25€", "3", "4 €"], [1234.5, -2.25, 3, 4]),
    "dollars": (["US$1,234.50", "-US$ 2.25", "US$3", "US$4"], [1234.5, -2.25, 3, 4]),
    "codes": (["EUR 1.234,50", "EUR -2,25", "EUR3"], [1234.5, -2.25, 3]),
    "codes behind": (["1,234.50 CHF", "-2.25 CHF", "3 CHF"], [1234.5, -2.25, 3]),
    "crowns": (["1 234,50 kr", "-2,25 kr", "3 kr"], [1234.5, -2.25, 3]),
}


@pytest.mark.parametrize("name", READ)
def test_a_spelling_is_read_as_it_is_meant(column, name):
    cells, values = READ[name]
    np.testing.assert_array_equal(column(cells), values)
    # as a data frame's, which no file has quoted
    as_text = Table.of(np.array(cells, dtype=object)[:, None])
    np.testing.assert_array_equal(as_text.column(0), values)


MARKS = [
    *[
        "",
        "NA",
        "n/a",
        "NaN",
        "null",
        "None",
        "?",
        "-",
        "--",
        ".",
        "#N/A",
        "#NV",
        "<NA>",
        r"\N",
        "NULL",
        "(null)",
    ],
    *["n.a.", "#DIV/0!", "missing", "NaT", "k.A.", "\u2013", "\u2026", "#VALUE!", "-1.#IND"],
]


@pytest.mark.parametrize("decimal", [".", ","])
def test_every_mark_of_what_is_missing_is_a_gap_among_numbers(column, decimal):
    numbers = np.arange(2 * len(MARKS)) + 0.5
    cells = [*MARKS, *(str(x).replace(".", decimal) for x in numbers)]
    np.testing.assert_array_equal(
        column(cells, [numbers.repeat(2)[: len(cells)]]), [*[NAN] * len(MARKS), *numbers]
    )


def test_a_mark_may_be_all_there_is_and_most_of_a_column(column):
    np.testing.assert_array_equal(column(["-", "-", "1,5", "-"]), [NAN, NAN, 1.5, NAN])
    np.testing.assert_array_equal(column(["-", "n.a.", "-"]), [NAN] * 3)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["+", "-", "+", ""], ["+", "-", "+", None]),
        (["red", "NA", "", "blue"], ["red", None, None, "blue"]),
        (["1", "2", "A1", "2"], ["1", "2", "A1", "2"]),
        (["10.0.0.1", "10.0.0.2", "192.168.100.200"], ["10.0.0.1", "10.0.0.2", "192.168.100.200"]),
        (["5 kg", "7 kg"], ["5 kg", "7 kg"]),
        ([f"{i}{'AB'[i % 2]}" for i in range(12)], [f"{i}{'AB'[i % 2]}" for i in range(12)]),
        (["low", "1", "2", "high", "mid"], ["low", "1", "2", "high", "mid"]),
    ],
)
def test_categories_stay_texts(column, cells, values):
    assert column(cells, [range(len(cells))]).tolist() == values


FLOATS = [f"{0.37 * i:.2f}" for i in range(1, 31)]
REFUSED = {
    "a tenth of an unknown mark": (
        ["n.k."] * 6 + FLOATS,
        r"a number in row 2, column 'x', like 83.3 % of .*, got 'n.k.'.*na=\['n.k.'\] or --na='n.k.'.*--text='x'",
    ),
    "most of it": (["n.k."] * 90 + FLOATS, "like 25 % of its cells, got 'n.k.'"),
    "a single mistake": (
        [*FLOATS, "oops"],
        "a number in row 32, column 'x', like .nearly. all of its cells, got 'oops'",
    ),
    "either thousands or decimals": (
        ["1,234", "5,678", "9"],
        "one way only in column 'x', got 66.7 % .* like '1,234'",
    ),
    "either, with points": (
        ["1.234", "5.678", "9"],
        "one way only in column 'x', got 66.7 % .* like '1.234'.*--decimal",
    ),
    "both decimal marks": (
        ["1.5", "2,5", "3"],
        "one decimal mark in column 'x', got '1.5' and '2,5'",
    ),
    "two currencies": (["€1.5", "$2.5", "€3"], "one unit in column 'x', got '€1.5' and '\\$2.5'"),
    "some percent": (["1.5%", "2.5", "3%"], "one unit in column 'x', got"),
    "two kinds of minus": (
        ["(1.5)", "-2.5", "3"],
        r"one kind of minus in column 'x', got '\(1.5\)' and '-2.5'",
    ),
    "exponents of Fortran": (
        [f"{i}.5d+00" for i in range(9)],
        "numbers alone in column 'x', got all .* followed by 'D'",
    ),
    "two units": (
        [f"{i}.5{'kM'[i % 2]}" for i in range(12)],
        "got all .* followed by 'k' or 'M', such as '0.5k'",
    ),
    "units": (
        [f"{i}.5 kg" for i in range(9)],
        "numbers alone in column 'x', got all .* followed by 'kg', such as '0.5 kg'",
    ),
    "minus behind": (
        [f"{i}.5{'-' * (i % 2)}" for i in range(9)],
        "numbers alone in column 'x', got 44.4 % .*'1.5-'",
    ),
    "quoted twice": (
        [f"'{i}'" for i in range(9)],
        "numbers alone in column 'x', got all of .* signs around them",
    ),
    "censored": (["<0.1"] * 5 + FLOATS, "a number in row 2, column 'x', .* got '<0.1'"),
    "underscores": ([*FLOATS, "20_24"], "a number in row 32, column 'x', .* got '20_24'"),
    "feet and inches": ([f"5'{i}\"" for i in range(9)], "got all .* other signs in them"),
    "durations": (
        [f"P1DT{i}H" for i in range(9)],
        "got all .* other signs in them, such as 'P1DT0H'",
    ),
    "hours, minutes": ([f"{i}h 30m" for i in range(9)], "got all .* other signs in them"),
    "mixed fractions": ([f"{i} 1/2" for i in range(9)], "got all .* other signs in them"),
    "places": ([f"{i}.5, -{i}.25" for i in range(9)], "got all .* other signs in them"),
    "complex": ([f"({i}.5-2e3j)" for i in range(9)], "got all .* other signs in them"),
    "binary": ([f"{i + 2:#b}" for i in range(9)], "got all .* other signs in them, such as '0b10'"),
    "lists": ([f"[{i}, 2.5]" for i in range(9)], "got all .* other signs in them"),
    "kg and g": (
        [f"{i}{'k' * (i % 2)}g" for i in range(6)],
        "followed by 'g' or 'kg', such as '0g'",
    ),
    "Namibia": (
        ["DE", "NA", "FR", "NA"],
        r"'NA', 50 % of its cells, among .*--na='NA'.*--text='x'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_doubt_is_told_in_one_line_with_column_share_and_remedy(column, name):
    cells, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as error:
        column(cells, [range(len(cells))])
    assert "t.csv: expected" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="column 'x'"):  # the same cells in a data frame
        Table(["x"], [np.array(cells, dtype=object)], range(len(cells))).column(0)


@pytest.mark.parametrize(
    ("shown", "cells", "values"),
    [("1.5", ["1,234", "9"], [1234, 9]), ("1,5", ["1,234", "9"], [1.234, 9]), ("1,5", ["1.234", "9"], [1234, 9]),
     ("0.5", ["1.234", "9"], [1.234, 9])],
)  # fmt: skip
def test_the_other_columns_show_the_decimal_mark(column, shown, cells, values):
    np.testing.assert_array_equal(column(cells, [[shown] * len(cells)]), values)


def test_a_category_that_was_learned_is_no_gap():
    codes = Table(["x"], [np.array(["DE", "NA", "N1"], dtype=object)], range(3))
    encoder = TableEncoder().fit(codes)
    encoder.categories_, encoder.blocks_ = [["DE", "NA"]], (3,)  # fit was told that NA is a code
    np.testing.assert_array_equal(encoder.transform(codes), [[1, 0, 0], [0, 1, 0], [0, 0, 1]])


def table(*cells):
    return Table(["x"], [np.array(cells, dtype=object)], range(len(cells)))


@pytest.mark.parametrize(
    ("learned", "new", "message"),
    [(["1%", "2%"], ["1", "2"], "column 'x' in the unit that was learned, %, got none"),
     (["0", "2"], ["1 %", "0"], "column 'x' in the unit that was learned, none, got %"),
     (["$1", "$2"], ["1", "€ 2"], None),
     (["$1", "$2"], ["0", "2€"], "in the unit that was learned, [$], got €"),
     (["$1", "$2"], ["1", "2"], None), (["1%", "2%"], ["10‰", "20‰"], None), (["1%", "2%"], ["0", "-"], None)],
)  # fmt: skip
def test_a_column_is_in_the_unit_that_was_learned(learned, new, message):
    encoder = TableEncoder().fit(table(*learned))
    facts, arrays = encoder.to_file()
    encoder = TableEncoder.from_file(facts, Saved(arrays))
    if message is None:
        encoder.transform(table(*new))
        return
    with pytest.raises(ValueError, match=message):
        encoder.transform(table(*new))
    # the same as numbers of a data frame, if they are plain
    with pytest.raises(ValueError, match=message):
        encoder.transform(table(*(float(x) if x.isdigit() else x for x in new)))
