"""Fields of an untrusted JSON header: check that each has the expected type."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from nanoae.spelling import short

MOST_OBJECTS = 200_000
MOST_ITEMS = 3_000_000  # together 200 MB in memory
MISSING = object()
NOT_FINITE = math.nan  # the kind "NaN or infinity"
WORDS = {
    None: "null",
    NOT_FINITE: "NaN or infinity",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "text",
}
LABELS = [(str, int, float, bool)]  # class labels


def parse(text: bytes) -> Any:
    """Parse a JSON header. Raise ValueError for invalid JSON, and for more parts than any saved model has."""
    objects = text.count(b"{") + text.count(b"[")
    items = text.count(b",")
    if objects > MOST_OBJECTS or items > MOST_ITEMS:
        raise ValueError(f"more than {MOST_OBJECTS} objects or {MOST_ITEMS} items")
    return json.loads(text)


def promised(facts: Any, name: str, kind: Any, default: Any = MISSING) -> Any:
    """Return facts[name], or `default` if it is absent. Raise ValueError if it is not of the given kind.

    kind   int, str, bool, dict    this type; True is not an int
           float                   a finite number
           NOT_FINITE              NaN or infinity
           None                    null
           [kind]                  a list
           {str: kind}             an object
           (kind, kind, ...)       one of these
    """
    if not isinstance(facts, dict):
        raise ValueError(f"expected an object with {name!r}, got {short(facts)}.")
    value = facts.get(name, default)
    if value is default and default is not MISSING:
        return value
    if value is MISSING:
        raise ValueError(f"expected {name!r}, got none.")
    if not fits(value, kind):
        raise ValueError(f"expected {name!r} to be {kind_name(kind)}, got {short(value)}.")
    return value


def fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return any(fits(value, each) for each in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(each, kind[0]) for each in value)
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(fits(each, kind[str]) for each in value.values())
    if kind is None:
        return value is None
    if kind is NOT_FINITE:
        return type(value) is float and not math.isfinite(value)
    if kind is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is kind


def kind_name(kind: Any) -> str:
    """Return a kind in words."""
    if isinstance(kind, tuple):
        return " or ".join(map(kind_name, kind))
    if isinstance(kind, list):
        return f"a list, each {kind_name(kind[0])}"
    if isinstance(kind, dict):
        return f"an object, each {kind_name(kind[str])}"
    return WORDS.get(kind, "an object")
