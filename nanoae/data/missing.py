"""Marks of what is missing: the texts that stand where a table has no value."""

# In any column, in any case of letters: what pandas takes for missing, "?", and what spreadsheets and C write.
GAPS = {
    "", "?", "na", "n/a", "nan", "-nan", "null", "none", "<na>", "nat", "(null)", "[null]", "\\n",
    "#n/a", "#n/a n/a", "#na", "#nv", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
}  # fmt: skip

# In a column of numbers, too; among texts they may be values as others are: "+" and "-", say.
NUMBER_GAPS = {
    "-", "--", "---", "\u2013", "\u2014", "\u2212", ".", "..", "...", "\u2026", ":", "*", "/", "(na)", "[na]",
    "n.a.", "n.a", "n. a.", "nd", "n.d.", "n/d", "k.a.", "k. a.", "s.d.",
    "nil", "missing", "unknown", "undefined", "undef",
}  # fmt: skip

# Some of both as they are mostly written, for a first look at a column of numbers.
USUAL = {"", "?", "NA", "N/A", "nan", "NaN", "NULL", "null", "None", "<NA>", "#N/A", "-"}


def is_gap(text: str) -> bool:
    """Whether a text stands for what is missing, in a column of any kind."""
    return text.strip().casefold() in GAPS
