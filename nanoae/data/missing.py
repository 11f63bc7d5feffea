"""Markers of missing values: the texts that tables use for them."""

# In any column, ignoring case: pandas' markers, "?", and those of spreadsheets and C
GAPS = {
    "", "?", "na", "n/a", "nan", "-nan", "null", "none", "<na>", "nat", "(null)", "[null]", "\\n",
    "#n/a", "#n/a n/a", "#na", "#nv", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
}  # fmt: skip

# Additional ones in columns of numbers; among texts they may be values, such as "+" and "-"
NUMBER_GAPS = {
    "-", "--", "---", "\u2013", "\u2014", "\u2212", ".", "..", "...", "\u2026", ":", "*", "/", "(na)", "[na]",
    "n.a.", "n.a", "n. a.", "nd", "n.d.", "n/d", "k.a.", "k. a.", "s.d.",
    "nil", "missing", "unknown", "undefined", "undef",
}  # fmt: skip

# The usual spellings of both, for a fast check of number columns
USUAL = {"", "?", "NA", "N/A", "nan", "NaN", "NULL", "null", "None", "<NA>", "#N/A", "-"}


def is_gap(text: str) -> bool:
    """Return True if a text marks a missing value in any kind of column."""
    return text.strip().casefold() in GAPS
