"""Dates, times and other values that are neither numbers nor categories: detect them, and suggest a conversion."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np

# Prefixes of the type names for dates and times in all libraries
TIMES = ("date", "time", "duration", "period")
TIME_TYPES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
DAY = (
    r"\d{4}([-/.])\d{1,2}(?:\1\d{1,2})?|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}([-/])\d{1,2}\2(?:\d{4}|\d\d)"
    rf"|(?:19|20)\d\d[01]\d[0-3]\d|(?:\d{{1,2}}[-. ]+)?{MONTH}[-. ]+(?:\d{{1,2}},? +)?(?:\d{{4}}|\d\d)"
)
WRITTEN = re.compile(rf"(?:{DAY})(?:[T ] ?{CLOCK})?|{CLOCK}", re.IGNORECASE)
KINDS = (  # prefix of the type's name, ignoring case -> kind
    ("timedelta|duration", "duration"),
    ("period", "period"),
    ("datetime|timestamp", "instant"),
    ("date", "day"),
    ("time", "clock"),
)
PARTS = {  # by library and kind: numbers to extract from {x}
    "pandas": {
        "instant": "{x}.dt.hour or ({x} - pandas.Timestamp('2000'{zone})).dt.total_seconds()",
        "period": "{x}.dt.year or {x}.dt.month",
        "duration": "{x}.dt.total_seconds()",
        "day": "{x}.dt.day_of_week",
        "clock": "{x}.dt.hour",
    },
    "objects": {
        "instant": "pandas.to_datetime({x}).dt.hour",
        "period": "{x}.map(lambda period: period.month, na_action='ignore')",
        "duration": "pandas.to_timedelta({x}).dt.total_seconds()",
        "day": "pandas.to_datetime({x}).dt.day_of_week",
        "clock": "{x}.map(lambda time: time.hour, na_action='ignore')",
    },
    "polars": {
        "instant": "{x}.dt.hour() or {x}.dt.epoch('s')",
        "duration": "{x}.dt.total_seconds()",
        "day": "{x}.dt.weekday()",
        "clock": "{x}.dt.hour()",
    },
    "arrow": {
        "instant": "pyarrow.compute.hour({x})",
        "duration": "{x}.cast('int64')",
        "day": "pyarrow.compute.day_of_week({x})",
        "clock": "pyarrow.compute.hour({x})",
    },
    "numpy": {
        "instant": "(X - numpy.datetime64('2000')) / numpy.timedelta64(1, 's')",
        "duration": "X / numpy.timedelta64(1, 's')",
    },
}
LEFT_OUT = {"polars": "X.drop({name!r})", "arrow": "X.drop_columns({name!r})"}


def no_number(
    who: str, got: str, library: str, name: Any = None, kind: str | None = None
) -> ValueError:
    """Return the error for dates or times in column `name` of a library's frame, or in an array (library="numpy").

    got     their type, or a description
    kind    the name of their type, if `got` does not begin with it
    """
    kind = next(what for pattern, what in KINDS if re.match(pattern, kind or got, re.IGNORECASE))
    zone = ", tz='UTC'" if "," in got else ""
    hint = PARTS[library][kind].format(x=f"X[{name!r}]", zone=zone)
    expected = "numbers, got dtype"
    if library != "numpy":
        expected = f"numbers or text in column {name!r}, got"
        hint += f"; or leave the column out: {LEFT_OUT.get(library, 'X.drop(columns=[{name!r}])').format(name=name)}"
    return ValueError(
        f"{who}: expected {expected} {got}. Convert these dates or times to numbers, such as {hint}."
    )


def not_real(who: str, got: str, where: str = "") -> ValueError:
    """Return the error for complex numbers.

    where   " in column 'c'", if known
    """
    return ValueError(
        f"{who}: Complex data not supported: expected real numbers{where}, got {got}."
    )


def is_written(text: str) -> bool:
    """Return True for a date or a time: 2024-01-31, 31.1.2024 12:00, 2024-01-31T12:00:00Z, Jan 31, 2024, 12:00."""
    return WRITTEN.fullmatch(text) is not None
